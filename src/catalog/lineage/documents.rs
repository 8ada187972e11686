//! Reads search documents as nodes and edges: `upstreamLineage` holds every edge that comes in.

use serde_json::Value;

use super::{named, node_of};
use crate::catalog::{
    graph::{ColumnMapping, Detail, Edge, Graph, NodeIndex},
    wire,
};

/// Adds a search document's entity and the edges into it. `None` for a document without a name.
pub(super) fn add(graph: &mut Graph, document: &Value) -> Option<NodeIndex> {
    add_with(graph, document, true)
}

/// The same; of SQL only whether there is any.
pub(super) fn add_without_sql(graph: &mut Graph, document: &Value) -> Option<NodeIndex> {
    add_with(graph, document, false)
}

/// The SQL of an edge into the entity of a search document.
pub(super) fn sql_between(document: &Value, from: &str, from_type: &str) -> Option<String> {
    let edges = document.get("upstreamLineage").and_then(Value::as_array);
    edges
        .into_iter()
        .flatten()
        .filter(|edge| {
            let end = edge.get("fromEntity");
            let is = |field, wanted| {
                end.and_then(|end| wire::text(end, field)).as_deref() == Some(wanted)
            };
            is("fullyQualifiedName", from) && is("type", from_type)
        })
        .find_map(|edge| sql(document, edge))
}

fn sql(document: &Value, edge: &Value) -> Option<String> {
    wire::text(edge, "sqlQuery").or_else(|| {
        // Long SQL stands once in the document, under a key that its edges name.
        let key = wire::text(edge, "sqlQueryKey")?;
        wire::text(document.get("lineageSqlQueries")?, &key)
    })
}

fn add_with(graph: &mut Graph, document: &Value, keeps_sql: bool) -> Option<NodeIndex> {
    let entity = wire::summary(document, None)?;
    let to = graph.add_node(node_of(&entity, Detail::Full));
    for edge in document
        .get("upstreamLineage")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let Some(from) = edge.get("fromEntity") else {
            continue;
        };
        let (Some(fqn), Some(entity_type)) = (
            wire::text(from, "fullyQualifiedName"),
            wire::text(from, "type"),
        ) else {
            continue;
        };
        let id = wire::text(from, "id").unwrap_or_default();
        let from = graph.add_node(named(&fqn, &entity_type, &id));
        let sql = sql(document, edge);
        let has_sql_elsewhere =
            sql.is_none() && edge.get("sqlQueryKey").is_some_and(Value::is_string);
        let is_left_out = sql.is_some() && !keeps_sql;
        graph.add_edge(Edge {
            from,
            to,
            columns: mappings(edge.get("columns")),
            pipeline: edge.get("pipeline").and_then(pipeline),
            has_more_sql: has_sql_elsewhere || is_left_out,
            sql: sql.filter(|_| keeps_sql),
            source: wire::text(edge, "source"),
            description: wire::text(edge, "description"),
        });
    }
    Some(to)
}

/// Column mappings of an edge; those without a source or a target are none.
pub(super) fn mappings(columns: Option<&Value>) -> Vec<ColumnMapping> {
    columns
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|mapping| {
            let from: Vec<String> = mapping
                .get("fromColumns")?
                .as_array()?
                .iter()
                .filter_map(|column| column.as_str().map(str::to_owned))
                .collect();
            let to = wire::text(mapping, "toColumn")?;
            (!from.is_empty()).then_some(ColumnMapping { from, to })
        })
        .collect()
}

/// FQN of a pipeline reference.
pub(super) fn pipeline(reference: &Value) -> Option<String> {
    wire::text(reference, "fullyQualifiedName").or_else(|| wire::text(reference, "name"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_edges_with_columns_pipeline_and_sql_by_key() {
        let mut graph = Graph::default();
        let to = add(
            &mut graph,
            &json!({
                "fullyQualifiedName": "pg.db.core.bills", "entityType": "table", "id": "1",
                "lineageSqlQueries": {"1": "INSERT …"},
                "upstreamLineage": [
                    {"fromEntity": {"id": "2", "fullyQualifiedName": "pg.db.raw.\"b.1\"", "type": "table"},
                     "columns": [{"fromColumns": ["pg.db.raw.\"b.1\".p"], "toColumn": "pg.db.core.bills.t"},
                                 {"fromColumns": [], "toColumn": "pg.db.core.bills.u"}],
                     "pipeline": {"fullyQualifiedName": "airflow.load"}, "sqlQueryKey": "1"},
                    {"fromEntity": {"id": "3", "fullyQualifiedName": "s3.x", "type": "container"},
                     "sqlQueryKey": "7"},
                    {"fromEntity": {"id": "4"}}
                ]
            }),
        )
        .unwrap();
        assert_eq!(graph.node_count(), 3);
        assert_eq!(graph.node(1).name, "b.1");
        let edge = graph.edge(graph.edge_between(1, to).unwrap());
        assert_eq!(edge.columns.to_vec().len(), 1);
        assert_eq!(edge.pipeline, Some("airflow.load"));
        assert_eq!(edge.sql, Some("INSERT …"));
        let other = graph.edge(graph.edge_between(2, to).unwrap());
        assert!(other.has_more_sql && other.sql.is_none());
    }
}
