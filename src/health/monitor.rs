//! Keeps looking at every service for as long as a server runs.
//!
//! Each service has a task of its own, so that a probe that hangs delays nobody else's; one
//! recorder enters what they saw, several looks at a time.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{Watch, readings::asks_for_usage, recording::Looked};

/// Looks that wait to be entered; with more the services wait.
const WAITING: usize = 1_024;

/// How often a store that cannot be written is told of.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Looks until `shutdown`.
pub async fn run(watch: Arc<Watch>, shutdown: CancellationToken) {
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let mut lookers = JoinSet::new();
    for position in 0..watch.platform().services.len() {
        lookers.spawn(keep_looking(Arc::clone(&watch), position, sender.clone()));
    }
    drop(sender);
    let mut told: Option<tokio::time::Instant> = None;
    loop {
        let mut looks = Vec::new();
        let count = tokio::select! {
            count = receiver.recv_many(&mut looks, WAITING) => count,
            () = shutdown.cancelled() => break,
        };
        if count == 0 {
            // No service has a probe: there is nothing to do, and nothing to end.
            shutdown.cancelled().await;
            break;
        }
        match watch.enter(looks).await {
            Ok(_) => match watch.unkept() {
                None => told = None,
                Some(reason) => tell(&reason, &mut told),
            },
            Err(error) => tell(&error.to_string(), &mut told),
        }
    }
    lookers.shutdown().await;
}

/// How often what another process sees is read.
const READ: Duration = Duration::from_secs(2);

/// Reads what another process sees, for `/metrics`, until `shutdown`.
pub async fn read(watch: Arc<Watch>, shutdown: CancellationToken) {
    let mut told = None;
    let mut ticks = tokio::time::interval(READ);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => return,
        }
        match watch.known().await {
            Ok(health) => watch.tell(&health),
            Err(error) => tell(&error.to_string(), &mut told),
        }
    }
}

/// Between two readings of what services use.
const MEASURE: Duration = Duration::from_secs(15);

/// Reads what services use, for `/metrics`, until `shutdown`. Where a rule asks for it, whoever
/// evaluates the rules reads it: `evaluates` says whether this process does.
pub async fn measure(watch: Arc<Watch>, evaluates: bool, shutdown: CancellationToken) {
    let is_read = evaluates && asks_for_usage(watch.platform());
    if watch.runtime().is_err() || is_read {
        return;
    }
    let mut ticks = tokio::time::interval(MEASURE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => return,
        }
        // What cannot be read is told as not known.
        let _ = watch.usages().await;
    }
}

/// Looks at one service at the interval of its probe; ends where it has none.
async fn keep_looking(watch: Arc<Watch>, position: usize, sender: mpsc::Sender<Looked>) {
    let platform = Arc::clone(watch.platform());
    let Some(service) = platform.services.get(position) else {
        return;
    };
    let Some(probe) = &service.probe else {
        return;
    };
    // An interval of zero would never let go.
    let mut ticks = tokio::time::interval(probe.interval.max(Duration::from_millis(100)));
    // After a machine slept, one look is enough for all that were missed.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let looked = watch.look_once(service).await;
        if sender.send(looked).await.is_err() {
            return;
        }
    }
}

fn tell(reason: &str, told: &mut Option<tokio::time::Instant>) {
    let is_due = told.is_none_or(|told| told.elapsed() >= TELL_AGAIN);
    if is_due {
        tracing::error!(reason, "What was seen of the services was not kept");
        *told = Some(tokio::time::Instant::now());
    }
}
