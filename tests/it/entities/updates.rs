//! Changing entities: the difference first, guarded, read back.

use super::*;
use crate::support::replay::Answer;

const PAD: &str = "openpolicy_pg.openpolicy.core.scratch_pad";
const PAD_PATH: &str = "/api/v1/tables/name/openpolicy_pg.openpolicy.core.scratch_pad";

async fn update(context: &Context, arguments: Value) -> Value {
    let answer = call(context, "update_entity", arguments).await.unwrap();
    assert!(cost(&answer) <= 2_000, "{}", cost(&answer));
    let mut answer = Value::Object(answer.structured());
    if let Some(table) = answer.get("changes").map(records) {
        let of = |change: Value| json!({"field": change["field"], "before": change["before"], "after": change["after"]});
        answer["changes"] = table.into_iter().map(of).collect();
    }
    answer
}

async fn refused(context: &Context, arguments: Value) -> ToolError {
    call(context, "update_entity", arguments).await.unwrap_err()
}

/// The scratch table as it was recorded after some write, and its id.
fn standing(server: &Replay, document: &Value) -> String {
    server.canned("GET", PAD_PATH, &[], Answer::json(200, document));
    let id = document["id"].as_str().unwrap().to_owned();
    server.canned(
        "GET",
        &format!("/api/v1/tables/{id}"),
        &[],
        Answer::json(200, document),
    );
    id
}

fn recorded(version: Version, name: &str) -> Value {
    version.recording(name).response.clone()
}

/// Users as the recorded list has them, each under the path of a read by name.
fn users(server: &Replay, version: Version) {
    for user in Version::V1_2_0.recording("entities/users-list").response["data"]
        .as_array()
        .unwrap()
    {
        let mut user = user.clone();
        let name = user["name"].as_str().unwrap().to_owned();
        // Ids differ between the two recorded servers.
        if version == Version::V1_12_6 && name == "li.wei" {
            user["id"] = recorded(version, "writes/patch-owner")["owners"][0]["id"].clone();
        }
        server.canned(
            "GET",
            &format!("/api/v1/users/name/{name}"),
            &[],
            Answer::json(200, &user),
        );
    }
}

/// A search for these words that finds these recorded documents.
fn finding(server: &Replay, words: &str, documents: &[Value]) {
    let mut answer = recorded(Version::V1_12_6, "search/no-hit");
    answer["hits"]["hits"] = documents
        .iter()
        .map(|document| json!({"_source": document}))
        .collect();
    server.canned(
        "GET",
        "/api/v1/search/query",
        &[("q", words)],
        Answer::json(200, &answer),
    );
}

/// A document of the recorded scan of the index.
fn indexed(fqn: &str) -> Value {
    ["sync/page-1", "sync/page-2", "sync/page-3"]
        .iter()
        .flat_map(|page| {
            recorded(Version::V1_12_6, page)["hits"]["hits"]
                .as_array()
                .unwrap()
                .clone()
        })
        .map(|hit| hit["_source"].clone())
        .find(|document| document["fullyQualifiedName"] == fqn)
        .unwrap()
}

fn patches(server: &Replay) -> Vec<crate::support::replay::Seen> {
    let mut requests = server.requests();
    requests.retain(|seen| seen.method != "GET");
    requests
}

#[tokio::test]
async fn the_difference_comes_first_and_sends_nothing() {
    for version in [Version::V1_12_6, Version::V1_2_0] {
        let server = Replay::start(version).await;
        standing(&server, &recorded(version, "writes/patch-description"));
        let answer = update(&live(&server), json!({"entity": PAD, "set": {"description": "fresh", "columns": {"note": "free text"}}})).await;
        assert_eq!(answer["applied"], false);
        assert_eq!(answer["version"], 0.2);
        assert_eq!(
            answer["changes"],
            json!([
                {"field": "description", "before": "set once", "after": "fresh"},
                {"field": "columns.note", "before": null, "after": "free text"}
            ])
        );
        assert!(patches(&server).is_empty());
    }
}

#[tokio::test]
async fn a_change_is_guarded_and_read_back() {
    let version = Version::V1_12_6;
    let server = Replay::start(version).await;
    let id = standing(&server, &recorded(version, "writes/patch-description"));
    let after = recorded(version, "writes/patch-if-match-current");
    server.canned(
        "GET",
        &format!("/api/v1/tables/{id}"),
        &[],
        Answer::json(200, &after),
    );
    let answer = update(
        &live(&server),
        json!({"entity": PAD, "set": {"description": "fresh"}, "dry_run": false, "expected_version": "0.2"}),
    )
    .await;
    assert_eq!(answer["applied"], true, "{answer}");
    assert_eq!(answer["version"], after["version"]);
    assert!(answer.get("warnings").is_none(), "{answer}");
    // What was sent is what was recorded to work, guard included.
    let sent = patches(&server);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].header("if-match"), Some("W/\"0.2\""));
    assert_eq!(
        sent[0].header("content-type"),
        Some("application/json-patch+json")
    );
    assert_eq!(
        sent[0].body_value(),
        json!([{"op": "replace", "path": "/description", "value": "fresh"}])
    );
}

#[tokio::test]
async fn a_stale_change_is_a_conflict_that_says_what_changed() {
    // 1.12.6 answers 412, 1.2.0 fails the test on the version in the patch.
    for (version, value) in [(Version::V1_12_6, "stale"), (Version::V1_2_0, "guarded")] {
        let server = Replay::start(version).await;
        let mut before = recorded(version, "writes/patch-description");
        before["version"] = 0.1.into();
        let id = standing(&server, &before);
        let mut after = recorded(version, "writes/patch-description");
        after["updatedBy"] = "li.wei".into();
        server.canned(
            "GET",
            &format!("/api/v1/tables/{id}"),
            &[],
            Answer::json(200, &after),
        );
        let error = refused(
            &live(&server),
            json!({"entity": PAD, "set": {"description": value}, "dry_run": false}),
        )
        .await;
        assert_eq!(error.code, ErrorCode::Conflict);
        assert!(
            error.message.contains("description by li.wei")
                && error.message.contains("version 0.2"),
            "{}",
            error.message
        );
    }
}

#[tokio::test]
async fn an_expected_version_that_is_past_sends_nothing() {
    let server = Replay::start(Version::V1_12_6).await;
    standing(
        &server,
        &recorded(Version::V1_12_6, "writes/patch-description"),
    );
    let error = refused(
        &live(&server),
        json!({"entity": PAD, "set": {"description": "x"}, "dry_run": false, "expected_version": 0.1}),
    )
    .await;
    assert_eq!(error.code, ErrorCode::Conflict);
    assert!(patches(&server).is_empty());
}

#[tokio::test]
async fn what_is_so_already_is_not_sent() {
    let server = Replay::start(Version::V1_12_6).await;
    standing(&server, &recorded(Version::V1_12_6, "writes/patch-owner"));
    users(&server, Version::V1_12_6);
    let answer = update(
        &live(&server),
        json!({"entity": PAD, "set": {"description": "fresh", "owners": ["li.wei"], "tags": ["PII.Sensitive"]}, "dry_run": false}),
    )
    .await;
    assert_eq!(answer["applied"], false);
    assert!(answer.get("changes").is_none());
    assert!(
        answer["next_step"]
            .as_str()
            .unwrap()
            .contains("nothing to change")
    );
    assert!(patches(&server).is_empty());
}

#[tokio::test]
async fn owners_are_written_as_the_version_writes_them() {
    for version in [Version::V1_12_6, Version::V1_2_0] {
        let server = Replay::start(version).await;
        let id = standing(&server, &recorded(version, "writes/patch-description"));
        let done = if version == Version::V1_12_6 {
            "writes/patch-owner"
        } else {
            "writes/patch-owner-old"
        };
        let after = recorded(version, done);
        server.canned(
            "PATCH",
            &format!("/api/v1/tables/{id}"),
            &[],
            Answer::json(200, &after),
        );
        server.canned(
            "GET",
            &format!("/api/v1/tables/{id}"),
            &[],
            Answer::json(200, &after),
        );
        users(&server, version);
        let owner = if version == Version::V1_12_6 {
            &after["owners"][0]
        } else {
            &after["owner"]
        };
        let answer = update(
            &live(&server),
            json!({"entity": PAD, "set": {"owners": owner["name"]}, "dry_run": false}),
        )
        .await;
        assert_eq!(answer["applied"], true);
        assert!(answer.get("warnings").is_none(), "{answer}");
        let sent = patches(&server)[0].body_value();
        // The operation as recorded to work; on the old server behind the guard.
        let recorded = version.recording(done).body.clone();
        let operations: Vec<Value> = sent
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["op"] != "test")
            .cloned()
            .collect();
        assert_eq!(Value::from(operations), recorded);
        assert_eq!(sent[0]["op"] == "test", version == Version::V1_2_0);
    }
}

#[tokio::test]
async fn owners_are_known_by_display_name_unless_two_share_it() {
    let server = Replay::start(Version::V1_12_6).await;
    standing(
        &server,
        &recorded(Version::V1_12_6, "writes/patch-description"),
    );
    let found = recorded(Version::V1_12_6, "search/users");
    let maria = found["hits"]["hits"][0]["_source"].clone();
    finding(&server, "maria santos", std::slice::from_ref(&maria));
    let arguments = json!({"entity": PAD, "set": {"owners": ["maria santos"]}});
    let answer = update(&live(&server), arguments.clone()).await;
    assert_eq!(answer["changes"][0]["after"], json!(["maria.santos"]));
    let mut other = maria.clone();
    other["name"] = "m.santos".into();
    other["id"] = "00000000-0000-0000-0000-000000000007".into();
    finding(&server, "maria santos", &[maria, other]);
    let error = refused(&live(&server), arguments).await;
    assert_eq!(error.did_you_mean, ["user:maria.santos", "user:m.santos"]);
    assert_eq!(error.argument.as_deref(), Some("set.owners"));
}

#[tokio::test]
async fn names_that_do_not_exist_are_refused_before_anything_is_sent() {
    let server = Replay::start(Version::V1_12_6).await;
    standing(&server, &recorded(Version::V1_12_6, "writes/patch-owner"));
    finding(&server, "Sensitiv", &[indexed("PII.Sensitive")]);
    finding(&server, "Bil", &[indexed("Parliament.Bill")]);
    for words in ["Tier9", "Cvic", "nobody"] {
        finding(&server, words, &[]);
    }
    let context = live(&server);
    for (set, argument, near) in [
        (
            json!({"columns": {"noet": "x"}}),
            "set.columns.noet",
            Some("note"),
        ),
        (
            json!({"tags": ["PII.Sensitiv"]}),
            "set.tags",
            Some("PII.Sensitive"),
        ),
        (json!({"tags": ["Tier.Tier1"]}), "set.tags", None),
        (json!({"tier": "Tier9"}), "set.tier", None),
        (
            json!({"terms": ["Parliament.Bil"]}),
            "set.terms",
            Some("Parliament.Bill"),
        ),
        (json!({"domain": "Cvic"}), "set.domain", None),
        (json!({"owners": ["nobody"]}), "set.owners", None),
        (
            json!({"owners": [format!("table:{BILLS}")]}),
            "set.owners",
            None,
        ),
    ] {
        let error = refused(
            &context,
            json!({"entity": PAD, "set": set, "dry_run": false}),
        )
        .await;
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{set} {error:?}");
        assert_eq!(error.argument.as_deref(), Some(argument), "{set}");
        if let Some(near) = near {
            assert!(
                error.did_you_mean.contains(&near.to_owned()),
                "{set} {:?}",
                error.did_you_mean
            );
        }
    }
    assert!(patches(&server).is_empty());
}

#[tokio::test]
async fn what_the_server_did_not_take_is_said() {
    let server = Replay::start(Version::V1_12_6).await;
    let before = recorded(Version::V1_12_6, "writes/patch-description");
    let id = standing(&server, &before);
    server.canned(
        "PATCH",
        &format!("/api/v1/tables/{id}"),
        &[],
        Answer::json(200, &before),
    );
    let answer = update(
        &live(&server),
        json!({"entity": PAD, "set": {"display_name": "Pad"}, "dry_run": false}),
    )
    .await;
    assert!(
        answer["warnings"][0]
            .as_str()
            .unwrap()
            .contains("display_name"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_write_without_an_answer_is_an_unknown_outcome_until_it_shows() {
    let server = Replay::start(Version::V1_12_6).await;
    let id = standing(
        &server,
        &recorded(Version::V1_12_6, "writes/patch-description"),
    );
    server.fail_where(|seen| seen.method == "PATCH", Answer::dropped());
    let arguments = json!({"entity": PAD, "set": {"description": "fresh"}, "dry_run": false});
    let error = refused(&live(&server), arguments.clone()).await;
    assert_eq!(error.code, ErrorCode::Timeout);
    assert!(
        error.next_step.contains("get_entity") && error.next_step.contains("0.2"),
        "{}",
        error.next_step
    );
    // Sent once: a write is never repeated.
    assert_eq!(patches(&server).len(), 1);
    let after = recorded(Version::V1_12_6, "writes/patch-if-match-current");
    server.canned(
        "GET",
        &format!("/api/v1/tables/{id}"),
        &[],
        Answer::json(200, &after),
    );
    let answer = update(&live(&server), arguments).await;
    assert_eq!(answer["applied"], true);
    assert!(
        answer["warnings"][0]
            .as_str()
            .unwrap()
            .contains("reading it back"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_missing_right_is_forbidden() {
    let server = Replay::start(Version::V1_2_0).await;
    let id = standing(
        &server,
        &recorded(Version::V1_2_0, "writes/patch-description"),
    );
    let refusal = Version::V1_2_0.recording("rights/reader-patch-owner");
    server.canned(
        "PATCH",
        &format!("/api/v1/tables/{id}"),
        &[],
        Answer::json(403, &refusal.response),
    );
    let error = refused(
        &live(&server),
        json!({"entity": PAD, "set": {"owners": ["maria.santos"]}, "dry_run": false}),
    )
    .await;
    assert_eq!(error.code, ErrorCode::Forbidden);
    assert!(error.message.contains("EditOwner"), "{}", error.message);
}

#[tokio::test]
async fn an_old_server_holds_one_owner() {
    let server = Replay::start(Version::V1_2_0).await;
    standing(
        &server,
        &recorded(Version::V1_2_0, "writes/patch-description"),
    );
    users(&server, Version::V1_2_0);
    let error = refused(
        &live(&server),
        json!({"entity": PAD, "set": {"owners": ["maria.santos", "li.wei"]}}),
    )
    .await;
    assert_eq!(error.argument.as_deref(), Some("set.owners"));
}

#[tokio::test]
async fn a_snapshot_shows_the_difference_and_is_never_changed() {
    let context = demo();
    let set = json!({"tier": "2", "owners": ["Maria Santos", "team:data-platform"], "domain": "civic records", "columns": {"meta.chamber.name": "House or Senate"}});
    let answer = update(&context, json!({"entity": BILLS, "set": set})).await;
    let fields: Vec<_> = answer["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["owners", "tier", "columns.meta.chamber.name"]);
    assert_eq!(
        answer["changes"][0]["after"],
        json!(["maria.santos", "data-platform"])
    );
    assert_eq!(
        answer["changes"][1],
        json!({"field": "tier", "before": "Tier1", "after": "Tier2"})
    );
    assert_eq!(answer["source"], "snapshot");
    let error = refused(
        &context,
        json!({"entity": BILLS, "set": set, "dry_run": false}),
    )
    .await;
    assert_eq!(error.code, ErrorCode::UnsupportedVersion);
    assert!(error.message.contains("snapshot"));
}

#[tokio::test]
async fn values_are_added_and_removed() {
    let context = demo();
    let change = async |mode: &str, set: Value| {
        let answer = update(&context, json!({"entity": BILLS, "mode": mode, "set": set})).await;
        answer.pointer("/changes/0").cloned().unwrap_or_default()
    };
    assert_eq!(
        change("add", json!({"tags": ["PII.Sensitive"]})).await,
        json!({"field": "tags", "before": null, "after": ["PII.Sensitive"]})
    );
    assert_eq!(
        change("remove", json!({"tier": "*"})).await,
        json!({"field": "tier", "before": "Tier1", "after": null})
    );
    assert_eq!(
        change("remove", json!({"description": "*"})).await["after"],
        Value::Null
    );
    assert_eq!(
        change("remove", json!({"terms": ["Parliament.Bill"]})).await["after"],
        Value::Null
    );
    assert_eq!(
        change("remove", json!({"owners": ["maria.santos"]})).await,
        Value::Null
    );
    let error = refused(
        &context,
        json!({"entity": BILLS, "mode": "add", "set": {"tier": "2"}}),
    )
    .await;
    assert_eq!(error.argument.as_deref(), Some("set.tier"));
}

#[tokio::test]
async fn bad_input_is_named() {
    let context = demo();
    for (arguments, argument) in [
        (json!({"set": {"tier": "1"}}), "entity"),
        (json!({"entity": BILLS}), "set"),
        (json!({"entity": BILLS, "set": {}}), "set"),
        (json!({"entity": BILLS, "set": {"description": ""}}), "set"),
        (json!({"entity": BILLS, "set": {"owner": "x"}}), "set.owner"),
        (
            json!({"entity": BILLS, "set": {"tier": "1"}, "mode": "replace"}),
            "mode",
        ),
        (
            json!({"entity": BILLS, "set": {"tier": "1"}, "dry_run": "perhaps"}),
            "dry_run",
        ),
    ] {
        let error = refused(&context, arguments.clone()).await;
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{arguments}");
        assert_eq!(error.argument.as_deref(), Some(argument), "{arguments}");
    }
    let error = refused(
        &context,
        json!({"entity": "openpolicy_pg.openpolicy.core.bils", "set": {"tier": "1"}}),
    )
    .await;
    assert_eq!(error.code, ErrorCode::NotFound);
    assert!(error.did_you_mean.contains(&BILLS.to_owned()));
}

#[tokio::test]
async fn large_differences_are_counted_and_cut() {
    let names = (0..300).map(|at| {
        (
            format!("c{at:03}"),
            Value::from("what was asked, in full ".repeat(20)),
        )
    });
    let columns: serde_json::Map<String, Value> = names.collect();
    let arguments =
        json!({"entity": WIDE, "set": {"columns": columns, "description": "x".repeat(9_000)}});
    let answer = update(&demo(), arguments).await;
    assert_eq!(answer["total"], 301);
    assert_eq!(answer["complete"], false);
    assert_eq!(
        answer["returned"],
        answer["changes"].as_array().unwrap().len()
    );
}
