//! Lineage: what the server cuts or miscounts, against what the tools say; and one edge as it is
//! added, read back and removed on both servers.

use openpolicy_mcp::tools::ErrorCode;
use serde_json::{Value, json};

use super::{BILLS, BOTH, after_the_first, recorded, writes};
use crate::support::{
    calls::{Told, call, live, try_call},
    replay::{Answer, Replay, Version},
};

const M000: &str = "warehouse.DW.MESH.m000";
const RAW: &str = "openpolicy_pg.openpolicy.scrapers.raw_bills";
const PAD: &str = "openpolicy_pg.openpolicy.core.scratch_pad";

/// What `getLineage` and `getPaginationInfo` were recorded to say about the same questions.
#[tokio::test]
async fn counts_are_not_those_that_the_server_cuts_or_repeats() {
    let recording = |name: &str| &Version::V1_12_6.recording(name).response;
    let nodes = |name: &str| recording(name)["nodes"].as_object().unwrap().len();
    assert_eq!(nodes("lineage/get-mesh-down-size10"), 44);
    assert_eq!(nodes("lineage/get-mesh-down-from10"), 1);
    assert_eq!(nodes("lineage/get-bills-no-depths"), 1);
    assert_eq!(
        recording("lineage/pagination-info")["totalDownstreamEntities"],
        274
    );
    let server = Replay::start(Version::V1_12_6).await;
    let context = live(&server, Version::V1_12_6);
    let mesh = json!({"entity": M000, "direction": "downstream", "depth": 10, "limit": 10});
    let told = call(&context, "get_lineage", mesh).await;
    assert_eq!(told.fields["counts"]["downstream"], 239);
    assert_eq!(told.fields["total"], 239);
    assert_eq!(told.fields["returned"], 10);
    // Without a depth it is three hops, not the root alone.
    let told = call(&context, "get_lineage", json!({"entity": BILLS})).await;
    assert_eq!(told.fields["total"], 12);
}

/// Recorded: three hops of one small catalog are hundreds of kilobytes by `getLineage`.
#[tokio::test]
async fn no_more_hops_are_fetched_than_were_asked_for() {
    let mut sent = Vec::new();
    for depth in [1, 3] {
        let server = Replay::start(Version::V1_12_6).await;
        let context = live(&server, Version::V1_12_6);
        let arguments = json!({"entity": BILLS, "direction": "downstream", "depth": depth});
        let told = call(&context, "get_lineage", arguments).await;
        assert!(server.requests_to("/api/v1/lineage").is_empty());
        let asked = server.requests_to("/api/v1/search/query");
        // Whole documents would be 4 KB a node.
        assert!(
            asked
                .iter()
                .all(|seen| seen.parameters("include_source_fields").len() > 5)
        );
        let deepest = told.column("nodes", "depth").into_iter();
        assert_eq!(
            deepest.filter_map(|depth| depth.as_u64()).max(),
            Some(depth)
        );
        sent.push(asked.len());
    }
    assert_eq!(sent[1], sent[0] + 2, "one request a level");
}

/// Recorded: 414 with a page, for an address with 101 hashes.
#[tokio::test]
async fn an_address_that_is_too_long_is_no_end_of_lineage() {
    let server = Replay::start(Version::V1_12_6).await;
    server.fail_where(
        |seen| {
            let filter = seen.parameter("query_filter").unwrap_or_default();
            filter.contains("upstreamLineage.fromEntity")
        },
        recorded(Version::V1_12_6, "lineage-by-search/too-many-hashes"),
    );
    let context = live(&server, Version::V1_12_6);
    let mesh = json!({"entity": M000, "direction": "downstream"});
    let told = call(&context, "get_lineage", mesh).await;
    // The database still tells what lies within three hops, and the answer says why it was asked.
    assert_eq!(told.fields["counts"]["downstream"], 61);
    assert!(told.warnings().contains("414"), "{}", told.warnings());
}

/// Recorded: `writes/put-lineage-self` is taken with 200, `writes/put-lineage-bad-column` too
/// (1.12.6 drops the column, 1.2.0 answers 400).
#[tokio::test]
async fn an_edge_to_itself_or_of_a_missing_column_is_never_sent() {
    for version in BOTH {
        let (server, ids) = edges(version).await;
        let context = live(&server, version);
        let path = edge_path(version, &ids);
        server.canned("GET", &path, &[], without_edge(version, &ids));
        for (from, columns, argument) in [
            (PAD, Value::Null, "to"),
            (
                RAW,
                json!([{"from": ["nope"], "to": "note"}]),
                "columns[0].from",
            ),
        ] {
            let arguments = json!({"action": "add", "from": from, "to": PAD, "columns": columns,
                                   "dry_run": false});
            let error = try_call(&context, "edit_lineage", arguments)
                .await
                .unwrap_err();
            assert_eq!(error.argument.as_deref(), Some(argument), "{version:?}");
        }
        assert!(writes(&server).is_empty());
    }
}

/// What is sent is what was recorded to work (`writes/put-lineage`), or nothing would answer it.
#[tokio::test]
async fn an_edge_is_added_and_read_back_on_both_servers() {
    for version in BOTH {
        let (server, ids) = edges(version).await;
        let path = edge_path(version, &ids);
        server.canned("GET", &path, &[], without_edge(version, &ids));
        server.fail_where(after_the_first(1, path), with_edge(version, &ids));
        let told = added(&server, version).await.unwrap();
        assert_eq!(told.fields["applied"], true, "{version:?}");
        assert_eq!(told.fields["change"], "add the edge with 1 column mappings");
        assert_eq!(told.fields["edge"]["columns"], json!(["payload > note"]));
        assert_eq!(told.fields["edge"]["description"], "by hand");
        assert!(told.fields.get("warnings").is_none(), "{}", told.warnings());
        let sent = writes(&server);
        assert_eq!(sent.len(), 1);
        assert_eq!(
            sent[0].body_value(),
            version.recording("writes/put-lineage").body
        );
    }
}

/// Recorded: 200 with an empty body whatever became of it.
#[tokio::test]
async fn a_put_that_left_no_edge_is_no_success() {
    for version in BOTH {
        let (server, ids) = edges(version).await;
        let path = edge_path(version, &ids);
        server.canned("GET", &path, &[], without_edge(version, &ids));
        let error = added(&server, version).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::BadUpstream, "{version:?}");
        assert_eq!(writes(&server).len(), 1);
    }
}

/// Recorded: `writes/delete-lineage`, then `writes/delete-lineage-again`, which is 404.
#[tokio::test]
async fn an_edge_is_removed_once_on_both_servers() {
    for version in BOTH {
        let (server, ids) = edges(version).await;
        let path = edge_path(version, &ids);
        server.canned("GET", &path, &[], with_edge(version, &ids));
        server.fail_where(after_the_first(1, path), without_edge(version, &ids));
        let context = live(&server, version);
        let arguments = json!({"action": "remove", "from": RAW, "to": PAD, "dry_run": false});
        let told = call(&context, "edit_lineage", arguments.clone()).await;
        assert_eq!(told.fields["applied"], true, "{version:?}");
        assert_eq!(told.fields["change"], "remove the edge");
        assert_eq!(
            writes(&server)[0].path,
            version.recording("writes/delete-lineage").path
        );
        // Gone: the second time nothing is sent.
        let error = try_call(&context, "edit_lineage", arguments)
            .await
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::NotFound);
        assert_eq!(writes(&server).len(), 1);
    }
}

/// Someone else removed it between the look and the write.
#[tokio::test]
async fn removing_what_has_just_gone_is_not_found() {
    for version in BOTH {
        let (server, ids) = edges(version).await;
        server.canned(
            "GET",
            &edge_path(version, &ids),
            &[],
            with_edge(version, &ids),
        );
        let gone = recorded(version, "writes/delete-lineage-again");
        server.fail_where(|seen| seen.method == "DELETE", gone);
        let arguments = json!({"action": "remove", "from": RAW, "to": PAD, "dry_run": false});
        let error = try_call(&live(&server, version), "edit_lineage", arguments)
            .await
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::NotFound, "{version:?}");
    }
}

/// Of the entity that was in the way of `writes/put-lineage-missing-entity`.
#[tokio::test]
async fn an_end_that_has_just_gone_is_not_found() {
    for version in BOTH {
        let (server, ids) = edges(version).await;
        server.canned(
            "GET",
            &edge_path(version, &ids),
            &[],
            without_edge(version, &ids),
        );
        let missing = recorded(version, "writes/put-lineage-missing-entity");
        server.fail_where(|seen| seen.method == "PUT", missing);
        let error = added(&server, version).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::NotFound, "{version:?}");
    }
}

/// Recorded: `rights/reader-put-lineage`.
#[tokio::test]
async fn a_reader_may_not_edit_lineage_on_either_server() {
    for version in BOTH {
        let (server, ids) = edges(version).await;
        server.canned(
            "GET",
            &edge_path(version, &ids),
            &[],
            without_edge(version, &ids),
        );
        let refused = recorded(version, "rights/reader-put-lineage");
        server.fail_where(|seen| seen.method == "PUT", refused);
        let error = added(&server, version).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Forbidden, "{version:?}");
        assert!(error.message.contains("EditLineage"), "{}", error.message);
    }
}

async fn added(
    server: &Replay,
    version: Version,
) -> Result<Told, openpolicy_mcp::tools::ToolError> {
    let arguments = json!({"action": "add", "from": RAW, "to": PAD, "dry_run": false,
        "columns": [{"from": ["payload"], "to": "note"}], "description": "by hand"});
    try_call(&live(server, version), "edit_lineage", arguments).await
}

/// Ids of the two tables between which edges were written.
struct Ids {
    from: String,
    to: String,
}

/// A server with the scratch table as it was recorded among the writes.
async fn edges(version: Version) -> (Replay, Ids) {
    let server = Replay::start(version).await;
    let edge = &version.recording("writes/put-lineage").body["edge"];
    let id = |end: &str| edge[end]["id"].as_str().unwrap().to_owned();
    let ids = Ids {
        from: id("fromEntity"),
        to: id("toEntity"),
    };
    let pad = recorded(version, "writes/patch-description");
    let path = format!("/api/v1/tables/name/{PAD}");
    server.canned("GET", &path, &[], pad);
    (server, ids)
}

/// Where the edge is read: 1.2.0 has one hop up instead of a route for an edge.
fn edge_path(version: Version, ids: &Ids) -> String {
    match version {
        Version::V1_12_6 => format!("/api/v1/lineage/getLineageEdge/{}/{}", ids.from, ids.to),
        Version::V1_2_0 => format!("/api/v1/lineage/table/{}", ids.to),
    }
}

fn without_edge(version: Version, ids: &Ids) -> Answer {
    match version {
        Version::V1_12_6 => recorded(version, "lineage/edge-missing"),
        Version::V1_2_0 => Answer::json(200, &hop_up(ids, &json!([]))),
    }
}

/// The edge that `writes/put-lineage` made, in the shape of the recorded reads (`lineage/edge`,
/// `lineage/legacy-id-d3`).
fn with_edge(version: Version, ids: &Ids) -> Answer {
    let details = &version.recording("writes/put-lineage").body["edge"]["lineageDetails"];
    match version {
        Version::V1_12_6 => Answer::json(200, &json!({"edge": details})),
        Version::V1_2_0 => {
            let edge =
                json!({"fromEntity": ids.from, "toEntity": ids.to, "lineageDetails": details});
            Answer::json(200, &hop_up(ids, &json!([edge])))
        }
    }
}

fn hop_up(ids: &Ids, edges: &Value) -> Value {
    let mut answer = Version::V1_2_0
        .recording("lineage/legacy-id-d3")
        .response
        .clone();
    answer["entity"]["id"] = ids.to.clone().into();
    answer["upstreamEdges"] = edges.clone();
    answer["downstreamEdges"] = json!([]);
    answer
}
