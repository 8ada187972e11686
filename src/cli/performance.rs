//! `performance`: a bounded number of requests to what HTTP probes look at, against the triggers.

mod figures;

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Map, Value, json};

use super::{
    Failure,
    asked::{Where, print_fields},
    block_on,
};
use crate::{
    answer::Table,
    deploy::gate,
    health::Watch,
    platform::{ProbeKind, Service, model::Condition},
    tools::platform,
};
use figures::{Figures, Request};

#[derive(Debug, Args)]
pub(super) struct PerformanceArguments {
    /// Services or container names; default all that have an HTTP probe.
    #[arg(value_name = "SERVICE", conflicts_with = "phase")]
    services: Vec<String>,
    /// Those of one phase.
    #[arg(long)]
    phase: Option<String>,
    /// Requests to each service.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(3..=10_000))]
    requests: u32,
    /// Requests at one time; one service after the other.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    concurrency: u32,
    /// Print the structured form.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

/// Exit code 0 where no trigger of the platform file would fire by what was measured, 1 where one
/// would or nothing could be measured: usable as a hook of a phase.
pub(super) fn run(arguments: &PerformanceArguments) -> Result<(), Failure> {
    let asked = arguments.at.asked(arguments.json)?;
    block_on(async {
        let context = asked.context();
        let watch = context.platform().map_err(|error| asked.failure(error))?;
        let named = (!arguments.services.is_empty()).then_some(arguments.services.as_slice());
        let chosen = platform::chosen(watch.platform(), named, arguments.phase.as_deref())
            .map_err(|error| asked.failure(error))?;
        let (measured, others): (Vec<&Service>, Vec<&Service>) =
            chosen.into_iter().partition(|service| is_http(service));
        if measured.is_empty() {
            return Err(Failure::Error(
                "none of these services has an HTTP probe: there is nothing to send requests to"
                    .into(),
            ));
        }
        let mut rows = Vec::new();
        for service in measured {
            rows.push((service, measure(watch, service, arguments).await));
        }
        let (told, is_well) = told(&rows, &others, &watch.platform().rollback_when);
        print_fields(&told, arguments.json)?;
        match is_well {
            true => Ok(()),
            false => Err(Failure::Said),
        }
    })
}

fn is_http(service: &Service) -> bool {
    let kind = service.probe.as_ref().map(|probe| &probe.kind);
    matches!(kind, Some(ProbeKind::Http { .. } | ProbeKind::Page { .. }))
}

/// Sends the requests as the probe of the service would.
async fn measure(watch: &Watch, service: &Service, asked: &PerformanceArguments) -> Figures {
    let begun = Instant::now();
    let mut requests = Vec::new();
    let mut left = asked.requests;
    while left > 0 {
        let together = left.min(asked.concurrency);
        let batch = vec![service; together as usize];
        for looked in watch.look_once_at(&batch).await {
            requests.extend(looked.looks.iter().map(Request::of));
        }
        left -= together;
    }
    Figures::of(&requests, begun.elapsed())
}

/// The answer, and whether no trigger would fire.
fn told(
    rows: &[(&Service, Figures)],
    others: &[&Service],
    triggers: &[Condition],
) -> (Map<String, Value>, bool) {
    let mut table = Table::new(&[
        "service", "requests", "failed", "mean", "p95", "a_second", "why",
    ]);
    let length = |time: Option<Duration>| time.map(milliseconds);
    let row = |name: &str, figures: &Figures| -> Vec<Value> {
        vec![
            name.into(),
            figures.requests.into(),
            figures.failed.into(),
            length(figures.mean).into(),
            length(figures.p95).into(),
            format!("{:.0}", figures.a_second).into(),
            figures.why.as_deref().into(),
        ]
    };
    for (service, figures) in rows {
        table.push(row(&service.name.0, figures));
    }
    let all = Figures::together(rows.iter().map(|(_, figures)| figures));
    if rows.len() > 1 {
        table.push(row("all", &all));
    }
    let relevant: Vec<Condition> = triggers
        .iter()
        .filter(|one| {
            matches!(
                one,
                Condition::MeanResponseAbove(_)
                    | Condition::P95Above(_)
                    | Condition::ErrorsAbove(_)
            )
        })
        .cloned()
        .collect();
    let read = gate::read(&relevant, &all.readings());
    let fired: Vec<Value> = read
        .iter()
        .filter(|one| one.met == gate::Met::Yes)
        .map(|one| format!("{} (is {})", one.condition, one.reading).into())
        .collect();
    // A service that never answered as it should is not well, whatever its share of all is.
    let is_well = fired.is_empty() && rows.iter().all(|(_, one)| one.requests > one.failed);
    let mut fields = Map::new();
    fields.insert(
        "result".into(),
        if is_well { "well" } else { "not well" }.into(),
    );
    fields.insert("services".into(), table.into_value());
    if !fired.is_empty() {
        fields.insert("triggers_that_would_fire".into(), fired.into());
    }
    if !others.is_empty() {
        let names: Vec<&str> = others.iter().map(|one| one.name.0.as_str()).collect();
        fields.insert("without_http_probe".into(), json!(names));
    }
    if relevant.is_empty() {
        let note =
            "the platform file has no trigger of response times or errors to hold this against";
        fields.insert("warnings".into(), json!([note]));
    }
    (fields, is_well)
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}
