//! The one maker of HTTP clients: TLS, proxy, time-outs, size bounds.
//!
//! A client is made when it is first used (roots and TLS cost milliseconds that a first
//! `tools/list` does not have). Roots are compiled in, as an empty container image has no store;
//! the proxy comes from `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`. Redirects are never
//! followed here: the caller sees them, so that no credential follows one to another host.
//!
//! Probes have needs of their own: one connection a look, no proxy (its error pages would be taken
//! for the service's), and to know at which stage a look failed. They use `Dialer`.

mod dial;
mod failure;
mod once;
mod tls;

use std::{path::PathBuf, time::Duration};

use tokio::sync::OnceCell;

pub use dial::{Dialer, Obstacle, Reached, Stage, Stream, TlsFault};
pub use failure::NetError;
pub use once::{Answer, LONGEST_ANSWER, NoAnswer};

/// How connections are made, and how long and how much of an answer is waited for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Certificates (PEM) that are trusted beside the compiled-in ones.
    pub ca_file: Option<PathBuf>,
    /// For one connection to stand, TLS with it.
    pub connect_timeout: Duration,
    /// Between two pieces of an answer.
    pub silence_timeout: Duration,
    /// For one request with its whole answer.
    pub request_timeout: Duration,
    /// The longest answer that is read, in bytes, unpacked.
    pub longest_body: usize,
    /// Before a read is repeated for the first time; longer each time.
    pub first_pause: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            silence_timeout: Duration::from_secs(20),
            request_timeout: Duration::from_secs(30),
            longest_body: 16 * 1024 * 1024,
            first_pause: Duration::from_millis(150),
        }
    }
}

/// One request. Header values that are secret are marked so by the caller.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: http::Method,
    pub url: url::Url,
    pub headers: http::HeaderMap,
    pub body: Option<Vec<u8>>,
}

/// One answer, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    /// A header as text; nothing where it is absent or no text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Sends requests; one pool of connections.
pub struct Http {
    settings: Settings,
    client: OnceCell<reqwest::Client>,
}

impl Http {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            client: OnceCell::new(),
        }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends once and reads the answer to its end; `timeout` shortens the usual time.
    pub async fn send(&self, request: Request, timeout: Duration) -> Result<Reply, NetError> {
        let client = self.client.get_or_try_init(|| self.client()).await?;
        let Request {
            method,
            url,
            headers,
            body,
        } = request;
        let mut builder = client
            .request(method, url)
            .headers(headers)
            .timeout(timeout.min(self.settings.request_timeout));
        if let Some(body) = body {
            builder = builder.body(body);
        }
        let mut response = builder.send().await.map_err(NetError::of_reqwest)?;
        let longest = self.settings.longest_body;
        if response
            .content_length()
            .is_some_and(|length| length > longest as u64)
        {
            return Err(NetError::TooLarge { longest });
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(NetError::of_reqwest)? {
            if body.len() + piece.len() > longest {
                return Err(NetError::TooLarge { longest });
            }
            body.extend_from_slice(&piece);
        }
        Ok(Reply {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body,
        })
    }

    async fn client(&self) -> Result<reqwest::Client, NetError> {
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(self.settings.ca_file.as_deref()).await?)
            .connect_timeout(self.settings.connect_timeout)
            .read_timeout(self.settings.silence_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .tcp_nodelay(true)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("openpolicy-mcp/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| NetError::Setup {
                why: failure::chain(&error),
            })
    }
}
