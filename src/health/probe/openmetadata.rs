//! OpenMetadata: what its own validation says of its parts, not just that it answers.
//!
//! `/api/v1/system/status` wants a token: the password in the address (`http://:token@host:8585`).
//! Without one only `/api/v1/system/health` is left, which says OK also while search is down.
//! Servers of about version 1.2 have neither, but `/health-check`.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::{Findings, Look, Looked, target, target::Target, web, web::Site, words};
use crate::net::Answer;

pub(super) async fn look(address: &SecretString, look: &Look<'_>) -> Looked {
    let target = Target::of(address, &target::WEB)?;
    let token = target.password.as_ref();
    let headers: Vec<_> = token
        .map(|token| {
            let bearer = format!("Bearer {}", token.expose_secret());
            ("authorization".to_owned(), SecretString::from(bearer))
        })
        .into_iter()
        .collect();
    let mut site = Site::of(&target.bare(), &headers)?;
    let path = site.url.path();
    let root = path.split("/api").next().unwrap_or_default().to_owned();
    site.url.set_path(&root);

    let answer = site.get(site.below("/api/v1/system/status"), look).await?;
    let status = answer.reply.status;
    if let (401 | 403, Some(_)) = (status, token) {
        return Ok(Findings::refused_us(format!(
            "{} answers, and refuses the token of the probe (HTTP {status}): it may have expired; \
             give it a new one to learn more",
            site.place()
        )));
    }
    let mut findings = match (status, web::json(&answer)) {
        (200, Ok(parts)) if parts.get("database").is_some() => of_parts(&parts),
        (401 | 403, _) => of_health(&site, look).await?,
        // Version 1.2 answers its unknown path with 500 and a sentence about 404.
        (404, _) | (500, _) if is_unknown_path(&answer) => of_old(&site, look).await?,
        (200..=299, _) => Findings::failed(format!(
            "{} answers, and not as OpenMetadata does: is this its address?",
            site.place()
        )),
        _ => Findings::failed(format!("it answers HTTP {status}: look at its log")),
    };
    let version = look
        .besides(site.get(site.below("/api/v1/system/version"), look))
        .await;
    if let Some(Ok(answer)) = version
        && let Ok(body) = web::json(&answer)
        && let Some(version) = body.get("version").and_then(Value::as_str)
    {
        findings.fact("version", words::quoted(version));
    }
    Ok(findings)
}

impl Target {
    /// The address without user and password.
    fn bare(&self) -> SecretString {
        let mut url = self.url.clone();
        let _ = url.set_username("");
        let _ = url.set_password(None);
        SecretString::from(String::from(url))
    }
}

fn is_unknown_path(answer: &Answer) -> bool {
    answer.reply.status == 404
        || String::from_utf8_lossy(&answer.reply.body).contains("404 Not Found")
}

/// Every part with `passed` and `message`.
fn of_parts(parts: &Value) -> Findings {
    let failed = |part: &str| {
        let passed = parts.pointer(&format!("/{part}/passed"))?.as_bool()?;
        let message = parts.pointer(&format!("/{part}/message"));
        let message = message.and_then(Value::as_str).unwrap_or_default();
        (!passed).then(|| words::quoted(message))
    };
    // Its message names the database with its address: left away.
    if failed("database").is_some() {
        return Findings::failed("it says that its database does not answer: look at that first");
    }
    let mut findings = Findings::passed();
    if let Some(said) = failed("migrations") {
        findings.impair(format!(
            "it says that its migrations are not done ({said}): run its migration command"
        ));
    }
    if let Some(said) = failed("searchInstance") {
        findings.fact("search", "down");
        findings.impair(format!(
            "it says that its search does not answer ({said}): look at Elasticsearch or OpenSearch"
        ));
    }
    if let Some(said) = failed("jwks") {
        findings.impair(format!(
            "it says that tokens cannot be checked ({said}): look at its publicKeyUrls"
        ));
    }
    if let Some(said) = failed("pipelineServiceClient") {
        if said.to_lowercase().contains("disabled") {
            // A choice, not a fault.
            findings.fact("ingestion", "no pipeline client");
        } else {
            findings.impair(format!(
                "it says that its pipeline client does not answer ({said}): look at Airflow"
            ));
        }
    }
    findings
}

/// Without a token.
async fn of_health(site: &Site, look: &Look<'_>) -> Looked {
    let answer = site.get(site.below("/api/v1/system/health"), look).await?;
    let mut findings = match answer.reply.status {
        200 if !web::is_html(&answer.reply) => Findings::passed(),
        status => {
            return Ok(Findings::failed(format!(
                "its health path answers HTTP {status}: look at its log"
            )));
        }
    };
    findings.impair(
        "it answers, and without a token nothing is told of its database and search: give the \
         probe one (http://:token@host:8585)",
    );
    Ok(findings)
}

/// Versions before `/system/status`.
async fn of_old(site: &Site, look: &Look<'_>) -> Looked {
    let answer = site.get(site.below("/health-check"), look).await?;
    let body = web::json(&answer).unwrap_or_default();
    let said = body.get("status").and_then(Value::as_str);
    Ok(match (answer.reply.status, said) {
        (200, Some("healthy")) => Findings::passed(),
        (_, Some(said)) => Findings::failed(format!("it says that it is {}", words::quoted(said))),
        (status, None) => Findings::failed(format!(
            "{} answers (HTTP {status}), and none of OpenMetadata's health paths is there: is \
             this OpenMetadata?",
            site.place()
        )),
    })
}
