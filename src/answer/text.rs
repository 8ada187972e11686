//! The text form of a structured answer: the same facts, one line each, tables as lines.

use serde_json::{Map, Value};

/// Renders fields in their order. A table becomes a header and one line for each row; everything
/// else one line `name: value`.
pub fn render(fields: &Map<String, Value>) -> String {
    let mut text = String::new();
    fields_into(fields, 0, &mut text);
    text.truncate(text.trim_end().len());
    text
}

fn fields_into(fields: &Map<String, Value>, depth: usize, text: &mut String) {
    for (name, value) in fields {
        indent(depth, text);
        text.push_str(name);
        match value {
            Value::Object(table) if is_table(table) => table_into(table, depth, text),
            Value::Object(inner) if inner.values().all(is_short) => {
                text.push_str(": ");
                text.push_str(&one_line_of(inner));
                text.push('\n');
            }
            Value::Object(inner) => {
                text.push_str(":\n");
                fields_into(inner, depth + 1, text);
            }
            Value::Array(items) if items.iter().any(is_record) => {
                text.push_str(":\n");
                for item in items {
                    match item {
                        Value::Object(inner) if inner.values().all(is_short) => {
                            indent(depth + 1, text);
                            text.push_str(&one_line_of(inner));
                            text.push('\n');
                        }
                        Value::Object(inner) => {
                            indent(depth + 1, text);
                            text.push_str("-\n");
                            fields_into(inner, depth + 2, text);
                        }
                        other => {
                            indent(depth + 1, text);
                            text.push_str(&scalar(other));
                            text.push('\n');
                        }
                    }
                }
            }
            other => {
                text.push_str(": ");
                text.push_str(&scalar(other));
                text.push('\n');
            }
        }
    }
}

/// A list of these takes a line each: on one line, where one ends could not be told.
fn is_record(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

fn is_table(fields: &Map<String, Value>) -> bool {
    fields.get("columns").is_some_and(Value::is_array)
        && fields.get("rows").is_some_and(Value::is_array)
}

/// Fits on the line of its parent.
fn is_short(value: &Value) -> bool {
    match value {
        Value::Object(_) => false,
        Value::Array(items) => !items.iter().any(is_record),
        _ => true,
    }
}

fn one_line_of(fields: &Map<String, Value>) -> String {
    fields
        .iter()
        .map(|(name, value)| format!("{}={}", item(name.clone()), short(value)))
        .collect::<Vec<_>>()
        .join(", ")
}

fn table_into(table: &Map<String, Value>, depth: usize, text: &mut String) {
    if let Some(Value::String(prefix)) = table.get("prefix") {
        text.push_str(&format!(" (each fqn begins with {})", plain(prefix)));
    }
    for (name, value) in table {
        if !matches!(name.as_str(), "columns" | "rows" | "prefix") {
            text.push_str(&format!(" {name}={}", scalar(value)));
        }
    }
    if table["rows"].as_array().is_some_and(Vec::is_empty) {
        text.push_str(": none\n");
        return;
    }
    text.push_str(":\n");
    let rows = [&table["columns"]]
        .into_iter()
        .chain(table["rows"].as_array().into_iter().flatten());
    for row in rows {
        indent(depth, text);
        let mut cells: Vec<String> = row.as_array().into_iter().flatten().map(cell).collect();
        while cells.last().is_some_and(String::is_empty) {
            cells.pop();
        }
        text.push_str(&cells.join("|"));
        text.push('\n');
    }
}

/// Text on one line. Line ends are escaped, so that text from outside cannot imitate a field; the
/// sign that escapes is escaped too, so that what was meant can be told.
fn plain(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\t', " ")
}

/// One of several that commas part: in quotes where it holds a comma itself.
fn item(text: String) -> String {
    if text.contains(", ") {
        format!("\"{}\"", text.replace('"', "\\\""))
    } else {
        text
    }
}

/// The value of a field that shares its line with others.
fn short(value: &Value) -> String {
    match value {
        Value::Array(items) if items.len() != 1 => format!("[{}]", scalar(value)),
        Value::String(text) => item(plain(text)),
        other => scalar(other),
    }
}

/// A value on one line.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        Value::Array(items) => {
            let items = items.iter().map(|value| match value {
                Value::String(text) => item(plain(text)),
                other => scalar(other),
            });
            items.collect::<Vec<_>>().join(", ")
        }
        Value::Null => String::new(),
        Value::Object(fields) => format!("({})", one_line_of(fields)),
        other => other.to_string(),
    }
}

fn cell(value: &Value) -> String {
    scalar(value).replace('|', "\\|")
}

fn indent(depth: usize, text: &mut String) {
    for _ in 0..depth {
        text.push(' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rendered(value: Value) -> String {
        render(value.as_object().unwrap())
    }

    #[test]
    fn a_list_of_lists_takes_a_line_each() {
        assert_eq!(
            rendered(json!({"paths": [["a", "b"], ["a", "c", "b"]]})),
            "paths:\n a, b\n a, c, b"
        );
    }

    #[test]
    fn text_from_outside_cannot_imitate_a_field_or_a_cell() {
        assert_eq!(
            rendered(json!({
                "description": "fine\ntotal: 0",
                "hits": {"columns": ["fqn", "tier"], "rows": [["a|b", "1"], ["c", null]]}
            })),
            "description: fine\\ntotal: 0\nhits:\nfqn|tier\na\\|b|1\nc"
        );
        assert_eq!(
            rendered(json!({
                "contract": {"name": "a, state=passed", "of": ["b", "c"]},
                "tags": ["one, two", "three"],
                "hits": {"columns": ["fqn", "why"], "rows": [["c:\\new", "ends|"]]}
            })),
            "contract: name=\"a, state=passed\", of=[b, c]\ntags: \"one, two\", three\n\
             hits:\nfqn|why\nc:\\\\new|ends\\|"
        );
    }

    #[test]
    fn a_table_without_rows_says_so() {
        assert_eq!(
            rendered(json!({"total": 0, "hits": {"columns": ["fqn"], "rows": []}})),
            "total: 0\nhits: none"
        );
    }
}
