//! What a service is by itself: a pure function of what was known, one more look, and the clock.
//!
//! One match over what the look gave; thresholds are those of the probe. A look that could not be
//! made changes no count: it says nothing of the service.

use std::time::Duration;

use jiff::Timestamp;

use super::observation::{Observation, Outcome, Verdict};

/// What is remembered of a service between looks.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// By itself: never `Blocked`.
    pub verdict: Verdict,
    /// Failed looks in a row.
    pub failures: u32,
    /// Passed looks in a row.
    pub passes: u32,
    /// It has passed a look since it was started.
    pub has_passed: bool,
}

impl Default for Track {
    fn default() -> Self {
        Self {
            verdict: Verdict::Unknown,
            failures: 0,
            passes: 0,
            has_passed: false,
        }
    }
}

/// The thresholds of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Failed looks in a row that make it down.
    pub failures: u32,
    /// Passed looks in a row that make it up again.
    pub passes: u32,
    pub start_period: Duration,
}

/// What is known after one more look. `started` is when the service was started, where that is
/// known.
pub fn after(
    before: &Track,
    look: &Observation,
    thresholds: &Thresholds,
    started: Option<Timestamp>,
) -> Track {
    let passed = |verdict: Verdict| {
        let passes = before.passes.saturating_add(1);
        let is_back = before.verdict != Verdict::Down || passes >= thresholds.passes;
        Track {
            verdict: if is_back { verdict } else { Verdict::Down },
            failures: 0,
            passes,
            has_passed: true,
        }
    };
    match &look.outcome {
        Outcome::Passed => passed(Verdict::Up),
        Outcome::Impaired(_) => passed(Verdict::Degraded),
        Outcome::CouldNotLook(_) => Track {
            verdict: Verdict::Unknown,
            ..before.clone()
        },
        Outcome::Failed(_) => {
            let failures = before.failures.saturating_add(1);
            let verdict = if is_starting(before, look.at, thresholds, started) {
                Verdict::Starting
            } else if failures >= thresholds.failures || before.verdict == Verdict::Down {
                Verdict::Down
            } else {
                match before.verdict {
                    // Some failed looks are not enough for `down`, and too many for `up`.
                    Verdict::Up | Verdict::Degraded => Verdict::Degraded,
                    _ => Verdict::Unknown,
                }
            };
            Track {
                verdict,
                failures,
                passes: 0,
                has_passed: before.has_passed,
            }
        }
    }
}

fn is_starting(
    before: &Track,
    at: Timestamp,
    thresholds: &Thresholds,
    started: Option<Timestamp>,
) -> bool {
    // A clock that was set back gives a negative age: that is no start.
    let age = started.and_then(|started| Duration::try_from(at.duration_since(started)).ok());
    !before.has_passed && age.is_some_and(|age| age < thresholds.start_period)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: Thresholds = Thresholds {
        failures: 3,
        passes: 2,
        start_period: Duration::from_secs(40),
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).expect("a time")
    }

    fn look(seconds: i64, outcome: Outcome) -> Observation {
        Observation {
            at: at(seconds),
            outcome,
            response: Some(Duration::from_millis(5)),
            facts: Vec::new(),
        }
    }

    /// `p` passed, `f` failed, `i` impaired, `n` could not look; what the service is after each.
    fn told(looks: &str, started: Option<Timestamp>) -> Vec<&'static str> {
        let mut track = Track::default();
        looks
            .chars()
            .enumerate()
            .map(|(second, kind)| {
                let outcome = match kind {
                    'p' => Outcome::Passed,
                    'i' => Outcome::Impaired("yellow".into()),
                    'n' => Outcome::CouldNotLook("no network".into()),
                    _ => Outcome::Failed("refused".into()),
                };
                track = after(&track, &look(second as i64, outcome), &THRESHOLDS, started);
                track.verdict.as_str()
            })
            .collect()
    }

    #[test]
    fn it_takes_so_many_looks_to_be_down_and_to_be_up_again() {
        assert_eq!(
            told("pfffpp", None),
            ["up", "degraded", "degraded", "down", "down", "up"]
        );
        assert_eq!(told("fff", None), ["unknown", "unknown", "down"]);
    }

    #[test]
    fn a_look_that_could_not_be_made_counts_for_nothing() {
        assert_eq!(
            told("pffnf", None),
            ["up", "degraded", "degraded", "unknown", "down"]
        );
        assert_eq!(told("pn", None), ["up", "unknown"]);
    }

    #[test]
    fn it_may_fail_while_it_starts_and_not_after_it_was_up() {
        assert_eq!(told("fff", Some(at(0))), ["starting"; 3]);
        assert_eq!(told("fff", Some(at(-60))), ["unknown", "unknown", "down"]);
        assert_eq!(told("fpf", Some(at(0))), ["starting", "up", "degraded"]);
        // The clock was set back behind the start.
        assert_eq!(told("f", Some(at(60))), ["unknown"]);
    }
}
