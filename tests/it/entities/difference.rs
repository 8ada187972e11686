//! What each field becomes, and that a patch leaves nothing to change.

use openpolicy_mcp::catalog::difference::{Dialect, Difference, Known, Mode, Wanted, difference};
use serde_json::{Value, json};

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
