//! One Compose project with its platform file, in a folder of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use openpolicy_mcp::{
    platform::{Platform, ServiceName, TrustedDigests, Variables, load, model::RuntimeKind},
    runtime::{
        Applied, Before, Change, Desired, Observed, Output, Problem, Runtime, Streams,
        compose::{ComposeRuntime, Program},
        values::AppliedOutcome,
    },
    store::StateFolder,
};
use tempfile::TempDir;

use super::engine::{self, BINARY, Docker};
use crate::engines::PATIENCE;

pub struct World {
    pub folder: TempDir,
    pub project: String,
    pub platform: Arc<Platform>,
    pub runtime: ComposeRuntime,
    docker: Docked,
}

/// Whose engine it is.
enum Docked {
    Shared(&'static Docker),
    Own(Docker),
}

static COUNT: AtomicUsize = AtomicUsize::new(0);

impl World {
    /// `compose.yaml` and the `services` of the platform file.
    pub async fn of(compose: &str, services: &str) -> Self {
        Self::with(compose, services, "", engine::compose_2().await).await
    }

    /// With more keys of `runtime.compose`: `, profiles: [x]`.
    pub async fn with(compose: &str, services: &str, more: &str, program: Program) -> Self {
        // Building images and starting an engine waits; the runtime of the test may not.
        let docker = tokio::task::spawn_blocking(engine::shared)
            .await
            .expect("an engine");
        Self::made(
            compose,
            services,
            more,
            program,
            &[],
            Docked::Shared(docker),
        )
    }

    /// With more files, which are there before the platform file is read.
    pub async fn with_files(
        compose: &str,
        services: &str,
        more: &str,
        files: &[(&str, &str)],
    ) -> Self {
        let docker = tokio::task::spawn_blocking(engine::shared)
            .await
            .expect("an engine");
        let program = engine::compose_2().await;
        Self::made(
            compose,
            services,
            more,
            program,
            files,
            Docked::Shared(docker),
        )
    }

    /// With an engine that nobody else uses.
    pub async fn alone(compose: &str, services: &str, docker: Docker) -> Self {
        let program = engine::compose_2().await;
        Self::made(compose, services, "", program, &[], Docked::Own(docker))
    }

    fn made(
        compose: &str,
        services: &str,
        more: &str,
        program: Program,
        others: &[(&str, &str)],
        docker: Docked,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let project = format!(
            "t{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        fs::write(folder.path().join("compose.yaml"), compose).expect("a file");
        for (name, text) in others {
            fs::write(folder.path().join(name), text).expect("a file");
        }
        let file = folder.path().join("platform.yaml");
        let files = if more.contains("files:") {
            ""
        } else {
            "files: [compose.yaml], "
        };
        let text = format!(
            "platform: {project}\nruntime: {{ compose: {{ {files}project: {project}{more} }} }}\n\
             services:\n{services}\n"
        );
        fs::write(&file, text).expect("a file");
        Self::loaded(folder, &file, program, docker)
    }

    /// A platform file that is there.
    pub async fn of_file(file: &Path, folder: TempDir) -> Self {
        let docker = tokio::task::spawn_blocking(engine::shared)
            .await
            .expect("an engine");
        let program = engine::compose_2().await;
        Self::loaded(folder, file, program, Docked::Shared(docker))
    }

    fn loaded(folder: TempDir, file: &Path, program: Program, docker: Docked) -> Self {
        let trusted = TrustedDigests {
            everything: true,
            ..TrustedDigests::default()
        };
        let loaded = load(file, &Variables::of_process(), &trusted);
        let platform = Arc::new(loaded.expect("a platform file").platform);
        let runtime = runtime(&platform, folder.path(), docker.get(), program);
        let RuntimeKind::Compose {
            project: Some(project),
            ..
        } = &platform.runtime
        else {
            panic!("a Compose project with a name");
        };
        Self {
            project: project.clone(),
            folder,
            platform,
            runtime,
            docker,
        }
    }

    pub fn docker(&self) -> &Docker {
        self.docker.get()
    }

    pub fn own_docker(&mut self) -> &mut Docker {
        match &mut self.docker {
            Docked::Own(docker) => docker,
            Docked::Shared(_) => panic!("it is everybody's"),
        }
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    }

    pub async fn resolved(&self, names: &[&str]) -> Vec<Desired> {
        let names: Vec<ServiceName> = names.iter().map(|name| service(name)).collect();
        self.runtime.resolve(&names).await.expect("resolved")
    }

    /// Resolves and applies, as whoever deploys does.
    pub async fn apply(&self, names: &[&str]) -> Vec<Applied> {
        let desired = self.resolved(names).await;
        self.apply_these(&desired).await
    }

    pub async fn apply_these(&self, desired: &[Desired]) -> Vec<Applied> {
        let change = Change::of(desired, PATIENCE);
        self.runtime.apply(change).await.expect("applied")
    }

    pub async fn captured(&self, name: &str) -> Before {
        let captured = self.runtime.capture(&[service(name)]).await;
        captured.expect("captured").remove(0)
    }

    pub async fn seen(&self, name: &str) -> Observed {
        let seen = self.runtime.observe(&[service(name)]).await;
        seen.expect("observed").remove(0)
    }

    /// Tells a stand-in that listens on port 8000, as soon as it does, how to behave.
    pub async fn control(&self, name: &str, told: &str) -> Result<Output, Problem> {
        let command = [
            "curl",
            "-s",
            "--retry-connrefused",
            "--retry",
            "30",
            "--retry-delay",
            "1",
            "-d",
            told,
            "http://localhost:8000/control",
        ];
        let command = command.map(str::to_owned);
        self.runtime
            .exec(&service(name), &command, Streams::default(), PATIENCE)
            .await
    }

    /// Looks until it is as wanted.
    pub async fn wait_for(&self, name: &str, wanted: impl Fn(&Observed) -> bool) -> Observed {
        let begun = Instant::now();
        loop {
            let seen = self.seen(name).await;
            if wanted(&seen) {
                return seen;
            }
            assert!(begun.elapsed() < PATIENCE, "not in time: {seen:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn container(&self, name: &str) -> String {
        let filter = [
            format!("label=com.docker.compose.project={}", self.project),
            format!("label=com.docker.compose.service={name}"),
        ];
        self.docker().run(&[
            "ps",
            "-aq",
            "--no-trunc",
            "--filter",
            &filter[0],
            "--filter",
            &filter[1],
        ])
    }
}

impl Drop for World {
    fn drop(&mut self) {
        Self::clear(self.docker.get(), &self.project);
    }
}

impl World {
    /// Takes away everything that a project has.
    pub fn clear(docker: &Docker, project: &str) {
        let filter = format!("label=com.docker.compose.project={project}");
        for (list, remove) in [
            (vec!["ps", "-aq"], vec!["rm", "-f", "-v"]),
            (vec!["network", "ls", "-q"], vec!["network", "rm"]),
            (vec!["volume", "ls", "-q"], vec!["volume", "rm"]),
        ] {
            let mut list = list;
            list.extend(["--filter", &filter]);
            let found = docker.tried(&list).1;
            if !found.is_empty() {
                let mut remove = remove;
                remove.extend(found.lines());
                docker.tried(&remove);
            }
        }
    }
}

impl Docked {
    fn get(&self) -> &Docker {
        match self {
            Self::Shared(docker) => docker,
            Self::Own(docker) => docker,
        }
    }
}

/// As another process of the same platform has it.
pub fn runtime(
    platform: &Arc<Platform>,
    folder: &Path,
    docker: &Docker,
    program: Program,
) -> ComposeRuntime {
    let state = StateFolder::at(&folder.join("state")).expect("a state folder");
    ComposeRuntime::of(Arc::clone(platform), &state)
        .expect("a runtime")
        .with_engine(docker.address())
        .with_compose(program)
        .with_shim(Path::new(BINARY))
}

pub fn service(name: &str) -> ServiceName {
    ServiceName(name.into())
}

pub fn outcomes(applied: &[Applied]) -> Vec<&AppliedOutcome> {
    applied.iter().map(|one| &one.outcome).collect()
}

/// The words of the one failure.
#[track_caller]
pub fn failure(applied: &Applied) -> String {
    match &applied.outcome {
        AppliedOutcome::Failed(problem) => problem.to_string(),
        other => panic!("it did not fail: {other:?}"),
    }
}
