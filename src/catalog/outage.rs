//! A short memory that a server is away, so that not every call waits for it again.
//!
//! While it is held a look at the server runs in the background, so that the first call after its
//! return meets it again. Without calls the memory and the looks end.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::server::Server;

/// Between two looks, the first and the longest.
const FIRST_LOOK: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// One look; a server that is slower has not come back.
const LONGEST_LOOK: Duration = Duration::from_secs(3);

/// A server that answers small questions may be too slow for large ones: it is left alone for so
/// long before it is tried again.
const SLOW_FOR: Duration = Duration::from_secs(15);

/// Nobody asked for so long: the next call tries the server itself.
const IDLE: Duration = Duration::from_secs(60);

/// What is remembered of a server that is away.
#[derive(Debug, Default)]
pub struct Outage {
    held: Mutex<Option<Held>>,
}

#[derive(Debug, Clone)]
struct Held {
    why: String,
    since: Instant,
    is_slow: bool,
    asked_at: Instant,
}

impl Outage {
    /// Why the server is not asked now.
    pub fn why(&self) -> Option<String> {
        let mut held = self.held();
        let held = held.as_mut()?;
        held.asked_at = Instant::now();
        Some(held.why.clone())
    }

    /// The server answered somebody.
    pub(super) fn is_over(&self) {
        let mut held = self.held();
        if held.as_ref().is_some_and(|held| !held.is_slow) {
            *held = None;
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Remembers that the server is away and looks for its return.
pub fn begins(server: &Arc<Server>, why: String, is_slow: bool) {
    let now = Instant::now();
    let mut held = server.outage().held();
    let is_looked_after = held.is_some();
    *held = Some(Held {
        why,
        since: now,
        is_slow,
        asked_at: now,
    });
    drop(held);
    if is_looked_after {
        return;
    }
    tracing::warn!(
        is_slow,
        "OpenMetadata is away: calls are answered from the snapshot"
    );
    let server = Arc::downgrade(server);
    tokio::spawn(async move {
        let mut pause = FIRST_LOOK;
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            let Some(server) = server.upgrade() else {
                return;
            };
            let Some(held) = server.outage().held().clone() else {
                tracing::info!("OpenMetadata answers again");
                return;
            };
            let is_idle = held.asked_at.elapsed() > IDLE;
            if held.is_slow && held.since.elapsed() < SLOW_FOR && !is_idle {
                continue;
            }
            if is_idle || server.answers_within(LONGEST_LOOK).await {
                *server.outage().held() = None;
                tracing::info!(is_idle, "OpenMetadata is asked again");
                return;
            }
        }
    });
}
