//! What is different between two looks at an entity, or at an edge, in words. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::DifferenceKind;
use crate::catalog::{
    columns,
    model::{EntitySummary, EntityType},
    wire,
};

/// An entity as one copy has it, as far as it is compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    pub summary: EntitySummary,
    /// Path of each column and its type; the type is empty where it is not known.
    pub columns: BTreeMap<String, String>,
}

/// Differences of one entity that are told one by one; a table that was loaded anew in another
/// shape has as many columns again.
const MOST_COLUMNS: usize = 200;

/// The longest text of a description that is quoted, in characters.
const LONGEST_QUOTE: usize = 80;

impl Look {
    /// Out of the documents of an entity, the search document first. None where none has a name.
    pub fn of(entity_type: &EntityType, documents: &[Value]) -> Option<Self> {
        let looks: Vec<EntitySummary> = documents
            .iter()
            .filter_map(|document| wire::summary(document, Some(entity_type)))
            .collect();
        // The REST form, which is last, is what the database says; the search index says first
        // what is deleted.
        let mut summary = looks.last()?.clone();
        summary.is_deleted = looks.iter().any(|look| look.is_deleted);
        let columns = documents
            .iter()
            .map(columns::columns_of)
            .max_by_key(|columns| {
                let typed = columns.iter().any(|column| !column.data_type.is_empty());
                (typed, columns.len())
            })
            .unwrap_or_default();
        Some(Self {
            summary,
            columns: columns
                .into_iter()
                .map(|column| (column.name, column.data_type))
                .collect(),
        })
    }
}

/// What became of an entity between two looks, in a fixed order.
pub fn entities(before: &Look, after: &Look) -> Vec<(DifferenceKind, String)> {
    let mut found = Vec::new();
    match (before.summary.is_deleted, after.summary.is_deleted) {
        (false, true) => found.push((DifferenceKind::EntityDeleted, "was deleted".to_owned())),
        (true, false) => found.push((DifferenceKind::EntityRestored, "was restored".to_owned())),
        // What a deleted entity was like is of no interest.
        (true, true) => return found,
        (false, false) => {}
    }
    if after.summary.is_deleted {
        return found;
    }
    schema(before, after, &mut found);
    let owners = |look: &Look| -> Vec<String> {
        let owners = look.summary.owners.iter();
        owners.map(|owner| owner.name.clone()).collect()
    };
    let sets = [
        (
            DifferenceKind::Owners,
            "owners",
            owners(before),
            owners(after),
        ),
        (
            DifferenceKind::Tags,
            "tags",
            before.summary.tags.clone(),
            after.summary.tags.clone(),
        ),
        (
            DifferenceKind::Terms,
            "glossary terms",
            before.summary.terms.clone(),
            after.summary.terms.clone(),
        ),
        (
            DifferenceKind::Domains,
            "domains",
            before.summary.domains.clone(),
            after.summary.domains.clone(),
        ),
    ];
    for (kind, name, before, after) in sets {
        found.extend(set(name, before, after).map(|what| (kind, what)));
    }
    if before.summary.tier != after.summary.tier {
        let tier = |look: &Look| look.summary.tier.clone().unwrap_or_else(|| "none".into());
        let what = format!("tier: {} became {}", tier(before), tier(after));
        found.push((DifferenceKind::Tier, what));
    }
    if before.summary.description != after.summary.description {
        let what = match (&before.summary.description, &after.summary.description) {
            (None, Some(new)) => format!("description came: {}", quoted(new)),
            (Some(old), None) => format!("description gone: {}", quoted(old)),
            (Some(old), Some(new)) => {
                format!("description: {} became {}", quoted(old), quoted(new))
            }
            (None, None) => return found,
        };
        found.push((DifferenceKind::Description, what));
    }
    found
}

fn schema(before: &Look, after: &Look, found: &mut Vec<(DifferenceKind, String)>) {
    // One copy may know an entity by its search document alone, which cuts what is nested.
    if before.columns.is_empty() || after.columns.is_empty() {
        return;
    }
    let mut columns = Vec::new();
    for (name, new) in &after.columns {
        match before.columns.get(name) {
            None => {
                let what = match new.as_str() {
                    "" => format!("column {name} came"),
                    new => format!("column {name} came: {new}"),
                };
                columns.push((DifferenceKind::ColumnCame, what));
            }
            Some(old) if old != new && !old.is_empty() && !new.is_empty() => {
                let what = format!("column {name}: {old} became {new}");
                columns.push((DifferenceKind::ColumnType, what));
            }
            Some(_) => {}
        }
    }
    for name in before.columns.keys() {
        if !after.columns.contains_key(name) {
            columns.push((DifferenceKind::ColumnGone, format!("column {name} is gone")));
        }
    }
    if let Some(more) = columns
        .len()
        .checked_sub(MOST_COLUMNS)
        .filter(|more| *more > 0)
    {
        columns.truncate(MOST_COLUMNS);
        columns.push((
            DifferenceKind::ColumnType,
            format!("and {more} more columns came, went or changed"),
        ));
    }
    found.append(&mut columns);
}

fn set(name: &str, before: Vec<String>, after: Vec<String>) -> Option<String> {
    let (before, after): (BTreeSet<String>, BTreeSet<String>) =
        (before.into_iter().collect(), after.into_iter().collect());
    let list = |names: Vec<&String>| -> String {
        let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
        names.join(", ")
    };
    let came = list(after.difference(&before).collect());
    let gone = list(before.difference(&after).collect());
    match (came.is_empty(), gone.is_empty()) {
        (true, true) => None,
        (false, true) => Some(format!("{name}: {came} came")),
        (true, false) => Some(format!("{name}: {gone} gone")),
        (false, false) => Some(format!("{name}: {came} came, {gone} gone")),
    }
}

/// What became of the columns of an edge; none where they are the same.
pub fn edge_columns(before: &Value, after: &Value) -> Option<String> {
    set("mappings", mappings(before), mappings(after))
        .map(|what| what.trim_start_matches("mappings: ").to_owned())
}

fn mappings(edge: &Value) -> Vec<String> {
    edge.get("columns")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|mapping| {
            let mut from: Vec<&str> = mapping
                .get("fromColumns")?
                .as_array()?
                .iter()
                .filter_map(Value::as_str)
                .collect();
            from.sort_unstable();
            Some(format!(
                "{} -> {}",
                from.join(" + "),
                mapping.get("toColumn")?.as_str()?
            ))
        })
        .collect()
}

fn quoted(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("`{}`", crate::answer::clean::text(&line, LONGEST_QUOTE))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn look(document: &Value) -> Look {
        Look::of(&EntityType::new("table"), std::slice::from_ref(document)).expect("a name")
    }

    fn table(extra: Value) -> Value {
        let mut document = json!({"id": "1", "name": "t", "fullyQualifiedName": "a.b.c.t"});
        if let (Some(document), Value::Object(extra)) = (document.as_object_mut(), extra) {
            document.extend(extra);
        }
        document
    }

    #[test]
    fn tells_each_change_in_words() {
        use DifferenceKind as Kind;
        let columns = |list: &[(&str, &str)]| -> Value {
            let columns: Vec<Value> = list
                .iter()
                .map(|(name, kind)| json!({"name": name, "dataType": kind}))
                .collect();
            json!({"columns": columns})
        };
        let tag = |name: &str| json!({"tags": [{"tagFQN": name, "source": "Classification"}]});
        for (before, after, kind, what) in [
            (
                columns(&[("a", "INT")]),
                columns(&[("a", "INT"), ("b", "TEXT")]),
                Kind::ColumnCame,
                "column b came: text",
            ),
            (
                columns(&[("a", "INT"), ("b", "TEXT")]),
                columns(&[("a", "INT")]),
                Kind::ColumnGone,
                "column b is gone",
            ),
            (
                columns(&[("a", "INT")]),
                columns(&[("a", "BIGINT")]),
                Kind::ColumnType,
                "column a: int became bigint",
            ),
            (
                json!({}),
                tag("PII.Sensitive"),
                Kind::Tags,
                "tags: PII.Sensitive came",
            ),
            (
                tag("Tier.Tier1"),
                tag("Tier.Tier2"),
                Kind::Tier,
                "tier: Tier.Tier1 became Tier.Tier2",
            ),
            (
                json!({"owners": [{"id": "1", "type": "team", "name": "x"}]}),
                json!({"owners": [{"id": "2", "type": "team", "name": "y"}]}),
                Kind::Owners,
                "owners: y came, x gone",
            ),
            (
                json!({"domain": {"fullyQualifiedName": "Civic"}}),
                json!({}),
                Kind::Domains,
                "domains: Civic gone",
            ),
            (
                json!({}),
                json!({"description": "Bills\nof a state"}),
                Kind::Description,
                "description came: `Bills of a state`",
            ),
            (
                json!({}),
                json!({"deleted": "true", "description": "x"}),
                Kind::EntityDeleted,
                "was deleted",
            ),
            (
                json!({"deleted": true}),
                json!({}),
                Kind::EntityRestored,
                "was restored",
            ),
        ] {
            let found = entities(&look(&table(before)), &look(&table(after)));
            assert_eq!(found, [(kind, what.to_owned())]);
        }
    }

    #[test]
    fn a_type_that_one_copy_does_not_know_did_not_change() {
        let before = look(&table(json!({"columns": [{"name": "a"}]})));
        let after = look(&table(
            json!({"columns": [{"name": "a", "dataType": "INT"}]}),
        ));
        assert_eq!(entities(&before, &after), []);
    }

    #[test]
    fn tells_columns_of_edges() {
        let edge = |to: &str| json!({"columns": [{"fromColumns": ["a.x"], "toColumn": to}]});
        assert_eq!(edge_columns(&edge("b.x"), &edge("b.x")), None);
        assert_eq!(
            edge_columns(&edge("b.x"), &edge("b.y")).as_deref(),
            Some("a.x -> b.y came, a.x -> b.x gone")
        );
    }

    proptest! {
        /// Nothing changed is nothing told; and what came one way went the other way.
        #[test]
        fn is_symmetric(
            one in proptest::collection::btree_map("[a-d]", "INT|TEXT", 1..5),
            other in proptest::collection::btree_map("[a-d]", "INT|TEXT", 1..5),
        ) {
            let look = |columns: &BTreeMap<String, String>| Look {
                summary: look(&table(json!({}))).summary,
                columns: columns.clone(),
            };
            prop_assert_eq!(entities(&look(&one), &look(&one)), vec![]);
            let count = |found: Vec<(DifferenceKind, String)>, kind: DifferenceKind| {
                found.iter().filter(|(found, _)| *found == kind).count()
            };
            let there = entities(&look(&one), &look(&other));
            let back = entities(&look(&other), &look(&one));
            prop_assert_eq!(there.is_empty(), one == other);
            prop_assert_eq!(
                count(there.clone(), DifferenceKind::ColumnCame),
                count(back.clone(), DifferenceKind::ColumnGone)
            );
            prop_assert_eq!(
                count(there, DifferenceKind::ColumnType),
                count(back, DifferenceKind::ColumnType)
            );
        }
    }
}
