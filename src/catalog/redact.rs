//! Takes credentials and connections out of every answer of OpenMetadata.
//!
//! A bot token, which is what people configure, reads the passwords of services in clear, and the
//! ingestion list of 1.2.0 hands the bot's own token to any user. So this runs on every answer, of
//! every version, before anything else sees it.

use serde_json::{Map, Value};

/// What stands for a value that was taken out of a text.
pub const MASK: &str = "*****";

/// Fields that are dropped with all they hold, wherever they stand. Names are compared without
/// case, underscores and hyphens.
const DROPPED: &[&str] = &[
    "connection",
    "authtype",
    "authmechanism",
    "authenticationmechanism",
    "openmetadataserverconnection",
    "authconfig",
    "gcpconfig",
    "awsconfig",
    "azureconfig",
    "secretsmanager",
    "loadbalancerconfig",
];

/// Endings of the names of such fields: `dbtSecurityConfig`, `awsCredentials`, `jwtToken`.
const DROPPED_ENDINGS: &[&str] = &[
    "securityconfig",
    "sslconfig",
    "credentials",
    "credential",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secretkey",
    "token",
    "apikey",
    "accesskey",
    "accesskeyid",
    "privatekey",
    "privatekeyid",
    "connectionstring",
    "signingkey",
    "accountkey",
    "authorization",
];

/// JSON inside a text is looked into up to this length, in bytes. Longer texts, and such that are
/// no JSON, are searched for tokens and passwords as texts.
const LONGEST_INNER_JSON: usize = 4 * 1024 * 1024;

/// The answer without credentials.
pub fn value(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(object(fields)),
        Value::Array(items) => Value::Array(items.into_iter().map(self::value).collect()),
        Value::String(text) => Value::String(string(text)),
        other => other,
    }
}

fn object(fields: Map<String, Value>) -> Map<String, Value> {
    let tells_of_secret = tells_of_secret(&fields);
    fields
        .into_iter()
        .filter(|(name, field)| {
            let is_switch = matches!(field, Value::Bool(_) | Value::Number(_) | Value::Null);
            is_switch || !is_secret(name)
        })
        .map(|(name, field)| {
            let is_told = matches!(name.as_str(), "oldValue" | "newValue" | "value");
            if tells_of_secret && is_told {
                (name, MASK.into())
            } else {
                (name, value(field))
            }
        })
        .collect()
}

/// A difference names its field in a value: `{"name": "connection", "oldValue": …}` in change
/// descriptions, `{"path": "/connection/config/password", "value": …}` in a JSON Patch.
fn tells_of_secret(fields: &Map<String, Value>) -> bool {
    let is_difference = ["oldValue", "newValue"]
        .iter()
        .any(|name| fields.contains_key(*name));
    let is_patch = fields.contains_key("op");
    let named = match (is_difference, is_patch) {
        (true, _) => fields.get("name"),
        (_, true) => fields.get("path"),
        _ => None,
    };
    named
        .and_then(Value::as_str)
        .is_some_and(|path| path.split(['.', '/']).any(is_secret))
}

/// Whether a field of this name may not leave.
pub fn is_secret(name: &str) -> bool {
    let folded: String = name
        .chars()
        .filter(|character| character.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    DROPPED.contains(&folded.as_str())
        || DROPPED_ENDINGS
            .iter()
            .any(|ending| folded.ends_with(ending))
}

/// JSON inside a text (events, versions, differences) is cleaned as JSON.
fn string(text: String) -> String {
    if matches!(text.trim_start().as_bytes().first(), Some(b'{' | b'[')) {
        if text.len() <= LONGEST_INNER_JSON
            && let Ok(inner) = serde_json::from_str::<Value>(&text)
        {
            let cleaned = value(inner.clone());
            // Untouched texts stay as they were written.
            return if cleaned == inner {
                text
            } else {
                cleaned.to_string()
            };
        }
        return message(&text);
    }
    self::text(&text)
}

/// A text of people (a description) with tokens (`eyJ…`.`…`.`…`) and passwords in addresses
/// (`scheme://user:password@host`) masked.
pub fn text(text: &str) -> String {
    address_passwords(jwts(text.to_owned()))
}

/// A text of a machine (an error, a log line) with everything masked that `text` masks, and the
/// values of secret fields in it: `"password": "x"`, `password='x'`, `api_key=x`.
pub fn message(text: &str) -> String {
    assignments(self::text(text))
}

fn jwts(text: String) -> String {
    if !text.contains("eyJ") {
        return text;
    }
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(next) = rest.find("eyJ") {
        cleaned.push_str(&rest[..next]);
        rest = &rest[next..];
        let taken = match jwt_length(rest) {
            Some(length) => {
                cleaned.push_str(MASK);
                length
            }
            None => {
                cleaned.push_str("eyJ");
                3
            }
        };
        rest = &rest[taken..];
    }
    cleaned.push_str(rest);
    cleaned
}

/// Length of the token that this text begins with: parts of base64url between dots, the first
/// not short. A token whose end was cut off counts too.
fn jwt_length(text: &str) -> Option<usize> {
    let is_part =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'=');
    let length = text.bytes().take_while(|byte| is_part(byte)).count();
    let mut parts = text[..length].split('.');
    let (header, claims) = (parts.next()?, parts.next()?);
    (header.len() >= 8 && claims.len() >= 2).then_some(length)
}

fn address_passwords(text: String) -> String {
    if !text.contains("://") || !text.contains('@') {
        return text;
    }
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(scheme) = rest.find("://") {
        let (before, after) = rest.split_at(scheme + 3);
        cleaned.push_str(before);
        let authority = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\''))
            .unwrap_or(after.len());
        let user_info = after[..authority].rfind('@');
        rest = match user_info.and_then(|at| Some((after[..at].find(':')?, at))) {
            Some((colon, at)) => {
                cleaned.push_str(&after[..=colon]);
                cleaned.push_str(MASK);
                &after[at..]
            }
            None => after,
        };
    }
    cleaned.push_str(rest);
    cleaned
}

/// Masks what stands after the name of a secret field and `:` or `=`.
fn assignments(text: String) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(sign) = rest.find([':', '=']) {
        let (before, after) = rest.split_at(sign + 1);
        cleaned.push_str(before);
        rest = after;
        let name = before[..sign].trim_end_matches(['"', '\'', '\\', ' ']);
        let name = name
            .rsplit(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-')))
            .next()
            .unwrap_or_default();
        if name.is_empty() || !is_secret(name) {
            continue;
        }
        let quoting = after
            .find(|c: char| !matches!(c, '"' | '\'' | '\\' | ' ' | '{'))
            .unwrap_or(after.len());
        let (quotes, secret) = after.split_at(quoting);
        let is_quoted = quotes.contains(['"', '\'']);
        let end = secret
            .find(|c: char| {
                matches!(c, '"' | '\'' | '\\')
                    || (!is_quoted
                        && (c.is_whitespace() || matches!(c, ',' | ';' | '}' | ']' | ')' | '&')))
            })
            .unwrap_or(secret.len());
        if end == 0 {
            continue;
        }
        cleaned.push_str(quotes);
        cleaned.push_str(MASK);
        rest = &secret[end..];
    }
    cleaned.push_str(rest);
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJib3QifQ.c2lnbmF0dXJl";

    #[test]
    fn drops_connections_and_credentials_wherever_they_stand() {
        let cleaned = value(json!({
            "name": "pg",
            "connection": {"config": {"authType": {"password": "canary-1"}}},
            "nested": [{"jwt_token": "canary-2", "tokenType": "Bearer", "isToken": true}],
            "openMetadataServerConnection": {"securityConfig": {"jwtToken": "canary-3"}},
            "sourceConfig": {"config": {"dbtSecurityConfig": {"awsSecretAccessKey": "canary-4"}}},
        }));
        assert_eq!(
            cleaned,
            json!({
                "name": "pg",
                "nested": [{"tokenType": "Bearer", "isToken": true}],
                "sourceConfig": {"config": {}},
            })
        );
    }

    #[test]
    fn looks_into_json_that_stands_in_a_text() {
        let cleaned = value(json!({
            "entity": "{\"name\": \"pg\", \"connection\": {\"password\": \"canary\"}}",
            "plain": "{\"a\":  1.0}",
            "broken": "{\"password\": \"canary\", ",
            "change": {"name": "connection.config", "oldValue": "canary", "newValue": {"a": 1}},
            "patch": [{"op": "add", "path": "/connection/config/password", "value": "canary"}],
        }));
        assert!(!cleaned.to_string().contains("canary"), "{cleaned}");
        assert_eq!(cleaned["entity"], "{\"name\":\"pg\"}");
        // What held no secret is as it was, spaces too.
        assert_eq!(cleaned["plain"], "{\"a\":  1.0}");
        assert_eq!(cleaned["change"]["name"], "connection.config");
    }

    #[test]
    fn masks_tokens_and_passwords_in_texts() {
        assert_eq!(text(&format!("use {JWT}, now")), "use *****, now");
        assert_eq!(text("eyJ is how they begin"), "eyJ is how they begin");
        assert_eq!(
            text("see postgres://bills:p@ss@db:5432/x and http://db/a@b"),
            "see postgres://bills:*****@db:5432/x and http://db/a@b"
        );
        // People write about tokens; machines print them.
        assert_eq!(
            text("token: given by the office"),
            "token: given by the office"
        );
        assert_eq!(
            message("failed {\"password\": \"canary\", \"user\":\"a\"} api_key=canary; ok"),
            "failed {\"password\": \"*****\", \"user\":\"a\"} api_key=*****; ok"
        );
        assert_eq!(
            message("JSON '{\\\"jwtToken\\\":\\\"canary\\\",\\\"a\\\":1}'"),
            "JSON '{\\\"jwtToken\\\":\\\"*****\\\",\\\"a\\\":1}'"
        );
    }
}
