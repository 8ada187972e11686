//! The platform file's alert rules, evaluated: a pure function of readings and what was known.
//!
//! A rule with `for` is pending until it has held for so long *while someone looked*: after a gap
//! its time begins again. What cannot be read changes nothing.

use std::{collections::BTreeMap, time::Duration};

use super::observation::Verdict;
use crate::{
    platform::{AlertCondition, AlertRule, AlertScope, Percent, Platform},
    store::history::{AlertRecord, Millis},
};

/// What is known of one service, or of the platform as a whole.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    pub verdict: Option<Verdict>,
    pub response: Option<Duration>,
    /// Share of failed looks, by the window over which it was counted.
    pub errors: BTreeMap<Duration, Percent>,
    /// Share of what is allowed.
    pub memory: Option<Percent>,
    pub cpu: Option<Percent>,
    /// Share of failed ingestion runs.
    pub ingestion_failures: Option<Percent>,
    /// Age of the newest successful ingestion.
    pub ingestion_age: Option<Duration>,
}

/// The readings of one evaluation.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    pub services: BTreeMap<String, Reading>,
    pub platform: Reading,
}

/// A rule on a subject for which nothing could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotEvaluated {
    pub rule: String,
    /// Empty: the platform.
    pub service: String,
    pub lacks: &'static str,
}

/// The longest time between two evaluations over which a rule is taken to have held: twice the
/// default interval of a probe, its time-out, and a little.
pub const LONGEST_GAP: Duration = Duration::from_secs(90);

/// Alerts by rule and service.
pub type Alerts = BTreeMap<(String, String), AlertRecord>;

/// Enters one evaluation. `gap` is the longest time between two evaluations over which a rule is
/// still taken to have held.
pub fn evaluate(
    platform: &Platform,
    readings: &Readings,
    alerts: &mut Alerts,
    now: Millis,
    gap: Duration,
) -> Vec<NotEvaluated> {
    let mut not_evaluated = Vec::new();
    let mut known = Vec::new();
    for rule in &platform.alerts {
        for subject in subjects(rule, platform) {
            let reading = if subject.is_empty() {
                Some(&readings.platform)
            } else {
                readings.services.get(&subject)
            };
            let key = (rule.name.clone(), subject);
            match reading.map_or(Held::Unknown("a look at it"), |reading| {
                held(&rule.when, reading)
            }) {
                Held::Unknown(lacks) => not_evaluated.push(NotEvaluated {
                    rule: rule.name.clone(),
                    service: key.1.clone(),
                    lacks,
                }),
                Held::Yes(value) => {
                    let before = alerts.get(&key);
                    alerts.insert(key.clone(), holding(rule, before, value, now, gap));
                }
                Held::No(value) => {
                    if let Some(before) = alerts.get_mut(&key) {
                        let (state, changed_at) = match before.state.as_str() {
                            "firing" => ("resolved", now),
                            "resolved" => ("resolved", before.changed_at),
                            _ => ("inactive", now),
                        };
                        before.state = state.into();
                        before.changed_at = changed_at;
                        before.seen_at = now;
                        before.value = value;
                    }
                }
            }
            known.push(key);
        }
    }
    // Rules and services that left the file no longer fire.
    for (key, record) in alerts.iter_mut() {
        if !known.contains(key) && matches!(record.state.as_str(), "firing" | "pending") {
            record.state = "resolved".into();
            record.changed_at = now;
        }
    }
    not_evaluated
}

/// A rule that holds now.
fn holding(
    rule: &AlertRule,
    before: Option<&AlertRecord>,
    value: Option<f64>,
    now: Millis,
    gap: Duration,
) -> AlertRecord {
    let gap = Millis::try_from(gap.as_millis()).unwrap_or(Millis::MAX);
    let hold = Millis::try_from(rule.hold.as_millis()).unwrap_or(Millis::MAX);
    let went_on = before.filter(|before| {
        let since_seen = now - before.seen_at;
        // A clock that was set back proves nothing either.
        matches!(before.state.as_str(), "pending" | "firing") && (0..=gap).contains(&since_seen)
    });
    let since = went_on.map_or(now, |before| before.since.min(now));
    let state = if now - since >= hold {
        "firing"
    } else {
        "pending"
    };
    let changed_at = went_on
        .filter(|before| before.state == state)
        .map_or(now, |before| before.changed_at);
    AlertRecord {
        state: state.into(),
        since,
        changed_at,
        seen_at: now,
        value,
    }
}

/// What a rule watches; an empty name is the platform.
fn subjects(rule: &AlertRule, platform: &Platform) -> Vec<String> {
    match &rule.scope {
        AlertScope::Platform => vec![String::new()],
        AlertScope::AllServices => platform
            .services
            .iter()
            .map(|service| service.name.0.clone())
            .collect(),
        AlertScope::Services(names) => names.iter().map(|name| name.0.clone()).collect(),
    }
}

enum Held {
    /// With the value that was read, in the unit of the rule: percent, seconds.
    Yes(Option<f64>),
    No(Option<f64>),
    /// What would have to be known.
    Unknown(&'static str),
}

fn held(condition: &AlertCondition, reading: &Reading) -> Held {
    let above = |value: Option<f64>, bound: f64, lacks: &'static str| match value {
        None => Held::Unknown(lacks),
        Some(value) if value > bound => Held::Yes(Some(value)),
        Some(value) => Held::No(Some(value)),
    };
    let share = |share: Option<Percent>| share.map(|share| share.0);
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    match condition {
        AlertCondition::Down => match reading.verdict {
            None | Some(Verdict::Unknown) => Held::Unknown("a look at it"),
            Some(Verdict::Down) => Held::Yes(None),
            Some(_) => Held::No(None),
        },
        AlertCondition::ResponseAbove(bound) => above(
            seconds(reading.response),
            bound.as_secs_f64(),
            "a response time",
        ),
        AlertCondition::ErrorsAbove {
            share: bound,
            window,
        } => above(
            share(reading.errors.get(window).copied()),
            bound.0,
            "looks within its window",
        ),
        AlertCondition::MemoryAbove(bound) => above(
            share(reading.memory),
            bound.0,
            "memory in use and its limit",
        ),
        AlertCondition::CpuAbove(bound) => {
            above(share(reading.cpu), bound.0, "CPU in use and its limit")
        }
        AlertCondition::IngestionFailuresAbove(bound) => above(
            share(reading.ingestion_failures),
            bound.0,
            "ingestion runs in the catalog",
        ),
        AlertCondition::OlderThan(bound) => above(
            seconds(reading.ingestion_age),
            bound.as_secs_f64(),
            "a successful ingestion in the catalog",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{Service, Severity};

    const MINUTE: Millis = 60_000;
    const GAP: Duration = Duration::from_secs(90);

    fn platform(when: AlertCondition, hold: Duration) -> Platform {
        let mut platform = Platform::default();
        platform.services.push(Service::named("db"));
        platform.alerts.push(AlertRule {
            name: "Rule".into(),
            when,
            hold,
            severity: Severity::Critical,
            scope: AlertScope::AllServices,
        });
        platform
    }

    fn reading(reading: Reading) -> Readings {
        Readings {
            services: BTreeMap::from([("db".to_owned(), reading)]),
            ..Readings::default()
        }
    }

    fn down(verdict: Verdict) -> Readings {
        reading(Reading {
            verdict: Some(verdict),
            ..Reading::default()
        })
    }

    /// The states after each of these (minute, verdict).
    fn told(steps: &[(Millis, Verdict)]) -> Vec<String> {
        let platform = platform(AlertCondition::Down, Duration::from_secs(300));
        let mut alerts = Alerts::new();
        steps
            .iter()
            .map(|(minute, verdict)| {
                evaluate(
                    &platform,
                    &down(*verdict),
                    &mut alerts,
                    minute * MINUTE,
                    GAP,
                );
                alerts.values().next().map_or(String::new(), |alert| {
                    format!("{} {}", alert.state, alert.since / MINUTE)
                })
            })
            .collect()
    }

    #[test]
    fn it_fires_after_it_has_held_for_so_long_and_is_resolved() {
        use Verdict::{Down, Up};
        let minutes: Vec<_> = (0..=5).map(|minute| (minute, Down)).collect();
        let states = told(&[minutes.as_slice(), &[(6, Up), (7, Down)]].concat());
        assert_eq!(
            states,
            [
                "pending 0",
                "pending 0",
                "pending 0",
                "pending 0",
                "pending 0",
                "firing 0",
                "resolved 0",
                "pending 7"
            ]
        );
    }

    #[test]
    fn what_nobody_saw_does_not_count() {
        use Verdict::Down;
        assert_eq!(told(&[(0, Down), (60, Down)]), ["pending 0", "pending 60"]);
        // The clock was set back.
        assert_eq!(told(&[(60, Down), (0, Down)]), ["pending 60", "pending 0"]);
    }

    #[test]
    fn blocked_is_not_down_and_unknown_changes_nothing() {
        use Verdict::{Blocked, Down, Unknown};
        assert_eq!(told(&[(0, Blocked)]), [""]);
        assert_eq!(
            told(&[(0, Down), (1, Unknown), (1, Down)]),
            ["pending 0", "pending 0", "pending 0"]
        );
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let platform = platform(AlertCondition::MemoryAbove(Percent(80.0)), Duration::ZERO);
        let mut alerts = Alerts::new();
        let lacks = evaluate(&platform, &down(Verdict::Up), &mut alerts, 0, GAP);
        assert_eq!(lacks[0].lacks, "memory in use and its limit");
        let full = reading(Reading {
            memory: Some(Percent(80.1)),
            ..Reading::default()
        });
        assert_eq!(evaluate(&platform, &full, &mut alerts, 0, GAP), []);
        let alert = &alerts[&("Rule".to_owned(), "db".to_owned())];
        assert_eq!((alert.state.as_str(), alert.value), ("firing", Some(80.1)));
    }

    #[test]
    fn a_rule_that_left_the_file_no_longer_fires() {
        let mut platform = platform(AlertCondition::Down, Duration::ZERO);
        let mut alerts = Alerts::new();
        evaluate(&platform, &down(Verdict::Down), &mut alerts, 0, GAP);
        platform.alerts.clear();
        evaluate(&platform, &down(Verdict::Down), &mut alerts, 1, GAP);
        assert_eq!(alerts.values().next().expect("one").state, "resolved");
    }
}
