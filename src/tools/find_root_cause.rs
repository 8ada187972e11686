//! `find_root_cause`: what is wrong on and upstream of something, ranked.

mod services;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Call, Context, Effect, Outcome, Tool, ToolError, Toolset, arguments, platform, schema, subject,
    time,
};
use crate::{
    answer::{Answer, Budget, Page, Table, Total, time as times},
    catalog::root_cause::LookedAt,
};

const NAME: &str = "find_root_cause";

pub const TOOL: Tool = Tool {
    name: NAME,
    title: "Find root cause",
    description: "Why an entity, test, dashboard or service may be wrong: down services, failing \
                  tests, failed pipelines, failed or late ingestion, schema changes on it and \
                  upstream, deployments, ranked.",
    toolset: Toolset::Catalog,
    effect: Effect::Read,
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        let mut fields = vec![
            ("result", schema::string()),
            ("symptom", schema::object()),
            ("looked_at", schema::object()),
            ("could_not_look", schema::list(schema::string())),
            ("runtime", schema::object()),
            ("last_lines", schema::list(schema::string())),
        ];
        fields.extend(schema::paged("causes"));
        schema::result(
            &[
                "result",
                "causes",
                "looked_at",
                "total",
                "returned",
                "complete",
            ],
            &fields,
        )
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Table, dashboard, test case, …: FQN, type:fqn, id or page URL.
    entity: Option<String>,
    /// A service of the platform or of the catalog, instead of an entity.
    service: Option<String>,
    /// Schema changes since: 7d (default) or a time.
    since: Option<String>,
    /// Rows of a page (default 20).
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next` of the page before; the rest as it was.
    cursor: Option<String>,
}

const DEFAULT_LIMIT: u32 = 20;
const DEFAULT_WINDOW: i64 = 7 * times::DAY;

async fn call(context: &Context, sent: Value) -> Outcome {
    let (arguments, cursor_scope): (Arguments, _) = arguments::read_paged(NAME, sent)?;
    let (service, entity) = (arguments.service.as_deref(), arguments.entity.as_deref());
    if let Some(service) = platform::meant(context, service, entity) {
        return services::root_cause(context, service).await;
    }
    let catalog = context.catalog()?;
    let now = subject::time_of(context, &catalog);
    let since =
        time::past("since", arguments.since.as_deref(), now)?.unwrap_or(now - DEFAULT_WINDOW);
    let start = cursor_scope.position(arguments.cursor.as_deref())?;
    let scope = subject::scope(
        &catalog,
        arguments.entity.as_deref(),
        arguments.service.as_deref(),
    )
    .await?;
    let Some(target) = scope.target() else {
        return Err(ToolError::invalid(
            "entity",
            "neither `entity` nor `service` is given",
            "name what is wrong; get_data_quality without arguments lists all that fails",
        ));
    };
    let found = Box::pin(catalog.root_cause(target, since, now, context.deadline()))
        .await
        .map_err(|error| ToolError::from(error).about("entity"))?;
    let symptom = found.symptom.iter().filter_map(|symptom| symptom.since);
    let wrong: Vec<i64> = symptom
        .chain(found.causes.iter().filter_map(|cause| cause.since))
        .collect();
    let carried = services::under(context, &catalog, target, &wrong).await;

    let mut answer = Answer::new(Budget::of(if arguments.limit.is_some() {
        7_600
    } else {
        1_800
    }));
    subject::put_source(&mut answer, &catalog);
    let count = found.causes.len() + carried.causes.len() + carried.deployed.len();
    answer.put(
        "result",
        match (count, found.missed.is_empty() && carried.missed.is_empty()) {
            (0, true) if found.looked_at == LookedAt::default() => {
                "nothing found: there was nothing to look at".to_owned()
            }
            (0, true) => "nothing found in all that was looked at".to_owned(),
            (0, false) => "nothing found, but not everything could be looked at".to_owned(),
            (count, _) => format!("{count} possible causes, the likeliest first"),
        },
    );
    if let Some(symptom) = found.symptom {
        let mut fields = json!({"test": symptom.test, "evidence": symptom.evidence});
        if let Some(since) = symptom.since {
            fields["since"] = times::text(since).into();
        }
        answer.put("symptom", fields);
    }
    let looked_at = found.looked_at;
    answer.put(
        "looked_at",
        json!({
            "entities": looked_at.entities,
            "hops_upstream": looked_at.hops,
            "tests": looked_at.tests,
            "pipelines": looked_at.pipelines,
            "ingestion_pipelines": looked_at.ingestion_pipelines,
            "versions": looked_at.versions,
            "schema_changes_since": times::text(since),
            "platform_services": carried.looked_at,
        }),
    );
    let missed: Vec<String> = found.missed.into_iter().chain(carried.missed).collect();
    let is_whole = missed.is_empty();
    answer.put("could_not_look", missed);
    for note in found.notes {
        answer.warn(note);
    }
    let limit = arguments.limit.unwrap_or(DEFAULT_LIMIT) as usize;
    let mut table = Table::new(&["kind", "subject", "distance", "since", "evidence"]);
    // A service that does not run is the surest reason why its data is wrong.
    let of_services = carried.causes.iter().map(services::row);
    let of_deployments = carried.deployed.iter();
    let of_deployments =
        of_deployments.map(|(distance, one)| services::row_of_deployment(*distance, one));
    let of_catalog = found.causes.into_iter().map(|cause| {
        vec![
            cause.kind.as_str().into(),
            cause.subject.into(),
            cause.distance.into(),
            cause.since.map(times::text).into(),
            cause.evidence.into(),
        ]
    });
    for row in of_services
        .chain(of_deployments)
        .chain(of_catalog)
        .skip(start as usize)
        .take(limit)
    {
        table.push(row);
    }
    answer.page(
        "causes",
        Page {
            table,
            total: if is_whole {
                Total::Exact(count as u64)
            } else {
                Total::AtLeast(count as u64)
            },
            start,
            scope: &cursor_scope,
        },
    );
    Ok(answer)
}
