//! What every probe over HTTP shares: one GET, and what its status says by itself.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::Url;

use super::{
    super::observation::Outcome,
    Findings, Look,
    target::{Target, WEB},
    words,
};
use crate::net::{Answer, Reply, Request};

/// A web service under its address.
pub(super) struct Site {
    target: Target,
    /// The address without user and password.
    pub(super) url: Url,
    headers: HeaderMap,
}

impl Site {
    pub(super) fn of(
        address: &SecretString,
        headers: &[(String, SecretString)],
    ) -> Result<Self, Outcome> {
        let target = Target::of(address, &WEB)?;
        let mut url = target.url.clone();
        // Neither fails for an address that has a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let mut all = HeaderMap::new();
        if let Some(user) = &target.user {
            let password = target.password.as_ref();
            let password = password.map_or("", |password| password.expose_secret());
            let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
            let basic = SecretString::from(format!("Basic {encoded}"));
            all.insert(
                header::AUTHORIZATION,
                secret_value("authorization", &basic)?,
            );
        }
        for (name, value) in headers {
            let parsed = HeaderName::try_from(name.as_str()).map_err(|_| unusable(name))?;
            all.insert(parsed, secret_value(name, value)?);
        }
        Ok(Self {
            target,
            url,
            headers: all,
        })
    }

    pub(super) fn place(&self) -> String {
        self.target.place()
    }

    /// `path` below the address of the site: `http://host/prefix` and `/x` give `/prefix/x`.
    pub(super) fn below(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        url.set_query(None);
        url
    }

    pub(super) async fn get(&self, url: Url, look: &Look<'_>) -> Result<Answer, Outcome> {
        // Credentials belong to one origin.
        let headers = if url.origin() == self.url.origin() {
            self.headers.clone()
        } else {
            HeaderMap::new()
        };
        let request = Request {
            method: Method::GET,
            url,
            headers,
            body: None,
        };
        let answer = look.dialer.ask(request, &look.reached).await;
        answer.map_err(|none| words::of_no_answer(none, &self.place()))
    }

    /// Whether the answer says that we may not look.
    pub(super) fn refusal(&self, reply: &Reply) -> Option<Findings> {
        let place = self.place();
        let has_credential = self.headers.contains_key(header::AUTHORIZATION)
            || self.headers.values().any(HeaderValue::is_sensitive);
        let reason = match (reply.status, has_credential) {
            (401, true) => format!(
                "{place} answers, and refuses the credential of the probe (HTTP 401): correct it \
                 to learn more"
            ),
            (401, false) => format!(
                "{place} answers, and asks for a credential that the probe does not have (HTTP \
                 401): give it one, or probe a path that needs none"
            ),
            (403, _) => format!(
                "{place} answers, and does not allow the probe to look there (HTTP 403): give it \
                 the right, or probe another path"
            ),
            (407, _) => format!(
                "a proxy at {place} asks for a credential (HTTP 407): probe the service itself"
            ),
            _ => return None,
        };
        let mut findings = Findings::refused_us(reason);
        findings.fact("http_status", reply.status);
        Some(findings)
    }
}

fn secret_value(name: &str, value: &SecretString) -> Result<HeaderValue, Outcome> {
    let mut value = HeaderValue::try_from(value.expose_secret()).map_err(|_| unusable(name))?;
    value.set_sensitive(true);
    Ok(value)
}

fn unusable(name: &str) -> Outcome {
    Outcome::CouldNotLook(format!(
        "the header `{}` of its probe cannot be sent: names are letters and dashes, values one \
         line of ASCII",
        words::quoted(name)
    ))
}

/// Whether this is a page for people.
pub(super) fn is_html(reply: &Reply) -> bool {
    let named = reply
        .header("content-type")
        .is_some_and(|kind| kind.to_ascii_lowercase().contains("html"));
    let start = reply.body.get(..200).unwrap_or(&reply.body);
    let start = String::from_utf8_lossy(start).trim_start().to_lowercase();
    named || start.starts_with("<!doctype html") || start.starts_with("<html")
}

/// The body as JSON, or what it is instead.
pub(super) fn json(answer: &Answer) -> Result<Value, &'static str> {
    if answer.is_cut {
        return Err("more than 1 MiB");
    }
    serde_json::from_slice(&answer.reply.body).map_err(|_| {
        if is_html(&answer.reply) {
            "an HTML page"
        } else if answer.reply.body.is_empty() {
            "nothing"
        } else {
            "no JSON"
        }
    })
}

/// Where a redirect leads, without its query, which may hold a session.
pub(super) fn redirect_of(reply: &Reply, from: &Url) -> Option<Url> {
    if !(300..400).contains(&reply.status) {
        return None;
    }
    from.join(reply.header("location")?).ok()
}

/// An address that may be said: no query, no credentials.
pub(super) fn sayable(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let _ = url.set_username("");
    let _ = url.set_password(None);
    words::quoted(url.as_str())
}
