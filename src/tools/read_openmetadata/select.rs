//! Leaves of an answer only the fields that were named.

use serde_json::{Map, Value, json};

use super::body::is_empty;

/// Leaves only the named fields in each root; returns the names that no root has.
pub(super) fn select(roots: &mut [Value], fields: &[String]) -> Vec<String> {
    let mut absent: Vec<String> = fields.to_vec();
    for root in roots {
        let source = root.get("_source").cloned();
        let mut selected = Value::Object(Map::new());
        for field in fields {
            let path: Vec<&str> = field.split('.').collect();
            let found = picked(root, &path).or_else(|| picked(source.as_ref()?, &path));
            if let Some(found) = found {
                absent.retain(|name| name != field);
                merge(&mut selected, found);
            }
        }
        *root = selected;
    }
    absent
}

/// The value at this path with the way that leads to it; lists are looked through.
fn picked(value: &Value, path: &[&str]) -> Option<Value> {
    let Some((first, rest)) = path.split_first() else {
        return Some(value.clone());
    };
    match value {
        Value::Object(fields) => {
            let found = picked(fields.get(*first)?, rest)?;
            Some(json!({ *first: found }))
        }
        Value::Array(items) => {
            let found: Vec<Value> = items
                .iter()
                .map(|item| picked(item, path).unwrap_or_else(|| json!({})))
                .collect();
            found
                .iter()
                .any(|item| !is_empty(item))
                .then(|| found.into())
        }
        _ => None,
    }
}

/// Lays one selection over another: `columns.name` and `columns.dataType` meet in each column.
fn merge(into: &mut Value, other: Value) {
    match (into, other) {
        (Value::Object(fields), Value::Object(others)) => {
            for (name, value) in others {
                match fields.get_mut(&name) {
                    Some(field) => merge(field, value),
                    None => {
                        fields.insert(name, value);
                    }
                }
            }
        }
        (Value::Array(items), Value::Array(others)) => {
            for (item, other) in items.iter_mut().zip(others) {
                merge(item, other);
            }
        }
        (into, other) => *into = other,
    }
}
