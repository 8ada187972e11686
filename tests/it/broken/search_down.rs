//! The search engine behind OpenMetadata is down: each tool gives what the database has, and says
//! what could not be looked at.

use openpolicy_mcp::tools::ErrorCode;
use serde_json::json;

use crate::support::{
    calls::{self, reads},
    replay::{Answer, Replay, Version},
};

const TABLE: &str = "table:openpolicy_pg.openpolicy.core.bills";

#[tokio::test]
async fn every_tool_gives_what_the_database_has() {
    for version in [Version::V1_12_6, Version::V1_2_0] {
        let replay = Replay::start(version).await;
        // Not every request of the database is recorded for every tool.
        replay.search_down().allow_unmatched();
        let context = calls::live(&replay, version);
        for (tool, arguments) in reads() {
            let told = calls::try_call(&context, tool, arguments.clone()).await;
            let place = format!("{} {tool} {arguments}: {told:?}", version.text());
            match told {
                // Nothing but search can find words.
                Err(error) if tool == "search_entities" => {
                    assert_eq!(error.code, ErrorCode::Unavailable, "{place}");
                    assert!(error.message.contains("search engine"), "{place}");
                }
                Err(error) => assert!(error.message.contains("nothing recorded"), "{place}"),
                Ok(told) => assert!(!told.text.is_empty(), "{place}"),
            }
        }
    }
}

#[tokio::test]
async fn lineage_is_read_from_the_database_in_every_direction() {
    let replay = Replay::start(Version::V1_12_6).await;
    replay.search_down().allow_unmatched();
    let context = calls::live(&replay, Version::V1_12_6);
    let mut downstream = Vec::new();
    for direction in ["both", "downstream"] {
        let asked = json!({"entity": TABLE, "direction": direction});
        let told = calls::call(&context, "get_lineage", asked).await;
        assert!(told.warnings().contains("database"), "{:?}", told.fields);
        downstream.push(told.fields["counts"]["downstream"].clone());
    }
    assert_eq!(downstream, [json!(10), json!(10)]);
    let told = calls::call(
        &context,
        "analyze_impact",
        json!({"entity": TABLE, "depth": 3}),
    )
    .await;
    assert_eq!(told.fields["affected"]["total"], 10, "{:?}", told.fields);
    assert!(told.warnings().contains("database"), "{:?}", told.fields);
}

#[tokio::test]
async fn what_could_not_be_looked_for_is_not_called_missing() {
    let replay = Replay::start(Version::V1_12_6).await;
    replay.search_down().allow_unmatched();
    let context = calls::live(&replay, Version::V1_12_6);
    let unknown = "openpolicy_pg.openpolicy.core.nope";
    // Other types whose names have this shape: recorded for tables alone, the words are the same.
    replay.fail_where(
        |seen| seen.path.ends_with(".core.nope") && !seen.path.contains("/tables/"),
        Answer::json(
            404,
            &json!({"code": 404, "message": "instance for nope not found"}),
        ),
    );
    for (tool, arguments) in [
        ("find_lineage_path", json!({"from": TABLE, "to": unknown})),
        ("get_lineage", json!({"entity": unknown})),
        ("analyze_impact", json!({"entity": unknown})),
    ] {
        let error = calls::try_call(&context, tool, arguments)
            .await
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::Unavailable, "{tool}: {error:?}");
        assert!(error.message.contains("could not look for"), "{error:?}");
    }
    // Of a known type the database knows all.
    let table = format!("table:{unknown}");
    let error = calls::try_call(&context, "get_lineage", json!({"entity": table})).await;
    assert_eq!(error.unwrap_err().code, ErrorCode::NotFound);
}
