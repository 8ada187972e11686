//! A local copy of a catalog: OpenMetadata's answers as documents in SQLite, with full-text search.

mod build;
mod compare;
mod differences;
pub(super) mod draft;
mod facts;
mod file;
mod head;
mod history;
pub(super) mod near;
pub(super) mod search;
mod vocabulary;

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde_json::Value;

pub use build::Builder;
pub use differences::Found as FoundDifferences;
use facts::Facts;
pub use file::{Held, SnapshotFile};
pub use head::{Count, Head, LastRead, Part};
pub use history::{Difference, DifferenceKind, Differences, Of};

use super::{error::CatalogError, graph::Graph};
use vocabulary::Vocabulary;

/// Changes with the tables; a file of another format is copied anew, never converted.
pub(super) const FORMAT: &str = "2";

/// What kind of answer a document is. The key of each is an FQN; `body` is what OpenMetadata's
/// REST API answers, credentials stripped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The search document of an entity (`_source`), with `upstreamLineage`.
    SearchDocument,
    /// The entity as the REST API reads it, all fields.
    Entity,
    /// `/versions` of an entity: newest first, each a JSON object.
    Versions,
    /// A test case, key: its FQN. Entity tests and column tests alike.
    TestCase,
    /// A list of results of one test case, newest first.
    TestResults,
    /// The incident records of one test case, newest first.
    Incidents,
    /// An ingestion pipeline, key: its FQN (`service.name`).
    IngestionPipeline,
    /// A list of runs of one ingestion pipeline, newest first.
    IngestionRuns,
    /// A list of runs of one pipeline entity, newest first.
    PipelineRuns,
    Usage,
    Contract,
    Queries,
    Profile,
    SampleData,
    /// Change events, key: their id.
    Event,
}

impl Kind {
    /// As the text form and the tables name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SearchDocument => "search",
            Self::Entity => "entity",
            Self::Versions => "versions",
            Self::TestCase => "test_case",
            Self::TestResults => "test_results",
            Self::Incidents => "incidents",
            Self::IngestionPipeline => "ingestion_pipeline",
            Self::IngestionRuns => "ingestion_runs",
            Self::PipelineRuns => "pipeline_runs",
            Self::Usage => "usage",
            Self::Contract => "contract",
            Self::Queries => "queries",
            Self::Profile => "profile",
            Self::SampleData => "sample_data",
            Self::Event => "event",
        }
    }
}

/// The catalog that comes with the binary, recorded from a real OpenMetadata by `demo/build.py`.
pub fn demo() -> Result<Snapshot, SnapshotError> {
    Snapshot::from_json_lines(include_str!("../../demo/catalog.jsonl"))
}

/// An open snapshot.
pub struct Snapshot {
    /// SQLite connections are not shared between threads; reads are short.
    connection: Mutex<Connection>,
    head: Head,
    /// The lineage of everything, read when it is first asked for.
    pub(super) lineage: OnceLock<Arc<Graph>>,
    /// What filters ask of every entity, read when it is first asked for.
    pub(super) facts: OnceLock<Facts>,
    /// Every word that stands in the index, read when it is first asked for.
    vocabulary: OnceLock<Vocabulary>,
    is_damaged: AtomicBool,
}

impl Snapshot {
    /// A snapshot in memory from JSON lines: a head `{"as_of": "…", "version": "…"}`, then one
    /// `{"kind", "key", "type"?, "body"}` a line.
    pub fn from_json_lines(lines: &str) -> Result<Self, SnapshotError> {
        let mut lines = lines.lines().filter(|line| !line.trim().is_empty());
        let head: Value = serde_json::from_str(lines.next().unwrap_or("{}"))?;
        let as_of = head["as_of"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .ok_or(SnapshotError::NoTime)?;
        let mut builder = Builder::in_memory()?;
        for line in lines {
            let line: Value = serde_json::from_str(line)?;
            builder.add_text(
                line["kind"].as_str().unwrap_or(""),
                line["key"].as_str().unwrap_or(""),
                line["type"].as_str().unwrap_or(""),
                &line["body"].to_string(),
            )?;
        }
        builder.finish(as_of, head["version"].as_str().unwrap_or(""))
    }

    /// Opens a finished snapshot file for reading.
    pub fn open(path: &Path) -> Result<Self, SnapshotError> {
        let connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        // Pages are read through the page cache of the system instead of being copied.
        connection.execute_batch("PRAGMA temp_store = memory; PRAGMA mmap_size = 268435456;")?;
        Self::of_connection(connection)
    }

    /// A connection to a finished snapshot. The head says what it is.
    pub(super) fn of_connection(connection: Connection) -> Result<Self, SnapshotError> {
        connection.set_prepared_statement_cache_capacity(64);
        // Every word that stands in the index, for near matches.
        connection.execute_batch(
            "CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab (main, words, row)",
        )?;
        let head = Head::read(&connection)?;
        Ok(Self {
            connection: Mutex::new(connection),
            head,
            lineage: OnceLock::new(),
            facts: OnceLock::new(),
            vocabulary: OnceLock::new(),
            is_damaged: AtomicBool::new(false),
        })
    }

    /// What the snapshot says of itself.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The version of the OpenMetadata that it was copied from; empty where that is not known.
    pub fn version(&self) -> &str {
        &self.head.version
    }

    /// One read at a time.
    pub(super) fn connection(&self) -> Result<MutexGuard<'_, Connection>, CatalogError> {
        self.connection.lock().map_err(|_| poisoned())
    }

    /// Whether a read found that the file is not what was written.
    pub fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::Relaxed)
    }

    /// A read found it: from the next call on the file is not used.
    pub fn found_damaged(&self) {
        self.is_damaged.store(true, Ordering::Relaxed);
    }

    /// Looks at every page of the file; as slow as reading it. Nothing where all is well.
    pub fn damage(&self) -> Option<String> {
        let said = self.connection().map_err(|error| error.to_string());
        let said = said.and_then(|connection| {
            connection
                .query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
                .map_err(|error| error.to_string())
        });
        match said {
            Ok(said) if said == "ok" => None,
            Ok(said) | Err(said) => Some(said),
        }
    }

    /// Whether it was copied from a server, which may have what it does not hold.
    pub fn is_of_a_server(&self) -> bool {
        self.head.url.is_some()
    }

    /// When the copy was taken.
    pub fn as_of(&self) -> jiff::Timestamp {
        self.head.as_of
    }

    /// The document of this kind and key; the first by type where two entities share the name.
    pub fn document(&self, kind: Kind, key: &str) -> Result<Option<Value>, CatalogError> {
        let connection = self.connection()?;
        connection
            .query_row(
                "SELECT body FROM document WHERE kind = ?1 AND key = ?2 ORDER BY type LIMIT 1",
                params![kind.as_str(), key],
                |row| row.get::<_, String>(0),
            )
            .optional()
            .map_err(storage)?
            .map(|body| serde_json::from_str(&body).map_err(|error| damaged(&error)))
            .transpose()
    }

    /// All documents of a kind with their keys, in the order of the keys.
    pub fn documents(&self, kind: Kind) -> Result<Vec<(String, Value)>, CatalogError> {
        let connection = self.connection()?;
        let mut statement = connection
            .prepare_cached("SELECT key, body FROM document WHERE kind = ?1 ORDER BY key, type")
            .map_err(storage)?;
        let rows = statement
            .query_map([kind.as_str()], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })
            .map_err(storage)?;
        rows.map(|row| {
            let (key, body) = row.map_err(storage)?;
            let body = serde_json::from_str(&body).map_err(|error| damaged(&error))?;
            Ok((key, body))
        })
        .collect()
    }

    /// The documents of this kind and key with their types, one for each type, in the order of
    /// the types.
    pub fn documents_named(
        &self,
        kind: Kind,
        key: &str,
    ) -> Result<Vec<(String, Value)>, CatalogError> {
        self.select(
            "SELECT type, body FROM document WHERE kind = ?1 AND key = ?2 ORDER BY type",
            kind,
            key,
        )
    }

    /// The documents of this kind whose entity has this id, with their types.
    pub fn documents_with_id(
        &self,
        kind: Kind,
        id: &str,
    ) -> Result<Vec<(String, Value)>, CatalogError> {
        self.select(
            "SELECT type, body FROM document WHERE kind = ?1 AND id = ?2 ORDER BY type",
            kind,
            id,
        )
    }

    /// The keys of all documents of a kind, in order.
    pub fn names(&self, kind: Kind) -> Result<Vec<String>, CatalogError> {
        let connection = self.connection()?;
        let mut statement = connection
            .prepare_cached("SELECT DISTINCT key FROM document WHERE kind = ?1 ORDER BY key")
            .map_err(storage)?;
        let rows = statement
            .query_map([kind.as_str()], |row| row.get(0))
            .map_err(storage)?;
        rows.map(|row| row.map_err(storage)).collect()
    }

    fn select(
        &self,
        sql: &str,
        kind: Kind,
        value: &str,
    ) -> Result<Vec<(String, Value)>, CatalogError> {
        let connection = self.connection()?;
        let mut statement = connection.prepare_cached(sql).map_err(storage)?;
        let rows = statement
            .query_map([kind.as_str(), value], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })
            .map_err(storage)?;
        rows.map(|row| {
            let (entity_type, body) = row.map_err(storage)?;
            let body = serde_json::from_str(&body).map_err(|error| damaged(&error))?;
            Ok((entity_type, body))
        })
        .collect()
    }
}

/// Why a snapshot could not be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("the snapshot is not valid JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the snapshot does not say when it was taken")]
    NoTime,
    #[error("the snapshot was written by another version of this program: copy the catalog again")]
    OtherFormat,
    #[error("the snapshot cannot be stored: {0}")]
    Storage(#[from] rusqlite::Error),
    #[error("the file of the snapshot cannot be written: {0}")]
    File(#[from] std::io::Error),
}

pub(super) fn storage(error: rusqlite::Error) -> CatalogError {
    if file::is_damage(&error) {
        return CatalogError::BadUpstream {
            message: format!("the snapshot is damaged: {error}"),
        };
    }
    CatalogError::Unavailable {
        message: format!("the snapshot could not be read: {error}"),
    }
}

pub(super) fn damaged(error: &serde_json::Error) -> CatalogError {
    CatalogError::BadUpstream {
        message: format!("a document of the snapshot is damaged: {error}"),
    }
}

fn poisoned() -> CatalogError {
    CatalogError::Unavailable {
        message: "the snapshot could not be read: an earlier read failed".into(),
    }
}
