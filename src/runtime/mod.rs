//! What carries the services: one trait, and the runtimes that there are.
//!
//! A runtime is bound to one platform. It reports and acts; it never concludes whether a service
//! is well (`health` does), and it never decides what should run (plans do). Nothing here tells
//! processes, containers and pods apart: what a runtime cannot do it answers with
//! [`Problem::NotSupported`].

#[cfg(target_os = "linux")]
pub mod compose;
mod exec;
pub mod kubernetes;
mod needs;
pub mod order;
#[cfg(target_os = "linux")]
pub mod process;
#[cfg(target_os = "linux")]
pub mod shim;
mod stopping;
pub mod values;

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;

pub use values::{
    Applied, Before, Change, Desired, Divided, Exit, Host, LogLine, LogPage, LogQuery, Node, Nodes,
    Observed, OnCommand, Output, Problem, Readiness, RunningCommand, RuntimeHealth, Scaling,
    ServiceState, Stopped, Stream, Streams, Unfinished, Usage, Weights,
};

use crate::{
    platform::{
        Platform, ServiceName,
        model::{RuntimeKind, Traffic},
    },
    store::StateFolder,
};

/// What an operation gives.
pub type Work<'a, T> = BoxFuture<'a, Result<T, Problem>>;

/// The one trait. Every list that comes back has one item for each service that was asked for,
/// in the order asked; what is not known of one service never hides the others.
pub trait Runtime: Send + Sync {
    /// As the platform file names it.
    fn name(&self) -> &'static str;

    /// What would be acted on, so that a plan made for one machine or cluster is never run on
    /// another: `docker engine ABCD:…, project openpolicy`.
    fn target<'a>(&'a self) -> Work<'a, String>;

    /// Resolves how these services should run, once: files and variables are read now, and what
    /// is applied later is this, whatever becomes of them. Changes nothing.
    fn resolve<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Desired>>;

    /// What runs now. Changes nothing.
    fn observe<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Observed>>;

    /// What these services are now, as `restore` takes it back; keeps what that needs (images)
    /// from being cleaned away. Asked before each action, so that it can be journaled first.
    fn capture<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Before>>;

    /// The same before these are applied: also what they would touch that was not theirs so far.
    fn capture_for<'a>(&'a self, desired: &'a [Desired]) -> Work<'a, Vec<Before>> {
        Box::pin(async move {
            let names: Vec<ServiceName> = desired.iter().map(|one| one.service.clone()).collect();
            self.capture(&names).await
        })
    }

    /// What has to be so before these are applied, beside what every runtime is asked.
    fn readiness<'a>(&'a self, desired: &'a [Desired]) -> Work<'a, Vec<Readiness>> {
        let _ = desired;
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Makes services run as was resolved, what they need first. Doing it twice changes nothing
    /// the second time.
    fn apply<'a>(&'a self, change: Change<'a>) -> Work<'a, Vec<Applied>>;

    /// What carries the services, and what it has.
    fn host<'a>(&'a self) -> Work<'a, Host> {
        Box::pin(async { Ok(Host::Here) })
    }

    /// Makes a service again what it was. Doing it twice changes nothing the second time.
    fn restore<'a>(&'a self, before: &'a Before) -> Work<'a, Applied>;

    /// Lets go of what `capture` kept for ways back that are no longer wanted, but for what `still`
    /// needs too.
    fn release<'a>(&'a self, before: &'a [Before], still: &'a [Before]) -> Work<'a, ()> {
        let _ = (before, still);
        Box::pin(async { Ok(()) })
    }

    /// Ends commands that an earlier process of ours had at work, and waits until they are gone.
    fn end_commands<'a>(&'a self, commands: &'a [RunningCommand]) -> Work<'a, ()> {
        let _ = commands;
        Box::pin(async { Ok(()) })
    }

    /// Stops services, those that need others first: asks, waits for `grace`, ends what is left.
    /// Data and logs stay.
    fn stop<'a>(&'a self, services: &'a [ServiceName], grace: Duration) -> Work<'a, Vec<Stopped>>;

    /// Lines of one service's output.
    fn logs<'a>(&'a self, query: &'a LogQuery) -> Work<'a, LogPage>;

    /// What services use now. May take a moment: processor use is a difference of two looks.
    fn usage<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Usage>>;

    /// How the requests of a route are divided now. `is_planned`: also whether everything is there
    /// that shifting them needs, rights among it. Changes nothing.
    fn traffic<'a>(&'a self, traffic: &'a Traffic, is_planned: bool) -> Work<'a, Divided> {
        let _ = (traffic, is_planned);
        Box::pin(async { Err(self.has_no_traffic()) })
    }

    /// Divides the requests of a route otherwise, where they are divided as `was` says and in no
    /// other way: else it fails and changes nothing.
    fn shift<'a>(&'a self, traffic: &'a Traffic, was: Weights, then: Weights) -> Work<'a, ()> {
        let _ = (traffic, was, then);
        Box::pin(async { Err(self.has_no_traffic()) })
    }

    /// That there is no traffic to shift.
    fn has_no_traffic(&self) -> Problem {
        Problem::NotSupported {
            what: "shifting traffic",
            runtime: self.name(),
        }
    }

    /// The machines, where there are many.
    fn nodes<'a>(&'a self) -> Work<'a, Nodes> {
        Box::pin(async {
            Err(Problem::NotSupported {
                what: "telling nodes apart",
                runtime: self.name(),
            })
        })
    }

    /// What scales these services by itself; none of those that nothing scales.
    fn scaling<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Option<Scaling>>> {
        Box::pin(async move { Ok(vec![None; services.len()]) })
    }

    /// Runs a command where a service runs, with its environment. `streams` names files of this
    /// machine that it reads and writes: what a dump is made of.
    fn exec<'a>(
        &'a self,
        service: &'a ServiceName,
        command: &'a [String],
        streams: Streams<'a>,
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
        RuntimeKind::Compose { .. } => compose(platform, state),
        RuntimeKind::Kubernetes { .. } => {
            let runtime = kubernetes::KubernetesRuntime::of(Arc::clone(platform))?;
            Ok(Arc::new(runtime))
        }
    }
}

#[cfg(target_os = "linux")]
fn process(platform: &Arc<Platform>, state: &StateFolder) -> Result<Arc<dyn Runtime>, Problem> {
    let runtime = process::ProcessRuntime::of(Arc::clone(platform), state)?;
    Ok(Arc::new(runtime))
}

#[cfg(target_os = "linux")]
fn compose(platform: &Arc<Platform>, state: &StateFolder) -> Result<Arc<dyn Runtime>, Problem> {
    let runtime = compose::ComposeRuntime::of(Arc::clone(platform), state)?;
    Ok(Arc::new(runtime))
}

/// Commands are told apart, and ended with whoever started them, by what `/proc` says.
#[cfg(not(target_os = "linux"))]
fn compose(_: &Arc<Platform>, _: &StateFolder) -> Result<Arc<dyn Runtime>, Problem> {
    Err(Problem::NotSupported {
        what: "running services",
        runtime: "the compose runtime on systems other than Linux",
    })
}

/// What a process is, uses and leaves behind is read from `/proc`.
#[cfg(not(target_os = "linux"))]
fn process(_: &Arc<Platform>, _: &StateFolder) -> Result<Arc<dyn Runtime>, Problem> {
    Err(Problem::NotSupported {
        what: "running services",
        runtime: "the process runtime on systems other than Linux",
    })
}

/// This process, so that another can find it again.
#[cfg(target_os = "linux")]
pub fn this_process(what: &str) -> Result<RunningCommand, Problem> {
    process::this_process(what)
}

/// Ends processes of ours that were written down, and waits until they are gone.
#[cfg(target_os = "linux")]
pub async fn end_processes(processes: &[RunningCommand]) -> Result<(), Problem> {
    shim::end(processes).await
}

#[cfg(not(target_os = "linux"))]
pub async fn end_processes(_: &[RunningCommand]) -> Result<(), Problem> {
    Ok(())
}

/// Leaves the session of whoever started this process: what ends that ends this no more.
#[cfg(target_os = "linux")]
pub fn detach() -> Result<(), Problem> {
    process::detach()
}

#[cfg(not(target_os = "linux"))]
pub fn this_process(_: &str) -> Result<RunningCommand, Problem> {
    Err(Problem::NotSupported {
        what: "deploying",
        runtime: "systems other than Linux",
    })
}

#[cfg(not(target_os = "linux"))]
pub fn detach() -> Result<(), Problem> {
    Err(Problem::NotSupported {
        what: "deploying",
        runtime: "systems other than Linux",
    })
}
