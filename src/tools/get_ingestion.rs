//! `get_ingestion`: the state of ingestion, pipelines with their runs, freshness by service.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Call, Context, Effect, Outcome, Tool, ToolError, Toolset, arguments, lineage, pipelines,
    schema, subject, time,
};
use crate::{
    answer::{Answer, Budget, CursorScope, Page, Table, Total, clean, time as times},
    catalog::{
        Catalog,
        ingestion::{
            Freshness, IngestionPipeline, PipelineClient, Run, RunState, freshness, success_rate,
        },
        scope::Scope,
    },
};

const NAME: &str = "get_ingestion";

pub const TOOL: Tool = Tool {
    name: NAME,
    title: "Get ingestion",
    description: "Ingestion pipelines: last runs, success rate, age against schedule, freshness \
                  by service, errors of failed runs, state of the ingestion service.",
    toolset: Toolset::Catalog,
    effect: Effect::Read,
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        let mut fields = vec![
            ("state", schema::string()),
            ("since", schema::string()),
            ("services", schema::table()),
            ("errors", schema::table()),
            ("runs", schema::table()),
        ];
        fields.extend(schema::paged("pipelines"));
        schema::result(
            &["state", "pipelines", "total", "returned", "complete"],
            &fields,
        )
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Only pipelines of this service.
    service: Option<String>,
    /// One pipeline (FQN or name), with its runs.
    pipeline: Option<String>,
    /// Runs since: 24h, 7d (default) or a time; errors are listed.
    since: Option<String>,
    /// Rows of a page (default 25).
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next` of the page before; the rest as it was.
    cursor: Option<String>,
}

const DEFAULT_LIMIT: u32 = 25;
/// How far back runs are read where the caller does not say.
const DEFAULT_RANGE: i64 = 7 * times::DAY;
/// How far back a last success is looked for.
const LONGEST_RANGE: i64 = 100 * times::DAY;
/// Pipelines whose runs are read; each costs a request or two.
const MOST_PIPELINES: usize = 300;
const AT_ONCE: usize = 6;
/// Late or failed pipelines that a service's row names; the rest is counted.
const MOST_NAMES: usize = 5;
/// Different errors that are listed.
const MOST_ERRORS: usize = 10;

/// A pipeline with what its runs tell.
struct Looked {
    pipeline: IngestionPipeline,
    /// In the range, newest first; none where they could not be read.
    runs: Option<Vec<Run>>,
    freshness: Freshness,
}

async fn call(context: &Context, sent: Value) -> Outcome {
    let (arguments, cursor_scope): (Arguments, _) = arguments::read_paged(NAME, sent)?;
    let catalog = context.catalog()?;
    let now = subject::time_of(context, &catalog);
    let asked_since = time::past("since", arguments.since.as_deref(), now)?;
    let since = asked_since.unwrap_or(now - DEFAULT_RANGE);
    let start = cursor_scope.position(arguments.cursor.as_deref())? as usize;
    let limit = arguments.limit.unwrap_or(DEFAULT_LIMIT) as usize;
    let deadline = context.deadline();

    let mut answer = Answer::new(Budget::of(if arguments.limit.is_some() {
        7_600
    } else {
        1_800
    }));
    subject::put_source(&mut answer, &catalog);
    let (found, cut) = chosen(context, &catalog, &arguments).await?;
    let client = catalog.pipeline_client(deadline).await;
    answer.put("state", state(&client));
    if let Some(cut) = &cut {
        answer.warn(format!("not all pipelines were looked at: {cut}"));
    }
    let total = found.len();
    if total > MOST_PIPELINES {
        answer.warn(format!(
            "the runs of {} pipelines were not looked at: name a service",
            total - MOST_PIPELINES
        ));
    }
    let looked: Vec<(Looked, Option<String>)> = stream::iter(found.into_iter().enumerate())
        .map(|(position, pipeline)| look(context, &catalog, pipeline, position, since, now))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut all = Vec::with_capacity(looked.len());
    for (one, missed) in looked {
        if let Some(missed) = missed {
            answer.warn(format!("could not look at {missed}"));
        }
        all.push(one);
    }

    answer.put("since", times::text(since));
    if arguments.pipeline.is_some() || asked_since.is_some() {
        put_errors(&mut answer, &all);
    }
    if let (Some(_), [one]) = (&arguments.pipeline, &all[..]) {
        put_runs(&mut answer, one, start, limit, &cursor_scope);
        return Ok(answer);
    }
    put_services(&mut answer, &all);
    let mut table = pipeline_table();
    for one in all.iter().skip(start).take(limit) {
        table.push(row(one));
    }
    answer.page(
        "pipelines",
        Page {
            table,
            total: match cut {
                None => Total::Exact(total as u64),
                Some(_) => Total::AtLeast(total as u64),
            },
            start: start as u64,
            scope: &cursor_scope,
        },
    );
    Ok(answer)
}

/// The pipelines that the call is about, and why these are not all.
async fn chosen(
    context: &Context,
    catalog: &Catalog,
    arguments: &Arguments,
) -> Result<(Vec<IngestionPipeline>, Option<String>), ToolError> {
    let deadline = context.deadline();
    let service = match &arguments.service {
        Some(service) => Some(subject::service(catalog, service).await?),
        None => None,
    };
    if let Some(name) = &arguments.pipeline {
        let pipeline = pipelines::named(catalog, name, deadline).await?;
        if let Some(service) = service.filter(|service| service.fqn != pipeline.service) {
            return Err(ToolError::invalid(
                "pipeline",
                format!("`{}` is no pipeline of {}", pipeline.fqn, service.fqn),
                "leave `service` away, or name a pipeline of it",
            ));
        }
        return Ok((vec![pipeline], None));
    }
    let scope = service.map_or(Scope::Everything, Scope::Entity);
    Ok(catalog.ingestion_pipelines(&scope, deadline).await?)
}

/// Reads the runs of a pipeline, and older ones where there was no success in the range.
async fn look(
    context: &Context,
    catalog: &Catalog,
    pipeline: IngestionPipeline,
    position: usize,
    since: i64,
    now: i64,
) -> (Looked, Option<String>) {
    let never_ran = Freshness {
        age: None,
        is_fresh: None,
    };
    if position >= MOST_PIPELINES {
        let looked = Looked {
            pipeline,
            runs: None,
            freshness: never_ran,
        };
        return (looked, None);
    }
    let deadline = context.deadline();
    let answer = catalog
        .ingestion_runs(&pipeline.fqn, since, now, deadline)
        .await;
    let mut runs = match answer {
        Ok(runs) => runs,
        Err(error) => {
            let missed = format!("the runs of {}: {error}", pipeline.fqn);
            let freshness = freshness(&pipeline, &[], now);
            let looked = Looked {
                // Without runs `late` would be a guess, unless the newest run was a success.
                freshness: match freshness.age {
                    Some(_) => freshness,
                    None => never_ran,
                },
                pipeline,
                runs: None,
            };
            return (looked, Some(missed));
        }
    };
    let in_range = runs.len();
    let mut missed = None;
    let has_success = runs
        .iter()
        .chain(&pipeline.last)
        .any(|run| run.state.is_success());
    let has_run = pipeline.last.is_some() || in_range > 0;
    if !has_success && has_run && since > now - LONGEST_RANGE {
        match catalog
            .ingestion_runs(&pipeline.fqn, now - LONGEST_RANGE, now, deadline)
            .await
        {
            Ok(older) => runs.extend(older.into_iter().filter(|run| run.started < since)),
            Err(error) => missed = Some(format!("older runs of {}: {error}", pipeline.fqn)),
        }
    }
    let freshness = freshness(&pipeline, &runs, now);
    runs.truncate(in_range);
    let looked = Looked {
        pipeline,
        runs: Some(runs),
        freshness,
    };
    (looked, missed)
}

fn state(client: &PipelineClient) -> String {
    match client {
        PipelineClient::Healthy => "healthy".into(),
        PipelineClient::Disabled { said } => {
            format!("disabled ({said}): OpenMetadata itself runs no pipelines")
        }
        PipelineClient::Unhealthy { said } => format!("unhealthy ({said})"),
        PipelineClient::NotLooked { why } => format!("could not look ({why})"),
    }
}

/// Newest run: of the runs, or of the list.
fn newest(one: &Looked) -> Option<&Run> {
    let of_runs = one.runs.as_ref().and_then(|runs| runs.first());
    of_runs
        .into_iter()
        .chain(&one.pipeline.last)
        .max_by_key(|run| run.started)
}

fn pipeline_table() -> Table {
    Table::new(&[
        "fqn",
        "type",
        "schedule",
        "enabled",
        "last",
        "success_rate",
        "runs",
        "fresh",
        "age",
    ])
}

fn row(one: &Looked) -> Vec<Value> {
    let last = newest(one);
    let rate = one.runs.as_deref().and_then(success_rate);
    vec![
        one.pipeline.fqn.clone().into(),
        one.pipeline.kind.clone().into(),
        match (&one.pipeline.schedule, &one.pipeline.timezone) {
            (Some(schedule), Some(zone)) => format!("{schedule} {zone}").into(),
            (Some(schedule), None) => schedule.clone().into(),
            (None, _) => "none".into(),
        },
        // Enabled is the rule.
        if one.pipeline.is_enabled {
            Value::Null
        } else {
            false.into()
        },
        match (last, &one.runs) {
            (Some(run), _) => {
                json!({"state": run.state.as_str(), "at": times::text(run.started)})
            }
            (None, Some(_)) => json!({"state": "never_ran"}),
            (None, None) => Value::Null,
        },
        rate.map(|rate| (rate * 100.0).round() / 100.0).into(),
        one.runs
            .as_ref()
            .map(Vec::len)
            .filter(|count| *count > 0)
            .into(),
        one.freshness.is_fresh.into(),
        one.freshness.age.map(times::length).into(),
    ]
}

/// One row a service: how many pipelines it has, which of them are late, whose last run failed.
fn put_services(answer: &mut Answer, all: &[Looked]) {
    #[derive(Default)]
    struct Sums<'a> {
        pipelines: u64,
        late: Vec<&'a str>,
        failed: Vec<&'a str>,
        youngest: Option<i64>,
    }
    let mut services: BTreeMap<&str, Sums> = BTreeMap::new();
    for one in all {
        let sums = services.entry(&one.pipeline.service).or_default();
        sums.pipelines += 1;
        if one.freshness.is_fresh == Some(false) {
            sums.late.push(&one.pipeline.name);
        }
        if newest(one).is_some_and(|run| run.state == RunState::Failed) {
            sums.failed.push(&one.pipeline.name);
        }
        sums.youngest = match (sums.youngest, one.freshness.age) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
    let mut table = Table::new(&["service", "pipelines", "fresh", "late", "failed", "age"]);
    for (service, sums) in services.iter().take(20) {
        let known = all
            .iter()
            .any(|one| one.pipeline.service == *service && one.freshness.is_fresh.is_some());
        table.push(vec![
            (*service).into(),
            sums.pipelines.into(),
            if known {
                sums.late.is_empty().into()
            } else {
                Value::Null
            },
            lineage::some(&sums.late, MOST_NAMES),
            lineage::some(&sums.failed, MOST_NAMES),
            sums.youngest.map(times::length).into(),
        ]);
    }
    table.cut_to(answer.room() / 2);
    if services.len() > table.len() {
        answer.warn(format!(
            "{} of {} services are summed up: name one",
            table.len(),
            services.len()
        ));
    }
    if !table.is_empty() {
        answer.put("services", table.into_value());
    }
}

/// Errors of failed runs, equal ones once with how often they came.
fn put_errors(answer: &mut Answer, all: &[Looked]) {
    struct Seen<'a> {
        count: u64,
        last: i64,
        stack_trace: Option<&'a str>,
    }
    let mut seen: BTreeMap<(&str, &str, &str), Seen> = BTreeMap::new();
    let mut unexplained = 0;
    for one in all {
        for run in one.runs.iter().flatten() {
            if run.state == RunState::Failed && run.errors.is_empty() {
                unexplained += 1;
            }
            for error in &run.errors {
                let key = (
                    one.pipeline.fqn.as_str(),
                    error.what.as_str(),
                    error.error.as_str(),
                );
                let entry = seen.entry(key).or_insert(Seen {
                    count: 0,
                    last: run.started,
                    stack_trace: error.stack_trace.as_deref(),
                });
                entry.count += 1;
                entry.last = entry.last.max(run.started);
            }
        }
    }
    let mut errors: Vec<_> = seen.into_iter().collect();
    errors.sort_by_key(|(_, seen)| std::cmp::Reverse(seen.last));
    let mut table = Table::new(&[
        "pipeline",
        "what",
        "error",
        "count",
        "last_at",
        "stack_trace",
    ]);
    for ((pipeline, what, error), seen) in errors.iter().take(MOST_ERRORS) {
        table.push(vec![
            (*pipeline).into(),
            clean::text(what, 100).into(),
            clean::text(error, 300).into(),
            seen.count.into(),
            times::text(seen.last).into(),
            seen.stack_trace.map(|trace| clean::text(trace, 400)).into(),
        ]);
    }
    table.cut_to(answer.room() / 2);
    if errors.len() > table.len() {
        answer.warn(format!(
            "{} of {} different errors are listed, newest first: name a pipeline",
            table.len(),
            errors.len()
        ));
    }
    if !table.is_empty() {
        answer.put("errors", table.into_value());
    }
    if unexplained > 0 {
        answer.warn(format!(
            "{unexplained} failed runs carry no error text in OpenMetadata"
        ));
    }
}

/// One pipeline with a page of its runs.
fn put_runs(answer: &mut Answer, one: &Looked, start: usize, limit: usize, scope: &CursorScope) {
    let mut table = pipeline_table();
    table.push(row(one));
    answer.put("pipelines", table.into_value());
    let runs = one.runs.as_deref().unwrap_or_default();
    let mut table = Table::new(&["at", "state", "took", "errors"]);
    for run in runs.iter().skip(start).take(limit) {
        table.push(vec![
            times::text(run.started).into(),
            run.state.as_str().into(),
            run.ended
                .map(|ended| times::length(ended - run.started))
                .into(),
            Some(run.errors.len()).filter(|count| *count > 0).into(),
        ]);
    }
    answer.page(
        "runs",
        Page {
            table,
            total: match one.runs {
                Some(_) => Total::Exact(runs.len() as u64),
                None => Total::AtLeast(0),
            },
            start: start as u64,
            scope,
        },
    );
}
