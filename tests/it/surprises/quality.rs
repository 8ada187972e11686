//! Tests, runs, events and orders: what an HTTP 200 hides.

use openpolicy_mcp::tools::ErrorCode;
use serde_json::{Value, json};

use super::{BILLS, BOTH, recorded, writes};
use crate::support::{
    calls::{call, live, try_call},
    replay::{Answer, Replay, Version},
};

const PIPELINES: &str = "/api/v1/services/ingestionPipelines";

/// An object on both recorded servers; a list in 2.0, which is not recorded: the recorded runs, in
/// a list and one of them stopped (a state that is new in 1.12).
#[tokio::test]
async fn the_last_run_is_read_from_an_object_a_list_or_nothing() {
    let version = Version::V1_12_6;
    let mut list = version.recording("ingestion/list").response.clone();
    let pipelines = list["data"].as_array_mut().unwrap();
    for pipeline in pipelines.iter_mut() {
        if let Some(last) = pipeline.get("pipelineStatuses").cloned() {
            assert!(last.is_object());
            let mut before = last.clone();
            let started = before["timestamp"].as_i64().unwrap();
            before["timestamp"] = (started - 3_600_000).into();
            before["startDate"] = before["timestamp"].clone();
            before["pipelineState"] = "failed".into();
            pipeline["pipelineStatuses"] = json!([before, last]);
        } else {
            assert_eq!(pipeline["name"], "wh_usage");
        }
    }
    pipelines[0]["pipelineStatuses"][1]["pipelineState"] = "stopped".into();
    for (list, metadata) in [
        (
            version.recording("ingestion/list").response.clone(),
            "success",
        ),
        (list, "stopped"),
    ] {
        let server = Replay::start(version).await;
        server.canned("GET", PIPELINES, &[], Answer::json(200, &list));
        let told = call(&live(&server, version), "get_ingestion", json!({})).await;
        let rows = told.rows("pipelines");
        let last = |name: &str| {
            let row = rows.iter().find(|row| row["fqn"] == name);
            row.unwrap()["last"]["state"].clone()
        };
        assert_eq!(last("openpolicy_pg.pg_metadata"), metadata);
        assert_eq!(last("openpolicy_pg.pg_profiler"), "failed");
        assert_eq!(last("warehouse.wh_lineage"), "running");
        assert_eq!(last("warehouse.wh_usage"), "never_ran");
    }
}

/// Recorded: without a range 1.12.6 gives the newest five, 1.2.0 fails.
#[tokio::test]
async fn runs_are_always_asked_for_in_a_range() {
    let runs = |version: Version| version.recording("ingestion/pg_metadata-status-no-range");
    let five = &runs(Version::V1_12_6).response["data"];
    assert_eq!(five.as_array().unwrap().len(), 5);
    assert_eq!(runs(Version::V1_2_0).status, 500);
    for version in BOTH {
        let server = Replay::start(version).await;
        let context = live(&server, version);
        let arguments = json!({"pipeline": "pg_metadata", "since": "8d"});
        let told = call(&context, "get_ingestion", arguments).await;
        assert!(told.fields["total"].as_u64().unwrap() > 5, "{version:?}");
        let mut asked = server.requests_to(PIPELINES);
        asked.retain(|seen| seen.path.ends_with("/pipelineStatus"));
        assert!(!asked.is_empty());
        for seen in asked {
            assert!(seen.parameter("startTs").is_some() && seen.parameter("endTs").is_some());
        }
    }
}

/// Recorded: HTTP 200 and `code` 200 for an order that nobody carried out.
#[tokio::test]
async fn a_run_that_nobody_stopped_is_not_called_stopped() {
    let version = Version::V1_12_6;
    let server = Replay::start(version).await;
    let kill = recorded(version, "ingestion/kill-disabled");
    server.fail_where(|seen| seen.path.contains("/kill/"), kill);
    let context = live(&server, version);
    let arguments = json!({"pipeline": "warehouse.wh_lineage", "action": "stop", "dry_run": false});
    let told = call(&context, "control_ingestion", arguments).await;
    assert_eq!(told.fields["applied"], false);
    let state = told.fields["state"].as_str().unwrap();
    assert!(state.contains("Pipeline Client Disabled"), "{state}");
}

/// Recorded: the old server answers 400 there, with a sentence about another thing.
#[tokio::test]
async fn an_order_to_the_old_server_without_a_client_is_no_success() {
    let version = Version::V1_2_0;
    let server = Replay::start(version).await;
    let context = live(&server, version);
    let arguments =
        json!({"pipeline": "openpolicy_pg.pg_metadata", "action": "run", "dry_run": false});
    match try_call(&context, "control_ingestion", arguments).await {
        Ok(told) => {
            assert_eq!(told.fields["applied"], false);
            let state = told.fields["state"].as_str().unwrap();
            assert!(state.contains("isabled"), "{state}");
        }
        Err(error) => {
            assert!(error.message.contains("Failed to deploy"), "{error:?}");
            assert_ne!(error.code, ErrorCode::Unauthorized);
        }
    }
}

/// Recorded: no results in the list of tests unless they are asked for, and then not on 1.12.6.
#[tokio::test]
async fn failing_tests_come_with_their_result() {
    for version in BOTH {
        let server = Replay::start(version).await;
        // The results of the other test of this table were recorded of the copy alone.
        server.allow_unmatched();
        let context = live(&server, version);
        let told = call(&context, "get_data_quality", json!({"entity": BILLS})).await;
        let row = &told.rows("tests")[0];
        assert_eq!(row["status"], "failed");
        assert_eq!(row["result"], "Found nullCount=7. It should be 0");
        // The column test is of the table too, though its `entityFQN` is the column's.
        assert_eq!(row["column"], "number");
    }
}

/// Recorded: without types an empty list comes back (`events/no-types`), without a time the first
/// events of all (`events/no-timestamp`); each event carries a whole entity in a text.
#[tokio::test]
async fn events_are_asked_for_by_type_and_time_and_told_in_a_line() {
    let silent = &Version::V1_2_0.recording("events/no-types").response;
    assert_eq!(silent["data"], json!([]));
    let version = Version::V1_12_6;
    let server = Replay::start(version).await;
    let mut context = live(&server, version);
    // That recording was taken a little later than the others.
    context.now = jiff::Timestamp::from_millisecond(1_795_224_300_000).unwrap();
    let arguments = json!({"since": "2h", "kinds": ["entity", "schema"], "limit": 20});
    server.canned(
        "GET",
        "/api/v1/events",
        &[("entityUpdated", "*")],
        recorded(version, "events/star"),
    );
    server.canned(
        "GET",
        "/api/v1/events",
        &[("entityRestored", "*")],
        recorded(version, "events/one-minute"),
    );
    let told = call(&context, "get_changes", arguments).await;
    let whole = version.recording("events/star").response.to_string();
    let told = format!("{}{}", told.text, Value::Object(told.fields));
    assert!(
        told.contains("openpolicy_pg.openpolicy.core.users"),
        "{told}"
    );
    assert!(
        told.len() < whole.len() / 3,
        "{} of {}",
        told.len(),
        whole.len()
    );
    let asked = server.requests_to("/api/v1/events");
    assert!(!asked.is_empty());
    for seen in asked {
        assert!(seen.parameter("timestamp").is_some());
        assert!(
            seen.query
                .iter()
                .any(|(name, types)| { name.starts_with("entity") && !types.is_empty() }),
            "{seen}"
        );
    }
    assert!(writes(&server).is_empty());
}
