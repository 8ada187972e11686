//! Portable JSON Schemas: no `$ref`, no type arrays, no `uint` formats, no boolean schemas.

use std::{
    any::TypeId,
    collections::HashMap,
    sync::{Arc, OnceLock, RwLock},
};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

type Known = RwLock<HashMap<TypeId, Arc<Map<String, Value>>>>;

/// The same as `of_arguments`, made once for each type: every call reads its arguments by it.
pub fn known_of<T: JsonSchema + 'static>() -> Arc<Map<String, Value>> {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    let known = KNOWN.get_or_init(Known::default);
    let of_type = TypeId::of::<T>();
    let found = known
        .read()
        .ok()
        .and_then(|known| known.get(&of_type).cloned());
    found.unwrap_or_else(|| {
        let made = Arc::new(of_arguments::<T>());
        if let Ok(mut known) = known.write() {
            known.insert(of_type, Arc::clone(&made));
        }
        made
    })
}

/// The schema of an argument type, made portable: clients differ in what they understand, and
/// each token of it is paid for in every conversation.
pub fn of_arguments<T: JsonSchema>() -> Map<String, Value> {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let mut schema = match schema.to_value() {
        Value::Object(schema) => schema,
        _ => Map::new(),
    };
    portable(&mut schema);
    schema.remove("title");
    schema.remove("description");
    schema.insert("type".into(), "object".into());
    schema
        .entry("properties")
        .or_insert_with(|| Value::Object(Map::new()));
    schema.insert("additionalProperties".into(), false.into());
    schema
}

fn portable(schema: &mut Map<String, Value>) {
    schema.remove("$schema");
    schema.remove("title");
    // `uint`, `int64`: formats that validators of other languages do not know.
    schema.remove("format");
    schema.remove("default");
    // Optional fields are left out of `required`; null need not be said.
    if let Some(Value::Array(types)) = schema.get("type") {
        let concrete = types.iter().find(|name| *name != "null").cloned();
        if let Some(concrete) = concrete {
            schema.insert("type".into(), concrete);
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(branches)) = schema.remove("anyOf") {
        let concrete = branches
            .into_iter()
            .filter_map(|branch| match branch {
                Value::Object(branch) if branch.get("type") != Some(&json!("null")) => Some(branch),
                _ => None,
            })
            .next();
        for (name, value) in concrete.into_iter().flatten() {
            schema.entry(name).or_insert(value);
        }
    }
    // Enumerations with documented variants arrive as `oneOf` of `const`s.
    if let Some(Value::Array(branches)) = schema.remove("oneOf") {
        let values: Vec<Value> = branches
            .iter()
            .flat_map(|branch| match (branch.get("const"), branch.get("enum")) {
                (Some(value), _) => vec![value.clone()],
                (None, Some(Value::Array(values))) => values.clone(),
                _ => Vec::new(),
            })
            .collect();
        schema.insert("type".into(), "string".into());
        schema.insert("enum".into(), values.into());
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for property in properties.values_mut() {
            match property {
                Value::Object(property) => portable(property),
                // `true`: anything goes, written as an object.
                other => *other = json!({}),
            }
        }
        schema.insert("additionalProperties".into(), false.into());
    }
    for name in ["items", "additionalProperties"] {
        match schema.get_mut(name) {
            Some(Value::Object(inner)) => portable(inner),
            Some(Value::Bool(true)) => {
                schema.insert(name.into(), json!({}));
            }
            _ => {}
        }
    }
}

/// Schema of a result: an object with these fields. `required` fields are always there.
pub fn result(required: &[&str], fields: &[(&str, Value)]) -> Map<String, Value> {
    let mut schema = Map::new();
    schema.insert("type".into(), "object".into());
    let mut properties: Map<String, Value> = fields
        .iter()
        .map(|(name, schema)| ((*name).to_owned(), schema.clone()))
        .collect();
    // What any answer may say.
    for (name, schema) in [
        ("source", string()),
        ("as_of", string()),
        ("warnings", list(string())),
    ] {
        properties.entry(name).or_insert(schema);
    }
    schema.insert("properties".into(), properties.into());
    schema.insert("required".into(), json!(required));
    schema
}

/// The fields of a paged list, as `Answer::page` writes them.
pub fn paged(name: &'static str) -> Vec<(&'static str, Value)> {
    vec![
        (name, table()),
        ("total", integer()),
        ("total_is_lower_bound", boolean()),
        ("returned", integer()),
        ("complete", boolean()),
        ("next", string()),
    ]
}

/// `{"columns": […], "prefix"?: "…", "rows": [[…], …]}`.
pub fn table() -> Value {
    json!({
        "type": "object",
        "properties": {
            "columns": {"type": "array", "items": {"type": "string"}},
            "prefix": {"type": "string", "description": "Stands before each cell of the column fqn"},
            "rows": {"type": "array", "items": {"type": "array", "items": {}}}
        },
        "required": ["columns", "rows"]
    })
}

pub fn string() -> Value {
    json!({"type": "string"})
}

pub fn integer() -> Value {
    json!({"type": "integer"})
}

pub fn number() -> Value {
    json!({"type": "number"})
}

pub fn boolean() -> Value {
    json!({"type": "boolean"})
}

pub fn object() -> Value {
    json!({"type": "object"})
}

pub fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}
