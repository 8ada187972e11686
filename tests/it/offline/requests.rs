//! The snapshot as it is asked for: flags, `tools call`, probes, `doctor`.

use serde_json::{Value, json};

use super::{OWN, State, TAKEN, assert_of_snapshot, bills, nowhere, serve, told};
use crate::support::{
    replay::{Replay, Version},
    server::{Server, command, http},
};

fn run(arguments: &[&str], url: &str, state: &State) -> (i32, String, String) {
    let ended = command(
        arguments,
        &[
            ("OPENMETADATA_URL", url),
            ("OPENMETADATA_TOKEN", OWN),
            ("OPENPOLICY_STATE", state.path()),
        ],
    )
    .output()
    .expect("an end");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        ended.status.code().unwrap_or(-1),
        text(&ended.stdout),
        text(&ended.stderr),
    )
}

#[test]
fn the_snapshot_alone_asks_the_server_nothing() {
    let replay = Replay::start_blocking(Version::V1_12_6);
    let state = State::with_copy_of(&replay.url());
    let mut server = serve(&replay.url(), &state, &["--catalog", "snapshot"]);
    assert_of_snapshot(&told(&server.call(1, "get_entity", bills())), "as asked");
    let missing = told(&server.call(2, "get_lineage", json!({"entity": "table:a.b.c.no_such"})));
    assert!(
        missing["message"]
            .as_str()
            .unwrap()
            .contains("not in this snapshot"),
        "{missing}"
    );
    let change =
        json!({"entity": bills()["entities"][0], "set": {"description": "x"}, "dry_run": false});
    assert_eq!(
        told(&server.call(3, "update_entity", change))["code"],
        "unsupported_version"
    );
    assert!(replay.requests().is_empty(), "{:?}", replay.requests());
}

#[test]
fn the_snapshot_alone_says_where_there_is_none() {
    let url = format!("http://{}", nowhere());
    let mut server = serve(&url, &State::empty(), &["--catalog", "snapshot"]);
    let told = told(&server.call(1, "get_entity", bills()));
    assert_eq!(told["code"], "unavailable");
    assert!(
        told["message"]
            .as_str()
            .unwrap()
            .contains("openpolicy-mcp sync"),
        "{told}"
    );
}

#[test]
fn live_alone_never_meets_the_snapshot() {
    let url = format!("http://{}", nowhere());
    let state = State::with_copy_of(&url);
    let mut server = serve(&url, &state, &["--catalog", "live"]);
    assert_eq!(
        told(&server.call(1, "get_entity", bills()))["code"],
        "unavailable"
    );
}

#[test]
fn a_call_by_hand_takes_the_same_switches() {
    let url = format!("http://{}", nowhere());
    let state = State::with_copy_of(&url);
    let call = |more: &[&str]| {
        let arguments = [&["tools", "call", "--json"], more, &["get_entity"]].concat();
        let entities = bills().to_string();
        run(&[&arguments[..], &[&entities]].concat(), &url, &state)
    };
    let answer = |said: &str| serde_json::from_str::<Value>(said).expect("JSON");
    let (code, said, _) = call(&[]);
    assert_eq!(code, 0);
    assert_of_snapshot(&answer(&said), "refused");
    let (code, said, _) = call(&["--catalog", "snapshot"]);
    assert_eq!(code, 0);
    assert_of_snapshot(&answer(&said), "as asked");
    let (code, said, _) = call(&["--catalog", "live"]);
    assert_eq!(
        (code, answer(&said)["code"].as_str()),
        (1, Some("unavailable"))
    );
    let (code, _, said) = call(&["--catalog", "yesterday"]);
    assert_eq!(code, 2);
    assert!(said.contains("live, snapshot, auto"), "{said}");
    let (code, _, said) = call(&["--catalog-patience", "0"]);
    assert_eq!(code, 2);
    assert!(said.contains("1 to 40"), "{said}");
}

#[test]
fn a_server_whose_snapshot_answers_is_ready_and_says_why() {
    let url = format!("http://{}", nowhere());
    let state = State::with_copy_of(&url);
    let mut server = Server::start(
        &["serve", "--http", "127.0.0.1:0"],
        &[
            ("OPENMETADATA_URL", &url),
            ("OPENMETADATA_TOKEN", OWN),
            ("OPENPOLICY_STATE", state.path()),
        ],
    );
    let ready = http(server.listens(), "GET", "/readyz", &[], "");
    assert_eq!(ready.status, 200);
    let ready = ready.json();
    assert_eq!(
        (&ready["source"], &ready["as_of"]),
        (&json!("snapshot"), &json!(TAKEN))
    );
    assert!(
        ready["reason"].as_str().unwrap().contains("refused"),
        "{ready}"
    );
}
