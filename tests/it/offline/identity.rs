//! Who may see a snapshot, and whose file is never opened.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{OWN, State, assert_of_snapshot, bills, nowhere, serve, told};
use crate::support::server::{Server, command, post, request};

fn http(url: &str, state: &State, more: &[&str]) -> (Server, SocketAddr) {
    let arguments = [&["serve", "--http", "127.0.0.1:0"], more].concat();
    let mut server = Server::start(
        &arguments,
        &[
            ("OPENMETADATA_URL", url),
            ("OPENMETADATA_TOKEN", OWN),
            ("OPENPOLICY_STATE", state.path()),
        ],
    );
    let address = server.listens();
    (server, address)
}

fn asked(address: SocketAddr, token: Option<&str>) -> Value {
    let call = request(
        1,
        "tools/call",
        json!({"name": "get_entity", "arguments": bills()}),
    );
    let headers: Vec<(&str, &str)> = token
        .into_iter()
        .map(|token| ("X-OpenMetadata-Token", token))
        .collect();
    told(&post(address, &headers, &call).json())
}

#[test]
fn a_caller_with_a_token_of_their_own_does_not_see_it() {
    let url = format!("http://{}", nowhere());
    let state = State::with_copy_of(&url);
    let (_server, address) = http(&url, &state, &[]);
    assert_of_snapshot(&asked(address, None), "refused");
    // The server's own token is a caller's too, where a caller brings it.
    for token in ["another", OWN] {
        let told = asked(address, Some(token));
        assert_eq!(told["code"], "unavailable", "{told}");
    }
}

#[test]
fn the_operator_may_say_that_it_is_for_everyone() {
    let url = format!("http://{}", nowhere());
    let state = State::with_copy_of(&url);
    let (_server, address) = http(&url, &state, &["--snapshot-for", "everyone"]);
    assert_of_snapshot(&asked(address, Some("another")), "refused");
}

#[test]
fn where_callers_bring_their_identity_nobody_sees_it() {
    let url = format!("http://{}", nowhere());
    let state = State::with_copy_of(&url);
    let (_server, address) = http(&url, &state, &["--catalog-identity", "caller"]);
    assert_eq!(asked(address, None)["code"], "unauthorized");
    assert_eq!(asked(address, Some("another"))["code"], "unavailable");
    for more in [["--snapshot-for", "everyone"], ["--catalog", "snapshot"]] {
        let arguments = [
            "serve",
            "--http",
            "127.0.0.1:0",
            "--catalog-identity",
            "caller",
        ];
        let ended = command(
            &[&arguments[..], &more].concat(),
            &[
                ("OPENMETADATA_URL", &url),
                ("OPENPOLICY_STATE", state.path()),
            ],
        )
        .output()
        .expect("an end");
        assert_eq!(ended.status.code(), Some(2));
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(said.contains("exclude each other"), "{said}");
    }
}

#[test]
fn on_request_callers_with_a_token_are_refused_too() {
    let url = format!("http://{}", nowhere());
    let state = State::with_copy_of(&url);
    let (_server, address) = http(&url, &state, &["--catalog", "snapshot"]);
    assert_of_snapshot(&asked(address, None), "as asked");
    assert_eq!(asked(address, Some("another"))["code"], "forbidden");
}

#[test]
fn a_copy_of_another_credential_is_not_found() {
    let url = format!("http://{}", nowhere());
    let state = State::with_copy_of(&url);
    let mut server = Server::start(
        &["serve"],
        &[
            ("OPENMETADATA_URL", &url),
            ("OPENMETADATA_TOKEN", "another"),
            ("OPENPOLICY_STATE", state.path()),
        ],
    );
    server.handshake("2025-06-18");
    assert_eq!(
        told(&server.call(1, "get_entity", bills()))["code"],
        "unavailable"
    );
}

#[test]
fn a_file_of_another_credential_or_server_is_never_used() {
    let url = format!("http://{}", nowhere());
    let elsewhere = format!("http://{}", nowhere());
    for (from_url, from_token, why) in [
        (&url, "another", "taken with another credential"),
        (&elsewhere, OWN, "of another OpenMetadata"),
    ] {
        let state = State::with_copy_of(&url);
        let foreign = state.place(from_url, from_token);
        super::write_copy(&foreign.snapshot(), &foreign, super::TAKEN);
        std::fs::copy(foreign.snapshot(), state.place(&url, OWN).snapshot()).expect("a copy");
        let mut server = serve(&url, &state, &[]);
        let told = told(&server.call(1, "get_entity", bills()));
        assert_eq!(told["code"], "unavailable", "{told}");
        assert!(told["message"].as_str().unwrap().contains(why), "{told}");
    }
}

#[test]
fn a_token_file_that_becomes_anothers_closes_the_snapshot() {
    let url = format!("http://{}", nowhere());
    let state = State::with_copy_of(&url);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, OWN).expect("a file");
    let mut server = Server::start(
        &["serve"],
        &[
            ("OPENMETADATA_URL", &url),
            ("OPENMETADATA_TOKEN_FILE", file.to_str().unwrap()),
            ("OPENPOLICY_STATE", state.path()),
        ],
    );
    server.handshake("2025-06-18");
    assert_of_snapshot(&told(&server.call(1, "get_entity", bills())), "refused");
    std::fs::write(&file, "token-of-someone-else").expect("a file");
    assert_eq!(
        told(&server.call(2, "get_entity", bills()))["code"],
        "unavailable"
    );
}
