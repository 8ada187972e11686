//! MCP over HTTP: the routes, and what every request passes before it reaches one.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::StreamExt;
use rmcp::{
    ServerHandler,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService,
        session::{local::LocalSessionManager, never::NeverSessionManager},
    },
};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    guard::{Guard, Refusal},
    handler::{AnswersOnce, CallerToken, CameOver},
    listen::{self, Local},
    messages::{Parsed, parsed},
    sse,
};
use crate::settings::HttpSettings;

/// The longest body that is read.
pub(super) const LONGEST_BODY: usize = 4 * 1024 * 1024;

/// How long the body of a request may take to arrive.
const LONGEST_UPLOAD: Duration = Duration::from_secs(30);

/// The header with which a caller brings an OpenMetadata token of their own. It goes to
/// OpenMetadata and nowhere else.
const CALLER_TOKEN: &str = "x-openmetadata-token";

/// Routes that answer without a token: whether the process is up, and whether it is ready. They
/// tell nothing else where there is a token.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// Serves until `shutdown` is cancelled and what runs then has ended, a few seconds at most.
/// Any service will do: the conformance suite asks for tools that this server does not have.
/// `others` are routes beside those of the protocol; they stand behind the same guard.
pub async fn serve<S: ServerHandler + Clone>(
    listener: TcpListener,
    guard: Guard,
    settings: &HttpSettings,
    server: S,
    others: Router,
    shutdown: CancellationToken,
) {
    // Cancelled when the drain is over: it ends calls that are still running.
    let end = CancellationToken::new();
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(settings.sessions)
        .with_json_response(true)
        .with_cancellation_token(end.clone())
        .with_max_request_body_bytes(LONGEST_BODY)
        // Checked by `guarded`, on every route.
        .disable_allowed_hosts();
    let make = {
        let server = server.clone();
        move || Ok(server.clone())
    };
    let mcp = if settings.sessions {
        let sessions = Arc::new(LocalSessionManager::default());
        Router::new().route_service("/mcp", StreamableHttpService::new(make, sessions, config))
    } else {
        let sessions = Arc::new(NeverSessionManager::default());
        Router::new().route_service("/mcp", StreamableHttpService::new(make, sessions, config))
    };
    let sessions = sse::Sessions::new(server, shutdown.clone());
    let routes = mcp
        .layer(middleware::from_fn(lenient))
        .merge(
            Router::new()
                .route("/sse", get(sse::open::<S>))
                .route("/messages", post(sse::message::<S>))
                .with_state(sessions),
        )
        .merge(others)
        .layer(middleware::from_fn_with_state(Arc::new(guard), guarded));
    listen::serve(listener, routes, shutdown, end).await;
}

/// The address that a listener is bound to, or why it could not be.
pub async fn bind(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// Host, Origin and token; then the credentials leave the headers, so that nothing behind here can
/// log or forward them.
async fn guarded(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let origin = match checked(&guard, &request) {
        Ok(origin) => origin,
        Err(refusal) => {
            tracing::warn!(
                ?refusal,
                path = request.uri().path(),
                "A request was refused"
            );
            return refused(refusal);
        }
    };
    if request.method() == Method::OPTIONS {
        return with_cors(StatusCode::NO_CONTENT.into_response(), origin.as_ref());
    }
    let authorization = request.headers_mut().remove(header::AUTHORIZATION);
    let is_open = OPEN.contains(&request.uri().path());
    let sent = authorization.as_ref().map(HeaderValue::as_bytes);
    if let Err(refusal) = guard.token(sent)
        && !is_open
    {
        tracing::warn!(
            ?refusal,
            path = request.uri().path(),
            "A request was refused"
        );
        return with_cors(refused(refusal), origin.as_ref());
    }
    match taken_token(request.headers_mut()) {
        Ok(Some(token)) => {
            request.extensions_mut().insert(token);
        }
        Ok(None) => {}
        Err(reason) => return with_cors(plain(StatusCode::BAD_REQUEST, reason), origin.as_ref()),
    }
    with_cors(next.run(request).await, origin.as_ref())
}

/// Checks Host and Origin; hands back the origin, where there is one.
fn checked(guard: &Guard, request: &Request) -> Result<Option<HeaderValue>, Refusal> {
    let local = request.extensions().get::<Local>().map(|local| local.0);
    let headers = request.headers();
    let host = single(headers, header::HOST).map_err(|()| Refusal::Host)?;
    let host = host.map(|host| host.to_str().map_err(|_| Refusal::Host));
    guard.host(host.transpose()?, local)?;
    if let Some(authority) = request.uri().authority() {
        guard.host(Some(authority.as_str()), local)?;
    }
    let origin = single(headers, header::ORIGIN).map_err(|()| Refusal::Origin)?;
    let written = origin.map(|origin| origin.to_str().map_err(|_| Refusal::Origin));
    guard.origin(written.transpose()?)?;
    Ok(origin.cloned())
}

/// The value of a header that may stand once at most.
fn single(headers: &HeaderMap, name: header::HeaderName) -> Result<Option<&HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(()),
    }
}

/// Takes the caller's OpenMetadata token out of the headers.
fn taken_token(headers: &mut HeaderMap) -> Result<Option<CallerToken>, &'static str> {
    let is_single = headers.get_all(CALLER_TOKEN).iter().count() <= 1;
    let Some(value) = headers.remove(CALLER_TOKEN) else {
        return Ok(None);
    };
    if !is_single {
        return Err("X-OpenMetadata-Token stands more than once");
    }
    let Ok(token) = value.to_str() else {
        return Err("X-OpenMetadata-Token holds characters that a token does not have");
    };
    let token = token.trim();
    let token = match token.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer ") => rest.trim(),
        _ => token,
    };
    Ok((!token.is_empty()).then(|| CallerToken(token.to_owned().into())))
}

fn refused(refusal: Refusal) -> Response {
    let (status, reason) = match refusal {
        Refusal::Host => (
            StatusCode::FORBIDDEN,
            "this Host is not allowed; start the server with --allow-host naming it",
        ),
        Refusal::Origin => (
            StatusCode::FORBIDDEN,
            "this Origin is not allowed; start the server with --allow-origin naming it",
        ),
        Refusal::NoToken => (
            StatusCode::UNAUTHORIZED,
            "send `Authorization: Bearer` with the HTTP token of this server",
        ),
        Refusal::WrongToken => (
            StatusCode::UNAUTHORIZED,
            "the bearer token is not the HTTP token of this server",
        ),
    };
    let mut response = plain(status, reason);
    if status == StatusCode::UNAUTHORIZED {
        let challenge = match refusal {
            Refusal::WrongToken => "Bearer realm=\"openpolicy-mcp\", error=\"invalid_token\"",
            _ => "Bearer realm=\"openpolicy-mcp\"",
        };
        response.headers_mut().insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static(challenge),
        );
    }
    response
}

/// A refusal as a program and a person read it.
pub(super) fn plain(status: StatusCode, reason: &str) -> Response {
    let body = json!({ "error": reason }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A browser hands an answer to a page only where the answer says so. `origin` was allowed.
fn with_cors(mut response: Response, origin: Option<&HeaderValue>) -> Response {
    let Some(origin) = origin else {
        return response;
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, accept, last-event-id, mcp-session-id, \
             mcp-protocol-version, mcp-method, mcp-name, x-openmetadata-token",
        ),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "mcp-session-id, www-authenticate",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What `/mcp` takes beyond the letter of the protocol: any `Accept` that a JSON answer fits, and
/// bodies that are no message, which are answered as JSON-RPC says.
async fn lenient(mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(CameOver("http"));
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let takes_json = takes(
        request.headers(),
        &["application/json", "application/*", "*/*"],
    );
    if !takes(request.headers(), &["text/event-stream"]) {
        request.extensions_mut().insert(AnswersOnce);
    }
    if takes_json || !request.headers().contains_key(header::ACCEPT) {
        request.headers_mut().insert(
            header::ACCEPT,
            HeaderValue::from_static("application/json, text/event-stream"),
        );
    }
    let (head, body) = request.into_parts();
    let body = match read_body(&head.headers, body).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let is_json = head
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.trim_start().starts_with("application/json"));
    let response = next
        .run(Request::from_parts(head, Body::from(body.clone())))
        .await;
    // The protocol library answers a body that it cannot read as a wrong media type.
    if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE && is_json {
        return match parsed(&body) {
            Parsed::Refused(answer) => bad_request(&answer),
            Parsed::Nothing => plain(StatusCode::BAD_REQUEST, "the body is empty"),
            Parsed::Message(_) => response,
        };
    }
    response
}

/// Whether the client takes an answer of one of these kinds.
fn takes(headers: &HeaderMap, kinds: &[&str]) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .any(|accept| kinds.iter().any(|kind| accept.contains(kind)))
}

pub(super) fn bad_request(answer: &serde_json::Value) -> Response {
    (
        StatusCode::BAD_REQUEST,
        [(header::CONTENT_TYPE, "application/json")],
        answer.to_string(),
    )
        .into_response()
}

/// The whole body, bounded in size and time.
pub(super) async fn read_body(headers: &HeaderMap, body: Body) -> Result<Bytes, Response> {
    let too_large = || {
        plain(
            StatusCode::PAYLOAD_TOO_LARGE,
            &format!("a body of more than {LONGEST_BODY} bytes is not read"),
        )
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > LONGEST_BODY as u64) {
        return Err(too_large());
    }
    let reading = async {
        let mut read = Vec::new();
        let mut frames = body.into_data_stream();
        while let Some(frame) = frames.next().await {
            let frame = frame.map_err(|_| plain(StatusCode::BAD_REQUEST, "the body broke off"))?;
            if read.len() + frame.len() > LONGEST_BODY {
                return Err(too_large());
            }
            read.extend_from_slice(&frame);
        }
        Ok(Bytes::from(read))
    };
    match tokio::time::timeout(LONGEST_UPLOAD, reading).await {
        Ok(read) => read,
        Err(_) => Err(plain(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive in time",
        )),
    }
}
