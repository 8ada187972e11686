//! Where a reader of logs stands: the rest of an answer, or what came after it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::read::Read;
use crate::{
    answer::{CursorScope, cursor::CursorError},
    tools::ToolError,
};

/// A place in the logs of the services of a call. Without a cursor: the newest lines.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Place {
    /// Where each service's lines begin, as its runtime tells it.
    #[serde(rename = "f", default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// Newer lines belong to a later answer. Milliseconds since 1970.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// What follows that answer.
    #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// Rows of the answer that were given.
    #[serde(rename = "a", default)]
    pub at: u64,
    /// Ties it to the arguments of its call.
    #[serde(rename = "s")]
    scope: String,
}

impl Place {
    pub(super) fn read(
        cursor: Option<&str>,
        scope: &CursorScope,
        services: usize,
    ) -> Result<Self, ToolError> {
        let Some(cursor) = cursor else {
            return Ok(Self::default());
        };
        let place: Self = URL_SAFE_NO_PAD
            .decode(cursor.trim())
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok())
            .ok_or(CursorError::Malformed)?;
        let fits = |positions: &[String]| positions.is_empty() || positions.len() == services;
        if place.scope != mark(scope) || !fits(&place.from) || !fits(&place.to) {
            return Err(CursorError::OtherCall.into());
        }
        Ok(place)
    }

    /// The cursor for what comes after everything that was read.
    pub(super) fn follow(&self, read: &Read, scope: &CursorScope) -> String {
        let to = if self.to.is_empty() {
            &read.positions
        } else {
            &self.to
        };
        Self {
            from: to.clone(),
            scope: mark(scope),
            ..Self::default()
        }
        .text()
    }

    /// The place of the rows of this answer that are left.
    pub(super) fn rest(&self, read: &Read) -> Self {
        let newest = read.lines.last().map(|line| line.at.as_millisecond());
        Self {
            from: self.from.clone(),
            until: self.until.or(newest),
            to: if self.to.is_empty() {
                read.positions.clone()
            } else {
                self.to.clone()
            },
            ..Self::default()
        }
    }

    /// The cursor of a list (`scope.position`) as one of this place.
    pub(super) fn at(&self, next: &str, scope: &CursorScope) -> String {
        Self {
            at: scope.position(Some(next)).unwrap_or_default(),
            scope: mark(scope),
            ..self.clone()
        }
        .text()
    }

    fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

fn mark(scope: &CursorScope) -> String {
    let cursor = scope.cursor(0);
    cursor.split('.').next().unwrap_or_default().to_owned()
}
