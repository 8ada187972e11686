//! Stops services: asks, waits, ends what is left. Containers, volumes and logs stay.

use std::time::Duration;

use futures::{FutureExt as _, future::join_all};

use super::{ComposeRuntime, containers::Container};
use crate::{
    platform::ServiceName,
    runtime::{Problem, Stopped, stopping, values::StoppedOutcome},
};

/// What the engine ends with SIGKILL has this exit code.
const KILLED: i32 = 128 + 9;

impl ComposeRuntime {
    pub(super) async fn stop_all(
        &self,
        services: &[ServiceName],
        grace: Duration,
    ) -> Result<Vec<Stopped>, Problem> {
        let usages = self.usage_of(services).await?;
        stopping::in_waves_after(&self.platform, services, usages, |name| {
            self.stop_one(name, grace).boxed()
        })
        .await
    }

    async fn stop_one(
        &self,
        name: &ServiceName,
        grace: Duration,
    ) -> Result<StoppedOutcome, Problem> {
        let containers = self.containers_of(name).await?;
        let running: Vec<&Container> = containers.iter().filter(|one| one.is_running()).collect();
        if running.is_empty() {
            return Ok(StoppedOutcome::NotRunning);
        }
        // The engine counts whole seconds, and takes 0 for 'at once'.
        let seconds = i32::try_from(grace.as_millis().div_ceil(1_000)).unwrap_or(i32::MAX);
        let stopping = running
            .iter()
            .map(|container| self.stop_container(container.id(), seconds));
        for stopped in join_all(stopping).await {
            stopped?;
        }
        let mut outcome = StoppedOutcome::NotRunning;
        for container in self.containers_of(name).await? {
            let was_running = running.iter().any(|one| one.id() == container.id());
            if let Some(exit) = container.exit().filter(|_| was_running) {
                outcome = match exit.code {
                    Some(KILLED) => return Ok(StoppedOutcome::Killed),
                    _ => StoppedOutcome::Ended(exit),
                };
            }
        }
        Ok(outcome)
    }
}
