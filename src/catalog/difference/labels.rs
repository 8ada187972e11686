//! Tags, glossary terms and the tier: three fields that stand in one list of the document.

use serde_json::{Value, json};

use super::{Change, Difference, EVERYTHING, Impossible, Mode, Wanted, several};
use crate::catalog::wire::text;

/// The kinds of labels that stand in one list of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Tag,
    Term,
    Tier,
}

pub(super) fn labels_into(
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
    removed.sort_by_key(|(position, _)| std::cmp::Reverse(*position));
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
