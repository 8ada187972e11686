//! Writes a snapshot: documents first, then everything that is found through an index.

use std::path::Path;

use rusqlite::{Connection, Transaction, params};
use serde_json::{Map, Value, json};

use crate::catalog::{
    model::{EntitySummary, EntityType},
    search::text::{camel_parts, folded},
    snapshot::facts,
    snapshot::{Difference, Head, Kind, Snapshot, SnapshotError, history},
    wire,
};

/// `entity.id` follows the order of the FQNs, so that a listing needs no sort. `words` holds no
/// text of its own (`content=''`): what is shown comes from `entity.summary`.
const TABLES: &str = "
CREATE TABLE head (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE document (
    kind TEXT NOT NULL, key TEXT NOT NULL, type TEXT NOT NULL, id TEXT, body TEXT NOT NULL,
    UNIQUE (kind, key, type));
CREATE TABLE entity (
    id INTEGER PRIMARY KEY, type TEXT NOT NULL, fqn TEXT NOT NULL, fqn_folded TEXT NOT NULL,
    name TEXT NOT NULL, name_folded TEXT NOT NULL, summary TEXT NOT NULL, columns TEXT NOT NULL);
CREATE TABLE fact (id INTEGER PRIMARY KEY, type INTEGER NOT NULL, flags INTEGER NOT NULL);
CREATE TABLE type (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE label (
    kind TEXT NOT NULL, value TEXT NOT NULL, entity INTEGER NOT NULL,
    PRIMARY KEY (kind, value, entity)) WITHOUT ROWID;
CREATE TABLE handle (
    kind TEXT NOT NULL, key TEXT NOT NULL, entity INTEGER NOT NULL,
    PRIMARY KEY (kind, key, entity)) WITHOUT ROWID;
CREATE TABLE edge (
    from_type TEXT NOT NULL, from_fqn TEXT NOT NULL, to_type TEXT NOT NULL, to_fqn TEXT NOT NULL,
    pipeline TEXT, body TEXT NOT NULL);
CREATE VIRTUAL TABLE words USING fts5 (
    name, display_name, columns, description, path,
    content='', tokenize='porter unicode61 remove_diacritics 2');
";

/// What a copy in the making needs already.
pub(super) const EARLY_INDEXES: &str =
    "CREATE INDEX document_id ON document (kind, id) WHERE id IS NOT NULL;";

/// Made after the rows: faster than keeping them up to date row by row.
const INDEXES: &str = "
CREATE INDEX IF NOT EXISTS document_id ON document (kind, id) WHERE id IS NOT NULL;
CREATE INDEX entity_fqn ON entity (fqn_folded);
CREATE INDEX entity_name ON entity (name_folded);
CREATE INDEX label_entity ON label (entity);
CREATE INDEX edge_from ON edge (from_fqn);
CREATE INDEX edge_to ON edge (to_fqn);
";

/// What a plain search looks through; users, teams, services, tests and the like are found where
/// their type is asked for. As the server's alias `dataAsset` has it (`search-engine/aliases`),
/// and services and domains, which people look for by name.
const NOT_ASSETS: &[&str] = &[
    "user",
    "team",
    "testCase",
    "testSuite",
    "ingestionPipeline",
    "dataContract",
    "query",
    "classification",
];

/// A snapshot being written. Nothing is there to read before `finish`.
pub struct Builder {
    connection: Connection,
}

impl Builder {
    pub fn in_memory() -> Result<Self, SnapshotError> {
        Self::of(Connection::open_in_memory()?)
    }

    /// Writes to a new file; whoever calls renames it when it is finished.
    pub fn at(path: &Path) -> Result<Self, SnapshotError> {
        let connection = Connection::open(path)?;
        // A file that is not finished is thrown away: it needs no journal.
        connection.execute_batch("PRAGMA journal_mode = off; PRAGMA synchronous = off;")?;
        Self::of(connection)
    }

    fn of(connection: Connection) -> Result<Self, SnapshotError> {
        create_tables(&connection)?;
        connection.execute_batch("BEGIN")?;
        Ok(Self { connection })
    }

    /// Adds or replaces a document. `entity_type` is empty where the kind says enough.
    pub fn add(
        &mut self,
        kind: Kind,
        key: &str,
        entity_type: &str,
        body: &Value,
    ) -> Result<(), SnapshotError> {
        self.add_text(kind.as_str(), key, entity_type, &body.to_string())
    }

    pub(super) fn add_text(
        &mut self,
        kind: &str,
        key: &str,
        entity_type: &str,
        body: &str,
    ) -> Result<(), SnapshotError> {
        put(&self.connection, kind, key, entity_type, body)
    }

    /// Adds a difference between two copies.
    pub fn add_difference(&mut self, difference: &Difference) -> Result<(), SnapshotError> {
        history::insert(&self.connection, difference)
    }

    /// Indexes everything. `version` is that of the OpenMetadata that was copied.
    pub fn finish(self, as_of: jiff::Timestamp, version: &str) -> Result<Snapshot, SnapshotError> {
        self.finish_as(&Head::of(as_of, version))
    }

    /// The same with everything that is known of the copy.
    pub fn finish_as(self, head: &Head) -> Result<Snapshot, SnapshotError> {
        let mut connection = self.connection;
        connection.execute_batch("COMMIT")?;
        let transaction = connection.transaction()?;
        index_all(&transaction)?;
        head.write(&transaction)?;
        transaction.commit()?;
        connection.execute_batch("PRAGMA optimize")?;
        Snapshot::of_connection(connection)
    }
}

/// The tables of an empty snapshot.
pub(super) fn create_tables(connection: &Connection) -> Result<(), SnapshotError> {
    connection.execute_batch(TABLES)?;
    connection.execute_batch(history::TABLE)?;
    Ok(())
}

/// Adds or replaces a document.
pub(super) fn put(
    connection: &Connection,
    kind: &str,
    key: &str,
    entity_type: &str,
    body: &str,
) -> Result<(), SnapshotError> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO document (kind, key, type, id, body)
             VALUES (?1, ?2, ?3, CASE WHEN ?1 IN ('search', 'entity', 'test_case', 'ingestion_pipeline')
                 THEN ?4 ->> '$.id' END, ?4)",
        )?
        .execute(params![kind, key, entity_type, body])?;
    Ok(())
}

/// Makes everything that is found through an index, out of the documents.
pub(super) fn index_all(transaction: &Transaction<'_>) -> Result<(), SnapshotError> {
    index(transaction)?;
    transaction.execute_batch(INDEXES)?;
    transaction.execute_batch(history::INDEXES)?;
    Ok(())
}

/// Reads every entity's documents, in the order of the FQNs, and writes its rows.
fn index(transaction: &Transaction<'_>) -> Result<(), SnapshotError> {
    let mut select = transaction.prepare(
        "SELECT key, type, max(CASE kind WHEN 'search' THEN body END),
            max(CASE kind WHEN 'search' THEN NULL ELSE body END)
         FROM document WHERE kind IN ('search', 'entity', 'test_case', 'ingestion_pipeline')
         GROUP BY key, type ORDER BY key, type",
    )?;
    let mut rows = select.query([])?;
    let mut position: i64 = 0;
    while let Some(row) = rows.next()? {
        position += 1;
        let entity_type = EntityType::new(row.get::<_, String>(1)?);
        let parsed =
            |text: Option<String>| text.map(|text| serde_json::from_str(&text)).transpose();
        let found: Option<Value> = parsed(row.get(2)?)?;
        let read: Option<Value> = parsed(row.get(3)?)?;
        if let Some(found) = &found {
            edges(transaction, &entity_type, &row.get::<_, String>(0)?, found)?;
        }
        // The search document says tier and tags apart, the REST form what the index leaves out.
        let documents: Vec<&Value> = found.iter().chain(&read).collect();
        entity(transaction, position, &entity_type, &documents)?;
    }
    Ok(())
}

fn entity(
    transaction: &Transaction<'_>,
    position: i64,
    entity_type: &EntityType,
    documents: &[&Value],
) -> Result<(), SnapshotError> {
    let Some(summary) = documents
        .iter()
        .find_map(|document| wire::summary(document, Some(entity_type)))
    else {
        return Ok(());
    };
    let columns = documents
        .iter()
        .map(|document| column_names(document))
        .max_by_key(Vec::len)
        .unwrap_or_default();
    transaction
        .prepare_cached("INSERT OR IGNORE INTO type (name) VALUES (?1)")?
        .execute([entity_type.as_str()])?;
    transaction
        .prepare_cached(
            "INSERT INTO fact (id, type, flags) VALUES (?1, (SELECT id FROM type WHERE name = ?2), ?3)",
        )?
        .execute(params![position, entity_type.as_str(), flags(&summary)])?;
    transaction
        .prepare_cached(
            "INSERT INTO entity (id, type, fqn, fqn_folded, name, name_folded, summary, columns)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            position,
            entity_type.as_str(),
            summary.fqn,
            folded(&summary.fqn),
            summary.name,
            folded(&summary.name),
            slim(&summary, documents).to_string(),
            columns.join("\n"),
        ])?;
    transaction
        .prepare_cached(
            "INSERT INTO words (rowid, name, display_name, columns, description, path)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            position,
            with_parts(&summary.name),
            summary.display_name.as_deref().map(with_parts),
            with_parts(&columns.join(" ")),
            summary.description,
            with_parts(&summary.fqn),
        ])?;
    for (kind, value) in labels(&summary) {
        transaction
            .prepare_cached(
                "INSERT OR IGNORE INTO label (kind, value, entity) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![kind, value, position])?;
    }
    for (kind, key) in handles(&summary, documents, &columns) {
        transaction
            .prepare_cached("INSERT OR IGNORE INTO handle (kind, key, entity) VALUES (?1, ?2, ?3)")?
            .execute(params![kind, key, position])?;
    }
    Ok(())
}

/// Every edge that comes into this entity, as its search document tells.
fn edges(
    transaction: &Transaction<'_>,
    entity_type: &EntityType,
    fqn: &str,
    document: &Value,
) -> Result<(), SnapshotError> {
    let incoming = document.get("upstreamLineage").and_then(Value::as_array);
    for edge in incoming.into_iter().flatten() {
        let Some(from) = edge.get("fromEntity") else {
            continue;
        };
        let Some(from_fqn) = wire::text(from, "fullyQualifiedName") else {
            continue;
        };
        transaction
            .prepare_cached(
                "INSERT INTO edge (from_type, from_fqn, to_type, to_fqn, pipeline, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                wire::text(from, "type").unwrap_or_default(),
                from_fqn,
                entity_type.as_str(),
                fqn,
                edge.get("pipeline")
                    .and_then(|pipeline| wire::text(pipeline, "fullyQualifiedName")),
                edge.to_string(),
            ])?;
    }
    Ok(())
}

/// What a list of hits shows, in the form that `wire::summary` reads.
fn slim(summary: &EntitySummary, documents: &[&Value]) -> Value {
    let mut slim = Map::new();
    for field in [
        "id",
        "name",
        "fullyQualifiedName",
        "displayName",
        "description",
        "deleted",
        "updatedAt",
        "version",
    ] {
        if let Some(value) = documents.iter().find_map(|document| document.get(field)) {
            slim.insert(field.into(), value.clone());
        }
    }
    slim.insert("entityType".into(), summary.entity_type.as_str().into());
    if let Some(service) = &summary.service {
        slim.insert("service".into(), json!({"fullyQualifiedName": service}));
    }
    let owners: Vec<Value> = summary
        .owners
        .iter()
        .map(|owner| {
            json!({"id": owner.id, "type": owner.kind, "name": owner.name,
                   "displayName": owner.display_name})
        })
        .collect();
    slim.insert("owners".into(), owners.into());
    if let Some(tier) = &summary.tier {
        slim.insert("tier".into(), json!({"tagFQN": tier}));
    }
    let tags = summary.tags.iter().map(|tag| json!({"tagFQN": tag}));
    let terms = summary
        .terms
        .iter()
        .map(|term| json!({"tagFQN": term, "source": "Glossary"}));
    slim.insert("tags".into(), tags.chain(terms).collect());
    let domains = summary.domains.iter();
    slim.insert(
        "domains".into(),
        domains
            .map(|domain| json!({"fullyQualifiedName": domain}))
            .collect(),
    );
    Value::Object(slim)
}

/// What is true of an entity, as bits; see `Facts`.
fn flags(summary: &EntitySummary) -> u8 {
    let is_asset = !NOT_ASSETS.contains(&summary.entity_type.as_str());
    [
        (is_asset, facts::IS_ASSET),
        (summary.is_deleted, facts::IS_DELETED),
        (!summary.owners.is_empty(), facts::HAS_OWNER),
        (summary.description.is_some(), facts::HAS_DESCRIPTION),
        (summary.tier.is_some(), facts::HAS_TIER),
        (!summary.tags.is_empty(), facts::HAS_TAGS),
        (!summary.domains.is_empty(), facts::HAS_DOMAIN),
        (!summary.terms.is_empty(), facts::HAS_TERM),
    ]
    .into_iter()
    .filter(|(is_true, _)| *is_true)
    .fold(0, |flags, (_, flag)| flags | flag)
}

/// What facets count: one value for each thing, as filters take it.
fn labels(summary: &EntitySummary) -> Vec<(&'static str, String)> {
    let mut labels = vec![("type", summary.entity_type.as_str().to_owned())];
    labels.extend(summary.service.iter().map(|it| ("service", it.clone())));
    labels.extend(summary.owners.iter().map(|it| ("owner", it.name.clone())));
    labels.extend(summary.tier.iter().map(|it| ("tier", it.clone())));
    labels.extend(summary.tags.iter().map(|it| ("tag", it.clone())));
    labels.extend(summary.terms.iter().map(|it| ("term", it.clone())));
    labels.extend(summary.domains.iter().map(|it| ("domain", it.clone())));
    labels
}

/// What filters look for: every folded name by which the thing is known.
fn handles(
    summary: &EntitySummary,
    documents: &[&Value],
    columns: &[String],
) -> Vec<(&'static str, String)> {
    let mut handles = Vec::new();
    let mut add = |kind: &'static str, name: &str| handles.push((kind, folded(name)));
    if let Some(service) = &summary.service {
        add("service", service);
    }
    for owner in &summary.owners {
        add("owner", &owner.name);
        if let Some(name) = &owner.display_name {
            add("owner", name);
        }
    }
    for (kind, names) in [("tag", &summary.tags), ("term", &summary.terms)] {
        for name in names {
            add(kind, name);
            if let Some(last) = crate::catalog::fqn::parts(name).last() {
                add(kind, last);
            }
        }
    }
    if let Some(tier) = &summary.tier {
        add("tier", tier);
        add("tag", tier);
    }
    for document in documents {
        for domain in wire::one_or_many(document, "domain", "domains") {
            for field in ["fullyQualifiedName", "name", "displayName"] {
                if let Some(name) = wire::text(domain, field) {
                    add("domain", &name);
                }
            }
        }
    }
    for column in columns {
        add("column", column);
    }
    handles
}

/// Names of columns (of fields, tasks and features too), nested ones with their path.
fn column_names(document: &Value) -> Vec<String> {
    fn collect(items: &[Value], path: &str, names: &mut Vec<String>) {
        for item in items {
            let Some(name) = wire::text(item, "name") else {
                continue;
            };
            let path = if path.is_empty() {
                name
            } else {
                format!("{path}.{name}")
            };
            if let Some(Value::Array(children)) = item.get("children") {
                collect(children, &path, names);
            }
            names.push(path);
        }
    }
    let mut names = Vec::new();
    let lists = [
        document.get("columns"),
        document.pointer("/dataModel/columns"),
        document.pointer("/messageSchema/schemaFields"),
        document.get("mlFeatures"),
        document.get("fields"),
    ];
    for list in lists.into_iter().flatten() {
        if let Value::Array(items) = list {
            collect(items, "", &mut names);
        }
    }
    names
}

/// The text and the parts of its camel-case words, so that `billsV2` is found by `bills`.
fn with_parts(text: &str) -> String {
    let mut all = text.to_owned();
    for run in text.split(|character: char| !character.is_alphanumeric()) {
        let parts = camel_parts(run);
        if parts.len() > 1 {
            for part in parts {
                all.push(' ');
                all.push_str(part);
            }
        }
    }
    all
}
