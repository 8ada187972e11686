//! Bodies over HTTP: each request is answered on its connection, or on its stream over SSE.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::OnceLock,
};

use openpolicy_mcp::{
    mcp::{guard::Guard, http},
    settings::HttpSettings,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::{PATIENCE, choices::Choices, demo, messages, messages::Expected};
use crate::support::{
    server::{Events, initialize},
    waiting::until,
};

/// The first bytes choose the transport and the headers, the rest is the body or what it is made of.
pub fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    if choices.once_in(4) {
        over_sse(&mut choices);
    } else {
        over_http(&mut choices);
    }
}

const KINDS: [&str; 6] = [
    "application/json",
    "application/json; charset=utf-8",
    "text/plain",
    "application/jsonx",
    "multipart/form-data; boundary=x",
    "\u{e4}",
];
const ACCEPTED: [&str; 5] = [
    "application/json, text/event-stream",
    "*/*",
    "text/event-stream",
    "image/png",
    "",
];
const VERSIONS: [&str; 6] = [
    "2025-06-18",
    "2024-11-05",
    "2026-07-28",
    "2019-01-01",
    "",
    "x",
];

fn over_http(choices: &mut Choices) {
    let kind = choices.below(2 * KINDS.len());
    let accepted = choices.below(2 * ACCEPTED.len());
    let version = choices.below(3 * VERSIONS.len());
    let is_cut = choices.once_in(16);
    let body = body(choices);
    let mut headers = String::new();
    headers += &format!("Content-Type: {}\r\n", KINDS.get(kind).unwrap_or(&KINDS[0]));
    if let Some(accepted) = ACCEPTED.get(accepted) {
        headers += &format!("Accept: {accepted}\r\n");
    }
    if let Some(version) = VERSIONS.get(version) {
        headers += &format!("MCP-Protocol-Version: {version}\r\n");
    }
    let told = || format!("{headers}\n{}", String::from_utf8_lossy(&body));
    let length = body.len() + if is_cut { 100 } else { 0 };
    let reply = exchange("/mcp", &headers, &body, length);
    let Some(reply) = reply else {
        assert!(is_cut, "no answer to\n{}", told());
        return;
    };
    assert!(
        (200..500).contains(&reply.status),
        "{reply:?} to\n{}",
        told()
    );
    let mut expected = Expected::default();
    expected.add(&body);
    let wants_answer = expected.open() > 0;
    let answer = serde_json::from_str::<Value>(&reply.body).ok();
    if let Some(answer) = answer
        .as_ref()
        .filter(|answer| answer["jsonrpc"].is_string())
        && let Some(fault) = expected.take(answer)
    {
        panic!("{answer} {fault}:\n{}", told());
    }
    let is_plain = (kind < 2 || kind >= KINDS.len())
        && !(2..5).contains(&accepted)
        && version >= VERSIONS.len();
    if is_plain && wants_answer && !is_cut {
        assert_eq!(expected.open(), 0, "{reply:?} to\n{}", told());
    }
    if reply.status >= 400 {
        assert!(!reply.body.is_empty(), "{reply:?} to\n{}", told());
    }
}

fn body(choices: &mut Choices) -> Vec<u8> {
    if choices.once_in(4) {
        choices.rest().to_vec()
    } else {
        messages::message(choices)
    }
}

fn over_sse(choices: &mut Choices) {
    let mut events = Events::open(address(), &[]);
    let path = events.endpoint.clone();
    let post = |body: &[u8]| {
        exchange(
            &path,
            "Content-Type: application/json\r\n",
            body,
            body.len(),
        )
        .unwrap_or_else(|| panic!("no answer to {}", String::from_utf8_lossy(body)))
    };
    let mut expected = Expected::default();
    let mut bodies = vec![
        initialize("2024-11-05").to_string().into_bytes(),
        br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_vec(),
    ];
    if choices.once_in(8) {
        bodies.clear();
    }
    for _ in 0..=choices.below(3) {
        bodies.push(body(choices));
    }
    let last = json!({"jsonrpc": "2.0", "id": "last", "method": "ping"});
    bodies.push(last.to_string().into_bytes());
    let told = |bodies: &[Vec<u8>]| String::from_utf8_lossy(&bodies.join(&b'\n')).into_owned();
    for body in &bodies {
        let reply = post(body);
        match reply.status {
            202 => expected.add(body),
            // Refused where it was sent: nothing more comes.
            400 => assert!(!reply.body.is_empty(), "{reply:?}"),
            _ => panic!(
                "{reply:?} to {} of\n{}",
                String::from_utf8_lossy(body),
                told(&bodies)
            ),
        }
    }
    let mut is_last = false;
    while expected.open() > 0 || !is_last {
        let (_, data) = events.next();
        let answer: Value = serde_json::from_str(&data).expect("JSON");
        if let Some(fault) = expected.take(&answer) {
            panic!("{answer} {fault}:\n{}", told(&bodies));
        }
        is_last |= answer["id"] == "last";
    }
}

#[derive(Debug)]
struct Reply {
    status: u16,
    body: String,
}

/// One request on a connection of its own; nothing where the server closed without an answer.
fn exchange(path: &str, headers: &str, body: &[u8], length: usize) -> Option<Reply> {
    let mut stream = TcpStream::connect(address()).expect("a server");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    stream
        .write_all(&[head.as_bytes(), body].concat())
        .expect("a server that reads");
    if length > body.len() {
        stream
            .shutdown(Shutdown::Write)
            .expect("an open connection");
    }
    let mut read = Vec::new();
    stream.read_to_end(&mut read).expect("an answer in time");
    let read = String::from_utf8(read).expect("UTF-8");
    let (head, body) = read.split_once("\r\n\r\n")?;
    Some(Reply {
        status: head.split(' ').nth(1)?.parse().ok()?,
        body: body.to_owned(),
    })
}

/// The server of this target: its runtime, where it listens, and its tasks when it is idle.
struct Serving {
    runtime: Runtime,
    address: SocketAddr,
    tasks: usize,
}

fn serving() -> &'static Serving {
    static SERVING: OnceLock<Serving> = OnceLock::new();
    SERVING.get_or_init(|| {
        let runtime = Runtime::new().expect("a runtime");
        let settings = HttpSettings::new(([127, 0, 0, 1], 0).into());
        let bound = runtime.block_on(http::bind(settings.address));
        let (listener, address) = bound.expect("a free port");
        runtime.spawn(async move {
            let guard = Guard::new(&settings).expect("settings");
            let others = axum::Router::new();
            let never = CancellationToken::new();
            http::serve(listener, guard, &settings, demo(), others, never).await;
        });
        Serving {
            runtime,
            address,
            tasks: 1,
        }
    })
}

fn address() -> SocketAddr {
    serving().address
}

/// Every connection, stream and call has ended its tasks.
pub fn assert_nothing_left() {
    let serving = serving();
    let alive = || serving.runtime.metrics().num_alive_tasks();
    until("tasks that end", PATIENCE, alive, |alive| {
        *alive <= serving.tasks
    });
}
