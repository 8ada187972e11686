//! One OpenMetadata server with one credential: requests in, parsed JSON without secrets out.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::net;

use super::{
    credentials::{Credential, Credentials},
    error::CatalogError,
    responses,
    server::Server,
};

pub use super::version::Version;

/// What a query adds to a path: pairs in order, names may repeat.
pub type Query<'a> = &'a [(&'a str, &'a str)];

/// A client for one server and one credential. Reads are retried, writes never.
pub struct Client {
    server: Arc<Server>,
    credentials: Credentials,
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
    pub fn new(server: Arc<Server>, credential: Credential) -> Self {
        Self {
            server,
            credentials: Credentials::new(credential),
        }
    }

    /// GET below `/api/v1` (no leading slash; segments encoded with `fqn::path_segment`).
    ///
    /// The answer is free of credentials and connections. Retries, time-outs, the size bound and
    /// the cache apply. `CatalogError::NotFound` for 404 of an entity; `Unsupported` where this
    /// version does not have the route.
    pub async fn get(&self, path: &str, query: Query<'_>) -> Result<Value, CatalogError> {
        let asked = responses::asked("GET", path);
        let request = net::Request {
            method: http::Method::GET,
            url: self.server.url(path, query)?,
            headers: self.headers().await?,
            body: None,
        };
        let reply = self
            .server
            .send(request)
            .await
            .map_err(|error| self.server.unreachable(&error))?;
        responses::read(&reply, &asked)
    }

    /// Sends a write once. The answer may be empty (`Value::Null`). Every cached read of this
    /// server is dropped.
    pub async fn write(&self, write: Write<'_>) -> Result<Value, CatalogError> {
        let method = match write.method {
            Method::Put => http::Method::PUT,
            Method::Post => http::Method::POST,
            Method::Patch => http::Method::PATCH,
            Method::Delete => http::Method::DELETE,
        };
        let asked = responses::asked(method.as_str(), write.path);
        let mut headers = self.headers().await?;
        if write.body.is_some() {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static(write.content_type.unwrap_or("application/json")),
            );
        }
        if let Some(version) = write.if_match {
            let tag = HeaderValue::try_from(format!("W/\"{version:?}\""));
            headers.insert(
                header::IF_MATCH,
                tag.map_err(|_| CatalogError::Invalid {
                    argument: None,
                    message: format!("{version} is not a version"),
                })?,
            );
        }
        let request = net::Request {
            method,
            url: self.server.url(write.path, write.query)?,
            headers,
            body: write.body.map(|body| body.to_string().into_bytes()),
        };
        match self.server.send(request).await {
            Ok(reply) => responses::read(&reply, &asked),
            Err(error) if error.may_have_arrived() => Err(CatalogError::UnknownOutcome {
                message: format!("it is unknown whether {asked} took effect: {error}"),
                how_to_check: "read the entity again and compare before repeating the change"
                    .into(),
            }),
            Err(error) => Err(self.server.unreachable(&error)),
        }
    }

    /// The server's version, asked once and kept.
    pub async fn version(&self) -> Result<Version, CatalogError> {
        self.server.version().await
    }

    /// Where the server is, for addresses of its pages.
    pub fn address(&self) -> &super::address::Address {
        self.server.address()
    }

    async fn headers(&self) -> Result<HeaderMap, CatalogError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(token) = self.credentials.token().await? {
            headers.insert(header::AUTHORIZATION, bearer(&token)?);
        }
        Ok(headers)
    }
}

fn bearer(token: &SecretString) -> Result<HeaderValue, CatalogError> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret().trim()))
        .map_err(|_| CatalogError::Unauthorized {
            message: "the token holds characters that no token has (a line break, a quote?)".into(),
            advice: "copy it again from OpenMetadata, on one line".into(),
        })?;
    value.set_sensitive(true);
    Ok(value)
}
