//! Two servers of one state folder: one looks, the other reads what it sees and takes over.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{
    server::{Server, http, post, request},
    waiting::until,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// The structured answer of a tool, over HTTP.
fn told(address: SocketAddr, tool: &str) -> Value {
    let call = request(1, "tools/call", json!({"name": tool, "arguments": {}}));
    let mut answer = post(address, &[], &call).json();
    answer["result"]["structuredContent"].take()
}

fn metrics(address: SocketAddr) -> String {
    http(address, "GET", "/metrics", &[], "").body
}

const LOOKS: &str = "openpolicy_service_checks_total";
const UP: &str = "openpolicy_service_up{platform=\"p\",service=\"db\"} 1";
const DOWN: &str = "openpolicy_service_up{platform=\"p\",service=\"db\"} 0";

#[test]
fn one_looks_the_other_reads_and_takes_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let service = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = service.local_addr().expect("an address").port();
    let file = folder.path().join("platform.yaml");
    std::fs::write(
        &file,
        format!(
            "platform: p\nservices:\n  db: {{ probe: {{ tcp: \"127.0.0.1:{port}\", interval: 500ms, retries: 1 }} }}\n"
        ),
    )
    .expect("a file");
    let (file, state) = (file.display(), folder.path().join("state"));
    let (file, state) = (file.to_string(), state.display().to_string());
    let arguments = [
        "serve",
        "--http",
        "127.0.0.1:0",
        "--platform",
        &file,
        "--state",
        &state,
    ];
    let mut first = Server::start(&arguments, &[]);
    let one = first.listens();
    until(
        "the first looks",
        PATIENCE,
        || metrics(one),
        |text| text.contains(LOOKS) && text.contains(UP),
    );
    let mut second = Server::start(&arguments, &[]);
    let other = second.listens();
    second.logs_until("Another process looks at the platform");
    until(
        "the second reads",
        PATIENCE,
        || metrics(other),
        |text| text.contains(UP),
    );
    let about = told(other, "get_platform");
    let by = about["platform"]["watched_by"].as_str().expect("who looks");
    assert!(by.contains(&format!("process {}", first.process())), "{by}");
    assert_eq!(
        told(one, "get_platform")["platform"]["watched_by"],
        Value::Null
    );
    assert!(!metrics(other).contains(LOOKS), "the second does not look");

    drop(first);
    until(
        "the second looks",
        PATIENCE,
        || metrics(other),
        |text| text.contains(LOOKS),
    );
    assert_eq!(
        told(other, "get_platform")["platform"]["watched_by"],
        Value::Null
    );
    drop(service);
    until(
        "the second sees",
        PATIENCE,
        || metrics(other),
        |text| text.contains(DOWN),
    );
}
