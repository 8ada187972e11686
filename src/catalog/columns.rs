//! Columns of a table, fields of a topic or an index, features of a model: one flat list.

use serde_json::Value;

use super::wire;

/// One column. Nested ones stand behind their parent with dotted names (`meta.chamber.name`).
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Without the name of the entity; dots part the levels.
    pub name: String,
    /// As the database shows it: `varchar`, `struct`, …
    pub data_type: String,
    pub description: Option<String>,
    /// FQNs of tags and glossary terms.
    pub tags: Vec<String>,
    /// `PK`, `FK service.db.schema.table.column`, `unique`, `not null`.
    pub key: Option<String>,
    /// JSON pointer into the document: `/columns/8/children/1`.
    pub pointer: String,
}

/// Longest display of a type that is shown; beyond it the bare type is.
const LONGEST_TYPE: usize = 40;

/// Where documents of the types keep what has columns.
const PLACES: &[&str] = &[
    "/columns",
    "/dataModel/columns",
    "/messageSchema/schemaFields",
    "/fields",
    "/mlFeatures",
    "/requestSchema/schemaFields",
    "/responseSchema/schemaFields",
];

/// Every column of an entity as the REST API or the search index writes it.
pub fn columns_of(document: &Value) -> Vec<Column> {
    let mut columns = Vec::new();
    for place in PLACES {
        if let Some(Value::Array(items)) = document.pointer(place) {
            let outer = match *place {
                "/requestSchema/schemaFields" => "request",
                "/responseSchema/schemaFields" => "response",
                _ => "",
            };
            collect(items, outer, place, &mut columns);
        }
    }
    keys_into(document, &mut columns);
    columns
}

fn collect(items: &[Value], outer: &str, place: &str, columns: &mut Vec<Column>) {
    for (position, item) in items.iter().enumerate() {
        let Some(last) = wire::text(item, "name") else {
            continue;
        };
        let name = if outer.is_empty() {
            last
        } else {
            format!("{outer}.{last}")
        };
        let pointer = format!("{place}/{position}");
        let children = item.get("children").and_then(Value::as_array);
        let (mut tags, terms, tier) = wire::labels(item);
        tags.extend(terms);
        tags.extend(tier);
        columns.push(Column {
            data_type: data_type(item),
            description: wire::text(item, "description"),
            tags,
            key: wire::text(item, "constraint").and_then(|constraint| {
                Some(
                    match constraint.as_str() {
                        "PRIMARY_KEY" => "PK",
                        "UNIQUE" => "unique",
                        "NOT_NULL" => "not null",
                        _ => return None,
                    }
                    .to_owned(),
                )
            }),
            pointer: pointer.clone(),
            name: name.clone(),
        });
        if let Some(children) = children {
            collect(children, &name, &format!("{pointer}/children"), columns);
        }
    }
}

fn data_type(item: &Value) -> String {
    let bare = wire::text(item, "dataType")
        .unwrap_or_default()
        .to_lowercase();
    let has_children = item
        .get("children")
        .and_then(Value::as_array)
        .is_some_and(|children| !children.is_empty());
    match wire::text(item, "dataTypeDisplay") {
        // The children are listed themselves.
        Some(display) if !has_children && display.chars().count() <= LONGEST_TYPE => display,
        _ => bare,
    }
}

/// Keys that the table declares as a whole.
fn keys_into(document: &Value, columns: &mut [Column]) {
    for constraint in document
        .get("tableConstraints")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let names = texts(constraint, "columns");
        let referred = texts(constraint, "referredColumns");
        for (position, name) in names.iter().enumerate() {
            let key = match wire::text(constraint, "constraintType").as_deref() {
                Some("PRIMARY_KEY") => "PK".to_owned(),
                Some("UNIQUE") => "unique".to_owned(),
                Some("FOREIGN_KEY") => match referred.get(position) {
                    Some(referred) => format!("FK {referred}"),
                    None => "FK".to_owned(),
                },
                _ => continue,
            };
            if let Some(column) = columns.iter_mut().find(|column| column.name == *name) {
                column.key = Some(match column.key.take() {
                    Some(before) if before != key => format!("{before}, {key}"),
                    _ => key,
                });
            }
        }
    }
}

fn texts(value: &Value, field: &str) -> Vec<String> {
    value
        .get(field)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_columns_have_dotted_names_and_their_place() {
        // The shape of the recorded table `bills`.
        let document = json!({
            "columns": [
                {"name": "id", "dataType": "BIGINT", "dataTypeDisplay": "bigint", "constraint": "PRIMARY_KEY"},
                {"name": "meta", "dataType": "STRUCT", "dataTypeDisplay": "struct<a:int>", "children": [
                    {"name": "chamber", "dataType": "STRUCT", "children": [
                        {"name": "name", "dataType": "STRING", "tags": [{"tagFQN": "PII.None", "source": "Classification"}]}
                    ]}
                ]},
                {"name": "bill_id", "dataType": "BIGINT"}
            ],
            "tableConstraints": [
                {"constraintType": "FOREIGN_KEY", "columns": ["bill_id"], "referredColumns": ["pg.db.core.bills.id"]}
            ]
        });
        let columns = columns_of(&document);
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(
            names,
            ["id", "meta", "meta.chamber", "meta.chamber.name", "bill_id"]
        );
        assert_eq!(columns[3].pointer, "/columns/1/children/0/children/0");
        assert_eq!(columns[3].tags, ["PII.None"]);
        assert_eq!(columns[1].data_type, "struct");
        assert_eq!(columns[0].key.as_deref(), Some("PK"));
        assert_eq!(columns[4].key.as_deref(), Some("FK pg.db.core.bills.id"));
    }
}
