//! The HTTP side of a stand-in: its answers, and its looks at others.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures::StreamExt as _;
use http::{Method, Request, Response, StatusCode, header};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::behaviour::{Behaviour, Control};

/// The longest body of `POST /control` that is read.
const LONGEST_BODY: usize = 64 * 1024;

/// How long a look at another service takes at most.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

type Answer = Response<String>;

/// Answers until the process ends.
pub(super) async fn serve(listener: TcpListener, behaviour: Arc<Behaviour>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: what is open ends first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let behaviour = Arc::clone(&behaviour);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let behaviour = Arc::clone(&behaviour);
                async move { Ok::<_, Infallible>(answer(request, &behaviour).await) }
            });
            // A client that hangs up is no fault.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>, behaviour: &Behaviour) -> Answer {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::POST, "/control") => control(request, behaviour).await,
        (_, "/metrics") => reply(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            behaviour.metrics(),
        ),
        (method, _) => {
            let method = method.clone();
            tokio::time::sleep(behaviour.delay()).await;
            let status = if behaviour.counts_as_failure() {
                StatusCode::INTERNAL_SERVER_ERROR
            } else {
                StatusCode::OK
            };
            let (is_well, health) = behaviour.health();
            let is_health = matches!(path.as_str(), "/health" | "/healthz" | "/ready" | "/readyz");
            let answer = match (status, is_health) {
                (StatusCode::OK, true) if is_well => json_reply(status, &health),
                (StatusCode::OK, true) => json_reply(StatusCode::SERVICE_UNAVAILABLE, &health),
                (StatusCode::OK, false) => {
                    json_reply(status, &json!({"service": behaviour.name, "path": path}))
                }
                (_, _) => json_reply(status, &json!({"error": "failed on demand"})),
            };
            if !is_health || answer.status() != StatusCode::OK {
                let level = if answer.status().is_success() {
                    "INFO"
                } else {
                    "ERROR"
                };
                // Without a reader there is nobody to tell.
                let _ = behaviour.log(
                    level,
                    format_args!("{method} {path} {}", answer.status().as_u16()),
                );
            }
            answer
        }
    }
}

async fn control(request: Request<Incoming>, behaviour: &Behaviour) -> Answer {
    let control = match body(request.into_body()).await {
        Some(body) => Control::read(&body),
        None => Err("the body cannot be read".into()),
    };
    match control {
        Ok(control) => {
            let _ = behaviour.apply(&control);
            json_reply(StatusCode::OK, &json!({"done": true}))
        }
        Err(fault) => json_reply(StatusCode::BAD_REQUEST, &json!({"error": fault})),
    }
}

async fn body(body: Incoming) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    let mut body = std::pin::pin!(body);
    let mut frames = futures::stream::poll_fn(move |context| body.as_mut().poll_frame(context));
    while let Some(frame) = frames.next().await {
        if let Ok(data) = frame.ok()?.into_data() {
            read.extend_from_slice(&data);
        }
        if read.len() > LONGEST_BODY {
            return None;
        }
    }
    Some(read)
}

/// Why this address does not answer 2xx; none: it does.
pub(super) async fn fault_of(url: &str) -> Option<String> {
    match tokio::time::timeout(LONGEST_LOOK, status_of(url)).await {
        Ok(Ok(status)) if status.is_success() => None,
        Ok(Ok(status)) => Some(format!("HTTP {}", status.as_u16())),
        Ok(Err(fault)) => Some(fault),
        Err(_) => Some(format!("no answer within {} s", LONGEST_LOOK.as_secs())),
    }
}

async fn status_of(url: &str) -> Result<StatusCode, String> {
    let url = url::Url::parse(url).map_err(|error| error.to_string())?;
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err("no host".into());
    };
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Empty>(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let request = Request::get(url.path())
        .header(header::HOST, format!("{host}:{port}"))
        .header(header::CONNECTION, "close")
        .body(Empty)
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await;
    Ok(response.map_err(|error| error.to_string())?.status())
}

/// A body without content.
struct Empty;

impl hyper::body::Body for Empty {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}

fn json_reply(status: StatusCode, body: &Value) -> Answer {
    reply(status, "application/json", body.to_string())
}

fn reply(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let kind = header::HeaderValue::from_static(kind);
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}
