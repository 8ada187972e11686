//! `check_health`: is the platform well, and what is the cause where it is not.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Call, Context, Effect, Outcome, Tool, Toolset, arguments, hurt, platform, schema};
use crate::{
    answer::{Answer, Budget, Page, Table, Total, time as times},
    health::{Health, ServiceHealth, Verdict, dependency::Cause, watch::WatchedBy},
    store::history::Totals,
};

const NAME: &str = "check_health";

pub const TOOL: Tool = Tool {
    name: NAME,
    title: "Check health",
    description: "Is the platform up: verdict of each service, the deepest failing cause first, who \
                  is blocked by it, response times; with history uptime and p95.",
    toolset: Toolset::Platform,
    effect: Effect::Read,
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        let mut fields = vec![
            ("platform", schema::string()),
            ("counts", schema::object()),
            ("causes", schema::list(schema::object())),
            ("looked_at", schema::object()),
            ("uptime", schema::table()),
            ("catalog_as_of", schema::string()),
        ];
        fields.extend(schema::paged("services"));
        schema::result(
            &["counts", "services", "total", "returned", "complete"],
            &fields,
        )
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Names or container names; default all.
    services: Option<Vec<String>>,
    /// Those of one phase.
    phase: Option<String>,
    /// Look again, however short ago the last look was.
    refresh: Option<bool>,
    /// Also uptime 1h/24h/7d/30d and p95.
    history: Option<bool>,
    /// `next` of the page before; the rest as it was.
    cursor: Option<String>,
}

/// Services that one cause names as blocked; the rest is counted.
const MOST_NAMES: usize = 8;
/// Causes of which is told what they do to the data.
const MOST_HURT: usize = 3;
/// Causes that are told one by one; the rest stands in the table.
const MOST_CAUSES: usize = 10;

async fn call(context: &Context, sent: Value) -> Outcome {
    let (asked, cursor_scope): (Arguments, _) = arguments::read_paged(NAME, sent)?;
    let watch = context.platform()?;
    let start = cursor_scope.position(asked.cursor.as_deref())?;
    let chosen = platform::chosen(
        watch.platform(),
        asked.services.as_deref(),
        asked.phase.as_deref(),
    )?;
    // A page goes on in what was seen for the first one.
    let is_fresh = asked.refresh.unwrap_or(false) && asked.cursor.is_none();
    let checked = watch.check(&chosen, is_fresh, context.deadline()).await?;
    let health = checked.health;
    let is_chosen =
        |service: &ServiceHealth| chosen.iter().any(|chosen| chosen.name.0 == service.name);
    let services: Vec<&ServiceHealth> = health
        .worst_first()
        .into_iter()
        .filter(|service| is_chosen(service))
        .collect();

    let mut answer = Answer::new(Budget::DEFAULT);
    answer.put("platform", watch.platform().name.as_str());
    answer.put("counts", counts(&services));
    let relevant: Vec<&Cause> = health
        .causes
        .iter()
        .filter(|cause| concerns(cause, &services))
        .collect();
    let mut told: Vec<Value> = relevant
        .iter()
        .take(MOST_CAUSES)
        .map(|cause| of_cause(cause, &health))
        .collect();
    // Each costs questions to the catalog: of the others only the health is told.
    for (cause, told) in relevant.iter().zip(&mut told).take(MOST_HURT) {
        let hurts = hurt::told(&mut answer, context, &[cause.service.as_str()]).await;
        if !hurts.is_null() {
            told["hurts"] = hurts;
        }
    }
    if relevant.len() > MOST_HURT {
        answer.warn(format!(
            "what the first {MOST_HURT} causes do to the data is told; analyze_impact tells of \
             each service"
        ));
    }
    answer.put("causes", told);
    if relevant.len() > MOST_CAUSES {
        answer.warn(format!(
            "{} more causes stand in `services` only",
            relevant.len() - MOST_CAUSES
        ));
    }
    if checked.looked_at < chosen.len() {
        let oldest = services
            .iter()
            .filter_map(|service| service.looked_at)
            .min()
            .map(|at| times::length(context.now.as_millisecond() - at.as_millisecond()));
        let mut looked = json!({"now": checked.looked_at, "oldest_look": oldest.map(|age| format!("{age} ago"))});
        if let WatchedBy::Another(holder) = watch.watched_by() {
            looked["by"] = format!("another server ({holder})").into();
        }
        answer.put("looked_at", looked);
    }
    platform::put_provenance(&mut answer, watch);
    if asked.history.unwrap_or(false) {
        put_history(&mut answer, context, &services).await?;
    }
    let mut table = Table::new(&[
        "name",
        "verdict",
        "response_ms",
        "since",
        "blocked_by",
        "why",
    ]);
    let causes_told: Vec<&str> = relevant
        .iter()
        .take(MOST_CAUSES)
        .map(|cause| cause.service.as_str())
        .collect();
    for service in services.iter().skip(start as usize) {
        table.push(row(service, causes_told.contains(&service.name.as_str())));
    }
    answer.page(
        "services",
        Page {
            table,
            total: Total::Exact(services.len() as u64),
            start,
            scope: &cursor_scope,
        },
    );
    Ok(answer)
}

fn counts(services: &[&ServiceHealth]) -> Map<String, Value> {
    let mut counts: BTreeMap<Verdict, u64> = BTreeMap::new();
    for service in services {
        *counts.entry(service.verdict).or_default() += 1;
    }
    counts
        .into_iter()
        .map(|(verdict, count)| (verdict.as_str().to_owned(), count.into()))
        .collect()
}

/// A cause that is one of the services, or blocks one.
fn concerns(cause: &Cause, services: &[&ServiceHealth]) -> bool {
    services
        .iter()
        .any(|service| service.name == cause.service || cause.blocks.contains(&service.name))
}

fn of_cause(cause: &Cause, health: &Health) -> Value {
    let mut told = json!({"service": cause.service});
    if let Some(service) = health.service(&cause.service) {
        told["verdict"] = service.verdict.as_str().into();
        if let Some(since) = service.since {
            told["since"] = times::text(since.as_millisecond()).into();
        }
        if let Some(reason) = &service.reason {
            told["why"] = reason.as_str().into();
        }
    }
    if !cause.blocks.is_empty() {
        told["blocks"] = cause.blocks.len().into();
        told["blocked"] = platform::some(&cause.blocks, MOST_NAMES);
    }
    told
}

/// What a cause says already is not said again in its row.
fn row(service: &ServiceHealth, is_told: bool) -> Vec<Value> {
    let is_up = service.verdict == Verdict::Up;
    let says_more = !is_up && !is_told;
    let since = service
        .since
        .filter(|_| says_more && service.verdict != Verdict::Blocked)
        .map(|since| times::text(since.as_millisecond()));
    let why = service
        .reason
        .as_deref()
        .filter(|_| says_more && service.verdict != Verdict::Blocked);
    vec![
        service.name.as_str().into(),
        service.verdict.as_str().into(),
        platform::milliseconds(service.response),
        since.into(),
        service.blocked_by.join(", ").into(),
        why.into(),
    ]
}

/// Uptime in four windows and the 95th percentile of a day.
async fn put_history(
    answer: &mut Answer,
    context: &Context,
    services: &[&ServiceHealth],
) -> Result<(), super::ToolError> {
    let watch = context.platform()?;
    let now = context.now.as_millisecond();
    let mut windows = Vec::new();
    for length in [times::HOUR, times::DAY, 7 * times::DAY, 30 * times::DAY] {
        let since = jiff::Timestamp::from_millisecond(now - length).unwrap_or(context.now);
        windows.push((length, watch.totals(since).await?));
    }
    let mut table = Table::new(&[
        "name",
        "1h",
        "24h",
        "7d",
        "30d",
        "p95_ms",
        "observed_of_24h",
    ]);
    let none = Totals::default();
    for service in services {
        let of = |window: &(i64, BTreeMap<String, Totals>)| {
            window.1.get(&service.name).unwrap_or(&none).clone()
        };
        let mut row = vec![service.name.as_str().into()];
        row.extend(windows.iter().map(|window| {
            of(window).uptime().map_or(Value::Null, |uptime| {
                format!("{:.2}%", uptime * 100.0).into()
            })
        }));
        let day = of(&windows[1]);
        row.push(platform::milliseconds(day.percentile(0.95)));
        row.push(times::length(i64::try_from(day.observed().as_millis()).unwrap_or(0)).into());
        table.push(row);
    }
    table.cut_to(answer.room() / 2);
    if table.len() < services.len() {
        answer.warn(format!(
            "uptime is told of {} of {} services: name the others, or a phase",
            table.len(),
            services.len()
        ));
    }
    answer.put("uptime", table.into_value());
    Ok(())
}
