//! `analyze_impact`: what is affected when an entity, a column or a service changes or is lost.

mod summary;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Call, Context, Effect, ErrorCode, Outcome, Tool, ToolError, Toolset, arguments, lineage,
    platform,
    schema::{self, list, object, string, table},
    subject,
};
use crate::{
    answer::{self, Answer, Budget, CursorScope, Table, Total},
    bridge::impact,
    catalog::{
        Catalog, EntitySummary,
        graph::{Direction, NodeIndex, Origin, columns::trace, walk::walk},
        lineage::{self as lineage_of, Lineage, Reach, downstream_of_all},
    },
    platform::Service,
};
use summary::{Affected, Item};

pub const TOOL: Tool = Tool {
    name: "analyze_impact",
    title: "Analyze impact",
    description: "What breaks when an entity, a column, everything in a service (database, schema) or \
                  a platform service changes or is lost: all downstream by type, tier, owner, \
                  domain, and whom to tell.",
    toolset: Toolset::Catalog,
    effect: Effect::Read,
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        let mut fields = schema::paged("items");
        fields.extend([
            ("of", object()),
            ("affected", object()),
            ("notify", table()),
            ("dashboards", list(string())),
            ("unknown", object()),
            ("more_beyond", list(string())),
        ]);
        schema::result(
            &["of", "affected", "items", "total", "returned", "complete"],
            &fields,
        )
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// FQN, type:fqn, id or page URL.
    entity: Option<String>,
    /// Instead of entity: a service of the platform, or of the catalog.
    service: Option<String>,
    /// A column of entity: only what it reaches.
    column: Option<String>,
    /// Hops; default all.
    #[schemars(range(min = 1, max = 100))]
    depth: Option<u32>,
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
    /// `next` of the page before; the rest as it was.
    cursor: Option<String>,
}

async fn call(context: &Context, sent: Value) -> Outcome {
    let (asked, scope): (Arguments, _) = arguments::read_paged("analyze_impact", sent)?;
    let start = scope.position(asked.cursor.as_deref())?;
    let depth = asked.depth.unwrap_or(Reach::EVERYTHING);
    let catalog = context.catalog()?;
    let (service, entity) = (asked.service.as_deref(), asked.entity.as_deref());
    if let Some(service) = platform::meant(context, service, entity) {
        let (mut answer, collected) = of_platform(context, &catalog, &asked, service).await?;
        let (items, goes_on) = by_entity(&collected, depth, true);
        let found = Found {
            collected,
            items,
            goes_on,
            depth,
        };
        put_found(
            &mut answer,
            context,
            &catalog,
            found,
            &Rest {
                start,
                limit: asked.limit,
                scope: &scope,
            },
        )
        .await;
        return Ok(answer);
    }
    let subject = subject(&catalog, &asked).await?;
    let container = lineage_of::container(&subject);
    let column = match (&asked.column, &container) {
        (None, _) => None,
        (Some(_), Some(_)) => {
            return Err(ToolError::invalid(
                "column",
                format!("a {} has no columns", subject.entity_type),
                "name the column's own entity as `entity`, or leave `column` away",
            ));
        }
        (Some(written), None) => {
            Some(lineage::column(&catalog, &subject, "column", written).await?)
        }
    };
    let collected = match &container {
        Some(_) => {
            catalog
                .all_downstream_of(&subject, context.deadline())
                .await?
        }
        None => {
            let reach = Reach::only(Direction::Downstream, depth);
            catalog.lineage(&subject, reach, context.deadline()).await?
        }
    };

    let mut answer = Answer::new(budget(&asked));
    let mut of = json!({"fqn": subject.fqn, "type": subject.entity_type.as_str()});
    if let Some(column) = &column {
        of["column"] = column.as_str().into();
    }
    answer.put("of", of);
    let (items, goes_on) = match &column {
        Some(column) => by_column(&mut answer, &collected, column, depth),
        None => by_entity(&collected, depth, container.is_some()),
    };
    let found = Found {
        collected,
        items,
        goes_on,
        depth,
    };
    let rest = Rest {
        start,
        limit: asked.limit,
        scope: &scope,
    };
    put_found(&mut answer, context, &catalog, found, &rest).await;
    Ok(answer)
}

fn budget(asked: &Arguments) -> Budget {
    if asked.limit.is_some() {
        Budget::HARD
    } else {
        Budget::DEFAULT
    }
}

/// What a service of the platform carries, with all that need it.
async fn of_platform(
    context: &Context,
    catalog: &Catalog,
    asked: &Arguments,
    service: &Service,
) -> Result<(Answer, Lineage), ToolError> {
    /// Services that are named; the rest is counted.
    const MOST: usize = 10;
    if asked.column.is_some() {
        return Err(ToolError::invalid(
            "column",
            format!("{} is a service, which has no columns", service.name),
            "leave `column` away",
        ));
    }
    let platform = context.platform()?.platform();
    let stopped = impact::stopped_with(platform, &service.name.0);
    let carried = impact::carried_by(platform, [service.name.0.as_str()]);
    let (lineages, missed) = impact::lineages_of(catalog, &carried, context.deadline()).await?;
    let mut answer = Answer::new(budget(asked));
    let mut of = json!({"platform_service": service.name.0});
    if !stopped.is_empty() {
        of["stops"] = platform::some(&stopped, MOST);
    }
    let datasets: Vec<String> = carried
        .iter()
        .map(|carried| format!("{} (by {})", carried.dataset, carried.service))
        .collect();
    if datasets.is_empty() {
        answer.warn(
            "the platform file gives no datasets of it or of what needs it: what it carries is \
             not known",
        );
    } else {
        of["datasets"] = platform::some(&datasets, MOST);
    }
    answer.put("of", of);
    for missed in missed {
        answer.warn(format!("could not look at {missed}"));
    }
    Ok((answer, downstream_of_all(lineages)))
}

/// What was collected and what of it is affected.
struct Found {
    collected: Lineage,
    items: Vec<Item>,
    goes_on: bool,
    depth: u32,
}

/// Where the page of this call stands.
struct Rest<'a> {
    start: u64,
    limit: Option<u32>,
    scope: &'a CursorScope,
}

/// The sums, whom to tell, and the page.
async fn put_found(
    answer: &mut Answer,
    context: &Context,
    catalog: &Catalog,
    found: Found,
    rest: &Rest<'_>,
) {
    let Found {
        mut collected,
        mut items,
        goes_on,
        depth,
    } = found;
    let nodes: Vec<NodeIndex> = items.iter().map(|item| item.node).collect();
    let unread = catalog
        .add_owners(&mut collected, &nodes, context.deadline())
        .await;
    if unread > 0 {
        answer.warn(format!(
            "owners, tier and domains of {unread} of {} affected were not read (counted as not read)",
            nodes.len()
        ));
    }
    lineage::put_provenance(answer, catalog, &collected, depth);
    if goes_on {
        answer.put("more_beyond", json!(["downstream"]));
    }
    summary::sort(&collected.graph, &mut items);
    let affected = Affected::of(&collected.graph, &items);
    answer.put("affected", affected.counts(&collected));
    answer.put("dashboards", affected.dashboards());
    let notify = affected.notify(&collected.graph, &items);
    answer.put("notify", notify.table);
    if notify.left > 0 {
        answer.warn(format!(
            "{} more owners are affected than notify names; affected.by_owner counts them",
            notify.left
        ));
    }
    let page = page(&collected, &items, rest.start, rest.limit);
    answer.page(
        "items",
        answer::Page {
            table: page,
            total: if collected.gaps.is_empty() {
                Total::Exact(items.len() as u64)
            } else {
                Total::AtLeast(items.len() as u64)
            },
            start: rest.start.min(items.len() as u64),
            scope: rest.scope,
        },
    );
}

/// What may change or be lost.
async fn subject(catalog: &Catalog, asked: &Arguments) -> Result<EntitySummary, ToolError> {
    match (&asked.entity, &asked.service) {
        (Some(entity), None) => lineage::entity(catalog, "entity", entity).await,
        (None, Some(service)) => {
            let found = match lineage::entity(catalog, "service", service).await {
                Err(error) if error.code == ErrorCode::NotFound => {
                    return Err(subject::near_services(catalog, service, error).await);
                }
                found => found?,
            };
            if found.entity_type.as_str().ends_with("Service") {
                Ok(found)
            } else {
                Err(ToolError::invalid(
                    "service",
                    format!("{} is a {}, not a service", found.fqn, found.entity_type),
                    "give it as `entity`",
                ))
            }
        }
        (Some(_), Some(_)) => Err(ToolError::invalid(
            "service",
            "both `entity` and `service` are given",
            "give one of them",
        )),
        (None, None) => Err(ToolError::invalid(
            "entity",
            "neither `entity` nor `service` is given",
            "give the entity or the service that may change",
        )),
    }
}

/// Everything downstream; of a container what is in it too, at depth 0.
fn by_entity(collected: &Lineage, depth: u32, is_container: bool) -> (Vec<Item>, bool) {
    let walked = walk(
        &collected.graph,
        &collected.origin,
        Direction::Downstream,
        depth,
    );
    let items = walked
        .visits
        .iter()
        .filter(|visit| is_container || visit.depth > 0)
        .map(|visit| Item {
            node: visit.node,
            depth: visit.depth,
            columns: Vec::new(),
        })
        .collect();
    (items, walked.goes_on)
}

/// What a column reaches; and what it may reach, as edges there name no columns.
fn by_column(
    answer: &mut Answer,
    collected: &Lineage,
    column: &str,
    depth: u32,
) -> (Vec<Item>, bool) {
    let Some(root) = collected.root else {
        return (Vec::new(), false);
    };
    let graph = &collected.graph;
    let traced = trace(
        graph,
        root,
        &[column.to_owned()],
        Direction::Downstream,
        depth,
    );
    let unmapped = Origin {
        upstream: Vec::new(),
        downstream: traced.unmapped.iter().map(|&node| (node, 0)).collect(),
    };
    let unknown: BTreeSet<NodeIndex> = walk(graph, &unmapped, Direction::Downstream, depth)
        .visits
        .iter()
        .map(|visit| visit.node)
        .filter(|node| *node != root && !traced.reached.contains_key(node))
        .collect();
    if !unknown.is_empty() {
        /// Names; the rest is counted.
        const MOST: usize = 10;
        let mut first: Vec<NodeIndex> = traced.unmapped.iter().copied().collect();
        first.sort_by(|&a, &b| graph.by_name(a, b));
        answer.put(
            "unknown",
            json!({"total": unknown.len(), "first": lineage::names(graph, &first, MOST)}),
        );
        answer.warn(format!(
            "{} more entities are downstream of edges that name no columns: whether the column \
             reaches them is not known; `unknown.first` are the nearest",
            unknown.len()
        ));
    }
    let items = traced
        .reached
        .iter()
        .map(|(&node, reached)| Item {
            node,
            depth: reached.depth,
            columns: reached
                .columns
                .iter()
                .map(|column| lineage::column_name(graph.node(node), column).to_owned())
                .collect(),
        })
        .collect();
    (items, traced.goes_on)
}

fn page(collected: &Lineage, items: &[Item], start: u64, limit: Option<u32>) -> Table {
    let first = usize::try_from(start).unwrap_or(usize::MAX);
    let limit = limit.map_or(lineage::MOST_ROWS, |limit| limit as usize);
    let mut table = Table::new(&["fqn", "type", "depth", "owners", "tier", "columns", "state"]);
    for item in items.iter().skip(first).take(limit) {
        let node = collected.graph.node(item.node);
        let owners: Vec<&str> = node
            .owners
            .iter()
            .map(|owner| owner.name.as_str())
            .collect();
        table.push(vec![
            node.fqn.into(),
            node.entity_type.as_str().into(),
            item.depth.into(),
            json!(owners),
            lineage::tier(node).into(),
            json!(item.columns),
            lineage::state(collected, item.node),
        ]);
    }
    table
}
