//! One OpenMetadata server as all its clients share it: connections, version, permits.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, header};
use tokio::sync::Semaphore;

use crate::net::{self, Http, NetError, Reply};

use super::{address::Address, client::Query, error::CatalogError, responses, version::Version};

/// How long a version that was read holds: servers are upgraded while we run.
const VERSION_HOLDS: Duration = Duration::from_secs(600);

/// Requests in flight at once, of all callers together.
const REQUESTS_AT_ONCE: usize = 16;

pub struct Server {
    address: Address,
    http: Http,
    permits: Semaphore,
    version: Mutex<Option<(Instant, Version)>>,
}

impl Server {
    pub fn new(address: Address, settings: net::Settings) -> Self {
        Self {
            address,
            http: Http::new(settings),
            permits: Semaphore::new(REQUESTS_AT_ONCE),
            version: Mutex::new(None),
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

    /// Sends once, within the bound of requests at once.
    pub async fn send(&self, request: net::Request) -> Result<Reply, NetError> {
        let _permit = self.permits.acquire().await;
        let timeout = self.http.settings().request_timeout;
        self.http.send(request, timeout).await
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
        let answer = responses::read(&reply, &responses::asked("GET", "system/version"))?;
        let version = answer
            .get("version")
            .and_then(|version| version.as_str())
            .and_then(Version::parse)
            .ok_or_else(|| CatalogError::BadUpstream {
                message: format!(
                    "{} does not tell its version: is it OpenMetadata?",
                    self.address.as_str()
                ),
            })?;
        if let Ok(mut known) = self.version.lock() {
            *known = Some((Instant::now(), version));
        }
        Ok(version)
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
