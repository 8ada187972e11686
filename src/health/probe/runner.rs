//! Many looks at once, each with its retries, none slower for another's sake.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::Semaphore,
    task::{Id, JoinSet},
    time::Instant,
};

use super::{
    super::observation::{Observation, Outcome},
    Surroundings, look_within, words,
};
use crate::platform::Probe;

/// Looks that go on at the same time, as many as there may be services of one platform; each has
/// one connection, and 1,024 open files are the usual bound of a process. What is beyond waits.
pub const AT_ONCE: usize = 512;

/// Between two looks of one check: long enough for a restart of a connection pool, short enough
/// for a call.
const PAUSE: Duration = Duration::from_millis(500);

/// Every look of one check, in order; all but the last failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    pub looks: Vec<Observation>,
    /// Looks that would have been made, had all failed: the probe's `retries`.
    pub wanted: u32,
}

impl Check {
    /// What counts.
    pub fn last(&self) -> Option<&Observation> {
        self.looks.last()
    }

    /// Whether as many looks failed as it takes to call a service down.
    pub fn failed_enough(&self) -> bool {
        let failed = |look: &&Observation| matches!(look.outcome, Outcome::Failed(_));
        self.looks.iter().filter(failed).count() >= self.wanted as usize
    }
}

/// Looks until a look does not fail, `retries` looks have failed, or `until` has come. A look that
/// `until` would cut short is made with what time is left; when it then gets no answer, that says
/// nothing and is told so.
pub async fn check(probe: &Probe, surroundings: &Surroundings, until: Instant) -> Check {
    let wanted = probe.retries.max(1);
    let mut looks = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = probe.timeout.min(left);
        let mut observation = look_within(probe, timeout, surroundings).await;
        let was_cut = timeout < probe.timeout && Instant::now() >= until;
        if was_cut && observation.response.is_none() {
            if !looks.is_empty() {
                break;
            }
            observation.outcome = Outcome::CouldNotLook(format!(
                "the time of this call ended after {}, before the time-out of its probe ({}): ask \
                 for fewer services, or shorten the time-out",
                words::spoken(timeout),
                words::spoken(probe.timeout)
            ));
        }
        let has_failed = matches!(observation.outcome, Outcome::Failed(_));
        looks.push(observation);
        let again = Instant::now() + PAUSE.min(probe.interval);
        if !has_failed || looks.len() >= wanted as usize || again >= until {
            break;
        }
        tokio::time::sleep_until(again).await;
    }
    Check { looks, wanted }
}

/// Checks that go on. Dropping this ends them.
pub struct Checks {
    running: JoinSet<Check>,
    positions: HashMap<Id, usize>,
}

/// Starts a check of every probe, all at the same time.
pub fn check_all(
    probes: impl IntoIterator<Item = Probe>,
    surroundings: &Arc<Surroundings>,
    until: Instant,
) -> Checks {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    let mut positions = HashMap::new();
    for (position, probe) in probes.into_iter().enumerate() {
        let surroundings = Arc::clone(surroundings);
        let places = Arc::clone(&places);
        let task = running.spawn(async move {
            // Never closed.
            let _place = places.acquire().await;
            check(&probe, &surroundings, until).await
        });
        positions.insert(task.id(), position);
    }
    Checks { running, positions }
}

impl Checks {
    /// The next check that is done, with the position of its probe.
    pub async fn next(&mut self) -> Option<(usize, Check)> {
        let (id, check) = match self.running.join_next_with_id().await? {
            Ok(done) => done,
            Err(error) => (error.id(), ended_early()),
        };
        Some((*self.positions.get(&id)?, check))
    }

    /// Every check, in the order of the probes.
    pub async fn all(mut self) -> Vec<Check> {
        let mut checks = vec![ended_early(); self.positions.len()];
        while let Some((position, check)) = self.next().await {
            if let Some(place) = checks.get_mut(position) {
                *place = check;
            }
        }
        checks
    }
}

/// A fault of ours must not look like one of the service, nor vanish.
fn ended_early() -> Check {
    Check {
        looks: vec![Observation {
            at: Timestamp::now(),
            outcome: Outcome::CouldNotLook(
                "the look ended by a fault of this server: its log says more".into(),
            ),
            response: None,
            facts: Vec::new(),
        }],
        wanted: 1,
    }
}
