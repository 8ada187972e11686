//! How one entity looks in an answer. Never reads anything: what was read comes in.

use serde_json::{Map, Value, json};

use crate::{
    answer::{Table, budget, clean},
    catalog::{
        columns::Column,
        entities::Entity,
        facts::{Members, time},
        model::{Owner, tier_name},
    },
};

/// What is shown of an entity.
#[derive(Debug, Clone, Copy, Default)]
pub struct View {
    /// Description in full, page, version, last change, followers.
    pub details: bool,
    /// Description and the facts of the type.
    pub summary: bool,
    pub owners: bool,
    pub tags: bool,
    pub members: bool,
    pub columns: bool,
    pub usage: bool,
    /// Usage was asked for by name: none says something too.
    pub zero_usage: bool,
    pub joins: bool,
    pub definition: bool,
    pub custom_properties: bool,
    /// Say 'none' for what was asked for by name and is empty.
    pub says_none: bool,
    /// Members of a list, columns aside.
    pub most_members: usize,
    /// What this entity may take of the answer, about.
    pub tokens: usize,
}

/// Longest description where nobody asked for details, in characters.
const SHORT_DESCRIPTION: usize = 300;
/// Longest description of a column in a list.
const COLUMN_DESCRIPTION: usize = 120;
/// Longest SQL or code.
const LONGEST_DEFINITION: usize = 2_000;

/// Everything but the columns.
pub fn fields(entity: &Entity, view: View) -> Map<String, Value> {
    let summary = &entity.summary;
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() && value != json!([]) && value != json!({}) && value != json!("") {
            fields.insert(name.to_owned(), value);
        }
    };
    put("fqn", summary.fqn.clone().into());
    put("type", summary.entity_type.as_str().into());
    if view.summary {
        let last = crate::catalog::fqn::parts(&summary.fqn).pop();
        put(
            "display_name",
            summary
                .display_name
                .clone()
                .filter(|display| Some(display) != last.as_ref())
                .into(),
        );
        let longest = if view.details {
            // Half of its share: a token is about four characters.
            (view.tokens * 2).clamp(SHORT_DESCRIPTION, clean::LONGEST_TEXT)
        } else {
            SHORT_DESCRIPTION.min(view.tokens * 2)
        };
        put(
            "description",
            summary
                .description
                .as_ref()
                .map(|description| clean::text(description, longest))
                .into(),
        );
        for (name, value) in &entity.facts {
            put(name, short(value));
        }
    }
    if view.owners {
        put("owners", summary.owners.iter().map(owner).collect());
        if view.says_none && summary.owners.is_empty() {
            put("owners", "none".into());
        }
        put("domains", summary.domains.clone().into());
        put("data_products", several(&entity.data_products));
    }
    if view.tags {
        put("tier", summary.tier.as_deref().map(tier_name).into());
        put("tags", several(&summary.tags));
        put("terms", several(&summary.terms));
        let is_bare = summary.tags.is_empty() && summary.terms.is_empty() && summary.tier.is_none();
        if view.says_none && is_bare {
            put("tags", "none".into());
        }
    }
    if view.details {
        put("version", summary.version.into());
        put(
            "updated",
            summary
                .updated_at
                .and_then(|at| time(Some(&at.into())))
                .map(|at| match &entity.updated_by {
                    Some(by) => format!("{at} by {by}"),
                    None => at,
                })
                .into(),
        );
        put("url", entity.page.clone().into());
        put(
            "followers",
            entity.followers.filter(|count| *count > 0).into(),
        );
    }
    if view.usage {
        match &entity.usage {
            Some(usage) if view.zero_usage || view.details || is_used(usage) => {
                put("usage", usage.clone())
            }
            None if view.zero_usage => put("usage", "none".into()),
            _ => {}
        }
    }
    if view.members {
        // Half of its share for what belongs to it; the columns take what is left.
        let tokens = view.tokens / 2 / entity.members.len().max(1);
        for members in &entity.members {
            put(members.name, list(members, view.most_members, tokens));
        }
    }
    if view.joins {
        put("joins", joins(&entity.joins));
    }
    if view.custom_properties {
        let is_empty = entity.custom_properties.is_empty();
        if view.says_none && is_empty {
            put("custom_properties", "none".into());
        } else {
            put("custom_properties", entity.custom_properties.clone().into());
        }
    }
    if view.definition {
        put(
            "definition",
            entity
                .definition
                .as_ref()
                .map(|code| clean::text(code, LONGEST_DEFINITION.min(view.tokens.max(80))))
                .into(),
        );
    }
    fields
}

/// `data-platform`, the name that filters and changes take; `u4711 (Maria Santos)` where the name
/// does not tell who that is.
pub fn owner(owner: &Owner) -> String {
    let letters = |name: &str| {
        let letters = name.chars().filter(|character| character.is_alphanumeric());
        letters.collect::<String>().to_lowercase()
    };
    match &owner.display_name {
        Some(display) if letters(display) != letters(&owner.name) => {
            format!("{} ({display})", owner.name)
        }
        _ => owner.name.clone(),
    }
}

fn is_used(usage: &Value) -> bool {
    ["day", "week", "month"]
        .iter()
        .any(|period| usage[*period].as_f64().unwrap_or(0.0) > 0.0)
}

/// A list of names with how many there are.
fn list(members: &Members, most: usize, tokens: usize) -> Value {
    let total = members.items.len();
    let shown = &members.items[..total.min(most)];
    // A few plain names need no table.
    let is_plain = shown
        .iter()
        .all(|member| member.entity_type.is_none() && member.note.is_none());
    if is_plain && total <= 3 {
        return shown.iter().map(|member| member.fqn.as_str()).collect();
    }
    let mut table = Table::new(&["fqn", "type", "note"]);
    for member in shown {
        table.push(vec![
            member.fqn.clone().into(),
            member.entity_type.clone().into(),
            member.note.clone().into(),
        ]);
    }
    table.cut_to(tokens);
    let returned = table.len();
    let mut value = table.into_value();
    if let Value::Object(table) = &mut value {
        counted(table, total as u64, returned as u64);
    }
    value
}

/// Texts of facts are short, or cut.
fn short(value: &Value) -> Value {
    const LONGEST: usize = 300;
    match value {
        Value::String(text) => clean::text(text, LONGEST).into(),
        Value::Array(items) => items.iter().take(30).map(short).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), short(value)))
            .collect(),
        other => other.clone(),
    }
}

/// Names, and how many more there are.
fn several(names: &[String]) -> Value {
    const MOST: usize = 30;
    let mut shown: Vec<String> = names.iter().take(MOST).cloned().collect();
    if names.len() > MOST {
        shown.push(format!("… (+{} more)", names.len() - MOST));
    }
    shown.into()
}

fn joins(joins: &[(String, String, u64)]) -> Value {
    const MOST: usize = 10;
    if joins.is_empty() {
        return Value::Null;
    }
    let mut table = Table::new(&["column", "with", "count"]);
    for (column, with, count) in joins.iter().take(MOST) {
        table.push(vec![
            column.clone().into(),
            with.clone().into(),
            (*count).into(),
        ]);
    }
    let shown = table.len() as u64;
    let mut value = table.into_value();
    if let Value::Object(table) = &mut value {
        counted(table, joins.len() as u64, shown);
    }
    value
}

/// How much there is and how much is here.
fn counted(table: &mut Map<String, Value>, total: u64, returned: u64) {
    table.insert("total".into(), total.into());
    table.insert("returned".into(), returned.into());
    table.insert("complete".into(), (returned == total).into());
}

/// What is left away first where an entity takes more than its share.
const SPARE: &[&str] = &[
    "sample",
    "versions",
    "queries",
    "profile",
    "joins",
    "custom_properties",
    "definition",
    "owns",
    "assets",
    "description",
];

/// Leaves parts away until the rest fits; their names.
pub fn fit(fields: &mut Map<String, Value>, tokens: usize) -> Vec<&'static str> {
    let mut left_out = Vec::new();
    // One part alone may take more than a share: then there is nothing to spare.
    for name in SPARE {
        if tokens_of(fields) <= tokens || fields.len() <= 3 {
            break;
        }
        if fields.shift_remove(*name).is_some() {
            left_out.push(*name);
        }
    }
    left_out
}

/// Columns from `start` on, as many as fit.
pub struct ColumnPage<'a> {
    /// The columns that are asked for, from `start` on.
    pub columns: &'a [Column],
    /// Position of the first of them.
    pub start: usize,
    /// How many are asked for in all.
    pub total: usize,
    /// How many the entity has, where a filter left some away.
    pub unfiltered: Option<usize>,
    pub most: usize,
    pub tokens: usize,
    pub descriptions: bool,
}

/// The table of columns and where the next page begins.
pub fn column_table(
    page: ColumnPage<'_>,
    cursor: impl Fn(usize) -> String,
) -> Option<Map<String, Value>> {
    if page.total == 0 && page.unfiltered.is_none() {
        return None;
    }
    let mut table = Table::new(&["name", "type", "key", "tags", "description"]);
    for column in page.columns.iter().take(page.most) {
        table.push(vec![
            column.name.clone().into(),
            column.data_type.clone().into(),
            column.key.clone().into(),
            column.tags.clone().into(),
            column
                .description
                .as_ref()
                .filter(|_| page.descriptions)
                .map(|description| one_line(description))
                .into(),
        ]);
    }
    table.cut_to(page.tokens);
    let returned = table.len();
    let end = page.start + returned;
    let Value::Object(mut value) = without_empty_ends(table.into_value()) else {
        return None;
    };
    value.insert("total".into(), page.total.into());
    if let Some(unfiltered) = page.unfiltered {
        value.insert("of".into(), unfiltered.into());
    }
    value.insert("returned".into(), returned.into());
    value.insert("complete".into(), (end >= page.total).into());
    if end < page.total {
        value.insert("next".into(), cursor(end).into());
    }
    Some(value)
}

/// Cells at the end of a row that say nothing are left away.
fn without_empty_ends(mut table: Value) -> Value {
    if let Some(Value::Array(rows)) = table.get_mut("rows") {
        for row in rows {
            if let Value::Array(cells) = row {
                while cells.len() > 1
                    && cells
                        .last()
                        .is_some_and(|cell| cell.is_null() || *cell == "" || *cell == json!([]))
                {
                    cells.pop();
                }
            }
        }
    }
    table
}

fn one_line(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    clean::text(&line, COLUMN_DESCRIPTION)
}

/// Estimated tokens of what stands already.
pub fn tokens_of(fields: &Map<String, Value>) -> usize {
    budget::of_value(&Value::Object(fields.clone()))
}
