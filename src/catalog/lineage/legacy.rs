//! Collects lineage through the old endpoint, which answers from the database, three hops at a
//! time.
//!
//! All that servers up to 1.6 have, and what newer ones have left while their search is down. Its
//! edges carry ids, the root stands apart from the nodes, and cycles repeat edges.

use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::{
    Gap, Lineage, MOST_NODES, Reach, before, documents, index, is_within, node_of, service_name,
};
use crate::catalog::{
    CatalogError, Client, EntitySummary, fqn,
    graph::{Detail, Direction, Edge, Graph, NodeIndex, Origin, walk::walk},
    model::EntityType,
    wire,
};

/// Hops that one request takes at most (recorded: 400 above).
const STRIDE: u32 = 3;
/// Requests at a time.
const AT_A_TIME: usize = 4;

pub(super) async fn collect(
    client: &Client,
    entity: &EntitySummary,
    reach: Reach,
    deadline: Instant,
) -> Result<Lineage, CatalogError> {
    let mut graph = Graph::default();
    let root = graph.add_node(node_of(entity, Detail::Full));
    let first = (reach.upstream.min(STRIDE), reach.downstream.min(STRIDE));
    let answer = before(
        deadline,
        ask(client, &entity.entity_type, &entity.fqn, first),
    )
    .await
    .ok_or_else(|| CatalogError::Timeout {
        message: "OpenMetadata did not answer in time".into(),
    })??;
    add(&mut graph, &answer)?;
    let origin = Origin::of_node(root);
    let mut gaps = Vec::new();
    let mut unknown_beyond = Vec::new();
    for direction in [Direction::Upstream, Direction::Downstream] {
        let depth = reach.of(direction);
        if depth == 0 {
            continue;
        }
        let gap = follow(
            client,
            &mut graph,
            &origin,
            direction,
            depth.min(STRIDE),
            depth,
            deadline,
        )
        .await;
        if gap.is_none() && !at_rim(&graph, &origin, direction, depth).is_empty() {
            unknown_beyond.push(direction);
        }
        gaps.extend(gap);
    }
    Ok(Lineage {
        origin,
        root: Some(root),
        gaps,
        unknown_beyond,
        ..Lineage::new(graph)
    })
}

/// Everything downstream of what lives in a service, a database or a schema. Its members come out
/// of the search index, which old servers have as well.
pub(super) async fn collect_container(
    client: &Client,
    service: &str,
    within: &str,
    deadline: Instant,
) -> Result<Lineage, CatalogError> {
    let mut graph = Graph::default();
    let mut gaps = Vec::new();
    let mut members = Vec::new();
    let mut from = 0;
    loop {
        let answer = before(deadline, members_page(client, service, from))
            .await
            .ok_or_else(|| CatalogError::Timeout {
                message: "OpenMetadata's search did not answer in time".into(),
            })??;
        let page = index::read_page(answer)?;
        if page.failed > 0 {
            gaps.push(Gap::Shards {
                failed: page.failed,
            });
        }
        let returned = page.documents.len() as u64;
        for entity in page.documents.iter().filter_map(|d| wire::summary(d, None)) {
            let node = node_of(&entity, Detail::Full);
            if is_within(node.service.as_deref(), &node.fqn, service, within) {
                members.push((graph.add_node(node), 0));
            }
        }
        from += returned;
        if from >= page.total {
            break;
        }
        if returned == 0 {
            gaps.push(Gap::Missing {
                documents: page.total - from,
            });
            break;
        }
        if from + returned > index::WINDOW {
            gaps.push(Gap::TooMany {
                direction: Direction::Downstream,
                depth: 0,
            });
            break;
        }
    }
    let origin = Origin {
        upstream: Vec::new(),
        downstream: members,
    };
    let direction = Direction::Downstream;
    let depth = Reach::EVERYTHING;
    gaps.extend(follow(client, &mut graph, &origin, direction, 0, depth, deadline).await);
    gaps.dedup();
    Ok(Lineage {
        origin,
        gaps,
        ..Lineage::new(graph)
    })
}

/// Query as recorded (1.2.0, search/filter-service-old).
async fn members_page(client: &Client, service: &str, from: u64) -> Result<Value, CatalogError> {
    let term = json!({"term": {"service.name.keyword": service_name(service)}});
    let filter = json!({"query": {"bool": {"must": [term]}}}).to_string();
    let from = from.to_string();
    let mut query = vec![
        ("index", "all"),
        ("size", "50"),
        ("include_aggregations", "false"),
        ("track_total_hits", "true"),
        ("q", "*"),
        ("query_filter", filter.as_str()),
    ];
    let fields = [
        "fullyQualifiedName",
        "name",
        "displayName",
        "entityType",
        "service",
        "tier",
        "owner",
        "tags",
        "domain",
        "deleted",
        "id",
    ];
    query.extend(fields.map(|field| ("include_source_fields", field)));
    query.push(("from", from.as_str()));
    client.get("search/query", &query).await
}

/// Goes on from the rim, stride by stride; `covered` hops are known already.
async fn follow(
    client: &Client,
    graph: &mut Graph,
    origin: &Origin,
    direction: Direction,
    mut covered: u32,
    depth: u32,
    deadline: Instant,
) -> Option<Gap> {
    while covered < depth {
        let rim = at_rim(graph, origin, direction, covered);
        if rim.is_empty() {
            return None;
        }
        let hops = (depth - covered).min(STRIDE);
        let hops = match direction {
            Direction::Upstream => (hops, 0),
            Direction::Downstream => (0, hops),
        };
        let questions: Vec<(EntityType, String)> = rim
            .iter()
            .map(|&node| {
                let node = graph.node(node);
                (node.entity_type.clone(), node.fqn.to_owned())
            })
            .collect();
        let answers: Vec<Option<Result<Value, CatalogError>>> = stream::iter(questions)
            .map(|(entity_type, name)| async move {
                before(deadline, ask(client, &entity_type, &name, hops)).await
            })
            .buffered(AT_A_TIME)
            .collect()
            .await;
        for answer in answers {
            let added = match answer {
                None => {
                    return Some(Gap::Deadline {
                        direction,
                        depth: covered,
                    });
                }
                // Deleted between two requests.
                Some(Err(CatalogError::NotFound { .. })) => Ok(()),
                Some(Err(error)) => Err(error),
                Some(Ok(answer)) => add(graph, &answer),
            };
            if let Err(error) = added {
                return Some(Gap::Failed {
                    direction,
                    depth: covered,
                    message: error.to_string(),
                });
            }
        }
        covered += hops.0.max(hops.1);
        if graph.node_count() > MOST_NODES {
            return Some(Gap::TooMany {
                direction,
                depth: covered,
            });
        }
    }
    None
}

/// The nodes whose further edges were not asked for.
fn at_rim(
    graph: &Graph,
    origin: &Origin,
    direction: Direction,
    covered: u32,
) -> BTreeSet<NodeIndex> {
    walk(graph, origin, direction, covered)
        .visits
        .iter()
        .filter(|visit| visit.depth == covered)
        .map(|visit| visit.node)
        .collect()
}

async fn ask(
    client: &Client,
    entity_type: &EntityType,
    name: &str,
    (upstream, downstream): (u32, u32),
) -> Result<Value, CatalogError> {
    let path = format!("lineage/{entity_type}/name/{}", fqn::path_segment(name));
    let (upstream, downstream) = (upstream.to_string(), downstream.to_string());
    let query = [
        ("upstreamDepth", upstream.as_str()),
        ("downstreamDepth", downstream.as_str()),
    ];
    client.get(&path, &query).await
}

/// Adds the nodes and edges of an answer.
fn add(graph: &mut Graph, answer: &Value) -> Result<(), CatalogError> {
    let list = |name: &str| answer.get(name).and_then(Value::as_array);
    let Some(nodes) = list("nodes") else {
        return Err(CatalogError::BadUpstream {
            message: "OpenMetadata answered a question for lineage without any nodes".into(),
        });
    };
    let mut by_id = HashMap::new();
    for reference in answer.get("entity").into_iter().chain(nodes) {
        let Some(entity) = wire::summary(reference, None) else {
            continue;
        };
        let id = entity.id.clone();
        let mut node = node_of(&entity, Detail::Reference);
        node.service = fqn::parts(&entity.fqn)
            .first()
            .map(|part| fqn::quoted(part));
        by_id.insert(id, graph.add_node(node));
    }
    let edges = list("upstreamEdges")
        .into_iter()
        .chain(list("downstreamEdges"))
        .flatten();
    for edge in edges {
        let end = |name: &str| {
            edge.get(name)
                .and_then(Value::as_str)
                .and_then(|id| by_id.get(id))
                .copied()
        };
        let (Some(from), Some(to)) = (end("fromEntity"), end("toEntity")) else {
            continue;
        };
        let details = edge.get("lineageDetails").unwrap_or(&Value::Null);
        graph.add_edge(Edge {
            from,
            to,
            columns: documents::mappings(details.get("columnsLineage")),
            pipeline: details.get("pipeline").and_then(documents::pipeline),
            sql: wire::text(details, "sqlQuery"),
            has_more_sql: false,
            source: wire::text(details, "source"),
            description: wire::text(details, "description"),
        });
    }
    Ok(())
}
