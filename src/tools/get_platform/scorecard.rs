//! The scorecard: what is promised against what was seen.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    Context, ToolError,
    deliveries::{self, Deliveries},
};
use crate::{
    answer::{Answer, CursorScope, Page, Table, Total, time as times},
    health::{Health, Verdict, Watch},
    observe::machine::Machine,
    platform::{Objectives, Percent, Platform, Service, standards},
    runtime::Usage,
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
    /// What services use, or why that is not known.
    usages: Result<Vec<Usage>, String>,
    machine: Machine,
    /// Memory in use outside that counts with the platform, in bytes.
    outside: u64,
    deliveries: Option<Deliveries>,
}

pub async fn put(
    answer: &mut Answer,
    context: &Context,
    watch: &Arc<Watch>,
    start: u64,
    scope: &CursorScope,
) -> Result<(), ToolError> {
    let now = context.now;
    let back = |length: i64| {
        jiff::Timestamp::from_millisecond(now.as_millisecond() - length).unwrap_or(now)
    };
    let recorded = deliveries::recorded(watch, back(30 * times::DAY), now).await;
    if let Err(error) = &recorded {
        answer.warn(format!("deployments could not be read: {error}"));
    }
    let seen = Seen {
        day: watch.totals(back(times::DAY)).await?,
        month: watch.totals(back(30 * times::DAY)).await?,
        health: watch.known().await?,
        usages: used(watch).await,
        machine: Machine::of(watch.platform(), watch.runtime().ok()).await,
        outside: (watch.platform().capacity.external_memory).map_or(0, |memory| memory.0),
        deliveries: recorded.ok().flatten(),
    };
    let platform = watch.platform();
    let mut rows = Vec::new();
    let all: Vec<&Service> = platform.services.iter().collect();
    rows_of(PLATFORM, &platform.objectives, &all, &seen, &mut rows);
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

/// Asked only where somebody promised something about it: it takes the runtime a moment.
async fn used(watch: &Watch) -> Result<Vec<Usage>, String> {
    let platform = watch.platform();
    let mut objectives = platform.groups.iter().map(|group| &group.objectives);
    let is_asked_for = platform.objectives.utilisation.is_some()
        || objectives.any(|objectives| objectives.utilisation.is_some());
    match is_asked_for {
        true => watch.usages().await.map_err(|problem| problem.to_string()),
        false => Ok(Vec::new()),
    }
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
        let is_whole = of == PLATFORM;
        let (actual, is_met, note) = utilisation(target, services, seen, is_whole);
        push(
            "utilisation",
            format!("below {target}"),
            actual,
            is_met,
            Some(note),
        );
    }
    let seen = seen.deliveries.unwrap_or_default();
    let note = match seen.runs {
        0 => "not known: no runs are recorded".to_owned(),
        runs => format!("of {runs} runs"),
    };
    let times = [
        (
            "deployment_every",
            "at most",
            objectives.deployment_every,
            seen.every,
        ),
        ("lead_time", "below", objectives.lead_time, seen.lead_time),
        (
            "time_to_restore",
            "below",
            objectives.time_to_restore,
            seen.time_to_restore,
        ),
    ];
    for (objective, how, target, actual) in times {
        if let Some(target) = target {
            push(
                objective,
                format!("{how} {}", spoken(target)),
                actual.map(spoken),
                actual.map(|actual| actual < target || (how == "at most" && actual == target)),
                Some(note.clone()),
            );
        }
    }
    if let Some(target) = objectives.change_failure_rate {
        let actual = seen.change_failure_rate;
        push(
            "change_failure_rate",
            format!("below {target}"),
            actual.map(|share| share.to_string()),
            actual.map(|share| share < target),
            Some(note),
        );
    }
}

/// What stands in the column `of` for the whole.
const PLATFORM: &str = "platform";

/// What is used of what may be: of the whole its capacity, of a group the limits of its services.
/// Services that nobody measured make it a lower bound, which can show a promise broken but not
/// kept.
fn utilisation(
    target: Percent,
    services: &[&Service],
    seen: &Seen,
    is_whole: bool,
) -> (Option<String>, Option<bool>, String) {
    let usages = match &seen.usages {
        Ok(usages) => usages,
        Err(reason) => return (None, None, format!("not known: {reason}")),
    };
    let measured: Vec<(&Service, &Usage)> = services
        .iter()
        .filter_map(|service| {
            let usage = usages.iter().find(|usage| usage.service == service.name)?;
            usage.memory.is_some().then_some((*service, usage))
        })
        .collect();
    let sum = |amounts: Vec<Option<u64>>| amounts.into_iter().flatten().sum::<u64>();
    let share = |used: u64, of: u64| (of > 0).then(|| Percent::of(used as f64, of as f64));
    let memory = sum(measured
        .iter()
        .map(|(_, usage)| usage.memory.map(|memory| memory.0))
        .collect());
    let cpu = sum(measured
        .iter()
        .map(|(_, usage)| usage.cpu.map(|cpu| cpu.0))
        .collect());
    let (memory, cpu) = if is_whole {
        let capacity = seen.machine.memory.map_or(0, |memory| memory.0);
        let cores = seen.machine.cpu.map_or(0, |cpu| cpu.0);
        (share(memory + seen.outside, capacity), share(cpu, cores))
    } else {
        let memory_limits = measured
            .iter()
            .map(|(service, usage)| usage.memory_limit.or(service.memory).map(|limit| limit.0))
            .collect();
        let cpu_limits = measured
            .iter()
            .map(|(service, usage)| usage.cpu_limit.or(service.cpu).map(|limit| limit.0))
            .collect();
        (
            share(memory, sum(memory_limits)),
            share(cpu, sum(cpu_limits)),
        )
    };
    let of = if is_whole {
        "capacity"
    } else {
        "the limits of its services"
    };
    let missing = services.len() - measured.len();
    if measured.is_empty() {
        return (None, None, "not known: nothing of it runs".into());
    }
    let told: Vec<String> = [("memory", memory), ("cpu", cpu)]
        .into_iter()
        .filter_map(|(what, share)| Some(format!("{what} {}", share?)))
        .collect();
    let highest = [memory, cpu].into_iter().flatten().map(|share| share.0);
    let highest = highest.reduce(f64::max).map(Percent);
    let is_met = highest.and_then(|highest| {
        let is_met = highest < target;
        (!is_met || missing == 0).then_some(is_met)
    });
    let note = match missing {
        0 => format!("of {of}, now"),
        missing => format!("of {of}, now; {missing} services are not measured"),
    };
    ((!told.is_empty()).then(|| told.join(", ")), is_met, note)
}

fn compliance(platform: &Platform) -> Option<Row> {
    let compliance = standards::compliance(platform)?;
    Some(Row {
        of: PLATFORM.into(),
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
    use crate::platform::{Bytes, MilliCpu};

    fn seen(usages: Result<Vec<Usage>, String>) -> Seen {
        Seen {
            day: BTreeMap::new(),
            month: BTreeMap::new(),
            health: Health {
                services: Vec::new(),
                causes: Vec::new(),
            },
            usages,
            machine: Machine {
                memory: Some(Bytes(1_000)),
                cpu: Some(MilliCpu(1_000)),
                ..Machine::default()
            },
            outside: 100,
            deliveries: None,
        }
    }

    #[test]
    fn what_nobody_saw_is_neither_kept_nor_missed() {
        let objectives = Objectives {
            uptime: Some(Percent(99.9)),
            p95: Some(Duration::from_millis(200)),
            errors: Some(Percent(1.0)),
            healthy: Some(Percent(100.0)),
            utilisation: Some(Percent(80.0)),
            lead_time: Some(Duration::from_secs(3_600)),
            change_failure_rate: Some(Percent(5.0)),
            ..Objectives::default()
        };
        let service = Service::named("api");
        let mut rows = Vec::new();
        let seen = seen(Err("there is no runtime".into()));
        rows_of(PLATFORM, &objectives, &[&service], &seen, &mut rows);
        assert_eq!(rows.len(), 7);
        assert!(rows.iter().all(|row| row.is_met.is_none()));
        assert!(
            rows[6]
                .note
                .as_deref()
                .is_some_and(|note| note.contains("no runs are recorded"))
        );
    }

    #[test]
    fn what_is_used_is_held_against_capacity_or_limits() {
        let services = ["api", "db"].map(|name| Service {
            memory: Some(Bytes(400)),
            ..Service::named(name)
        });
        let [api, db] = [&services[0], &services[1]];
        let usage = |service: &Service, memory| Usage {
            memory: Some(Bytes(memory)),
            cpu: Some(MilliCpu(100)),
            ..Usage::none(service.name.clone(), jiff::Timestamp::UNIX_EPOCH)
        };
        let all = seen(Ok(vec![usage(api, 100), usage(db, 340)]));
        let of = |services: &[&Service], seen: &Seen, is_whole| {
            let (actual, is_met, _) = utilisation(Percent(80.0), services, seen, is_whole);
            (actual.unwrap_or_default(), is_met)
        };
        // 440 and 100 outside of 1,000; 200 of 1,000 thousandths.
        assert_eq!(
            of(&[api, db], &all, true),
            ("memory 54%, cpu 20%".into(), Some(true))
        );
        assert_eq!(of(&[db], &all, false), ("memory 85%".into(), Some(false)));
        // One that nobody measured: too much is proved, little is not.
        let some = seen(Ok(vec![usage(db, 340)]));
        assert_eq!(of(&[api, db], &some, false).1, Some(false));
        let some = seen(Ok(vec![usage(api, 100)]));
        assert_eq!(of(&[api, db], &some, false).1, None);
        assert_eq!(of(&[api, db], &seen(Ok(Vec::new())), true).1, None);
    }

    #[test]
    fn recorded_runs_are_held_against_what_was_promised() {
        let objectives = Objectives {
            deployment_every: Some(Duration::from_secs(86_400)),
            time_to_restore: Some(Duration::from_secs(900)),
            change_failure_rate: Some(Percent(5.0)),
            ..Objectives::default()
        };
        let seen = Seen {
            deliveries: Some(Deliveries {
                runs: 10,
                every: Some(Duration::from_secs(86_400)),
                time_to_restore: Some(Duration::from_secs(1_000)),
                change_failure_rate: Some(Percent(0.0)),
                lead_time: None,
            }),
            ..seen(Ok(Vec::new()))
        };
        let mut rows = Vec::new();
        rows_of(PLATFORM, &objectives, &[], &seen, &mut rows);
        let met: Vec<_> = rows.iter().map(|row| row.is_met).collect();
        assert_eq!(met, [Some(true), Some(false), Some(true)]);
    }
}
