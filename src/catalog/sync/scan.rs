//! Reads the search index to its end: every asset with the edges that come into it.

use serde_json::{Value, json};

use super::{
    SyncError,
    copy::Copy,
    source::{ScanPage, Sized},
    trim::trimmed,
};
use crate::catalog::{
    CatalogError,
    snapshot::{
        Kind,
        draft::{Batch, Document},
    },
    wire,
};

/// How the scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scanned {
    Whole,
    /// The server hands out the same page again: it does not know `search_after`.
    Repeats,
}

const STAGE: &str = "search index";
/// The note of how far it is.
const NOTE: &str = "scan";

/// How far the scan is.
#[derive(Debug, Clone, Default)]
struct State {
    after: Option<String>,
    read: u64,
    total: Option<u64>,
    unnamed: u64,
    is_done: bool,
}

impl State {
    fn read_from(note: Option<String>) -> Self {
        let note: Value = note
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        Self {
            after: note["after"].as_str().map(str::to_owned),
            read: note["read"].as_u64().unwrap_or(0),
            total: note["total"].as_u64(),
            unnamed: note["unnamed"].as_u64().unwrap_or(0),
            is_done: note["done"].as_bool().unwrap_or(false),
        }
    }

    fn note(&self) -> (String, String) {
        let note = json!({
            "after": self.after, "read": self.read, "total": self.total,
            "unnamed": self.unnamed, "done": self.is_done,
        });
        (NOTE.to_owned(), note.to_string())
    }
}

impl Copy<'_> {
    pub async fn scan(&mut self) -> Result<Scanned, SyncError> {
        let mut state = State::read_from(self.writer.note(NOTE).await?);
        if state.is_done {
            return Ok(Scanned::Whole);
        }
        let mut size = self.options.page * 3;
        let failed = |error| SyncError::Catalog {
            stage: STAGE.into(),
            error,
        };
        let mut next = self.source.scan(state.after.as_deref(), size).await;
        loop {
            let Sized { page, size: worked } = next.map_err(failed)?;
            size = worked;
            if page.hits == 0 {
                break;
            }
            let Some(last) = page.last.clone() else {
                return Err(failed(CatalogError::BadUpstream {
                    message: "the search index hands out hits that it did not sort".into(),
                }));
            };
            if state.after.as_ref().is_some_and(|after| last <= *after) {
                return Ok(Scanned::Repeats);
            }
            state.after = Some(last);
            state.read += page.hits;
            state.total = page.total;
            self.tell(STAGE, state.read, state.total);
            let batch = batch(page, &mut state);
            let after = state.after.clone();
            let (written, page) = futures::join!(
                self.writer.write(batch),
                self.source.scan(after.as_deref(), size)
            );
            written?;
            next = page;
        }
        state.is_done = true;
        if let Some(total) = state.total.filter(|total| *total != state.read) {
            let read = state.read;
            self.odd(
                "scan",
                format!("the search index said {total} assets and handed out {read}"),
            )
            .await?;
        }
        if state.unnamed > 0 {
            let unnamed = state.unnamed;
            self.odd(
                "unnamed",
                format!("{unnamed} documents of the search index have no name or type"),
            )
            .await?;
        }
        let (name, value) = state.note();
        self.writer.set_note(&name, &value).await?;
        Ok(Scanned::Whole)
    }
}

fn batch(page: ScanPage, state: &mut State) -> Batch {
    let mut batch = Batch::default();
    for document in page.documents {
        let (Some(key), Some(entity_type)) = (
            wire::text(&document, "fullyQualifiedName"),
            wire::text(&document, "entityType"),
        ) else {
            state.unnamed += 1;
            continue;
        };
        batch.documents.push(Document {
            kind: Kind::SearchDocument,
            key,
            entity_type,
            body: trimmed(document),
        });
    }
    batch.notes.push(state.note());
    batch
}
