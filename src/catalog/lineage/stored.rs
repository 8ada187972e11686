//! The lineage of a snapshot: read once into memory, but for the SQL, which is read where it is
//! asked for.

use std::sync::Arc;

use serde_json::Value;

use super::documents;
use crate::catalog::{
    CatalogError, Snapshot,
    graph::{EdgeIndex, Graph},
    snapshot::{Kind, damaged, storage},
};

impl Snapshot {
    /// The lineage of the whole copy, read once.
    pub fn lineage(&self) -> Result<&Arc<Graph>, CatalogError> {
        if let Some(graph) = self.lineage.get() {
            return Ok(graph);
        }
        let connection = self.connection()?;
        // Another call may have read it while this one waited.
        if let Some(graph) = self.lineage.get() {
            return Ok(graph);
        }
        let mut graph = Graph::default();
        let mut statement = connection
            .prepare_cached("SELECT body FROM document WHERE kind = ?1 ORDER BY key, type")
            .map_err(storage)?;
        let mut rows = statement
            .query([Kind::SearchDocument.as_str()])
            .map_err(storage)?;
        while let Some(row) = rows.next().map_err(storage)? {
            let body = row.get_ref(0).map_err(storage)?;
            let body = body.as_bytes().map_err(|error| storage(error.into()))?;
            let document: Value = serde_json::from_slice(body).map_err(|error| damaged(&error))?;
            documents::add_without_sql(&mut graph, &document);
        }
        graph.rank_names();
        Ok(self.lineage.get_or_init(|| Arc::new(graph)))
    }

    /// The SQL of an edge of the lineage, where it has any.
    pub(super) fn sql_of(
        &self,
        graph: &Graph,
        edge: EdgeIndex,
    ) -> Result<Option<String>, CatalogError> {
        let edge = graph.edge(edge);
        let (from, to) = (graph.node(edge.from), graph.node(edge.to));
        let documents = self.documents_named(Kind::SearchDocument, to.fqn)?;
        let document = documents
            .iter()
            .find(|(entity_type, _)| entity_type == to.entity_type.as_str());
        Ok(document.and_then(|(_, document)| {
            documents::sql_between(document, from.fqn, from.entity_type.as_str())
        }))
    }
}
