//! Stops services: asks, waits, ends what is left. Containers, volumes and logs stay.

use std::{collections::HashMap, time::Duration};

use futures::future::join_all;

use super::{ComposeRuntime, containers::Container};
use crate::{
    platform::{Bytes, ServiceName},
    runtime::{Problem, Stopped, order, values::StoppedOutcome},
};

/// What the engine ends with SIGKILL has this exit code.
const KILLED: i32 = 128 + 9;

impl ComposeRuntime {
    pub(super) async fn stop_all(
        &self,
        services: &[ServiceName],
        grace: Duration,
    ) -> Result<Vec<Stopped>, Problem> {
        for name in services {
            self.service(name)?;
        }
        let used: HashMap<ServiceName, Option<Bytes>> = self
            .usage_of(services)
            .await?
            .into_iter()
            .map(|usage| (usage.service, usage.memory))
            .collect();
        let mut done: Vec<Stopped> = Vec::new();
        for wave in order::waves(&self.platform, services).into_iter().rev() {
            let stopping = wave.iter().map(|name| async {
                let outcome = self.stop_one(name, grace).await;
                Stopped {
                    service: name.clone(),
                    outcome: outcome.unwrap_or_else(StoppedOutcome::Failed),
                    freed: used.get(name).copied().flatten(),
                }
            });
            done.extend(join_all(stopping).await);
        }
        done.sort_by_key(|stopped| services.iter().position(|name| *name == stopped.service));
        Ok(done)
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
