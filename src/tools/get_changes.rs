//! `get_changes`: one timeline of what happened in the catalog and to the services.

mod deployments;
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
    catalog::{
        Catalog,
        changes::{Asked, Change, ChangeKind, Timeline},
        scope::Scope,
    },
    platform::Service,
};

const NAME: &str = "get_changes";

pub const TOOL: Tool = Tool {
    name: NAME,
    title: "Get changes",
    description: "Timeline, newest first: changes of schema, lineage and entities, test results that \
                  changed, incidents, failed ingestion, services that went down or came back, \
                  deployments; of an entity, a service or everything.",
    toolset: Toolset::Catalog,
    effect: Effect::Read,
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        let mut fields = vec![
            ("window", schema::object()),
            ("looked_at", schema::list(schema::string())),
            ("could_not_look", schema::list(schema::string())),
        ];
        fields.extend(schema::paged("changes"));
        schema::result(
            &["window", "changes", "total", "returned", "complete"],
            &fields,
        )
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// FQN, type:fqn, id or page URL; what lies below it counts too.
    entity: Option<String>,
    /// Everything of this service, of the platform or of the catalog.
    service: Option<String>,
    /// 24h (default), 7d or a time.
    since: Option<String>,
    /// Now (default), or as `since`.
    until: Option<String>,
    /// All (default) or some.
    kinds: Option<Vec<Kind>>,
    /// Rows of a page (default 25).
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next` of the page before; the rest as it was.
    cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Schema,
    Lineage,
    Entity,
    Test,
    Incident,
    Ingestion,
    Health,
    Deployment,
}

impl Kind {
    /// None: the platform tells.
    fn of_catalog(self) -> Option<ChangeKind> {
        Some(match self {
            Self::Schema => ChangeKind::Schema,
            Self::Lineage => ChangeKind::Lineage,
            Self::Entity => ChangeKind::Entity,
            Self::Test => ChangeKind::Test,
            Self::Incident => ChangeKind::Incident,
            Self::Ingestion => ChangeKind::Ingestion,
            Self::Health | Self::Deployment => return None,
        })
    }
}

const DEFAULT_LIMIT: u32 = 25;
const DEFAULT_WINDOW: i64 = times::DAY;

async fn call(context: &Context, sent: Value) -> Outcome {
    let (arguments, cursor_scope): (Arguments, _) = arguments::read_paged(NAME, sent)?;
    let catalog = context.catalog()?;
    let now = subject::time_of(context, &catalog);
    let until = time::past("until", arguments.until.as_deref(), now)?.unwrap_or(now);
    let since =
        time::past("since", arguments.since.as_deref(), now)?.unwrap_or(until - DEFAULT_WINDOW);
    if since >= until {
        return Err(ToolError::invalid(
            "until",
            "`until` does not come after `since`",
            "give an earlier `since` or a later `until`",
        ));
    }
    let start = cursor_scope.position(arguments.cursor.as_deref())?;
    let kinds: Vec<ChangeKind> = match &arguments.kinds {
        Some(kinds) => kinds.iter().filter_map(|kind| kind.of_catalog()).collect(),
        None => ChangeKind::ALL.to_vec(),
    };
    let service = platform::meant(
        context,
        arguments.service.as_deref(),
        arguments.entity.as_deref(),
    );
    let scopes = match service {
        Some(service) => of_datasets(&catalog, service).await?,
        None => vec![
            subject::scope(
                &catalog,
                arguments.entity.as_deref(),
                arguments.service.as_deref(),
            )
            .await?,
        ],
    };
    let wants = |kind| {
        let kinds = arguments.kinds.as_ref();
        kinds.is_none_or(|kinds| kinds.contains(&kind))
    };
    let scope = scopes.first().unwrap_or(&Scope::Everything);
    let became = if wants(Kind::Health) {
        services::became(context, &arguments, service, scope).await?
    } else {
        services::Became::default()
    };
    let deployed = if wants(Kind::Deployment) {
        deployments::done(context, &arguments, service, scope).await?
    } else {
        deployments::Deployed::default()
    };
    let mut timeline = Timeline::default();
    for scope in scopes.iter().filter(|_| !kinds.is_empty()) {
        let asked = Asked {
            scope,
            kinds: &kinds,
            since,
            until,
            copy: context.copy(),
        };
        timeline.add(catalog.changes(asked, context.deadline()).await);
    }
    timeline.looked_at.extend(became.looked_at);
    timeline.missed.extend(became.missed);
    timeline.looked_at.extend(deployed.looked_at);
    timeline.missed.extend(deployed.missed);

    let mut answer = Answer::new(Budget::of(if arguments.limit.is_some() {
        7_600
    } else {
        1_800
    }));
    subject::put_source(&mut answer, &catalog);
    answer.put(
        "window",
        json!({"since": times::text(since), "until": times::text(until)}),
    );
    answer.put("looked_at", timeline.looked_at);
    for absent in timeline.absent {
        answer.warn(absent);
    }
    let left = became.left + deployed.left;
    let is_whole = timeline.missed.is_empty() && left == 0;
    answer.put("could_not_look", timeline.missed);
    let mut rows: Vec<(i64, Vec<Value>)> = timeline.changes.into_iter().map(row).collect();
    rows.extend(became.transitions.iter().map(services::row));
    rows.extend(deployed.rows);
    // Stable: within one moment the catalog's order stays.
    rows.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let total = rows.len() as u64 + left;
    let limit = arguments.limit.unwrap_or(DEFAULT_LIMIT) as usize;
    let mut table = Table::new(&["at", "kind", "subject", "what", "by"]);
    for (_, row) in rows.into_iter().skip(start as usize).take(limit) {
        table.push(row);
    }
    answer.page(
        "changes",
        Page {
            table,
            total: if is_whole {
                Total::Exact(total)
            } else {
                Total::AtLeast(total)
            },
            start,
            scope: &cursor_scope,
        },
    );
    Ok(answer)
}

/// The datasets that a service of the platform carries.
async fn of_datasets(catalog: &Catalog, service: &Service) -> Result<Vec<Scope>, ToolError> {
    let mut scopes = Vec::new();
    for dataset in &service.datasets {
        let target = subject::resolved(catalog, "service", dataset).await?;
        scopes.push(Scope::Entity(target));
    }
    Ok(scopes)
}

fn row(change: Change) -> (i64, Vec<Value>) {
    let row = vec![
        times::text(change.at).into(),
        change.kind.as_str().into(),
        change.subject.into(),
        change.what.into(),
        change.by.into(),
    ];
    (change.at, row)
}
