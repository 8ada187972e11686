//! The search documents that the recordings hold, merged to one catalog a version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use md5::{Digest, Md5};
use serde_json::{Map, Value, json};

use super::recordings::{Recording, Version};

/// One entity as the search index knows it.
pub struct Document {
    pub id: String,
    /// Without the `_rebuild_<time>` that an index may carry.
    pub index: String,
    /// As the engine names it.
    pub engine_index: String,
    pub source: Value,
    /// Whether every field of the sync scan is there, not only names.
    pub is_whole: bool,
}

impl Document {
    pub fn text(&self, field: &str) -> &str {
        self.source[field].as_str().unwrap_or_default()
    }

    pub fn name(&self) -> &str {
        self.text("fullyQualifiedName")
    }

    /// The last part of the full name: the old server's dashboards have their display name for a name.
    pub fn entity_name(&self) -> &str {
        let last = name_parts(self.name()).pop().unwrap_or_default();
        last.trim_matches('"')
    }

    pub fn is_deleted(&self) -> bool {
        // The new server writes the text "true" where it marks a document as deleted.
        matches!(&self.source["deleted"], Value::Bool(true)) || self.source["deleted"] == "true"
    }
}

pub struct Documents {
    pub all: Vec<Document>,
    by_id: BTreeMap<String, usize>,
    by_name: BTreeMap<(String, String), usize>,
    /// Index names behind each alias.
    aliases: BTreeMap<String, BTreeSet<String>>,
}

impl Documents {
    pub fn of(version: Version) -> &'static Documents {
        static NEW: OnceLock<Documents> = OnceLock::new();
        static OLD: OnceLock<Documents> = OnceLock::new();
        let cell = match version {
            Version::V1_12_6 => &NEW,
            Version::V1_2_0 => &OLD,
        };
        cell.get_or_init(|| collect(version))
    }

    pub fn by_id(&self, id: &str) -> Option<&Document> {
        self.by_id.get(id).map(|position| &self.all[*position])
    }

    pub fn by_name(&self, entity_type: &str, name: &str) -> Option<&Document> {
        let key = (entity_type.to_owned(), name.to_owned());
        self.by_name.get(&key).map(|position| &self.all[*position])
    }

    /// The indexes behind a name, a comma list or an alias; nothing if one is unknown.
    pub fn indexes(&self, text: &str) -> Option<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        for name in text.split(',') {
            found.extend(self.aliases.get(name.trim())?.iter().cloned());
        }
        Some(found)
    }
}

/// How OpenMetadata hashes a name: MD5 of each part, quotes included, joined by dots.
pub fn name_hash(fully_qualified_name: &str) -> String {
    let hashes = name_parts(fully_qualified_name).into_iter().map(|part| {
        let digest = Md5::digest(part.as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    });
    hashes.collect::<Vec<String>>().join(".")
}

/// Splits at the dots outside of quotes.
fn name_parts(name: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut is_quoted) = (0, false);
    for (position, character) in name.char_indices() {
        match character {
            '"' => is_quoted = !is_quoted,
            '.' if !is_quoted => {
                parts.push(&name[start..position]);
                start = position + 1;
            }
            _ => {}
        }
    }
    parts.push(&name[start..]);
    parts
}

/// Where an entity type is read and found: route, type, index.
pub const TYPES: [(&str, &str, &str); 27] = [
    ("tables", "table", "table_search_index"),
    ("dashboards", "dashboard", "dashboard_search_index"),
    ("charts", "chart", "chart_search_index"),
    ("topics", "topic", "topic_search_index"),
    ("pipelines", "pipeline", "pipeline_search_index"),
    ("mlmodels", "mlmodel", "mlmodel_search_index"),
    ("containers", "container", "container_search_index"),
    ("searchIndexes", "searchIndex", "search_entity_search_index"),
    ("metrics", "metric", "metric_search_index"),
    ("databases", "database", "database_search_index"),
    (
        "databaseSchemas",
        "databaseSchema",
        "database_schema_search_index",
    ),
    (
        "glossaryTerms",
        "glossaryTerm",
        "glossary_term_search_index",
    ),
    ("tags", "tag", "tag_search_index"),
    (
        "classifications",
        "classification",
        "classification_search_index",
    ),
    ("glossaries", "glossary", "glossary_search_index"),
    ("domains", "domain", "domain_search_index"),
    ("users", "user", "user_search_index"),
    ("teams", "team", "team_search_index"),
    (
        "dataQuality/testCases",
        "testCase",
        "test_case_search_index",
    ),
    (
        "dataQuality/testSuites",
        "testSuite",
        "test_suite_search_index",
    ),
    (
        "services/databaseServices",
        "databaseService",
        "database_service_search_index",
    ),
    (
        "services/dashboardServices",
        "dashboardService",
        "dashboard_service_search_index",
    ),
    (
        "services/messagingServices",
        "messagingService",
        "messaging_service_search_index",
    ),
    (
        "services/pipelineServices",
        "pipelineService",
        "pipeline_service_search_index",
    ),
    (
        "services/mlmodelServices",
        "mlmodelService",
        "mlmodel_service_search_index",
    ),
    (
        "services/searchServices",
        "searchService",
        "search_service_search_index",
    ),
    (
        "services/storageServices",
        "storageService",
        "storage_service_search_index",
    ),
];

/// What an entity read tells beyond its search document.
const FROM_ENTITIES: [&str; 16] = [
    "name",
    "fullyQualifiedName",
    "displayName",
    "description",
    "owner",
    "owners",
    "domain",
    "domains",
    "service",
    "serviceType",
    "version",
    "updatedAt",
    "deleted",
    "tags",
    "columns",
    "database",
];

fn collect(version: Version) -> Documents {
    let mut found: BTreeMap<String, Document> = BTreeMap::new();
    // The sync scan was one moment of the catalog; other answers only add what it lacks.
    let (scan, other): (Vec<_>, Vec<_>) = version
        .recordings()
        .iter()
        .filter(|recording| recording.status == 200 && recording.method == "GET")
        .partition(|recording| recording.name.starts_with("sync/page-"));
    for recording in scan.iter().chain(&other) {
        let is_scan =
            recording.name.starts_with("sync/page-") && !recording.name.contains("all-alias");
        for hit in recording.hits().into_iter().flatten() {
            add_hit(&mut found, hit, is_scan);
        }
    }
    for recording in other {
        add_entities(&mut found, recording);
    }
    let mut all: Vec<Document> = found
        .into_values()
        .filter(|document| !document.name().is_empty())
        .collect();
    for document in &mut all {
        complete(version, document);
    }
    let aliases = match version {
        Version::V1_12_6 => recorded_aliases(version),
        Version::V1_2_0 => old_aliases(&all),
    };
    let position = |key: &dyn Fn(&Document) -> String| -> BTreeMap<String, usize> {
        all.iter()
            .enumerate()
            .map(|(at, document)| (key(document), at))
            .collect()
    };
    let by_id = position(&|document| document.id.clone());
    let by_name = all
        .iter()
        .enumerate()
        .flat_map(|(at, document)| {
            let entity_type = document.text("entityType");
            // Users are asked for by their name, which has no quotes where their full name has some.
            let short = (entity_type == "user").then(|| document.text("name"));
            let names = [Some(document.name()), short].into_iter().flatten();
            names.map(move |name| ((entity_type.to_owned(), name.to_owned()), at))
        })
        .collect();
    Documents {
        all,
        by_id,
        by_name,
        aliases,
    }
}

fn add_hit(found: &mut BTreeMap<String, Document>, hit: &Value, is_scan: bool) {
    let (Some(id), Some(index)) = (hit["_id"].as_str(), hit["_index"].as_str()) else {
        return;
    };
    let document = found.entry(id.to_owned()).or_insert_with(|| Document {
        id: id.to_owned(),
        index: index.split("_rebuild_").next().unwrap_or(index).to_owned(),
        engine_index: index.to_owned(),
        source: Value::Object(Map::new()),
        is_whole: false,
    });
    let source = &hit["_source"];
    // Only an answer without named fields, or the scan, holds every field.
    document.is_whole |=
        is_scan || source.get("tags").is_some() && source.get("updatedAt").is_some();
    for (name, value) in source.as_object().into_iter().flatten() {
        add_field(&mut document.source, name, value);
    }
}

/// Keeps what is there, except that columns with types are better than bare names.
fn add_field(source: &mut Value, name: &str, value: &Value) {
    let is_typed = |value: &Value| value.pointer("/0/dataType").is_some();
    let present = source.get(name);
    if present.is_none()
        || name == "columns" && present.is_some_and(|old| !is_typed(old)) && is_typed(value)
    {
        source[name] = value.clone();
    }
}

/// Entities and lists of them; those without a search document get one.
fn add_entities(found: &mut BTreeMap<String, Document>, recording: &Recording) {
    let path = recording.path.strip_prefix("/api/v1/").unwrap_or_default();
    let route = path.split("/name/").next().unwrap_or_default();
    let known = TYPES.iter().find(|(name, _, _)| *name == route);
    // The user index leaves bots and administrators out, by rules that were not recorded.
    let known = known.filter(|(route, _, _)| *route != "users");
    let (Some((_, entity_type, index)), true) = (
        known,
        recording.folder() == "entities" || recording.folder() == "quality",
    ) else {
        return;
    };
    let single = std::slice::from_ref(&recording.response);
    let entities = recording.response["data"]
        .as_array()
        .map_or(single, Vec::as_slice);
    for entity in entities {
        let (Some(id), Some(_)) = (entity["id"].as_str(), entity["fullyQualifiedName"].as_str())
        else {
            continue;
        };
        let document = found.entry(id.to_owned()).or_insert_with(|| Document {
            id: id.to_owned(),
            index: (*index).to_owned(),
            engine_index: (*index).to_owned(),
            source: json!({ "id": id, "entityType": entity_type, "deleted": false }),
            is_whole: true,
        });
        for name in FROM_ENTITIES {
            let Some(value) = entity.get(name) else {
                continue;
            };
            if name == "tags" {
                add_tags(&mut document.source, value);
            } else {
                add_field(&mut document.source, name, value);
            }
        }
    }
}

/// An entity carries its tier among its tags, a search document beside them.
fn add_tags(source: &mut Value, tags: &Value) {
    let is_tier = |tag: &&Value| {
        tag["tagFQN"]
            .as_str()
            .is_some_and(|name| name.starts_with("Tier."))
    };
    let (tiers, others): (Vec<&Value>, Vec<&Value>) =
        tags.as_array().into_iter().flatten().partition(is_tier);
    if let Some(tier) = tiers.first() {
        add_field(source, "tier", tier);
    }
    add_field(source, "tags", &others.into_iter().cloned().collect());
}

fn complete(version: Version, document: &mut Document) {
    let id = document.id.clone();
    let hash = name_hash(document.name());
    let name = document.name().to_owned();
    let source = document
        .source
        .as_object_mut()
        .expect("a document is an object");
    source.entry("id").or_insert_with(|| id.into());
    source.entry("deleted").or_insert(Value::Bool(false));
    source
        .entry("fullyQualifiedName")
        .or_insert_with(|| name.into());
    if version == Version::V1_12_6 {
        source.entry("fqnHash").or_insert_with(|| hash.into());
    }
}

fn recorded_aliases(version: Version) -> BTreeMap<String, BTreeSet<String>> {
    let path = version.folder().join("search-engine/aliases.json");
    let text = std::fs::read_to_string(path).expect("the recorded aliases");
    let aliases: BTreeMap<String, Vec<String>> =
        serde_json::from_str(&text).expect("aliases are lists");
    let plain = |index: String| {
        index
            .split("_rebuild_")
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    aliases
        .into_iter()
        .map(|(name, indexes)| (name, indexes.into_iter().map(plain).collect()))
        .collect()
}

/// The old server's aliases, as its answers tell them (`search/alias-*`, `search/index-*`).
fn old_aliases(documents: &[Document]) -> BTreeMap<String, BTreeSet<String>> {
    let mut aliases: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let every: BTreeSet<String> = documents
        .iter()
        .map(|document| document.index.clone())
        .collect();
    for index in &every {
        aliases.insert(index.clone(), BTreeSet::from([index.clone()]));
    }
    let of = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("{name}_search_index"))
            .collect()
    };
    let groups: [(&str, &[&str]); 18] = [
        ("table", &["table"]),
        ("dashboard", &["dashboard", "chart"]),
        ("topic", &["topic"]),
        ("pipeline", &["pipeline"]),
        ("mlmodel", &["mlmodel"]),
        ("container", &["container"]),
        ("searchIndex", &["search_entity"]),
        ("glossaryTerm", &["glossary_term"]),
        ("tag", &["tag"]),
        ("user", &["user"]),
        ("team", &["team"]),
        ("testCase", &["test_case"]),
        ("databaseSchema", &["database_schema", "table"]),
        ("database", &["database", "database_schema", "table"]),
        (
            "databaseService",
            &["database_service", "database", "database_schema", "table"],
        ),
        // Nothing stands behind these, though domains have an index.
        ("domain", &[]),
        ("dataProduct", &[]),
        ("query", &[]),
    ];
    for (alias, names) in groups {
        aliases.insert(alias.to_owned(), of(names));
    }
    let outside: BTreeSet<String> = of(&[
        "user",
        "team",
        "test_case",
        "test_suite",
        "domain",
        "chart",
        "glossary",
    ]);
    aliases.insert(
        "all".to_owned(),
        every.difference(&outside).cloned().collect(),
    );
    aliases
}
