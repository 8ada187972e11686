//! Whether the conditions of a gate or a trigger hold. Pure.
//!
//! A reading that is missing holds a gate and never fires a trigger.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::platform::{Percent, model::Condition};

/// A number, or why there is none.
pub type Reading<T> = Result<T, String>;

/// What conditions look at.
#[derive(Debug, Clone, PartialEq)]
pub struct Readings {
    /// Services that are up (or degraded: they do their work), of those that are deployed.
    pub healthy: usize,
    pub deployed: usize,
    /// Deployed services that do not work: those that start, and those that could not be looked
    /// at, are none of them.
    pub unhealthy: usize,
    /// Services that could not be looked at.
    pub unknown: Vec<String>,
    /// Names with what is wrong, for people.
    pub not_healthy: Vec<String>,
    /// Of what the platform has, in percent.
    pub memory: Reading<f64>,
    pub cpu: Reading<f64>,
    pub mean_response: Reading<Duration>,
    pub p95: Reading<Duration>,
    /// Share of looks that failed, in percent.
    pub errors: Reading<f64>,
    /// Of runs of ingestion pipelines of the datasets, in percent.
    pub ingestion_success: Reading<f64>,
    pub tests_passing: Reading<f64>,
    /// Age of the newest successful ingestion of each dataset, the oldest of them.
    pub age: Reading<Duration>,
}

impl Readings {
    /// Nothing is deployed and nothing is known.
    pub fn none(reason: &str) -> Self {
        Self {
            healthy: 0,
            deployed: 0,
            unhealthy: 0,
            unknown: Vec::new(),
            not_healthy: Vec::new(),
            memory: Err(reason.to_owned()),
            cpu: Err(reason.to_owned()),
            mean_response: Err(reason.to_owned()),
            p95: Err(reason.to_owned()),
            errors: Err(reason.to_owned()),
            ingestion_success: Err(reason.to_owned()),
            tests_passing: Err(reason.to_owned()),
            age: Err(reason.to_owned()),
        }
    }
}

/// What a condition is at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Met {
    Yes,
    No,
    /// It could not be read: neither.
    NotKnown,
}

/// One condition with what was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionReading {
    /// `memory < 40%`.
    pub condition: String,
    pub met: Met,
    /// `36.1%`; why it is not known.
    pub reading: String,
}

/// Every condition, read.
pub fn read(conditions: &[Condition], readings: &Readings) -> Vec<ConditionReading> {
    conditions
        .iter()
        .map(|condition| read_one(condition, readings))
        .collect()
}

/// Whether all of them hold.
pub fn all_met(read: &[ConditionReading]) -> bool {
    read.iter().all(|one| one.met == Met::Yes)
}

/// What stands in the way, in words.
pub fn unmet(read: &[ConditionReading]) -> String {
    let unmet: Vec<String> = read
        .iter()
        .filter(|one| one.met != Met::Yes)
        .map(|one| format!("{} (is {})", one.condition, one.reading))
        .collect();
    unmet.join("; ")
}

/// All of them with what was read: `memory < 40% (is 36.1%)`.
pub fn told(read: &[ConditionReading]) -> String {
    let all: Vec<String> = read
        .iter()
        .map(|one| format!("{} (is {})", one.condition, one.reading))
        .collect();
    all.join(", ")
}

fn read_one(condition: &Condition, readings: &Readings) -> ConditionReading {
    use Condition as C;
    let share = |reading: &Reading<f64>, bound: &Percent, is_below: bool| match reading {
        Ok(value) => (held(*value, bound.0, is_below), percent(*value)),
        Err(reason) => (Met::NotKnown, reason.clone()),
    };
    let time = |reading: &Reading<Duration>, bound: &Duration, is_below: bool| match reading {
        Ok(value) => (
            held(value.as_secs_f64(), bound.as_secs_f64(), is_below),
            length(*value),
        ),
        Err(reason) => (Met::NotKnown, reason.clone()),
    };
    let (met, reading) = match condition {
        C::Healthy(least) => healthy(*least, readings),
        C::MemoryBelow(bound) => share(&readings.memory, bound, true),
        C::MemoryAbove(bound) => share(&readings.memory, bound, false),
        C::CpuBelow(bound) => share(&readings.cpu, bound, true),
        C::CpuAbove(bound) => share(&readings.cpu, bound, false),
        C::UnhealthyAbove(bound) => match readings.deployed {
            0 => (Met::NotKnown, "nothing is deployed".to_owned()),
            deployed => {
                let value = readings.unhealthy as f64 * 100.0 / deployed as f64;
                let shown = format!("{} ({} of {deployed})", percent(value), readings.unhealthy);
                (held(value, bound.0, false), shown)
            }
        },
        C::MeanResponseAbove(bound) => time(&readings.mean_response, bound, false),
        C::MeanResponseBelow(bound) => time(&readings.mean_response, bound, true),
        C::P95Above(bound) => time(&readings.p95, bound, false),
        C::P95Below(bound) => time(&readings.p95, bound, true),
        C::ErrorsAbove(bound) => share(&readings.errors, bound, false),
        C::ErrorsBelow(bound) => share(&readings.errors, bound, true),
        C::IngestionSuccessAbove(bound) => share(&readings.ingestion_success, bound, false),
        C::TestsPassingAbove(bound) => share(&readings.tests_passing, bound, false),
        C::FresherThan(bound) => time(&readings.age, bound, true),
    };
    ConditionReading {
        condition: text(condition),
        met,
        reading,
    }
}

fn healthy(least: Option<u32>, readings: &Readings) -> (Met, String) {
    let wanted = least.map_or(readings.deployed, |least| least as usize);
    let mut shown = format!("{} of {}", readings.healthy, readings.deployed);
    if let Some(first) = readings.not_healthy.first() {
        shown.push_str(&format!(", {first}"));
        if readings.not_healthy.len() > 1 {
            shown.push_str(&format!(" and {} more", readings.not_healthy.len() - 1));
        }
    }
    let could_be = readings.healthy + readings.unknown.len();
    let met = if readings.deployed > 0 && readings.healthy >= wanted {
        Met::Yes
    } else if could_be >= wanted {
        Met::NotKnown
    } else {
        Met::No
    };
    (met, shown)
}

fn held(value: f64, bound: f64, is_below: bool) -> Met {
    let holds = match is_below {
        true => value < bound,
        false => value > bound,
    };
    if holds { Met::Yes } else { Met::No }
}

/// A condition as people read it: `memory < 40%`.
pub fn text(condition: &Condition) -> String {
    use Condition as C;
    let share = |bound: &Percent| percent(bound.0);
    match condition {
        C::Healthy(None) => "all healthy".into(),
        C::Healthy(Some(least)) => format!("healthy >= {least}"),
        C::MemoryBelow(bound) => format!("memory < {}", share(bound)),
        C::MemoryAbove(bound) => format!("memory > {}", share(bound)),
        C::CpuBelow(bound) => format!("cpu < {}", share(bound)),
        C::CpuAbove(bound) => format!("cpu > {}", share(bound)),
        C::UnhealthyAbove(bound) => format!("unhealthy > {}", share(bound)),
        C::MeanResponseAbove(bound) => format!("mean response > {}", length(*bound)),
        C::MeanResponseBelow(bound) => format!("mean response < {}", length(*bound)),
        C::P95Above(bound) => format!("p95 > {}", length(*bound)),
        C::P95Below(bound) => format!("p95 < {}", length(*bound)),
        C::ErrorsAbove(bound) => format!("errors > {}", share(bound)),
        C::ErrorsBelow(bound) => format!("errors < {}", share(bound)),
        C::IngestionSuccessAbove(bound) => format!("ingestion success > {}", share(bound)),
        C::TestsPassingAbove(bound) => format!("tests passing > {}", share(bound)),
        C::FresherThan(bound) => format!("data fresher than {}", length(*bound)),
    }
}

fn percent(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    match rounded.fract() == 0.0 {
        true => format!("{rounded:.0}%"),
        false => format!("{rounded:.1}%"),
    }
}

/// `230ms`, `2s`, `20m`, `24h`.
pub fn length(time: Duration) -> String {
    let milliseconds = time.as_millis();
    match milliseconds {
        0..1_000 => format!("{milliseconds}ms"),
        1_000..120_000 if milliseconds.is_multiple_of(1_000) => {
            format!("{}s", milliseconds / 1_000)
        }
        1_000..120_000 => format!("{:.1}s", time.as_secs_f64()),
        120_000..7_200_000 => format!("{}m", milliseconds / 60_000),
        _ => format!("{}h", milliseconds / 3_600_000),
    }
}

/// How long something has held without a gap, by a clock that never jumps.
///
/// A machine that was suspended saw nothing meanwhile: where wall clock and monotonic clock drift
/// apart by more than `SUSPENDED`, what had held begins anew.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Holding {
    /// Monotonic time since which it holds.
    since: Option<Duration>,
    last: Option<Moment>,
    samples: u32,
}

/// One moment on both clocks, each from a beginning of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    pub monotonic: Duration,
    /// Milliseconds since 1970.
    pub wall: i64,
}

/// Between two looks the clocks may differ by so much.
const SUSPENDED: Duration = Duration::from_secs(5);

impl Holding {
    /// One look more; whether it has held for `long` over at least `samples` looks.
    pub fn look(&mut self, holds: bool, now: Moment, long: Duration, samples: u32) -> bool {
        let is_gap = self.last.is_some_and(|last| {
            let passed = now.monotonic.saturating_sub(last.monotonic);
            let by_wall = Duration::from_millis((now.wall - last.wall).max(0).unsigned_abs());
            by_wall.saturating_sub(passed) > SUSPENDED
        });
        self.last = Some(now);
        if !holds {
            (self.since, self.samples) = (None, 0);
            return false;
        }
        if is_gap || self.since.is_none() {
            (self.since, self.samples) = (Some(now.monotonic), 0);
        }
        self.samples += 1;
        let held = now
            .monotonic
            .saturating_sub(self.since.unwrap_or(now.monotonic));
        held >= long && self.samples >= samples
    }

    /// For how long it has held.
    pub fn held(&self) -> Option<Duration> {
        Some(self.last?.monotonic.saturating_sub(self.since?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings() -> Readings {
        Readings {
            healthy: 4,
            deployed: 5,
            unhealthy: 1,
            not_healthy: vec!["etl is down".into()],
            memory: Ok(36.14),
            cpu: Err("no runtime".into()),
            mean_response: Ok(Duration::from_millis(230)),
            ..Readings::none("not asked")
        }
    }

    #[test]
    fn conditions_are_read_and_said() {
        let percent = |value| Percent(value);
        for (condition, met, said) in [
            (
                Condition::Healthy(None),
                Met::No,
                "all healthy (is 4 of 5, etl is down)",
            ),
            (Condition::Healthy(Some(4)), Met::Yes, ""),
            (Condition::MemoryBelow(percent(40.0)), Met::Yes, ""),
            (
                Condition::MemoryBelow(percent(36.0)),
                Met::No,
                "memory < 36% (is 36.1%)",
            ),
            (
                Condition::MemoryAbove(percent(85.0)),
                Met::No,
                "memory > 85% (is 36.1%)",
            ),
            (
                Condition::CpuBelow(percent(80.0)),
                Met::NotKnown,
                "cpu < 80% (is no runtime)",
            ),
            (
                Condition::UnhealthyAbove(percent(20.0)),
                Met::No,
                "unhealthy > 20% (is 20% (1 of 5))",
            ),
            (Condition::UnhealthyAbove(percent(19.0)), Met::Yes, ""),
            (
                Condition::MeanResponseAbove(Duration::from_millis(500)),
                Met::No,
                "mean response > 500ms (is 230ms)",
            ),
            (
                Condition::FresherThan(Duration::from_secs(86_400)),
                Met::NotKnown,
                "data fresher than 24h (is not asked)",
            ),
        ] {
            let read = read(std::slice::from_ref(&condition), &readings());
            assert_eq!(read[0].met, met, "{condition:?}");
            assert_eq!(unmet(&read), said);
        }
    }

    #[test]
    fn who_cannot_be_looked_at_is_neither_well_nor_ill() {
        let hidden = Readings {
            healthy: 4,
            deployed: 5,
            unknown: vec!["etl".into()],
            ..Readings::none("not asked")
        };
        let read = read(&[Condition::Healthy(None)], &hidden);
        assert_eq!(read[0].met, Met::NotKnown);
    }

    #[test]
    fn what_holds_has_to_hold_on_end_and_a_suspended_machine_begins_anew() {
        let at = |seconds: u64, wall: i64| Moment {
            monotonic: Duration::from_secs(seconds),
            wall: wall * 1_000,
        };
        let ten = Duration::from_secs(10);
        let mut holding = Holding::default();
        assert!(!holding.look(true, at(0, 0), ten, 1));
        assert!(!holding.look(true, at(9, 9), ten, 1));
        assert!(!holding.look(false, at(9, 9), ten, 1));
        assert!(!holding.look(true, at(10, 10), ten, 1));
        assert!(holding.look(true, at(20, 20), ten, 1));
        // The lid was closed for an hour.
        assert!(!holding.look(true, at(21, 3_621), ten, 1));
        assert!(holding.look(true, at(31, 3_631), ten, 1));
        // The clock was set back: the other one counts.
        assert!(holding.look(true, at(32, 5), ten, 1));
        let mut few = Holding::default();
        few.look(true, at(0, 0), ten, 3);
        assert!(!few.look(true, at(20, 20), ten, 3), "two looks are too few");
        assert!(few.look(true, at(21, 21), ten, 3));
    }
}
