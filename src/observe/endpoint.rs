//! One other system: its address, its credential, and why it did not answer.

use std::{path::PathBuf, time::Duration};

use http::{HeaderMap, HeaderValue, Method, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use url::Url;

use crate::{
    answer::clean,
    net::{Http, NetError, Reply, Request, Settings, split_credentials},
    platform::model,
};

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 8 * 1024 * 1024;

/// Characters of another's message that are repeated.
const LONGEST_MESSAGE: usize = 300;

/// Why there is no answer. `name` is what the system is called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObserveError {
    #[error("the address of {name} cannot be read: it should look like {example}")]
    Address {
        name: &'static str,
        example: &'static str,
    },
    #[error("{name} at {place} cannot be reached: {why}")]
    Unreachable {
        name: &'static str,
        place: String,
        why: String,
    },
    #[error("{name} at {place} gave no answer within {} s", after.as_secs_f64())]
    Timeout {
        name: &'static str,
        place: String,
        after: Duration,
    },
    #[error("{name} at {place} refuses the credential (HTTP {status}): look at `url` and `token`")]
    Refused {
        name: &'static str,
        place: String,
        status: u16,
    },
    /// What was asked cannot be answered; the message is the other side's.
    #[error("{name} does not take the question: {message}")]
    BadQuestion { name: &'static str, message: String },
    #[error("{name} at {place} answers not as expected: {why}")]
    BadAnswer {
        name: &'static str,
        place: String,
        why: String,
    },
}

/// How to ask one system.
pub(super) struct Endpoint {
    name: &'static str,
    http: Http,
    /// Without credentials.
    base: Url,
    headers: HeaderMap,
}

impl Endpoint {
    pub(super) fn of(
        name: &'static str,
        example: &'static str,
        endpoint: &model::Endpoint,
        ca_file: Option<PathBuf>,
    ) -> Result<Self, ObserveError> {
        let address = || ObserveError::Address { name, example };
        let url = Url::parse(endpoint.url.expose_secret().trim()).map_err(|_| address())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(address());
        }
        let (base, credential) = split_credentials(url);
        let mut headers = HeaderMap::new();
        let credential = match &endpoint.token {
            Some(token) => Some(bearer(token).ok_or_else(address)?),
            None => credential,
        };
        if let Some(credential) = credential {
            headers.insert(header::AUTHORIZATION, credential);
        }
        let settings = Settings {
            ca_file,
            longest_body: LONGEST_ANSWER,
            ..Settings::default()
        };
        Ok(Self {
            name,
            http: Http::new(settings),
            base,
            headers,
        })
    }

    /// `host:port`, for sentences.
    fn place(&self) -> String {
        let port = self.base.port_or_known_default().unwrap_or_default();
        format!("{}:{port}", self.base.host_str().unwrap_or_default())
    }

    pub(super) async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<Reply, ObserveError> {
        self.send(Method::GET, path, query, None, timeout).await
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<Vec<u8>>,
        timeout: Duration,
    ) -> Result<Reply, ObserveError> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url.query_pairs_mut().clear().extend_pairs(query);
        let mut headers = self.headers.clone();
        if body.is_some() {
            let json = HeaderValue::from_static("application/json");
            headers.insert(header::CONTENT_TYPE, json);
        }
        let request = Request {
            method,
            url,
            headers,
            body,
        };
        let name = self.name;
        let place = self.place();
        let reply = tokio::time::timeout(timeout, self.http.send(request, timeout)).await;
        let reply = match reply {
            Err(_) | Ok(Err(NetError::Timeout)) => {
                return Err(ObserveError::Timeout {
                    name,
                    place,
                    after: timeout,
                });
            }
            Ok(Err(NetError::TooLarge { .. })) => {
                return Err(ObserveError::BadQuestion {
                    name,
                    message: "its answer would be larger than 8 MiB; ask for fewer series, a \
                              shorter time or a longer step"
                        .into(),
                });
            }
            Ok(Err(error)) => {
                return Err(ObserveError::Unreachable {
                    name,
                    place,
                    why: error.to_string(),
                });
            }
            Ok(Ok(reply)) => reply,
        };
        match reply.status {
            status @ (401 | 403 | 407) => Err(ObserveError::Refused {
                name,
                place,
                status,
            }),
            _ => Ok(reply),
        }
    }

    /// The body as JSON of a known form.
    pub(super) fn parsed<Body: DeserializeOwned>(
        &self,
        reply: &Reply,
    ) -> Result<Body, ObserveError> {
        serde_json::from_slice(&reply.body).map_err(|error| {
            self.bad_answer(format!(
                "HTTP {}, {}",
                reply.status,
                clean::text(&error.to_string(), LONGEST_MESSAGE)
            ))
        })
    }

    pub(super) fn bad_answer(&self, why: String) -> ObserveError {
        ObserveError::BadAnswer {
            name: self.name,
            place: self.place(),
            why,
        }
    }

    pub(super) fn bad_question(&self, message: &str) -> ObserveError {
        ObserveError::BadQuestion {
            name: self.name,
            message: clean::text(message, LONGEST_MESSAGE),
        }
    }
}

fn bearer(token: &SecretString) -> Option<HeaderValue> {
    let mut header = HeaderValue::try_from(format!("Bearer {}", token.expose_secret())).ok()?;
    header.set_sensitive(true);
    Some(header)
}
