//! The real binary before an OpenMetadata that comes, goes, refuses and holds.

use std::{
    collections::BTreeSet,
    io::Read,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    time::{Duration, Instant},
};

use openpolicy_mcp::{
    catalog::{CatalogError, Catalogs, snapshot},
    settings::Credential,
};
use serde_json::{Value, json};

use crate::support::{
    replay::{Answer, Replay, Version},
    server::{
        Events, Server, assert_answered, error_of, http, initialize, look, open, post, request,
    },
};

const PATIENCE: Duration = Duration::from_secs(20);
const TABLE: &str = "table:openpolicy_pg.openpolicy.core.bills";
const NEWS: &str = "/api/v1/tables/name/openpolicy_pg.openpolicy.core.bills";

fn entity(id: i64, name: &str) -> Value {
    let arguments = json!({"entities": [name]});
    request(
        id,
        "tools/call",
        json!({"name": "get_entity", "arguments": arguments}),
    )
}

fn over_http(url: &str, arguments: &[&str]) -> (Server, SocketAddr) {
    let all = [&["serve", "--http", "127.0.0.1:0"], arguments].concat();
    let environment = [
        ("OPENMETADATA_URL", url),
        ("OPENMETADATA_TOKEN", "own-token"),
    ];
    let mut server = Server::start(&all, &environment);
    let address = server.listens();
    (server, address)
}

/// Asks again until it is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn what_was_down_is_asked_again_without_a_restart() {
    let place = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = place.local_addr().expect("an address");
    drop(place);
    let url = format!("http://{address}");
    let (_server, mcp) = over_http(&url, &[]);
    let error = post(mcp, &[], &entity(1, TABLE)).json();
    let told = error["result"]["structuredContent"].to_string();
    assert!(
        told.contains("unavailable") && told.contains("nothing listens there"),
        "{told}"
    );
    assert_eq!(http(mcp, "GET", "/readyz", &[], "").status, 503);

    let _replay = Replay::start_at(Version::V1_12_6, address);
    assert_answered(&post(mcp, &[], &entity(2, TABLE)).json());
    assert_eq!(http(mcp, "GET", "/readyz", &[], "").status, 200);
}

#[test]
fn a_token_file_that_is_replaced_counts_from_the_next_call() {
    let replay = Replay::start_blocking(Version::V1_12_6);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "the-first-token\n").expect("a file");
    replay.expect_token("the-first-token");
    let url = replay.url();
    let mut server = Server::start(
        &["serve"],
        &[
            ("OPENMETADATA_URL", url.as_str()),
            ("OPENMETADATA_TOKEN_FILE", file.to_str().expect("a path")),
        ],
    );
    server.handshake("2025-06-18");
    server.send(&look(1));
    assert_answered(&server.receive());

    replay.expect_token("the-second-token");
    let other = "table:openpolicy_pg.openpolicy.core.votes";
    server.send(&entity(2, other));
    let refused = server.receive()["result"]["structuredContent"].to_string();
    assert!(refused.contains("unauthorized"), "{refused}");

    std::fs::write(&file, "the-second-token\n").expect("a file");
    server.send(&look(3));
    assert_answered(&server.receive());
    server.close_stdin();
    server.ended();
    for token in ["the-first-token", "the-second-token"] {
        assert!(!server.log.contains(token), "{}", server.log);
    }
}

#[test]
fn a_login_is_renewed_when_its_token_is_refused() {
    let replay = Replay::start_blocking(Version::V1_12_6);
    let login = |token: &str| {
        let session = json!({"accessToken": token, "refreshToken": format!("refresh-{token}"),
            "tokenType": "Bearer", "expiryDuration": 4_102_444_800_000_i64});
        Answer::json(200, &session)
    };
    replay.canned("POST", "/api/v1/users/login", &[], login("session-token-1"));
    replay.canned(
        "POST",
        "/api/v1/users/refresh",
        &[],
        login("session-token-2"),
    );
    replay.expect_token("session-token-1");
    let url = replay.url();
    let mut server = Server::start(
        &["serve", "--log-level", "trace"],
        &[
            ("OPENMETADATA_URL", url.as_str()),
            ("OPENMETADATA_EMAIL", "admin@open-metadata.org"),
            ("OPENMETADATA_PASSWORD", "the-login-password"),
        ],
    );
    server.handshake("2025-06-18");
    server.send(&look(1));
    assert_answered(&server.receive());
    replay.expect_token("session-token-2");
    server.send(&entity(2, "table:warehouse.DW.MART.dim_bills"));
    let told = server.receive().to_string();
    assert!(!told.contains("unauthorized"), "{told}");
    assert_eq!(replay.requests_to("/api/v1/users/login").len(), 1);
    assert_eq!(replay.requests_to("/api/v1/users/refresh").len(), 1);
    server.close_stdin();
    server.ended();
    for secret in ["session-token", "the-login-password"] {
        assert!(!server.log.contains(secret), "{}", server.log);
    }
}

#[test]
fn callers_see_what_their_own_token_sees() {
    let replay = Replay::start_blocking(Version::V1_12_6);
    let refusal = json!({"code": 403, "message": "Principal: b is not allowed"});
    replay.fail_where(
        |seen| seen.bearer() == Some("token-of-b") && seen.path == NEWS,
        Answer::json(403, &refusal),
    );
    let (_server, mcp) = over_http(&replay.url(), &["--catalog-identity", "caller"]);
    let asked = |token: &str, id: i64| {
        post(mcp, &[("X-OpenMetadata-Token", token)], &entity(id, TABLE)).json()
    };
    assert_answered(&asked("token-of-a", 1));
    let told = asked("token-of-b", 2).to_string();
    assert!(
        told.contains("forbidden") && !told.contains("description"),
        "{told}"
    );
    let before = replay.requests_to(NEWS).len();
    assert_answered(&asked("token-of-a", 3));
    assert_eq!(
        replay.requests_to(NEWS).len(),
        before,
        "a's answer is kept for a"
    );

    let without = post(mcp, &[], &entity(4, TABLE)).json();
    assert_eq!(error_of(&without)["code"], "unauthorized");
    let mut events = Events::open(mcp, &[]);
    events.ask(&[], &initialize("2024-11-05"));
    assert_eq!(
        error_of(&events.ask(&[], &entity(5, TABLE)))["code"],
        "unauthorized"
    );
    assert!(
        replay
            .requests()
            .iter()
            .all(|seen| seen.bearer() != Some("own-token"))
    );
}

#[test]
fn a_snapshot_answers_a_caller_with_a_token_only_where_it_is_for_everyone() {
    let taken = Catalogs::of_snapshot(snapshot::demo().expect("the demo"));
    assert!(taken.of(None).is_ok());
    let token = secrecy::SecretString::from("token-of-a");
    let refused = taken.of(Some(&token)).err();
    assert!(
        matches!(refused, Some(CatalogError::Forbidden { .. })),
        "{refused:?}"
    );
    let (_server, mcp) = Server::http(&[], &[]);
    assert_answered(&post(mcp, &[("X-OpenMetadata-Token", "token-of-a")], &look(1)).json());
}

#[test]
fn two_hundred_calls_at_once_are_all_answered() {
    let replay = Replay::start_blocking(Version::V1_12_6);
    let tables = ["bills", "votes", "Bills"];
    let call = |id: i64| {
        entity(
            id,
            &format!("{TABLE_OF}{}", tables[id as usize % tables.len()]),
        )
    };
    let url = replay.url();
    let environment = [
        ("OPENMETADATA_URL", url.as_str()),
        ("OPENMETADATA_TOKEN", "own-token"),
    ];
    let mut server = Server::start(&["serve"], &environment);
    server.handshake("2025-06-18");
    for id in 1..=200 {
        server.send(&call(id));
    }
    let mut ids = BTreeSet::new();
    for _ in 1..=200 {
        let answer = server.receive();
        let id = answer["id"].as_i64().expect("an id");
        is_about(&answer, tables[id as usize % tables.len()]);
        ids.insert(id);
    }
    assert_eq!(ids.len(), 200);
    // Identical reads share one request.
    assert!(replay.requests_to("/api/v1/tables").len() < 50);

    let (_server, mcp) = over_http(&url, &[]);
    let callers: Vec<_> = (1..=200)
        .map(|id| {
            let call = call(id);
            std::thread::spawn(move || (id, post(mcp, &[], &call).json()))
        })
        .collect();
    for caller in callers {
        let (id, answer) = caller.join().expect("an answer");
        assert_eq!(answer["id"], id);
        is_about(&answer, tables[id as usize % tables.len()]);
    }
    let metrics = http(mcp, "GET", "/metrics", &[], "").body;
    assert!(
        metrics.contains("openpolicy_tool_calls_in_flight 0"),
        "{metrics}"
    );
}

const TABLE_OF: &str = "table:openpolicy_pg.openpolicy.core.";

fn is_about(answer: &Value, table: &str) {
    let told = &answer["result"]["structuredContent"];
    let fqn = format!("openpolicy_pg.openpolicy.core.{table}");
    assert_eq!(told["entities"][0]["fqn"], fqn.as_str(), "{answer}");
}

/// An OpenMetadata that takes requests and never answers: tells of each connection when something
/// came, and when the other side hung up.
fn holding() -> (String, mpsc::Receiver<&'static str>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let tell = tell.clone();
            std::thread::spawn(move || {
                let mut piece = [0; 4096];
                if stream.read(&mut piece).is_ok_and(|read| read > 0) {
                    let _ = tell.send("asked");
                }
                while stream.read(&mut piece).is_ok_and(|read| read > 0) {}
                let _ = tell.send("hung up");
            });
        }
    });
    (url, told)
}

#[test]
fn work_that_nobody_waits_for_is_dropped_upstream_too() {
    let (url, told) = holding();
    let next = |what: &str| assert_eq!(told.recv_timeout(PATIENCE).ok(), Some(what));
    let environment = [
        ("OPENMETADATA_URL", url.as_str()),
        ("OPENMETADATA_TOKEN", "own-token"),
    ];
    let mut server = Server::start(&["serve"], &environment);
    server.handshake("2025-06-18");
    let read = json!({"name": "read_openmetadata", "arguments": {"path": "/tables"}});

    // Cancelled: dropped, and the next request is answered.
    server.send(&request(1, "tools/call", read.clone()));
    next("asked");
    server.send(&json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}
    }));
    next("hung up");
    assert_eq!(server.ask(2, "ping", json!({}))["result"], json!({}));

    // The client is gone.
    server.send(&request(3, "tools/call", read.clone()));
    next("asked");
    server.close_stdin();
    next("hung up");
    let (status, elapsed, _) = server.ended();
    assert!(
        status.success() && elapsed < Duration::from_secs(10),
        "{status} {elapsed:?}"
    );

    // Over HTTP hanging up is cancelling.
    let (_server, mcp) = over_http(&url, &[]);
    let json = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json"),
    ];
    let body = request(4, "tools/call", read).to_string();
    let stream: TcpStream = open(mcp, "POST", "/mcp", &json, Some(&body));
    next("asked");
    drop(stream);
    next("hung up");
    until("a call stays in flight", || {
        let metrics = http(mcp, "GET", "/metrics", &[], "").body;
        metrics.contains("openpolicy_tool_calls_in_flight 0")
    });
}

#[test]
fn settings_never_show_their_secrets() {
    let credential = Credential::Token("the-token-itself".into());
    assert!(!format!("{credential:?}").contains("the-token-itself"));
}
