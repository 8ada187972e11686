//! What a change would do to an entity: the fields before and after, and the JSON Patch for it.
//!
//! Never reads, never sends: names are looked up before, versions are guarded after.

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
    labels_into(&mut difference, document, wanted, mode)?;
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

/// The kinds of labels that stand in one list of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Tag,
    Term,
    Tier,
}

fn labels_into(
    difference: &mut Difference,
    document: &Value,
    wanted: &Wanted,
    mode: Mode,
) -> Result<(), Impossible> {
    let labels = document.get("tags").and_then(Value::as_array);
    let stands: Vec<(usize, Label, String)> = labels
        .into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(position, label)| {
            let name = text(label, "tagFQN")?;
            let kind = if text(label, "source").as_deref() == Some("Glossary") {
                Label::Term
            } else if name.starts_with("Tier.") {
                Label::Tier
            } else {
                Label::Tag
            };
            Some((position, kind, name))
        })
        .collect();
    let names_of = |kind: Label| -> Vec<String> {
        stands
            .iter()
            .filter(|(_, of, _)| *of == kind)
            .map(|(_, _, name)| name.clone())
            .collect()
    };
    let mut removed: Vec<(usize, String)> = Vec::new();
    let mut added: Vec<Value> = Vec::new();
    for (field, kind, named) in [
        ("tags", Label::Tag, wanted.tags.clone()),
        ("terms", Label::Term, wanted.terms.clone()),
        (
            "tier",
            Label::Tier,
            wanted.tier.clone().map(|tier| vec![tier]),
        ),
    ] {
        let Some(named) = named else { continue };
        let before = names_of(kind);
        let is_everything = named.iter().any(|name| name == EVERYTHING);
        let after = several(&before, &named, is_everything, mode);
        if kind == Label::Tier && after.len() > 1 {
            return Err(Impossible {
                field: field.into(),
                message: format!("it has {} and can have one tier only", before.join(", ")),
                next_step: "use mode set to replace it".into(),
                did_you_mean: Vec::new(),
            });
        }
        let gone: Vec<&String> = before.iter().filter(|name| !after.contains(name)).collect();
        let new: Vec<&String> = after.iter().filter(|name| !before.contains(name)).collect();
        if gone.is_empty() && new.is_empty() {
            continue;
        }
        removed.extend(
            stands
                .iter()
                .filter(|(_, of, name)| *of == kind && gone.contains(&name))
                .map(|(position, _, name)| (*position, name.clone())),
        );
        added.extend(new.iter().map(|name| {
            json!({
                "tagFQN": name,
                "source": if kind == Label::Term { "Glossary" } else { "Classification" },
                "labelType": "Manual",
                "state": "Confirmed",
            })
        }));
        let as_value = |names: &[String]| match kind {
            Label::Tier => names.first().cloned().into(),
            _ => Value::from(names.to_vec()),
        };
        difference.changes.push(Change {
            field: field.into(),
            before: as_value(&before),
            after: as_value(&after),
        });
    }
    // From the end, so that positions hold; each is tested to be the label that is meant.
    removed.sort_by(|a, b| b.0.cmp(&a.0));
    let left = labels.map_or(0, Vec::len) - removed.len();
    for (position, name) in removed {
        difference
            .operations
            .push(json!({"op": "test", "path": format!("/tags/{position}/tagFQN"), "value": name}));
        difference
            .operations
            .push(json!({"op": "remove", "path": format!("/tags/{position}")}));
    }
    for (offset, label) in added.into_iter().enumerate() {
        difference
            .operations
            .push(json!({"op": "add", "path": format!("/tags/{}", left + offset), "value": label}));
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Dialect = Dialect {
        many_owners: true,
        many_domains: true,
    };
    const OLD: Dialect = Dialect {
        many_owners: false,
        many_domains: false,
    };

    fn document() -> Value {
        json!({
            "fullyQualifiedName": "pg.db.core.notes",
            "description": "before",
            "owners": [{"id": "u1", "type": "user", "name": "li.wei"}],
            "tags": [
                {"tagFQN": "PII.Sensitive", "source": "Classification"},
                {"tagFQN": "Tier.Tier2", "source": "Classification"},
                {"tagFQN": "Parliament.Bill", "source": "Glossary"}
            ],
            "columns": [{"name": "id"}, {"name": "note", "description": "x", "children": [{"name": "a"}]}]
        })
    }

    fn of(wanted: &Wanted, mode: Mode) -> Difference {
        difference(&document(), wanted, mode, NEW).unwrap()
    }

    fn user(id: &str) -> Known {
        Known {
            id: id.into(),
            kind: "user".into(),
            name: id.into(),
        }
    }

    #[test]
    fn what_is_so_already_is_no_change() {
        let wanted = Wanted {
            description: Some("before".into()),
            owners: Some(vec![Known {
                name: "other spelling".into(),
                ..user("u1")
            }]),
            tags: Some(vec!["PII.Sensitive".into()]),
            tier: Some("Tier.Tier2".into()),
            columns: vec![("note".into(), "x".into())],
            ..Wanted::default()
        };
        assert!(of(&wanted, Mode::Set).is_empty());
        assert!(of(&wanted, Mode::Add).is_empty());
    }

    #[test]
    fn each_field_has_its_operation() {
        let one = |wanted: Wanted, mode| of(&wanted, mode).operations;
        let text = |value: &str| Some(value.to_owned());
        for (wanted, mode, operations) in [
            (
                Wanted {
                    description: text("after"),
                    ..Wanted::default()
                },
                Mode::Set,
                json!([{"op": "replace", "path": "/description", "value": "after"}]),
            ),
            (
                Wanted {
                    description: text("*"),
                    ..Wanted::default()
                },
                Mode::Remove,
                json!([{"op": "remove", "path": "/description"}]),
            ),
            (
                Wanted {
                    display_name: text("Notes"),
                    ..Wanted::default()
                },
                Mode::Add,
                json!([{"op": "add", "path": "/displayName", "value": "Notes"}]),
            ),
            (
                Wanted {
                    owners: Some(vec![user("u2")]),
                    ..Wanted::default()
                },
                Mode::Add,
                json!([{"op": "replace", "path": "/owners", "value": [{"id": "u1", "type": "user"}, {"id": "u2", "type": "user"}]}]),
            ),
            (
                Wanted {
                    domain: Some(Known {
                        id: "d".into(),
                        kind: "domain".into(),
                        name: "Civic".into(),
                    }),
                    ..Wanted::default()
                },
                Mode::Set,
                json!([{"op": "add", "path": "/domains", "value": [{"id": "d", "type": "domain"}]}]),
            ),
            (
                Wanted {
                    tier: text("Tier.Tier1"),
                    ..Wanted::default()
                },
                Mode::Set,
                json!([
                    {"op": "test", "path": "/tags/1/tagFQN", "value": "Tier.Tier2"},
                    {"op": "remove", "path": "/tags/1"},
                    {"op": "add", "path": "/tags/2", "value": {"tagFQN": "Tier.Tier1", "source": "Classification", "labelType": "Manual", "state": "Confirmed"}}
                ]),
            ),
            (
                Wanted {
                    columns: vec![("pg.db.core.notes.note.a".into(), "deep".into())],
                    ..Wanted::default()
                },
                Mode::Set,
                json!([
                    {"op": "test", "path": "/columns/1/children/0/name", "value": "a"},
                    {"op": "add", "path": "/columns/1/children/0/description", "value": "deep"}
                ]),
            ),
        ] {
            assert_eq!(Value::from(one(wanted, mode)), operations);
        }
    }

    #[test]
    fn old_servers_have_one_owner() {
        let document = json!({"owner": {"id": "u1", "type": "user", "name": "li.wei"}});
        let wanted = Wanted {
            owners: Some(vec![user("u2")]),
            ..Wanted::default()
        };
        assert_eq!(
            difference(&document, &wanted, Mode::Set, OLD)
                .unwrap()
                .operations,
            [json!({"op": "replace", "path": "/owner", "value": {"id": "u2", "type": "user"}})]
        );
        assert_eq!(
            difference(&document, &wanted, Mode::Add, OLD)
                .unwrap_err()
                .field,
            "owners"
        );
    }

    #[test]
    fn refuses_a_second_tier_and_unknown_columns() {
        let tier = Wanted {
            tier: Some("Tier.Tier1".into()),
            ..Wanted::default()
        };
        assert_eq!(
            difference(&document(), &tier, Mode::Add, NEW)
                .unwrap_err()
                .field,
            "tier"
        );
        let column = Wanted {
            columns: vec![("noet".into(), "x".into())],
            ..Wanted::default()
        };
        let error = difference(&document(), &column, Mode::Set, NEW).unwrap_err();
        assert_eq!(error.did_you_mean, ["note"]);
    }

    #[test]
    fn inherited_owners_are_not_its_own() {
        let document =
            json!({"owners": [{"id": "u1", "type": "user", "name": "a", "inherited": true}]});
        let wanted = Wanted {
            owners: Some(vec![user("u1")]),
            ..Wanted::default()
        };
        assert!(
            !difference(&document, &wanted, Mode::Set, NEW)
                .unwrap()
                .is_empty()
        );
    }

    /// Applies the subset of JSON Patch that is made here.
    fn applied(document: &Value, operations: &[Value]) -> Value {
        let mut document = document.clone();
        for operation in operations {
            let path = operation["path"].as_str().unwrap();
            if operation["op"] == "test" {
                assert_eq!(document.pointer(path), Some(&operation["value"]));
                continue;
            }
            let (parent, last) = path.rsplit_once('/').unwrap();
            match document.pointer_mut(parent).unwrap() {
                Value::Array(items) => {
                    let position: usize = last.parse().unwrap();
                    match operation["op"].as_str().unwrap() {
                        "remove" => {
                            items.remove(position);
                        }
                        "add" => items.insert(position, operation["value"].clone()),
                        _ => items[position] = operation["value"].clone(),
                    }
                }
                Value::Object(fields) => {
                    let is_there = fields.contains_key(last);
                    match operation["op"].as_str().unwrap() {
                        "remove" => {
                            assert!(fields.remove(last).is_some());
                        }
                        "add" => {
                            fields.insert(last.into(), operation["value"].clone());
                        }
                        _ => {
                            assert!(is_there);
                            fields.insert(last.into(), operation["value"].clone());
                        }
                    }
                }
                _ => panic!("{path}"),
            }
        }
        document
    }

    proptest::proptest! {
        /// After its own patch nothing is left to change, whatever stood before.
        #[test]
        fn its_patch_makes_it_so(
            standing in proptest::collection::btree_set(0usize..8, 0..6),
            wanted_tags in proptest::collection::vec(0usize..4, 0..4),
            wanted_terms in proptest::option::of(proptest::collection::vec(4usize..6, 0..3)),
            wanted_tier in proptest::option::of(6usize..8),
            description in proptest::option::of("[a-c]{1,2}"),
            before in proptest::option::of("[a-c]{1,2}"),
            mode in 0usize..2,
        ) {
            const LABELS: [(&str, &str); 8] = [
                ("A.a", "Classification"), ("A.b", "Classification"), ("B.a", "Classification"), ("B.b", "Classification"),
                ("G.x", "Glossary"), ("G.y", "Glossary"),
                ("Tier.Tier1", "Classification"), ("Tier.Tier2", "Classification"),
            ];
            let mut has_tier = false;
            let labels: Vec<Value> = standing.iter().filter(|at| **at < 6 || !std::mem::replace(&mut has_tier, true))
                .map(|at| json!({"tagFQN": LABELS[*at].0, "source": LABELS[*at].1})).collect();
            let mut document = json!({"tags": labels});
            if let Some(before) = before { document["description"] = before.into(); }
            let name = |at: &usize| LABELS[*at].0.to_owned();
            let wanted = Wanted {
                description,
                tags: Some(wanted_tags.iter().map(name).collect()),
                terms: wanted_terms.map(|terms| terms.iter().map(name).collect()),
                tier: wanted_tier.as_ref().map(name),
                ..Wanted::default()
            };
            let mode = [Mode::Set, Mode::Remove][mode];
            let first = difference(&document, &wanted, mode, NEW).unwrap();
            proptest::prop_assert_eq!(first.changes.is_empty(), first.operations.is_empty());
            let after = applied(&document, &first.operations);
            proptest::prop_assert!(difference(&after, &wanted, mode, NEW).unwrap().is_empty());
        }
    }
}
