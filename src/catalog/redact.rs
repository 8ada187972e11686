//! Takes credentials and connections out of every answer of OpenMetadata.
//!
//! A bot token, which is what people configure, reads the passwords of services in clear, and the
//! ingestion list of 1.2.0 hands the bot's own token to any user. So this runs on every answer, of
//! every version, before anything else sees it.

use serde_json::{Map, Value};

/// What stands for a value that was taken out of a text.
pub const MASK: &str = "*****";

/// Fields that are dropped with all they hold, wherever they stand. Compared without case,
/// underscores and hyphens.
const DROPPED: &[&str] = &[
    "connection",
    "authenticationmechanism",
    "authmechanism",
    "openmetadataserverconnection",
    "securityconfig",
    "sslconfig",
    "authconfig",
    "credentials",
    "gcpconfig",
    "awsconfig",
    "azureconfig",
    "secretsmanager",
    "secretsmanagercredentials",
];

/// Endings of field names whose text values are credentials.
const SECRET_ENDINGS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secretkey",
    "clientsecret",
    "token",
    "apikey",
    "accesskey",
    "accesskeyid",
    "privatekey",
    "secretaccesskey",
    "sessiontoken",
    "saslpassword",
    "connectionstring",
    "authtype",
    "jwttoken",
    "webhooksecret",
    "secretkeyref",
    "signingkey",
    "accountkey",
    "sastoken",
];

/// Texts longer than this that look like JSON are not parsed to look inside: they are too long
/// for any answer, and are scanned for tokens like every text.
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
    fields
        .into_iter()
        .filter_map(|(name, field)| {
            if is_secret(&name, &field) {
                return None;
            }
            Some((name, value(field)))
        })
        .collect()
}

/// Whether a field of this name and value may not leave.
fn is_secret(name: &str, field: &Value) -> bool {
    let folded: String = name
        .chars()
        .filter(|character| !matches!(character, '_' | '-' | ' '))
        .collect::<String>()
        .to_lowercase();
    if DROPPED.contains(&folded.as_str()) {
        return !matches!(field, Value::Bool(_) | Value::Number(_));
    }
    let holds_text = matches!(field, Value::String(_) | Value::Object(_) | Value::Array(_));
    holds_text && SECRET_ENDINGS.iter().any(|ending| folded.ends_with(ending))
}

/// JSON inside a text (events, versions) is cleaned as JSON; tokens in any text are masked.
fn string(text: String) -> String {
    let trimmed = text.trim_start();
    if (trimmed.starts_with('{') || trimmed.starts_with('['))
        && text.len() <= LONGEST_INNER_JSON
        && let Ok(inner) = serde_json::from_str::<Value>(&text)
        && !inner.is_number()
    {
        return value(inner).to_string();
    }
    self::text(&text)
}

/// A text with everything masked that looks like a JWT: `eyJ…`.`…`.`…`.
pub fn text(text: &str) -> String {
    let Some(first) = text.find("eyJ") else {
        return text.to_owned();
    };
    let mut cleaned = text[..first].to_owned();
    let mut rest = &text[first..];
    loop {
        match jwt_length(rest) {
            Some(length) => {
                cleaned.push_str(MASK);
                rest = &rest[length..];
            }
            None => {
                cleaned.push_str("eyJ");
                rest = &rest[3..];
            }
        }
        match rest.find("eyJ") {
            Some(next) => {
                cleaned.push_str(&rest[..next]);
                rest = &rest[next..];
            }
            None => {
                cleaned.push_str(rest);
                return cleaned;
            }
        }
    }
}

/// Length of the JWT that this text begins with: three parts of base64url, the first two not
/// short. A cut token (two parts) counts too.
fn jwt_length(text: &str) -> Option<usize> {
    let length = text
        .bytes()
        .take_while(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'=')
        })
        .count();
    let mut parts = text[..length].split('.');
    let header = parts.next()?;
    let claims = parts.next()?;
    (header.len() >= 10 && claims.len() >= 10).then_some(length)
}
