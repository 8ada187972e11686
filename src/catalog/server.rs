//! One OpenMetadata server as all its clients share it: connections, version, permits.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ExponentialBuilder};
use http::{HeaderMap, HeaderValue, header};
use tokio::sync::Semaphore;

use crate::net::{self, Http, NetError, Reply};

use super::{
    address::Address, client::Query, client_cache::Cache, error::CatalogError, outage::Outage,
    responses, sent::Sent, version::Version,
};

/// How long a version that was read holds: servers are upgraded while we run.
const VERSION_HOLDS: Duration = Duration::from_secs(600);

/// Everything that one read may take, repetitions and waiting for a permit with it. Below the 50 s
/// of a call, so that a tool can still say what it has.
const LONGEST_READ: Duration = Duration::from_secs(30);

/// The longest `Retry-After` that is waited for here; longer ones are told to the caller.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Requests in flight at once, of all callers together.
const REQUESTS_AT_ONCE: usize = 16;

pub struct Server {
    address: Address,
    http: Http,
    permits: Semaphore,
    version: Mutex<Option<(Instant, Version)>>,
    cache: Cache,
    last_answer: Mutex<Option<Instant>>,
    outage: Outage,
}

impl Server {
    pub fn new(address: Address, settings: net::Settings) -> Self {
        Self {
            address,
            http: Http::new(settings),
            permits: Semaphore::new(REQUESTS_AT_ONCE),
            version: Mutex::new(None),
            cache: Cache::new(),
            last_answer: Mutex::new(None),
            outage: Outage::default(),
        }
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    pub fn url(&self, path: &str, query: Query<'_>) -> Result<url::Url, CatalogError> {
        self.address
            .api(path, query)
            .ok_or_else(|| CatalogError::Invalid {
                argument: None,
                message: format!("{path:?} is not a path below /api/v1"),
            })
    }

    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// When the server itself last answered anything, and not a gateway before it.
    pub fn last_answer(&self) -> Option<Instant> {
        self.last_answer.lock().ok().and_then(|at| *at)
    }

    pub fn outage(&self) -> &Outage {
        &self.outage
    }

    /// Whether the server answers the smallest question in this time; tried once.
    pub(super) async fn answers_within(&self, time: Duration) -> bool {
        let Ok(url) = self.url("system/version", &[]) else {
            return false;
        };
        let request = net::Request {
            method: http::Method::GET,
            url,
            headers: HeaderMap::new(),
            body: None,
        };
        let look = self.send_within(request, time);
        matches!(tokio::time::timeout(time, look).await, Ok(Ok(reply)) if reply.status < 400)
    }

    /// Sends once, within the bound of requests at once.
    pub async fn send(&self, request: net::Request) -> Result<Reply, NetError> {
        self.send_within(request, self.http.settings().request_timeout)
            .await
    }

    async fn send_within(&self, request: net::Request, time: Duration) -> Result<Reply, NetError> {
        // The semaphore is never closed, so there always is a permit to wait for.
        let _permit = self.permits.acquire().await;
        let begun = Instant::now();
        let reply = self.http.send(request, time).await;
        let outcome = match &reply {
            Ok(reply) if reply.status < 400 => "ok",
            Ok(reply) if reply.status < 500 => "refused",
            Ok(_) => "failed",
            Err(_) => "unreachable",
        };
        metrics::counter!("openpolicy_catalog_requests_total", "outcome" => outcome).increment(1);
        metrics::histogram!("openpolicy_catalog_request_duration_seconds")
            .record(begun.elapsed().as_secs_f64());
        if let Ok(reply) = &reply
            && !is_of_gateway(reply)
        {
            if let Ok(mut at) = self.last_answer.lock() {
                *at = Some(Instant::now());
            }
            self.outage.is_over();
        }
        reply
    }

    /// Sends a read, again where that may help: no connection, a connection that broke, too many
    /// requests, or a proxy that finds nobody. Never after 500, which OpenMetadata answers to what
    /// it does not understand.
    pub async fn read(&self, request: net::Request) -> Result<Reply, NetError> {
        let end = Instant::now() + LONGEST_READ;
        let mut waits = ExponentialBuilder::default()
            .with_min_delay(self.http.settings().first_pause)
            .with_max_delay(Duration::from_secs(2))
            .with_max_times(3)
            .with_jitter()
            .build();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let attempt = self.send_within(request.clone(), left);
            let outcome = match tokio::time::timeout(left, attempt).await {
                Ok(outcome) => outcome,
                Err(_) => return Err(NetError::Timeout),
            };
            let least = match &outcome {
                Ok(reply) => wait_asked_for(reply),
                Err(NetError::Connect { .. } | NetError::Broken { .. }) => Some(Duration::ZERO),
                Err(NetError::Setup { .. } | NetError::Timeout | NetError::TooLarge { .. }) => None,
            };
            let (Some(least), Some(wait)) = (least, waits.next()) else {
                return outcome;
            };
            let wait = wait.max(least);
            if Instant::now() + wait >= end {
                return outcome;
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// The version, asked once and kept for a while. Needs no token.
    pub async fn version(&self) -> Result<Version, CatalogError> {
        let known = self.version.lock().ok().and_then(|known| *known);
        if let Some((at, version)) = known
            && at.elapsed() < VERSION_HOLDS
        {
            return Ok(version);
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let request = net::Request {
            method: http::Method::GET,
            url: self.url("system/version", &[])?,
            headers,
            body: None,
        };
        let reply = self
            .send(request)
            .await
            .map_err(|error| self.unreachable(&error))?;
        let answer = responses::read(
            &reply,
            &responses::asked("GET", "system/version"),
            &Sent::nothing(),
        )?;
        let version = self.version_of(&answer)?;
        if let Ok(mut known) = self.version.lock() {
            *known = Some((Instant::now(), version));
        }
        Ok(version)
    }

    /// The version in an answer of `/system/version`.
    pub fn version_of(&self, answer: &serde_json::Value) -> Result<Version, CatalogError> {
        let version = answer.get("version").and_then(|version| version.as_str());
        version
            .and_then(Version::parse)
            .ok_or_else(|| CatalogError::BadUpstream {
                message: format!(
                    "{} does not tell its version: is it OpenMetadata?",
                    self.address.as_str()
                ),
            })
    }

    /// A read that got no answer.
    pub fn unreachable(&self, error: &NetError) -> CatalogError {
        let address = self.address.as_str();
        match error {
            NetError::Setup { why } => CatalogError::Unavailable {
                message: why.clone(),
            },
            NetError::Connect { why } => CatalogError::Unavailable {
                message: format!("OpenMetadata at {address} cannot be reached: {why}"),
            },
            NetError::Timeout => CatalogError::Timeout {
                message: format!("OpenMetadata at {address} did not answer in time"),
            },
            NetError::TooLarge { .. } => CatalogError::BadUpstream {
                message: format!("{error}: ask for less (fields, limit)"),
            },
            NetError::Broken { why } => CatalogError::BadUpstream {
                message: format!("the connection to OpenMetadata at {address} broke: {why}"),
            },
        }
    }
}

/// Whether somebody else answered, because the server is not there to answer.
fn is_of_gateway(reply: &Reply) -> bool {
    match reply.status {
        408 | 502 | 504 => true,
        503 => !is_switched_off(reply),
        _ => false,
    }
}

/// Recorded: search/vector. Switched off is not down.
fn is_switched_off(reply: &Reply) -> bool {
    responses::said(reply, &Sent::nothing()).is_some_and(|said| said.contains("not enabled"))
}

/// Whether an answer is worth asking again, and how long it wants us to wait.
fn wait_asked_for(reply: &Reply) -> Option<Duration> {
    let asked_for = responses::retry_after(reply).unwrap_or_default();
    let is_passing = match reply.status {
        429 | 502 | 504 => true,
        // Switched off does not pass.
        503 => !is_switched_off(reply),
        _ => false,
    };
    (is_passing && asked_for <= LONGEST_RETRY_AFTER).then_some(asked_for)
}
