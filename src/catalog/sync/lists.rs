//! Reads the entities themselves, type by type: lists to their end, or one by one what changed.

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::{Mode, SyncError, copy::Copy, plan, source::Sized, trim::trimmed};
use crate::catalog::{
    CatalogError, fqn,
    model::EntityType,
    snapshot::{
        Kind,
        draft::{Batch, Document, Named},
    },
    wire,
};

/// Requests at the same time where one is needed for each entity. The client lets 16 through in
/// all, so that a server that copies in the background goes on answering.
pub const AT_ONCE: usize = 6;

/// How far a list is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListState {
    pub after: Option<String>,
    pub read: u64,
    pub total: Option<u64>,
    pub end: Option<End>,
}

/// How a list ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Whole,
    /// This server has no such entities.
    Absent,
    /// The credential may not read it.
    Forbidden,
}

impl ListState {
    pub fn read_from(note: Option<String>) -> Self {
        let note: Value = note
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        Self {
            after: note["after"].as_str().map(str::to_owned),
            read: note["read"].as_u64().unwrap_or(0),
            total: note["total"].as_u64(),
            end: match note["end"].as_str() {
                Some("whole") => Some(End::Whole),
                Some("absent") => Some(End::Absent),
                Some("forbidden") => Some(End::Forbidden),
                _ => None,
            },
        }
    }

    fn text(&self) -> String {
        let end = self.end.map(|end| match end {
            End::Whole => "whole",
            End::Absent => "absent",
            End::Forbidden => "forbidden",
        });
        json!({"after": self.after, "read": self.read, "total": self.total, "end": end}).to_string()
    }
}

/// The name of the note of a list.
pub fn note_of(entity_type: &str) -> String {
    format!("list:{entity_type}")
}

impl Copy<'_> {
    /// Every type that has a list, tests and ingestion pipelines apart.
    pub async fn lists(&mut self) -> Result<(), SyncError> {
        for entity_type in plan::listed_types() {
            self.entities(&entity_type).await?;
        }
        Ok(())
    }

    /// All entities of a type. How the list ended.
    pub async fn entities(&mut self, entity_type: &EntityType) -> Result<End, SyncError> {
        let note = note_of(entity_type.as_str());
        let state = ListState::read_from(self.writer.note(&note).await?);
        if let Some(end) = state.end {
            return Ok(end);
        }
        let is_by_change = self.mode == Mode::Incremental
            && self.is_scanned
            && state.read == 0
            && plan::is_scanned(entity_type)
            && !plan::VOLATILE.contains(&entity_type.as_str());
        if is_by_change && let Some(state) = self.changed(entity_type).await? {
            return self.end_list(entity_type, state, End::Whole).await;
        }
        self.list(entity_type, state).await
    }

    /// Reads what changed one by one; none where the whole list has to be read.
    async fn changed(&mut self, entity_type: &EntityType) -> Result<Option<ListState>, SyncError> {
        let Some(collection) = entity_type.collection() else {
            return Ok(None);
        };
        // Where the index and the database do not agree, the database is right.
        let Ok(Some(total)) = self.source.total(collection).await else {
            return Ok(None);
        };
        let name = entity_type.as_str().to_owned();
        let (found, changed) = self
            .writer
            .run(move |draft| {
                draft.carry_entities(&name)?;
                let found = draft.count(Kind::SearchDocument, &name)?;
                let most = usize::try_from(found / 10 + 20).unwrap_or(usize::MAX);
                let lacking =
                    draft.lacking(Kind::SearchDocument, Kind::Entity, &name, "", most + 1)?;
                Ok((found, (lacking.len() <= most).then_some(lacking)))
            })
            .await?;
        let Some(changed) = changed.filter(|_| found == total) else {
            return Ok(None);
        };
        let mut fields = plan::list_fields(entity_type, self.source.version);
        let all = changed.len() as u64;
        let mut done = 0;
        for some in changed.chunks(AT_ONCE * 4) {
            let documents = self
                .one_by_one(entity_type, collection, some, &mut fields)
                .await?;
            done += some.len() as u64;
            self.tell(collection, done, Some(all));
            self.writer
                .write(Batch {
                    documents,
                    ..Batch::default()
                })
                .await?;
        }
        Ok(Some(ListState {
            after: None,
            read: total,
            total: Some(total),
            end: None,
        }))
    }

    async fn one_by_one(
        &self,
        entity_type: &EntityType,
        collection: &str,
        entities: &[Named],
        fields: &mut Vec<&'static str>,
    ) -> Result<Vec<Document>, SyncError> {
        let mut documents = Vec::new();
        let asked = fields.clone();
        let mut answers = stream::iter(entities.iter().map(|entity| {
            let path = format!("{collection}/{}", fqn::path_segment(&entity.id));
            let mut fields = asked.clone();
            async move {
                let answer = self.source.one(&path, &mut fields).await;
                (answer, fields)
            }
        }))
        .buffer_unordered(AT_ONCE);
        while let Some((answer, known)) = answers.next().await {
            *fields = known;
            match answer {
                Ok(document) => documents.extend(entity(entity_type, document)),
                // Deleted since the scan.
                Err(CatalogError::NotFound { .. }) => {}
                Err(error) => {
                    return Err(SyncError::Catalog {
                        stage: collection.to_owned(),
                        error,
                    });
                }
            }
        }
        Ok(documents)
    }

    async fn list(
        &mut self,
        entity_type: &EntityType,
        mut state: ListState,
    ) -> Result<End, SyncError> {
        let Some(collection) = entity_type.collection() else {
            return Ok(End::Absent);
        };
        let mut fields = plan::list_fields(entity_type, self.source.version);
        let mut size = self.options.page;
        let mut next = self
            .source
            .list(collection, &mut fields, state.after.as_deref(), size)
            .await;
        loop {
            let Sized { page, size: worked } = match next {
                Ok(page) => page,
                Err(error) => return self.unread(entity_type, collection, state, error).await,
            };
            size = worked;
            let is_empty = page.entries.is_empty();
            let is_last = is_empty || page.after.is_none() || page.after == state.after;
            state.read += page.entries.len() as u64;
            state.total = page.total.or(state.total);
            state.after = page.after;
            // A server that makes up new cursors for ever.
            let is_endless = state
                .total
                .is_some_and(|total| state.read > total.saturating_mul(2) + 10_000);
            self.tell(collection, state.read, state.total);
            let batch = Batch {
                documents: page
                    .entries
                    .into_iter()
                    .filter_map(|entry| entity(entity_type, entry))
                    .collect(),
                notes: vec![(note_of(entity_type.as_str()), state.text())],
                ..Batch::default()
            };
            if is_last || is_endless {
                self.write_entities(entity_type, batch).await?;
                return self.end_list(entity_type, state, End::Whole).await;
            }
            if entity_type.as_str() == "dataContract" {
                self.write_entities(entity_type, batch).await?;
                next = self
                    .source
                    .list(collection, &mut fields, state.after.as_deref(), size)
                    .await;
                continue;
            }
            let (written, page) = futures::join!(
                self.writer.write(batch),
                self.source
                    .list(collection, &mut fields, state.after.as_deref(), size)
            );
            written?;
            next = page;
        }
    }

    /// Writes entities; a contract also as the contract of what it is about.
    async fn write_entities(
        &mut self,
        entity_type: &EntityType,
        mut batch: Batch,
    ) -> Result<(), SyncError> {
        if entity_type.as_str() != "dataContract" {
            return self.writer.write(batch).await;
        }
        self.writer
            .run(move |draft| {
                let mut contracts = Vec::new();
                for contract in &batch.documents {
                    let Some(id) = contract.body.pointer("/entity/id").and_then(Value::as_str)
                    else {
                        continue;
                    };
                    if let Some(key) = draft.name_of(id)? {
                        contracts.push(Document {
                            kind: Kind::Contract,
                            key,
                            entity_type: contract
                                .body
                                .get("entity")
                                .and_then(|entity| wire::text(entity, "type"))
                                .unwrap_or_default(),
                            body: contract.body.clone(),
                        });
                    }
                }
                batch.documents.extend(contracts);
                draft.write(&batch)
            })
            .await
    }

    /// A list that could not be read: what this server does not have, what we may not see, and
    /// what went wrong.
    async fn unread(
        &mut self,
        entity_type: &EntityType,
        collection: &str,
        state: ListState,
        error: CatalogError,
    ) -> Result<End, SyncError> {
        match error {
            CatalogError::Unsupported { .. } | CatalogError::NotFound { .. } => {
                self.end_list(entity_type, state, End::Absent).await
            }
            CatalogError::Forbidden { .. } => {
                self.odd(
                    collection,
                    format!("{collection}: the credential may not list them, so none are copied"),
                )
                .await?;
                self.end_list(entity_type, state, End::Forbidden).await
            }
            error => Err(SyncError::Catalog {
                stage: collection.to_owned(),
                error,
            }),
        }
    }

    async fn end_list(
        &mut self,
        entity_type: &EntityType,
        mut state: ListState,
        end: End,
    ) -> Result<End, SyncError> {
        state.end = Some(end);
        self.writer
            .set_note(&note_of(entity_type.as_str()), &state.text())
            .await?;
        Ok(end)
    }
}

/// An entity as it is kept; none without a name.
fn entity(entity_type: &EntityType, document: Value) -> Option<Document> {
    Some(Document {
        kind: plan::kind_of(entity_type),
        key: wire::text(&document, "fullyQualifiedName")?,
        entity_type: entity_type.as_str().to_owned(),
        body: trimmed(document),
    })
}
