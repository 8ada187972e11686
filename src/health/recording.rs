//! Enters looks into the records: tracks, conclusions, transitions, spans of time. Pure.
//!
//! What a service was between two looks is what it was found to be at the first of them, for as
//! long as the next look was due: beyond that nobody looked, and nothing is claimed.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{
    dependency::{self, Own},
    observation::{Observation, Outcome, Verdict},
    verdict::{self, Thresholds, Track},
};
use crate::{
    platform::{Platform, Probe, Service},
    store::history::{Look, Millis, Records, ServiceRecord, Span, Transition},
};

/// The looks of one check at one service, in order: several where it failed and was looked at
/// again.
#[derive(Debug, Clone)]
pub struct Looked {
    pub service: String,
    pub looks: Vec<Observation>,
    /// When the service was started, where its runtime knows.
    pub started: Option<Timestamp>,
}

/// Where no probe says how often to look.
const DEFAULT_COVER: Duration = Duration::from_secs(70);

/// Enters the looks of one check. `now` is when the check ended.
pub fn enter(platform: &Platform, checked: &[Looked], records: &mut Records, now: Timestamp) {
    let now = now.as_millisecond();
    // A service that is no longer in the file explains nothing.
    records
        .services
        .retain(|name, _| platform.service(name).is_some());
    for looked in checked {
        if let Some(service) = platform.service(&looked.service) {
            enter_one(service, looked, records);
        }
    }
    conclude(platform, records, now);
}

fn enter_one(service: &Service, looked: &Looked, records: &mut Records) {
    let name = &service.name.0;
    let before = records.services.get(name).cloned();
    let Some(last) = looked.looks.last() else {
        return;
    };
    if let Some(before) = &before {
        let covered = before.looked_at + millis(cover(service.probe.as_ref()));
        records.spans.push(Span {
            service: name.clone(),
            verdict: before.verdict.clone(),
            from: before.looked_at,
            until: last.at.as_millisecond().min(covered),
        });
    }
    let mut record = before.unwrap_or_default();
    let started_at = looked.started.map(|at| at.as_millisecond());
    if started_at.is_some() && started_at != record.started_at {
        // It is another run of the service: what was counted was the former one.
        record.has_passed = false;
        record.failures = 0;
        record.passes = 0;
    }
    record.started_at = started_at.or(record.started_at);
    let thresholds = thresholds(service.probe.as_ref());
    let mut track = track_of(&record);
    for look in &looked.looks {
        track = verdict::after(&track, look, &thresholds, looked.started);
    }
    records.looks.push(Look {
        service: name.clone(),
        at: last.at.as_millisecond(),
        has_passed: match last.outcome {
            Outcome::Passed | Outcome::Impaired(_) => Some(true),
            Outcome::Failed(_) => Some(false),
            Outcome::CouldNotLook(_) => None,
        },
        response_us: last.response.map(micros),
    });
    record.own = track.verdict.as_str().into();
    record.failures = track.failures;
    record.passes = track.passes;
    record.has_passed = track.has_passed;
    record.looked_at = last.at.as_millisecond();
    record.response_us = last.response.map(micros);
    (record.outcome, record.reason) = match &last.outcome {
        Outcome::Passed => ("passed".to_owned(), None),
        Outcome::Impaired(why) => ("impaired".to_owned(), Some(why.clone())),
        Outcome::Failed(why) => ("failed".to_owned(), Some(why.clone())),
        Outcome::CouldNotLook(why) => ("could_not_look".to_owned(), Some(why.clone())),
    };
    let facts: Vec<(&str, &str)> = last
        .facts
        .iter()
        .map(|fact| (fact.name, fact.value.as_str()))
        .collect();
    record.facts = serde_json::to_string(&facts).unwrap_or_default();
    records.services.insert(name.clone(), record);
}

/// Verdicts with the dependencies, and what became something else.
fn conclude(platform: &Platform, records: &mut Records, now: Millis) {
    let conclusions = dependency::concluded(&own(platform, records));
    for (name, conclusion) in conclusions {
        let Some(record) = records.services.get_mut(&name) else {
            continue;
        };
        let verdict = conclusion.verdict.as_str();
        if record.verdict != verdict {
            if !record.verdict.is_empty() {
                records.transitions.push(Transition {
                    service: name,
                    at: now,
                    from: record.verdict.clone(),
                    to: verdict.to_owned(),
                    reason: record.reason.clone(),
                    blocked_by: conclusion.blocked_by.clone(),
                });
            }
            record.verdict = verdict.to_owned();
            record.since = now;
        }
        // A clock that was set back knows of nothing since a time that is still to come.
        record.since = record.since.min(now);
        record.blocked_by = conclusion.blocked_by;
    }
}

/// What each service is by itself; one without a record is unknown.
pub fn own<'a>(platform: &'a Platform, records: &Records) -> Own<'a> {
    of_records(platform, &records.services)
}

fn of_records<'a>(platform: &'a Platform, records: &BTreeMap<String, ServiceRecord>) -> Own<'a> {
    platform
        .services
        .iter()
        .map(|service| {
            let record = records.get(&service.name.0);
            let verdict = record.map_or(Verdict::Unknown, |record| verdict_named(&record.own));
            let needs = service.needs.iter().map(|need| need.0.as_str()).collect();
            (service.name.0.as_str(), (verdict, needs))
        })
        .collect()
}

/// The verdict of this name; what is not known is unknown.
pub fn verdict_named(name: &str) -> Verdict {
    [
        Verdict::Up,
        Verdict::Degraded,
        Verdict::Starting,
        Verdict::Down,
        Verdict::Blocked,
    ]
    .into_iter()
    .find(|verdict| verdict.as_str() == name)
    .unwrap_or(Verdict::Unknown)
}

fn track_of(record: &ServiceRecord) -> Track {
    Track {
        verdict: verdict_named(&record.own),
        failures: record.failures,
        passes: record.passes,
        has_passed: record.has_passed,
    }
}

/// Without a probe the runtime speaks, and once is enough.
fn thresholds(probe: Option<&Probe>) -> Thresholds {
    probe.map_or(
        Thresholds {
            failures: 1,
            passes: 1,
            start_period: Duration::ZERO,
        },
        |probe| Thresholds {
            failures: probe.retries.max(1),
            passes: probe.successes.max(1),
            start_period: probe.start_period,
        },
    )
}

/// For how long a look stands: until the next but one is due.
pub fn cover(probe: Option<&Probe>) -> Duration {
    probe.map_or(DEFAULT_COVER, |probe| {
        probe
            .interval
            .saturating_mul(2)
            .saturating_add(probe.timeout)
    })
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX / 2)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::platform::{ProbeKind, ServiceName};

    fn platform() -> Platform {
        let mut platform = Platform::default();
        for (name, needs) in [("db", ""), ("api", "db"), ("web", "api")] {
            let mut service = Service::named(name);
            let probe = ProbeKind::Tcp {
                host: "localhost".into(),
                port: 1,
            };
            service.probe = Some(Probe {
                retries: 1,
                ..Probe::of(probe)
            });
            if !needs.is_empty() {
                service.needs.push(ServiceName(needs.into()));
            }
            platform
                .by_name
                .insert(name.into(), platform.services.len());
            platform.services.push(service);
        }
        platform
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("a time")
    }

    fn looked(name: &str, seconds: i64, passes: bool) -> Looked {
        let outcome = if passes {
            Outcome::Passed
        } else {
            Outcome::Failed("refused".into())
        };
        Looked {
            service: name.into(),
            looks: vec![Observation {
                at: at(seconds),
                outcome,
                response: passes.then_some(Duration::from_millis(3)),
                facts: Vec::new(),
            }],
            started: None,
        }
    }

    #[test]
    fn a_database_that_fails_blocks_those_above_it_and_lets_them_go() {
        let platform = platform();
        let mut records = Records::default();
        let all = |seconds, passes| ["db", "api", "web"].map(|name| looked(name, seconds, passes));
        enter(&platform, &all(0, true), &mut records, at(0));
        assert!(records.transitions.is_empty(), "a first look is no change");
        enter(&platform, &all(30, false), &mut records, at(31));
        let told: Vec<_> = records
            .transitions
            .iter()
            .map(|change| (change.service.as_str(), change.to.as_str()))
            .collect();
        assert_eq!(
            told,
            [("api", "blocked"), ("db", "down"), ("web", "blocked")]
        );
        assert_eq!(records.services["web"].blocked_by, ["db"]);
        assert_eq!(records.services["web"].since, at(31).as_millisecond());
        // Only the database is looked at: the others fail by themselves until they are looked at.
        enter(&platform, &[looked("db", 60, true)], &mut records, at(60));
        assert_eq!(records.services["api"].verdict, "down");
        assert_eq!(records.services["web"].blocked_by, ["api"]);
    }

    #[test]
    fn time_is_claimed_for_as_long_as_someone_looked() {
        let platform = platform();
        let mut records = Records::default();
        enter(&platform, &[looked("db", 0, true)], &mut records, at(0));
        enter(
            &platform,
            &[looked("db", 3_600, true)],
            &mut records,
            at(3_600),
        );
        // Twice the interval of 30 s and the time-out of 10 s.
        let spans: Vec<_> = records
            .spans
            .iter()
            .map(|span| (span.verdict.as_str(), span.until - span.from))
            .collect();
        assert_eq!(spans, [("up", 70_000)]);
    }

    #[test]
    fn a_service_that_left_the_file_is_forgotten() {
        let mut records = Records::default();
        records
            .services
            .insert("gone".into(), ServiceRecord::default());
        enter(&platform(), &[], &mut records, at(0));
        assert!(records.services.is_empty());
    }

    proptest! {
        /// A database goes under 20 that need it, directly or through each other; each is looked at
        /// three times, in any order: in the end it is the one cause, and 20 are blocked by it.
        #[test]
        fn the_order_of_the_looks_plays_no_part(
            order in Just((0..63usize).collect::<Vec<_>>()).prop_shuffle(),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 20),
        ) {
            let names: Vec<String> = (0..21).map(|number| format!("s{number:02}")).collect();
            let mut platform = Platform::default();
            for (position, name) in names.iter().enumerate() {
                let mut service = Service::named(name);
                let (host, port) = ("localhost".into(), 1);
                service.probe = Some(Probe::of(ProbeKind::Tcp { host, port }));
                if position > 0 {
                    let need = picks[position - 1].index(position);
                    service.needs.push(ServiceName(names[need].clone()));
                }
                platform.by_name.insert(name.clone(), position);
                platform.services.push(service);
            }
            let mut records = Records::default();
            let well: Vec<Looked> = names.iter().map(|name| looked(name, 0, true)).collect();
            enter(&platform, &well, &mut records, at(0));
            for (second, look) in order.iter().enumerate() {
                let second = i64::try_from(second).expect("few") + 1;
                let one = looked(&names[look % 21], second, false);
                enter(&platform, &[one], &mut records, at(second));
            }
            prop_assert_eq!(records.services["s00"].verdict.as_str(), "down");
            for name in &names[1..] {
                let record = &records.services[name];
                prop_assert_eq!(record.verdict.as_str(), "blocked");
                prop_assert_eq!(&record.blocked_by, &["s00"]);
            }
        }
    }
}
