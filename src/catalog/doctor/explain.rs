//! What a finding means and what to do about it. Never looks at anything itself.

use std::time::Duration;

use serde_json::Value;

use crate::{
    catalog::{CatalogError, address::Address, jwt, redact, version::Version},
    net::NetError,
};

use super::{Check, Surroundings};

/// The name of the server in OpenMetadata's own Compose file, where it has network and port.
const COMPOSE_ADDRESS: &str = "http://openmetadata-server:8585";

/// The oldest version whose answers have been recorded and are read.
const OLDEST: Version = Version::new(1, 2, 0);

/// More than this between two clocks makes tokens expire early or late.
const MOST_SKEW: Duration = Duration::from_secs(60);

/// A token that ends this soon is worth a word.
const SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// The built-in role Data Consumer may change descriptions and tags (recorded: rights/reader-patch),
/// so a role that only reads has to be made.
const READING_ROLE: &str = "A role that only reads: Settings > Access Control, a policy with one rule that \
     allows the operation ViewAll on all resources, a role with that policy alone (the built-in Data \
     Consumer may also edit descriptions and tags)";

pub(super) fn address(address: &Address, surroundings: &Surroundings) -> Check {
    let written = address.as_str();
    if surroundings.in_container && is_loopback(address) {
        return Check::warning(
            "address",
            format!("{written} means this container itself, not the machine that it runs on"),
            format!(
                "in a container use the service name in the same network ({COMPOSE_ADDRESS} beside \
                 OpenMetadata's own Compose file), or host.docker.internal for a server on the host"
            ),
        );
    }
    if address.root().scheme() == "http" && !is_loopback(address) && is_public(address) {
        return Check::warning(
            "address",
            format!("{written} sends the token in clear"),
            "use https:// where the server offers it",
        );
    }
    Check::ok("address", written)
}

pub(super) fn is_loopback(address: &Address) -> bool {
    match address.root().host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// A name with a dot in it may be reached over networks of others.
fn is_public(address: &Address) -> bool {
    match address.root().host() {
        Some(url::Host::Domain(name)) => name.contains('.') && !name.ends_with(".internal"),
        Some(url::Host::Ipv4(ip)) => !ip.is_private(),
        _ => false,
    }
}

/// A host name that nobody knows.
pub(super) fn unknown_name(host: &str, surroundings: &Surroundings) -> Check {
    let finding = format!("no address is known for the name {host}");
    if surroundings.has_proxy {
        return Check::warning(
            "name",
            finding,
            "the proxy of the environment may know it; add the name to NO_PROXY where it should not \
             be asked",
        );
    }
    let advice = if !host.contains('.') && !surroundings.in_container {
        format!(
            "a name without a dot is mostly the name of a container, known in its network only: from \
             the host use http://localhost:8585, or run this beside it (docker run --network …, or a \
             service in the same Compose file). Is {host} spelt right?"
        )
    } else if surroundings.in_container {
        "containers find each other by service name in the same network only: join the network of \
         OpenMetadata (docker network ls, docker network connect NETWORK CONTAINER; in Compose an \
         external network), and compare the name with `docker ps`; a container_name counts too"
            .to_owned()
    } else {
        "check the spelling, the DNS and the VPN".to_owned()
    };
    Check::failed("name", finding, advice)
}

/// No connection, or no answer that is HTTP.
pub(super) fn unreachable(
    address: &Address,
    error: &NetError,
    surroundings: &Surroundings,
) -> Check {
    let said = error.to_string();
    let holds = |pieces: &[&str]| pieces.iter().any(|piece| said.contains(piece));
    let at = address.as_str();
    let advice = if holds(&[
        "UnknownIssuer",
        "unknown issuer",
        "self-signed",
        "SelfSigned",
    ]) {
        "its certificate is signed by an own authority: put that authority's certificate (PEM) into a \
         file and name it with OPENMETADATA_CA_FILE"
            .into()
    } else if holds(&[
        "NotValidForName",
        "not valid for name",
        "CertNotValidForName",
    ]) {
        "its certificate is for another name: use the name that stands in it".into()
    } else if holds(&["Expired", "expired"]) {
        "its certificate has expired (or this machine's clock is wrong): renew it on the server"
            .into()
    } else if holds(&["CA file"]) {
        "check OPENMETADATA_CA_FILE: a file with `-----BEGIN CERTIFICATE-----` that this process may \
         read"
            .into()
    } else if address.root().scheme() == "https"
        && holds(&[
            "InvalidContentType",
            "corrupt message",
            "InvalidMessage",
            "wrong version",
        ])
    {
        format!(
            "something answers there without TLS: use {}",
            at.replacen("https://", "http://", 1)
        )
    } else if holds(&["refused"]) {
        refused(address, surroundings)
    } else if matches!(error, NetError::Timeout) || holds(&["in time"]) {
        let mut advice =
            "a firewall drops it, the address is of another network, or the server is \
                          still starting (OpenMetadata takes a minute or two)"
                .to_owned();
        if address.root().scheme() == "https" {
            advice.push_str("; it may also speak no TLS there: try http://");
        }
        advice
    } else if address.root().scheme() == "http" && matches!(error, NetError::Broken { .. }) {
        format!(
            "something answers there that speaks no plain HTTP: try {}",
            at.replacen("http://", "https://", 1)
        )
    } else {
        "look at the log of the server and of what stands between (proxy, VPN, firewall)".into()
    };
    Check::failed("connection", format!("{at}: {said}"), advice)
}

fn refused(address: &Address, surroundings: &Surroundings) -> String {
    if surroundings.in_container && is_loopback(address) {
        return format!(
            "localhost in a container is the container itself: use the service name in the same \
             network ({COMPOSE_ADDRESS} beside OpenMetadata's own Compose file)"
        );
    }
    let port = address.root().port_or_known_default().unwrap_or(80);
    let mut advice = format!(
        "the machine is there and nothing listens on port {port}: is OpenMetadata up (docker ps), and \
         is that its port?"
    );
    if port != 8585 {
        advice.push_str(" It listens on 8585 by default (8586 is for administrators).");
    }
    if surroundings.in_container {
        advice.push_str(
            " In a container network the port is the one inside, not the one published on the host.",
        );
    }
    advice
}

/// The first answer, which needs no credential.
pub(super) fn version(address: &Address, read: &Result<Version, CatalogError>) -> Check {
    match read {
        Ok(version) if *version < OLDEST => Check::warning(
            "server",
            format!("OpenMetadata {version}"),
            format!("versions before {OLDEST} have not been tried: expect gaps"),
        ),
        Ok(version) if version.major > 1 => Check::warning(
            "server",
            format!("OpenMetadata {version}"),
            "this version is newer than what has been tried (1.12): expect gaps",
        ),
        Ok(version) => Check::ok("server", format!("OpenMetadata {version}")),
        Err(CatalogError::BadUpstream { message }) => Check::failed(
            "server",
            message,
            format!(
                "{} is not OpenMetadata itself: another service, a sign-in page or a proxy answers. \
                 Give the address that answers /api/v1/system/version with JSON",
                address.as_str()
            ),
        ),
        Err(
            CatalogError::Unsupported { message } | CatalogError::NotFound { what: message, .. },
        ) => Check::failed(
            "server",
            message.clone(),
            "something speaks JSON there, and it is not OpenMetadata, or it is mounted under a path: \
                 give the address up to before /api",
        ),
        Err(error) => Check::failed(
            "server",
            error.to_string(),
            "look at the log of the server; right after a start it takes a minute or two",
        ),
    }
}

/// The server's clock (the `Date` of an answer) against ours.
pub(super) fn clock(here: jiff::Timestamp, there: Option<jiff::Timestamp>) -> Check {
    let Some(there) = there else {
        return Check::skipped("clock", "the server does not tell its time");
    };
    let skew = here.duration_until(there);
    let seconds = skew.as_secs();
    if skew.unsigned_abs() <= MOST_SKEW {
        return Check::ok("clock", format!("{} s apart", seconds.abs()));
    }
    let side = if seconds > 0 { "ahead" } else { "behind" };
    Check::warning(
        "clock",
        format!(
            "the server's clock is {} s {side} of this machine's",
            seconds.abs()
        ),
        "set both by NTP: tokens are judged by the server's clock, ages and freshness by this one",
    )
}

/// A credential that was taken: whose it is (`/users/loggedInUser`), and what it looks like.
pub(super) fn signed_in(user: &Value, token: &jwt::Token, now: jiff::Timestamp) -> Check {
    let name = user.get("name").and_then(Value::as_str).unwrap_or("?");
    let name = crate::answer::clean::text(name, 80);
    let is = |field: &str| user.get(field).and_then(Value::as_bool).unwrap_or(false);
    let kind = match (is("isBot"), is("isAdmin")) {
        (true, true) => " (a bot, administrator)",
        (true, false) => " (a bot)",
        (false, true) => " (administrator)",
        (false, false) => "",
    };
    let expires = token.claims().and_then(|claims| claims.expires);
    let end = match expires {
        Some(end) => format!(", until {end}"),
        None => String::new(),
    };
    let finding = format!("signed in as {name}{kind}{end}");
    let mut advice = Vec::new();
    if expires.is_some_and(|end| {
        now.duration_until(end) < jiff::SignedDuration::try_from(SOON).unwrap_or_default()
    }) {
        advice.push("it ends soon: get a new one before".to_owned());
    }
    if is("isBot") {
        advice.push(
            "OpenMetadata shows bots the passwords of services in clear; they are stripped here, but \
             whoever holds this token can read them: give it to nothing else, or use the access token \
             of a user"
                .to_owned(),
        );
    }
    if is("isAdmin") {
        advice.push(
            "an administrator may change everything; for reading a user without that right is enough"
                .to_owned(),
        );
    }
    if is("isBot") || is("isAdmin") {
        advice.push(READING_ROLE.to_owned());
    }
    if advice.is_empty() {
        Check::ok("credential", finding)
    } else {
        Check::warning("credential", finding, advice.join(". "))
    }
}

/// A token that nobody could be asked about.
pub(super) fn token_alone(token: &jwt::Token, now: jiff::Timestamp) -> Check {
    match token.claims() {
        None => Check::failed("credential", format!("the token {token}"), jwt::WHERE_FROM),
        Some(claims) if claims.has_expired(now) => Check::failed(
            "credential",
            format!("the token {token}, which is over"),
            jwt::WHERE_FROM,
        ),
        Some(_) => Check::skipped(
            "credential",
            format!("the token {token}; whether OpenMetadata takes it was not tried"),
        ),
    }
}

/// A credential that was not taken, or could not be tried.
pub(super) fn not_signed_in(error: &CatalogError) -> Check {
    let advice = match error {
        CatalogError::Unauthorized { advice, .. } => advice.clone(),
        CatalogError::Forbidden { .. } => {
            "the token is known and may not even read its own user: give its user or bot a role"
                .into()
        }
        _ => "look at the log of the server".into(),
    };
    Check::failed("credential", error.to_string(), advice)
}

/// A search for everything, of which only the count is read.
pub(super) fn search(found: &Result<Value, CatalogError>) -> Check {
    let answer = match found {
        Ok(answer) => answer,
        Err(error @ CatalogError::Unavailable { .. }) => {
            return Check::failed(
                "search",
                error.to_string(),
                "start OpenSearch or Elasticsearch and look at its log (memory, disk watermark); until \
                 then entities and lineage by name still answer, searches do not",
            );
        }
        Err(error @ CatalogError::Unsupported { .. }) => {
            return Check::failed(
                "search",
                error.to_string(),
                "the index was never built: in OpenMetadata run Settings > Applications > Search \
                 Indexing with `recreate indexes`",
            );
        }
        Err(error) => {
            return Check::failed(
                "search",
                error.to_string(),
                "look at the log of OpenMetadata and of its search engine",
            );
        }
    };
    let count = |pointer: &str| answer.pointer(pointer).and_then(Value::as_u64);
    let total = count("/hits/total/value").or_else(|| count("/hits/total"));
    if let Some(failed) = count("/_shards/failed").filter(|failed| *failed > 0) {
        return Check::warning(
            "search",
            format!("{failed} parts of the search index do not answer"),
            "look at the health of OpenSearch or Elasticsearch (disk watermark, memory)",
        );
    }
    match total {
        Some(0) => Check::warning(
            "search",
            "the search index is empty, or this credential may see nothing",
            "run Settings > Applications > Search Indexing in OpenMetadata; if it has entities there, \
             check the roles of the credential",
        ),
        Some(total) => Check::ok("search", format!("{total} entities can be found")),
        None => Check::failed(
            "search",
            "the search answers in a form that is not known",
            "run `openpolicy-mcp doctor --json` and report it with the version of OpenMetadata",
        ),
    }
}

/// `/system/status`: HTTP 200 also where parts are not well, so what is inside counts.
pub(super) fn status(answer: &Value) -> Vec<Check> {
    let parts = answer.as_object().into_iter().flatten();
    let bad: Vec<Check> = parts
        .filter(|(_, part)| part.get("passed").and_then(Value::as_bool) == Some(false))
        // Told by the check of ingestion.
        .filter(|(name, _)| name.as_str() != "pipelineServiceClient")
        .map(|(name, part)| {
            let said = part.get("message").and_then(Value::as_str).unwrap_or("");
            let said = crate::answer::clean::text(&redact::message(said), 200);
            Check::warning(
                "server parts",
                format!("{name}: {said}"),
                match name.as_str() {
                    "searchInstance" => {
                        "look at the search engine that OpenMetadata is connected to"
                    }
                    "database" => "look at the database that OpenMetadata is connected to",
                    "migrations" => "run OpenMetadata's migration (openmetadata-ops.sh migrate)",
                    "jwks" => "check the public key address in OpenMetadata's configuration",
                    _ => "see Settings > Preferences > Health in OpenMetadata",
                },
            )
        })
        .collect();
    if !bad.is_empty() {
        return bad;
    }
    let passed = answer.as_object().map_or(0, |parts| parts.len());
    vec![Check::ok(
        "server parts",
        format!("{passed} parts looked at, none is ill"),
    )]
}

/// The pipeline client, by `/services/ingestionPipelines/status`. HTTP 200 with `code` 200 may
/// mean disabled: the words tell (`reason` on 1.12.6, `platform` on 1.2.0).
pub(super) fn ingestion(answer: &Result<Value, CatalogError>) -> Check {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Check::skipped("ingestion", error.to_string()),
    };
    let word = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or("");
    let said = format!("{} {}", word("reason"), word("platform")).to_lowercase();
    if said.contains("disabled") {
        return Check::warning(
            "ingestion",
            "OpenMetadata has no pipeline client: it runs no ingestion itself",
            "fine where ingestion runs elsewhere; then control_ingestion cannot start or stop \
             anything. Else set PIPELINE_SERVICE_CLIENT_ENABLED and its endpoint",
        );
    }
    match answer.get("code").and_then(Value::as_u64) {
        Some(200) | None => Check::ok(
            "ingestion",
            format!("the pipeline client answers {}", said.trim())
                .trim_end()
                .to_owned(),
        ),
        Some(code) => Check::warning(
            "ingestion",
            format!(
                "the pipeline client answers {code}: {}",
                redact::message(&said)
            ),
            "look at the ingestion container (Airflow) and its address in OpenMetadata's configuration",
        ),
    }
}
