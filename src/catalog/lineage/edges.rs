//! Reads and writes single edges, and fills in what a walk leaves out.

use std::{sync::Arc, time::Instant};

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::{Lineage, before, documents, node_of};
use crate::catalog::{
    Catalog, CatalogError, Client, EntitySummary, Reference, Snapshot,
    client::{Method, Write},
    graph::{ColumnMapping, Detail, EdgeIndex, NodeIndex},
    wire,
};

/// Requests at a time.
const AT_A_TIME: usize = 4;

/// What the catalog keeps of one edge.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EdgeDetails {
    pub columns: Vec<ColumnMapping>,
    /// FQN.
    pub pipeline: Option<String>,
    pub sql: Option<String>,
    pub source: Option<String>,
    pub description: Option<String>,
    /// Reference `{id, type}` of the pipeline, to be sent back.
    pipeline_reference: Option<Value>,
}

impl EdgeDetails {
    fn read(details: &Value) -> Self {
        let pipeline = details.get("pipeline").filter(|value| value.is_object());
        Self {
            columns: documents::mappings(details.get("columnsLineage")),
            pipeline: pipeline.and_then(documents::pipeline),
            sql: wire::text(details, "sqlQuery"),
            source: wire::text(details, "source"),
            description: wire::text(details, "description"),
            pipeline_reference: pipeline.and_then(|pipeline| {
                Some(json!({"id": wire::text(pipeline, "id")?, "type": wire::text(pipeline, "type")?}))
            }),
        }
    }

    /// `lineageDetails` as `PUT /lineage` takes it; it replaces what was there.
    fn body(&self) -> Value {
        let mut details = serde_json::Map::new();
        let source = self.source.as_deref().unwrap_or("Manual");
        details.insert("source".into(), source.into());
        let texts = [("description", &self.description), ("sqlQuery", &self.sql)];
        for (name, text) in texts {
            if let Some(text) = text {
                details.insert(name.into(), text.clone().into());
            }
        }
        if let Some(pipeline) = &self.pipeline_reference {
            details.insert("pipeline".into(), pipeline.clone());
        }
        if !self.columns.is_empty() {
            let columns = self
                .columns
                .iter()
                .map(|mapping| json!({"fromColumns": mapping.from, "toColumn": mapping.to}));
            details.insert("columnsLineage".into(), columns.collect());
        }
        details.into()
    }
}

/// A change of one edge.
#[derive(Debug, Clone, Copy)]
pub enum EdgeWrite<'a> {
    /// Makes it, or replaces all of it.
    Put(&'a EdgeDetails),
    Remove,
}

impl Catalog {
    /// The edge between two entities as the database has it; `None` where there is none.
    pub async fn edge(
        &self,
        from: &EntitySummary,
        to: &EntitySummary,
    ) -> Result<Option<EdgeDetails>, CatalogError> {
        match self {
            Self::Live(client) => live_edge(client, from, to).await,
            Self::Snapshot(snapshot) => {
                let graph = snapshot.lineage()?;
                let found = graph
                    .find(&from.fqn, Some(&from.entity_type))
                    .zip(graph.find(&to.fqn, Some(&to.entity_type)))
                    .and_then(|(from, to)| graph.edge_between(from, to));
                let Some(index) = found else {
                    return Ok(None);
                };
                let edge = graph.edge(index);
                let sql = match edge.sql {
                    None if edge.has_more_sql => snapshot.sql_of(graph, index)?,
                    sql => sql.map(str::to_owned),
                };
                Ok(Some(EdgeDetails {
                    columns: edge.columns.to_vec(),
                    pipeline: edge.pipeline.map(str::to_owned),
                    sql,
                    source: edge.source.map(str::to_owned),
                    description: edge.description.map(str::to_owned),
                    pipeline_reference: None,
                }))
            }
        }
    }

    /// Changes an edge. OpenMetadata answers with nothing, takes an edge to itself and drops
    /// columns that do not exist: check before, read back after.
    pub async fn write_edge(
        &self,
        from: &EntitySummary,
        to: &EntitySummary,
        write: EdgeWrite<'_>,
    ) -> Result<(), CatalogError> {
        let Self::Live(client) = self else {
            return Err(CatalogError::Unsupported {
                message: "this catalog is a snapshot, which is never written to: connect to a \
                          running OpenMetadata to change lineage"
                    .into(),
            });
        };
        let (from_type, to_type) = (&from.entity_type, &to.entity_type);
        let write = match write {
            EdgeWrite::Put(details) => {
                let body = json!({"edge": {
                    "fromEntity": {"id": from.id, "type": from_type.as_str()},
                    "toEntity": {"id": to.id, "type": to_type.as_str()},
                    "lineageDetails": details.body(),
                }});
                let write = Write {
                    method: Method::Put,
                    path: "lineage",
                    query: &[],
                    body: Some(&body),
                    content_type: None,
                    if_match: None,
                };
                client.write(write).await
            }
            EdgeWrite::Remove => {
                let path = format!("lineage/{from_type}/{}/{to_type}/{}", from.id, to.id);
                let write = Write {
                    method: Method::Delete,
                    path: &path,
                    query: &[],
                    body: None,
                    content_type: None,
                    if_match: None,
                };
                client.write(write).await
            }
        };
        write.map(drop)
    }

    /// Fetches the SQL of these edges where the search document only names its key. Returns how
    /// many are still without.
    pub async fn add_sql(
        &self,
        lineage: &mut Lineage,
        edges: &[EdgeIndex],
        deadline: Instant,
    ) -> usize {
        /// One request an edge: an answer with more edges than this is a page of a long list.
        const MOST: usize = 40;
        let wanted: Vec<EdgeIndex> = edges
            .iter()
            .copied()
            .filter(|&edge| lineage.graph.edge(edge).has_more_sql)
            .collect();
        let client = match self {
            Self::Live(client) => client,
            Self::Snapshot(snapshot) => return sql_of_snapshot(snapshot, lineage, &wanted),
        };
        let ends: Vec<(EdgeIndex, String, String)> = wanted
            .iter()
            .take(MOST)
            .map(|&edge| {
                let ends = lineage.graph.edge(edge);
                let id = |node| lineage.graph.node(node).id.to_owned();
                (edge, id(ends.from), id(ends.to))
            })
            .collect();
        let answers: Vec<(EdgeIndex, Option<Option<EdgeDetails>>)> = stream::iter(ends)
            .map(|(edge, from, to)| async move {
                let read = before(deadline, edge_by_ids(client, &from, &to)).await;
                (edge, read.and_then(Result::ok))
            })
            .buffered(AT_A_TIME)
            .collect()
            .await;
        let mut left = wanted.len();
        for (index, details) in answers {
            if let Some(sql) = details.flatten().and_then(|details| details.sql) {
                left -= usize::from(lineage.sql.insert(index, sql).is_none());
            }
        }
        left
    }

    /// Reads owners, tier and domains of these nodes where the walk gave bare references only, one
    /// by one and not without end. Returns how many are still unread.
    pub async fn add_owners(
        &self,
        lineage: &mut Lineage,
        nodes: &[NodeIndex],
        deadline: Instant,
    ) -> usize {
        const MOST: usize = 100;
        let wanted: Vec<NodeIndex> = nodes
            .iter()
            .copied()
            .filter(|&node| lineage.graph.node(node).detail != Detail::Full)
            .collect();
        if wanted.is_empty() || matches!(self, Self::Snapshot(_)) {
            return wanted.len();
        }
        let references: Vec<(NodeIndex, Reference)> = wanted
            .iter()
            .take(MOST)
            .map(|&index| {
                let node = lineage.graph.node(index);
                let reference = Reference::to(node.entity_type.clone(), node.fqn.to_owned());
                (index, reference)
            })
            .collect();
        let answers: Vec<(NodeIndex, Option<EntitySummary>)> = stream::iter(references)
            .map(|(index, reference)| async move {
                let read = before(deadline, self.read_summary(&reference)).await;
                (index, read.and_then(Result::ok))
            })
            .buffered(AT_A_TIME)
            .collect()
            .await;
        let graph = Arc::make_mut(&mut lineage.graph);
        for (index, entity) in answers {
            if let Some(entity) = entity {
                graph.replace_node(index, node_of(&entity, Detail::Full));
            }
        }
        wanted
            .iter()
            .filter(|&&node| graph.node(node).detail != Detail::Full)
            .count()
    }
}

/// Reads the SQL of these edges, which a snapshot does not keep in memory; how many have none.
fn sql_of_snapshot(snapshot: &Snapshot, lineage: &mut Lineage, edges: &[EdgeIndex]) -> usize {
    let mut left = 0;
    for &edge in edges {
        match snapshot.sql_of(&lineage.graph, edge) {
            Ok(Some(sql)) => {
                lineage.sql.insert(edge, sql);
            }
            Ok(None) | Err(_) => left += 1,
        }
    }
    left
}

async fn live_edge(
    client: &Client,
    from: &EntitySummary,
    to: &EntitySummary,
) -> Result<Option<EdgeDetails>, CatalogError> {
    match edge_by_ids(client, &from.id, &to.id).await {
        // Old servers do not have the route: one hop up by the old one tells as much.
        Err(CatalogError::Unsupported { .. }) => {
            let path = format!("lineage/{}/{}", to.entity_type, to.id);
            let query = [("upstreamDepth", "1"), ("downstreamDepth", "0")];
            let answer = client.get(&path, &query).await?;
            let edges = answer.get("upstreamEdges").and_then(Value::as_array);
            Ok(edges
                .into_iter()
                .flatten()
                .find(|edge| {
                    wire::text(edge, "fromEntity").as_ref() == Some(&from.id)
                        && wire::text(edge, "toEntity").as_ref() == Some(&to.id)
                })
                .map(|edge| EdgeDetails::read(edge.get("lineageDetails").unwrap_or(&Value::Null))))
        }
        read => read,
    }
}

async fn edge_by_ids(
    client: &Client,
    from: &str,
    to: &str,
) -> Result<Option<EdgeDetails>, CatalogError> {
    let path = format!("lineage/getLineageEdge/{from}/{to}");
    match client.get(&path, &[]).await {
        Ok(answer) => Ok(answer.get("edge").map(EdgeDetails::read)),
        Err(CatalogError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
