//! `get_data_quality`: test cases with their last result, incidents, counts of everything.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Call, Context, Effect, Outcome, Tool, Toolset, arguments, schema, subject, time};
use crate::{
    answer::{Answer, Budget, Page, Table, Total, time as times},
    catalog::{
        Catalog,
        quality::{Incident, IncidentState, Incidents, TestCase, latest_states},
        scope::Scope,
    },
};

const NAME: &str = "get_data_quality";

pub const TOOL: Tool = Tool {
    name: NAME,
    title: "Get data quality",
    description: "Data quality tests with their last results and the open incidents of an entity \
                  or a service; without either everything that fails.",
    toolset: Toolset::Catalog,
    effect: Effect::Read,
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        let mut fields = vec![
            ("shown", schema::string()),
            ("since", schema::string()),
            ("counts", schema::object()),
            ("incidents", schema::table()),
        ];
        fields.extend(schema::paged("tests"));
        schema::result(
            &["tests", "counts", "total", "returned", "complete"],
            &fields,
        )
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Table, schema or test case: FQN, type:fqn, id or page URL.
    entity: Option<String>,
    /// Everything of this service.
    service: Option<String>,
    /// Only tests of this status.
    status: Option<Status>,
    /// Only what happened since: 24h, 7d or a time.
    since: Option<String>,
    /// Rows of a page (default 25).
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next` of the page before; the rest as it was.
    cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    Failed,
    Aborted,
    Queued,
    Success,
    NeverRun,
}

/// Incidents that are listed; more are counted.
const MOST_INCIDENTS: usize = 20;
/// Tests whose last results are read to apply `since`; each may cost a request.
const MOST_DATED: usize = 300;
const DEFAULT_LIMIT: u32 = 25;

async fn call(context: &Context, sent: Value) -> Outcome {
    let (arguments, scope_of_cursor): (Arguments, _) = arguments::read_paged(NAME, sent)?;
    let catalog = context.catalog()?;
    let now = subject::time_of(context, &catalog);
    let since = time::past("since", arguments.since.as_deref(), now)?;
    let start = scope_of_cursor.position(arguments.cursor.as_deref())?;
    let scope = subject::scope(
        &catalog,
        arguments.entity.as_deref(),
        arguments.service.as_deref(),
    )
    .await?;

    let deadline = context.deadline();
    let (tests, incidents) = futures::join!(
        catalog.test_cases(&scope, deadline),
        // A day more: clocks differ, and the newest state is the one that counts.
        catalog.incidents(&scope, 0, now + times::DAY, deadline)
    );
    let tests = tests?;
    let mut answer = Answer::new(Budget::of(if arguments.limit.is_some() {
        7_600
    } else {
        1_800
    }));
    subject::put_source(&mut answer, &catalog);

    let mut counts = count(&tests.cases);
    let is_failing_only = scope == Scope::Everything && arguments.status.is_none();
    let mut chosen: Vec<TestCase> = tests
        .cases
        .into_iter()
        .filter(|case| match arguments.status {
            Some(status) => status_of(case) == status,
            None if is_failing_only => matches!(status_of(case), Status::Failed | Status::Aborted),
            None => true,
        })
        .collect();
    if is_failing_only {
        answer.put("shown", "failed and aborted tests of everything");
    }
    if let Some(since) = since {
        let left = dated(&catalog, &mut answer, &mut chosen, now, context).await;
        chosen.retain(|case| case.last.as_ref().is_some_and(|last| last.at >= since));
        answer.put("since", times::text(since));
        if left > 0 {
            answer.warn(format!(
                "{left} more tests were not dated for `since`: name an entity or a status"
            ));
        }
    }
    let total = chosen.len() as u64;
    let limit = arguments.limit.unwrap_or(DEFAULT_LIMIT) as usize;
    let mut rows: Vec<TestCase> = chosen
        .into_iter()
        .skip(start as usize)
        .take(limit)
        .collect();
    for missed in catalog.last_results(&mut rows, now, deadline).await {
        answer.warn(format!("could not look at {missed}"));
    }
    if let Some(cut) = &tests.cut {
        answer.warn(format!("not all tests were looked at: {cut}"));
    }

    match incidents {
        Ok(Incidents::Known { states, cut }) => {
            let all = latest_states(states);
            for incident in &all {
                *counts
                    .entry(format!("incidents_{}", incident.state.as_str()))
                    .or_insert(0) += 1;
            }
            put_incidents(&mut answer, &all, since);
            if let Some(cut) = cut {
                answer.warn(format!("not all incidents were looked at: {cut}"));
            }
        }
        Ok(Incidents::Unsupported) => {
            answer.warn(match catalog {
                Catalog::Live(_) => "this version of OpenMetadata has no incidents",
                Catalog::Snapshot(_) => "this copy holds no incidents",
            });
        }
        Err(error) => {
            answer.warn(format!("could not look at the incidents: {error}"));
        }
    }
    let counts: Map<String, Value> = counts
        .into_iter()
        .map(|(name, count)| (name, count.into()))
        .collect();
    answer.put("counts", counts);

    let mut table = Table::new(&["name", "fqn", "entity", "column", "status", "at", "result"]);
    for case in &rows {
        table.push(row(case));
    }
    answer.page(
        "tests",
        Page {
            table,
            total: match tests.cut {
                None => Total::Exact(total),
                Some(_) => Total::AtLeast(total),
            },
            start,
            scope: &scope_of_cursor,
        },
    );
    Ok(answer)
}

/// Reads the last results of the first tests; how many were left out.
async fn dated(
    catalog: &Catalog,
    answer: &mut Answer,
    cases: &mut [TestCase],
    now: i64,
    context: &Context,
) -> usize {
    let most = cases.len().min(MOST_DATED);
    for missed in catalog
        .last_results(&mut cases[..most], now, context.deadline())
        .await
    {
        answer.warn(format!("could not look at {missed}"));
    }
    cases.len() - most
}

fn status_of(case: &TestCase) -> Status {
    use crate::catalog::quality::TestStatus as Known;
    match case.status {
        Some(Known::Failed) => Status::Failed,
        Some(Known::Aborted) => Status::Aborted,
        Some(Known::Queued) => Status::Queued,
        Some(Known::Success) => Status::Success,
        None => Status::NeverRun,
    }
}

/// How many tests there are of each status; `tests` is the sum.
fn count(cases: &[TestCase]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::from([("tests".to_owned(), cases.len() as u64)]);
    for case in cases {
        let name = case.status.map_or("never_run", |status| status.as_str());
        *counts.entry(name.to_owned()).or_insert(0) += 1;
    }
    counts
}

fn put_incidents(answer: &mut Answer, all: &[Incident], since: Option<i64>) {
    let listed: Vec<&Incident> = all
        .iter()
        .filter(|incident| match since {
            Some(since) => incident.at >= since,
            None => incident.state != IncidentState::Resolved,
        })
        .collect();
    let mut table = Table::new(&["test", "state", "severity", "at", "assignee", "reason"]);
    for incident in listed.iter().take(MOST_INCIDENTS) {
        table.push(vec![
            incident.test.clone().into(),
            incident.state.as_str().into(),
            incident.severity.clone().into(),
            times::text(incident.at).into(),
            incident.assignee.clone().into(),
            incident.reason.clone().into(),
        ]);
    }
    table.cut_to(answer.room() / 2);
    if listed.len() > table.len() {
        answer.warn(format!(
            "{} of {} incidents are listed, newest first: name an entity for fewer",
            table.len(),
            listed.len()
        ));
    }
    if !table.is_empty() {
        answer.put("incidents", table.into_value());
    }
}

fn row(case: &TestCase) -> Vec<Value> {
    vec![
        case.name.clone().into(),
        case.fqn.clone().into(),
        case.entity.clone().into(),
        case.column.clone().into(),
        case.status
            .map_or("never_run", |status| status.as_str())
            .into(),
        case.last.as_ref().map(|last| times::text(last.at)).into(),
        case.last
            .as_ref()
            .and_then(|last| last.text.as_deref())
            .map(|text| crate::answer::clean::text(text, 300))
            .into(),
    ]
}
