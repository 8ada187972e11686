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

#[test]
fn doctor_says_whether_there_is_one_how_old_and_whether_it_is_sound() {
    let url = format!("http://{}", nowhere());
    let state = State::with_copy_of(&url);
    let snapshot = |more: &[&str]| -> Value {
        let (_, said, _) = run(&[&["doctor", "--json"], more].concat(), &url, &state);
        let said: Value = serde_json::from_str(&said).expect("JSON");
        let mut checks = said["checks"].as_array().expect("checks").iter();
        checks
            .find(|check| check["name"] == "snapshot")
            .cloned()
            .expect("a look at the snapshot")
    };
    state.put_copy(&url, &jiff::Timestamp::now().to_string());
    let found = snapshot(&[]);
    assert_eq!(found["state"], "ok", "{found}");
    let finding = found["finding"].as_str().unwrap();
    assert!(
        finding.contains("1.12.6") && finding.contains("old"),
        "{finding}"
    );
    let found = snapshot(&["--catalog", "live"]);
    assert!(
        found["finding"].as_str().unwrap().contains("not used"),
        "{found}"
    );
    // Old.
    state.put_copy(&url, "2026-01-01T00:00:00Z");
    assert_eq!(snapshot(&[])["state"], "warning");
    // Damaged in the middle, where no first look sees it.
    let path = state.put_copy(&url, &jiff::Timestamp::now().to_string());
    let mut bytes = std::fs::read(&path).expect("the file");
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 64].fill(0xAA);
    std::fs::write(&path, bytes).expect("the file");
    let found = snapshot(&[]);
    assert_eq!(found["state"], "failed", "{found}");
    assert!(
        found["finding"].as_str().unwrap().contains("damaged"),
        "{found}"
    );
    // None.
    std::fs::remove_file(&path).expect("no file");
    let found = snapshot(&[]);
    assert_eq!(found["state"], "skipped", "{found}");
    assert!(
        found["advice"]
            .as_str()
            .unwrap()
            .contains("openpolicy-mcp sync"),
        "{found}"
    );
}
