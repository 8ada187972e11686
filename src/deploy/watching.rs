//! Looks at the platform all the time while a run is driven, for its triggers and its gates.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{sync::Notify, time::Instant};

use super::{
    book::Book,
    engine::Tuning,
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
    /// The shortest time between two looks, also where somebody asks for one.
    at_soonest: Duration,
    plan: Arc<Plan>,
    wants: Wants,
    shared: Mutex<Shared>,
    /// Something new was seen.
    news: Notify,
    /// Somebody waits for a look.
    asked: Notify,
}

struct Shared {
    /// What is looked at.
    watched: Vec<ServiceName>,
    /// What counts in gates and for triggers, of that: what was acted on to the end. A service
    /// whose image is still on its way has failed nobody.
    deployed: Vec<ServiceName>,
    samples: Samples,
    /// The last look, at everything that is watched.
    last: Option<Arc<Seen>>,
    triggers: Vec<Holding>,
    fired: Option<String>,
    /// Looks that began, and that ended.
    looks_begun: u64,
    looks: u64,
    are_triggers_armed: bool,
}

impl Watching {
    pub fn new(book: &Book, tuning: Tuning) -> Self {
        let plan = Arc::clone(&book.plan);
        let wants = Wants::of(
            plan.triggers
                .iter()
                .chain(plan.phases.iter().flat_map(|phase| &phase.gate)),
        );
        let mut shared = Shared {
            watched: Vec::new(),
            deployed: Vec::new(),
            samples: Samples::default(),
            last: None,
            triggers: vec![Holding::default(); plan.triggers.len()],
            fired: None,
            looks_begun: 0,
            looks: 0,
            are_triggers_armed: true,
        };
        shared.deploy(&plan.deployed);
        shared.deploy(&book.state().acted_on(&plan));
        let touched = &book.state().touched;
        let touched: Vec<ServiceName> = touched.iter().map(|one| one.service.clone()).collect();
        shared.watch(&touched);
        Self {
            begun: Instant::now(),
            every: tuning.look_every,
            at_soonest: tuning.ask_every,
            plan,
            wants,
            shared: Mutex::new(shared),
            news: Notify::new(),
            asked: Notify::new(),
        }
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Services that are looked at from now on too.
    pub fn watch(&self, services: &[ServiceName]) {
        self.shared().watch(services);
    }

    /// Services that count in gates and for triggers from now on too.
    pub fn deploy(&self, services: &[ServiceName]) {
        self.shared().deploy(services);
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

    /// Asks for a look that begins from now on, and says after which look that is.
    pub fn ask(&self) -> u64 {
        self.asked.notify_one();
        self.shared().looks_begun
    }

    /// What was seen by a later look than this one; none where there is none yet.
    pub fn seen_since(&self, look: u64) -> Option<Arc<Seen>> {
        let shared = self.shared();
        let is_later = shared.looks > look;
        is_later.then(|| shared.last.clone()).flatten()
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

    /// Looks until it is dropped: every so often, and when somebody asks.
    pub async fn run(&self, look: &Look) -> Infallible {
        loop {
            let services = {
                let mut shared = self.shared();
                shared.looks_begun += u64::from(!shared.watched.is_empty());
                shared.watched.clone()
            };
            if !services.is_empty() {
                let seen = look(Order {
                    services,
                    wants: self.wants,
                })
                .await;
                self.enter(seen);
            }
            tokio::time::sleep(self.at_soonest.min(self.every)).await;
            let rest = self.every.saturating_sub(self.at_soonest);
            // Nobody needs to know which of the two it was.
            let _ = tokio::time::timeout(rest, self.asked.notified()).await;
        }
    }

    fn enter(&self, seen: Seen) {
        let now = self.now();
        let mut shared = self.shared();
        let mut counted = seen.clone();
        counted
            .services
            .retain(|one| shared.deployed.contains(&one.service));
        shared.samples.add(now.monotonic, counted);
        shared.last = Some(Arc::new(seen));
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

impl Shared {
    fn watch(&mut self, services: &[ServiceName]) {
        add(&mut self.watched, services);
    }

    fn deploy(&mut self, services: &[ServiceName]) {
        self.watch(services);
        add(&mut self.deployed, services);
    }
}

fn add(all: &mut Vec<ServiceName>, more: &[ServiceName]) {
    for service in more {
        if !all.contains(service) {
            all.push(service.clone());
        }
    }
}
