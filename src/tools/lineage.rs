//! What the lineage tools share: naming ends and columns, saying what is missing.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::ToolError;
use crate::{
    answer::Answer,
    catalog::{
        Catalog, CatalogError, EntitySummary, EntityType, Reference, fqn,
        graph::{Detail, Graph, NodeIndex, NodeView},
        lineage::Lineage,
        model,
        near::near_names,
    },
};

/// The entity that an argument names; errors name the argument.
pub async fn entity(
    catalog: &Catalog,
    argument: &str,
    written: &str,
) -> Result<EntitySummary, ToolError> {
    let about = |error| ToolError::of_name(argument, error);
    let reference = Reference::parse(written).map_err(about)?;
    catalog.resolve(&reference).await.map_err(about)
}

/// An entity, or a column of one.
#[derive(Debug, Clone)]
pub struct End {
    pub entity: EntitySummary,
    /// FQN.
    pub column: Option<String>,
}

/// The entity or column that an argument names; errors name the argument.
pub async fn end(catalog: &Catalog, argument: &str, written: &str) -> Result<End, ToolError> {
    find_end(catalog, written)
        .await
        .map_err(|error| ToolError::of_name(argument, error))
}

/// The entity or the column that this names: what is no entity may be a column of what stands
/// before its last dots.
pub async fn find_end(catalog: &Catalog, written: &str) -> Result<End, CatalogError> {
    /// Columns nest; deeper than this nobody names them.
    const MOST_PARTS: usize = 4;
    let reference = Reference::parse(written)?;
    let error = match catalog.resolve(&reference).await {
        Ok(entity) => {
            return Ok(End {
                entity,
                column: None,
            });
        }
        Err(error @ CatalogError::NotFound { .. }) => error,
        Err(error) => return Err(error),
    };
    let crate::catalog::model::Name::Fqn(name) = &reference.name else {
        return Err(error);
    };
    // Nothing after the last dot is no column.
    if name.ends_with('.') {
        return Err(error);
    }
    let mut parent = fqn::parent(name);
    for _ in 0..MOST_PARTS {
        let Some(above) = parent.filter(|above| fqn::parts(above).len() > 1) else {
            break;
        };
        let owner = Reference {
            written: above.clone(),
            entity_type: reference.entity_type.clone(),
            name: crate::catalog::model::Name::Fqn(above.clone()),
        };
        if let Ok(entity) = catalog.resolve(&owner).await {
            let columns = catalog.columns_of(&entity).await?.unwrap_or_default();
            if columns.is_empty() {
                return Err(error);
            }
            return match find_column(&entity, &columns, name) {
                Ok(column) => Ok(End {
                    entity,
                    column: Some(column),
                }),
                Err(near) => Err(CatalogError::NotFound {
                    what: format!("column {name}"),
                    did_you_mean: near,
                }),
            };
        }
        parent = fqn::parent(&above);
    }
    Err(error)
}

/// The FQN of the column that this names: by FQN, by its path below the entity, or by its last
/// name where one column alone has it. Else near ones.
pub fn find_column(
    entity: &EntitySummary,
    columns: &[String],
    written: &str,
) -> Result<String, Vec<String>> {
    let candidates = [
        written.to_owned(),
        format!("{}.{written}", entity.fqn),
        format!("{}.{}", entity.fqn, fqn::quoted(written)),
    ];
    for candidate in &candidates {
        if columns.contains(candidate) {
            return Ok(candidate.clone());
        }
    }
    let mut named = columns
        .iter()
        .filter(|column| fqn::parts(column).last().map(String::as_str) == Some(written));
    if let (Some(column), None) = (named.next(), named.next()) {
        return Ok(column.clone());
    }
    let names: Vec<&str> = columns.iter().map(|column| below(entity, column)).collect();
    let short = below(entity, written);
    let mut near = near_names(short, names.iter().copied());
    if near.is_empty() {
        near = names
            .iter()
            .take(8)
            .map(|name| (*name).to_owned())
            .collect();
    }
    Err(near)
}

/// The column of an argument, checked against the entity.
pub async fn column(
    catalog: &Catalog,
    entity: &EntitySummary,
    argument: &str,
    written: &str,
) -> Result<String, ToolError> {
    let columns = catalog.columns_of(entity).await?.ok_or_else(|| {
        ToolError::invalid(
            argument,
            format!("a {} has no columns", entity.entity_type),
            format!("leave `{argument}` away"),
        )
    })?;
    find_column(entity, &columns, written).map_err(|near| {
        ToolError::invalid(
            argument,
            format!("{} has no column {written}", entity.fqn),
            "name one of its columns; get_entity lists them",
        )
        .did_you_mean(near)
    })
}

/// A column's name without the entity's.
fn below<'a>(entity: &EntitySummary, column: &'a str) -> &'a str {
    column
        .strip_prefix(entity.fqn.as_str())
        .and_then(|rest| rest.strip_prefix('.'))
        .unwrap_or(column)
}

/// A column's name without that of its node.
pub fn column_name<'a>(node: NodeView<'_>, column: &'a str) -> &'a str {
    column
        .strip_prefix(node.fqn)
        .and_then(|rest| rest.strip_prefix('.'))
        .unwrap_or(column)
}

/// `source` and `as_of` where the answer is not of now, and what is missing in the lineage.
pub fn put_provenance(answer: &mut Answer, catalog: &Catalog, lineage: &Lineage, depth: u32) {
    put_source(answer, catalog);
    for gap in &lineage.gaps {
        answer.warn(format!("incomplete, counts are at least: {gap}"));
    }
    for direction in &lineage.unknown_beyond {
        answer.warn(format!(
            "whether more lies beyond {depth} hops {} was not looked at",
            direction.as_str()
        ));
    }
    for note in &lineage.notes {
        answer.warn(note.clone());
    }
}

pub fn put_source(answer: &mut Answer, catalog: &Catalog) {
    if let Some(as_of) = catalog.as_of() {
        answer.put("source", catalog.source());
        answer.put("as_of", as_of);
    }
}

/// What a reader has to know of a node besides its name.
pub fn state(lineage: &Lineage, node: NodeIndex) -> Value {
    let node = lineage.graph.node(node);
    // Where the walk was cut, nobody looked for it.
    let was_looked_for = lineage.gaps.is_empty() && lineage.unknown_beyond.is_empty();
    if node.is_deleted {
        "deleted".into()
    } else if node.detail == Detail::Named && was_looked_for {
        // Only an edge names it: deleted, hidden from this caller, or not indexed.
        "not in the catalog".into()
    } else {
        Value::Null
    }
}

/// Why an entity of this type has no lineage of its own; nothing for what may have one.
pub fn without_lineage(entity_type: &str) -> Option<&'static str> {
    match entity_type {
        // Its own edges, where a server has them, are sums of those of its assets.
        "database" | "databaseSchema" => Some(
            "lineage is kept on the assets in it: ask for one of them, or analyze_impact of all",
        ),
        service if service.ends_with("Service") => without_lineage("database"),
        "user" | "team" | "tag" | "classification" | "glossary" | "glossaryTerm" | "testCase"
        | "testSuite" => Some("entities of this type move no data: they have no lineage"),
        _ => None,
    }
}

/// The types of a filter, each checked; plural and case do not matter.
pub fn entity_types(argument: &str, written: &[String]) -> Result<Vec<EntityType>, ToolError> {
    written
        .iter()
        .map(|name| {
            let wanted = name.trim();
            EntityType::known()
                .find(|known| {
                    known.eq_ignore_ascii_case(wanted)
                        || wanted
                            .strip_suffix('s')
                            .is_some_and(|one| known.eq_ignore_ascii_case(one))
                })
                .map(EntityType::new)
                .ok_or_else(|| {
                    ToolError::invalid(
                        argument,
                        format!("there is no entity type {wanted}"),
                        "give types such as table, dashboard, topic, pipeline, mlmodel, container",
                    )
                    .did_you_mean(super::arguments::near(wanted, EntityType::known()))
                })
        })
        .collect()
}

/// Counts by key, the largest first; beyond `most` keys the rest as one sum.
pub fn counts(counts: BTreeMap<&str, u64>, most: usize) -> Map<String, Value> {
    let mut sorted: Vec<(&str, u64)> = counts.into_iter().collect();
    sorted.sort_by(|(a, left), (b, right)| right.cmp(left).then_with(|| a.cmp(b)));
    let rest: Vec<u64> = sorted
        .split_off(sorted.len().min(most))
        .into_iter()
        .map(|(_, count)| count)
        .collect();
    let mut fields: Map<String, Value> = sorted
        .into_iter()
        .map(|(key, count)| (key.to_owned(), count.into()))
        .collect();
    if !rest.is_empty() {
        fields.insert(
            format!("({} more)", rest.len()),
            rest.iter().sum::<u64>().into(),
        );
    }
    fields
}

/// Names, at most so many; what is left is said as the last.
pub fn names(graph: &Graph, nodes: &[NodeIndex], most: usize) -> Value {
    let all: Vec<&str> = nodes.iter().map(|&node| graph.node(node).fqn).collect();
    some(&all, most)
}

/// Rows that one page can have: more would never fit the hard cap.
pub const MOST_ROWS: usize = 1_000;

/// Texts, at most so many; what is left is said as the last.
pub fn some<S: AsRef<str>>(all: &[S], most: usize) -> Value {
    let mut shown: Vec<String> = all
        .iter()
        .take(most)
        .map(|text| text.as_ref().to_owned())
        .collect();
    if all.len() > most {
        shown.push(format!("(+{} more)", all.len() - most));
    }
    json!(shown)
}

/// `Tier1` for `Tier.Tier1`.
pub fn tier(node: NodeView<'_>) -> Option<&str> {
    node.tier.map(model::tier_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_keys_become_one_sum() {
        let many = BTreeMap::from([("a", 1), ("b", 5), ("c", 2)]);
        assert_eq!(Value::from(counts(many, 1)), json!({"b": 5, "(2 more)": 3}));
    }

    #[test]
    fn types_are_read_leniently_and_checked() {
        let types = entity_types("types", &["Tables".into(), "dashboardDataModel".into()]).unwrap();
        assert_eq!(types[0].as_str(), "table");
        let error = entity_types("types", &["tabel".into()]).unwrap_err();
        assert_eq!(error.did_you_mean[0], "table");
    }
}
