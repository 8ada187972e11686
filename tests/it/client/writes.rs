//! Writes: sent once, and honest where nobody knows whether they took effect.

use openpolicy_mcp::catalog::{
    CatalogError,
    client::{Method, Write},
};
use serde_json::json;
use tokio::net::TcpListener;

use super::client;
use crate::support::replay::{Answer, Replay, Version};

pub(super) fn put_lineage() -> Write<'static> {
    Write {
        method: Method::Put,
        path: "lineage",
        query: &[],
        body: None,
        content_type: None,
        if_match: None,
    }
}

#[tokio::test]
async fn a_write_without_an_answer_is_sent_once_and_its_outcome_unknown() {
    let server = Replay::start(Version::V1_12_6).await;
    server.answer_next(1, Answer::held());
    let hasty = super::hasty_client(&server.url());
    let error = hasty.write(put_lineage()).await.unwrap_err();
    assert!(
        matches!(error, CatalogError::UnknownOutcome { .. }),
        "{error:?}"
    );
    for fault in [Answer::dropped(), Answer::html(504), Answer::html(200)] {
        server.answer_next(1, fault);
        let error = client(&server.url())
            .write(put_lineage())
            .await
            .unwrap_err();
        assert!(
            matches!(error, CatalogError::UnknownOutcome { .. }),
            "{error:?}"
        );
    }
    assert_eq!(server.requests_to("/api/v1/lineage").len(), 4);
}

#[tokio::test]
async fn a_write_that_never_left_has_a_known_outcome() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = client(&format!("http://{address}"))
        .write(put_lineage())
        .await
        .unwrap_err();
    assert!(
        matches!(error, CatalogError::Unavailable { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn guards_with_if_match_and_tells_a_conflict() {
    let patch = json!([{"op": "replace", "path": "/description", "value": "stale"}]);
    let write = |path| Write {
        method: Method::Patch,
        path,
        query: &[],
        body: Some(&patch),
        content_type: Some("application/json-patch+json"),
        if_match: Some(0.1),
    };
    let server = Replay::start(Version::V1_12_6).await;
    let error = client(&server.url())
        .write(write("tables/6828a028-3437-4c6b-a1c7-abae0b77b022"))
        .await
        .unwrap_err();
    assert!(matches!(error, CatalogError::Conflict { .. }), "{error:?}");
    assert_eq!(server.requests()[0].header("if-match"), Some("W/\"0.1\""));

    // The old server's guard is a test in the patch; it answers 500.
    let server = Replay::start(Version::V1_2_0).await;
    let patch = json!([
        {"op": "test", "path": "/version", "value": 0.1},
        {"op": "replace", "path": "/description", "value": "guarded"},
    ]);
    let error = client(&server.url())
        .write(Write {
            method: Method::Patch,
            path: "tables/daabb08b-420c-4cb0-891e-79a878704ec1",
            query: &[],
            body: Some(&patch),
            content_type: Some("application/json-patch+json"),
            if_match: None,
        })
        .await
        .unwrap_err();
    assert!(matches!(error, CatalogError::Conflict { .. }), "{error:?}");
}
