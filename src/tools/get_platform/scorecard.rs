//! The scorecard: what is promised against what was seen.

use std::{collections::BTreeMap, time::Duration};

use super::{Context, ToolError};
use crate::{
    answer::{Answer, CursorScope, Page, Table, Total, time as times},
    health::{Health, Verdict, Watch},
    platform::{Objectives, Percent, Platform, Service, standards},
    store::history::Totals,
};

/// One promise.
struct Row {
    of: String,
    objective: &'static str,
    target: String,
    actual: Option<String>,
    /// None: not known.
    is_met: Option<bool>,
    note: Option<String>,
}

/// What was seen in the two windows that promises are measured in.
struct Seen {
    day: BTreeMap<String, Totals>,
    month: BTreeMap<String, Totals>,
    health: Health,
}

pub async fn put(
    answer: &mut Answer,
    context: &Context,
    watch: &Watch,
    start: u64,
    scope: &CursorScope,
) -> Result<(), ToolError> {
    let now = context.now;
    let back = |length: i64| {
        jiff::Timestamp::from_millisecond(now.as_millisecond() - length).unwrap_or(now)
    };
    let seen = Seen {
        day: watch.totals(back(times::DAY)).await?,
        month: watch.totals(back(30 * times::DAY)).await?,
        health: watch.known().await?,
    };
    let platform = watch.platform();
    let mut rows = Vec::new();
    let all: Vec<&Service> = platform.services.iter().collect();
    rows_of("platform", &platform.objectives, &all, &seen, &mut rows);
    for group in &platform.groups {
        let members: Vec<&Service> = all
            .iter()
            .copied()
            .filter(|service| service.group.as_deref() == Some(&group.name))
            .collect();
        rows_of(&group.name, &group.objectives, &members, &seen, &mut rows);
    }
    rows.extend(compliance(platform));
    let mut table = Table::new(&["of", "objective", "target", "actual", "met", "note"]);
    for row in rows.iter().skip(start as usize) {
        table.push(vec![
            row.of.as_str().into(),
            row.objective.into(),
            row.target.as_str().into(),
            row.actual.as_deref().into(),
            match row.is_met {
                Some(true) => "yes".into(),
                Some(false) => "no".into(),
                None => "not known".into(),
            },
            row.note.as_deref().into(),
        ]);
    }
    if rows.is_empty() {
        answer.warn("the platform file gives no objectives and no standards");
    }
    answer.page(
        "scorecard",
        Page {
            table,
            total: Total::Exact(rows.len() as u64),
            start,
            scope,
        },
    );
    Ok(())
}

fn rows_of(
    of: &str,
    objectives: &Objectives,
    services: &[&Service],
    seen: &Seen,
    rows: &mut Vec<Row>,
) {
    let sum = |window: &BTreeMap<String, Totals>| {
        let mut sum = Totals::default();
        for service in services {
            if let Some(totals) = window.get(&service.name.0) {
                sum.add(totals);
            }
        }
        sum
    };
    let (day, month) = (sum(&seen.day), sum(&seen.month));
    let mut push = |objective, target: String, actual: Option<String>, is_met, note| {
        rows.push(Row {
            of: of.to_owned(),
            objective,
            target,
            actual,
            is_met,
            note,
        });
    };
    if let Some(target) = objectives.uptime {
        let uptime = month.uptime().map(|share| Percent(share * 100.0));
        let observed = millis(month.observed()) / services.len().max(1) as i64;
        push(
            "uptime",
            format!("at least {target}"),
            uptime.map(|uptime| format!("{:.3}%", uptime.0)),
            uptime.map(|uptime| uptime >= target),
            Some(match uptime {
                Some(_) => format!("30 days, observed {} of each", times::length(observed)),
                None => "nobody has looked for long enough".into(),
            }),
        );
    }
    if let Some(target) = objectives.p95 {
        let p95 = day.percentile(0.95);
        push(
            "p95",
            format!("below {}", spoken(target)),
            p95.map(spoken),
            p95.map(|p95| p95 < target),
            Some(answers(&day)),
        );
    }
    if let Some(target) = objectives.mean_response {
        let mean = day.mean();
        push(
            "mean_response",
            format!("below {}", spoken(target)),
            mean.map(spoken),
            mean.map(|mean| mean < target),
            Some(answers(&day)),
        );
    }
    if let Some(target) = objectives.errors {
        let errors = day.failed_share().map(|share| Percent(share * 100.0));
        push(
            "errors",
            format!("below {target}"),
            errors.map(|errors| errors.to_string()),
            errors.map(|errors| errors < target),
            Some(format!("failed looks of {} in 24 h", day.looks)),
        );
    }
    if let Some(target) = objectives.healthy {
        let known: Vec<Verdict> = services
            .iter()
            .filter_map(|service| seen.health.service(&service.name.0))
            .map(|service| service.verdict)
            .filter(|verdict| *verdict != Verdict::Unknown)
            .collect();
        let up = known
            .iter()
            .filter(|verdict| **verdict == Verdict::Up)
            .count();
        let share = (!known.is_empty()).then(|| Percent::of(up as f64, known.len() as f64));
        let unknown = services.len() - known.len();
        push(
            "healthy",
            format!("at least {target}"),
            share.map(|share| share.to_string()),
            // Some nobody could look at: that the rest is well proves nothing.
            share.and_then(|share| (share < target || unknown == 0).then_some(share >= target)),
            (unknown > 0).then(|| format!("{unknown} services could not be looked at")),
        );
    }
    if let Some(target) = objectives.utilisation {
        push(
            "utilisation",
            format!("below {target}"),
            None,
            None,
            Some("get_resources tells what is used of what is allowed".into()),
        );
    }
    let deliveries = [
        (
            "deployment_every",
            objectives
                .deployment_every
                .map(|time| format!("at most {}", spoken(time))),
        ),
        (
            "lead_time",
            objectives
                .lead_time
                .map(|time| format!("below {}", spoken(time))),
        ),
        (
            "time_to_restore",
            objectives
                .time_to_restore
                .map(|time| format!("below {}", spoken(time))),
        ),
        (
            "change_failure_rate",
            objectives
                .change_failure_rate
                .map(|share| format!("below {share}")),
        ),
    ];
    for (objective, target) in deliveries {
        if let Some(target) = target {
            push(
                objective,
                target,
                None,
                None,
                Some("no deployment is recorded here".into()),
            );
        }
    }
}

fn compliance(platform: &Platform) -> Option<Row> {
    let compliance = standards::compliance(platform)?;
    Some(Row {
        of: "platform".into(),
        objective: "standards",
        target: "all services".into(),
        actual: Some(format!(
            "{} ({} of {})",
            compliance.share(),
            compliance.compliant(),
            compliance.measured
        )),
        is_met: Some(compliance.missed.is_empty()),
        note: compliance
            .missed
            .first()
            .map(|(service, missed)| format!("{service}: {}", missed.join("; "))),
    })
}

fn answers(day: &Totals) -> String {
    format!("of {} answers in 24 h", day.answers())
}

/// `180 ms`, `45s`, `1h`.
fn spoken(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        format!("{} ms", (time.as_secs_f64() * 1_000.0).round())
    } else {
        times::length(millis(time))
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_saw_is_neither_kept_nor_missed() {
        let seen = Seen {
            day: BTreeMap::new(),
            month: BTreeMap::new(),
            health: Health {
                services: Vec::new(),
                causes: Vec::new(),
            },
        };
        let objectives = Objectives {
            uptime: Some(Percent(99.9)),
            p95: Some(Duration::from_millis(200)),
            errors: Some(Percent(1.0)),
            healthy: Some(Percent(100.0)),
            ..Objectives::default()
        };
        let service = Service::named("api");
        let mut rows = Vec::new();
        rows_of("platform", &objectives, &[&service], &seen, &mut rows);
        assert_eq!(rows.len(), 4);
        assert!(rows.iter().all(|row| row.is_met.is_none()));
    }
}
