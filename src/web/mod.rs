//! Pages and probes beside the protocol: all read-only.

use std::{future::Future, pin::Pin, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};

/// Whether the catalog answers, and what is known of it.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    pub is_ready: bool,
    /// `openmetadata` or `snapshot`.
    pub source: Option<&'static str>,
    /// Version of the OpenMetadata that answers.
    pub version: Option<String>,
    /// When a snapshot was taken, RFC 3339.
    pub as_of: Option<String>,
    /// Why it is not ready, or why a snapshot answers, in words for the operator.
    pub reason: Option<String>,
}

/// Looks whether the server is ready, each time it is asked.
pub type Look =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Readiness> + Send>> + Send + Sync + 'static>;

/// What the pages show.
pub struct Pages {
    pub ready: Look,
    /// Whether `/readyz` also says what answers, or why not: where it stands open, yes or no is
    /// enough.
    pub tells_why: bool,
    pub metrics: PrometheusHandle,
    /// Name and description of each listed tool.
    pub tools: Vec<(&'static str, &'static str)>,
}

/// The routes. The guard of the HTTP server stands before them.
pub fn routes(pages: Pages) -> Router {
    Router::new()
        .route("/", get(status))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(pages))
}

/// The process is up.
async fn healthz() -> Response {
    json_answer(StatusCode::OK, &json!({ "status": "up" }))
}

/// 200 where the catalog answers, else 503.
async fn readyz(State(pages): State<Arc<Pages>>) -> Response {
    let ready = (pages.ready)().await;
    let status = if ready.is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut body = json!({ "ready": ready.is_ready });
    if pages.tells_why {
        for (name, value) in [
            ("source", ready.source.map(str::to_owned)),
            ("version", ready.version),
            ("as_of", ready.as_of),
            ("reason", ready.reason),
        ] {
            if let Some(value) = value {
                body[name] = value.into();
            }
        }
    }
    json_answer(status, &body)
}

async fn metrics(State(pages): State<Arc<Pages>>) -> Response {
    pages.metrics.run_upkeep();
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        pages.metrics.render(),
    )
        .into_response()
}

/// A page for people: what this is, whether the catalog answers, what is listed.
async fn status(State(pages): State<Arc<Pages>>) -> Response {
    let ready = (pages.ready)().await;
    let catalog = match &ready.reason {
        Some(reason) if !ready.is_ready => format!("not ready: {reason}"),
        _ => {
            let as_of = ready.as_of.map(|at| format!("as of {at}"));
            let facts = [ready.source.map(str::to_owned), ready.version, as_of];
            let facts = facts.into_iter().chain([ready.reason.clone()]);
            facts.flatten().collect::<Vec<_>>().join(", ")
        }
    };
    let tools: String = pages
        .tools
        .iter()
        .map(|(name, what)| {
            let (name, what) = (escaped(name), escaped(what));
            format!("<tr><td><code>{name}</code></td><td>{what}</td></tr>\n")
        })
        .collect();
    let page = include_str!("page.html")
        .replace("{version}", env!("CARGO_PKG_VERSION"))
        .replace("{state}", if ready.is_ready { "up" } else { "down" })
        .replace("{count}", &pages.tools.len().to_string())
        .replace("{tools}", &tools)
        // Last: what a server answered is not looked through for places to fill.
        .replace("{catalog}", &escaped(&catalog));
    (
        [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (
                header::CONTENT_SECURITY_POLICY,
                "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
            ),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CACHE_CONTROL, "no-store"),
        ],
        page,
    )
        .into_response()
}

fn json_answer(status: StatusCode, body: &Value) -> Response {
    (
        status,
        [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "no-store"),
        ],
        body.to_string(),
    )
        .into_response()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
