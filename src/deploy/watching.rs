//! Looks at the platform all the time while a run is driven, for its triggers and its gates.

use std::{
    convert::Infallible,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{sync::Notify, time::Instant};

use super::{
    book::Book,
    gate::{self, Holding, Met, Moment, Readings},
    look::{Look, Order, Seen, Wants},
    plan::Plan,
    samples::Samples,
};
use crate::platform::ServiceName;

/// A trigger has to hold over at least so many looks.
const TRIGGER_LOOKS: u32 = 3;

/// What was seen so far, shared between who looks and who acts.
pub struct Watching {
    begun: Instant,
    every: Duration,
    plan: std::sync::Arc<Plan>,
    wants: Wants,
    shared: Mutex<Shared>,
    /// Something new was seen.
    news: Notify,
}

struct Shared {
    deployed: Vec<ServiceName>,
    samples: Samples,
    triggers: Vec<Holding>,
    fired: Option<String>,
    /// Counts looks.
    looks: u64,
    are_triggers_armed: bool,
}

impl Watching {
    pub fn new(book: &Book, every: Duration) -> Self {
        let plan = std::sync::Arc::clone(&book.plan);
        let wants = Wants::of(
            plan.triggers
                .iter()
                .chain(plan.phases.iter().flat_map(|phase| &phase.gate)),
        );
        let mut deployed = plan.deployed.clone();
        for touched in &book.state().touched {
            if !deployed.contains(&touched.service) {
                deployed.push(touched.service.clone());
            }
        }
        Self {
            begun: Instant::now(),
            every,
            shared: Mutex::new(Shared {
                deployed,
                samples: Samples::default(),
                triggers: vec![Holding::default(); plan.triggers.len()],
                fired: None,
                looks: 0,
                are_triggers_armed: true,
            }),
            plan,
            wants,
            news: Notify::new(),
        }
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Services that are deployed from now on too.
    pub fn deploy(&self, services: &[ServiceName]) {
        let mut shared = self.shared();
        for service in services {
            if !shared.deployed.contains(service) {
                shared.deployed.push(service.clone());
            }
        }
    }

    /// The trigger that fired.
    pub fn fired(&self) -> Option<String> {
        self.shared().fired.clone()
    }

    /// From now on no trigger fires: what is taken back is not taken back again.
    pub fn disarm(&self) {
        let mut shared = self.shared();
        shared.are_triggers_armed = false;
        shared.fired = None;
    }

    /// By a clock that never jumps, and by the one on the wall.
    pub fn now(&self) -> Moment {
        Moment {
            monotonic: self.begun.elapsed(),
            wall: Timestamp::now().as_millisecond(),
        }
    }

    /// How many looks were made.
    pub fn looks(&self) -> u64 {
        self.shared().looks
    }

    pub fn readings(&self, window: Duration) -> Readings {
        let now = self.begun.elapsed();
        self.shared().samples.readings(now, window)
    }

    /// What is so now, without what is counted over a time.
    pub fn last_readings(&self) -> Readings {
        self.readings(Duration::ZERO)
    }

    /// Waits for the next look, at most this long.
    pub async fn news(&self, longest: Duration) {
        // Nobody needs to know which of the two it was.
        let _ = tokio::time::timeout(longest, self.news.notified()).await;
    }

    /// Looks until it is dropped.
    pub async fn run(&self, look: &Look) -> Infallible {
        loop {
            let services = self.shared().deployed.clone();
            if !services.is_empty() {
                let seen = look(Order {
                    services,
                    wants: self.wants,
                })
                .await;
                self.enter(seen);
            }
            tokio::time::sleep(self.every).await;
        }
    }

    fn enter(&self, seen: Seen) {
        let now = self.now();
        let mut shared = self.shared();
        shared.samples.add(now.monotonic, seen);
        shared.looks += 1;
        if shared.are_triggers_armed {
            let readings = shared
                .samples
                .readings(now.monotonic, self.plan.trigger_window);
            let read = gate::read(&self.plan.triggers, &readings);
            for (at, one) in read.iter().enumerate() {
                let Some(holding) = shared.triggers.get_mut(at) else {
                    continue;
                };
                let holds = one.met == Met::Yes;
                let hold = self.plan.trigger_hold;
                if holding.look(holds, now, hold, TRIGGER_LOOKS) && shared.fired.is_none() {
                    shared.fired = Some(format!(
                        "trigger {} for {} (is {})",
                        one.condition,
                        gate::length(hold),
                        one.reading
                    ));
                }
            }
        }
        drop(shared);
        self.news.notify_waiters();
    }
}
