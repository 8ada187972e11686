//! What a change would do to an entity: the fields before and after, and the JSON Patch for it.
//!
//! Never reads, never sends: names are looked up before, versions are guarded after.

mod labels;

use serde_json::{Value, json};

use super::{
    columns::{self, Column},
    near::near_names,
    wire::{self, one_or_many, text},
};

/// What a caller wants, names already looked up. `None`: leave it as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    pub description: Option<String>,
    pub display_name: Option<String>,
    pub owners: Option<Vec<Known>>,
    /// FQNs of classification tags, tier apart.
    pub tags: Option<Vec<String>>,
    pub tier: Option<String>,
    pub domain: Option<Known>,
    /// FQNs of glossary terms.
    pub terms: Option<Vec<String>>,
    /// Descriptions by column name.
    pub columns: Vec<(String, String)>,
}

/// A user, team or domain that exists.
#[derive(Debug, Clone)]
pub struct Known {
    pub id: String,
    pub kind: String,
    pub name: String,
}

/// The id tells: names can be written in several ways.
impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// What stands for everything in mode `remove`.
pub const EVERYTHING: &str = "*";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Make it so: lists are replaced.
    #[default]
    Set,
    /// Lists get what they lack; a single value is given only where there is none.
    Add,
    /// Lists lose what is named; a single value goes where it is the one that is named. `*` is
    /// whatever stands there.
    Remove,
}

/// How this server's version writes owners and domains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    pub many_owners: bool,
    pub many_domains: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// `description`, `owners`, `columns.title`, …
    pub field: String,
    pub before: Value,
    pub after: Value,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Difference {
    pub changes: Vec<Change>,
    /// JSON Patch (RFC 6902) without a guard on the version.
    pub operations: Vec<Value>,
}

impl Difference {
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// Why a change cannot be made of what is wanted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Impossible {
    /// The argument at fault, below `set`.
    pub field: String,
    pub message: String,
    pub next_step: String,
    pub did_you_mean: Vec<String>,
}

/// The difference between the entity as it is and as it is wanted. Empty where it is so already;
/// applying its patch and asking again gives an empty one.
pub fn difference(
    document: &Value,
    wanted: &Wanted,
    mode: Mode,
    dialect: Dialect,
) -> Result<Difference, Impossible> {
    let mut difference = Difference::default();
    for (field, member, value) in [
        ("description", "description", &wanted.description),
        ("display_name", "displayName", &wanted.display_name),
    ] {
        if let Some(value) = value {
            let before = text(document, member);
            let after = single(field, before.as_deref(), value, mode)?;
            text_change(&mut difference, field, &format!("/{member}"), before, after);
        }
    }
    owners_into(&mut difference, document, wanted, mode, dialect)?;
    domain_into(&mut difference, document, wanted, mode, dialect)?;
    labels::labels_into(&mut difference, document, wanted, mode)?;
    columns_into(&mut difference, document, wanted, mode)?;
    Ok(difference)
}

/// What a field of one value has afterwards.
fn single(
    field: &str,
    before: Option<&str>,
    value: &str,
    mode: Mode,
) -> Result<Option<String>, Impossible> {
    match mode {
        Mode::Set => Ok(Some(value.to_owned())),
        Mode::Add => match before {
            Some(before) if before != value => Err(Impossible {
                field: field.to_owned(),
                message: format!("`{field}` has a value already and can hold one only"),
                next_step: "use mode set to replace it".into(),
                did_you_mean: Vec::new(),
            }),
            _ => Ok(Some(value.to_owned())),
        },
        Mode::Remove => Ok(before
            .filter(|before| value != EVERYTHING && *before != value)
            .map(str::to_owned)),
    }
}

/// What a list has afterwards, in its order.
fn several<T: Clone + PartialEq>(
    before: &[T],
    named: &[T],
    is_everything: bool,
    mode: Mode,
) -> Vec<T> {
    match mode {
        Mode::Set => {
            let mut after: Vec<T> = Vec::new();
            for item in named {
                if !after.contains(item) {
                    after.push(item.clone());
                }
            }
            after
        }
        Mode::Add => {
            let mut after = before.to_vec();
            for item in named {
                if !after.contains(item) {
                    after.push(item.clone());
                }
            }
            after
        }
        Mode::Remove => before
            .iter()
            .filter(|item| !is_everything && !named.contains(item))
            .cloned()
            .collect(),
    }
}

fn text_change(
    difference: &mut Difference,
    field: &str,
    pointer: &str,
    before: Option<String>,
    after: Option<String>,
) {
    if before == after {
        return;
    }
    difference.operations.push(match (&before, &after) {
        (None, Some(after)) => json!({"op": "add", "path": pointer, "value": after}),
        (Some(_), Some(after)) => json!({"op": "replace", "path": pointer, "value": after}),
        (_, None) => json!({"op": "remove", "path": pointer}),
    });
    difference.changes.push(Change {
        field: field.to_owned(),
        before: before.into(),
        after: after.into(),
    });
}

fn owners_into(
    difference: &mut Difference,
    document: &Value,
    wanted: &Wanted,
    mode: Mode,
    dialect: Dialect,
) -> Result<(), Impossible> {
    let Some(named) = &wanted.owners else {
        return Ok(());
    };
    let before = references(document, "owner", "owners");
    let is_everything = named.iter().any(|owner| owner.name == EVERYTHING);
    let after = several(&before, named, is_everything, mode);
    if same(&before, &after) {
        return Ok(());
    }
    if !dialect.many_owners && after.len() > 1 {
        return Err(Impossible {
            field: "owners".into(),
            message: "this OpenMetadata holds one owner for an entity".into(),
            next_step: "name one owner with mode set".into(),
            did_you_mean: Vec::new(),
        });
    }
    reference_change(
        difference,
        "owners",
        if dialect.many_owners {
            Shape::List("/owners")
        } else {
            Shape::One("/owner")
        },
        &before,
        &after,
    );
    Ok(())
}

fn domain_into(
    difference: &mut Difference,
    document: &Value,
    wanted: &Wanted,
    mode: Mode,
    dialect: Dialect,
) -> Result<(), Impossible> {
    let Some(named) = &wanted.domain else {
        return Ok(());
    };
    let before = references(document, "domain", "domains");
    let one = std::slice::from_ref(named);
    let after = several(&before, one, named.name == EVERYTHING, mode);
    if same(&before, &after) {
        return Ok(());
    }
    if mode == Mode::Add && !before.is_empty() {
        return Err(Impossible {
            field: "domain".into(),
            message: format!("it is in the domain {} already", before[0].name),
            next_step: "use mode set to move it".into(),
            did_you_mean: Vec::new(),
        });
    }
    reference_change(
        difference,
        "domain",
        if dialect.many_domains {
            Shape::List("/domains")
        } else {
            Shape::One("/domain")
        },
        &before,
        &after,
    );
    Ok(())
}

#[derive(Clone, Copy)]
enum Shape {
    One(&'static str),
    List(&'static str),
}

fn reference_change(
    difference: &mut Difference,
    field: &str,
    shape: Shape,
    before: &[Known],
    after: &[Known],
) {
    let written = |reference: &Known| json!({"id": reference.id, "type": reference.kind});
    difference.operations.push(match shape {
        Shape::List(path) => json!({
            // An empty list may be absent where it is stored: `add` does for both.
            "op": if before.is_empty() { "add" } else { "replace" },
            "path": path,
            "value": after.iter().map(written).collect::<Vec<_>>(),
        }),
        Shape::One(path) => match (before.first(), after.first()) {
            (None, Some(after)) => json!({"op": "add", "path": path, "value": written(after)}),
            (_, Some(after)) => json!({"op": "replace", "path": path, "value": written(after)}),
            (_, None) => json!({"op": "remove", "path": path}),
        },
    });
    let names = |references: &[Known]| {
        references
            .iter()
            .map(|reference| Value::from(reference.name.as_str()))
            .collect::<Value>()
    };
    difference.changes.push(Change {
        field: field.to_owned(),
        before: names(before),
        after: names(after),
    });
}

fn same(before: &[Known], after: &[Known]) -> bool {
    let mut before: Vec<&str> = before.iter().map(|one| one.id.as_str()).collect();
    let mut after: Vec<&str> = after.iter().map(|one| one.id.as_str()).collect();
    before.sort_unstable();
    after.sort_unstable();
    before == after
}

/// Owners or domains of its own; those that it inherits are not its to change.
fn references(document: &Value, one: &str, many: &str) -> Vec<Known> {
    one_or_many(document, one, many)
        .filter(|reference| reference.get("inherited") != Some(&Value::Bool(true)))
        .filter_map(|reference| {
            Some(Known {
                id: text(reference, "id")?,
                kind: text(reference, "type").unwrap_or_else(|| one.to_owned()),
                name: text(reference, "name")
                    .or_else(|| text(reference, "fullyQualifiedName"))
                    .unwrap_or_default(),
            })
        })
        .collect()
}

fn columns_into(
    difference: &mut Difference,
    document: &Value,
    wanted: &Wanted,
    mode: Mode,
) -> Result<(), Impossible> {
    if wanted.columns.is_empty() {
        return Ok(());
    }
    let columns = columns::columns_of(document);
    for (name, value) in &wanted.columns {
        let column = column_named(&columns, document, name)?;
        let field = format!("columns.{}", column.name);
        let after = single(&field, column.description.as_deref(), value, mode)?;
        if column.description == after {
            continue;
        }
        if let Some(last) = document
            .pointer(&column.pointer)
            .and_then(|column| text(column, "name"))
        {
            difference.operations.push(
                json!({"op": "test", "path": format!("{}/name", column.pointer), "value": last}),
            );
        }
        text_change(
            difference,
            &field,
            &format!("{}/description", column.pointer),
            column.description.clone(),
            after,
        );
    }
    Ok(())
}

/// By its name, or by its FQN.
fn column_named<'a>(
    columns: &'a [Column],
    document: &Value,
    name: &str,
) -> Result<&'a Column, Impossible> {
    let below = wire::text(document, "fullyQualifiedName").map(|fqn| format!("{fqn}."));
    let bare = below
        .as_deref()
        .and_then(|below| name.strip_prefix(below))
        .unwrap_or(name);
    columns
        .iter()
        .find(|column| column.name == bare)
        .ok_or_else(|| Impossible {
            field: format!("columns.{name}"),
            message: if columns.is_empty() {
                "it has no columns".to_owned()
            } else {
                format!("it has no column {bare} (upper and lower case differ)")
            },
            next_step: "look at its columns with get_entity".into(),
            did_you_mean: near_names(bare, columns.iter().map(|column| column.name.as_str())),
        })
}
