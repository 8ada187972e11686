//! The `compose` runtime: services as containers of a Compose project.
//!
//! The engine's API is asked what there is; Compose itself is run to make it so, since nothing
//! else makes exactly what people get by hand. Files are read once (`resolve`); what is applied is
//! the resolved project, written for the time of the command with mode 0600. Volumes are never
//! removed.

mod apply;
mod bind_files;
mod capture;
mod containers;
mod engine;
mod exec;
mod logs;
mod machine;
mod program;
mod resolve;
mod restore;
mod settle;
mod stop;
mod usage;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use tokio::sync::OnceCell;

use self::{
    containers::{ByService, Container},
    engine::Engine,
};
use super::{
    Applied, Before, Change, Desired, Host, LogPage, LogQuery, Observed, OnCommand, Output,
    Problem, RunningCommand, Runtime, ServiceState, Stopped, Streams, Usage, Work, order, shim,
};
use crate::{
    platform::{Platform, Service, ServiceName, model::RuntimeKind},
    store::StateFolder,
};

pub use engine::Address;
pub use program::{Program, Version};

/// How long Compose may take to read files: it asks nobody but the file system, and version 1
/// the engine.
const LONGEST_READING: Duration = Duration::from_secs(60);

/// Of `observe`, which is asked besides.
const LONGEST_OBSERVATION: Duration = Duration::from_millis(2_700);

/// Containers of one Compose project.
pub struct ComposeRuntime {
    platform: Arc<Platform>,
    project: String,
    /// Of the first file: what Compose calls the project's folder.
    folder: PathBuf,
    files: Files,
    engine: Engine,
    compose: OnceCell<Program>,
    host: OnceCell<Host>,
    /// Where resolved projects stand while they are applied.
    state: PathBuf,
    /// This binary, as the shim runs it.
    shim: PathBuf,
}

/// What the platform file says of the project.
struct Files {
    files: Vec<PathBuf>,
    profiles: Vec<String>,
    env_files: Vec<PathBuf>,
}

impl ComposeRuntime {
    /// Nothing is asked yet. A platform file that nobody trusts names no containers: else it could
    /// show and change those of any project on this machine.
    pub fn of(platform: Arc<Platform>, state: &StateFolder) -> Result<Self, Problem> {
        let RuntimeKind::Compose {
            files,
            project,
            profiles,
            env_files,
        } = &platform.runtime
        else {
            return Err(Problem::failed(
                "opening the compose runtime",
                "the platform file names another runtime",
            ));
        };
        if let Err(untrusted) = platform.trust.permit() {
            return Err(Problem::failed("opening the compose runtime", untrusted));
        }
        let own = |path: &PathBuf| resolve::absolute(path);
        let files = Files {
            files: files.iter().map(own).collect(),
            profiles: profiles.clone(),
            env_files: env_files.iter().map(own).collect(),
        };
        let folder = files
            .files
            .first()
            .and_then(|file| file.parent())
            .map_or_else(|| own(&platform.folder), Path::to_owned);
        let project = project
            .clone()
            .unwrap_or_else(|| project_of_folder(&folder));
        let state = state
            .folder("compose")
            .map_err(|error| Problem::failed("opening the state folder", error))?;
        let state = fs::canonicalize(&state)
            .map_err(|error| Problem::failed("opening the state folder", error))?;
        Ok(Self {
            project,
            folder,
            files,
            engine: Engine::new(engine::address()),
            compose: OnceCell::new(),
            host: OnceCell::new(),
            state,
            // Also right after the file was replaced by a newer version.
            shim: "/proc/self/exe".into(),
            platform,
        })
    }

    /// Another engine than the environment names: that of a test.
    pub fn with_engine(mut self, address: Address) -> Self {
        self.engine = Engine::new(Ok(address));
        self.host = OnceCell::new();
        self
    }

    /// This Compose, whatever else is installed.
    pub fn with_compose(mut self, program: Program) -> Self {
        self.compose = OnceCell::new_with(Some(program));
        self
    }

    /// Another binary than this process's own is the shim: that of a test.
    pub fn with_shim(mut self, binary: &Path) -> Self {
        self.shim = binary.to_owned();
        self
    }

    fn service(&self, name: &ServiceName) -> Result<&Service, Problem> {
        order::service(&self.platform, name)
    }

    /// The name of a service in the Compose file.
    fn compose_name(&self, name: &ServiceName) -> Result<&str, Problem> {
        let service = self.service(name)?;
        Ok(service.runtime_name.as_deref().unwrap_or(&service.name.0))
    }

    async fn program(&self) -> Result<&Program, Problem> {
        self.compose.get_or_try_init(Program::find).await
    }

    async fn containers(&self) -> Result<Found, Problem> {
        containers::of_project(&self.engine, &self.project)
            .await
            .map(Found)
    }

    /// The containers of one service, newest first.
    async fn containers_of(&self, name: &ServiceName) -> Result<Vec<Container>, Problem> {
        let compose_name = self.compose_name(name)?;
        Ok(self.containers().await?.of(compose_name).to_vec())
    }

    async fn observe_all(&self, services: &[ServiceName]) -> Result<Vec<Observed>, Problem> {
        let mut names = Vec::with_capacity(services.len());
        for name in services {
            names.push(self.compose_name(name)?);
        }
        let found = tokio::time::timeout(LONGEST_OBSERVATION, self.containers()).await;
        let found = found.unwrap_or_else(|_| {
            Err(Problem::TimedOut {
                what: "asking the Docker Engine for its containers".into(),
                waited: LONGEST_OBSERVATION,
            })
        });
        let seen = services.iter().zip(names);
        Ok(match found {
            Ok(found) => seen
                .map(|(name, compose_name)| {
                    containers::observed(name.clone(), found.of(compose_name))
                })
                .collect(),
            Err(problem) => seen
                .map(|(name, _)| {
                    Observed::new(name.clone(), ServiceState::Unknown(problem.to_string()))
                })
                .collect(),
        })
    }

    async fn engine_and_project(&self) -> Result<String, Problem> {
        let client = self.engine.client().await?;
        let info = self
            .engine
            .asked("asking the Docker Engine who it is", client.info())
            .await?;
        Ok(format!(
            "docker engine {} ({}), project {}",
            info.id.as_deref().unwrap_or("without id"),
            info.name.as_deref().unwrap_or("without name"),
            self.project
        ))
    }

    /// A resolved project as a file that is removed when this is dropped.
    fn resolved_file(&self, project: &Value) -> Result<tempfile::NamedTempFile, Problem> {
        let failed = |error: std::io::Error| Problem::failed("writing the resolved project", error);
        let mut file = tempfile::Builder::new()
            .prefix("project-")
            .suffix(".json")
            .tempfile_in(&self.state)
            .map_err(failed)?;
        file.write_all(project.to_string().as_bytes())
            .and_then(|()| file.flush())
            .map_err(failed)?;
        Ok(file)
    }

    /// What Compose prints to a question.
    async fn ask_compose(
        &self,
        what: &str,
        program: &Program,
        arguments: Vec<String>,
    ) -> Result<String, Problem> {
        let ended = self
            .run_compose(what, program, arguments, LONGEST_READING, None)
            .await?;
        if ended.status.success() {
            return Ok(ended.out);
        }
        Err(Problem::failed(what, last_words(&ended.error)))
    }

    async fn run_compose(
        &self,
        what: &str,
        program: &Program,
        arguments: Vec<String>,
        longest: Duration,
        on_command: Option<OnCommand<'_>>,
    ) -> Result<shim::Ended, Problem> {
        let address = self.engine.address()?;
        let mut all = vec![
            "-p".to_owned(),
            self.project.clone(),
            "--project-directory".into(),
            self.folder.display().to_string(),
        ];
        all.extend(arguments);
        let set = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
        let mut environment = vec![set("COMPOSE_IGNORE_ORPHANS", "1")];
        // What is said here wins over what the environment says besides.
        for name in [
            "COMPOSE_FILE",
            "COMPOSE_PROJECT_NAME",
            "COMPOSE_PROFILES",
            "COMPOSE_ENV_FILES",
            "COMPOSE_REMOVE_ORPHANS",
            "DOCKER_CONTEXT",
        ] {
            environment.push((name.to_owned(), None));
        }
        environment.push(set("DOCKER_HOST", &address.host));
        if let Some(folder) = &address.certificates {
            environment.push(set("DOCKER_CERT_PATH", &folder.display().to_string()));
            environment.push(set("DOCKER_TLS_VERIFY", "1"));
        }
        let ordered = shim::Ordered {
            what: what.to_owned(),
            program: program.path.clone(),
            arguments: all,
            folder: self.folder.clone(),
            environment,
            longest,
        };
        shim::run(&self.shim, ordered, on_command).await
    }
}

/// Containers of the project.
struct Found(ByService);

impl Found {
    fn of(&self, compose_name: &str) -> &[Container] {
        self.0.get(compose_name).map_or(&[], Vec::as_slice)
    }
}

/// The last line that says something, cut: what Compose writes before is progress. A line that only
/// ends another, such as `(exit status 1))`, comes with that one.
fn last_words(text: &str) -> String {
    const LONGEST: usize = 400;
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.contains("level=warning"))
        .rev();
    let last = lines.next().unwrap_or("it gave no reason");
    let whole = match lines.next() {
        Some(before) if last.starts_with('(') => format!("{before} {last}"),
        _ => last.to_owned(),
    };
    whole.chars().take(LONGEST).collect()
}

/// What Compose calls a project whose files lie in this folder.
fn project_of_folder(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name
        .to_lowercase()
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'))
        .collect();
    let name = name.trim_start_matches(['-', '_']);
    if name.is_empty() { "default" } else { name }.to_owned()
}

impl Runtime for ComposeRuntime {
    fn name(&self) -> &'static str {
        "compose"
    }

    fn target<'a>(&'a self) -> Work<'a, String> {
        Box::pin(self.engine_and_project())
    }

    fn host<'a>(&'a self) -> Work<'a, Host> {
        Box::pin(self.machine())
    }

    fn resolve<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Desired>> {
        Box::pin(self.resolve_all(services))
    }

    fn observe<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Observed>> {
        Box::pin(self.observe_all(services))
    }

    fn capture<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Before>> {
        Box::pin(self.capture_all(services))
    }

    fn apply<'a>(&'a self, change: Change<'a>) -> Work<'a, Vec<Applied>> {
        Box::pin(self.apply_all(change))
    }

    fn restore<'a>(&'a self, before: &'a Before) -> Work<'a, Applied> {
        Box::pin(self.take_back(before))
    }

    fn release<'a>(&'a self, before: &'a [Before], still: &'a [Before]) -> Work<'a, ()> {
        Box::pin(self.release_all(before, still))
    }

    fn end_commands<'a>(&'a self, commands: &'a [RunningCommand]) -> Work<'a, ()> {
        Box::pin(async move {
            shim::end(commands).await?;
            self.settle().await
        })
    }

    fn stop<'a>(&'a self, services: &'a [ServiceName], grace: Duration) -> Work<'a, Vec<Stopped>> {
        Box::pin(self.stop_all(services, grace))
    }

    fn logs<'a>(&'a self, query: &'a LogQuery) -> Work<'a, LogPage> {
        Box::pin(self.log_page(query))
    }

    fn usage<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Usage>> {
        Box::pin(self.usage_of(services))
    }

    fn exec<'a>(
        &'a self,
        service: &'a ServiceName,
        command: &'a [String],
        streams: Streams<'a>,
        longest: Duration,
    ) -> Work<'a, Output> {
        Box::pin(self.run_in_container(service, command, streams, longest))
    }
}
