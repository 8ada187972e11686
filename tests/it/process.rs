//! The process runtime with the real binary: services start, crash, are killed, and leave nothing.

mod keepers;
mod limits;
mod running;
mod stand_in;
mod tools;

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use openpolicy_mcp::{
    platform::{Platform, Service, ServiceName},
    runtime::{
        Applied, Change, LogPage, LogQuery, Observed, Runtime as _, Stopped,
        process::{ProcessRuntime, Tuning},
        values::AppliedOutcome,
    },
    store::StateFolder,
};
use serde_json::Value;

use crate::support;

/// Longer than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

const GRACE: Duration = Duration::from_secs(10);

/// A service that is the stand-in with these flags.
fn stand_in(name: &str, flags: &[&str]) -> Service {
    let mut service = Service::named(name);
    service.command = ["openpolicy-mcp", "stand-in", "--name", name]
        .iter()
        .chain(flags)
        .map(|part| (*part).to_owned())
        .collect();
    service
}

fn needs(mut service: Service, needs: &[&str]) -> Service {
    service.needs = needs.iter().map(|need| name(need)).collect();
    service
}

fn name(name: &str) -> ServiceName {
    ServiceName(name.to_owned())
}

fn quick() -> Tuning {
    Tuning {
        first_pause_ms: 20,
        longest_pause_ms: 200,
        look_ms: 20,
        ..Tuning::default()
    }
}

/// A platform of local processes in a folder of its own. [`Place::end`] asserts that nothing is
/// left of it.
struct Place {
    folder: tempfile::TempDir,
    tuning: Tuning,
    runtime: ProcessRuntime,
    names: Vec<ServiceName>,
}

impl Place {
    fn new(services: Vec<Service>) -> Self {
        Self::tuned(services, quick())
    }

    fn tuned(services: Vec<Service>, tuning: Tuning) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let names = services.iter().map(|one| one.name.clone()).collect();
        Self {
            runtime: runtime(folder.path(), services, &tuning),
            tuning,
            folder,
            names,
        }
    }

    /// What another process of the same binary would have: nothing in memory.
    fn anew(&self, services: Vec<Service>) -> ProcessRuntime {
        runtime(self.folder.path(), services, &self.tuning)
    }

    async fn apply(&self) -> Vec<Applied> {
        apply(&self.runtime, &self.names).await
    }

    async fn observe(&self, service: &str) -> Observed {
        observe(&self.runtime, service).await
    }

    async fn logs(&self, service: &str) -> LogPage {
        let query = LogQuery {
            service: name(service),
            since: None,
            cursor: None,
            limit: 100_000,
        };
        self.runtime.logs(&query).await.expect("logs")
    }

    async fn has_logged(&self, service: &str, part: &str) -> bool {
        let page = self.logs(service).await;
        page.lines.iter().any(|line| line.text.contains(part))
    }

    /// Waits until a service says where it listens.
    async fn port(&self, service: &str) -> u16 {
        let begun = Instant::now();
        loop {
            let page = self.logs(service).await;
            // The last one: it may have been started again.
            let port = page.lines.iter().rev().find_map(|line| {
                let (_, address) = line.text.split_once("listening on http://")?;
                address.rsplit(':').next()?.parse().ok()
            });
            if let Some(port) = port {
                return port;
            }
            assert!(begun.elapsed() < PATIENCE, "{service} does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn state(&self, service: &str) -> PathBuf {
        // The platform has no name here.
        let platforms = fs::read_dir(self.folder.path().join("process")).expect("a folder");
        let mut services = platforms.map(|entry| entry.expect("an entry").path().join(service));
        let folder = services.find(|path| path.is_dir()).expect("its folder");
        folder.join("state.json")
    }

    fn record(&self, service: &str) -> Value {
        let text = fs::read(self.state(service)).expect("its state");
        serde_json::from_slice(&text).expect("JSON")
    }

    fn keeper(&self, service: &str) -> i64 {
        self.record(service)["keeper"]["pid"]
            .as_i64()
            .expect("a pid")
    }

    fn child(&self, service: &str) -> i64 {
        self.record(service)["child"]["pid"]
            .as_i64()
            .expect("a pid")
    }

    async fn stop(&self) -> Vec<Stopped> {
        self.runtime
            .stop(&self.names, GRACE)
            .await
            .expect("stopped")
    }

    /// Stops everything and asserts that no process, not even a dead one, is left.
    async fn end(self) {
        let keepers: HashSet<i64> = self
            .names
            .iter()
            .filter(|service| self.folder_has(service))
            .map(|service| self.keeper(&service.0))
            .collect();
        self.stop().await;
        let folder = self.folder.path().to_owned();
        until("no process holds a file of the platform", async || {
            holding(&folder).is_empty()
        })
        .await;
        until("no keeper is left as a zombie", async || {
            keepers.iter().all(|pid| !is_own_zombie(*pid))
        })
        .await;
    }

    fn folder_has(&self, service: &ServiceName) -> bool {
        let platforms = fs::read_dir(self.folder.path().join("process"));
        platforms
            .into_iter()
            .flatten()
            .flatten()
            .any(|entry| entry.path().join(&service.0).join("state.json").is_file())
    }
}

/// A test that failed leaves nothing either.
impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for pid in holding(self.folder.path()) {
                let _ = std::process::Command::new("kill")
                    .args(["-9", &pid.to_string()])
                    .status();
            }
        }
    }
}

fn runtime(folder: &Path, services: Vec<Service>, tuning: &Tuning) -> ProcessRuntime {
    let platform = Platform {
        services,
        ..Platform::default()
    };
    let state = StateFolder::at(folder).expect("a folder");
    ProcessRuntime::of(Arc::new(platform), &state)
        .expect("a runtime")
        .with_program(&support::bin())
        .with_tuning(tuning.clone())
}

async fn apply(runtime: &ProcessRuntime, services: &[ServiceName]) -> Vec<Applied> {
    let desired = runtime.resolve(services).await.expect("known services");
    let change = Change::of(&desired, PATIENCE);
    runtime.apply(change).await.expect("known services")
}

async fn observe(runtime: &ProcessRuntime, service: &str) -> Observed {
    let services = [name(service)];
    let observed = runtime.observe(&services).await.expect("a look");
    observed.into_iter().next().expect("one for each")
}

fn outcomes(applied: Vec<Applied>) -> Vec<AppliedOutcome> {
    applied.into_iter().map(|one| one.outcome).collect()
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Processes that have a file below this folder open: keepers hold locks and logs, services pipes.
fn holding(folder: &Path) -> Vec<i64> {
    let processes = fs::read_dir("/proc").expect("/proc");
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i64| {
            let open = fs::read_dir(format!("/proc/{pid}/fd"));
            open.into_iter().flatten().flatten().any(|entry| {
                fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(folder))
            })
        })
        .collect()
}

fn is_own_zombie(pid: i64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned());
    let parent = format!("Z {} ", std::process::id());
    rest.is_some_and(|rest| rest.starts_with(&parent))
}

fn kill(pid: i64) {
    let status = std::process::Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status();
    assert!(status.expect("kill").success());
}

fn is_alive(pid: i64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
