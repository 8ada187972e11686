//! No secret of a probe stands in what is told of it, whatever the other side repeats.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{super::observation::Outcome, Findings};
use crate::{logs::Mask, platform::ProbeKind};

/// A secret shorter than this would mask parts of ordinary words.
const SHORTEST: usize = 3;

/// Names of query parameters whose values are secrets.
const SECRET_PARAMETERS: [&str; 6] = ["token", "key", "password", "secret", "auth", "sig"];

/// The same findings with every secret of the probe, and whatever looks like one, masked.
pub(super) fn without(kind: &ProbeKind, findings: Findings) -> Findings {
    let mut secrets = of_kind(kind);
    // A secret that holds another is masked first, and whole.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let mask = Mask::new(&[]);
    let hide = |text: String| {
        let mut text = text;
        for secret in &secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), "<masked>");
            }
        }
        mask.masked(&text)
    };
    Findings {
        outcome: match findings.outcome {
            Outcome::Passed => Outcome::Passed,
            Outcome::Impaired(reason) => Outcome::Impaired(hide(reason)),
            Outcome::Failed(reason) => Outcome::Failed(hide(reason)),
            Outcome::CouldNotLook(reason) => Outcome::CouldNotLook(hide(reason)),
        },
        facts: findings
            .facts
            .into_iter()
            .map(|mut fact| {
                fact.value = hide(fact.value);
                fact
            })
            .collect(),
    }
}

fn of_kind(kind: &ProbeKind) -> Vec<String> {
    let mut secrets = Vec::new();
    match kind {
        ProbeKind::Http { url, headers, .. } => {
            of_url(url, &mut secrets);
            for (name, value) in headers {
                // `Accept: application/json` is no secret, and its words stand in reasons.
                if !matches!(name.to_ascii_lowercase().as_str(), "accept" | "host") {
                    secrets.push(value.expose_secret().to_owned());
                }
            }
        }
        ProbeKind::Page { url, .. }
        | ProbeKind::Postgres { url, .. }
        | ProbeKind::Redis { url, .. }
        | ProbeKind::SearchEngine { url }
        | ProbeKind::OpenMetadata { url }
        | ProbeKind::Airflow { url } => of_url(url, &mut secrets),
        ProbeKind::Amqp {
            url, management, ..
        } => {
            of_url(url, &mut secrets);
            if let Some(management) = management {
                of_url(management, &mut secrets);
            }
        }
        ProbeKind::Tcp { .. } | ProbeKind::Process | ProbeKind::Withheld { .. } => {}
    }
    secrets.retain(|secret| secret.chars().count() >= SHORTEST);
    secrets
}

fn of_url(address: &SecretString, secrets: &mut Vec<String>) {
    let Ok(url) = Url::parse(address.expose_secret().trim()) else {
        return;
    };
    if let Some(password) = url.password() {
        let decoded = percent_decode_str(password).decode_utf8_lossy();
        let user = percent_decode_str(url.username()).decode_utf8_lossy();
        secrets.push(BASE64_STANDARD.encode(format!("{user}:{decoded}")));
        secrets.push(decoded.into_owned());
        secrets.push(password.to_owned());
    }
    for (name, value) in url.query_pairs() {
        let name = name.to_ascii_lowercase();
        if SECRET_PARAMETERS.iter().any(|secret| name.contains(secret)) {
            secrets.push(value.into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_is_repeated_is_masked_in_every_spelling() {
        let kind = ProbeKind::Redis {
            url: "redis://probe:p%40ss%20word@localhost?api_key=abcdef"
                .to_owned()
                .into(),
            memory_above: None,
        };
        let encoded = BASE64_STANDARD.encode("probe:p@ss word");
        let mut findings = Findings::failed(format!(
            "said AUTH p@ss word, p%40ss%20word, {encoded}, abcdef"
        ));
        findings.fact("echo", "p@ss word");
        let findings = without(&kind, findings);
        assert_eq!(
            findings.outcome,
            Outcome::Failed("said AUTH <masked>, <masked>, <masked>, <masked>".into())
        );
        assert_eq!(findings.facts[0].value, "<masked>");
    }
}
