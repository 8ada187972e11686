//! Reads the arguments `since` and `until`.

use super::{ToolError, arguments};
use crate::answer::time::{self, TimeError};

/// The moment that the argument names, in milliseconds since 1970; `None` without the argument.
pub fn past(argument: &str, written: Option<&str>, now: i64) -> Result<Option<i64>, ToolError> {
    let Some(written) = written else {
        return Ok(None);
    };
    time::past(written, now).map(Some).map_err(|error| {
        let near = match &error {
            TimeError::Unreadable { near } => near.clone(),
            TimeError::Future | TimeError::TooOld => None,
        };
        ToolError::invalid(
            argument,
            format!(
                "`{argument}` is {}, which {error}",
                arguments::quoted(written)
            ),
            "give a duration such as 24h, 7d or 90m, or a time such as 2026-01-31T12:00:00Z",
        )
        .did_you_mean(near.into_iter().collect())
    })
}
