//! `read_openmetadata` as a caller uses it.

use std::sync::Arc;

use openpolicy_mcp::{
    catalog::{Catalogs, Snapshot},
    tools::{self, Caller, Context, ErrorCode, ToolError},
};
use serde_json::{Map, Value, json};

use super::{CANARY, settings, token};
use crate::support::{
    replay::{Answer, Identity, Replay, Version},
    tokens,
};

fn on(server: &Replay, with: &str) -> Context {
    let catalogs = Catalogs::of_openmetadata(&settings(&server.url(), token(with))).unwrap();
    Context::new(Arc::new(catalogs), Caller::default())
}

/// Both forms of an answer, held against the bounds that hold for every answer.
async fn read(
    context: &Context,
    arguments: Value,
) -> Result<(Map<String, Value>, String), ToolError> {
    let tool = tools::find("read_openmetadata").unwrap();
    let answer = (tool.call)(context, arguments).await?;
    let structured = answer.structured();
    let size = tokens(&Value::Object(structured.clone()).to_string());
    assert!(size <= 8_000 && tokens(&answer.text()) <= 8_000, "{size}");
    Ok((structured, answer.text()))
}

#[tokio::test]
async fn reads_an_entity_and_says_what_it_cut() {
    let server = Replay::start(Version::V1_12_6).await;
    let context = on(&server, "admin");
    let path = "tables/name/openpolicy_pg.openpolicy.core.bills";
    let (found, text) = read(&context, json!({"path": path})).await.unwrap();
    assert_eq!(found["status"], 200);
    assert_eq!(found["body"]["name"], "bills");
    assert!(tokens(&Value::Object(found.clone()).to_string()) <= 2_000);
    assert!(text.contains("One row a bill"), "{text}");
    // Named fields of it, the path as people copy it.
    let arguments = json!({
        "path": format!("/api/v1/{path}"),
        "fields": ["columns.name", "nonsense"],
    });
    let (found, _) = read(&context, arguments).await.unwrap();
    assert_eq!(found["body"]["columns"][0], json!({"name": "id"}));
    assert!(
        found["warnings"][0]
            .as_str()
            .unwrap()
            .contains("`nonsense`")
    );
}

#[tokio::test]
async fn reads_a_list_with_its_total_and_the_way_on() {
    let server = Replay::start(Version::V1_12_6).await;
    let list = json!({
        "data": (0..40).map(|n| json!({"name": format!("table {n}"), "description": "x ".repeat(200)}))
            .collect::<Vec<_>>(),
        "paging": {"total": 262, "after": "c29tZXRoaW5n"},
    });
    server.canned("GET", "/api/v1/tables", &[], Answer::json(200, &list));
    let context = on(&server, "admin");
    let (found, _) = read(&context, json!({"path": "tables"})).await.unwrap();
    assert_eq!(found["total"], 262);
    assert_eq!(found["complete"], false);
    assert_eq!(
        found["returned"],
        found["body"]["data"].as_array().unwrap().len()
    );
    assert_eq!(found["next"]["limit"], found["returned"].to_string());
    assert!(tokens(&Value::Object(found).to_string()) <= 2_000);
    let (found, _) = read(
        &context,
        json!({"path": "tables", "fields": ["name"], "limit": "40"}),
    )
    .await
    .unwrap();
    assert_eq!(found["returned"], 40);
    assert_eq!(found["next"], json!({"after": "c29tZXRoaW5n"}));
    assert_eq!(
        server.requests().last().unwrap().parameter("limit"),
        Some("40")
    );
}

#[tokio::test]
async fn shows_no_credential_and_refuses_to_fetch_one() {
    let server = Replay::start(Version::V1_12_6).await;
    server.token_identity("bot", Identity::Bot);
    let context = on(&server, "bot");
    let path = "services/databaseServices/name/openpolicy_pg";
    let (found, text) = read(&context, json!({"path": path})).await.unwrap();
    assert_eq!(found["body"]["name"], "openpolicy_pg");
    assert!(
        !text.contains("password") && !text.contains("hostPort"),
        "{text}"
    );
    let asked = server.requests().len();
    for path in [
        "users/token/x",
        "system/settings",
        "users/%74oken/x",
        "users/../users/token/x",
    ] {
        let refused = read(&context, json!({"path": path})).await.unwrap_err();
        assert!(!refused.next_step.is_empty());
        assert!(matches!(
            refused.code,
            ErrorCode::Forbidden | ErrorCode::InvalidArgument
        ));
    }
    assert_eq!(server.requests().len(), asked, "nothing refused was sent");
}

#[tokio::test]
async fn an_error_of_the_server_is_an_error_here() {
    let server = Replay::start(Version::V1_12_6).await;
    let context = on(&server, "admin");
    let missing = read(
        &context,
        json!({"path": "tables/name/openpolicy_pg.openpolicy.core.nope"}),
    )
    .await
    .unwrap_err();
    assert_eq!(missing.code, ErrorCode::NotFound);
    let route = read(&context, json!({"path": "no/such/route"}))
        .await
        .unwrap_err();
    assert_eq!(route.code, ErrorCode::UnsupportedVersion);
    for arguments in [
        json!({}),
        json!({"path": ""}),
        json!({"path": 5, "limit": 0}),
        json!([]),
    ] {
        let fault = read(&context, arguments).await.unwrap_err();
        assert_eq!(fault.code, ErrorCode::InvalidArgument);
    }
}

#[tokio::test]
async fn hostile_texts_stay_data() {
    let server = Replay::start(Version::V1_12_6).await;
    let hostile =
        json!({"name": "a\u{202E}b", "description": format!("see {}", super::jwt("{\"a\":1}"))});
    server.canned(
        "GET",
        "/api/v1/tables/name/a",
        &[],
        Answer::json(200, &hostile),
    );
    let (found, text) = read(&on(&server, "admin"), json!({"path": "tables/name/a"}))
        .await
        .unwrap();
    assert_eq!(found["body"]["name"], "ab");
    assert!(!text.contains("eyJ") && !text.contains(CANARY), "{text}");
}

#[tokio::test]
async fn a_snapshot_reads_entities_by_name_and_says_its_age() {
    let lines = concat!(
        "{\"as_of\": \"2026-01-01T00:00:00Z\"}\n",
        "{\"kind\": \"entity\", \"key\": \"a.b\", \"type\": \"table\", \"body\": {\"name\": \"b\"}}\n"
    );
    let snapshot = Snapshot::from_json_lines(lines).unwrap();
    let context = Context::new(Arc::new(Catalogs::of_snapshot(snapshot)), Caller::default());
    let (found, _) = read(&context, json!({"path": "tables/name/a.b"}))
        .await
        .unwrap();
    assert_eq!(found["body"]["name"], "b");
    assert_eq!(found["source"], "snapshot");
    assert_eq!(found["as_of"], "2026-01-01T00:00:00Z");
    let missing = read(&context, json!({"path": "tables/name/a.c"}))
        .await
        .unwrap_err();
    assert_eq!(missing.code, ErrorCode::NotFound);
    let other = read(&context, json!({"path": "roles"})).await.unwrap_err();
    assert_eq!(other.code, ErrorCode::UnsupportedVersion);
}
