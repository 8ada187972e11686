//! Versions between and after those that were recorded: asked with care, by what they answer.

use serde_json::json;

use super::BILLS;
use crate::support::{
    calls::{call, live},
    replay::{Answer, Replay, Version},
};

/// A recorded server that calls itself another version.
async fn calling_itself(version: Version, name: &str) -> Replay {
    let server = Replay::start(version).await;
    let answer = Answer::json(200, &json!({"version": name}));
    server.canned("GET", "/api/v1/system/version", &[], answer);
    server
}

/// Up to 1.6 lineage is the legacy route's (release notes).
#[tokio::test]
async fn lineage_of_a_version_without_maps_is_the_legacy_routes() {
    let server = calling_itself(Version::V1_2_0, "1.6.3").await;
    let context = live(&server, Version::V1_2_0);
    let told = call(&context, "get_lineage", json!({"entity": BILLS})).await;
    assert_eq!(told.fields["total"], 12);
    assert_eq!(server.requests_to("/api/v1/lineage/table/name/").len(), 1);
}

/// `dataAsset` is on 1.12.6 and not on 1.2.0; where in between it came is not recorded.
#[tokio::test]
async fn a_version_without_the_index_of_all_assets_is_asked_index_by_index() {
    let server = calling_itself(Version::V1_2_0, "1.4.0").await;
    let context = live(&server, Version::V1_2_0);
    let arguments = json!({"query": "bills", "types": ["table", "pipeline"], "limit": 20});
    let told = call(&context, "search_entities", arguments).await;
    let names = told.column("hits", "fqn");
    assert!(names.contains(&BILLS.into()), "{}", told.text);
    assert!(names.contains(&"airflow.scrape_bills".into()));
    assert_eq!(told.fields["complete"], true);
}

/// 2.0 is not recorded: it is taken for the newest that is.
#[tokio::test]
async fn a_newer_version_is_asked_as_the_newest_that_is_known() {
    let server = calling_itself(Version::V1_12_6, "2.0.0").await;
    let context = live(&server, Version::V1_12_6);
    let told = call(&context, "get_entity", json!({"entities": [BILLS]})).await;
    assert_eq!(told.fields["returned"], 1);
    let told = call(&context, "get_lineage", json!({"entity": BILLS})).await;
    assert_eq!(told.fields["total"], 12);
    let told = call(&context, "search_entities", json!({"query": BILLS})).await;
    assert_eq!(told.fields["total"], 1);
}
