//! Waits for what a service needs before it starts: the same for every runtime.

use std::time::{Duration, Instant};

use super::{Change, Observed, Runtime, RuntimeHealth, ServiceState, order};
use crate::platform::{Platform, ServiceName};

/// How often whoever applies is asked whether the change is cut short, while nothing else is.
const ASK: Duration = Duration::from_millis(100);

/// Waits until everything that a service needs, of what is applied with it, is up. Says why the
/// service need not start: what it needs ended, was not up in time, or the change is cut short.
pub(super) async fn wait(
    runtime: &dyn Runtime,
    platform: &Platform,
    name: &ServiceName,
    change: Change<'_>,
    every: Duration,
) -> Result<(), String> {
    let Ok(service) = order::service(platform, name) else {
        return Ok(());
    };
    let is_applied = |need: &&ServiceName| change.desired.iter().any(|one| one.service == **need);
    for need in service.needs.iter().filter(is_applied) {
        let needed = Needed {
            runtime,
            need,
            is_one_shot: order::service(platform, need).is_ok_and(|service| service.is_one_shot),
            change,
        };
        needed.wait(every).await?;
    }
    Ok(())
}

/// Something that another service waits for.
struct Needed<'a, 'change> {
    runtime: &'a dyn Runtime,
    need: &'a ServiceName,
    is_one_shot: bool,
    change: Change<'change>,
}

impl Needed<'_, '_> {
    async fn wait(&self, every: Duration) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let seen = self.seen().await?;
            if self.is_there(&seen).await? {
                return Ok(());
            }
            if begun.elapsed() >= self.change.patience {
                return Err(self.too_late(&seen));
            }
            self.pause(every).await?;
        }
    }

    async fn seen(&self) -> Result<Observed, String> {
        let asked = self.runtime.observe(std::slice::from_ref(self.need)).await;
        let seen = asked.map_err(|problem| format!("it needs {}: {problem}", self.need))?;
        seen.into_iter()
            .next()
            .ok_or_else(|| format!("it needs {}, which the runtime does not tell of", self.need))
    }

    async fn is_there(&self, seen: &Observed) -> Result<bool, String> {
        match &seen.state {
            ServiceState::Exited(exit) if self.is_one_shot && exit.is_success() => Ok(true),
            ServiceState::Running if !self.is_one_shot => Ok(match self.change.is_up {
                Some(is_up) => is_up(self.need.clone()).await,
                None => true,
            }),
            ServiceState::Absent | ServiceState::Exited(_) => Err(format!(
                "it needs {}, which is {}",
                self.need,
                seen.state.as_str()
            )),
            _ => Ok(false),
        }
    }

    fn too_late(&self, seen: &Observed) -> String {
        let health = match seen.health {
            Some(RuntimeHealth::Unhealthy) => ", and its health check fails",
            Some(RuntimeHealth::Starting) => ", and its health check has not passed yet",
            _ => "",
        };
        format!(
            "it needs {}, which was not up within {} s (it is {}{health})",
            self.need,
            self.change.patience.as_secs(),
            seen.state.as_str()
        )
    }

    /// Until the next look, or until the change is cut short.
    async fn pause(&self, every: Duration) -> Result<(), String> {
        let until = Instant::now() + every;
        loop {
            if self.change.is_cut_short.is_some_and(|is_cut| is_cut()) {
                return Err(format!(
                    "it needs {}, which is not up yet, and something else comes first",
                    self.need
                ));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            tokio::time::sleep(left.min(ASK)).await;
        }
    }
}
