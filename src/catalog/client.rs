//! One OpenMetadata server with one credential: requests in, parsed JSON without secrets out.

use serde_json::Value;

use super::error::CatalogError;

/// What a query adds to a path: pairs in order, names may repeat.
pub type Query<'a> = &'a [(&'a str, &'a str)];

/// A client for one server and one credential. Reads are retried, writes never.
pub struct Client {
    _private: (),
}

/// What a write sends.
pub struct Write<'a> {
    pub method: Method,
    /// Below `/api/v1`, without a leading slash, segments encoded with `fqn::path_segment`.
    pub path: &'a str,
    pub query: Query<'a>,
    pub body: Option<&'a Value>,
    /// `application/json` unless this says otherwise.
    pub content_type: Option<&'static str>,
    /// The version that the entity must still have, as `If-Match`.
    pub if_match: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Put,
    Post,
    Patch,
    Delete,
}

impl Client {
    /// GET below `/api/v1` (no leading slash; segments encoded with `fqn::path_segment`).
    ///
    /// The answer is free of credentials and connections. Retries, time-outs, the size bound and
    /// the cache apply. `CatalogError::NotFound` for 404 of an entity; `Unsupported` where this
    /// version does not have the route.
    pub async fn get(&self, path: &str, query: Query<'_>) -> Result<Value, CatalogError> {
        let _ = (path, query);
        Err(CatalogError::Unavailable {
            message: "no client yet".into(),
        })
    }

    /// Sends a write once. The answer may be empty (`Value::Null`). Every cached read of this
    /// client is dropped.
    pub async fn write(&self, write: Write<'_>) -> Result<Value, CatalogError> {
        let _ = write;
        Err(CatalogError::Unavailable {
            message: "no client yet".into(),
        })
    }

    /// The server's version, asked once and kept.
    pub async fn version(&self) -> Result<Version, CatalogError> {
        Err(CatalogError::Unavailable {
            message: "no client yet".into(),
        })
    }
}

/// Version of an OpenMetadata server; compares by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u16,
    pub minor: u16,
    pub patch: u16,
}

impl Version {
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }
}
