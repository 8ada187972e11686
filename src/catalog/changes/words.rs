//! Says in words what a `changeDescription` of OpenMetadata names.

use serde_json::Value;

use super::ChangeKind;
use crate::{
    answer::clean,
    catalog::{fqn, wire},
};

/// Characters of a value before and after that are shown.
const LONGEST_VALUE: usize = 60;
/// Changes of one moment that are named one by one.
const MOST: usize = 8;

/// One field before and after; either may be absent.
struct Field<'a> {
    name: &'a str,
    before: Option<&'a Value>,
    after: Option<&'a Value>,
}

/// Each change with its kind. Runs and results are left out: they are told as such.
pub fn of_description(description: &Value) -> Vec<(ChangeKind, String)> {
    let mut fields = Vec::new();
    for (list, is_after) in [
        ("fieldsAdded", true),
        ("fieldsUpdated", true),
        ("fieldsDeleted", false),
    ] {
        let entries = description.get(list).and_then(Value::as_array);
        for entry in entries.into_iter().flatten() {
            let Some(name) = entry.get("name").and_then(Value::as_str) else {
                continue;
            };
            fields.push(Field {
                name,
                before: entry.get("oldValue"),
                after: entry.get("newValue").filter(|_| is_after),
            });
        }
    }
    let mut told = columns(&fields);
    told.extend(fields.iter().filter_map(of_field));
    told
}

/// Columns that came, went, or came back with another type, which the server tells as a removal
/// and an addition.
fn columns(fields: &[Field<'_>]) -> Vec<(ChangeKind, String)> {
    let of = |pick: fn(&Field<'_>) -> Option<Value>| -> Vec<(String, Option<String>)> {
        fields
            .iter()
            .filter(|field| field.name == "columns")
            .filter_map(pick)
            .flat_map(|value| match value {
                Value::Array(columns) => columns,
                one => vec![one],
            })
            .filter_map(|column| {
                let data_type = wire::text(&column, "dataType");
                Some((wire::text(&column, "name")?, data_type))
            })
            .collect()
    };
    let added = of(|field| field.after.map(parsed));
    let removed = of(|field| field.before.map(parsed));
    let mut told = Vec::new();
    for (name, data_type) in &added {
        let before = removed.iter().find(|(removed, _)| removed == name);
        let data_type = data_type.as_deref().unwrap_or("?");
        told.push(match before {
            Some((_, before)) => {
                let before = before.as_deref().unwrap_or("?");
                format!("column {name}: type {before} -> {data_type}")
            }
            None => format!("column {name} added ({data_type})"),
        });
    }
    for (name, _) in &removed {
        if !added.iter().any(|(added, _)| added == name) {
            told.push(format!("column {name} removed"));
        }
    }
    let told = told.into_iter();
    told.map(|words| (ChangeKind::Schema, words)).collect()
}

fn of_field(field: &Field<'_>) -> Option<(ChangeKind, String)> {
    match field.name {
        "columns" | "pipelineStatus" | "pipelineStatuses" | "testCaseResult" => None,
        "testCaseStatus" => {
            let status = |value: Option<&Value>| {
                value.map_or_else(|| "never_run".into(), |value| shown(value).to_lowercase())
            };
            let words = format!("{} -> {}", status(field.before), status(field.after));
            Some((ChangeKind::Test, words))
        }
        "deleted" => {
            let is_deleted = field.after.map(parsed) == Some(Value::Bool(true));
            let words = if is_deleted {
                "deleted (can be restored)"
            } else {
                "restored"
            };
            Some((ChangeKind::Entity, words.into()))
        }
        name => match name.strip_prefix("columns.") {
            Some(rest) => {
                let parts = fqn::parts(rest);
                let (last, column) = parts.split_last()?;
                let is_schema = matches!(
                    last.as_str(),
                    "dataType"
                        | "dataTypeDisplay"
                        | "dataLength"
                        | "precision"
                        | "scale"
                        | "constraint"
                        | "arrayDataType"
                        | "children"
                );
                let kind = if is_schema {
                    ChangeKind::Schema
                } else {
                    ChangeKind::Entity
                };
                let name = match last.as_str() {
                    "dataType" => "type",
                    other => other,
                };
                let mut words = difference(name, field);
                if is_schema {
                    // As for a column that came back with another type: `type VARCHAR -> TEXT`.
                    words = words.replacen(": ", " ", 1);
                }
                let words = format!("column {}: {words}", fqn::joined(column));
                Some((kind, words))
            }
            None => Some((ChangeKind::Entity, difference(name, field))),
        },
    }
}

/// `tags: + PII.Sensitive`, `description: "a" -> "b"`.
fn difference(name: &str, field: &Field<'_>) -> String {
    match (field.before.map(shown), field.after.map(shown)) {
        (None, Some(after)) => format!("{name}: + {}", short(&after)),
        (Some(before), None) => format!("{name}: - {}", short(&before)),
        (Some(before), Some(after)) => {
            let (before, after) = around_the_difference(&before, &after);
            format!("{name}: {} -> {}", short(&before), short(&after))
        }
        (None, None) => format!("{name} changed"),
    }
}

/// Both texts without the long beginning that they share.
fn around_the_difference(before: &str, after: &str) -> (String, String) {
    let shared = before
        .chars()
        .zip(after.chars())
        .take_while(|(a, b)| a == b)
        .count();
    // A few words stay, to tell where it is.
    if shared < LONGEST_VALUE / 2 {
        return (before.to_owned(), after.to_owned());
    }
    let rest = |text: &str| {
        let rest: String = text.chars().skip(shared - 15).collect();
        format!("…{rest}")
    };
    (rest(before), rest(after))
}

/// A value in one piece: names for lists of references, labels and objects.
fn shown(value: &Value) -> String {
    match parsed(value) {
        Value::String(text) => text,
        Value::Array(items) => items.iter().map(name_of).collect::<Vec<_>>().join(", "),
        object @ Value::Object(_) => name_of(&object),
        other => other.to_string(),
    }
}

fn name_of(value: &Value) -> String {
    ["tagFQN", "displayName", "fullyQualifiedName", "name"]
        .iter()
        .find_map(|field| wire::text(value, field))
        .unwrap_or_else(|| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
}

/// Values of lists and objects arrive as JSON in a string.
fn parsed(value: &Value) -> Value {
    match value {
        Value::String(text) if text.starts_with(['[', '{']) => {
            serde_json::from_str(text).unwrap_or_else(|_| value.clone())
        }
        other => other.clone(),
    }
}

/// On one line and cut.
pub fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    clean::text(&line, LONGEST_VALUE)
}

/// Several changes of one moment.
pub fn listed(words: &[&str]) -> String {
    let mut text = words[..words.len().min(MOST)].join("; ");
    if words.len() > MOST {
        text.push_str(&format!("; and {} more", words.len() - MOST));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn says_what_changed() {
        let column = |name: &str, data_type: &str| {
            json!([{"name": name, "dataType": data_type}]).to_string()
        };
        let schema = ChangeKind::Schema;
        let entity = ChangeKind::Entity;
        for (description, kind, expected) in [
            (
                json!({"fieldsAdded": [{"name": "columns", "newValue": column("number", "TEXT")}],
                "fieldsDeleted": [{"name": "columns", "oldValue": column("number", "VARCHAR")}]}),
                schema,
                "column number: type VARCHAR -> TEXT",
            ),
            (
                json!({"fieldsUpdated": [{"name": "columns.number.dataType", "oldValue": "VARCHAR", "newValue": "TEXT"}]}),
                schema,
                "column number: type VARCHAR -> TEXT",
            ),
            (
                json!({"fieldsAdded": [{"name": "columns", "newValue": column("at", "TIMESTAMP")}]}),
                schema,
                "column at added (TIMESTAMP)",
            ),
            (
                json!({"fieldsDeleted": [{"name": "columns", "oldValue": column("at", "TIMESTAMP")}]}),
                schema,
                "column at removed",
            ),
            (
                json!({"fieldsAdded": [{"name": "columns.\"a.b\".tags", "newValue": "[{\"tagFQN\":\"PII.Sensitive\"}]"}]}),
                entity,
                "column \"a.b\": tags: + PII.Sensitive",
            ),
            (
                json!({"fieldsUpdated": [{"name": "deleted", "oldValue": false, "newValue": true}]}),
                entity,
                "deleted (can be restored)",
            ),
            (
                json!({"fieldsUpdated": [{"name": "testCaseStatus", "oldValue": "Success", "newValue": "Failed"}]}),
                ChangeKind::Test,
                "success -> failed",
            ),
            (
                json!({"fieldsUpdated": [{"name": "description", "oldValue": "hacked", "newValue": "One row a bill."}]}),
                entity,
                "description: hacked -> One row a bill.",
            ),
        ] {
            assert_eq!(of_description(&description), [(kind, expected.to_owned())]);
        }
    }

    #[test]
    fn a_long_text_is_shown_where_it_differs() {
        let shared = "One row a bill. Built from `scrapers.raw_bills`.";
        let description = json!({"fieldsUpdated": [{"name": "description",
            "oldValue": shared, "newValue": format!("{shared} Refreshed hourly.")}]});
        let told = &of_description(&description)[0].1;
        assert_eq!(
            told,
            "description: …ers.raw_bills`. -> …ers.raw_bills`. Refreshed hourly."
        );
    }

    #[test]
    fn runs_and_results_are_not_told_twice() {
        let description = json!({"fieldsUpdated": [{"name": "pipelineStatus", "newValue": {}}],
            "fieldsAdded": [{"name": "testCaseResult", "newValue": {}}]});
        assert_eq!(of_description(&description), []);
    }
}
