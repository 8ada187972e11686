//! Does the looking: names, connections, answers. What a finding means is `explain`'s.

use std::time::{Duration, Instant};

use secrecy::ExposeSecret;

use crate::{
    catalog::{CatalogError, Catalogs, Client, Settings, address::Address, jwt, responses},
    net,
    settings::{Credential, Identity},
};

use super::{Check, Surroundings, explain};

/// For one name or one connection.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// All checks, in the order in which they have to be right. What stands behind a failed one is
/// skipped where it could only fail with it. Signs in at most once; writes nothing.
pub async fn checks(settings: &Settings, surroundings: &Surroundings) -> Vec<Check> {
    let address = match Address::parse(&settings.url) {
        Ok(address) => address,
        Err(error) => {
            let finding = if settings.url.trim().is_empty() {
                "OPENMETADATA_URL is not set".to_owned()
            } else {
                error.to_string()
            };
            return vec![Check::failed(
                "address",
                finding,
                "set OPENMETADATA_URL to where OpenMetadata answers, such as http://localhost:8585",
            )];
        }
    };
    let mut checks = vec![explain::address(&address, surroundings)];
    let catalogs = match Catalogs::of_openmetadata(settings) {
        Ok(catalogs) => catalogs,
        Err(error) => {
            checks.push(Check::failed(
                "address",
                error.to_string(),
                "correct OPENMETADATA_URL",
            ));
            return checks;
        }
    };
    let Some(client) = catalogs.own_client() else {
        return checks;
    };
    let name = name(&address, surroundings).await;
    let is_known = name.state != super::State::Failed;
    checks.push(name);
    if !is_known || !connection(client, &address, surroundings, &mut checks).await {
        checks.push(credential_alone(client, settings).await);
        checks.push(not_looked_at("OpenMetadata does not answer"));
    } else if credential(client, settings, &mut checks).await {
        behind(client, &mut checks).await;
    } else {
        checks.push(not_looked_at("not signed in"));
    }
    checks
}

/// What stands behind a fault is named, so that a short list does not look like a good one.
fn not_looked_at(why: &str) -> Check {
    Check::skipped(
        "server parts",
        format!("search, database and ingestion were not looked at: {why}"),
    )
}

/// What the credential tells by itself while the server cannot be asked.
async fn credential_alone(client: &Client, settings: &Settings) -> Check {
    if !matches!(
        settings.credential,
        Credential::Token(_) | Credential::TokenFile(_)
    ) {
        return Check::skipped("credential", "not tried: OpenMetadata does not answer");
    }
    match client.token().await {
        Ok(token) => {
            let token = token.map_or_else(String::new, |token| token.expose_secret().to_owned());
            explain::token_alone(&jwt::Token::look(&token), jiff::Timestamp::now())
        }
        Err(error) => explain::not_signed_in(&error),
    }
}

/// Looks the name up.
async fn name(address: &Address, surroundings: &Surroundings) -> Check {
    let root = address.root();
    let Some(url::Host::Domain(host)) = root.host() else {
        return Check::ok("name", "an IP address, nothing to look up");
    };
    let port = root.port_or_known_default().unwrap_or(80);
    let lookup = tokio::net::lookup_host((host, port));
    match tokio::time::timeout(LONGEST_LOOK, lookup).await {
        Ok(Ok(found)) => {
            let mut found: Vec<String> = found.map(|address| address.ip().to_string()).collect();
            found.dedup();
            if found.is_empty() {
                return explain::unknown_name(host, surroundings);
            }
            Check::ok("name", format!("{host} is {}", found.join(", ")))
        }
        Ok(Err(_)) | Err(_) => explain::unknown_name(host, surroundings),
    }
}

/// The first answer: connection, TLS, version, clock. Whether it makes sense to go on.
async fn connection(
    client: &Client,
    address: &Address,
    surroundings: &Surroundings,
    checks: &mut Vec<Check>,
) -> bool {
    let server = client.server();
    let Some(url) = address.api("system/version", &[]) else {
        return false;
    };
    let request = net::Request {
        method: http::Method::GET,
        url,
        headers: http::HeaderMap::new(),
        body: None,
    };
    let started = Instant::now();
    let reply = match server.send(request).await {
        Ok(reply) => reply,
        Err(error) => {
            checks.push(explain::unreachable(address, &error, surroundings));
            return false;
        }
    };
    let took = started.elapsed().as_millis();
    let how = match (address.root().scheme(), surroundings.has_proxy) {
        ("https", true) => "over TLS, perhaps through the proxy of the environment",
        ("https", false) => "over TLS",
        (_, true) => "without TLS, perhaps through the proxy of the environment",
        _ => "without TLS",
    };
    checks.push(Check::ok(
        "connection",
        format!("answered in {took} ms {how}"),
    ));
    let read = responses::read(&reply, &responses::asked("GET", "system/version"))
        .and_then(|answer| server.version_of(&answer));
    let is_openmetadata = read.is_ok();
    checks.push(explain::version(address, &read));
    if is_openmetadata {
        let there = reply
            .header("date")
            .and_then(|date| jiff::fmt::rfc2822::parse(date).ok())
            .map(|date| date.timestamp());
        checks.push(explain::clock(jiff::Timestamp::now(), there));
    }
    is_openmetadata
}

/// Who we are there. Whether it makes sense to go on.
async fn credential(client: &Client, settings: &Settings, checks: &mut Vec<Check>) -> bool {
    if matches!(settings.credential, Credential::None) {
        checks.push(match settings.identity {
            Identity::Caller => Check::skipped(
                "credential",
                "none of its own: each caller brings a token in X-OpenMetadata-Token",
            ),
            Identity::Server => Check::failed("credential", "none is configured", jwt::WHERE_FROM),
        });
        return false;
    }
    let user = client.get_fresh("users/loggedInUser", &[]).await;
    let token = client.token().await.ok().flatten();
    match user {
        Ok(user) => {
            let token = token.map_or_else(String::new, |token| token.expose_secret().to_owned());
            let token = jwt::Token::look(&token);
            checks.push(explain::signed_in(&user, &token, jiff::Timestamp::now()));
            true
        }
        Err(error) => {
            checks.push(explain::not_signed_in(&error));
            false
        }
    }
}

/// What stands behind the server: search engine, database, pipeline client.
async fn behind(client: &Client, checks: &mut Vec<Check>) {
    let Ok(version) = client.version().await else {
        return;
    };
    let mut found = everything(client, "dataAsset").await;
    // Which version has that alias first has not been recorded.
    if matches!(found, Err(CatalogError::Unsupported { .. })) {
        found = everything(client, "all").await;
    }
    checks.push(explain::search(&found));
    if version.has_system_status() {
        match client.get_fresh("system/status", &[]).await {
            Ok(answer) => checks.extend(explain::status(&answer)),
            Err(error) => checks.push(Check::skipped("server parts", error.to_string())),
        }
    } else {
        checks.push(old_health(client).await);
    }
    let pipelines = client
        .get_fresh("services/ingestionPipelines/status", &[])
        .await;
    checks.push(explain::ingestion(&pipelines));
}

/// How much there is to be found.
async fn everything(client: &Client, index: &str) -> Result<serde_json::Value, CatalogError> {
    let query = [
        ("q", "*"),
        ("index", index),
        ("from", "0"),
        ("size", "0"),
        ("track_total_hits", "true"),
        ("include_aggregations", "false"),
    ];
    client.get_fresh("search/query", &query).await
}

/// `/health-check` at the root, which is all that servers before 1.3 or so have.
async fn old_health(client: &Client) -> Check {
    let server = client.server();
    let Ok(url) = server.address().root().join("health-check") else {
        return Check::skipped("server parts", "this version does not tell");
    };
    let request = net::Request {
        method: http::Method::GET,
        url,
        headers: http::HeaderMap::new(),
        body: None,
    };
    let answer = server
        .send(request)
        .await
        .map_err(|error| server.unreachable(&error))
        .and_then(|reply| responses::read(&reply, "GET /health-check"));
    match answer {
        Ok(answer) if answer["status"] == "healthy" => {
            Check::ok("server parts", "the server calls itself healthy")
        }
        Ok(_) => Check::warning(
            "server parts",
            "the server does not call itself healthy",
            "look at its log",
        ),
        Err(error) => Check::skipped("server parts", error.to_string()),
    }
}
