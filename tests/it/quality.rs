//! Data quality and ingestion: get_data_quality, get_ingestion, update_incident, control_ingestion.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use openpolicy_mcp::catalog::snapshot::{self, Kind};
use openpolicy_mcp::tools::ErrorCode;
use serde_json::{Value, json};

use crate::support::calls::{call, demo, live, try_call};
use crate::support::replay::{Answer, Replay, Version};
use crate::support::tokens;

const BILLS: &str = "openpolicy_pg.openpolicy.core.bills";
const NUMBER_TEST: &str = "openpolicy_pg.openpolicy.core.bills.number.number_not_null";
const INCIDENTS: &str = "/api/v1/dataQuality/testCases/testCaseIncidentStatus";

/// Results that were recorded in the catalog's copy, though not each by its own request.
fn with_results(replay: &Replay) {
    let copy = snapshot::demo().unwrap();
    for (test, results) in copy.documents(Kind::TestResults).unwrap() {
        let total = results.as_array().unwrap().len();
        let answer = json!({"data": results, "paging": {"total": total}});
        let path = format!("/api/v1/dataQuality/testCases/testCaseResults/{test}");
        replay.canned("GET", &path, &[], Answer::json(200, &answer));
    }
}

/// The service itself was recorded with other fields than it is asked for by, and the search that
/// finds it was not recorded.
fn with_service(replay: &Replay, version: Version) {
    if version == Version::V1_2_0 {
        let service = recorded(version, "ingestion/service-with-pipelines-old");
        let path = "/api/v1/services/databaseServices/name/openpolicy_pg";
        replay.canned("GET", path, &[], service);
        let nothing = json!({"hits": {"total": {"value": 0}, "hits": []}});
        let search = "/api/v1/search/query";
        replay.canned("GET", search, &[], Answer::json(200, &nothing));
    }
}

fn recorded(version: Version, name: &str) -> Answer {
    Answer::json(200, &version.recording(name).response)
}

#[tokio::test]
async fn without_arguments_everything_failing_is_listed_and_everything_is_counted() {
    let told = call(&demo(), "get_data_quality", json!({})).await;
    assert_eq!(
        told.column("tests", "name"),
        ["number_not_null", "ballot_in_set", "raw_fresh"]
    );
    assert_eq!(told.fields["counts"]["tests"], 5);
    assert_eq!(told.fields["counts"]["failed"], 3);
    assert_eq!(told.fields["counts"]["success"], 2);
    assert_eq!(told.fields["total"], 3);
    assert_eq!(told.fields["complete"], true);
    assert_eq!(told.fields["source"], "snapshot");
    let first = &told.rows("tests")[0];
    assert_eq!(first["fqn"], NUMBER_TEST);
    assert_eq!(first["entity"], BILLS);
    assert_eq!(first["column"], "number");
    assert_eq!(first["result"], "Found nullCount=7. It should be 0");
    assert_eq!(first["at"], "2026-11-21T00:15:59Z");
    assert!(told.text.contains("Found nullCount=7"), "{}", told.text);
    assert_eq!(told.rows("incidents").len(), 3);
    assert!(tokens(&told.text) < 700, "{}", tokens(&told.text));
}

#[tokio::test]
async fn pages_hold_every_test_once() {
    let context = demo();
    let mut names = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let arguments = json!({"service": "openpolicy_pg", "limit": 1, "cursor": cursor});
        let told = call(&context, "get_data_quality", arguments).await;
        assert_eq!(told.fields["total"], 4);
        names.extend(told.column("tests", "name"));
        match told.fields.get("next") {
            Some(next) => cursor = next.clone(),
            None => break,
        }
    }
    assert_eq!(
        names,
        [
            "number_not_null",
            "ballot_in_set",
            "raw_fresh",
            "bills_row_count"
        ]
    );
}

#[tokio::test]
async fn an_entity_has_the_tests_of_its_columns_too() {
    let replay = Replay::start(Version::V1_12_6).await;
    with_results(&replay);
    let context = live(&replay, Version::V1_12_6);
    let told = call(&context, "get_data_quality", json!({"entity": BILLS})).await;
    assert_eq!(told.column("tests", "status"), ["failed", "success"]);
    assert_eq!(
        told.column("tests", "column"),
        [json!("number"), Value::Null]
    );
    assert_eq!(told.rows("incidents")[0]["state"], "new");
    assert_eq!(told.rows("incidents")[0]["severity"], "Severity1");
    let asked = replay.requests_to("/api/v1/dataQuality/testCases");
    // Others ask there at the same time: which comes first is chance.
    assert!(
        asked
            .iter()
            .any(|request| request.parameter("includeAllTests") == Some("true"))
    );
    assert!(told.fields.get("warnings").is_none(), "{}", told.warnings());
}

#[tokio::test]
async fn incidents_are_never_filtered_by_state_on_the_server() {
    // `testCaseResolutionStatusType` is a 500 on 1.12.6 (quality/incidents-new), the search 400.
    let replay = Replay::start(Version::V1_12_6).await;
    with_results(&replay);
    let context = live(&replay, Version::V1_12_6);
    let told = call(
        &context,
        "get_data_quality",
        json!({"service": "openpolicy_pg"}),
    )
    .await;
    let states = told.column("incidents", "state");
    assert_eq!(states, ["acknowledged", "new", "new"]);
    for asked in replay.requests_to(INCIDENTS) {
        assert_eq!(asked.parameter("testCaseResolutionStatusType"), None);
        assert_eq!(asked.path, INCIDENTS);
    }
}

#[tokio::test]
async fn the_old_server_ignores_filters_and_has_no_incidents() {
    let replay = Replay::start(Version::V1_2_0).await;
    let context = live(&replay, Version::V1_2_0);
    let told = call(&context, "get_data_quality", json!({})).await;
    // It answers `testCaseStatus=Failed` with all five (quality/testcases-status-failed).
    assert_eq!(
        told.column("tests", "status"),
        ["failed", "failed", "failed"]
    );
    assert_eq!(told.fields["counts"]["success"], 2);
    assert!(told.fields.get("incidents").is_none());
    assert!(
        told.warnings().contains("has no incidents"),
        "{}",
        told.warnings()
    );

    let told = call(&context, "get_data_quality", json!({"entity": BILLS})).await;
    assert_eq!(told.fields["total"], 2);
    assert_eq!(told.rows("tests")[1]["result"], "Found rowCount=5120");
    assert!(
        replay
            .requests()
            .iter()
            .all(|seen| seen.parameter("entityFQN").is_none())
    );
}

#[tokio::test]
async fn results_of_one_test_come_from_the_route_that_this_version_has() {
    for (version, route) in [
        (
            Version::V1_12_6,
            "/api/v1/dataQuality/testCases/testCaseResults/",
        ),
        (Version::V1_2_0, "/testCaseResult"),
    ] {
        let replay = Replay::start(version).await;
        let context = live(&replay, version);
        let now = context.now.as_millisecond();
        let results = context
            .catalog()
            .unwrap()
            .test_results(NUMBER_TEST, now - 7 * 86_400_000, now, context.deadline())
            .await
            .unwrap();
        assert_eq!(results.len(), 7, "{version:?}");
        assert!(results.is_sorted_by_key(|result| -result.at));
        assert!(
            replay
                .requests()
                .iter()
                .any(|seen| seen.path.contains(route))
        );
    }
}

#[tokio::test]
async fn tests_that_never_ran_are_not_successes() {
    let replay = Replay::start(Version::V1_12_6).await;
    let listed = json!({"data": [
        {"id": "1", "name": "quiet", "fullyQualifiedName": format!("{BILLS}.quiet"),
         "entityLink": format!("<#E::table::{BILLS}>")}], "paging": {"total": 1}});
    replay.canned(
        "GET",
        "/api/v1/dataQuality/testCases",
        &[],
        Answer::json(200, &listed),
    );
    let context = live(&replay, Version::V1_12_6);
    let told = call(&context, "get_data_quality", json!({"entity": BILLS})).await;
    assert_eq!(told.column("tests", "status"), ["never_run"]);
    assert_eq!(told.fields["counts"]["never_run"], 1);
    assert!(told.fields["counts"].get("success").is_none());
}

#[tokio::test]
async fn what_could_not_be_looked_at_is_said() {
    let replay = Replay::start(Version::V1_12_6).await;
    with_results(&replay);
    let broken = Answer::json(500, &json!({"code": 500, "message": "boom"}));
    replay.fail_where(|seen| seen.path == INCIDENTS, broken);
    let context = live(&replay, Version::V1_12_6);
    let told = call(&context, "get_data_quality", json!({"entity": BILLS})).await;
    assert_eq!(told.fields["total"], 2);
    assert!(
        told.warnings().contains("could not look at the incidents"),
        "{}",
        told.warnings()
    );
}

#[tokio::test]
async fn since_keeps_newer_results_only_and_near_misses_are_corrected() {
    let context = demo();
    let told = call(&context, "get_data_quality", json!({"since": "2h"})).await;
    assert_eq!(told.column("tests", "name"), ["number_not_null"]);
    let error = try_call(&context, "get_data_quality", json!({"since": "24"}))
        .await
        .unwrap_err();
    assert_eq!(error.argument.as_deref(), Some("since"));
    assert_eq!(error.did_you_mean, ["24h"]);
    let error = try_call(
        &context,
        "get_data_quality",
        json!({"entity": "openpolicy_pg.openpolicy.core.bill"}),
    )
    .await
    .unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert!(error.did_you_mean.contains(&BILLS.to_owned()), "{error:?}");
    let both = json!({"entity": BILLS, "service": "openpolicy_pg"});
    let error = try_call(&context, "get_data_quality", both)
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    let error = try_call(&context, "get_data_quality", json!({"service": BILLS}))
        .await
        .unwrap_err();
    assert!(error.message.contains("not a service"), "{error:?}");
}

#[tokio::test]
async fn ingestion_tells_fresh_late_and_never_ran_apart() {
    let told = call(&demo(), "get_ingestion", json!({})).await;
    let rows = told.rows("pipelines");
    let of = |name: &str| rows.iter().find(|row| row["fqn"] == name).unwrap().clone();
    let metadata = of("openpolicy_pg.pg_metadata");
    // Hourly; the copy was taken 64 minutes after the last run began.
    assert_eq!(
        (&metadata["last"]["state"], &metadata["fresh"]),
        (&json!("success"), &json!(true))
    );
    assert_eq!(metadata["age"], "1h 4m");
    let profiler = of("openpolicy_pg.pg_profiler");
    assert_eq!(
        (&profiler["last"]["state"], &profiler["fresh"]),
        (&json!("failed"), &json!(false))
    );
    assert_eq!(
        (&profiler["success_rate"], &profiler["runs"]),
        (&json!(0.5), &json!(6))
    );
    let usage = of("warehouse.wh_usage");
    assert_eq!(
        (&usage["last"]["state"], &usage["fresh"]),
        (&json!("never_ran"), &Value::Null)
    );
    assert_eq!(of("warehouse.wh_lineage")["last"]["state"], "running");
    let services = told.rows("services");
    assert_eq!(services[0]["service"], "openpolicy_pg");
    assert_eq!(services[0]["fresh"], false);
    assert_eq!(services[0]["late"], json!(["pg_profiler"]));
    assert!(
        told.fields["state"]
            .as_str()
            .unwrap()
            .starts_with("could not look")
    );
}

#[tokio::test]
async fn http_200_with_a_disabled_client_is_disabled() {
    for version in [Version::V1_12_6, Version::V1_2_0] {
        let replay = Replay::start(version).await;
        with_service(&replay, version);
        let context = live(&replay, version);
        let arguments = json!({"service": "databaseService:openpolicy_pg"});
        let told = call(&context, "get_ingestion", arguments).await;
        let state = told.fields["state"].as_str().unwrap();
        assert!(
            state.starts_with("disabled (Pipeline Client Disabled)"),
            "{state}"
        );
        assert_eq!(told.fields["total"], 2, "{version:?}");
        assert_eq!(told.column("pipelines", "fresh"), [true, false]);
    }
}

#[tokio::test]
async fn a_pipeline_is_told_with_its_runs_and_what_went_wrong() {
    let replay = Replay::start(Version::V1_12_6).await;
    let context = live(&replay, Version::V1_12_6);
    let arguments = json!({"pipeline": "pg_profiler", "since": "8d", "limit": 2});
    let told = call(&context, "get_ingestion", arguments.clone()).await;
    assert_eq!(told.fields["total"], 7);
    assert_eq!(told.column("runs", "state"), ["failed", "failed"]);
    assert_eq!(told.rows("runs")[0]["took"], "20m");
    let error = &told.rows("errors")[0];
    assert_eq!(error["error"], "permission denied for schema secret");
    assert_eq!(error["count"], 3);
    assert!(told.text.contains("Traceback"), "{}", told.text);
    let mut next = arguments;
    next["cursor"] = told.fields["next"].clone();
    let told = call(&context, "get_ingestion", next).await;
    assert_eq!(told.column("runs", "state"), ["failed", "success"]);

    let missing = json!({"pipeline": "openpolicy_pg.pg_profile"});
    let error = try_call(&context, "get_ingestion", missing)
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.did_you_mean[0], "openpolicy_pg.pg_profiler");
}

#[tokio::test]
async fn the_old_server_needs_ranges_and_tells_no_errors_of_runs() {
    let replay = Replay::start(Version::V1_2_0).await;
    let context = live(&replay, Version::V1_2_0);
    let told = call(
        &context,
        "get_ingestion",
        json!({"pipeline": "pg_profiler", "since": "8d"}),
    )
    .await;
    assert_eq!(told.fields["total"], 7);
    assert!(told.fields.get("errors").is_none());
    assert!(
        told.warnings()
            .contains("3 failed runs carry no error text"),
        "{}",
        told.warnings()
    );
}

#[tokio::test]
async fn the_token_in_the_old_servers_list_goes_nowhere() {
    // Its list hands the ingestion bot's JWT to any user (ingestion/list-old).
    let replay = Replay::start(Version::V1_2_0).await;
    const CANARY: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJpbmdlc3Rpb24tYm90In0.c2lnbmF0dXJl";
    let mut list = Version::V1_2_0
        .recording("ingestion/list-service")
        .response
        .clone();
    for pipeline in list["data"].as_array_mut().unwrap() {
        pipeline["openMetadataServerConnection"]["securityConfig"] = json!({"jwtToken": CANARY});
        pipeline["sourceConfig"]["config"]["token"] = CANARY.into();
        pipeline["airflowConfig"]["scheduleInterval"] = format!("0 * * * * {CANARY}").into();
    }
    let path = "/api/v1/services/ingestionPipelines";
    replay.canned("GET", path, &[], Answer::json(200, &list));
    with_service(&replay, Version::V1_2_0);
    let context = live(&replay, Version::V1_2_0);
    let told = call(
        &context,
        "get_ingestion",
        json!({"service": "databaseService:openpolicy_pg"}),
    )
    .await;
    assert_eq!(told.fields["total"], 2);
    let everything = format!("{} {}", told.text, Value::Object(told.fields.clone()));
    assert!(!everything.contains("eyJ"), "{everything}");
}

#[tokio::test]
async fn an_order_to_a_disabled_client_is_told_as_disabled() {
    let replay = Replay::start(Version::V1_12_6).await;
    let context = live(&replay, Version::V1_12_6);
    for action in ["run", "disable"] {
        let arguments =
            json!({"pipeline": "openpolicy_pg.pg_metadata", "action": action, "dry_run": false});
        let told = call(&context, "control_ingestion", arguments).await;
        let state = told.fields["state"].as_str().unwrap();
        assert!(
            state.starts_with("disabled (Pipeline Client Disabled)"),
            "{state}"
        );
        assert_eq!(told.fields["applied"], false);
    }
    let orders: Vec<_> = replay
        .requests()
        .into_iter()
        .filter(|seen| seen.method == "POST")
        .map(|seen| seen.path.rsplit('/').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(orders, ["trigger", "toggleIngestion"]);
}

#[tokio::test]
async fn nothing_is_ordered_that_is_so_already_or_only_looked_at() {
    let replay = Replay::start(Version::V1_12_6).await;
    let context = live(&replay, Version::V1_12_6);
    for (action, dry_run, says) in [
        ("enable", false, "already enabled"),
        ("stop", false, "no run is going on"),
        ("run", true, "disabled (Pipeline Client Disabled)"),
    ] {
        let arguments = json!({"pipeline": "pg_metadata", "action": action, "dry_run": dry_run});
        let told = call(&context, "control_ingestion", arguments).await;
        let state = told.fields["state"].as_str().unwrap();
        assert!(state.starts_with(says), "{action}: {state}");
    }
    assert!(replay.requests().iter().all(|seen| seen.method == "GET"));
    let error = try_call(
        &demo(),
        "control_ingestion",
        json!({"pipeline": "pg_metadata", "action": "run", "dry_run": false}),
    )
    .await
    .unwrap_err();
    assert_eq!(error.code, ErrorCode::UnsupportedVersion);
}

#[tokio::test]
async fn an_order_that_works_is_read_back() {
    let replay = Replay::start(Version::V1_12_6).await;
    let one = Version::V1_12_6
        .recording("ingestion/list")
        .response
        .clone();
    let mut toggled = one.clone();
    toggled["data"][0]["enabled"] = false.into();
    // The first look shows it enabled, the second disabled.
    let looks = AtomicUsize::new(0);
    let path = "/api/v1/services/ingestionPipelines";
    replay.fail_where(
        move |seen| seen.path == path && looks.fetch_add(1, Ordering::SeqCst) == 0,
        Answer::json(200, &one),
    );
    replay.canned("GET", path, &[], Answer::json(200, &toggled));
    let id = one["data"][0]["id"].as_str().unwrap();
    let order = format!("{path}/toggleIngestion/{id}");
    replay.canned("POST", &order, &[], Answer::json(200, &toggled["data"][0]));
    let context = live(&replay, Version::V1_12_6);
    let arguments = json!({"pipeline": "pg_metadata", "action": "disable", "dry_run": false});
    let told = call(&context, "control_ingestion", arguments).await;
    assert_eq!(told.fields["state"], "enabled -> disabled");
    assert_eq!(told.fields["applied"], true);
    assert_eq!(told.fields["run"]["state"], "success");
}

#[tokio::test]
async fn an_incident_is_acknowledged_and_read_back() {
    let replay = Replay::start(Version::V1_12_6).await;
    // New until something is written.
    let is_written = AtomicBool::new(false);
    let is_first = move |seen: &crate::support::replay::Seen| {
        if seen.method == "POST" {
            is_written.store(true, Ordering::SeqCst);
        }
        seen.path == INCIDENTS && seen.method == "GET" && !is_written.load(Ordering::SeqCst)
    };
    replay.fail_where(
        is_first,
        recorded(Version::V1_12_6, "quality/incidents-latest"),
    );
    let context = live(&replay, Version::V1_12_6);
    let mut arguments = json!({"test": NUMBER_TEST, "action": "acknowledge"});
    let told = call(&context, "update_incident", arguments.clone()).await;
    assert_eq!(told.fields["applied"], false);
    assert_eq!(told.fields["state"]["before"]["state"], "new");
    assert_eq!(told.fields["state"]["after"]["state"], "acknowledged");
    assert!(replay.requests().iter().all(|seen| seen.method == "GET"));

    arguments["dry_run"] = false.into();
    let told = call(&context, "update_incident", arguments).await;
    assert_eq!(told.fields["applied"], true);
    assert_eq!(told.fields["state"]["after"]["state"], "acknowledged");
    assert_eq!(told.fields["state"]["after"]["at"], "2026-11-21T01:20:33Z");
    assert!(told.fields.get("warnings").is_none(), "{}", told.warnings());
}

#[tokio::test]
async fn assigning_and_resolving_send_what_was_recorded() {
    const TEST: &str = "hz_openpolicy_pg.openpolicy.core.votes.ballot.ballot_in_set";
    let replay = Replay::start(Version::V1_12_6).await;
    let mut case = Version::V1_12_6
        .recording("quality/testcase-one")
        .response
        .clone();
    case["fullyQualifiedName"] = TEST.into();
    let path = format!("/api/v1/dataQuality/testCases/name/{TEST}");
    replay.canned("GET", &path, &[], Answer::json(200, &case));
    // The assignee of the recorded write, in the form of the user that was recorded.
    let mut assignee = Version::V1_12_6
        .recording("entities/users-one")
        .response
        .clone();
    assignee["id"] = "5f03f0db-5fef-436c-b132-4d604cb9162e".into();
    assignee["name"] = "li.wei".into();
    assignee["fullyQualifiedName"] = "\"li.wei\"".into();
    let user = Answer::json(200, &assignee);
    replay.canned("GET", "/api/v1/users/name/li.wei", &[], user);
    // What the list of incidents shows: the newest record of the one before.
    let shows = |recording: &str| {
        let state = &Version::V1_12_6.recording(recording).response;
        let states = Answer::json(200, &json!({"data": [state], "paging": {"total": 1}}));
        replay.canned("GET", INCIDENTS, &[], states);
    };
    let mut context = live(&replay, Version::V1_12_6);
    context.now = jiff::Timestamp::from_millisecond(1_795_228_600_000).unwrap();

    shows("writes/incident-ack-flow");
    let assign = json!({"test": TEST, "action": "assign", "assignee": "li.wei", "dry_run": false});
    let told = call(&context, "update_incident", assign).await;
    assert_eq!(told.fields["state"]["before"]["state"], "acknowledged");
    assert_eq!(told.fields["state"]["after"]["state"], "assigned");
    assert_eq!(told.fields["state"]["after"]["assignee"], "li.wei");
    assert_eq!(told.fields["applied"], true);
    shows("writes/incident-assigned-flow");

    // Answered by the recorded write, which matches body and all.
    let resolve = json!({"test": TEST, "action": "resolve", "reason": "falsepositive",
        "comment": "checked", "dry_run": false});
    let told = call(&context, "update_incident", resolve).await;
    assert_eq!(told.fields["state"]["before"]["state"], "assigned");
    assert_eq!(told.fields["state"]["after"]["state"], "resolved");
    assert_eq!(told.fields["state"]["after"]["reason"], "FalsePositive");
    // The list still shows the old state.
    assert!(
        told.warnings().contains("not confirmed"),
        "{}",
        told.warnings()
    );
}

#[tokio::test]
async fn what_an_action_needs_is_asked_for_before_anything_is_sent() {
    let context = demo();
    for (arguments, argument) in [
        (json!({"test": NUMBER_TEST, "action": "assign"}), "assignee"),
        (
            json!({"test": NUMBER_TEST, "action": "resolve", "comment": "x"}),
            "reason",
        ),
        (
            json!({"test": NUMBER_TEST, "action": "resolve", "reason": "Other"}),
            "comment",
        ),
        (
            json!({"test": NUMBER_TEST, "action": "acknowledge", "comment": "x"}),
            "comment",
        ),
        (
            json!({"test": NUMBER_TEST, "action": "resolve", "reason": "Weather"}),
            "reason",
        ),
        (json!({"test": NUMBER_TEST, "action": "close"}), "action"),
        (json!({"action": "acknowledge"}), "test"),
    ] {
        let error = try_call(&context, "update_incident", arguments.clone())
            .await
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{arguments}");
        assert_eq!(error.argument.as_deref(), Some(argument), "{arguments}");
    }
    let healthy = json!({"test": format!("{BILLS}.bills_row_count"), "action": "acknowledge"});
    let error = try_call(&context, "update_incident", healthy)
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    let assign = json!({"test": NUMBER_TEST, "action": "assign", "assignee": "maria.santo"});
    let error = try_call(&context, "update_incident", assign)
        .await
        .unwrap_err();
    assert_eq!(error.argument.as_deref(), Some("assignee"));
    let write = json!({"test": NUMBER_TEST, "action": "acknowledge", "dry_run": false});
    let error = try_call(&context, "update_incident", write)
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::UnsupportedVersion);
}

#[tokio::test]
async fn the_old_server_says_that_it_has_no_incidents_to_change() {
    let replay = Replay::start(Version::V1_2_0).await;
    let context = live(&replay, Version::V1_2_0);
    let write = json!({"test": NUMBER_TEST, "action": "acknowledge", "dry_run": false});
    let error = try_call(&context, "update_incident", write)
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::UnsupportedVersion);
    assert!(replay.requests().iter().all(|seen| seen.method == "GET"));
}
