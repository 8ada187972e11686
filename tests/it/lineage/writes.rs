//! edit_lineage: checks that OpenMetadata omits, difference first, read back.

use std::sync::Arc;

use openpolicy_mcp::{
    catalog::{Catalogs, snapshot},
    tools::{Caller, Context, ErrorCode},
};
use serde_json::{Value, json};

use super::{BILLS, TWIN, ask, fault, live::on};
use crate::support::{
    replay::{Answer, Identity, Replay, Version},
    wire::Seen,
};

const RAW: &str = "openpolicy_pg.openpolicy.scrapers.raw_bills";
const RAW_ID: &str = "e01b9ea7-e22d-482d-a0cc-68c020d11f40";
const BILLS_ID: &str = "a9b75237-2178-4ca1-b320-3f015ec8e877";
const USERS: &str = "openpolicy_pg.openpolicy.core.users";

fn demo() -> Context {
    let catalogs = Catalogs::of_snapshot(snapshot::demo().unwrap());
    Context::new(Arc::new(catalogs), Caller::default())
}

fn writes(server: &Replay) -> Vec<Seen> {
    let mut requests = server.requests();
    requests.retain(|seen| seen.method != "GET");
    requests
}

#[tokio::test]
async fn what_openmetadata_would_take_is_refused() {
    for context in [demo()] {
        for (arguments, argument, near) in [
            (json!({"from": BILLS, "to": BILLS}), "to", None),
            (
                json!({"from": "openpolicy_pg.openpolicy.core.bils", "to": TWIN}),
                "from",
                Some(BILLS),
            ),
            (
                json!({"from": BILLS, "to": "team:data-platform"}),
                "to",
                None,
            ),
            (
                json!({"from": "openpolicy_pg.openpolicy.core", "to": BILLS}),
                "from",
                None,
            ),
            (
                json!({"from": RAW, "to": BILLS, "columns": [{"from": ["payloda"], "to": "title"}]}),
                "columns[0].from",
                Some("payload"),
            ),
            (
                json!({"from": RAW, "to": BILLS, "columns": [{"from": "payload", "to": "titel"}]}),
                "columns[0].to",
                Some("title"),
            ),
            (
                json!({"from": "airflow.load_core", "to": BILLS, "columns": [{"from": ["a"], "to": "title"}]}),
                "columns",
                None,
            ),
        ] {
            let mut arguments: Value = arguments;
            arguments["action"] = "add".into();
            let error = fault(&context, "edit_lineage", arguments.clone()).await;
            assert_eq!(error.argument.as_deref(), Some(argument), "{arguments}");
            if let Some(near) = near {
                assert!(
                    error.did_you_mean.iter().any(|name| name == near),
                    "{error:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_difference_comes_first_and_a_snapshot_is_never_written() {
    let context = demo();
    let new = json!({"action": "add", "from": BILLS, "to": USERS, "columns": [{"from": ["sponsor_id"], "to": "id"}]});
    let answer = ask(&context, "edit_lineage", new.clone()).await;
    assert_eq!(answer["applied"], false);
    assert_eq!(
        answer["change"],
        "would add the edge with 1 column mappings"
    );
    assert_eq!(answer["added"], json!(["sponsor_id > id"]));
    assert_eq!(answer["edge"]["from"], format!("table:{BILLS}"));
    let there = json!({"action": "add", "from": RAW, "to": BILLS, "columns": [{"from": ["id"], "to": "id"}]});
    let answer = ask(&context, "edit_lineage", there).await;
    assert_eq!(answer["change"], "nothing: the edge is there already");
    let removed = json!({"action": "remove", "from": RAW, "to": BILLS});
    let answer = ask(&context, "edit_lineage", removed).await;
    assert_eq!(answer["change"], "would remove the edge");
    assert_eq!(answer["before"]["columns"].as_array().unwrap().len(), 3);
    let absent = json!({"action": "remove", "from": BILLS, "to": RAW});
    let error = fault(&context, "edit_lineage", absent).await;
    assert_eq!(error.code, ErrorCode::NotFound);
    let mut written = new;
    written["dry_run"] = false.into();
    let error = fault(&context, "edit_lineage", written).await;
    assert_eq!(error.code, ErrorCode::UnsupportedVersion);
    assert!(error.message.contains("snapshot"));
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let server = Replay::start(Version::V1_12_6).await;
    let removed = json!({"action": "remove", "from": RAW, "to": BILLS});
    let answer = ask(&on(&server), "edit_lineage", removed).await;
    assert_eq!(answer["applied"], false);
    assert_eq!(answer["before"]["pipeline"], "airflow.load_core");
    assert!(writes(&server).is_empty());
}

/// Recorded: writes/put-lineage is 200 with an empty body, whatever it did.
#[tokio::test]
async fn an_edge_is_added_whole_and_read_back() {
    let server = Replay::start(Version::V1_12_6).await;
    server.canned("PUT", "/api/v1/lineage", &[], Answer::empty(200));
    let added = json!({"action": "add", "from": RAW, "to": BILLS, "dry_run": false,
                       "columns": [{"from": ["id"], "to": "sponsor_id"}], "description": "by hand"});
    let answer = ask(&on(&server), "edit_lineage", added).await;
    let sent = writes(&server);
    assert_eq!(sent.len(), 1);
    let body = sent[0].body_value();
    assert_eq!(
        body["edge"]["fromEntity"],
        json!({"id": RAW_ID, "type": "table"})
    );
    assert_eq!(
        body["edge"]["toEntity"],
        json!({"id": BILLS_ID, "type": "table"})
    );
    let details = &body["edge"]["lineageDetails"];
    // PUT replaces the edge: what was there goes along.
    assert_eq!(details["columnsLineage"].as_array().unwrap().len(), 4);
    assert_eq!(details["source"], "PipelineLineage");
    assert_eq!(details["pipeline"]["type"], "pipeline");
    assert!(details["sqlQuery"].as_str().unwrap().starts_with("INSERT"));
    assert_eq!(details["description"], "by hand");
    // The recorded edge still answers, without the new column: as if it had been dropped.
    assert_eq!(answer["applied"], true);
    assert!(
        answer["warnings"]
            .to_string()
            .contains("dropped these columns: id > sponsor_id")
    );
}

#[tokio::test]
async fn removing_deletes_by_ids_or_keeps_the_other_columns() {
    let server = Replay::start(Version::V1_12_6).await;
    server.canned("PUT", "/api/v1/lineage", &[], Answer::empty(200));
    let one = json!({"action": "remove", "from": RAW, "to": BILLS, "dry_run": false,
                     "columns": [{"from": ["id"], "to": "id"}]});
    let answer = ask(&on(&server), "edit_lineage", one).await;
    assert_eq!(answer["removed"], json!(["id > id"]));
    let body = writes(&server)[0].body_value();
    let columns = &body["edge"]["lineageDetails"]["columnsLineage"];
    assert_eq!(columns.as_array().unwrap().len(), 2);
    // The replayed edge does not go away: a write that changed nothing is noticed.
    let path = format!("/api/v1/lineage/table/{RAW_ID}/table/{BILLS_ID}");
    server.canned("DELETE", &path, &[], Answer::empty(200));
    let whole = json!({"action": "remove", "from": RAW, "to": BILLS, "dry_run": false});
    let error = fault(&on(&server), "edit_lineage", whole).await;
    assert_eq!(error.code, ErrorCode::BadUpstream);
    assert_eq!(writes(&server)[1].path, path);
}

/// Recorded: rights/reader-put-lineage.
#[tokio::test]
async fn who_may_not_is_told_so() {
    let server = Replay::start(Version::V1_12_6).await;
    server.token_identity("a.b.c", Identity::Reader);
    server.canned(
        "PUT",
        "/api/v1/lineage",
        &[],
        Answer::json(403, &json!({"code": 403,
            "message": "Principal: CatalogPrincipal{name='plain.reader'} operations [EditLineage] not allowed"})),
    );
    let added =
        json!({"action": "add", "from": RAW, "to": BILLS, "description": "x", "dry_run": false});
    let error = fault(&on(&server), "edit_lineage", added).await;
    assert_eq!(error.code, ErrorCode::Forbidden);
    assert!(error.message.contains("EditLineage"), "{}", error.message);
}

/// 1.2.0 has no route for one edge (recorded: lineage/edge, 500): one hop up tells as much.
#[tokio::test]
async fn an_old_server_tells_of_an_edge_by_one_hop() {
    let server = Replay::start(Version::V1_2_0).await;
    let there = json!({"action": "add", "from": RAW, "to": BILLS, "columns": [{"from": ["id"], "to": "id"}]});
    let answer = ask(&on(&server), "edit_lineage", there).await;
    assert_eq!(answer["change"], "nothing: the edge is there already");
    let absent = json!({"action": "remove", "from": BILLS, "to": RAW});
    let error = fault(&on(&server), "edit_lineage", absent).await;
    assert_eq!(error.code, ErrorCode::NotFound);
}
