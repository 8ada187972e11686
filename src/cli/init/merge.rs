//! Puts an entry into the text of a configuration file without touching anything else. Pure.

use serde::Serialize;
use serde_json::{Map, Value, ser::PrettyFormatter};

use super::entry::Entry;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// The new text of the file.
    Changed(String),
    /// The file says all of it already.
    Unchanged,
}

/// Why a file is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    #[error("it holds comments or trailing commas, which rewriting would lose")]
    Commented,
    #[error("it is not valid JSON: {0}")]
    Invalid(String),
    #[error("its {0} is not what a configuration has there")]
    OtherShape(String),
    #[error("it has another entry `{0}`: --force replaces it, --name picks another name")]
    Taken(String),
}

/// The text with `entry` under `servers_key`.`name`. Keys keep their order, unknown ones stay,
/// the indentation and line ends stay as they are. An empty text is a new file.
pub fn merge(
    text: &str,
    servers_key: &str,
    name: &str,
    entry: &Entry,
    is_forced: bool,
) -> Result<Merged, MergeError> {
    let (mark, body) = match text.strip_prefix('\u{feff}') {
        Some(body) => ("\u{feff}", body),
        None => ("", text),
    };
    let mut file = parse(body)?;
    let mut changed = body.trim().is_empty();

    let servers = file
        .entry(servers_key)
        .or_insert_with(|| Value::Object(Map::new()))
        .as_object_mut()
        .ok_or_else(|| MergeError::OtherShape(format!("`{servers_key}`")))?;
    match servers.get(name) {
        Some(present) if *present == entry.server => {}
        Some(_) if !is_forced => return Err(MergeError::Taken(name.to_owned())),
        _ => {
            servers.insert(name.to_owned(), entry.server.clone());
            changed = true;
        }
    }
    if !entry.inputs.is_empty() {
        let inputs = file
            .entry("inputs")
            .or_insert_with(|| Value::Array(Vec::new()))
            .as_array_mut()
            .ok_or_else(|| MergeError::OtherShape("`inputs`".into()))?;
        for input in &entry.inputs {
            if !inputs.iter().any(|present| present["id"] == input["id"]) {
                inputs.push(input.clone());
                changed = true;
            }
        }
    }
    if !changed {
        return Ok(Merged::Unchanged);
    }
    let mut written = written(&file, indentation(body));
    if body.ends_with('\n') || body.is_empty() {
        written.push('\n');
    }
    if body.contains("\r\n") {
        written = written.replace('\n', "\r\n");
    }
    Ok(Merged::Changed(format!("{mark}{written}")))
}

/// The file that holds nothing but this entry.
pub fn alone(servers_key: &str, name: &str, entry: &Entry) -> String {
    let mut file = Map::new();
    if !entry.inputs.is_empty() {
        file.insert("inputs".into(), entry.inputs.clone().into());
    }
    let mut servers = Map::new();
    servers.insert(name.to_owned(), entry.server.clone());
    file.insert(servers_key.to_owned(), servers.into());
    written(&file, "  ")
}

fn parse(body: &str) -> Result<Map<String, Value>, MergeError> {
    if body.trim().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(body) {
        Ok(Value::Object(file)) => Ok(file),
        Ok(_) => Err(MergeError::OtherShape("top".into())),
        Err(error) => {
            let plain = without_comments(body);
            Err(match serde_json::from_str::<Value>(&plain) {
                Ok(_) => MergeError::Commented,
                Err(_) => MergeError::Invalid(error.to_string()),
            })
        }
    }
}

fn written(file: &Map<String, Value>, indent: &str) -> String {
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(indent.as_bytes());
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    // Writing JSON values into memory does not fail: their keys are texts.
    let _ = file.serialize(&mut serializer);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The indentation of the first indented line.
fn indentation(body: &str) -> &str {
    body.lines()
        .find_map(|line| {
            let rest = line.trim_start_matches([' ', '\t']);
            let width = line.len() - rest.len();
            (width > 0 && !rest.trim().is_empty()).then(|| &line[..width])
        })
        .unwrap_or("  ")
}

/// The text without `//` and `/* */` comments and trailing commas outside strings.
fn without_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    let mut is_in_string = false;
    while let Some(character) = rest.next() {
        match character {
            '\\' if is_in_string => {
                plain.push(character);
                plain.extend(rest.next());
            }
            '"' => {
                is_in_string = !is_in_string;
                plain.push(character);
            }
            '/' if !is_in_string && rest.peek() == Some(&'/') => {
                rest.by_ref().find(|&next| next == '\n');
                plain.push('\n');
            }
            '/' if !is_in_string && rest.peek() == Some(&'*') => {
                rest.next();
                let mut last = ' ';
                for next in rest.by_ref() {
                    if last == '*' && next == '/' {
                        break;
                    }
                    last = next;
                }
            }
            '}' | ']' if !is_in_string => {
                if plain.trim_end().ends_with(',') {
                    plain.truncate(plain.trim_end().len() - 1);
                }
                plain.push(character);
            }
            other => plain.push(other),
        }
    }
    plain
}
