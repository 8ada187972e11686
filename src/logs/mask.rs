//! Masks what looks like a credential in a line of text.

use secrecy::{ExposeSecret, SecretString};

/// What stands where a credential stood.
const MASKED: &str = "<masked>";

/// A secret shorter than this would mask ordinary words.
const SHORTEST_SECRET: usize = 8;

/// Words after which a credential stands.
const BEFORE: [&str; 2] = ["bearer ", "basic "];

/// Masks tokens by their look, and known secrets by their value.
pub struct Mask {
    known: Vec<SecretString>,
}

impl Mask {
    pub fn new(known: &[SecretString]) -> Self {
        Self {
            known: known
                .iter()
                .filter(|secret| secret.expose_secret().len() >= SHORTEST_SECRET)
                .cloned()
                .collect(),
        }
    }

    /// The text without credentials.
    pub fn masked(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.known {
            let secret = secret.expose_secret();
            if text.contains(secret) {
                text = text.replace(secret, MASKED);
            }
        }
        by_look(&text)
    }
}

/// Masks JWTs (`eyJ….….…`) and what follows `Bearer ` or `Basic `.
fn by_look(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("eyJ") && !ends_in_token(&masked) {
            let length = token_length(rest);
            // A JWT has three parts; shorter things that begin alike are masked from 20 characters.
            if rest[..length].matches('.').count() >= 1 || length >= 20 {
                masked.push_str(MASKED);
                at += length;
                continue;
            }
        }
        if let Some(word) = BEFORE
            .iter()
            .find(|word| lower[at..].starts_with(**word))
            .filter(|_| !ends_in_token(&masked))
        {
            let length = token_length(&rest[word.len()..]);
            // Shorter ones are words of a sentence: "bearer token".
            if length >= SHORTEST_SECRET {
                masked.push_str(&rest[..word.len()]);
                masked.push_str(MASKED);
                at += word.len() + length;
                continue;
            }
        }
        let Some(character) = rest.chars().next() else {
            break;
        };
        masked.push(character);
        at += character.len_utf8();
    }
    masked
}

fn is_of_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-_.+/=~".contains(character)
}

fn token_length(text: &str) -> usize {
    text.find(|character| !is_of_token(character))
        .unwrap_or(text.len())
}

fn ends_in_token(text: &str) -> bool {
    text.chars()
        .next_back()
        .is_some_and(|last| last.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_masked_by_look_and_by_value() {
        let mask = Mask::new(&["known-secret-value".into(), "short".into()]);
        for (text, masked) in [
            ("token=eyJhbGciOi.eyJzdWIi.c2ln end", "token=<masked> end"),
            (
                "{\"authorization\":\"Bearer abcdefgh12345\"}",
                "{\"authorization\":\"Bearer <masked>\"}",
            ),
            ("a known-secret-value here", "a <masked> here"),
            ("a short word", "a short word"),
            ("needs a bearer token.", "needs a bearer token."),
            ("monkeyJungle", "monkeyJungle"),
            ("größe eyJ", "größe eyJ"),
        ] {
            assert_eq!(mask.masked(text), masked);
        }
    }
}
