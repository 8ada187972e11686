//! Masks the secrets of a request wherever its answer repeats them.
//!
//! Tokens that are no JWT, and passwords, have no look of their own: only whoever sent them knows
//! them. Servers and proxies between repeat headers and bodies in error pages, redirects and texts.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::redact::MASK;

/// A secret shorter than this is masked only where the credential itself is refused, and only as a
/// word of its own: other texts are full of names that a short one would take out (a token
/// `admin`).
const SHORTEST_ANYWHERE: usize = 8;

/// Shorter ones are no secrets.
const SHORTEST: usize = 4;

/// What went out and may not come back. Longest first, so that no part of another is left over.
#[derive(Default)]
pub struct Sent(Vec<SecretString>);

impl Sent {
    /// Requests without a secret.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// These secrets, as they are and as they stand in addresses and in JSON.
    pub fn these<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let mut forms: Vec<String> = Vec::new();
        for secret in secrets {
            let secret = secret.expose_secret();
            if secret.len() < SHORTEST {
                continue;
            }
            let json = Value::from(secret).to_string();
            forms.extend([
                secret.to_owned(),
                super::fqn::path_segment(secret),
                url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
                json[1..json.len() - 1].to_owned(),
                secret.replace('/', "\\/"),
            ]);
        }
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self(forms.into_iter().map(SecretString::from).collect())
    }

    /// A text without them.
    pub fn masked(&self, mut text: String) -> String {
        for secret in self.0.iter().map(ExposeSecret::expose_secret) {
            // Most texts are shorter than a token: those need no search.
            let may_hold = secret.len() >= SHORTEST_ANYWHERE && text.len() >= secret.len();
            if may_hold && text.contains(secret) {
                text = text.replace(secret, MASK);
            }
        }
        text
    }

    /// The text of a refused credential without them, however short.
    pub fn masked_in_refusal(&self, text: String) -> String {
        let short = self.0.iter().map(ExposeSecret::expose_secret);
        short
            .filter(|secret| secret.len() < SHORTEST_ANYWHERE)
            .fold(self.masked(text), |text, secret| {
                without_word(&text, secret)
            })
    }

    /// An answer without them, in names of fields too.
    pub fn masked_in(&self, value: Value) -> Value {
        if self.0.is_empty() {
            return value;
        }
        match value {
            Value::String(text) => Value::String(self.masked(text)),
            Value::Array(items) => items.into_iter().map(|item| self.masked_in(item)).collect(),
            Value::Object(fields) => fields
                .into_iter()
                .map(|(name, field)| (self.masked(name), self.masked_in(field)))
                .collect(),
            other => other,
        }
    }
}

/// The text with every occurrence masked that is not part of a longer word.
fn without_word(text: &str, secret: &str) -> String {
    let is_of_word = |character: char| character.is_alphanumeric() || character == '_';
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(secret) {
        let (before, found) = rest.split_at(at);
        let after = &found[secret.len()..];
        let begins_word =
            !before.ends_with(is_of_word) && (at > 0 || !masked.ends_with(is_of_word));
        let is_word = begins_word && !after.starts_with(is_of_word);
        masked.push_str(before);
        masked.push_str(if is_word { MASK } else { secret });
        rest = after;
    }
    masked.push_str(rest);
    masked
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sent(secrets: &[&str]) -> Sent {
        let secrets: Vec<SecretString> = secrets.iter().map(|text| (*text).into()).collect();
        Sent::these(&secrets)
    }

    #[test]
    fn a_secret_is_masked_in_every_form_that_texts_give_it() {
        let sent = sent(&["s3cret/with \"signs\"+="]);
        for text in [
            "Bearer s3cret/with \"signs\"+=.",
            "{\"token\": \"s3cret/with \\\"signs\\\"+=\"}",
            "/login?token=s3cret%2Fwith+%22signs%22%2B%3D",
            "/s3cret%2Fwith%20%22signs%22%2B%3D/x",
        ] {
            let masked = sent.masked(text.into());
            assert!(
                masked.contains(MASK) && !masked.contains("s3cret"),
                "{masked}"
            );
        }
        let answer = json!({"a s3cret/with \"signs\"+=": ["s3cret/with \"signs\"+=", 1]});
        assert_eq!(sent.masked_in(answer), json!({"a *****": ["*****", 1]}));
    }

    #[test]
    fn short_ones_are_masked_in_refusals_as_words_alone() {
        let sent = sent(&["admin", "abc"]);
        let said = "token admin of administrator, admin_1, abc (admin)";
        assert_eq!(
            sent.masked_in_refusal(said.into()),
            "token ***** of administrator, admin_1, abc (*****)"
        );
        assert_eq!(sent.masked(said.into()), said);
        assert_eq!(sent.masked_in(json!("admin")), json!("admin"));
    }
}
