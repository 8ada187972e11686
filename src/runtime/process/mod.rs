//! The `process` runtime: services as local processes, each with a keeper of its own.
//!
//! Everything that has to be known of a service stands in a folder of the state folder, so that
//! any process of this binary can look at it, read its logs and stop it, whoever started it. A pid
//! is never trusted alone (`identity`). Memory limits are held by watching: a service above its
//! limit is ended by its keeper and started again; CPU limits are only observed. Linux 5.3 or newer.

mod exec;
pub(super) mod identity;
mod keeper;
mod log_files;
mod log_pages;
pub(super) mod members;
mod record;
mod restart;
mod spec;
mod start;
mod stop;
mod usage;

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;

pub use identity::{detach, this_process};
pub use keeper::run as keep;
pub use spec::Tuning;

use self::{
    identity::{Liveness, Place},
    record::{Folder, folder_name},
};
use super::{
    Applied, Before, Change, Desired, LogPage, LogQuery, Observed, Output, Problem, Runtime,
    ServiceState, Stopped, Streams, Usage, Work, order,
};
use crate::{
    digest,
    platform::{Platform, Service, ServiceName},
    store::StateFolder,
};

/// Local processes of one platform.
pub struct ProcessRuntime {
    platform: Arc<Platform>,
    /// Folder of the platform inside the state folder.
    folder: PathBuf,
    /// This binary, as keepers run it.
    program: PathBuf,
    tuning: Tuning,
    /// Processor time of each service at the last look.
    samples: Mutex<HashMap<ServiceName, usage::Sample>>,
}

impl ProcessRuntime {
    pub fn of(platform: Arc<Platform>, state: &StateFolder) -> Result<Self, Problem> {
        let all = state
            .folder("process")
            .map_err(|error| Problem::failed("opening the state folder", error))?;
        let all = fs::canonicalize(&all)
            .map_err(|error| Problem::failed("opening the state folder", error))?;
        Ok(Self {
            folder: all.join(folder_of(&platform)),
            platform,
            // Also right after the file was replaced by a newer version.
            program: "/proc/self/exe".into(),
            tuning: Tuning::default(),
            samples: Mutex::default(),
        })
    }

    /// Another binary than this process's own keeps the services: that of a test.
    pub fn with_program(mut self, program: &Path) -> Self {
        self.program = program.to_owned();
        self
    }

    pub fn with_tuning(mut self, tuning: Tuning) -> Self {
        self.tuning = tuning;
        self
    }

    fn service(&self, name: &ServiceName) -> Result<&Service, Problem> {
        order::service(&self.platform, name)
    }

    fn folder_of(&self, name: &ServiceName) -> Folder {
        Folder(self.folder.join(folder_name(&name.0)))
    }

    fn observed(&self, name: &ServiceName) -> Observed {
        let unknown = |reason: String| Observed::new(name.clone(), ServiceState::Unknown(reason));
        let record = match self.folder_of(name).read() {
            Ok(Some(record)) => record,
            Ok(None) => return Observed::new(name.clone(), ServiceState::Absent),
            Err(error) => return unknown(error.to_string()),
        };
        match Place::here() {
            Ok(here) => record::observed(
                name.clone(),
                &record,
                record.keeper.liveness(&here),
                record
                    .child
                    .as_ref()
                    .map_or(Liveness::Gone, |child| child.liveness(&here)),
                Timestamp::now(),
            ),
            Err(error) => unknown(format!("/proc cannot be read: {error}")),
        }
    }

    /// Makes the folder of a service and takes its lock, so that two callers never change it at
    /// once.
    async fn change(&self, name: &ServiceName) -> Result<(Folder, File), Problem> {
        const LONGEST: Duration = Duration::from_secs(30);
        let failed =
            |error: io::Error| Problem::failed(format!("opening the state of {name}"), error);
        let folder = self.folder_of(name);
        fs::create_dir_all(&folder.0).map_err(failed)?;
        let lock = File::create(folder.change_lock()).map_err(failed)?;
        let begun = std::time::Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok((folder, lock)),
                Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
                Err(fs::TryLockError::WouldBlock) if begun.elapsed() > LONGEST => {
                    return Err(Problem::Busy {
                        service: name.0.clone(),
                    });
                }
                Err(fs::TryLockError::WouldBlock) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

impl Runtime for ProcessRuntime {
    fn name(&self) -> &'static str {
        "process"
    }

    fn target<'a>(&'a self) -> Work<'a, String> {
        Box::pin(async move { Ok(format!("processes of {}", self.folder.display())) })
    }

    fn resolve<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Desired>> {
        Box::pin(async move { services.iter().map(|name| self.desired(name)).collect() })
    }

    fn capture<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Before>> {
        Box::pin(async move {
            for name in services {
                self.service(name)?;
            }
            Ok(services.iter().map(|name| self.before(name)).collect())
        })
    }

    fn observe<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Observed>> {
        Box::pin(async move { Ok(services.iter().map(|name| self.observed(name)).collect()) })
    }

    fn apply<'a>(&'a self, change: Change<'a>) -> Work<'a, Vec<Applied>> {
        Box::pin(self.start_all(change))
    }

    fn restore<'a>(&'a self, before: &'a Before) -> Work<'a, Applied> {
        Box::pin(self.take_back(before))
    }

    fn stop<'a>(&'a self, services: &'a [ServiceName], grace: Duration) -> Work<'a, Vec<Stopped>> {
        Box::pin(self.stop_all(services, grace))
    }

    fn logs<'a>(&'a self, query: &'a LogQuery) -> Work<'a, LogPage> {
        Box::pin(async move {
            self.service(&query.service)?;
            let folder = self.folder_of(&query.service).logs();
            let query = query.clone();
            // Some megabytes of text.
            tokio::task::spawn_blocking(move || log_pages::page(&folder, &query))
                .await
                .map_err(|error| Problem::failed("reading logs", error))?
        })
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
        Box::pin(self.run_command(service, command, streams, longest))
    }
}

/// The folder of a platform: two checkouts of one repository are two platforms.
fn folder_of(platform: &Platform) -> String {
    let name = folder_name(&platform.name);
    if platform.folder.as_os_str().is_empty() {
        return name;
    }
    let place = fs::canonicalize(&platform.folder).unwrap_or_else(|_| platform.folder.clone());
    format!(
        "{name}-{}",
        digest::short(place.as_os_str().as_encoded_bytes(), 8)
    )
}

/// What the environment of this process says, for `Spec::of`.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
