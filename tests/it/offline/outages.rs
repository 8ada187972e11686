//! Each way of being away, and the return.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{State, assert_of_snapshot, bills, is_of_snapshot, nowhere, serve, told, until};
use crate::support::{
    calls::reads,
    replay::{Answer, Replay, Version},
};

#[test]
fn every_reading_tool_is_answered_while_the_server_is_down() {
    let url = format!("http://{}", nowhere());
    let state = State::with_copy_of(&url);
    let mut server = serve(&url, &state, &[]);
    let mut tools = Vec::new();
    // Of paths a snapshot has entities by name, and says so of others.
    let path = "tables/name/openpolicy_pg.openpolicy.core.bills";
    let questions = reads()
        .into_iter()
        .filter(|(tool, _)| *tool != "read_openmetadata")
        .chain([("read_openmetadata", json!({"path": path}))]);
    for (id, (tool, arguments)) in questions.enumerate() {
        let answer = server.call(id as i64 + 1, tool, arguments.clone());
        assert_eq!(
            answer["result"]["isError"], false,
            "{tool} {arguments}: {answer}"
        );
        assert_of_snapshot(&told(&answer), "the connection was refused");
        tools.push(tool);
    }
    tools.sort_unstable();
    tools.dedup();
    let reading = openpolicy_mcp::tools::all()
        .iter()
        .filter(|tool| tool.effect == openpolicy_mcp::tools::Effect::Read)
        .filter(|tool| tool.toolset == openpolicy_mcp::tools::Toolset::Catalog);
    for tool in reading {
        assert!(tools.contains(&tool.name), "{} was not asked", tool.name);
    }
    let listing = json!({"path": "services/databaseServices"});
    let told = told(&server.call(99, "read_openmetadata", listing));
    assert_eq!(told["code"], "unavailable");
    let message = told["message"].as_str().unwrap();
    assert!(
        message.contains("refused") && message.contains("of paths it has only"),
        "{message}"
    );
}

#[test]
fn a_name_that_no_address_has_is_an_outage() {
    let url = "http://openmetadata.invalid:8585";
    let state = State::with_copy_of(url);
    let mut server = serve(url, &state, &[]);
    let answer = server.call(1, "get_entity", bills());
    assert_of_snapshot(&told(&answer), "DNS");
}

#[test]
fn the_server_is_met_again_at_once_after_its_return() {
    let place = nowhere();
    let url = format!("http://{place}");
    let state = State::with_copy_of(&url);
    let up = Replay::start_at(Version::V1_12_6, place);
    let mut server = serve(&url, &state, &[]);
    assert!(!is_of_snapshot(&told(&server.call(
        1,
        "get_lineage",
        json!({"entity": bills()["entities"][0]})
    ))));
    drop(up);
    // Another question: the answer of a moment ago is still good for the same one.
    assert_of_snapshot(
        &told(&server.call(2, "search_entities", json!({"query": "bills"}))),
        "the connection was refused",
    );
    let begun = Instant::now();
    for id in 3..53 {
        assert!(is_of_snapshot(&told(&server.call(
            id,
            "search_entities",
            json!({"query": "bills"})
        ))));
    }
    // One call with its repetitions takes a second: the outage is remembered.
    assert!(
        begun.elapsed() < Duration::from_secs(25),
        "{:?}",
        begun.elapsed()
    );
    let _up = Replay::start_at(Version::V1_12_6, place);
    let mut id = 100;
    until("the server is asked again", || {
        id += 1;
        !is_of_snapshot(&told(&server.call(
            id,
            "search_entities",
            json!({"query": "bills"}),
        )))
    });
}

#[test]
fn a_gateway_that_finds_nobody_is_an_outage() {
    for status in [502, 503, 504] {
        let replay = Replay::start_blocking(Version::V1_12_6);
        replay.fail_where(|_| true, Answer::html(status));
        let state = State::with_copy_of(&replay.url());
        let mut server = serve(&replay.url(), &state, &[]);
        let answer = server.call(1, "get_entity", bills());
        assert_of_snapshot(&told(&answer), "OpenMetadata");
        // Healed: the next calls meet it again.
        replay.heal();
        let mut id = 1;
        until("the server is asked again", || {
            id += 1;
            !is_of_snapshot(&told(&server.call(id, "get_entity", bills())))
        });
    }
}

#[test]
fn a_server_that_gives_no_sign_is_waited_for_as_long_as_was_said() {
    let replay = Replay::start_blocking(Version::V1_12_6);
    replay.fail_where(
        |seen| !seen.path.contains("/system/version"),
        Answer::held(),
    );
    let state = State::with_copy_of(&replay.url());
    let mut server = serve(&replay.url(), &state, &["--catalog-patience", "1"]);
    let answer = server.call(1, "search_entities", json!({"query": "bills"}));
    assert_of_snapshot(&told(&answer), "gave no answer for 1 s");
    let asked = replay.requests().len();
    let answer = server.call(2, "search_entities", json!({"query": "votes"}));
    assert_of_snapshot(&told(&answer), "gave no answer for 1 s");
    let asked_again = replay.requests_to("/api/v1/search").len();
    assert!(asked_again <= asked, "the second call waited again");
}

#[test]
fn a_connection_that_breaks_each_time_is_an_outage() {
    let replay = Replay::start_blocking(Version::V1_12_6);
    replay.fail_where(|_| true, Answer::dropped());
    let state = State::with_copy_of(&replay.url());
    let mut server = serve(&replay.url(), &state, &[]);
    let answer = server.call(1, "get_entity", bills());
    assert_of_snapshot(&told(&answer), "broke");
}

#[test]
fn a_refusal_is_an_answer() {
    for (status, code) in [
        (400, "invalid_argument"),
        (401, "unauthorized"),
        (403, "forbidden"),
        (429, "rate_limited"),
    ] {
        let replay = Replay::start_blocking(Version::V1_12_6);
        replay.fail_where(
            |seen| !seen.path.contains("/system/version"),
            Answer::json(status, &json!({"code": status, "message": "injected"})),
        );
        let state = State::with_copy_of(&replay.url());
        let mut server = serve(&replay.url(), &state, &[]);
        let arguments = json!({"path": "tables/name/openpolicy_pg.openpolicy.core.bills"});
        let told = told(&server.call(1, "read_openmetadata", arguments));
        assert_eq!(told["code"], code, "{told}");
    }
}

#[test]
fn what_the_server_does_not_have_is_not_looked_for_elsewhere() {
    let replay = Replay::start_blocking(Version::V1_12_6);
    replay.fail_where(
        |seen| seen.path.contains("/tables/name/"),
        Answer::json(
            404,
            &json!({"code": 404, "message": "table instance for x not found"}),
        ),
    );
    let state = State::with_copy_of(&replay.url());
    let mut server = serve(&replay.url(), &state, &[]);
    let told = told(&server.call(1, "get_entity", bills()));
    assert!(!is_of_snapshot(&told), "{told}");
    assert_eq!(told["missing"]["rows"][0][1], "not_found", "{told}");
}

#[test]
fn where_only_search_is_down_the_database_answers_first() {
    let replay = Replay::start_blocking(Version::V1_12_6);
    replay.search_down();
    let state = State::with_copy_of(&replay.url());
    let mut server = serve(&replay.url(), &state, &[]);
    let entity = told(&server.call(1, "get_entity", bills()));
    assert!(!is_of_snapshot(&entity), "{entity}");
    // Words are found by search alone.
    let found = told(&server.call(2, "search_entities", json!({"query": "bills"})));
    assert_of_snapshot(&found, "search engine");
    // And the database is still asked.
    let entity = told(&server.call(3, "get_entity", bills()));
    assert!(!is_of_snapshot(&entity), "{entity}");
}

#[test]
fn what_a_snapshot_does_not_hold_is_not_called_missing() {
    let url = format!("http://{}", nowhere());
    let state = State::with_copy_of(&url);
    let mut server = serve(&url, &state, &[]);
    let lineage = told(&server.call(
        1,
        "get_lineage",
        json!({"entity": "table:pg.db.core.no_such"}),
    ));
    assert_eq!(lineage["code"], "not_found");
    let message = lineage["message"].as_str().unwrap();
    assert!(
        message.contains("not in this snapshot") && message.contains(" old)"),
        "{message}"
    );
    assert!(message.contains("refused"), "{message}");
    assert_eq!(lineage["retry"], true);
    let entity = told(&server.call(
        2,
        "get_entity",
        json!({"entities": ["table:a.b.c.no_such"]}),
    ));
    assert_eq!(
        entity["missing"]["rows"][0][1], "not_in_snapshot",
        "{entity}"
    );
}

#[test]
fn writes_say_that_the_server_is_away() {
    let url = format!("http://{}", nowhere());
    let state = State::with_copy_of(&url);
    let mut server = serve(&url, &state, &[]);
    assert_of_snapshot(&told(&server.call(1, "get_entity", bills())), "refused");
    let table = "table:openpolicy_pg.openpolicy.core.bills";
    let writes = [
        (
            "update_entity",
            json!({"entity": table, "set": {"description": "x"}}),
        ),
        (
            "update_entity",
            json!({"entity": table, "set": {"description": "x"}, "dry_run": false}),
        ),
        (
            "edit_lineage",
            json!({"action": "add", "from": table, "to": "table:warehouse.DW.MART.dim_bills"}),
        ),
        (
            "update_incident",
            json!({"test": format!("{}.number.number_not_null", &table[6..]), "action": "acknowledge"}),
        ),
        (
            "control_ingestion",
            json!({"pipeline": "openpolicy_pg.pg_metadata", "action": "run"}),
        ),
    ];
    for (id, (tool, arguments)) in writes.into_iter().enumerate() {
        let told = told(&server.call(id as i64 + 2, tool, arguments));
        assert_eq!(told["code"], "unavailable", "{tool}: {told}");
        assert!(
            told["message"].as_str().unwrap().contains("refused"),
            "{told}"
        );
        assert_ne!(told["source"], "snapshot");
    }
}

#[test]
fn without_a_snapshot_the_error_is_what_it_was() {
    let url = format!("http://{}", nowhere());
    let state = State::empty();
    let mut server = serve(&url, &state, &[]);
    let told = told(&server.call(1, "get_entity", bills()));
    assert_eq!(told["code"], "unavailable", "{told}");
    // Looking for one makes no folder.
    assert!(std::fs::read_dir(state.path()).unwrap().next().is_none());
}

#[test]
fn a_list_is_not_continued_on_the_other_side() {
    let place = nowhere();
    let url = format!("http://{place}");
    let state = State::with_copy_of(&url);
    let mut server = serve(&url, &state, &[]);
    let question = json!({"types": ["table"], "limit": 2});
    let page = told(&server.call(1, "search_entities", question.clone()));
    assert_of_snapshot(&page, "refused");
    let mut next = question.clone();
    next["cursor"] = page["next"].clone();
    let second = told(&server.call(2, "search_entities", next.clone()));
    assert_ne!(second["hits"], page["hits"], "{second}");
    assert_eq!(second["total"], page["total"]);
    let _up = Replay::start_at(Version::V1_12_6, place);
    let mut id = 2;
    let mut last = json!(null);
    until("the server is asked again", || {
        id += 1;
        last = told(&server.call(id, "search_entities", next.clone()));
        last["code"] == "invalid_argument"
    });
    assert_eq!(last["argument"], "cursor");
    assert!(
        last["message"]
            .as_str()
            .unwrap()
            .contains("a snapshot began"),
        "{last}"
    );
}
