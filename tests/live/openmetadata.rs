//! The OpenMetadata probe against the recorded answers of two versions.

use std::{fs, path::Path, sync::Arc};

use openpolicy_mcp::health::probe::{Surroundings, look};
use openpolicy_mcp::platform::ProbeKind;
use serde_json::Value;

use crate::engines::{
    assert_failed, assert_impaired, assert_not_looked, assert_passed, fact, probe, seen,
};
use crate::local::{Local, Manner};

const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.right.token";

/// Status and body of a recording, as an answer of HTTP.
fn recorded(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openmetadata");
    let text = fs::read_to_string(folder.join(format!("{name}.json"))).expect("a recording");
    let recording: Value = serde_json::from_str(&text).expect("JSON");
    let response = &recording["response"];
    let kind = response["headers"]["content-type"]
        .as_str()
        .expect("a type");
    let body = match &response["body"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    format!(
        "HTTP/1.1 {} Recorded\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: \
         close\r\n\r\n{body}",
        response["status"],
        body.len()
    )
}

/// 1.12.6, whose status is the recording `status`.
async fn new(status: &'static str) -> Local {
    Local::start(Manner::Answer(Arc::new(move |request| {
        let path = request.split_whitespace().nth(1).unwrap_or_default();
        let bearer = format!("authorization: Bearer {TOKEN}");
        match path {
            "/api/v1/system/status" if request.contains(&bearer) => recorded(status),
            "/api/v1/system/status" if request.contains("authorization") => {
                recorded("1.12.6/system/bad-token")
            }
            "/api/v1/system/status" => recorded("1.12.6/system/status-no-token"),
            "/api/v1/system/health" => recorded("1.12.6/system/health"),
            "/api/v1/system/version" => recorded("1.12.6/system/version"),
            _ => recorded("1.12.6/system/unknown-page"),
        }
    })))
    .await
}

/// 1.2.0.
async fn old() -> Local {
    Local::start(Manner::Answer(Arc::new(|request| {
        match request.split_whitespace().nth(1).unwrap_or_default() {
            "/api/v1/system/status" => recorded("1.2.0/system/status"),
            "/health-check" => recorded("1.2.0/system/health-check-old"),
            "/api/v1/system/version" => recorded("1.2.0/system/version"),
            _ => recorded("1.2.0/system/root-old"),
        }
    })))
    .await
}

fn kind(server: &Local, credential: &str, path: &str) -> ProbeKind {
    ProbeKind::OpenMetadata {
        url: format!("http://{credential}127.0.0.1:{}{path}", server.port).into(),
    }
}

#[tokio::test]
async fn its_own_validation_is_read() {
    let server = new("1.12.6/system/status").await;
    for path in ["", "/", "/api", "/api/v1/system/status"] {
        let up = seen(kind(&server, &format!(":{TOKEN}@"), path)).await;
        assert_passed(&up);
        assert_eq!(fact(&up, "version"), "1.12.6");
        assert_eq!(fact(&up, "ingestion"), "no pipeline client");
    }
    let server = new("1.12.6/search-down/system-status").await;
    let down = seen(kind(&server, &format!(":{TOKEN}@"), "")).await;
    assert_impaired(&down, "search does not answer");
}

#[tokio::test]
async fn a_token_of_the_surroundings_goes_to_its_origin_alone() {
    let server = new("1.12.6/system/status").await;
    let url = format!("http://127.0.0.1:{}/api", server.port)
        .parse()
        .unwrap();
    let with_token = Surroundings::default().with_openmetadata(&url, TOKEN.to_owned().into());
    assert_passed(&look(&probe(kind(&server, "", "")), &with_token).await);
    let other = new("1.12.6/system/status").await;
    let blind = look(&probe(kind(&other, "", "")), &with_token).await;
    assert_impaired(&blind, "without a token");
    let wrong = seen(kind(&server, ":eyJ.wrong.token@", "")).await;
    assert_not_looked(&wrong, "refuses the token");
}

#[tokio::test]
async fn an_old_server_is_asked_as_it_wants() {
    let up = seen(kind(&old().await, "", "")).await;
    assert_passed(&up);
    assert_eq!(fact(&up, "version"), "1.2.0-SNAPSHOT");
}

#[tokio::test]
async fn a_page_that_answers_for_any_path_is_no_openmetadata() {
    let page = Local::http(|_| (200, "text/html", "<!DOCTYPE html><html></html>".into())).await;
    assert_failed(&seen(kind(&page, "", "")).await, "not as OpenMetadata does");
    let missing = Local::http(|_| (404, "text/plain", "no".into())).await;
    assert_failed(&seen(kind(&missing, "", "")).await, "is this OpenMetadata?");
    let failing = Local::http(|_| (503, "text/plain", "no".into())).await;
    assert_failed(&seen(kind(&failing, "", "")).await, "HTTP 503");
    // The documented `/health` of the user interface answers HTML with 200.
    let server = new("1.12.6/system/status").await;
    let http = ProbeKind::Http {
        url: server.url("/health"),
        status: Vec::new(),
        json: Vec::new(),
        body: None,
        headers: Vec::new(),
    };
    assert_impaired(&seen(http).await, "HTML page");
}
