//! One HTTP request over a connection of its own.

use std::error::Error as _;

use http::{HeaderValue, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio_util::task::AbortOnDropHandle;

use super::{Dialer, Obstacle, Reached, Reply, Request, Stream};

/// The most of one answer that is read, in bytes; the rest is left unread.
pub const LONGEST_ANSWER: usize = 1024 * 1024;

/// An answer, and whether it is all of it.
#[derive(Debug, Clone)]
pub struct Answer {
    pub reply: Reply,
    /// The body was longer than what is read.
    pub is_cut: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    Connection(Obstacle),
    /// What came is no HTTP/1.
    NotHttp,
    /// It hung up without an answer, or in the middle of one.
    HungUp,
}

impl From<Obstacle> for NoAnswer {
    fn from(obstacle: Obstacle) -> Self {
        Self::Connection(obstacle)
    }
}

impl Dialer {
    /// Sends `request` over a new connection, which ends with the answer. Redirects are answers.
    pub async fn ask(&self, request: Request, reached: &Reached) -> Result<Answer, NoAnswer> {
        let url = &request.url;
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(Obstacle::Name.into());
        };
        let stream = self.dial(host, port, reached).await?;
        let stream: Stream = if url.scheme() == "https" {
            self.secure(stream, host, reached).await?
        } else {
            Box::new(stream)
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| of_hyper(&error))?;
        // Ends with this look, whatever becomes of it.
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let mut response = sender
            .send_request(of_request(request)?)
            .await
            .map_err(|error| of_hyper(&error))?;
        let mut body = Vec::new();
        let mut is_cut = false;
        while let Some(frame) = response.body_mut().frame().await {
            let frame = frame.map_err(|error| of_hyper(&error))?;
            let Some(piece) = frame.data_ref() else {
                continue;
            };
            let room = LONGEST_ANSWER - body.len();
            body.extend_from_slice(piece.get(..room).unwrap_or(piece));
            if piece.len() > room {
                is_cut = true;
                break;
            }
        }
        Ok(Answer {
            reply: Reply {
                status: response.status().as_u16(),
                headers: response.headers().clone(),
                body,
            },
            is_cut,
        })
    }
}

fn of_request(request: Request) -> Result<http::Request<Full<Bytes>>, NoAnswer> {
    let Request {
        method,
        url,
        headers,
        body,
    } = request;
    let cannot = |error: http::Error| Obstacle::Setup(error.to_string());
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let authority = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let mut built = http::Request::builder()
        .method(method)
        .uri(target)
        .header(header::HOST, authority)
        .header(header::CONNECTION, "close")
        .header(
            header::USER_AGENT,
            concat!("openpolicy-mcp/", env!("CARGO_PKG_VERSION")),
        )
        .body(Full::new(Bytes::from(body.unwrap_or_default())))
        .map_err(cannot)?;
    for (name, value) in &headers {
        built.headers_mut().insert(name, HeaderValue::clone(value));
    }
    Ok(built)
}

fn of_hyper(error: &hyper::Error) -> NoAnswer {
    if error.is_parse() || error.is_parse_too_large() {
        return NoAnswer::NotHttp;
    }
    let io = error
        .source()
        .and_then(|source| source.downcast_ref::<std::io::Error>());
    match io.map(Obstacle::of_io) {
        None | Some(Obstacle::Closed | Obstacle::Other(_)) => NoAnswer::HungUp,
        Some(obstacle) => NoAnswer::Connection(obstacle),
    }
}
