//! What carries the services: one trait, and the runtimes that there are.
//!
//! A runtime is bound to one platform. It reports and acts; it never concludes whether a service
//! is well (`health` does), and it never decides what should run (plans do). Nothing here tells
//! processes, containers and pods apart: what a runtime cannot do it answers with
//! [`Problem::NotSupported`].

pub mod order;
#[cfg(target_os = "linux")]
pub mod process;
pub mod values;

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;

pub use values::{
    Applied, Before, Change, Exit, LogLine, LogPage, LogQuery, Observed, Output, Problem,
    RuntimeHealth, ServiceState, Stopped, Stream, Usage,
};

use crate::{
    platform::{Platform, ServiceName, model::RuntimeKind},
    store::StateFolder,
};

/// What an operation gives.
pub type Work<'a, T> = BoxFuture<'a, Result<T, Problem>>;

/// The one trait. Every list that comes back has one item for each service that was asked for,
/// in the order asked; what is not known of one service never hides the others.
pub trait Runtime: Send + Sync {
    /// As the platform file names it.
    fn name(&self) -> &'static str;

    /// What runs now. Changes nothing.
    fn observe<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Observed>>;

    /// Makes these services run as the platform file has them, what they need first.
    fn apply<'a>(&'a self, change: Change<'a>) -> Work<'a, Vec<Applied>>;

    /// Makes a service again what it was before it was applied.
    fn restore<'a>(&'a self, before: &'a Before) -> Work<'a, Applied>;

    /// Stops services, those that need others first: asks, waits for `grace`, ends what is left.
    /// Data and logs stay.
    fn stop<'a>(&'a self, services: &'a [ServiceName], grace: Duration) -> Work<'a, Vec<Stopped>>;

    /// Lines of one service's output.
    fn logs<'a>(&'a self, query: &'a LogQuery) -> Work<'a, LogPage>;

    /// What services use now. May take a moment: processor use is a difference of two looks.
    fn usage<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Usage>>;

    /// Runs a command where a service runs, with its environment.
    fn exec<'a>(
        &'a self,
        service: &'a ServiceName,
        command: &'a [String],
        longest: Duration,
    ) -> Work<'a, Output>;
}

/// The runtime that a platform file names.
pub fn of(platform: &Arc<Platform>, state: &StateFolder) -> Result<Arc<dyn Runtime>, Problem> {
    match &platform.runtime {
        RuntimeKind::Process => process(platform, state),
        RuntimeKind::None => Err(Problem::NotSupported {
            what: "running services",
            runtime: "no runtime (`runtime` is not set in the platform file)",
        }),
        RuntimeKind::Compose { .. } => Err(Problem::NotSupported {
            what: "running services",
            runtime: "the compose runtime of this version",
        }),
        RuntimeKind::Kubernetes { .. } => Err(Problem::NotSupported {
            what: "running services",
            runtime: "the kubernetes runtime of this version",
        }),
    }
}

#[cfg(target_os = "linux")]
fn process(platform: &Arc<Platform>, state: &StateFolder) -> Result<Arc<dyn Runtime>, Problem> {
    let runtime = process::ProcessRuntime::of(Arc::clone(platform), state)?;
    Ok(Arc::new(runtime))
}

/// What a process is, uses and leaves behind is read from `/proc`.
#[cfg(not(target_os = "linux"))]
fn process(_: &Arc<Platform>, _: &StateFolder) -> Result<Arc<dyn Runtime>, Problem> {
    Err(Problem::NotSupported {
        what: "running services",
        runtime: "the process runtime on systems other than Linux",
    })
}
