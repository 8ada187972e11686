//! What changed, and why it broke: get_changes, find_root_cause.

use openpolicy_mcp::catalog::snapshot::{self, Kind};
use openpolicy_mcp::tools::ErrorCode;
use serde_json::{Value, json};

use crate::support::calls::{Told, call, demo, live, try_call};
use crate::support::replay::{Answer, Replay, Version};
use crate::support::tokens;

const BILLS: &str = "openpolicy_pg.openpolicy.core.bills";
/// On 1.12.6 and on 1.2.0.
const BILLS_IDS: [&str; 2] = [
    "a9b75237-2178-4ca1-b320-3f015ec8e877",
    "692dd78d-c11b-4078-b134-cb5b7f6d8d62",
];
const NUMBER_TEST: &str = "openpolicy_pg.openpolicy.core.bills.number.number_not_null";
const OVERVIEW: &str = "superset.parliament_overview";

/// Answers what a walk asks for and no recording has: results and runs as the catalog's copy has
/// them, and nothing where that has nothing.
fn filled(version: Version) -> Replay {
    let replay = Replay::start_blocking(version);
    let copy = snapshot::demo().unwrap();
    let list = |entries: Value| {
        let total = entries.as_array().unwrap().len();
        Answer::json(200, &json!({"data": entries, "paging": {"total": total}}))
    };
    let empty = || list(json!([]));
    replay.canned("GET", "/api/v1/events", &[("entityRestored", "*")], empty());
    if version == Version::V1_2_0 {
        // Of two recordings of this request the one with more in it.
        let events = &version.recording("events/star-short").response;
        let created = [("entityCreated", "*")];
        replay.canned("GET", "/api/v1/events", &created, Answer::json(200, events));
    }
    for (test, results) in copy.documents(Kind::TestResults).unwrap() {
        let path = match version {
            Version::V1_12_6 => format!("/api/v1/dataQuality/testCases/testCaseResults/{test}"),
            Version::V1_2_0 => format!("/api/v1/dataQuality/testCases/{test}/testCaseResult"),
        };
        replay.canned("GET", &path, &[], list(results));
    }
    for pipeline in ["airflow.load_core", "airflow.scrape_daily"] {
        let path = format!("/api/v1/pipelines/{pipeline}/status");
        replay.canned("GET", &path, &[], empty());
    }
    let insights =
        "/api/v1/services/ingestionPipelines/OpenMetadata.OpenMetadata_dataInsight/pipelineStatus";
    replay.canned("GET", insights, &[], empty());
    // Versions were recorded of one table.
    replay.fail_where(
        |seen| {
            seen.path.ends_with("/versions") && !BILLS_IDS.iter().any(|id| seen.path.contains(id))
        },
        Answer::json(200, &json!({"entityType": "table", "versions": []})),
    );
    replay
}

fn list_of(told: &Told, name: &str) -> String {
    told.fields
        .get(name)
        .map(Value::to_string)
        .unwrap_or_default()
}

#[tokio::test]
async fn one_timeline_tells_of_all_that_remembers() {
    let arguments = json!({"entity": BILLS, "since": "7d"});
    let told = call(&demo(), "get_changes", arguments.clone()).await;
    let rows = told.rows("changes");
    let told_of = |kind: &str| -> Vec<&str> {
        let of_kind = rows.iter().filter(|row| row["kind"] == kind);
        of_kind.map(|row| row["what"].as_str().unwrap()).collect()
    };
    // The event and the version of the description are one change.
    assert_eq!(
        told_of("entity"),
        [
            "description: …ers.raw_bills`. -> …ers.raw_bills`. Refreshed hourly.",
            "table created"
        ]
    );
    assert_eq!(
        told_of("test"),
        ["success -> failed: Found nullCount=7. It should be 0"]
    );
    assert_eq!(told_of("incident"), ["incident new"]);
    assert_eq!(
        told_of("ingestion")[0],
        "run failed: permission denied for schema secret"
    );
    let times: Vec<&str> = rows.iter().map(|row| row["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    assert_eq!(told.fields["window"]["since"], "2026-11-14T01:20:14Z");
    assert_eq!(told.fields["complete"], true);
    assert_eq!(told.fields["source"], "snapshot");

    let first = call(
        &demo(),
        "get_changes",
        json!({"entity": BILLS, "since": "7d", "limit": 3}),
    )
    .await;
    assert_eq!(first.fields["returned"], 3);
    assert_eq!(first.fields["total"], told.fields["total"]);
    let mut next = arguments;
    next["cursor"] = first.fields["next"].clone();
    let second = call(&demo(), "get_changes", next).await;
    assert_eq!(second.rows("changes")[0]["at"], rows[3]["at"]);
}

#[tokio::test]
async fn kinds_and_window_cut_the_timeline() {
    let told = call(&demo(), "get_changes", json!({"kinds": ["schema"]})).await;
    assert_eq!(
        told.column("changes", "what"),
        ["column recorded_at added (TIMESTAMP)"]
    );
    assert_eq!(told.column("changes", "by"), ["admin"]);
    let before = json!({"kinds": "schema", "until": "1h"});
    let told = call(&demo(), "get_changes", before).await;
    assert_eq!(told.fields["total"], 0);
    for (arguments, argument) in [
        (json!({"kinds": ["schemas"]}), "kinds[0]"),
        (json!({"since": "1h", "until": "2h"}), "until"),
        (json!({"since": "3 months"}), "since"),
        (json!({"cursor": "nonsense"}), "cursor"),
    ] {
        let error = try_call(&demo(), "get_changes", arguments.clone())
            .await
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{arguments}");
        assert_eq!(error.argument.as_deref(), Some(argument), "{arguments}");
    }
}

#[tokio::test]
async fn the_timeline_of_both_servers() {
    for version in [Version::V1_12_6, Version::V1_2_0] {
        let replay = filled(version);
        let context = live(&replay, version);
        let arguments = json!({"entity": BILLS, "since": "7d"});
        let told = call(&context, "get_changes", arguments).await;
        let what = told.column("changes", "what");
        let described = "description: …ers.raw_bills`. -> …ers.raw_bills`. Refreshed hourly.";
        assert_eq!(
            what.iter().filter(|what| **what == described).count(),
            1,
            "{version:?}: {what:?}"
        );
        assert!(list_of(&told, "could_not_look").is_empty(), "{}", told.text);
        let asked = replay.requests_to("/api/v1/events");
        // No paging there: the window is what bounds it.
        assert!(
            asked
                .iter()
                .all(|seen| seen.parameter("timestamp").is_some())
        );
        if version == Version::V1_2_0 {
            assert!(
                told.warnings().contains("no incidents"),
                "{}",
                told.warnings()
            );
        }
    }
}

#[tokio::test]
async fn events_of_the_old_server_have_neither_id_nor_name_and_are_read_still() {
    let replay = filled(Version::V1_2_0);
    let mut context = live(&replay, Version::V1_2_0);
    // Its recording of a minute was taken a little later than the others.
    context.now = jiff::Timestamp::from_millisecond(1_795_225_140_000).unwrap();
    let minute = &Version::V1_2_0.recording("events/one-minute").response;
    let created = [("entityCreated", "*")];
    replay.canned("GET", "/api/v1/events", &created, Answer::json(200, minute));
    let arguments = json!({"since": "2m", "kinds": ["schema", "entity"], "limit": 100});
    let told = call(&context, "get_changes", arguments).await;
    let rows = told.rows("changes");
    // Created and deleted at the same millisecond: two changes.
    let of_user: Vec<&Value> = rows
        .iter()
        .filter(|row| row["at"] == "2026-11-21T01:38:05Z")
        .map(|row| &row["what"])
        .collect();
    assert_eq!(of_user, ["user created", "user deleted"]);
    let tagged = rows
        .iter()
        .find(|row| row["what"] == "tags: + PII.Sensitive");
    let tagged = tagged.expect("the tag that a reader set");
    assert_eq!(tagged["by"], "plain.reader");
    assert_eq!(tagged["subject"], BILLS);
}

#[tokio::test]
async fn what_of_the_timeline_could_not_be_looked_at_is_said() {
    let replay = filled(Version::V1_12_6);
    let broken = Answer::json(500, &json!({"code": 500, "message": "boom"}));
    replay.fail_where(|seen| seen.path == "/api/v1/events", broken);
    let context = live(&replay, Version::V1_12_6);
    let told = call(&context, "get_changes", json!({"entity": BILLS})).await;
    assert!(
        list_of(&told, "could_not_look").contains("change events"),
        "{}",
        told.text
    );
    assert_eq!(told.fields["complete"], false);
    assert_eq!(told.fields["total_is_lower_bound"], true);
}

#[tokio::test]
async fn a_window_longer_than_events_reach_is_said() {
    let told = call(
        &demo(),
        "get_changes",
        json!({"since": "30d", "kinds": ["entity"]}),
    )
    .await;
    assert!(
        list_of(&told, "could_not_look").contains("7 days at most"),
        "{}",
        told.text
    );
}

#[tokio::test]
async fn the_cause_of_a_broken_dashboard_is_found_upstream() {
    let told = call(&demo(), "find_root_cause", json!({"entity": OVERVIEW})).await;
    let rows = told.rows("causes");
    let brief: Vec<(&str, &str, u64)> = rows
        .iter()
        .map(|row| {
            (
                row["kind"].as_str().unwrap(),
                row["subject"].as_str().unwrap().rsplit('.').next().unwrap(),
                row["distance"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        brief,
        [
            ("failed_pipeline", "build_marts", 2),
            ("failed_ingestion", "pg_profiler", 2),
            ("failing_test", "ballot_in_set", 3),
            ("failing_test", "number_not_null", 3),
            ("schema_change", "votes", 3),
            ("failing_test", "raw_fresh", 4),
        ]
    );
    assert_eq!(rows[0]["since"], "2026-11-21T00:15:59Z");
    assert!(rows[0]["evidence"].as_str().unwrap().contains("task load"));
    assert_eq!(told.fields["looked_at"]["entities"], 12);
    assert_eq!(told.fields["complete"], true);
    assert!(tokens(&told.text) < 600, "{}", tokens(&told.text));
}

#[tokio::test]
async fn a_test_that_is_asked_about_is_the_symptom_not_the_cause() {
    let told = call(&demo(), "find_root_cause", json!({"entity": NUMBER_TEST})).await;
    assert_eq!(told.fields["symptom"]["test"], NUMBER_TEST);
    assert_eq!(told.fields["symptom"]["since"], "2026-11-20T00:15:59Z");
    assert!(
        !told
            .column("causes", "subject")
            .contains(&NUMBER_TEST.into())
    );
    // It began after the test failed first, so it is the last.
    assert_eq!(
        told.column("causes", "subject").last().unwrap(),
        "openpolicy_pg.openpolicy.scrapers.raw_bills.raw_fresh"
    );
}

#[tokio::test]
async fn nothing_found_is_not_could_not_look() {
    let context = demo();
    let arguments = json!({"entity": "s3.raw-dumps"});
    let told = call(&context, "find_root_cause", arguments).await;
    assert_eq!(
        told.fields["result"],
        "nothing found in all that was looked at"
    );
    assert_eq!(told.fields["complete"], true);

    let replay = filled(Version::V1_12_6);
    let broken = Answer::json(500, &json!({"code": 500, "message": "boom"}));
    replay.fail_where(
        |seen| {
            [
                "/search/",
                "/lineage/",
                "/testCases",
                "/ingestionPipelines",
                "/events",
            ]
            .iter()
            .any(|part| seen.path.contains(part))
                && !seen
                    .query
                    .iter()
                    .any(|(_, value)| value.contains("term\":"))
        },
        broken,
    );
    let context = live(&replay, Version::V1_12_6);
    replay.allow_unmatched();
    let told = call(
        &context,
        "find_root_cause",
        json!({"entity": format!("table:{BILLS}")}),
    )
    .await;
    assert_eq!(
        told.fields["result"],
        "nothing found, but not everything could be looked at"
    );
    let missed = list_of(&told, "could_not_look");
    for part in ["tests:", "upstream", "ingestion pipelines", "change events"] {
        assert!(missed.contains(part), "{part} in {missed}");
    }
    assert_eq!(told.fields["complete"], false);
}

#[tokio::test]
async fn a_service_is_looked_at_with_all_that_is_upstream_of_it() {
    let told = call(&demo(), "find_root_cause", json!({"service": "superset"})).await;
    let subjects = told.column("causes", "subject");
    assert!(
        subjects.contains(&"airflow.build_marts".into()),
        "{}",
        told.text
    );
    let told = call(
        &demo(),
        "find_root_cause",
        json!({"service": "openpolicy_pg"}),
    )
    .await;
    let kinds = told.column("causes", "kind");
    assert!(kinds.contains(&"failing_test".into()) && kinds.contains(&"failed_ingestion".into()));
    let error = try_call(&demo(), "find_root_cause", json!({}))
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArgument);
}

#[tokio::test]
async fn the_cause_is_found_on_both_servers() {
    for version in [Version::V1_12_6, Version::V1_2_0] {
        let replay = filled(version);
        let context = live(&replay, version);
        let arguments = json!({"entity": "table:warehouse.DW.MART.fct_votes"});
        let told = call(&context, "find_root_cause", arguments).await;
        let subjects = told.column("causes", "subject");
        assert!(
            subjects.contains(&"airflow.build_marts".into()),
            "{version:?} {}",
            told.text
        );
        assert!(
            subjects.contains(&"openpolicy_pg.openpolicy.core.votes.ballot.ballot_in_set".into()),
            "{version:?} {}",
            told.text
        );
    }
}
