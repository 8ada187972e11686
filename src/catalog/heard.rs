//! What one call heard of its server: whether it answered at all, and for how long it is silent.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{error::CatalogError, server::Server};

/// Kept for one call, by every client that this call uses.
#[derive(Debug, Default)]
pub struct Heard {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Requests of this call that the server itself answered, be it with a refusal.
    answered: u32,
    waiting: u32,
    /// When the server last gave a sign, or the call began to wait for one.
    last_sign: Option<Instant>,
    /// Why a request got no answer.
    unreachable: Option<String>,
}

/// Why a call need not wait any longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// No request of the call got an answer, and one could not be sent or was given up.
    Unreachable(String),
    /// Nothing came for so long.
    Silent(Duration),
}

impl Heard {
    /// Waits for an answer and takes note of how that ends.
    pub(super) async fn listening<T>(
        &self,
        server: &Server,
        answer: impl Future<Output = Result<T, CatalogError>>,
    ) -> Result<T, CatalogError> {
        let begun = Instant::now();
        let waiting = Waiting::of(self);
        let answer = answer.await;
        drop(waiting);
        // Identical reads share one request, and answers of a moment ago need none: what counts is
        // whether the server spoke since this one began.
        let has_spoken = server.last_answer().is_some_and(|at| at >= begun);
        let mut state = self.state();
        match &answer {
            _ if has_spoken => {
                state.answered += 1;
                state.last_sign = Some(Instant::now());
            }
            Err(
                error @ (CatalogError::Unavailable { .. }
                | CatalogError::Timeout { .. }
                | CatalogError::BadUpstream { .. }),
            ) => {
                state.unreachable.get_or_insert_with(|| error.to_string());
            }
            _ => {}
        }
        drop(state);
        self.changed.notify_one();
        answer
    }

    /// Why no request of this call got an answer; none where one did, or none was sent.
    pub fn unreachable(&self) -> Option<String> {
        let state = self.state();
        state.unreachable.clone().filter(|_| state.answered == 0)
    }

    /// Ends when the call need not wait any longer: nothing listens there, or the server owes an
    /// answer and gave no sign for as long as `patience`.
    pub async fn lost(&self, patience: Duration) -> Lost {
        loop {
            if let Some(why) = self.unreachable() {
                return Lost::Unreachable(why);
            }
            let (is_waiting, since) = {
                let state = self.state();
                (state.waiting > 0, state.last_sign)
            };
            match since.filter(|_| is_waiting) {
                None => self.changed.notified().await,
                Some(since) => {
                    let end = since + patience;
                    if Instant::now() >= end {
                        return Lost::Silent(patience);
                    }
                    // Only the end of time or news of the server changes anything.
                    let _ = tokio::time::timeout_at(end.into(), self.changed.notified()).await;
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a request that is under way, also where it is dropped.
struct Waiting<'a>(&'a Heard);

impl<'a> Waiting<'a> {
    fn of(heard: &'a Heard) -> Self {
        let mut state = heard.state();
        if state.waiting == 0 {
            state.last_sign = Some(Instant::now());
        }
        state.waiting += 1;
        drop(state);
        heard.changed.notify_one();
        Self(heard)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.waiting = state.waiting.saturating_sub(1);
    }
}
