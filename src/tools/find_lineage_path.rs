//! `find_lineage_path`: how data gets from one entity or column to another, if it does.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Call, Context, Effect, ErrorCode, Outcome, Tool, ToolError, Toolset, arguments,
    error::Retry,
    lineage::{self, End},
    schema::{self, boolean, integer, list, object, string},
};
use crate::{
    answer::{Answer, Budget, budget},
    catalog::{
        Catalog, CatalogError, EntitySummary,
        graph::{
            Detail, Direction, Edge, Graph, NodeIndex, columns::shortest_column_path,
            paths::shortest_paths, walk::walk,
        },
        lineage::{Lineage, Reach, node_of},
    },
};

pub const TOOL: Tool = Tool {
    name: "find_lineage_path",
    title: "Find lineage path",
    description: "Shortest paths that data takes between two entities, or two columns. 'Not \
                  connected', 'beyond max_depth' and 'unresolved name' are told apart.",
    toolset: Toolset::Catalog,
    effect: Effect::Read,
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        schema::result(
            &["status"],
            &[
                (
                    "status",
                    json!({"type": "string", "enum": ["connected", "not_connected", "beyond_depth", "unresolved"]}),
                ),
                ("paths", list(list(string()))),
                ("hops", integer()),
                ("total", integer()),
                ("returned", integer()),
                ("complete", boolean()),
                ("direction", string()),
                ("searched", integer()),
                ("max_depth", integer()),
                ("other_way", object()),
                ("unresolved", list(object())),
                ("note", string()),
            ],
        )
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

/// Hops that are looked through where the caller does not say.
const USUAL_DEPTH: u32 = 20;

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Entity, or column as table.column.
    from: String,
    /// Entity, or column as table.column.
    to: String,
    /// Which way from `from`; default downstream.
    direction: Option<Way>,
    /// Default 20.
    #[schemars(range(min = 1, max = 100))]
    max_depth: Option<u32>,
    /// Paths; default 5.
    #[schemars(range(min = 1, max = 50))]
    limit: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Way {
    Downstream,
    Upstream,
    Both,
}

/// What one look found.
struct Found {
    /// From the source of the data to where it goes; names of entities or columns.
    paths: Vec<Vec<String>>,
    hops: u32,
    total: u64,
}

/// One look in one direction.
struct Look {
    found: Option<Found>,
    /// Entities that were looked through.
    searched: usize,
    /// More lies beyond the depth.
    goes_on: bool,
    lineage: Lineage,
}

async fn call(context: &Context, sent: Value) -> Outcome {
    let asked: Arguments = arguments::read(sent)?;
    let depth = asked.max_depth.unwrap_or(USUAL_DEPTH);
    let limit = asked.limit.unwrap_or(5) as usize;
    let way = asked.direction.unwrap_or(Way::Downstream);
    let catalog = context.catalog()?;
    let mut answer = Answer::new(Budget::DEFAULT);
    lineage::put_source(&mut answer, &catalog);
    let (from, to) = match ends(&catalog, &asked).await? {
        Ok(ends) => ends,
        Err(unresolved) => {
            answer.put("status", "unresolved");
            answer.put("unresolved", unresolved);
            return Ok(answer);
        }
    };
    for end in [&from, &to] {
        if let Some(why) = lineage::without_lineage(end.entity.entity_type.as_str()) {
            answer.warn(format!("{}: {why}", end.entity.fqn));
        }
    }
    let are_columns = from.column.is_some() && to.column.is_some();
    if from.column.is_some() != to.column.is_some() {
        answer.warn(
            "one end is a column and the other is not: the path is between the entities; give \
             columns at both ends for a column path",
        );
    }
    let same = from.entity.fqn == to.entity.fqn
        && from.entity.entity_type == to.entity.entity_type
        && (!are_columns || from.column == to.column);
    if same {
        return Err(ToolError::invalid(
            "to",
            "`from` and `to` are the same",
            "name two that differ; get_lineage shows the cycles that one is in",
        ));
    }
    let reversed = way == Way::Upstream;
    let (source, target) = if reversed { (&to, &from) } else { (&from, &to) };
    let first = look(context, &catalog, source, target, depth, limit).await?;
    let direction = |is_reversed: bool| {
        if is_reversed {
            Direction::Upstream
        } else {
            Direction::Downstream
        }
    };
    if let Some(found) = &first.found
        && found.hops <= depth
    {
        put_found(&mut answer, found, direction(reversed));
        lineage::put_provenance(&mut answer, &catalog, &cut(&first.lineage), depth);
        return Ok(answer);
    }
    // What is not connected one way is often connected the other.
    let second = look(context, &catalog, target, source, depth, limit).await;
    if way == Way::Both
        && let Ok(second) = &second
        && let Some(found) = &second.found
        && found.hops <= depth
    {
        put_found(&mut answer, found, direction(!reversed));
        return Ok(answer);
    }
    could_look(&first)?;
    let mut searched = first.searched;
    let mut goes_on = first.goes_on || first.found.is_some();
    if way == Way::Both {
        let second = second?;
        could_look(&second)?;
        searched += second.searched;
        goes_on |= second.goes_on;
    } else if let Ok(second) = &second
        && let Some(found) = &second.found
    {
        answer.put(
            "other_way",
            json!({"direction": direction(!reversed).as_str(), "hops": found.hops,
                   "path": in_direction(&found.paths, direction(!reversed)).into_iter().next()}),
        );
    }
    if goes_on {
        answer.put("status", "beyond_depth");
        answer.put("max_depth", depth);
        if let Some(found) = &first.found {
            answer.put("hops", found.hops);
        }
        answer.put(
            "note",
            format!("not found within {depth} hops, and more lies beyond: raise max_depth"),
        );
    } else {
        answer.put("status", "not_connected");
        answer.put(
            "note",
            format!(
                "searched all {searched} {} {}",
                if way == Way::Both {
                    "up- and downstream of"
                } else {
                    "upstream of"
                },
                target.column.as_deref().unwrap_or(&target.entity.fqn),
            ),
        );
        if are_columns {
            answer.warn(
                "columns are followed by the mappings that edges have; an edge without any hides \
                 how columns go on",
            );
        }
    }
    answer.put("searched", searched as u64);
    Ok(answer)
}

/// A path was found: gaps elsewhere do not matter to it, but it may not be the shortest.
fn cut(lineage: &Lineage) -> Lineage {
    Lineage {
        unknown_beyond: Vec::new(),
        ..lineage.clone()
    }
}

/// The error where a look was cut, so that nothing can be said.
fn could_look(look: &Look) -> Result<(), ToolError> {
    let Some(gap) = look.lineage.gaps.first() else {
        return Ok(());
    };
    Err(ToolError::new(
        ErrorCode::Timeout,
        format!(
            "could not look everywhere, so it is not known whether a path exists: no path among \
             {} entities; {gap}",
            look.searched
        ),
    )
    .retry(Retry::Yes)
    .then("try again, or ask with a smaller max_depth"))
}

fn put_found(answer: &mut Answer, found: &Found, direction: Direction) {
    answer.put("status", "connected");
    answer.put("direction", direction.as_str());
    answer.put("hops", found.hops);
    answer.put("total", found.total);
    // Whole paths only, as many as fit; one always.
    let mut room = answer.room();
    let mut paths = in_direction(&found.paths, direction);
    let fitting = paths
        .iter()
        .take_while(|path| {
            let cost = budget::of_value(&json!(path));
            let fits = cost <= room;
            room = room.saturating_sub(cost);
            fits
        })
        .count()
        .max(1);
    paths.truncate(fitting);
    answer.put("returned", paths.len() as u64);
    answer.put("complete", paths.len() as u64 >= found.total);
    answer.put("paths", json!(paths));
}

/// Paths as seen from `from`: upstream they run against the data.
fn in_direction(paths: &[Vec<String>], direction: Direction) -> Vec<Vec<String>> {
    let mut paths = paths.to_vec();
    if direction == Direction::Upstream {
        for path in &mut paths {
            path.reverse();
        }
    }
    paths
}

/// Both ends, or what is wrong with one or both.
async fn ends(
    catalog: &Catalog,
    asked: &Arguments,
) -> Result<Result<(End, End), Vec<Value>>, ToolError> {
    let (from, to) = tokio::join!(
        lineage::find_end(catalog, &asked.from),
        lineage::find_end(catalog, &asked.to)
    );
    let mut unresolved = Vec::new();
    let mut resolved = Vec::new();
    for (argument, written, end) in [("from", &asked.from, from), ("to", &asked.to, to)] {
        match end {
            Ok(end) => resolved.push(end),
            Err(error) => unresolved.push(why_unresolved(argument, written, error)?),
        }
    }
    match <[End; 2]>::try_from(resolved) {
        Ok([from, to]) => Ok(Ok((from, to))),
        Err(_) => Ok(Err(unresolved)),
    }
}

fn why_unresolved(argument: &str, written: &str, error: CatalogError) -> Result<Value, ToolError> {
    let reason = error.to_string();
    let near = match error {
        CatalogError::NotFound { did_you_mean, .. } => did_you_mean,
        CatalogError::Ambiguous { candidates, .. } => candidates,
        CatalogError::Deleted { .. } => Vec::new(),
        other => return Err(ToolError::of_name(argument, other)),
    };
    let mut fields = Map::new();
    fields.insert("argument".into(), argument.into());
    fields.insert("written".into(), written.into());
    fields.insert("reason".into(), reason.into());
    if !near.is_empty() {
        fields.insert("did_you_mean".into(), json!(near));
    }
    Ok(fields.into())
}

/// Looks for paths on which data goes from `source` to `target`: upwards from the target, as
/// entities have fewer sources than users.
async fn look(
    context: &Context,
    catalog: &Catalog,
    source: &End,
    target: &End,
    depth: u32,
    limit: usize,
) -> Result<Look, ToolError> {
    let reach = Reach::only(Direction::Upstream, depth);
    let mut collected = catalog
        .lineage(&target.entity, reach, context.deadline())
        .await?;
    let walked = walk(
        &collected.graph,
        &collected.origin,
        Direction::Upstream,
        depth,
    );
    let searched = walked.beyond_origin().count();
    if is_pipeline(&source.entity) || is_pipeline(&target.entity) {
        let graph = Arc::make_mut(&mut collected.graph);
        for pipeline in [&source.entity, &target.entity] {
            if is_pipeline(pipeline) {
                put_between(graph, pipeline);
            }
        }
    }
    let graph = &collected.graph;
    let at = |end: &End| graph.find(&end.entity.fqn, Some(&end.entity.entity_type));
    let mut found = None;
    if let (Some(from), Some(to)) = (at(source), at(target)) {
        found = match (&source.column, &target.column) {
            (Some(from_column), Some(to_column)) => {
                shortest_column_path(graph, (from, from_column), (to, to_column), u32::MAX).map(
                    |path| Found {
                        hops: u32::try_from(path.len())
                            .unwrap_or(u32::MAX)
                            .saturating_sub(1),
                        total: 1,
                        paths: vec![path],
                    },
                )
            }
            _ => shortest_paths(graph, from, to, limit).map(|shortest| Found {
                hops: shortest.hops,
                total: shortest.total,
                paths: shortest
                    .paths
                    .iter()
                    .map(|path| names(graph, path))
                    .collect(),
            }),
        };
    }
    let goes_on = walked.goes_on || !collected.unknown_beyond.is_empty();
    Ok(Look {
        found,
        searched,
        goes_on,
        lineage: collected,
    })
}

fn names(graph: &Graph, path: &[NodeIndex]) -> Vec<String> {
    path.iter()
        .map(|&node| graph.node(node).fqn.to_owned())
        .collect()
}

fn is_pipeline(entity: &EntitySummary) -> bool {
    entity.entity_type.as_str() == "pipeline"
}

/// Puts a pipeline between what it reads and what it writes.
fn put_between(graph: &mut Graph, pipeline: &EntitySummary) {
    let moved: Vec<(NodeIndex, NodeIndex)> = (0..graph.edge_count())
        .map(|edge| graph.edge(edge))
        .filter(|edge| edge.pipeline == Some(pipeline.fqn.as_str()))
        .map(|edge| (edge.from, edge.to))
        .collect();
    let node = graph.add_node(node_of(pipeline, Detail::Full));
    for (from, to) in moved {
        // The old endpoint draws the pipeline as a node of its own already.
        if from == node || to == node {
            continue;
        }
        for (from, to) in [(from, node), (node, to)] {
            graph.add_edge(Edge {
                from,
                to,
                columns: Vec::new(),
                pipeline: Some(pipeline.fqn.clone()),
                sql: None,
                has_more_sql: false,
                source: None,
                description: None,
            });
        }
    }
}
