//! Cuts any JSON value to a number of tokens and says where.

use serde_json::{Value, json};

use crate::answer::budget;

/// A text of a document is not cut below this many characters.
const SHORTEST_CUT_TEXT: usize = 200;

/// Cuts the costliest list inside, again and again, until the value fits; then the longest texts,
/// then whole fields. Returns what was cut, each once.
pub(super) fn fit(value: &mut Value, tokens: usize) -> Vec<Value> {
    let mut cuts: Vec<(String, usize, usize)> = Vec::new();
    // Each round cuts something for good; the bound is for documents of a strange shape.
    for _ in 0..200 {
        let cost = budget::of_value(value);
        if cost <= tokens {
            break;
        }
        let excess = cost - tokens;
        let Some((pointer, total, returned)) = shorten_list(value, excess)
            .or_else(|| shorten_text(value, excess))
            .or_else(|| drop_fields(value, excess))
        else {
            break;
        };
        match cuts.iter_mut().find(|(path, _, _)| *path == pointer) {
            Some(cut) => cut.2 = returned,
            None => cuts.push((pointer, total, returned)),
        }
    }
    cuts.into_iter()
        .map(|(pointer, total, returned)| {
            let path = pointer.trim_start_matches('/').replace('/', ".");
            json!({"path": path, "total": total, "returned": returned})
        })
        .collect()
}

/// Where something was cut, what it had (items, characters, or one field), what is left.
type Cut = (String, usize, usize);

fn shorten_list(value: &mut Value, excess: usize) -> Option<Cut> {
    let mut heaviest = None;
    heaviest_list(value, &mut String::new(), &mut heaviest);
    let (pointer, _) = heaviest?;
    let items = value.pointer_mut(&pointer)?.as_array_mut()?;
    let total = items.len();
    let mut saved = 0;
    while items.len() > 1 && saved < excess {
        saved += items.pop().map_or(0, |item| budget::of_value(&item) + 1);
    }
    Some((pointer, total, items.len()))
}

fn shorten_text(value: &mut Value, excess: usize) -> Option<Cut> {
    let mut longest = None;
    longest_text(value, &mut String::new(), &mut longest);
    let (pointer, length) = longest?;
    let Some(Value::String(text)) = value.pointer_mut(&pointer) else {
        return None;
    };
    // A token is three characters or more.
    let kept = length.saturating_sub(excess * 3).max(SHORTEST_CUT_TEXT);
    *text = text.chars().take(kept).collect();
    Some((pointer, length, kept))
}

/// Drops the costliest fields.
fn drop_fields(value: &mut Value, excess: usize) -> Option<Cut> {
    let fields = value.as_object_mut()?;
    let total = fields.len();
    let mut costs: Vec<(usize, String)> = fields
        .iter()
        .map(|(name, field)| {
            (
                budget::of_text(name) + budget::of_value(field),
                name.clone(),
            )
        })
        .collect();
    costs.sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
    let mut saved = 0;
    for (cost, name) in costs {
        if saved >= excess {
            break;
        }
        saved += cost;
        fields.shift_remove(&name);
    }
    (fields.len() < total).then(|| ("(fields)".into(), total, fields.len()))
}

/// The longest text that may still be cut.
fn longest_text(value: &Value, at: &mut String, longest: &mut Option<(String, usize)>) {
    if let Value::String(text) = value {
        let length = text.chars().count();
        let most = longest
            .as_ref()
            .map_or(SHORTEST_CUT_TEXT, |(_, length)| *length);
        if length > most {
            *longest = Some((at.clone(), length));
        }
    }
    each_inside(value, at, &mut |inner, at| longest_text(inner, at, longest));
}

/// Every value directly inside, with its JSON pointer.
fn each_inside(value: &Value, at: &mut String, visit: &mut dyn FnMut(&Value, &mut String)) {
    let length = at.len();
    match value {
        Value::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                at.push_str(&format!("/{position}"));
                visit(item, at);
                at.truncate(length);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                at.push('/');
                at.push_str(&name.replace('~', "~0").replace('/', "~1"));
                visit(field, at);
                at.truncate(length);
            }
        }
        _ => {}
    }
}

/// The list of more than one item that costs most.
fn heaviest_list(value: &Value, at: &mut String, heaviest: &mut Option<(String, usize)>) {
    if let Value::Array(items) = value
        && items.len() > 1
    {
        let cost = budget::of_value(value);
        if heaviest.as_ref().is_none_or(|(_, most)| cost > *most) {
            *heaviest = Some((at.clone(), cost));
        }
    }
    each_inside(value, at, &mut |inner, at| {
        heaviest_list(inner, at, heaviest)
    });
}
