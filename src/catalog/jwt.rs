//! Looks at a token without verifying it, to explain why a server may not take it.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

/// What a token is, as far as it tells by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// Three parts of base64url with JSON in the first two.
    Jwt(Claims),
    /// Anything else. The text says what it looks like, without quoting it.
    Other(String),
}

/// What a token says of itself. All optional: other signers write other claims.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    pub subject: Option<String>,
    pub is_bot: Option<bool>,
    /// End of its life; a bot's token may have none.
    pub expires: Option<jiff::Timestamp>,
}

/// A token as people paste it: with `Bearer` in front, in quotes, with a line break behind.
pub fn pasted(text: &str) -> &str {
    let text = text.trim();
    let text = match text.split_once(char::is_whitespace) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token,
        // What is left where a variable behind it was empty.
        None if text.eq_ignore_ascii_case("bearer") => "",
        _ => text,
    };
    text.trim().trim_matches(['"', '\'']).trim()
}

impl Token {
    pub fn look(text: &str) -> Self {
        match claims(text) {
            Some(claims) => Self::Jwt(claims),
            None => Self::Other(looks_like(text)),
        }
    }

    pub fn claims(&self) -> Option<&Claims> {
        match self {
            Self::Jwt(claims) => Some(claims),
            Self::Other(_) => None,
        }
    }
}

impl Claims {
    pub fn has_expired(&self, now: jiff::Timestamp) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

fn claims(text: &str) -> Option<Claims> {
    let parts: Vec<&str> = text.split('.').collect();
    let [header, claims, _signature] = parts.as_slice() else {
        return None;
    };
    json(header)?.get("alg")?;
    let claims = json(claims)?;
    Some(Claims {
        subject: ["username", "preferred_username", "email", "sub"]
            .iter()
            .find_map(|name| claims.get(name)?.as_str())
            .map(str::to_owned),
        is_bot: claims.get("isBot").and_then(Value::as_bool),
        expires: claims
            .get("exp")
            .and_then(Value::as_i64)
            .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()),
    })
}

fn json(part: &str) -> Option<Value> {
    let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
    let value: Value = serde_json::from_slice(&bytes).ok()?;
    value.is_object().then_some(value)
}

fn looks_like(text: &str) -> String {
    let length = text.chars().count();
    if text.is_empty() {
        "it is empty".into()
    } else if text.starts_with("${") || text.starts_with("<") {
        "it is a placeholder that nothing filled in".into()
    } else if text.starts_with("eyJ") {
        let parts = text.split('.').count();
        format!(
            "it begins like a JWT and is damaged ({length} characters, {parts} of 3 parts): cut off while copying?"
        )
    } else if length <= 32 {
        format!("it has {length} characters, more like a user name or a password")
    } else {
        format!("it has {length} characters and no three parts between dots")
    }
}

/// Where a token comes from, for everyone who has none that works.
pub const WHERE_FROM: &str = "A token is a JWT: long, `eyJ…`, three parts between dots. Get one in OpenMetadata under \
     Settings > Bots (a bot with a role that only reads) or in your profile under Access Tokens, and \
     set OPENMETADATA_TOKEN or OPENMETADATA_TOKEN_FILE; or set OPENMETADATA_EMAIL and \
     OPENMETADATA_PASSWORD";

impl fmt::Display for Token {
    /// Why a server may not take it, as the end of a sentence about the token.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(looks) => write!(formatter, "is not a JWT: {looks}"),
            Self::Jwt(claims) => {
                formatter.write_str("is a JWT")?;
                if let Some(subject) = &claims.subject {
                    write!(formatter, " of {}", crate::answer::clean::text(subject, 80))?;
                }
                match claims.expires {
                    Some(end) => write!(formatter, ", valid until {end}"),
                    None => formatter.write_str(", without an end"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!(
            "{}.{}.c2ln",
            URL_SAFE_NO_PAD.encode("{\"alg\":\"RS256\"}"),
            URL_SAFE_NO_PAD.encode(claims)
        )
    }

    #[test]
    fn reads_who_and_until_when() {
        let token = Token::look(&jwt(
            r#"{"sub":"ingestion-bot","isBot":true,"exp":1700000000}"#,
        ));
        let claims = token.claims().unwrap();
        assert_eq!(claims.subject.as_deref(), Some("ingestion-bot"));
        assert_eq!(claims.is_bot, Some(true));
        assert!(claims.has_expired("2026-01-01T00:00:00Z".parse().unwrap()));
        let endless = Token::look(&jwt(r#"{"sub":"a","exp":null}"#));
        assert!(
            !endless
                .claims()
                .unwrap()
                .has_expired(jiff::Timestamp::now())
        );
    }

    #[test]
    fn says_what_else_it_looks_like_without_quoting_it() {
        assert!(Token::look("admin").to_string().contains("5 characters"));
        assert!(
            Token::look("${OPENMETADATA_TOKEN}")
                .to_string()
                .contains("placeholder")
        );
        let cut = &jwt("{}")[..15];
        assert!(Token::look(cut).to_string().contains("damaged"));
        assert!(!Token::look("hunter2").to_string().contains("hunter2"));
    }

    #[test]
    fn takes_what_people_paste() {
        assert_eq!(pasted("Bearer abc\n"), "abc");
        assert_eq!(pasted(" \"abc\" "), "abc");
        assert_eq!(pasted("Bearer "), "");
    }
}
