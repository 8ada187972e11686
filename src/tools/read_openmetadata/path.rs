//! Which paths may be read, and their one way of being written.
//!
//! A path is taken apart, each segment decoded once, judged, and written anew: what is judged is
//! what is sent.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use crate::{
    catalog::{fqn, redact},
    tools::{ErrorCode, ToolError},
};

/// A read that may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Below `/api/v1`, segments encoded.
    pub path: String,
    pub query: BTreeMap<String, String>,
    segments: Vec<String>,
}

/// The longest path that is taken, in characters. Servers keep 8 KB for a request's head.
const LONGEST_PATH: usize = 4_000;

impl Request {
    /// Takes `tables/name/x`, `/api/v1/tables/name/x` and either with a query behind.
    pub fn parse(written: &str, mut query: BTreeMap<String, String>) -> Result<Self, ToolError> {
        let written = written.trim();
        let fault = |message: &str| {
            ToolError::invalid(
                "path",
                message,
                "give a path below /api/v1, such as tables/name/service.db.schema.table",
            )
        };
        if written.contains("://") || written.starts_with("//") {
            return Err(fault("`path` is an address; only its path may be given"));
        }
        if written.len() > LONGEST_PATH {
            return Err(fault("`path` is too long"));
        }
        let written = written.split('#').next().unwrap_or_default();
        let (path, in_path) = written.split_once('?').unwrap_or((written, ""));
        for (name, value) in url::form_urlencoded::parse(in_path.as_bytes()) {
            query.entry(name.into_owned()).or_insert(value.into_owned());
        }
        let mut segments = Vec::new();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            let decoded = percent_decode_str(segment)
                .decode_utf8()
                .map_err(|_| fault("`path` holds bytes that are no text"))?;
            if decoded.chars().any(char::is_control) {
                return Err(fault("`path` holds control characters"));
            }
            if matches!(decoded.trim(), "." | "..") {
                return Err(fault("`path` may not lead upwards"));
            }
            segments.push(decoded.into_owned());
        }
        let is_at = |position: usize, word: &str| {
            segments
                .get(position)
                .is_some_and(|segment| segment == word)
        };
        let below = match (is_at(0, "api"), is_at(1, "v1"), is_at(0, "v1")) {
            (true, true, _) => 2,
            (_, _, true) => 1,
            _ => 0,
        };
        let segments = segments.split_off(below);
        if segments.is_empty() {
            return Err(fault("`path` is empty"));
        }
        if let Some(reason) = refusal(&segments) {
            return Err(ToolError::new(
                ErrorCode::Forbidden,
                format!("{} is never read: {reason}", shown(&segments)),
            )
            .about("path")
            .then("ask a person who may see it in OpenMetadata itself"));
        }
        Ok(Self {
            path: segments
                .iter()
                .map(|segment| fqn::path_segment(segment))
                .collect::<Vec<_>>()
                .join("/"),
            query,
            segments,
        })
    }

    /// The query with the number of items, where the route is not known to page otherwise.
    pub fn query_with(&self, limit: Option<u32>) -> BTreeMap<String, String> {
        let mut query = self.query.clone();
        if let (Some(limit), Some(name)) = (limit, self.limit_parameter()) {
            query.entry(name.into()).or_insert(limit.to_string());
        }
        query
    }

    /// What this route calls the number of items; nothing where a number means something else.
    pub fn limit_parameter(&self) -> Option<&'static str> {
        match self.segments[0].as_str() {
            "search" => Some("size"),
            "lineage" => None,
            _ => Some("limit"),
        }
    }

    /// Collection and FQN of `{collection}/name/{fqn}`.
    pub fn entity(&self) -> Option<(String, String)> {
        match self.segments.as_slice() {
            [collection @ .., name, fqn] if name == "name" && !collection.is_empty() => {
                Some((collection.join("/"), fqn.clone()))
            }
            _ => None,
        }
    }
}

fn shown(segments: &[String]) -> String {
    crate::answer::clean::text(&segments.join("/"), 100)
}

/// Beginnings of paths that are not read, and why. Compared without case.
const REFUSED: &[(&[&str], &str)] = &[
    (
        &["system", "settings"],
        "settings of the server hold credentials",
    ),
    (
        &["system", "config"],
        "the configuration of the server is for administrators",
    ),
    (
        &["system", "email"],
        "the configuration of the server is for administrators",
    ),
    (
        &["system", "security"],
        "the configuration of the server is for administrators",
    ),
    (
        &["system", "diagnostics"],
        "it tells the environment of the server",
    ),
    (&["settings"], "settings of the server hold credentials"),
    (&["users", "token"], "it hands out a token"),
    (&["users", "auth-mechanism"], "it hands out a token"),
    (&["users", "security"], "it hands out tokens"),
    (&["users", "generaterandompwd"], "it makes a password"),
    (&["users", "login"], "signing in is not a read"),
    (&["users", "logout"], "signing out is not a read"),
    (&["scim"], "it is the directory's interface to users"),
    (&["auth"], "it is part of signing in"),
    (&["saml"], "it is part of signing in"),
    (
        &["events", "subscriptions"],
        "the addresses that are notified are secrets themselves",
    ),
    (&["mcp"], "it is another MCP server"),
];

/// Last words of paths that answer with a file or start a job.
const NOT_READS: &[&str] = &["export", "exportasync", "download", "stream"];

/// Why these segments may not be read; nothing where they may.
fn refusal(segments: &[String]) -> Option<&'static str> {
    let folded: Vec<String> = segments.iter().map(|word| word.to_lowercase()).collect();
    let listed = REFUSED.iter().find(|(words, _)| {
        words.len() <= folded.len() && words.iter().zip(&folded).all(|(word, is)| word == is)
    });
    if let Some((_, reason)) = listed {
        return Some(reason);
    }
    for (position, word) in folded.iter().enumerate() {
        // A name may be anything.
        if position > 0 && matches!(folded[position - 1].as_str(), "name" | "id") {
            continue;
        }
        if position < 3 && redact::is_secret(word) {
            return Some("it is about credentials");
        }
        if position > 0 && (NOT_READS.contains(&word.as_str()) || word.starts_with("export")) {
            return Some("it answers with a file or starts a job");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(written: &str) -> Result<String, String> {
        Request::parse(written, BTreeMap::new())
            .map(|request| request.path)
            .map_err(|error| error.message)
    }

    #[test]
    fn writes_every_form_in_one_way() {
        for (written, path) in [
            ("tables/name/a.b", "tables/name/a.b"),
            ("/api/v1/tables//name/a.b/", "tables/name/a.b"),
            ("v1/tables", "tables"),
            ("tables/name/a.%22b.c%22", "tables/name/a.%22b.c%22"),
            ("tables/name/a.b c", "tables/name/a.b%20c"),
            ("tables/name/x%2Fy", "tables/name/x%2Fy"),
            // A name may be called anything.
            ("tables/name/a.token", "tables/name/a.token"),
            ("tables/name/token", "tables/name/token"),
        ] {
            assert_eq!(sent(written).as_deref(), Ok(path), "{written}");
        }
        let request = Request::parse("tables?limit=3#x", BTreeMap::new()).unwrap();
        assert_eq!(request.query["limit"], "3");
    }

    #[test]
    fn refuses_what_hands_out_credentials_however_it_is_written() {
        for written in [
            "users/token/67c7e97c",
            "/api/v1/Users/Token/x",
            "users/%74oken/x",
            "users//token/x",
            "users/auth-mechanism/x",
            "users/security/token",
            "users/generateRandomPwd",
            "system/settings",
            "system/settings/emailConfiguration",
            "system/config/auth",
            "events/subscriptions/name/alerts",
            "scim/Users",
            "bots/x/jwtToken",
            "tables/name/a/export",
            "lineage/exportAsync",
        ] {
            let refused = Request::parse(written, BTreeMap::new()).unwrap_err();
            assert_eq!(refused.code, ErrorCode::Forbidden, "{written}");
        }
    }

    #[test]
    fn refuses_to_leave_the_api() {
        for written in [
            "",
            "/",
            "../../etc/passwd",
            "tables/../users/token/x",
            "tables/%2e%2E/users/token/x",
            "http://elsewhere/api/v1/tables",
            "//elsewhere/tables",
            "tables/name/%00",
            "tables/%FF",
        ] {
            let refused = Request::parse(written, BTreeMap::new()).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidArgument, "{written}");
        }
        // What would be another route after a second decoding stays a name.
        assert_eq!(
            sent("users%2Ftoken%2Fx").as_deref(),
            Ok("users%2Ftoken%2Fx")
        );
        assert_eq!(sent("users;a=b/x").as_deref(), Ok("users%3Ba%3Db/x"));
    }
}
