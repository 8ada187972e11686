//! Reads arguments leniently by their schema: what models send, not only what they should.
//!
//! Accepted: `"5"` and `5.0` for 5, `""` and `"null"` for absent, a JSON string where an object or
//! list is expected, one value where a list is expected and a list of one where a value is,
//! `"true"` and `1` for true, any case in enumerations, and several of their values with commas
//! between. Everything else is an error that names the argument and what would be right.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{ToolError, schema};
use crate::answer::CursorScope;

/// The longest text that an argument may be, in characters.
const LONGEST_TEXT: usize = 20_000;

/// The most values that one list or map may have: each may cost a question to the catalog.
const MOST_VALUES: usize = 500;

/// The arguments of a call as their type.
pub fn read<T: DeserializeOwned + JsonSchema + 'static>(arguments: Value) -> Result<T, ToolError> {
    typed(normal::<T>(arguments)?)
}

/// The arguments of a call with pages, and the scope of its cursors. The scope is of what was
/// understood, so that a page may be asked for in another spelling of the same arguments.
pub fn read_paged<T: DeserializeOwned + JsonSchema + 'static>(
    tool: &str,
    arguments: Value,
) -> Result<(T, CursorScope), ToolError> {
    let fields = Value::Object(normal::<T>(arguments)?);
    let scope = CursorScope::new(tool, &fields);
    let Value::Object(fields) = fields else {
        return Err(not_an_object());
    };
    Ok((typed(fields)?, scope))
}

fn typed<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, ToolError> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| {
        ToolError::invalid(
            "arguments",
            format!("the arguments cannot be read: {error}"),
            "compare them with the input schema of the tool",
        )
    })
}

/// The arguments as the schema has them, absent ones left away.
fn normal<T: JsonSchema + 'static>(arguments: Value) -> Result<Map<String, Value>, ToolError> {
    let schema = schema::known_of::<T>();
    let arguments = match arguments {
        Value::Null => Map::new(),
        Value::Object(fields) => fields,
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(Value::Object(fields)) => fields,
            _ => return Err(not_an_object()),
        },
        _ => return Err(not_an_object()),
    };
    object(arguments, &schema, "")
}

fn not_an_object() -> ToolError {
    ToolError::invalid(
        "arguments",
        "the arguments are not an object",
        "send an object with the argument names as keys",
    )
}

fn object(
    fields: Map<String, Value>,
    schema: &Map<String, Value>,
    path: &str,
) -> Result<Map<String, Value>, ToolError> {
    let empty = Map::new();
    let properties = schema
        .get("properties")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    // `additionalProperties` of a map type: every key has the same schema.
    let every = schema
        .get("additionalProperties")
        .and_then(Value::as_object);
    if fields.len() > MOST_VALUES {
        let place = if path.is_empty() { "arguments" } else { path };
        return Err(too_many(place, fields.len()));
    }
    let mut read = Map::new();
    for (name, value) in fields {
        let place = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let Some(property) = properties.get(&name).and_then(Value::as_object).or(every) else {
            return Err(unknown_argument(&place, &name, properties));
        };
        if let Some(value) = coerce(value, property, &place)? {
            read.insert(name, value);
        }
    }
    for name in schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if !read.contains_key(name) {
            let place = if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            };
            let property = properties.get(name).and_then(Value::as_object);
            let purpose = property.map_or_else(String::new, purpose);
            return Err(ToolError::invalid(
                &place,
                format!("`{place}` is missing"),
                format!("give `{place}`{purpose}"),
            ));
        }
    }
    Ok(read)
}

/// What an argument is for, as the end of a sentence: its description and its values.
fn purpose(property: &Map<String, Value>) -> String {
    let description = property.get("description").and_then(Value::as_str);
    let values = values(property).map(|values| format!("one of {}", values.join(", ")));
    match (description, values) {
        (None, None) => String::new(),
        (Some(one), None) => format!(": {one}"),
        (None, Some(one)) => format!(": {one}"),
        (Some(description), Some(values)) => format!(": {description} ({values})"),
    }
}

fn unknown_argument(place: &str, name: &str, properties: &Map<String, Value>) -> ToolError {
    let names: Vec<&str> = properties.keys().map(String::as_str).collect();
    // One level too high: `description` where `set.description` is meant.
    let below = properties.iter().find_map(|(outer, property)| {
        let inner = property.get("properties")?.as_object()?;
        inner
            .contains_key(name)
            .then(|| vec![format!("{outer}.{name}")])
    });
    ToolError::invalid(
        place,
        format!("there is no argument `{place}`"),
        if names.is_empty() {
            "send no arguments".to_owned()
        } else {
            format!("arguments are: {}", names.join(", "))
        },
    )
    .did_you_mean(below.unwrap_or_else(|| near(name, names.into_iter())))
}

fn too_many(place: &str, count: usize) -> ToolError {
    ToolError::invalid(
        place,
        format!("`{place}` has {count} values"),
        format!("give {MOST_VALUES} or fewer; more in further calls"),
    )
}

/// The value as its schema wants it; `None` for absent.
fn coerce(
    value: Value,
    schema: &Map<String, Value>,
    place: &str,
) -> Result<Option<Value>, ToolError> {
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or("any");
    let value = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.trim().is_empty() || text.trim() == "null" => return Ok(None),
        // One value in a list, where no list is wanted.
        Value::Array(mut values) if !matches!(kind, "array" | "any") && values.len() == 1 => {
            return coerce(values.swap_remove(0), schema, place);
        }
        value => value,
    };
    let read = match (kind, value) {
        ("string", Value::String(text)) => {
            if text.chars().count() > LONGEST_TEXT {
                return Err(ToolError::invalid(
                    place,
                    format!("`{place}` is longer than {LONGEST_TEXT} characters"),
                    "send a shorter text",
                ));
            }
            one_of(text, schema, place)?.into()
        }
        ("string", Value::Number(number)) => {
            // 1.0 is the number 1, also where a name is a number.
            let is_whole = number.is_f64();
            let whole = number.as_f64().filter(|_| is_whole).and_then(whole);
            let text = whole.map_or_else(|| number.to_string(), |whole| whole.to_string());
            one_of(text, schema, place)?.into()
        }
        ("string", Value::Bool(value)) => one_of(value.to_string(), schema, place)?.into(),
        ("integer", value) => integer(&value, schema, place)?,
        ("number", value) => match value {
            Value::Number(_) => value,
            Value::String(ref text) => match text.trim().parse::<f64>() {
                Ok(number) if number.is_finite() => number.into(),
                _ => return Err(wrong_type(place, "a number", &value)),
            },
            other => return Err(wrong_type(place, "a number", &other)),
        },
        ("boolean", value) => match &value {
            Value::Bool(_) => value,
            Value::Number(number) if number.as_f64() == Some(1.0) => true.into(),
            Value::Number(number) if number.as_f64() == Some(0.0) => false.into(),
            Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => true.into(),
                "false" | "no" | "0" => false.into(),
                _ => return Err(wrong_type(place, "true or false", &value)),
            },
            other => return Err(wrong_type(place, "true or false", other)),
        },
        ("array", value) => {
            let empty = Map::new();
            let items = schema
                .get("items")
                .and_then(Value::as_object)
                .unwrap_or(&empty);
            let values = match value {
                Value::Array(values) => values,
                Value::String(text) if text.trim_start().starts_with('[') => {
                    match serde_json::from_str(&text) {
                        Ok(Value::Array(values)) => values,
                        _ => vec![Value::String(text)],
                    }
                }
                // A name may hold a comma, a word of an enumeration does not.
                Value::String(text) if text.contains(',') && items.contains_key("enum") => text
                    .split(',')
                    .map(|part| Value::String(part.trim().to_owned()))
                    .collect(),
                one => vec![one],
            };
            if values.len() > MOST_VALUES {
                return Err(too_many(place, values.len()));
            }
            let mut read = Vec::with_capacity(values.len());
            for (position, value) in values.into_iter().enumerate() {
                read.extend(coerce(value, items, &format!("{place}[{position}]"))?);
            }
            if read.is_empty() {
                return Ok(None);
            }
            Value::Array(read)
        }
        ("object", Value::Object(fields)) => object(fields, schema, place)?.into(),
        ("object", Value::String(text)) => match serde_json::from_str(&text) {
            Ok(Value::Object(fields)) => object(fields, schema, place)?.into(),
            _ => return Err(wrong_type(place, "an object", &Value::String(text))),
        },
        ("any", value) => value,
        ("object", value) => return Err(wrong_type(place, "an object", &value)),
        (_, value) => {
            let expected = match values(schema) {
                Some(values) => format!("one of: {}", values.join(", ")),
                None => "a text".to_owned(),
            };
            return Err(wrong_type(place, &expected, &value));
        }
    };
    Ok(Some(read))
}

fn integer(value: &Value, schema: &Map<String, Value>, place: &str) -> Result<Value, ToolError> {
    let number = match value {
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| whole(text.parse().ok()?))
        }
        _ => None,
    };
    let right = match (schema.get("minimum"), schema.get("maximum")) {
        (Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
        (Some(least), None) => format!("a whole number of {least} or more"),
        (None, Some(most)) => format!("a whole number of {most} or less"),
        (None, None) => "a whole number".to_owned(),
    };
    let Some(number) = number else {
        return Err(wrong_type(place, &right, value));
    };
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let is_less = bound("minimum").is_some_and(|least| (number as f64) < least);
    let is_more = bound("maximum").is_some_and(|most| (number as f64) > most);
    if is_less || is_more {
        return Err(ToolError::invalid(
            place,
            format!("`{place}` is {number}"),
            format!("give {right}"),
        ));
    }
    Ok(number.into())
}

fn whole(number: f64) -> Option<i64> {
    // 2^53: beyond it a float is no longer every whole number.
    (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
}

/// The values of an enumeration.
fn values(schema: &Map<String, Value>) -> Option<Vec<&str>> {
    let values = schema.get("enum")?.as_array()?;
    Some(values.iter().filter_map(Value::as_str).collect())
}

fn one_of(text: String, schema: &Map<String, Value>, place: &str) -> Result<String, ToolError> {
    let Some(values) = values(schema) else {
        return Ok(text);
    };
    let written = text.trim();
    if let Some(value) = values
        .iter()
        .find(|value| value.eq_ignore_ascii_case(written))
    {
        return Ok((*value).to_owned());
    }
    Err(ToolError::invalid(
        place,
        format!("`{place}` is {}", quoted(written)),
        format!("give one of: {}", values.join(", ")),
    )
    .did_you_mean(near(written, values.into_iter())))
}

fn wrong_type(place: &str, expected: &str, value: &Value) -> ToolError {
    let is = match value {
        Value::Null => "absent".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    ToolError::invalid(
        place,
        format!("`{place}` is {is}"),
        format!("give {expected}"),
    )
}

/// Refuses characters in a text that is to be written down which no reader would see: what a
/// change shows and what it writes have to be the same.
pub(super) fn check_text(place: &str, text: &str) -> Result<(), ToolError> {
    // Joiners and soft hyphens belong to some scripts; a carriage return to some systems.
    let is_hidden = |character: char| {
        (character.is_control() && !matches!(character, '\n' | '\t' | '\r'))
            || matches!(character,
                '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{E0000}'..='\u{E007F}')
    };
    match text.chars().find(|character| is_hidden(*character)) {
        None => Ok(()),
        Some(character) => Err(ToolError::invalid(
            place,
            format!(
                "`{place}` holds a character that does not show (U+{:04X})",
                u32::from(character)
            ),
            "send the text without control characters and marks of direction",
        )),
    }
}

pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", crate::answer::clean::text(text, 60))
}

/// Names near to a misspelt one, nearest first, three at most.
pub fn near<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    /// Bytes; no misspelt name is longer, and the comparison takes longer the longer it is.
    const LONGEST_SLIP: usize = 600;
    if written.len() > LONGEST_SLIP {
        return Vec::new();
    }
    let written = written.to_lowercase();
    let mut scored: Vec<(f64, &str)> = names
        .map(|name| {
            let folded = name.to_lowercase();
            let mut score = strsim::jaro_winkler(&written, &folded);
            if !written.is_empty() && (folded.contains(&written) || written.contains(&folded)) {
                score = score.max(0.9);
            }
            (score, name)
        })
        .filter(|(score, _)| *score >= 0.8)
        .collect();
    scored.sort_by(|(a, left), (b, right)| b.total_cmp(a).then_with(|| left.cmp(right)));
    scored
        .into_iter()
        .take(3)
        .map(|(_, name)| name.to_owned())
        .collect()
}
