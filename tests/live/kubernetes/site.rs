//! A platform in a folder of its own: for the runtime itself, and for the real binary over stdio.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use openpolicy_mcp::{
    platform::{Platform, ServiceName, TrustedDigests, Variables, load},
    runtime::{
        Applied, Before, Change, Desired, Observed, Problem, Runtime,
        kubernetes::KubernetesRuntime, values::AppliedOutcome,
    },
};
use tempfile::TempDir;

use super::cluster::Cluster;
use crate::{
    docker::client::server::{self, Server},
    engines::PATIENCE,
};

pub use crate::docker::client::{ask, begin, bin, driver, ends, signal, until};

pub struct Site {
    pub folder: TempDir,
    pub namespace: String,
}

impl Site {
    /// Files of a folder, `platform.yaml` among them, as they are.
    pub fn of(folder: TempDir, namespace: &str) -> Self {
        Self {
            folder,
            namespace: namespace.to_owned(),
        }
    }

    /// `manifests.yaml`, and the rest of the platform file.
    pub fn with(cluster: &Cluster, manifests: &str, platform: &str) -> Self {
        let namespace = cluster.namespace();
        Self::asking(&cluster.kubeconfig(), &namespace, manifests, platform)
    }

    /// The same by somebody else, or elsewhere.
    pub fn asking(kubeconfig: &Path, namespace: &str, manifests: &str, platform: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let site = Self::of(folder, namespace);
        site.write("manifests.yaml", manifests);
        site.write(
            "platform.yaml",
            &format!(
                "platform: {namespace}\nruntime: {{ kubernetes: {{ manifests: [manifests.yaml], \
                 namespace: {namespace}, context: test, kubeconfig: {} }} }}\n{platform}",
                kubeconfig.display()
            ),
        );
        site
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).expect("a file");
    }

    pub fn change(&self, name: &str, change: impl FnOnce(String) -> String) {
        let path = self.folder.path().join(name);
        let text = fs::read_to_string(&path).expect("a file");
        fs::write(&path, change(text)).expect("a file");
    }

    fn platform(&self) -> Arc<Platform> {
        let trusted = TrustedDigests {
            everything: true,
            ..TrustedDigests::default()
        };
        let file = self.folder.path().join("platform.yaml");
        let loaded = load(&file, &Variables::default(), &trusted);
        Arc::new(
            loaded
                .unwrap_or_else(|problems| panic!("{problems}"))
                .platform,
        )
    }

    pub fn runtime(&self) -> KubernetesRuntime {
        KubernetesRuntime::of(self.platform()).expect("a runtime")
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The same inside of a pod, that is with the files and variables that the cluster gives one.
    pub fn server_in_pod(&self, cluster: &Cluster, token: &str) -> Server {
        let account = self.folder.path().join("account");
        fs::create_dir_all(&account).expect("a folder");
        let kubeconfig = fs::read_to_string(cluster.kubeconfig()).expect("a file");
        let port = kubeconfig.split("127.0.0.1:").nth(1);
        let port = port
            .and_then(|rest| rest.split('"').next())
            .expect("a port");
        fs::copy(cluster.folder.join("pki/ca.crt"), account.join("ca.crt")).expect("a file");
        fs::write(account.join("token"), token).expect("a file");
        fs::write(account.join("namespace"), &self.namespace).expect("a file");
        let (file, state) = (self.path("platform.yaml"), self.path("state"));
        server::trust(&file, &[("OPENPOLICY_STATE", &state)]);
        let place = "/var/run/secrets/kubernetes.io/serviceaccount";
        let script = format!(
            "mount -t tmpfs tmpfs /run && mkdir -p {place} && cp {}/* {place}/ && exec \"$@\"",
            account.display()
        );
        let program = bin().display().to_string();
        let arguments = [
            "--mount",
            "sh",
            "-c",
            &script,
            "sh",
            &program,
            "serve",
            "--platform",
            &file,
            "--state",
            &state,
            "--toolsets",
            "all",
        ];
        let environment = [
            ("PATH", "/usr/bin:/bin"),
            ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
            ("KUBERNETES_SERVICE_PORT", port),
        ];
        let mut server = Server::start_program("unshare", &arguments, &environment);
        server.handshake("2025-06-18");
        server
    }

    /// A command of the binary on this platform as it is written now, trusted: whether it ended well, and
    /// what it said.
    pub fn command(&self, arguments: &[&str]) -> (bool, String) {
        let (file, state) = (self.path("platform.yaml"), self.path("state"));
        server::trust(&file, &[("OPENPOLICY_STATE", &state)]);
        let more = ["--platform", &file, "--state", &state];
        let ended = server::command(&[arguments, &more].concat(), &[("PATH", "/usr/bin:/bin")])
            .output()
            .expect("it runs");
        let said = match ended.status.success() {
            true => ended.stdout,
            false => [ended.stdout, ended.stderr].concat(),
        };
        (
            ended.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    /// A server of this platform as it is written now, trusted.
    pub fn server(&self) -> Server {
        let (file, state) = (self.path("platform.yaml"), self.path("state"));
        server::trust(&file, &[("OPENPOLICY_STATE", &state)]);
        let arguments = [
            "serve",
            "--platform",
            &file,
            "--state",
            &state,
            "--toolsets",
            "all",
        ];
        let mut server = Server::start(&arguments, &[("PATH", "/usr/bin:/bin")]);
        server.handshake("2025-06-18");
        server
    }
}

pub fn service(name: &str) -> ServiceName {
    ServiceName(name.into())
}

pub async fn resolved(runtime: &KubernetesRuntime, names: &[&str]) -> Vec<Desired> {
    let names: Vec<ServiceName> = names.iter().map(|name| service(name)).collect();
    runtime.resolve(&names).await.expect("resolved")
}

/// Resolves and applies, as whoever deploys does.
pub async fn apply(runtime: &KubernetesRuntime, names: &[&str]) -> Vec<Applied> {
    let desired = resolved(runtime, names).await;
    runtime
        .apply(Change::of(&desired, PATIENCE))
        .await
        .expect("applied")
}

/// What a service is, before it is applied as it is resolved now.
pub async fn captured(runtime: &KubernetesRuntime, name: &str) -> Before {
    let desired = resolved(runtime, &[name]).await;
    runtime
        .capture_for(&desired)
        .await
        .expect("captured")
        .remove(0)
}

pub async fn seen(runtime: &KubernetesRuntime, name: &str) -> Observed {
    runtime
        .observe(&[service(name)])
        .await
        .expect("observed")
        .remove(0)
}

/// Looks until it is as wanted.
pub async fn wait_for(
    runtime: &KubernetesRuntime,
    name: &str,
    wanted: impl Fn(&Observed) -> bool,
) -> Observed {
    let begun = Instant::now();
    loop {
        let seen = seen(runtime, name).await;
        if wanted(&seen) {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "not in time: {seen:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub fn outcomes(applied: &[Applied]) -> Vec<&AppliedOutcome> {
    applied.iter().map(|one| &one.outcome).collect()
}

/// The one failure.
#[track_caller]
pub fn failure(applied: &Applied) -> &Problem {
    match &applied.outcome {
        AppliedOutcome::Failed(problem) => problem,
        other => panic!("it did not fail: {other:?}"),
    }
}
