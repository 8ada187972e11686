//! One OpenMetadata server with one credential: requests in, parsed JSON without secrets out.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::{net, settings::Credential};

use super::{
    client_cache::{Held, Reader},
    credentials::Credentials,
    error::CatalogError,
    heard::Heard,
    jwt, responses,
    sent::Sent,
    server::Server,
};

pub use super::version::Version;

/// What a query adds to a path: pairs in order, names may repeat.
pub type Query<'a> = &'a [(&'a str, &'a str)];

/// A client for one server and one credential. Reads are retried, writes never.
pub struct Client {
    server: Arc<Server>,
    credentials: Arc<Credentials>,
    reader: Reader,
    /// Takes note of what the server answers, where a call wants to know.
    heard: Option<Arc<Heard>>,
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
            reader: server.cache().reader(),
            server,
            credentials: Arc::new(Credentials::new(credential)),
            heard: None,
        }
    }

    /// The same client, for one call that wants to know whether the server answers.
    pub fn heard_by(&self, heard: &Arc<Heard>) -> Self {
        Self {
            server: Arc::clone(&self.server),
            credentials: Arc::clone(&self.credentials),
            reader: self.reader,
            heard: Some(Arc::clone(heard)),
        }
    }

    /// The same credential, to which nothing has been answered yet: what it reads is no older
    /// than this call.
    pub fn fresh(&self) -> Self {
        Self {
            server: Arc::clone(&self.server),
            credentials: Arc::clone(&self.credentials),
            reader: self.server.cache().reader(),
            heard: self.heard.clone(),
        }
    }

    /// GET below `/api/v1` (no leading slash; segments encoded with `fqn::path_segment`).
    ///
    /// The answer is free of credentials and connections. Retries, time-outs, the size bound and
    /// the cache apply (an answer may be 30 s old; see `get_fresh`). `CatalogError::NotFound` for
    /// 404 of an entity; `Unsupported` where this version does not have the route.
    pub async fn get(&self, path: &str, query: Query<'_>) -> Result<Value, CatalogError> {
        let held = self.get_held(path, query).await?;
        Ok(held.answer.clone())
    }

    /// `get` with the status, and without a copy of what is in the cache.
    pub async fn get_held(&self, path: &str, query: Query<'_>) -> Result<Arc<Held>, CatalogError> {
        self.listening(self.held(path, query)).await
    }

    async fn listening<T>(
        &self,
        answer: impl Future<Output = Result<T, CatalogError>>,
    ) -> Result<T, CatalogError> {
        // On the heap: tools wait for many of these, one within the other.
        let answer = Box::pin(answer);
        match &self.heard {
            Some(heard) => heard.listening(&self.server, answer).await,
            None => answer.await,
        }
    }

    async fn held(&self, path: &str, query: Query<'_>) -> Result<Arc<Held>, CatalogError> {
        let url = self.server.url(path, query)?;
        // A token file is looked at before the cache is: another token is another reader.
        let token = self.credentials.token(&self.server).await?;
        let reader = self.reader.as_identity(self.credentials.identity());
        let asked = responses::asked("GET", path);
        let ask = self.ask(url.clone(), asked, token);
        self.server.cache().read(reader, url.as_str(), ask).await
    }

    /// One `get` past the cache.
    pub async fn get_fresh(&self, path: &str, query: Query<'_>) -> Result<Value, CatalogError> {
        self.listening(async {
            let url = self.server.url(path, query)?;
            let token = self.credentials.token(&self.server).await?;
            let held = self.ask(url, responses::asked("GET", path), token).await?;
            Ok(held.answer)
        })
        .await
    }

    async fn ask(
        &self,
        url: url::Url,
        asked: String,
        token: Option<SecretString>,
    ) -> Result<Held, CatalogError> {
        let mut request = net::Request {
            method: http::Method::GET,
            url,
            headers: headers(token.as_ref())?,
            body: None,
        };
        let unreachable = |error| self.server.unreachable(&error);
        let mut sent = Sent::these(&token);
        let mut reply = self
            .server
            .read(request.clone())
            .await
            .map_err(unreachable)?;
        if reply.status == 401
            && let Some(other) = self.another_token(token.as_ref()).await?
        {
            request.headers = headers(Some(&other))?;
            sent = Sent::these([&other].into_iter().chain(&token));
            reply = self.server.read(request).await.map_err(unreachable)?;
        }
        let answer = responses::read(&reply, &asked, &sent)
            .map_err(|error| self.explained(error, token.as_ref()))?;
        Ok(Held {
            answer,
            status: reply.status,
            bytes: reply.body.len(),
        })
    }

    /// Sends a write once. The answer may be empty (`Value::Null`). Every cached read of this
    /// server is dropped, whether the write succeeds or not.
    ///
    /// `UnknownOutcome` where the server may have acted and its answer did not come.
    pub async fn write(&self, write: Write<'_>) -> Result<Value, CatalogError> {
        let method = match write.method {
            Method::Put => http::Method::PUT,
            Method::Post => http::Method::POST,
            Method::Patch => http::Method::PATCH,
            Method::Delete => http::Method::DELETE,
        };
        let asked = responses::asked(method.as_str(), write.path);
        let token = self.credentials.token(&self.server).await?;
        let mut request = net::Request {
            method,
            url: self.server.url(write.path, write.query)?,
            headers: headers(token.as_ref())?,
            body: write.body.map(|body| body.to_string().into_bytes()),
        };
        add_headers(&mut request.headers, &write)?;
        let mut secrets = Sent::these(&token);
        let sent = self.server.send(request.clone()).await;
        self.server.cache().forget();
        let mut reply = sent.map_err(|error| self.unknown(&error, &asked))?;
        // Refused is not done: sending it once more with another token is safe.
        if reply.status == 401
            && let Some(other) = self.another_token(token.as_ref()).await?
        {
            request.headers = headers(Some(&other))?;
            add_headers(&mut request.headers, &write)?;
            secrets = Sent::these([&other].into_iter().chain(&token));
            let sent = self.server.send(request).await;
            self.server.cache().forget();
            reply = sent.map_err(|error| self.unknown(&error, &asked))?;
        }
        // A gateway that gave up does not know what happened behind it.
        if matches!(reply.status, 502 | 504) {
            return Err(unknown_outcome(&asked, &format!("HTTP {}", reply.status)));
        }
        responses::read(&reply, &asked, &secrets).map_err(|error| match error {
            CatalogError::BadUpstream { message } if reply.status < 300 => {
                unknown_outcome(&asked, &message)
            }
            error => self.explained(error, token.as_ref()),
        })
    }

    /// The server's version, asked once and kept.
    pub async fn version(&self) -> Result<Version, CatalogError> {
        self.listening(self.server.version()).await
    }

    /// Where the server is, for addresses of its pages.
    pub fn address(&self) -> &super::address::Address {
        self.server.address()
    }

    /// The server that this client asks, for `doctor`.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// The token that this client would send now, for `doctor`.
    pub async fn token(&self) -> Result<Option<SecretString>, CatalogError> {
        self.credentials.token(&self.server).await
    }

    async fn another_token(
        &self,
        refused: Option<&SecretString>,
    ) -> Result<Option<SecretString>, CatalogError> {
        match refused {
            Some(refused) => self.credentials.renewed(&self.server, refused).await,
            None => Ok(None),
        }
    }

    /// A refused credential, with what is wrong with it and what to do.
    fn explained(&self, error: CatalogError, token: Option<&SecretString>) -> CatalogError {
        match error {
            CatalogError::Unauthorized { message, .. } => {
                let kind = self.credentials.credential();
                let token = token.map(ExposeSecret::expose_secret);
                let (why, advice) = refused(kind, token, jiff::Timestamp::now());
                CatalogError::Unauthorized {
                    message: format!("{message}; {why}"),
                    advice,
                }
            }
            other => other,
        }
    }

    fn unknown(&self, error: &net::NetError, asked: &str) -> CatalogError {
        if error.may_have_arrived() {
            unknown_outcome(asked, &error.to_string())
        } else {
            self.server.unreachable(error)
        }
    }
}

/// Why a server may have refused this token, and what helps.
fn refused(kind: &Credential, token: Option<&str>, now: jiff::Timestamp) -> (String, String) {
    let Some(token) = token else {
        return ("no token was sent".into(), jwt::WHERE_FROM.into());
    };
    let looked = jwt::Token::look(token);
    let has_expired = looked
        .claims()
        .is_some_and(|claims| claims.has_expired(now));
    let advice = match (&looked, kind) {
        (jwt::Token::Other(_), _) => jwt::WHERE_FROM.into(),
        (_, Credential::Password { .. }) => {
            "the login itself worked: check that the user is not disabled and that the clocks agree"
                .into()
        }
        (_, Credential::TokenFile(path)) if has_expired => format!(
            "put a new token into {}: it is read again at once",
            path.display()
        ),
        _ if has_expired => format!("get a new one. {}", jwt::WHERE_FROM),
        _ => format!(
            "it may have been revoked or replaced, or be of another OpenMetadata. {}",
            jwt::WHERE_FROM
        ),
    };
    let why = match looked.claims().and_then(|claims| claims.expires) {
        Some(end) if has_expired => format!("the token expired at {end}"),
        _ => format!("the token {looked}"),
    };
    (why, advice)
}

fn unknown_outcome(asked: &str, why: &str) -> CatalogError {
    CatalogError::UnknownOutcome {
        message: format!("it is unknown whether {asked} took effect: {why}"),
        how_to_check: "read the entity again and compare before you repeat the change".into(),
    }
}

fn headers(token: Option<&SecretString>) -> Result<HeaderMap, CatalogError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(token) = token {
        headers.insert(header::AUTHORIZATION, bearer(token)?);
    }
    Ok(headers)
}

fn add_headers(headers: &mut HeaderMap, write: &Write<'_>) -> Result<(), CatalogError> {
    if write.body.is_some() {
        let kind = write.content_type.unwrap_or("application/json");
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    if let Some(version) = write.if_match {
        // `1.0` keeps its point: versions are written so.
        let tag = HeaderValue::try_from(format!("W/\"{version:?}\""));
        let tag = tag.map_err(|_| CatalogError::Invalid {
            argument: None,
            message: format!("{version} is not a version"),
        })?;
        headers.insert(header::IF_MATCH, tag);
    }
    Ok(())
}

fn bearer(token: &SecretString) -> Result<HeaderValue, CatalogError> {
    let value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
    let mut value = value.map_err(|_| CatalogError::Unauthorized {
        message: "the token holds characters that no token has, such as a line break".into(),
        advice: "copy it again from OpenMetadata, on one line".into(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}
