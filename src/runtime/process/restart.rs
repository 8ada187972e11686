//! Whether a service that ended is started again, and when.

use std::time::Duration;

use super::spec::Tuning;

/// What follows an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Stay,
    Again(Duration),
}

/// Pauses that double, and begin anew for a service that ran for a while.
pub(super) struct Restarts {
    first: Duration,
    longest: Duration,
    settled: Duration,
    pause: Duration,
}

impl Restarts {
    pub(super) fn new(tuning: &Tuning) -> Self {
        let first = Duration::from_millis(tuning.first_pause_ms.max(1));
        Self {
            first,
            longest: Duration::from_millis(tuning.longest_pause_ms),
            settled: Duration::from_millis(tuning.settled_ms),
            pause: first,
        }
    }

    /// A one-shot service is run once, however it ends; any other is always started again.
    pub(super) fn next(&mut self, is_one_shot: bool, ran: Duration) -> Next {
        if is_one_shot {
            return Next::Stay;
        }
        if ran >= self.settled {
            self.pause = self.first;
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(self.longest);
        Next::Again(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_begin_anew() {
        let mut restarts = Restarts::new(&Tuning::default());
        let mut pause = |ran| match restarts.next(false, Duration::from_secs(ran)) {
            Next::Again(pause) => pause.as_millis(),
            Next::Stay => 0,
        };
        let pauses: Vec<_> = (0..9).map(|_| pause(1)).collect();
        assert_eq!(pauses[..4], [500, 1_000, 2_000, 4_000]);
        assert_eq!(pauses[7..], [30_000, 30_000]);
        assert_eq!(pause(60), 500);
    }

    #[test]
    fn a_one_shot_service_is_run_once() {
        let mut restarts = Restarts::new(&Tuning::default());
        assert_eq!(restarts.next(true, Duration::ZERO), Next::Stay);
    }
}
