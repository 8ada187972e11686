//! Cursors know which side began their list: a list is never continued on the other.

use jiff::Timestamp;
use serde_json::Value;

use super::ToolError;
use crate::answer::Answer;

/// A cursor of a snapshot begins so, then when that was taken (milliseconds, hexadecimal), then a
/// dot and the cursor itself.
const MARK: char = 's';

/// The arguments for a snapshot; refused where the cursor comes from a list that another side
/// began.
pub fn of_snapshot(arguments: Value, as_of: Timestamp) -> Result<Value, ToolError> {
    with_cursor(arguments, |cursor| {
        match cursor.strip_prefix(&mark_of(as_of)) {
            Some(own) => Ok(own.to_owned()),
            None if is_marked(cursor) => Err("an older snapshot began"),
            None => Err("the running OpenMetadata began"),
        }
    })
}

/// The arguments for a live catalog; refused where the cursor comes from a snapshot.
pub fn of_live(arguments: Value) -> Result<Value, ToolError> {
    with_cursor(arguments, |cursor| {
        if is_marked(cursor) {
            Err("a snapshot began, and OpenMetadata answers now")
        } else {
            Ok(cursor.to_owned())
        }
    })
}

/// Marks the cursors of an answer as those of this snapshot.
pub fn mark(answer: &mut Answer, as_of: Timestamp) {
    answer.change_cursors(|cursor| format!("{}{cursor}", mark_of(as_of)));
}

fn mark_of(as_of: Timestamp) -> String {
    format!("{MARK}{:x}.", as_of.as_millisecond())
}

fn is_marked(cursor: &str) -> bool {
    cursor.starts_with(MARK)
}

fn with_cursor(
    arguments: Value,
    read: impl Fn(&str) -> Result<String, &'static str>,
) -> Result<Value, ToolError> {
    // Some clients send the whole object as a text.
    let mut arguments = match &arguments {
        Value::String(text) if text.contains("\"cursor\"") => {
            serde_json::from_str(text).unwrap_or(arguments)
        }
        _ => arguments,
    };
    let Some(Value::String(cursor)) = arguments.get_mut("cursor") else {
        return Ok(arguments);
    };
    let written = cursor.trim();
    // How clients write 'none'.
    if written.is_empty() || written == "null" {
        return Ok(arguments);
    }
    *cursor = read(written).map_err(|who| {
        ToolError::invalid(
            "cursor",
            format!("the cursor goes on with a list that {who}"),
            "repeat the call without a cursor: the list begins anew",
        )
    })?;
    Ok(arguments)
}
