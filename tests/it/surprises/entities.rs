//! Entities: names that need care in a path, and lists that are longer than they look.

use openpolicy_mcp::tools::ErrorCode;
use serde_json::{Value, json};

use super::{BILLS, BOTH, recorded};
use crate::support::{
    calls::{call, live, try_call},
    replay::{Replay, Version},
};

/// Recorded: all of these are found when every sign is percent-encoded, the slash too.
#[tokio::test]
async fn names_with_signs_reach_both_servers_encoded() {
    for (name, encoded) in [
        ("\"votes.2025\"", "%22votes.2025%22"),
        ("bills v2", "bills%20v2"),
        ("motions/amendments", "motions%2Famendments"),
        ("rate%limits+plus", "rate%25limits%2Bplus"),
    ] {
        for version in BOTH {
            let server = Replay::start(version).await;
            let context = live(&server, version);
            let fqn = format!("openpolicy_pg.openpolicy.core.{name}");
            let told = call(&context, "get_entity", json!({"entities": [fqn]})).await;
            assert_eq!(told.fields["entities"][0]["fqn"], fqn, "{version:?}");
            let read = &server.requests_to("/api/v1/tables/name/")[0];
            let sent = read.target.split('?').next().unwrap();
            let plus = encoded.replace("%2B", "+");
            assert!(
                sent.ends_with(encoded) || sent.ends_with(&plus),
                "{sent} is not {encoded}"
            );
        }
    }
    let server = Replay::start(Version::V1_12_6).await;
    let fqn = "openpolicy_pg.openpolicy.étl.députés_élus";
    let context = live(&server, Version::V1_12_6);
    let told = call(&context, "get_entity", json!({"entities": [fqn]})).await;
    assert_eq!(told.fields["entities"][0]["fqn"], fqn);
}

/// Recorded: the FQN of `maria.santos` is `"maria.santos"`, and she is read by her plain name.
#[tokio::test]
async fn a_user_with_a_dot_is_found_quoted_or_not() {
    let user = Version::V1_12_6.recording("entities/users-one");
    assert_eq!(user.response["fullyQualifiedName"], "\"maria.santos\"");
    for name in ["user:maria.santos", "user:\"maria.santos\""] {
        let server = Replay::start(Version::V1_12_6).await;
        server.canned(
            "GET",
            &user.path,
            &[],
            recorded(Version::V1_12_6, "entities/users-one"),
        );
        let context = live(&server, Version::V1_12_6);
        let told = call(&context, "get_entity", json!({"entities": [name]})).await;
        assert_eq!(told.fields["returned"], 1, "{name}: {}", told.text);
        assert!(told.text.contains("Maria Santos"), "{}", told.text);
    }
}

/// Recorded: 404 with two meanings, 200 with a page, and 400.
#[tokio::test]
async fn a_path_that_is_no_route_is_told_from_an_entity_that_is_not_there() {
    for version in BOTH {
        let server = Replay::start(version).await;
        let context = live(&server, version);
        for (path, code) in [
            ("no/such/route", ErrorCode::UnsupportedVersion),
            ("tables/not-a-uuid", ErrorCode::UnsupportedVersion),
            (
                "tables/name/openpolicy_pg.openpolicy.core.nope",
                ErrorCode::NotFound,
            ),
        ] {
            let arguments = json!({"path": path});
            let error = try_call(&context, "read_openmetadata", arguments)
                .await
                .unwrap_err();
            assert_eq!(error.code, code, "{version:?} {path}");
        }
    }
}

/// Recorded: `limit=0` returns no entity and the number of them all.
#[tokio::test]
async fn a_list_of_nothing_tells_its_total() {
    for version in BOTH {
        let total = &version.recording("counts/tables").response["paging"]["total"];
        let server = Replay::start(version).await;
        let arguments = json!({"path": "tables", "query": {"limit": 0}});
        let told = call(&live(&server, version), "read_openmetadata", arguments).await;
        assert!(told.text.contains(&total.to_string()), "{}", told.text);
    }
}

/// Recorded: a profile by id is 404, by FQN it is there.
#[tokio::test]
async fn a_profile_is_read_by_name() {
    let version = Version::V1_12_6;
    assert_eq!(version.recording("entities/table-profile").status, 404);
    let server = Replay::start(version).await;
    let arguments = json!({"entities": [BILLS], "sections": ["profile"]});
    let told = call(&live(&server, version), "get_entity", arguments).await;
    assert_eq!(told.fields["entities"][0]["profile"]["rows"], 5120);
    let asked = server.requests();
    let profile = asked.iter().find(|seen| seen.path.contains("tableProfile"));
    assert!(profile.unwrap().path.contains(BILLS));
}

/// Recorded: everything a user owns is one list without pages.
#[tokio::test]
async fn what_a_user_owns_is_counted_and_cut() {
    let version = Version::V1_12_6;
    let recording = version.recording("entities/users-owns");
    let server = Replay::start(version).await;
    server.canned(
        "GET",
        &recording.path,
        &[],
        recorded(version, "entities/users-owns"),
    );
    let arguments = json!({"entities": ["user:maria.santos"]});
    let told = call(&live(&server, version), "get_entity", arguments).await;
    let owned = recording.response["owns"].as_array().unwrap().len();
    assert_eq!(told.fields["entities"][0]["owns"]["total"], owned);
    let size = Value::Object(told.fields.clone()).to_string().len();
    assert!(size < 8_000, "{size} bytes");
}

/// Recorded: `/tables?service=…` returns every table there.
#[tokio::test]
async fn a_filter_that_the_old_server_may_ignore_is_said() {
    let version = Version::V1_2_0;
    let all = &version.recording("counts/tables").response["paging"]["total"];
    let recording = version.recording("entities/table-list-service");
    assert_eq!(&recording.response["paging"]["total"], all);
    let server = Replay::start(version).await;
    let query = json!({"service": "openpolicy_pg", "limit": 3});
    let arguments = json!({"path": "tables", "query": query});
    let told = call(&live(&server, version), "read_openmetadata", arguments).await;
    assert!(
        told.warnings()
            .contains("see whether the items fit service"),
        "{}",
        told.warnings()
    );
    let arguments = json!({"path": "tables", "query": {"limit": 0}});
    let told = call(&live(&server, version), "read_openmetadata", arguments).await;
    assert_eq!(told.fields.get("warnings"), None);
}

/// Recorded: 44 of 239 nodes, 274 instead of 239, everything for a filter that is none, failed
/// parts of an index under 200.
#[tokio::test]
async fn raw_answers_that_mislead_are_said_to() {
    for (version, name, says, is_complete) in [
        (
            Version::V1_12_6,
            "lineage/get-mesh-down-size10",
            "cuts each hop",
            Some(false),
        ),
        (
            Version::V1_12_6,
            "lineage/pagination-info",
            "once for each path",
            None,
        ),
        (
            Version::V1_12_6,
            "search/filter-malformed",
            "query_filter is no JSON",
            None,
        ),
        (
            Version::V1_2_0,
            "sync/sort-fullyQualifiedName-all-old",
            "1 parts of OpenMetadata's search index failed",
            Some(false),
        ),
    ] {
        let recording = version.recording(name);
        let server = Replay::start(version).await;
        server.canned("GET", &recording.path, &[], recorded(version, name));
        let query: serde_json::Map<String, Value> = recording
            .query
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into()))
            .collect();
        let path = recording.path.trim_start_matches("/api/v1/");
        let arguments = json!({"path": path, "query": query});
        let told = call(&live(&server, version), "read_openmetadata", arguments).await;
        assert!(
            told.warnings().contains(says),
            "{name}: {}",
            told.warnings()
        );
        if let Some(is_complete) = is_complete {
            assert_eq!(told.fields["complete"], is_complete, "{name}");
        }
    }
}
