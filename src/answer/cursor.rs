//! Opaque cursors: where a list goes on, bound to the call that it belongs to.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

/// What an answer says to a cursor behind its last item: a list that shrank, or one made up.
pub const CURSOR_PAST_END: &str =
    "the cursor lies past the end: nothing is left; the first page is the call without it";

/// The call that a cursor belongs to: its tool and arguments, without the cursor, the limit and how
/// long it waits.
#[derive(Debug, Clone)]
pub struct CursorScope(u16);

/// Why a cursor was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    #[error("is not a cursor that this server made")]
    Malformed,
    #[error("belongs to a call with other arguments")]
    OtherCall,
}

impl CursorScope {
    /// `arguments`: what was understood of what the caller sent. `cursor`, `limit` and `wait` may
    /// differ between pages.
    pub fn new(tool: &str, arguments: &Value) -> Self {
        let mut hasher = DefaultHasher::new();
        tool.hash(&mut hasher);
        if let Value::Object(fields) = arguments {
            let mut fields: Vec<_> = fields
                .iter()
                .filter(|(name, value)| {
                    !matches!(name.as_str(), "cursor" | "limit" | "wait") && !value.is_null()
                })
                .collect();
            fields.sort_by_key(|(name, _)| name.as_str());
            for (name, value) in fields {
                name.hash(&mut hasher);
                value.to_string().hash(&mut hasher);
            }
        }
        Self((hasher.finish() & 0xffff) as u16)
    }

    /// The cursor that goes on at `position`.
    pub fn cursor(&self, position: u64) -> String {
        format!("{:04x}.{position}", self.0)
    }

    /// The position that a cursor names; the first without one.
    pub fn position(&self, cursor: Option<&str>) -> Result<u64, CursorError> {
        let Some(cursor) = cursor else { return Ok(0) };
        let (scope, position) = cursor
            .trim()
            .split_once('.')
            .ok_or(CursorError::Malformed)?;
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_digits(scope) || !is_digits(position) {
            return Err(CursorError::Malformed);
        }
        let position = position.parse().map_err(|_| CursorError::Malformed)?;
        if u16::from_str_radix(scope, 16).ok() == Some(self.0) {
            Ok(position)
        } else {
            Err(CursorError::OtherCall)
        }
    }
}
