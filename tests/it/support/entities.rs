//! Answers reads of single entities that were not recorded, from their search documents.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::documents::{Document, Documents, TYPES};
use super::matching::OPTIONAL;
use super::recordings::{Recording, Version};
use super::wire::{Answer, Seen};

/// `path` is what follows `/api/v1/`.
pub fn answer(version: Version, path: &str, seen: &Seen) -> Option<Answer> {
    let (route, entity_type, rest) = TYPES.iter().find_map(|(route, entity_type, _)| {
        let rest = path.strip_prefix(route)?.strip_prefix('/')?;
        Some((*route, *entity_type, rest))
    })?;
    let documents = Documents::of(version);
    let (document, asked) = match rest.strip_prefix("name/") {
        Some(name) => (documents.by_name(entity_type, name), name),
        None if is_uuid(rest) => (documents.by_id(rest), rest),
        None => return None,
    };
    // A path below an entity is another kind of request, unless the slash is in a name.
    if document.is_none() && asked.contains('/') {
        return None;
    }
    let fields = asked_fields(seen);
    if let Some(unknown) = fields.iter().find(|field| is_unknown(version, field)) {
        let message = format!("Invalid field name {unknown}");
        return Some(Answer::json(
            400,
            &json!({ "code": 400, "message": message }),
        ));
    }
    let includes_deleted = matches!(seen.parameter("include"), Some("all" | "deleted"));
    match document.filter(|document| includes_deleted || !document.is_deleted()) {
        // Names alone are not an entity.
        Some(document) if !document.is_whole => None,
        Some(document) => Some(Answer::json(
            200,
            &entity(version, route, entity_type, document, &fields),
        )),
        None => Some(missing(entity_type, asked)),
    }
}

/// The 404 as recorded in `entities/table-missing`.
pub fn missing(entity_type: &str, asked: &str) -> Answer {
    let message = format!("{entity_type} instance for {asked} not found");
    Answer::json(404, &json!({ "code": 404, "message": message }))
        .with_header("www-authenticate", "om-auth")
}

pub fn asked_fields(seen: &Seen) -> BTreeSet<String> {
    let names = seen
        .parameter("fields")
        .unwrap_or_default()
        .split(',')
        .map(str::trim);
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Field names of the other version fail the whole read.
pub fn is_unknown(version: Version, field: &str) -> bool {
    let unknown: &[&str] = match version {
        Version::V1_12_6 => &["owner", "domain", "viewDefinition", "nonsense"],
        Version::V1_2_0 => &[
            "owners",
            "domains",
            "schema",
            "schemaDefinition",
            "incidentId",
            "certification",
            "nonsense",
        ],
    };
    unknown.contains(&field)
}

pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text
            .chars()
            .all(|character| character.is_ascii_hexdigit() || character == '-')
}

/// What comes without being asked for, in the order of a recorded entity.
const ALWAYS: [&str; 13] = [
    "id",
    "name",
    "fullyQualifiedName",
    "displayName",
    "description",
    "version",
    "updatedAt",
    "columns",
    "database",
    "databaseSchema",
    "service",
    "serviceType",
    "deleted",
];

pub fn entity(
    version: Version,
    route: &str,
    entity_type: &str,
    document: &Document,
    fields: &BTreeSet<String>,
) -> Value {
    let mut shown = recorded_entity(version, route, document).unwrap_or_default();
    let source = &document.source;
    for name in ALWAYS {
        // A search document repeats the name where nobody gave a display name.
        let is_absent = match name {
            "displayName" => document.text("displayName") == document.entity_name(),
            "deleted" => entity_type == "domain",
            _ => false,
        };
        if let Some(value) = source
            .get(name)
            .filter(|value| !value.is_null() && !is_absent)
        {
            shown.entry(name).or_insert_with(|| value.clone());
        }
    }
    shown.insert("name".to_owned(), document.entity_name().into());
    shown.entry("updatedBy").or_insert_with(|| "admin".into());
    let href = format!("http://openmetadata:8585/api/v1/{route}/{}", document.id);
    shown.entry("href").or_insert_with(|| href.into());
    if let Some(columns) = shown.get_mut("columns").and_then(Value::as_array_mut) {
        complete_columns(version, document, columns);
    }
    let asks = |name: &str| fields.contains(name) || fields.contains("*");
    for name in [
        "owner",
        "owners",
        "domain",
        "domains",
        "followers",
        "votes",
        "usageSummary",
        "dataProducts",
    ] {
        let value = source
            .get(name)
            .filter(|value| !value.is_null() && asks(name));
        if let Some(value) = value {
            shown.entry(name).or_insert_with(|| value.clone());
        }
    }
    if asks("tags") && entity_type != "tag" {
        let tier = source.get("tier").filter(|tier| !tier.is_null());
        let tags = source["tags"].as_array().into_iter().flatten().chain(tier);
        shown
            .entry("tags")
            .or_insert_with(|| tags.cloned().collect());
    }
    Value::Object(shown)
}

/// The plainest recorded read of the same entity, for what a search document does not hold.
fn recorded_entity(
    version: Version,
    route: &str,
    document: &Document,
) -> Option<Map<String, Value>> {
    let path = format!("/api/v1/{route}/name/{}", document.name());
    let is_read = |recording: &&Recording| {
        let folder = recording.folder();
        (folder == "entities" || folder == "quality")
            && recording.method == "GET"
            && recording.status == 200
            && recording.path == path
    };
    let recordings = version.recordings().iter().filter(is_read);
    let fields = |recording: &&Recording| {
        recording
            .parameter("fields")
            .map_or(0, |fields| fields.len() + 1)
    };
    let mut entity = recordings.min_by_key(fields)?.response.as_object()?.clone();
    entity.retain(|name, _| !OPTIONAL.contains(&name.as_str()));
    Some(entity)
}

/// Some columns are known by name alone; those of a sibling tell their types.
fn complete_columns(version: Version, document: &Document, columns: &mut [Value]) {
    let schema = document
        .name()
        .rsplit_once('.')
        .map_or("", |(schema, _)| schema);
    for column in columns {
        if column.get("dataType").is_some() {
            continue;
        }
        let name = column["name"].clone();
        let sibling = Documents::of(version)
            .all
            .iter()
            .filter(|other| other.name().starts_with(schema))
            .flat_map(|other| other.source["columns"].as_array().into_iter().flatten())
            .find(|other| other["name"] == name && other.get("dataType").is_some());
        let mut full = sibling
            .cloned()
            .unwrap_or_else(|| json!({ "name": name, "dataType": "UNKNOWN" }));
        let plain = name.as_str().unwrap_or_default();
        full["fullyQualifiedName"] = format!("{}.{plain}", document.name()).into();
        // What was said about the sibling's column was not said about this one.
        full.as_object_mut()
            .expect("a column")
            .shift_remove("description");
        full["tags"] = json!([]);
        *column = full;
    }
}
