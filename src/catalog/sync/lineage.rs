//! Lineage of servers that do not tell it in the search index: one call an entity.

use futures::{StreamExt, stream};
use serde_json::{Map, Value, json};

use super::{Mode, SyncError, copy::Copy, lists::AT_ONCE, plan};
use crate::catalog::{
    CatalogError, fqn,
    model::EntityType,
    snapshot::{
        Kind,
        draft::{Batch, Document},
    },
    wire,
};

const STAGE: &str = "lineage";

/// What a search document of a new server says, beside the edges.
const FIELDS: &[&str] = &[
    "id",
    "name",
    "displayName",
    "fullyQualifiedName",
    "description",
    "owner",
    "owners",
    "tags",
    "domain",
    "domains",
    "service",
    "serviceType",
    "deleted",
    "updatedAt",
    "version",
];

impl Copy<'_> {
    /// How many calls it takes at most: one for each entity that may stand in a lineage.
    pub async fn lineage_calls(&self) -> Result<u64, SyncError> {
        let mut calls = 0;
        for name in plan::WITH_LINEAGE {
            let Some(collection) = EntityType::new(*name).collection() else {
                continue;
            };
            match self.source.total(collection).await {
                Ok(total) => calls += total.unwrap_or(0),
                Err(CatalogError::Unsupported { .. } | CatalogError::Forbidden { .. }) => {}
                Err(error) => {
                    return Err(SyncError::Catalog {
                        stage: STAGE.into(),
                        error,
                    });
                }
            }
        }
        Ok(calls)
    }

    /// Writes the edges of each entity as the search index of a new server would tell them.
    pub async fn lineage_one_by_one(&mut self) -> Result<(), SyncError> {
        for name in plan::WITH_LINEAGE {
            if self.mode == Mode::Incremental {
                self.writer.run(|draft| draft.carry_lineage(name)).await?;
            }
            let (total, mut done) = self
                .writer
                .run(|draft| {
                    Ok((
                        draft.count(Kind::Entity, name)?,
                        draft.count(Kind::SearchDocument, name)?,
                    ))
                })
                .await?;
            let mut after = String::new();
            loop {
                let from = after.clone();
                let some = self
                    .writer
                    .run(move |draft| draft.without_lineage(name, &from, AT_ONCE * 8))
                    .await?;
                let Some((last, _)) = some.last() else {
                    break;
                };
                after.clone_from(last);
                let read = some.len() as u64;
                let documents = self.lineage_of(name, some).await?;
                done += read;
                self.tell(&format!("{STAGE} of {name}s"), done, Some(total));
                self.writer
                    .write(Batch {
                        documents,
                        ..Batch::default()
                    })
                    .await?;
            }
        }
        Ok(())
    }

    async fn lineage_of(
        &self,
        name: &str,
        entities: Vec<(String, Value)>,
    ) -> Result<Vec<Document>, SyncError> {
        let mut documents = Vec::new();
        let mut answers = stream::iter(entities.into_iter().map(|(key, entity)| async move {
            let path = format!("lineage/{name}/name/{}", fqn::path_segment(&key));
            let query = [("upstreamDepth", "1"), ("downstreamDepth", "0")];
            let answer = self.source.ask(&path, &query).await;
            (key, entity, answer)
        }))
        .buffer_unordered(AT_ONCE);
        while let Some((key, entity, answer)) = answers.next().await {
            let edges = match answer {
                Ok(answer) => incoming(&answer),
                // Deleted since it was listed.
                Err(CatalogError::NotFound { .. }) => continue,
                Err(error) => {
                    return Err(SyncError::Catalog {
                        stage: format!("{STAGE} of {key}"),
                        error,
                    });
                }
            };
            documents.push(Document {
                kind: Kind::SearchDocument,
                key,
                entity_type: name.to_owned(),
                body: search_document(name, &entity, edges),
            });
        }
        Ok(documents)
    }
}

fn search_document(entity_type: &str, entity: &Value, edges: Vec<Value>) -> Value {
    let mut document = Map::new();
    for name in FIELDS {
        if let Some(value) = entity.get(*name) {
            document.insert((*name).to_owned(), value.clone());
        }
    }
    document.insert("entityType".into(), entity_type.into());
    if !edges.is_empty() {
        document.insert("upstreamLineage".into(), edges.into());
    }
    Value::Object(document)
}

/// The edges into the root of an answer of `/lineage/{type}/name/{fqn}`, as search documents
/// write them. Edges there carry ids; the root stands apart from the nodes.
fn incoming(answer: &Value) -> Vec<Value> {
    let root = answer.get("entity").and_then(|root| wire::text(root, "id"));
    let nodes = answer.get("nodes").and_then(Value::as_array);
    let named = |id: &str| -> Option<Value> {
        let mut all = nodes.into_iter().flatten().chain(answer.get("entity"));
        let node = all.find(|node| node.get("id").and_then(Value::as_str) == Some(id))?;
        Some(json!({
            "id": id,
            "fullyQualifiedName": node.get("fullyQualifiedName")?,
            "type": node.get("type")?,
        }))
    };
    let edges = answer.get("upstreamEdges").and_then(Value::as_array);
    edges
        .into_iter()
        .flatten()
        .filter(|edge| edge.get("toEntity").and_then(Value::as_str) == root.as_deref())
        .filter_map(|edge| {
            let from = named(edge.get("fromEntity")?.as_str()?)?;
            let mut written = Map::new();
            written.insert("fromEntity".into(), from);
            let details = edge.get("lineageDetails").unwrap_or(&Value::Null);
            for (name, field) in [
                ("columns", "columnsLineage"),
                ("pipeline", "pipeline"),
                ("sqlQuery", "sqlQuery"),
                ("source", "source"),
                ("description", "description"),
            ] {
                if let Some(value) = details.get(field).filter(|value| !value.is_null()) {
                    written.insert(name.into(), value.clone());
                }
            }
            Some(Value::Object(written))
        })
        .collect()
}
