//! Changes of entities that succeed on both servers, and what the servers take without a word.

use openpolicy_mcp::tools::ErrorCode;
use serde_json::{Value, json};

use super::{BILLS, BOTH, recorded, writes};
use crate::support::{
    calls::{call, live, try_call},
    replay::{Answer, Replay, Version},
};

const PAD: &str = "openpolicy_pg.openpolicy.core.scratch_pad";

/// The scratch table as it was before a write and as it is read after it.
fn standing(server: &Replay, before: &Value, after: &Value) -> String {
    let name = format!("/api/v1/tables/name/{PAD}");
    server.canned("GET", &name, &[], Answer::json(200, before));
    let path = format!("/api/v1/tables/{}", before["id"].as_str().unwrap());
    server.canned("GET", &path, &[], Answer::json(200, after));
    path
}

fn body(version: Version, name: &str) -> Value {
    version.recording(name).response.clone()
}

/// The operations of a patch without those that guard it.
fn operations(server: &Replay) -> Value {
    let sent = writes(server);
    assert_eq!(sent.len(), 1, "{sent:?}");
    let all = sent[0].body_value();
    let all = all.as_array().unwrap().iter();
    all.filter(|one| one["op"] != "test").cloned().collect()
}

/// Recorded one after the other on each server: description, column, tag, owner.
#[tokio::test]
async fn changes_that_were_recorded_to_work_are_made_on_both_servers() {
    for version in BOTH {
        let owner = match version {
            Version::V1_12_6 => "writes/patch-owner",
            Version::V1_2_0 => "writes/patch-owner-old",
        };
        for (done, set) in [
            (
                "writes/patch-description",
                json!({"description": "set once"}),
            ),
            (
                "writes/patch-column-description",
                json!({"columns": {"note": "free text"}}),
            ),
            ("writes/patch-add-tag", json!({"tags": ["PII.Sensitive"]})),
            (owner, json!({"owners": ["li.wei"]})),
        ] {
            let after = body(version, done);
            let before = undone(version, &after, &set);
            let server = Replay::start(version).await;
            let path = standing(&server, &before, &after);
            // Answered whole, as recorded: the guard in front of it was not recorded.
            server.canned("PATCH", &path, &[], recorded(version, done));
            for owned in ["owners", "owner"] {
                let user = after[owned].get(0).unwrap_or(&after[owned]);
                if user.is_object() {
                    let path = format!("/api/v1/users/name/{}", user["name"].as_str().unwrap());
                    server.canned("GET", &path, &[], Answer::json(200, user));
                }
            }
            let mut arguments = json!({"entity": PAD, "set": set, "dry_run": false});
            if set.get("tags").is_some() {
                arguments["mode"] = "add".into();
            }
            let told = call(&live(&server, version), "update_entity", arguments).await;
            assert_eq!(told.fields["applied"], true, "{version:?} {done}");
            assert_eq!(told.fields["version"], after["version"]);
            assert!(told.fields.get("warnings").is_none(), "{}", told.warnings());
            // The answer of the server is the whole entity; ours is not.
            assert!(told.text.len() < 600, "{}", told.text);
            let sent = &writes(&server)[0];
            assert_eq!(
                sent.header("content-type"),
                Some("application/json-patch+json")
            );
            let expected = &version.recording(done).body;
            let found = operations(&server);
            assert_eq!(found[0]["op"], expected[0]["op"], "{version:?} {done}");
            assert_eq!(same_tag(&found), same_tag(expected), "{version:?} {done}");
        }
    }
}

/// The path and value of the first operation; a label by its name, place and state aside.
fn same_tag(operations: &Value) -> Value {
    let value = &operations[0]["value"];
    let value = value.get("tagFQN").unwrap_or(value);
    let path = operations[0]["path"]
        .as_str()
        .unwrap()
        .replace("/tags/-", "/tags/0");
    json!([path, value])
}

/// The entity without what this change adds.
fn undone(version: Version, after: &Value, set: &Value) -> Value {
    let mut before = after.clone();
    before["version"] = 0.1.into();
    let fields = before.as_object_mut().unwrap();
    if set.get("description").is_some() {
        fields.shift_remove("description");
    }
    if set.get("tags").is_some() {
        fields["tags"] = json!([]);
    }
    if set.get("owners").is_some() {
        match version {
            Version::V1_12_6 => fields["owners"] = json!([]),
            Version::V1_2_0 => drop(fields.shift_remove("owner")),
        }
    }
    if set.get("columns").is_some() {
        let note = fields["columns"][1].as_object_mut().unwrap();
        note.shift_remove("description");
    }
    before
}

/// Recorded: 1.2.0 reads no `If-Match` and overwrites (`writes/patch-if-match-stale` is 200 there).
#[tokio::test]
async fn the_old_server_is_guarded_by_the_patch_itself() {
    let version = Version::V1_2_0;
    assert_eq!(version.recording("writes/patch-if-match-stale").status, 200);
    let server = Replay::start(version).await;
    let before = body(version, "writes/patch-description");
    let mut after = before.clone();
    after["description"] = "guarded".into();
    let path = standing(&server, &before, &after);
    server.canned("PATCH", &path, &[], Answer::json(200, &after));
    let arguments = json!({"entity": PAD, "set": {"description": "guarded"}, "dry_run": false});
    let told = call(&live(&server, version), "update_entity", arguments).await;
    assert_eq!(told.fields["applied"], true);
    assert_eq!(
        writes(&server)[0].body_value(),
        json!([
            {"op": "test", "path": "/version", "value": before["version"]},
            {"op": "replace", "path": "/description", "value": "guarded"},
        ])
    );
}

/// Recorded: 412 carries `WWW-Authenticate` too, and some 404 do.
#[tokio::test]
async fn a_conflict_that_names_a_way_to_sign_in_is_a_conflict() {
    let version = Version::V1_12_6;
    let stale = version.recording("writes/patch-if-match-stale");
    let mut headers = stale.response_headers.iter();
    assert!(headers.any(|(name, _)| name == "www-authenticate"));
    let server = Replay::start(version).await;
    let before = body(version, "writes/patch-description");
    let path = standing(&server, &before, &before);
    server.canned(
        "PATCH",
        &path,
        &[],
        recorded(version, "writes/patch-if-match-stale"),
    );
    let set = json!({"entity": PAD, "set": {"description": "fresh"}, "dry_run": false});
    let error = refused(&server, version, set.clone()).await;
    assert_eq!(error, ErrorCode::Conflict);
    // A 404 with the same header, of a table that has gone.
    server.canned(
        "PATCH",
        &path,
        &[],
        recorded(version, "entities/table-missing-id"),
    );
    assert_eq!(refused(&server, version, set).await, ErrorCode::NotFound);
}

async fn refused(server: &Replay, version: Version, arguments: Value) -> ErrorCode {
    let context = live(server, version);
    let error = try_call(&context, "update_entity", arguments)
        .await
        .unwrap_err();
    error.code
}

/// Recorded in `1.2.0/search-down`: entities, lineage and PATCH work without the search engine.
#[tokio::test]
async fn without_its_search_engine_the_old_server_still_reads_walks_and_writes() {
    let version = Version::V1_2_0;
    let server = Replay::start(version).await;
    server.search_down();
    let context = live(&server, version);
    let told = call(&context, "get_entity", json!({"entities": [BILLS]})).await;
    assert_eq!(told.fields["returned"], 1);
    let told = call(&context, "get_lineage", json!({"entity": BILLS})).await;
    assert_eq!(told.fields["total"], 12);

    let patched = version.recording("search-down/patch");
    let after = &patched.response;
    let name = after["fullyQualifiedName"].as_str().unwrap();
    let mut before = after.clone();
    before["description"] = "Accounts".into();
    before["version"] = 0.5.into();
    let by_name = format!("/api/v1/tables/name/{name}");
    server.canned("GET", &by_name, &[], Answer::json(200, &before));
    server.canned("GET", &patched.path, &[], Answer::json(200, after));
    server.canned("PATCH", &patched.path, &[], Answer::json(200, after));
    let set = json!({"description": after["description"]});
    let arguments = json!({"entity": name, "set": set, "dry_run": false});
    let told = call(&context, "update_entity", arguments).await;
    assert_eq!(told.fields["applied"], true);
    assert_eq!(operations(&server), patched.body);
}
