//! Stops services in an emergency: looks, chooses, writes down, stops, looks again.

use std::time::{Duration, Instant};

use super::{
    deployments::{DeployError, Deployments},
    emergency::{self, Choice, Standing, Wanted},
};
use crate::{
    platform::{Bytes, ServiceName},
    runtime::{ServiceState, Stopped, values::StoppedOutcome},
};

/// What a service is given to end by itself.
const GRACE: Duration = Duration::from_secs(10);

/// What was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    pub stopped: Vec<Stopped>,
    /// Memory of everything after it, as far as it was measured; none where it could not be.
    pub after: Option<Bytes>,
}

/// How stopping ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    Done(Done),
    /// Nobody knows what still runs.
    Unknown(String),
}

impl Deployments {
    /// What would be stopped.
    pub async fn choose(&self, wanted: &Wanted) -> Result<Choice, DeployError> {
        let (standing, outside) = self.standing().await?;
        Ok(emergency::choose(&standing, outside, wanted))
    }

    async fn standing(&self) -> Result<(Vec<Standing>, Bytes), DeployError> {
        let (runtime, platform) = (self.runtime()?, self.watch.platform());
        let names: Vec<ServiceName> = platform
            .services
            .iter()
            .map(|service| service.name.clone())
            .collect();
        let observed = runtime.observe(&names).await?;
        let usages = runtime.usage(&names).await?;
        let standing = platform
            .services
            .iter()
            .map(|service| {
                let seen = observed.iter().find(|one| one.service == service.name);
                let usage = usages.iter().find(|one| one.service == service.name);
                Standing {
                    service: service.name.clone(),
                    is_essential: service.is_essential,
                    is_running: seen.is_some_and(|seen| {
                        matches!(
                            seen.state,
                            ServiceState::Running | ServiceState::Restarting { .. }
                        )
                    }),
                    memory: usage.and_then(|usage| usage.memory),
                }
            })
            .collect();
        let outside = platform.capacity.external_memory.unwrap_or_default();
        Ok((standing, outside))
    }

    /// Stops these. Data, volumes and logs stay. It is in the journal before anything is stopped.
    pub async fn stop(
        &self,
        services: &[ServiceName],
        by: &str,
        reason: Option<&str>,
        until: Instant,
    ) -> Result<Ended, DeployError> {
        let runtime = self.runtime()?;
        let id = self.intervene("stop", services, by, reason).await?;
        let left = until.saturating_duration_since(Instant::now());
        let stopped = tokio::time::timeout(left, runtime.stop(services, GRACE)).await;
        let (ended, outcome) = match stopped {
            Ok(Ok(stopped)) => {
                let outcome = told(&stopped);
                let after = self.standing().await.ok();
                let after = after.map(|(standing, outside)| {
                    let nothing = Wanted::Named(Vec::new());
                    emergency::choose(&standing, outside, &nothing).before
                });
                (Ended::Done(Done { stopped, after }), outcome)
            }
            Ok(Err(problem)) => {
                let why = problem.to_string();
                let outcome = format!("unknown: {why}");
                (Ended::Unknown(why), outcome)
            }
            Err(_) => {
                let why = format!("stopping did not end within {} s", left.as_secs());
                let outcome = format!("unknown: {why}");
                (Ended::Unknown(why), outcome)
            }
        };
        self.intervened(id, outcome).await?;
        Ok(ended)
    }
}

fn told(stopped: &[Stopped]) -> String {
    let failed: Vec<String> = stopped
        .iter()
        .filter_map(|one| match &one.outcome {
            StoppedOutcome::Failed(problem) => Some(format!("{}: {problem}", one.service)),
            _ => None,
        })
        .collect();
    match failed.is_empty() {
        true => "stopped".into(),
        false => format!("not stopped: {}", failed.join("; ")),
    }
}
