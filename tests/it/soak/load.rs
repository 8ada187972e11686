//! Clients that make the calls: good ones, bad ones, and some that leave without a word.

use std::{collections::HashSet, net::SocketAddr};

use serde_json::{Value, json};

use super::Left;
use crate::{
    fuzz::{
        arguments,
        choices::{Choices, material},
        messages::{self, Expected},
    },
    support::{
        calls,
        connection::Connection,
        replay::Replay,
        server::{Events, Server, initialize, request},
    },
};

/// Bytes of choices for one call.
const DRAWN: usize = 120;

/// A call of any tool, with arguments that are right, nearly right or wrong.
fn generated(choices: &mut Choices, id: i64) -> Value {
    let tool = arguments::tool(choices);
    let arguments = arguments::of(tool, choices);
    called(id, tool.name, arguments)
}

fn called(id: i64, tool: &str, arguments: Value) -> Value {
    request(
        id,
        "tools/call",
        json!({"name": tool, "arguments": arguments}),
    )
}

/// Seeds of the calls of one client.
fn draws(client: u64) -> impl Iterator<Item = Vec<u8>> {
    (0..).map(move |step: u64| material(client << 32 | step, DRAWN))
}

/// One client over HTTP and SSE, until nothing is left.
pub fn over_http(address: SocketAddr, client: u64, left: &Left) {
    let mut connection = Connection::open(address).expect("a server");
    for (id, drawn) in (1..).zip(draws(client)) {
        if !left.takes() {
            return;
        }
        let mut choices = Choices::new(&drawn);
        match choices.below(40) {
            0 => {
                // Asks and does not wait for the answer.
                let message = generated(&mut choices, id).to_string();
                connection
                    .send(message.as_bytes(), message.len())
                    .expect("a server");
                connection = Connection::open(address).expect("a server");
            }
            1 => {
                // Leaves in the middle of a body.
                connection.send(b"{\"jsonrpc\":", 1_000).expect("a server");
                connection = Connection::open(address).expect("a server");
            }
            2 => over_sse(address, &mut choices),
            3..=6 => {
                let message = messages::message(&mut choices);
                let (status, _) = connection.ask(&message).expect("an answer");
                assert!((200..500).contains(&status), "{status}");
                // A body that was refused unread ends its connection.
                connection = Connection::open(address).expect("a server");
            }
            _ => ask(&mut connection, &generated(&mut choices, id)),
        }
    }
}

/// Asks and holds the answer to what each answer has to be.
fn ask(connection: &mut Connection, message: &Value) {
    let mut expected = Expected::default();
    let text = message.to_string();
    expected.add(text.as_bytes());
    let (status, answer) = connection.ask(text.as_bytes()).expect("an answer");
    assert_eq!(status, 200, "{message}");
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    if let Some(fault) = expected.take(&answer) {
        panic!("{message}: {answer} {fault}");
    }
    assert_eq!(answer["id"], message["id"]);
}

/// Opens a stream, asks once or not, and leaves; at times with a call running or cancelled.
fn over_sse(address: SocketAddr, choices: &mut Choices) {
    let mut events = Events::open(address, &[]);
    if choices.once_in(4) {
        return;
    }
    events.ask(&[], &initialize("2024-11-05"));
    let call = generated(choices, 1);
    match choices.below(3) {
        0 => drop(events.post(&[], &call)),
        1 => {
            events.post(&[], &call);
            let cancel = json!({"requestId": 1});
            let cancel =
                json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancel});
            events.post(&[], &cancel);
        }
        _ => drop(events.ask(&[], &call)),
    }
}

/// One client of a server before a live catalog that fails now and then.
pub fn live(replay: &Replay, address: SocketAddr, client: u64, left: &Left) {
    let mut connection = Connection::open(address).expect("a server");
    let known: Vec<_> = calls::reads().into_iter().chain(calls::writes()).collect();
    for (id, drawn) in (1..).zip(draws(client)) {
        if !left.takes() {
            return;
        }
        let mut choices = Choices::new(&drawn);
        match choices.below(40) {
            0 => {
                replay.fail_next(3, 503, &[]);
            }
            1 => {
                let (tool, arguments) = choices.pick(&known).clone();
                let message = called(id, tool, arguments).to_string();
                connection
                    .send(message.as_bytes(), message.len())
                    .expect("a server");
                connection = Connection::open(address).expect("a server");
                continue;
            }
            _ => {}
        }
        let message = if choices.once_in(4) {
            generated(&mut choices, id)
        } else {
            let (tool, arguments) = choices.pick(&known).clone();
            called(id, tool, arguments)
        };
        ask(&mut connection, &message);
    }
}

/// A client over stdio: a few messages at once, some of them none, some cancelled.
pub fn over_stdio(server: &mut Server, part: u64, left: &Left) {
    for (step, drawn) in (1..).zip(draws(part)) {
        let mut choices = Choices::new(&drawn);
        let mut expected = Expected::default();
        let mut lines: Vec<Vec<u8>> = Vec::new();
        let mut waited_for = HashSet::new();
        // An id is used once: what was cancelled keeps its own.
        let first = (part as i64 + 1) << 32 | step << 4;
        let is_garbled = choices.once_in(3);
        for id in first..=first + choices.below(6) as i64 {
            if !left.takes() {
                break;
            }
            if is_garbled && choices.once_in(2) {
                let line = messages::message(&mut choices);
                lines.extend(line.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
            } else {
                lines.push(generated(&mut choices, id).to_string().into_bytes());
                waited_for.insert(id);
            }
            if !is_garbled && choices.once_in(12) {
                let cancel = json!({"requestId": id, "reason": "changed my mind"});
                let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancel});
                lines.push(cancel.to_string().into_bytes());
                waited_for.remove(&id);
            }
        }
        if lines.is_empty() {
            return;
        }
        for line in &lines {
            expected.add(line);
            server.send_bytes(line);
        }
        let last = request(0, "ping", json!({})).to_string();
        let last = last.replace("\"id\":0", "\"id\":\"last\"");
        expected.add(last.as_bytes());
        server.send_bytes(last.as_bytes());
        let mut is_last = false;
        while expected.open() > 0 || !waited_for.is_empty() || !is_last {
            let answer = server.receive();
            // Of what was garbled or cancelled before this an answer may come late.
            let is_late = match &answer["id"] {
                Value::String(id) => id != "last",
                Value::Null => true,
                id => id.as_i64().is_some_and(|id| id < first),
            };
            waited_for.remove(&answer["id"].as_i64().unwrap_or_default());
            if let Some(fault) = expected.take(&answer)
                && !is_late
            {
                let sent = String::from_utf8_lossy(&lines.join(&b'\n')).into_owned();
                panic!("{answer} {fault}:\n{sent}");
            }
            is_last |= answer["id"] == "last";
        }
    }
}
