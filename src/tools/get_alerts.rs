//! `get_alerts`: the platform's alert rules, evaluated now.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, Context, Effect, Outcome, Tool, Toolset, arguments, platform, schema};
use crate::{
    answer::{Answer, Budget, Page, Table, Total, time as times},
    health::alerts,
    observe::{Alertmanager, ObserveError, alertmanager},
    platform::{AlertCondition, AlertRule, Platform, Severity, model::Endpoint},
    store::history::AlertRecord,
};

const NAME: &str = "get_alerts";

pub const TOOL: Tool = Tool {
    name: NAME,
    title: "Get alerts",
    description: "The platform's alert rules evaluated now: firing, pending, lately resolved, which \
                  could not be evaluated and why; and Alertmanager's alerts.",
    toolset: Toolset::Platform,
    effect: Effect::Read,
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        let mut fields = vec![
            ("counts", schema::object()),
            ("not_evaluated", schema::table()),
            ("alertmanager", schema::table()),
            ("could_not_look", schema::list(schema::string())),
        ];
        fields.extend(schema::paged("alerts"));
        schema::result(
            &["counts", "alerts", "total", "returned", "complete"],
            &fields,
        )
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Default: firing and pending.
    state: Option<Vec<State>>,
    severity: Option<Level>,
    /// `next` of the page before; the rest as it was.
    cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    Firing,
    Pending,
    Resolved,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Pending => "pending",
            Self::Resolved => "resolved",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Level {
    Critical,
    Warning,
}

/// Alerts of Alertmanager that are told; it shows all of them itself.
const MOST_OF_OTHERS: usize = 30;

async fn call(context: &Context, sent: Value) -> Outcome {
    let (asked, cursor_scope): (Arguments, _) = arguments::read_paged(NAME, sent)?;
    let watch = context.platform()?;
    let start = cursor_scope.position(asked.cursor.as_deref())?;
    let all: Vec<_> = watch.platform().services.iter().collect();
    let checked = watch.check(&all, false, context.deadline()).await?;
    let catalog = context.catalog().ok();
    let evaluated = watch
        .evaluate(&checked.health, catalog.as_ref(), context.deadline())
        .await?;
    let (alerts, mut missed) = (evaluated.alerts, evaluated.missed);
    let now = context.now.as_millisecond();

    let mut answer = Answer::new(Budget::DEFAULT);
    let count = |state: &str| alerts.values().filter(|alert| alert.state == state).count();
    answer.put(
        "counts",
        json!({"rules": watch.platform().alerts.len(), "firing": count("firing"),
               "pending": count("pending"), "resolved": count("resolved")}),
    );
    if let Some(endpoint) = &watch.platform().alertmanager {
        match of_alertmanager(endpoint, context).await {
            Ok(table) => {
                answer.put("alertmanager", table);
            }
            Err(error) => missed.push(error.to_string()),
        }
    }
    answer.put("could_not_look", missed);
    put_lacking(&mut answer, &evaluated.lacking);
    platform::put_provenance(&mut answer, watch);
    let states = asked
        .state
        .unwrap_or_else(|| vec![State::Firing, State::Pending]);
    let mut rows: Vec<(&AlertRule, &str, &AlertRecord)> = alerts
        .iter()
        .filter(|(_, alert)| states.iter().any(|state| state.as_str() == alert.state))
        .filter_map(|((rule, service), alert)| {
            Some((rule_named(watch.platform(), rule)?, service.as_str(), alert))
        })
        .filter(|(rule, _, _)| {
            asked.severity.is_none_or(|level| {
                (level == Level::Critical) == (rule.severity == Severity::Critical)
            })
        })
        .collect();
    // What fires before what may, the worst first, then what has been so longest.
    rows.sort_by(|(one, _, a), (other, _, b)| {
        a.state
            .cmp(&b.state)
            .then(other.severity.cmp(&one.severity))
            .then(a.since.cmp(&b.since))
    });
    let mut table = Table::new(&[
        "name", "service", "state", "since", "severity", "value", "for",
    ]);
    for (rule, service, alert) in rows.iter().skip(start as usize) {
        table.push(vec![
            rule.name.as_str().into(),
            (*service).into(),
            alert.state.as_str().into(),
            times::text(alert.since).into(),
            rule.severity.as_str().into(),
            value(rule, alert).into(),
            remaining(rule, alert, now).into(),
        ]);
    }
    answer.page(
        "alerts",
        Page {
            table,
            total: Total::Exact(rows.len() as u64),
            start,
            scope: &cursor_scope,
        },
    );
    Ok(answer)
}

/// What the user's Alertmanager has, ours among them.
async fn of_alertmanager(endpoint: &Endpoint, context: &Context) -> Result<Value, ObserveError> {
    let timeout = context.time_left().min(Duration::from_secs(10));
    let alerts = Alertmanager::new(endpoint, None)?.alerts(timeout).await?;
    let mut table = Table::new(&["name", "service", "state", "since", "severity"]);
    for alert in alerts.iter().take(MOST_OF_OTHERS) {
        let state = match alert.state {
            alertmanager::State::Unprocessed => "unprocessed",
            alertmanager::State::Active => "active",
            alertmanager::State::Silenced => "silenced",
            alertmanager::State::Inhibited => "inhibited",
        };
        table.push(vec![
            alert.name.as_str().into(),
            alert.service.as_deref().into(),
            state.into(),
            times::text(alert.since.as_millisecond()).into(),
            alert.severity.as_deref().into(),
        ]);
    }
    let returned = table.len();
    let mut told = table.into_value();
    told["total"] = alerts.len().into();
    told["complete"] = (returned == alerts.len()).into();
    Ok(told)
}

fn rule_named<'a>(platform: &'a Platform, name: &str) -> Option<&'a AlertRule> {
    platform.alerts.iter().find(|rule| rule.name == name)
}

/// The value that was read, against the bound.
fn value(rule: &AlertRule, alert: &AlertRecord) -> Option<String> {
    let read = alert.value?;
    let seconds = |seconds: f64| {
        if seconds < 10.0 {
            format!("{} ms", (seconds * 1_000.0).round())
        } else {
            times::length((seconds * 1_000.0) as i64)
        }
    };
    Some(match &rule.when {
        AlertCondition::Down => return None,
        AlertCondition::ResponseAbove(bound) | AlertCondition::OlderThan(bound) => {
            format!("{} > {}", seconds(read), seconds(bound.as_secs_f64()))
        }
        AlertCondition::ErrorsAbove { share, .. }
        | AlertCondition::MemoryAbove(share)
        | AlertCondition::CpuAbove(share)
        | AlertCondition::IngestionFailuresAbove(share) => {
            format!("{:.1}% > {share}", read)
        }
    })
}

/// How long a pending one still has to hold, or how long a rule holds.
fn remaining(rule: &AlertRule, alert: &AlertRecord, now: i64) -> Option<String> {
    let held = now - alert.since;
    match alert.state.as_str() {
        "pending" => {
            let hold = i64::try_from(rule.hold.as_millis()).unwrap_or(i64::MAX);
            Some(format!(
                "fires in {} if it holds",
                times::length(hold - held)
            ))
        }
        "firing" => Some(times::length(held)),
        _ => None,
    }
}

/// Rules that could not be evaluated, by what lacks.
fn put_lacking(answer: &mut Answer, lacking: &[alerts::NotEvaluated]) {
    let mut table = Table::new(&["name", "services", "lacks"]);
    let mut told: Vec<(&str, &str, usize)> = Vec::new();
    for one in lacking {
        match told
            .iter_mut()
            .find(|(rule, lacks, _)| *rule == one.rule && *lacks == one.lacks)
        {
            Some((_, _, count)) => *count += 1,
            None => told.push((&one.rule, one.lacks, 1)),
        }
    }
    for (rule, lacks, count) in told {
        table.push(vec![rule.into(), count.into(), lacks.into()]);
    }
    if !table.is_empty() {
        answer.put("not_evaluated", table.into_value());
    }
}
