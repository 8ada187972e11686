//! The lineage tools on a live OpenMetadata 1.12.6, replayed: exact where it cuts, honest where
//! it fails.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use openpolicy_mcp::{
    catalog::{
        Catalog, Catalogs, Credential, Reference, Settings,
        lineage::{Gap, Reach},
        snapshot,
    },
    tools::{Caller, Context, ErrorCode},
};
use serde_json::{Value, json};

use super::{BILLS, M000, TWIN, ask, call, cell, fault, names, within};
use crate::support::{
    replay::{Answer, Replay, Version},
    wire::Seen,
};

pub fn settings(server: &Replay) -> Settings {
    Settings {
        url: server.url(),
        credential: Credential::Token("a.b.c".to_owned().into()),
        ..Settings::default()
    }
}

pub fn on(server: &Replay) -> Context {
    let catalogs = Catalogs::of_openmetadata(&settings(server)).unwrap();
    Context::new(Arc::new(catalogs), Caller::default())
}

fn demo() -> Context {
    let catalogs = Catalogs::of_snapshot(snapshot::demo().unwrap());
    Context::new(Arc::new(catalogs), Caller::default())
}

/// A question for the users of some entities.
fn asks_downstream(seen: &Seen) -> bool {
    seen.parameter("query_filter")
        .is_some_and(|filter| filter.contains("upstreamLineage.fromEntity"))
}

#[tokio::test]
async fn live_and_copy_agree() {
    let server = Replay::start(Version::V1_12_6).await;
    // What a misspelt name may have meant is a search for words, which nobody recorded.
    server.allow_unmatched();
    let (live, copy) = (on(&server), demo());
    for arguments in [
        json!({"entity": BILLS}),
        json!({"entity": TWIN, "depth": 5}),
        json!({"entity": M000, "depth": 10, "limit": 500}),
        json!({"entity": "warehouse.DW.MESH.m239", "depth": 10}),
        json!({"entity": "warehouse.DW.MART.orphan_report"}),
        json!({"entity": "superset.parliament_overview", "direction": "upstream", "depth": 10}),
        json!({"entity": "openpolicy_pg.openpolicy.core.\"votes.2025\""}),
        json!({"entity": "openpolicy_pg.openpolicy.core.motions/amendments"}),
        json!({"entity": BILLS, "column": "title"}),
        json!({"entity": format!("{BILLS}.number")}),
    ] {
        let mut expected = ask(&copy, "get_lineage", arguments.clone()).await;
        expected.remove("source");
        expected.remove("as_of");
        let found = ask(&live, "get_lineage", arguments.clone()).await;
        assert_eq!(Value::from(found), Value::from(expected), "{arguments}");
    }
}

/// `getLineage` cuts each hop silently (recorded: 44 of 239 with size 10), and `getPaginationInfo`
/// counts a node once a path (274): neither is asked.
#[tokio::test]
async fn the_mesh_is_counted_exactly_and_in_addresses_that_fit() {
    let server = Replay::start(Version::V1_12_6).await;
    let arguments = json!({"entity": M000, "depth": 10});
    let answer = within(&on(&server), "get_lineage", arguments, 1_800).await;
    assert_eq!(answer["counts"]["downstream"], 239);
    assert_eq!(answer["counts"]["upstream"], 11);
    assert!(!answer.contains_key("warnings"), "{answer:?}");
    assert!(server.requests_to("/api/v1/lineage").is_empty());
    let asked = server.requests_to("/api/v1/search/query");
    for seen in &asked {
        // Recorded: 101 hashes in one address are refused (414).
        let filter = seen.parameter("query_filter").unwrap_or_default();
        assert!(filter.matches(", \"").count() <= 40 && seen.target.len() < 8_000);
    }
    assert!(asked.len() < 40, "{} requests", asked.len());
}

#[tokio::test]
async fn unknown_names_are_not_found_with_near_ones() {
    let server = Replay::start(Version::V1_12_6).await;
    // The search for near names by words is not recorded.
    server.allow_unmatched();
    let context = on(&server);
    let missing = json!({"entity": "openpolicy_pg.openpolicy.core.nope"});
    let error = fault(&context, "get_lineage", missing).await;
    assert_eq!(error.code, ErrorCode::NotFound);
    let twin = fault(
        &context,
        "get_lineage",
        json!({"entity": "openpolicy_pg.openpolicy.core.BILLS"}),
    )
    .await;
    assert!(twin.did_you_mean.contains(&BILLS.to_owned()), "{twin:?}");
    // `getLineage` accepts a wrong type; this does not.
    let wrong = fault(
        &context,
        "get_lineage",
        json!({"entity": format!("dashboard:{BILLS}")}),
    )
    .await;
    assert_eq!(wrong.code, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_column_is_no_entity_and_yet_has_lineage() {
    let server = Replay::start(Version::V1_12_6).await;
    // The search for near names by words is not recorded.
    server.allow_unmatched();
    let context = on(&server);
    let column = json!({"entity": format!("{BILLS}.title"), "direction": "upstream"});
    let answer = ask(&context, "get_lineage", column).await;
    assert_eq!(
        answer["column"]["comes_from"],
        json!(["openpolicy_pg.openpolicy.scrapers.raw_bills.payload"])
    );
    let wrong = json!({"entity": format!("{BILLS}.titel")});
    let error = fault(&context, "get_lineage", wrong).await;
    assert_eq!(error.did_you_mean[0], "title");
}

#[tokio::test]
async fn with_the_search_down_the_database_answers() {
    let server = Replay::start(Version::V1_12_6).await;
    server.search_down();
    let context = on(&server);
    let answer = ask(&context, "get_lineage", json!({"entity": BILLS})).await;
    assert_eq!(answer["counts"]["upstream"], 2);
    assert_eq!(answer["counts"]["downstream"], 10);
    let warnings = answer["warnings"].to_string();
    assert!(warnings.contains("search did not answer"), "{warnings}");
    // Three hops were asked for, and no further was looked.
    assert!(warnings.contains("beyond 3 hops downstream"), "{warnings}");
    // Deeper than one request goes.
    let deep = ask(
        &context,
        "get_lineage",
        json!({"entity": M000, "depth": 10}),
    )
    .await;
    assert_eq!(deep["counts"]["downstream"], 239);
    assert_eq!(deep["counts"]["upstream"], 11);
    let missing = json!({"entity": "table:openpolicy_pg.openpolicy.core.nope"});
    let error = fault(&context, "get_lineage", missing).await;
    assert_eq!(error.code, ErrorCode::NotFound);
}

#[tokio::test]
async fn parts_of_the_index_that_failed_make_counts_lower_bounds() {
    let server = Replay::start(Version::V1_12_6).await;
    let empty = json!({"_shards": {"failed": 2, "total": 43},
                       "hits": {"total": {"value": 0}, "hits": []}});
    server.fail_where(asks_downstream, Answer::json(200, &empty));
    let context = on(&server);
    let answer = ask(&context, "get_lineage", json!({"entity": BILLS})).await;
    assert_eq!(answer["complete"], false);
    assert_eq!(answer["total_is_lower_bound"], true);
    assert!(
        answer["warnings"]
            .to_string()
            .contains("2 parts of OpenMetadata's search index")
    );
    let impact = ask(&context, "analyze_impact", json!({"entity": BILLS})).await;
    assert_eq!(impact["affected"]["total_is_lower_bound"], true);
    assert_eq!(impact["complete"], false);
}

#[tokio::test]
async fn could_not_look_is_not_the_same_as_not_connected() {
    let server = Replay::start(Version::V1_12_6).await;
    let context = on(&server);
    let question = json!({"from": "warehouse.DW.MART.orphan_report", "to": M000});
    let none = ask(&context, "find_lineage_path", question.clone()).await;
    assert_eq!(none["status"], "not_connected");
    assert_eq!(none["searched"], 11);
    // The way up fails in the middle.
    let hash = openpolicy_mcp::catalog::fqn::hash("warehouse.DW.STAGING.stg_votes");
    server.fail_where(
        move |seen| {
            seen.parameter("query_filter")
                .is_some_and(|filter| filter.contains(&hash))
        },
        Answer::json(
            200,
            &json!({"_shards": {"failed": 1}, "hits": {"total": {"value": 0}, "hits": []}}),
        ),
    );
    let error = fault(&on(&server), "find_lineage_path", question).await;
    assert_eq!(error.code, ErrorCode::Timeout);
    assert!(
        error.message.contains("could not look"),
        "{}",
        error.message
    );
    assert_ne!(error.retry, openpolicy_mcp::tools::error::Retry::No);
}

/// A server that counts more than it gives, or gives no count at all, is not believed.
#[tokio::test]
async fn a_lying_index_is_noticed() {
    let server = Replay::start(Version::V1_12_6).await;
    server.fail_where(
        |seen| asks_downstream(seen) && seen.parameter("from") == Some("0"),
        Answer::json(200, &json!({"_shards": {"failed": 0}, "hits": {"total": {"value": 7}, "hits": [
            {"_id": "1", "_source": {"fullyQualifiedName": "x.y", "entityType": "topic", "name": "y",
              "upstreamLineage": [{"fromEntity": {"fullyQualifiedName": BILLS, "type": "table", "id": "2"}}]}}]}})),
    );
    server.fail_where(
        |seen| asks_downstream(seen) && seen.parameter("from") == Some("1"),
        Answer::json(
            200,
            &json!({"_shards": {"failed": 0}, "hits": {"total": {"value": 7}, "hits": []}}),
        ),
    );
    let arguments = json!({"entity": BILLS, "direction": "downstream", "depth": 1});
    let answer = ask(&on(&server), "get_lineage", arguments).await;
    assert_eq!(names(&answer["nodes"]), ["x.y"]);
    assert_eq!(answer["total_is_lower_bound"], true);
    assert!(
        answer["warnings"]
            .to_string()
            .contains("6 entities more than it returned")
    );
}

#[tokio::test]
async fn more_than_one_page_is_read_to_the_end() {
    let server = Replay::start(Version::V1_12_6).await;
    let page = |first: usize, last: usize| {
        let hits: Vec<Value> = (first..last)
            .map(|n| {
                json!({"_id": n.to_string(), "_source": {
                    "fullyQualifiedName": format!("x.y{n}"), "entityType": "topic", "name": format!("y{n}"),
                    "upstreamLineage": [{"fromEntity": {"fullyQualifiedName": BILLS, "type": "table", "id": "2"}}]}})
            })
            .collect();
        Answer::json(
            200,
            &json!({"_shards": {"failed": 0}, "hits": {"total": {"value": 250}, "hits": hits}}),
        )
    };
    let bills = openpolicy_mcp::catalog::fqn::hash(BILLS);
    let of_bills = move |seen: &Seen| {
        asks_downstream(seen)
            && seen
                .parameter("query_filter")
                .is_some_and(|f| f.contains(&bills))
    };
    let (first, second) = (of_bills.clone(), of_bills);
    server.fail_where(
        move |seen| first(seen) && seen.parameter("from") == Some("0"),
        page(0, 200),
    );
    server.fail_where(
        move |seen| second(seen) && seen.parameter("from") == Some("200"),
        page(200, 250),
    );
    let arguments = json!({"entity": BILLS, "direction": "downstream", "depth": 1});
    let answer = ask(&on(&server), "get_lineage", arguments).await;
    assert_eq!(answer["counts"]["downstream"], 250);
    assert!(!answer.contains_key("more_beyond"));
    assert!(!answer.contains_key("total_is_lower_bound"));
}

#[tokio::test]
async fn the_deadline_cuts_and_says_so() {
    let server = Replay::start(Version::V1_12_6).await;
    // The second level down is never answered.
    let level = openpolicy_mcp::catalog::fqn::hash("warehouse.DW.STAGING.stg_bills");
    server.fail_where(
        move |seen| {
            asks_downstream(seen)
                && seen
                    .parameter("query_filter")
                    .is_some_and(|f| f.contains(&level))
        },
        Answer::held(),
    );
    let catalogs = Catalogs::of_openmetadata(&settings(&server)).unwrap();
    let catalog: Catalog = catalogs.of(None).unwrap();
    let bills = catalog
        .resolve(&Reference::parse(BILLS).unwrap())
        .await
        .unwrap();
    let reach = Reach {
        upstream: 3,
        downstream: 3,
    };
    let deadline = Instant::now() + Duration::from_millis(1_500);
    let lineage = catalog.lineage(&bills, reach, deadline).await.unwrap();
    let gap = Gap::Deadline {
        direction: openpolicy_mcp::catalog::graph::Direction::Downstream,
        depth: 1,
    };
    assert_eq!(lineage.gaps, [gap]);
    assert!(lineage.graph.find("kafka.bill-events", None).is_some());
    assert!(lineage.graph.find("s3.raw-dumps", None).is_some());
}

#[tokio::test]
async fn a_broken_search_and_a_broken_database_are_unavailable() {
    let server = Replay::start(Version::V1_12_6).await;
    server.fail_where(
        |seen| !seen.path.contains("/system/"),
        Answer::json(503, &json!({"code": 503, "message": "down"})),
    );
    let error = call(&on(&server), "get_lineage", json!({"entity": BILLS}))
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
}

/// SQL that a document only names by key is read edge by edge (recorded: lineage/edge).
#[tokio::test]
async fn sql_is_read_where_the_document_only_names_it() {
    let server = Replay::start(Version::V1_12_6).await;
    server.canned(
        "GET",
        "/api/v1/lineage/getLineageEdge/a9b75237-2178-4ca1-b320-3f015ec8e877/5439b6c7-6fad-44e0-9ec6-8ddf268f3d7e",
        &[],
        Answer::json(200, &json!({"edge": {"sqlQuery": "CREATE VIEW a AS SELECT 1", "source": "ViewLineage"}})),
    );
    let arguments = json!({"entity": BILLS, "depth": 1, "details": true});
    let answer = ask(&on(&server), "get_lineage", arguments.clone()).await;
    let edges = answer["edges"]["rows"].to_string();
    assert!(edges.contains("CREATE VIEW a AS SELECT 1"), "{edges}");
    assert!(edges.contains("INSERT INTO core.bills"));
    server.heal();
    server.canned(
        "GET",
        "/api/v1/lineage/getLineageEdge/a9b75237-2178-4ca1-b320-3f015ec8e877/5439b6c7-6fad-44e0-9ec6-8ddf268f3d7e",
        &[],
        Answer::json(500, &json!({"code": 500, "message": "no"})),
    );
    let without = ask(&on(&server), "get_lineage", arguments).await;
    assert!(
        without["warnings"]
            .to_string()
            .contains("SQL of 1 edges was not read")
    );
}

#[tokio::test]
async fn impact_and_paths_live() {
    let server = Replay::start(Version::V1_12_6).await;
    let (live, copy) = (on(&server), demo());
    for (tool, arguments) in [
        ("analyze_impact", json!({"entity": BILLS, "limit": 20})),
        (
            "analyze_impact",
            json!({"entity": BILLS, "column": "number"}),
        ),
        ("analyze_impact", json!({"service": "kafka"})),
        (
            "find_lineage_path",
            json!({"from": "s3.raw-dumps", "to": M000}),
        ),
        ("find_lineage_path", json!({"from": M000, "to": BILLS})),
        (
            "find_lineage_path",
            json!({"from": BILLS, "to": M000, "max_depth": 3}),
        ),
    ] {
        let mut expected = ask(&copy, tool, arguments.clone()).await;
        expected.remove("source");
        expected.remove("as_of");
        let found = ask(&live, tool, arguments.clone()).await;
        assert_eq!(
            Value::from(found),
            Value::from(expected),
            "{tool} {arguments}"
        );
    }
    let impact = ask(&live, "analyze_impact", json!({"entity": BILLS})).await;
    assert_eq!(impact["affected"]["total"], 250);
    assert_eq!(cell(&impact["notify"], "data-platform", "kind"), "team");
}
