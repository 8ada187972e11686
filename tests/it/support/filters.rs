//! Says which documents a `query_filter` lets through, as the search engine does.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::Value;

use super::documents::Document;
use super::recordings::Version;

/// Why a filter has no verdict.
#[derive(Debug, PartialEq, Eq)]
pub enum Unusable {
    /// The server does not know such a clause.
    UnknownClause,
    /// The server knows it, this imitation does not.
    NotImitated,
}

/// Clauses of the engine that nothing here needs.
const NOT_IMITATED: [&str; 12] = [
    "nested",
    "script",
    "function_score",
    "query_string",
    "simple_query_string",
    "multi_match",
    "regexp",
    "fuzzy",
    "ids",
    "dis_max",
    "constant_score",
    "geo_distance",
];

/// Reads a filter text. Nothing means that the server ignores it and lets everything through.
pub fn parsed(version: Version, text: &str) -> Result<Option<Value>, Unusable> {
    let Ok(filter) = serde_json::from_str::<Value>(text) else {
        return Ok(None);
    };
    let inner = match (filter.get("query"), version) {
        (Some(inner), _) => inner.clone(),
        (None, Version::V1_12_6) => filter,
        (None, Version::V1_2_0) => return Ok(None),
    };
    match checked(&inner) {
        Ok(()) => Ok(Some(inner)),
        // The old server drops every bad filter.
        Err(Unusable::UnknownClause) if version == Version::V1_2_0 => Ok(None),
        Err(unusable) => Err(unusable),
    }
}

fn checked(clause: &Value) -> Result<(), Unusable> {
    let (kind, inner) = only_member(clause).ok_or(Unusable::UnknownClause)?;
    match kind {
        "bool" => {
            for (part, clauses) in inner.as_object().ok_or(Unusable::UnknownClause)? {
                match part.as_str() {
                    "must" | "must_not" | "should" | "filter" => {
                        listed(clauses).into_iter().try_for_each(checked)?;
                    }
                    "minimum_should_match" => {}
                    _ => return Err(Unusable::NotImitated),
                }
            }
            Ok(())
        }
        "term" | "terms" | "exists" | "range" | "match_all" | "wildcard" | "prefix" | "match"
        | "match_phrase" => Ok(()),
        kind if NOT_IMITATED.contains(&kind) => Err(Unusable::NotImitated),
        _ => Err(Unusable::UnknownClause),
    }
}

fn only_member(clause: &Value) -> Option<(&str, &Value)> {
    let members = clause.as_object()?;
    let (name, inner) = members.iter().next()?;
    (members.len() == 1).then_some((name.as_str(), inner))
}

fn listed(clauses: &Value) -> Vec<&Value> {
    match clauses {
        Value::Array(clauses) => clauses.iter().collect(),
        clause => vec![clause],
    }
}

/// Whether a checked filter lets a document through.
pub fn lets_through(version: Version, clause: &Value, document: &Document) -> bool {
    let Some((kind, inner)) = only_member(clause) else {
        return false;
    };
    let passes = |clause: &&Value| lets_through(version, clause, document);
    let field = || {
        only_member(inner).or_else(|| {
            inner
                .as_object()?
                .iter()
                .next()
                .map(|(name, value)| (name.as_str(), value))
        })
    };
    let is_any = |test: &dyn Fn(&Field, &Value) -> bool| {
        let Some((name, wanted)) = field() else {
            return false;
        };
        let (field, values) = values(version, document, name);
        values
            .iter()
            .any(|value| test(&field, value) && !wanted.is_null())
    };
    match kind {
        "match_all" => true,
        "bool" => {
            let part = |name: &str| inner.get(name).map(listed).unwrap_or_default();
            let (should, required) = (part("should"), [part("must"), part("filter")].concat());
            let should_matter = !should.is_empty()
                && (required.is_empty() || inner.get("minimum_should_match").is_some());
            required.iter().all(passes)
                && !part("must_not").iter().any(passes)
                && (!should_matter || should.iter().any(passes))
        }
        "term" => is_any(&|kind, value| {
            let wanted = field().expect("a field").1;
            kind.equals(value, wanted.get("value").unwrap_or(wanted))
        }),
        "terms" => is_any(&|kind, value| {
            listed(field().expect("a field").1)
                .iter()
                .any(|wanted| kind.equals(value, wanted))
        }),
        "exists" => {
            let name = inner["field"].as_str().unwrap_or_default();
            !values(version, document, name).1.is_empty()
        }
        "range" => is_any(&|_, value| is_within(value, field().expect("a field").1)),
        "wildcard" | "prefix" => is_any(&|_, value| {
            let wanted = field().expect("a field").1;
            let wanted = wanted
                .get("value")
                .unwrap_or(wanted)
                .as_str()
                .unwrap_or_default();
            let ending = if kind == "prefix" { "*" } else { "" };
            let pattern = format!("{wanted}{ending}").to_lowercase();
            value
                .as_str()
                .is_some_and(|text| is_like(&text.to_lowercase(), &pattern))
        }),
        "match" | "match_phrase" => is_any(&|_, value| {
            let wanted = field().expect("a field").1;
            let wanted = wanted
                .get("query")
                .unwrap_or(wanted)
                .as_str()
                .unwrap_or_default()
                .to_lowercase();
            value.as_str().is_some_and(|text| {
                let found = tokens(text);
                tokens(&wanted).iter().all(|token| found.contains(token))
            })
        }),
        _ => false,
    }
}

/// How the engine compares a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Exact,
    /// Lower case on both sides.
    Normalised,
    /// Cut into lower-case words, compared word by word with what was asked, as it was asked.
    Words,
}

impl Field {
    fn equals(self, value: &Value, wanted: &Value) -> bool {
        let (Some(text), Some(wanted_text)) = (value.as_str(), wanted.as_str()) else {
            // `true` and "true", 1 and "1" are the same term.
            return plain(value) == plain(wanted);
        };
        match self {
            Field::Exact => text == wanted_text,
            Field::Normalised => text.to_lowercase() == wanted_text.to_lowercase(),
            Field::Words => tokens(text).iter().any(|token| token == wanted_text),
        }
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn is_within(value: &Value, bounds: &Value) -> bool {
    let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
    let Some(value) = number(value) else {
        return false;
    };
    let holds = |name: &str, test: fn(f64, f64) -> bool| {
        bounds
            .get(name)
            .and_then(number)
            .is_none_or(|bound| test(value, bound))
    };
    holds("gt", |value, bound| value > bound)
        && holds("gte", |value, bound| value >= bound)
        && holds("lt", |value, bound| value < bound)
        && holds("lte", |value, bound| value <= bound)
}

/// `*` stands for anything.
fn is_like(text: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => text == pattern,
        Some((start, rest)) => {
            let Some(left) = text.strip_prefix(start) else {
                return false;
            };
            (0..=left.len())
                .filter(|at| left.is_char_boundary(*at))
                .any(|at| is_like(&left[at..], rest))
        }
    }
}

/// The words of a text as the engine's standard tokenizer cuts them.
fn tokens(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.to_lowercase().chars().collect();
    let joins = |at: usize| {
        // A dot holds letters together, and digits, but not one of each.
        let (before, after) = (
            at.checked_sub(1).and_then(|at| characters.get(at)),
            characters.get(at + 1),
        );
        matches!((before, after), (Some(a), Some(b)) if a.is_alphabetic() && b.is_alphabetic() || a.is_numeric() && b.is_numeric())
    };
    let mut words = vec![String::new()];
    for (at, character) in characters.iter().enumerate() {
        let is_part =
            character.is_alphanumeric() || *character == '_' || *character == '.' && joins(at);
        if is_part {
            words.last_mut().expect("a word").push(*character);
        } else {
            words.push(String::new());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// How a field is compared, and its values in a document.
fn values<'a>(version: Version, document: &'a Document, name: &str) -> (Field, Vec<&'a Value>) {
    let Some((field, path)) = field(version, name) else {
        return (Field::Exact, Vec::new());
    };
    let mut found = vec![&document.source];
    for part in path.split('.') {
        found = found
            .into_iter()
            .flat_map(listed)
            .filter_map(|value| value.get(part))
            .collect();
    }
    let mut leaves = Vec::new();
    found
        .into_iter()
        .for_each(|value| gather(value, &mut leaves));
    (field, leaves)
}

fn gather<'a>(value: &'a Value, leaves: &mut Vec<&'a Value>) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| gather(item, leaves)),
        Value::Object(members) => members.values().for_each(|member| gather(member, leaves)),
        leaf => leaves.push(leaf),
    }
}

/// The field behind a name, or nothing where the engine has none.
fn field(version: Version, name: &str) -> Option<(Field, String)> {
    if version == Version::V1_2_0 {
        return old_field(name);
    }
    static MAPPING: OnceLock<BTreeMap<String, Field>> = OnceLock::new();
    let mapping = MAPPING.get_or_init(recorded_mapping);
    if let Some(field) = mapping.get(name) {
        let path = name
            .strip_suffix(".keyword")
            .filter(|path| mapping.contains_key(*path));
        return Some((*field, path.unwrap_or(name).to_owned()));
    }
    // An object, as in `exists`.
    let prefix = format!("{name}.");
    let is_object = mapping.keys().any(|known| known.starts_with(&prefix));
    is_object.then(|| (Field::Exact, name.to_owned()))
}

/// The old server's field types were not recorded; these rules reproduce its answers.
fn old_field(name: &str) -> Option<(Field, String)> {
    if name == "fullyQualifiedName.keyword" {
        return None;
    }
    let path = name.strip_suffix(".keyword").unwrap_or(name);
    let is_normalised = path == "fullyQualifiedName";
    let field = if is_normalised {
        Field::Normalised
    } else {
        Field::Exact
    };
    Some((field, path.to_owned()))
}

fn recorded_mapping() -> BTreeMap<String, Field> {
    let path = Version::V1_12_6
        .folder()
        .join("search-engine/mapping-table.json");
    let text = std::fs::read_to_string(path).expect("the recorded mapping");
    let mapping: Value = serde_json::from_str(&text).expect("a mapping is JSON");
    let index = mapping
        .as_object()
        .and_then(|indexes| indexes.values().next());
    let mut fields = BTreeMap::new();
    add_properties(
        &index.expect("an index")["mappings"]["properties"],
        "",
        &mut fields,
    );
    assert!(
        fields.contains_key("fullyQualifiedName"),
        "the mapping has another shape"
    );
    fields
}

fn add_properties(properties: &Value, prefix: &str, fields: &mut BTreeMap<String, Field>) {
    for (name, property) in properties.as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        if let Some(inner) = property.get("properties") {
            add_properties(inner, &format!("{path}."), fields);
        }
        if let Some(field) = kind(property) {
            fields.insert(path.clone(), field);
        }
        for (name, other) in property["fields"].as_object().into_iter().flatten() {
            if let Some(field) = kind(other).filter(|_| name == "keyword") {
                fields.insert(format!("{path}.keyword"), field);
            }
        }
    }
}

fn kind(property: &Value) -> Option<Field> {
    let is_normalised = property.get("normalizer").is_some();
    match property["type"].as_str()? {
        "text" => Some(Field::Words),
        _ if is_normalised => Some(Field::Normalised),
        _ => Some(Field::Exact),
    }
}
