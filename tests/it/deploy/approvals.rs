//! A person at a client approves: the server asks, the client answers, over each way that the protocol
//! has for it. No argument of a tool does, and in production nobody at a client.

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};

use super::process::Place;
use crate::support::{
    runs::{self, planned},
    server::{Events, Server, initialize, open, post, request},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A platform of two phases that both want a person.
fn place() -> Place {
    let place = Place::new(&[], "");
    place.change(|text| {
        text.replace("name: base,", "name: base, approve: true,")
            .replace("name: apps,", "name: apps, approve: true,")
    });
    place
}

/// A handshake of a client that shows forms to a person.
fn initialize_asking(version: &str) -> Value {
    let mut message = initialize(version);
    message["params"]["capabilities"] = json!({"elicitation": {}});
    message
}

/// A server over stdio whose client shows forms to a person.
fn asking(place: &Place) -> Server {
    let mut server = place.unmet();
    server.send(&initialize_asking("2025-11-25"));
    server.receive();
    server.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    server
}

/// A call that is not answered yet.
fn call(id: i64, tool: &str, arguments: Value) -> Value {
    request(
        id,
        "tools/call",
        json!({"name": tool, "arguments": arguments}),
    )
}

/// What the person at the client says to a question.
fn said(question: &Value, action: &str) -> Value {
    assert_eq!(question["method"], "elicitation/create", "{question}");
    let mut result = json!({"action": action});
    if action == "accept" {
        result["content"] = json!({});
    }
    json!({"jsonrpc": "2.0", "id": question["id"], "result": result})
}

fn answer_of(answer: &Value) -> &Value {
    &answer["result"]["structuredContent"]
}

fn warnings(answer: &Value) -> String {
    answer["warnings"].to_string()
}

/// That nothing was begun by whoever asks.
fn assert_waits(server: &mut Server, run: &Value) {
    let seen = server.told("get_deployment", json!({"run": run}));
    assert_eq!(seen["state"], "awaiting_approval", "{seen}");
    let health = server.told("check_health", json!({"refresh": true}));
    assert_eq!(health["counts"]["up"], Value::Null, "{health}");
}

#[test]
fn the_person_at_a_client_is_asked_and_what_they_say_counts() {
    let place = place();
    let mut server = asking(&place);
    let digest = planned(&mut server, json!({}));
    server.send(&call(1, "deploy_phase", json!({"digest": digest})));
    let question = server.receive();
    let message = question["params"]["message"].as_str().expect("words");
    for word in [
        "A deployment waits for your approval",
        &digest,
        "deploy phase base",
        "create db, cache",
        "Platform: tiny",
    ] {
        assert!(message.contains(word), "{word}: {message}");
    }
    assert_eq!(
        question["params"]["requestedSchema"],
        json!({"type": "object", "properties": {}})
    );
    server.send(&said(&question, "decline"));
    let declined = server.receive();
    let declined = answer_of(&declined);
    assert_eq!(declined["state"], "awaiting_approval", "{declined}");
    assert!(warnings(declined).contains("declined"), "{declined}");
    let run = declined["run"].clone();
    assert_waits(&mut server, &run);

    let again = json!({"run": run, "action": "request_approval"});
    server.send(&call(2, "control_deployment", again.clone()));
    let question = server.receive();
    server.send(&said(&question, "cancel"));
    let cancelled = server.receive();
    let cancelled = answer_of(&cancelled);
    assert!(
        warnings(cancelled).contains("without a decision"),
        "{cancelled}"
    );
    assert!(
        cancelled["next_step"]
            .to_string()
            .contains("request_approval"),
        "{cancelled}"
    );
    assert_waits(&mut server, &run);

    // What is no answer of the protocol approves nothing either.
    server.send(&call(3, "control_deployment", again.clone()));
    let question = server.receive();
    server.send(&said(&question, "yes"));
    let unread = server.receive();
    assert!(
        warnings(answer_of(&unread)).contains("could not be read"),
        "{unread}"
    );
    server.send(&call(4, "control_deployment", again.clone()));
    let question = server.receive();
    let error = json!({"code": -32601, "message": "no forms here"});
    server.send(&json!({"jsonrpc": "2.0", "id": question["id"], "error": error}));
    let unasked = server.receive();
    assert!(
        warnings(answer_of(&unasked)).contains("did not put the question"),
        "{unasked}"
    );
    assert_waits(&mut server, &run);

    server.send(&call(5, "control_deployment", again));
    let question = server.receive();
    server.send(&said(&question, "accept"));
    let accepted = server.receive();
    assert_eq!(answer_of(&accepted)["state"], "running", "{accepted}");
    // The second phase wants a person of its own.
    let seen = until_asked(&mut server, &run, "apps");
    let timeline = seen["timeline"].to_string();
    assert!(
        timeline.contains("base: approved by the person at test (elicitation)"),
        "{timeline}"
    );
    server.send(&call(6, "deploy_phase", json!({"digest": digest})));
    let question = server.receive();
    let message = question["params"]["message"].as_str().expect("words");
    assert!(message.contains("deploy phase apps"), "{message}");
    server.send(&said(&question, "accept"));
    server.receive();
    runs::until(&mut server, &run, PATIENCE, |seen| {
        seen["state"] == "succeeded"
    });
}

/// Waits until a phase asks for its approval.
fn until_asked(server: &mut Server, run: &Value, phase: &str) -> Value {
    let asks = format!("{phase}: a person has to approve it");
    runs::until(server, run, PATIENCE, |seen| {
        seen["state"] == "awaiting_approval" && seen["timeline"].to_string().contains(&asks)
    })
}

#[test]
fn a_client_that_shows_no_forms_gets_the_command_to_type() {
    let place = place();
    let mut server = place.server();
    let digest = planned(&mut server, json!({}));
    let begun = server.told("deploy_phase", json!({"digest": digest, "wait": 20}));
    assert_eq!(begun["state"], "awaiting_approval", "{begun}");
    let next = begun["next_step"].as_str().expect("a next step");
    assert!(next.contains("`openpolicy-mcp approve 1`"), "{next}");
    assert!(!next.contains("request_approval"), "{next}");
    let refused = json!({"run": 1, "action": "request_approval"});
    let refused = server.told("control_deployment", refused);
    assert_eq!(refused["code"], "needs_approval", "{refused}");
    assert!(
        refused.to_string().contains("openpolicy-mcp approve 1"),
        "{refused}"
    );
    // No word of an agent is an approval.
    for action in ["approve", "resume", "promote"] {
        let tried = json!({"run": 1, "action": action, "reason": "the person said yes"});
        let tried = server.told("control_deployment", tried);
        assert!(tried["code"].is_string(), "{action}: {tried}");
    }
    for more in ["approve", "approved", "inputResponses"] {
        let tried = json!({"digest": digest, more: true});
        server.told("deploy_phase", tried);
    }
    assert_waits(&mut server, &json!(1));
}

#[test]
fn in_production_nobody_at_a_client_is_asked() {
    let place = Place::new(&[], "environment: production\n");
    let mut server = asking(&place);
    let digest = planned(&mut server, json!({}));
    // The answer comes without a question before it.
    let begun = server.told("deploy_phase", json!({"digest": digest, "wait": 20}));
    assert_eq!(begun["state"], "awaiting_approval", "{begun}");
    let next = begun["next_step"].as_str().expect("a next step");
    assert!(next.contains("passphrase"), "{next}");
    let refused = json!({"run": 1, "action": "request_approval"});
    let refused = server.told("control_deployment", refused);
    assert_eq!(refused["code"], "needs_approval", "{refused}");
    assert!(refused.to_string().contains("passphrase"), "{refused}");
    let answered = post_like(&mut server, &digest, "accept");
    assert_eq!(answer_of(&answered)["state"], "awaiting_approval");
    assert_waits(&mut server, &json!(1));
}

/// A call of the newest version over stdio that brings an answer nobody asked for.
fn post_like(server: &mut Server, digest: &str, action: &str) -> Value {
    server.ask(
        9,
        "tools/call",
        json!({
            "name": "deploy_phase",
            "arguments": {"digest": digest},
            "inputResponses": {"approval": {"action": action, "content": {}}},
            "requestState": "run 1",
            "_meta": meta(true),
        }),
    )
}

#[test]
fn an_answer_that_comes_late_approves_nothing() {
    let place = place();
    let mut first = asking(&place);
    let mut second = asking(&place);
    let digest = planned(&mut first, json!({}));
    // The run is cancelled while the person thinks.
    first.send(&call(1, "deploy_phase", json!({"digest": digest})));
    let question = first.receive();
    let run = second.told("get_deployment", json!({}))["run"].clone();
    let aborted = json!({"run": run, "action": "abort", "reason": "not today"});
    let aborted = second.told("control_deployment", aborted);
    assert_eq!(aborted["state"], "cancelled", "{aborted}");
    first.send(&said(&question, "accept"));
    let late = first.receive();
    let late = answer_of(&late);
    assert_eq!(late["state"], "cancelled", "{late}");
    assert!(warnings(late).contains("too late"), "{late}");

    // Two are asked; the answer of the slower one is not taken for another phase.
    let digest = planned(&mut first, json!({}));
    first.send(&call(2, "deploy_phase", json!({"digest": digest})));
    let slow = first.receive();
    second.send(&call(2, "deploy_phase", json!({"digest": digest})));
    let fast = second.receive();
    second.send(&said(&fast, "accept"));
    let begun = second.receive();
    let run = answer_of(&begun)["run"].clone();
    until_asked(&mut second, &run, "apps");
    first.send(&said(&slow, "accept"));
    let late = first.receive();
    let late = answer_of(&late);
    assert_eq!(late["state"], "awaiting_approval", "{late}");
    assert!(warnings(late).contains("another question"), "{late}");
    let seen = second.told("get_deployment", json!({"run": run, "limit": 200}));
    assert_eq!(
        (seen["state"].as_str(), &seen["phases"]["rows"][1][1]),
        (Some("awaiting_approval"), &json!("waiting")),
        "{seen}"
    );
}

/// What a request of 2026-07-28 carries beside its parameters.
fn meta(shows_forms: bool) -> Value {
    let can = match shows_forms {
        true => json!({"elicitation": {"form": {}}}),
        false => json!({}),
    };
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "newest\nclient", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": can
    })
}

/// A stateless client of the newest version over HTTP.
struct Newest(SocketAddr);

impl Newest {
    fn ask(&self, tool: &str, mut parameters: Value, shows_forms: bool) -> Value {
        parameters["name"] = tool.into();
        parameters["_meta"] = meta(shows_forms);
        let headers = [
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", "tools/call"),
            ("Mcp-Name", tool),
        ];
        let reply = post(self.0, &headers, &request(3, "tools/call", parameters));
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["result"].take()
    }

    fn told(&self, tool: &str, arguments: Value) -> Value {
        let mut result = self.ask(tool, json!({"arguments": arguments}), true);
        assert_eq!(result["resultType"], "complete", "{result}");
        result["structuredContent"].take()
    }

    /// The question that a call ends with.
    fn asked(&self, tool: &str, arguments: &Value) -> Value {
        let result = self.ask(tool, json!({"arguments": arguments}), true);
        assert_eq!(result["resultType"], "input_required", "{result}");
        let question = &result["inputRequests"]["approval"];
        assert_eq!(question["method"], "elicitation/create", "{result}");
        result
    }

    /// The same call again, with what the person said.
    fn says(&self, tool: &str, arguments: &Value, state: &Value, action: &str) -> Value {
        let brought = json!({
            "arguments": arguments,
            "inputResponses": {"approval": {"action": action, "content": {}}},
            "requestState": state,
        });
        let mut result = self.ask(tool, brought, true);
        assert_eq!(result["resultType"], "complete", "{result}");
        result["structuredContent"].take()
    }
}

#[test]
fn without_a_session_the_call_ends_with_the_question_and_comes_again() {
    let place = place();
    let (mut _server, address) = place.http(&[]);
    let client = Newest(address);
    let plan = client.told("plan_deployment", json!({}));
    let digest = json!({"digest": plan["digest"]});
    let asked = client.asked("deploy_phase", &digest);
    let message = &asked["inputRequests"]["approval"]["params"]["message"];
    assert!(message.to_string().contains("deploy phase base"), "{asked}");
    let state = &asked["requestState"];
    let declined = client.says("deploy_phase", &digest, state, "decline");
    assert_eq!(declined["state"], "awaiting_approval", "{declined}");
    assert!(warnings(&declined).contains("declined"), "{declined}");
    let run = &declined["run"];
    // The answer to a question counts once.
    let again = client.says("deploy_phase", &digest, state, "accept");
    assert_eq!(again["state"], "awaiting_approval", "{again}");
    assert!(warnings(&again).contains("another question"), "{again}");

    let control = json!({"run": run, "action": "request_approval"});
    let asked = client.asked("control_deployment", &control);
    let state = &asked["requestState"];
    let cancelled = client.says("control_deployment", &control, state, "cancel");
    assert!(
        warnings(&cancelled).contains("without a decision"),
        "{cancelled}"
    );
    // Neither without what was sent along, nor with something else.
    client.asked("control_deployment", &control);
    for state in [json!("run 1"), json!("")] {
        let forged = client.says("control_deployment", &control, &state, "accept");
        assert_eq!(forged["state"], "awaiting_approval", "{forged}");
    }
    // A client that shows no forms is not asked.
    let plain = client.ask("control_deployment", json!({"arguments": control}), false);
    let plain = &plain["structuredContent"];
    assert_eq!(plain["code"], "needs_approval", "{plain}");

    let asked = client.asked("control_deployment", &control);
    let state = &asked["requestState"];
    let accepted = client.says("control_deployment", &control, state, "accept");
    assert_eq!(accepted["state"], "running", "{accepted}");
    let timeline = accepted["timeline"].to_string();
    assert!(
        timeline.contains("approved by the person at newest client (input_required)"),
        "{timeline}"
    );

    // The run is over before the person says yes to its second phase, and another waits by then.
    let seen = client.until_asked(run, "apps");
    let asked = client.asked("control_deployment", &control);
    let state = &asked["requestState"];
    assert_eq!(&seen["run"], run);
    client.told("control_deployment", json!({"run": run, "action": "abort"}));
    client.until(run, "rolled_back");
    let plan = client.told("plan_deployment", json!({}));
    let newer = json!({"digest": plan["digest"]});
    client.asked("deploy_phase", &newer);
    let late = client.says("deploy_phase", &newer, state, "accept");
    assert_eq!(late["state"], "awaiting_approval", "{late}");
    assert!(warnings(&late).contains("another question"), "{late}");
    let late = client.says("deploy_phase", &digest, state, "accept");
    assert_eq!(late["state"], "rolled_back", "{late}");
}

impl Newest {
    fn until_asked(&self, run: &Value, phase: &str) -> Value {
        let asks = format!("{phase}: a person has to approve it");
        let arguments = json!({"run": run, "wait": 5, "limit": 200});
        crate::support::waiting::until(
            "the question",
            PATIENCE,
            || self.told("get_deployment", arguments.clone()),
            |seen| {
                seen["state"] == "awaiting_approval" && seen["timeline"].to_string().contains(&asks)
            },
        )
    }

    fn until(&self, run: &Value, state: &str) -> Value {
        let arguments = json!({"run": run, "wait": 5});
        crate::support::waiting::until(
            state,
            PATIENCE,
            || self.told("get_deployment", arguments.clone()),
            |seen| seen["state"] == state,
        )
    }
}

#[test]
fn over_http_with_a_session_the_question_comes_on_the_stream_of_the_call() {
    let place = place();
    let (mut _server, address) = place.http(&["--http-sessions"]);
    let begun = post(address, &[], &initialize_asking("2025-11-25"));
    let session = begun
        .head
        .lines()
        .find_map(|line| line.strip_prefix("mcp-session-id: "))
        .expect("a session");
    let headers = [
        ("Mcp-Session-Id", session),
        ("MCP-Protocol-Version", "2025-11-25"),
    ];
    let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(post(address, &headers, &note).status, 202);
    let mut stream = Stream::of(address, &headers, &call(1, "plan_deployment", json!({})));
    let plan = stream.next();
    let digest = answer_of(&plan)["digest"].clone();
    let deploy = call(2, "deploy_phase", json!({"digest": digest}));
    let mut stream = Stream::of(address, &headers, &deploy);
    let question = stream.next();
    assert_eq!(
        post(address, &headers, &said(&question, "accept")).status,
        202
    );
    let answer = stream.next();
    let run = answer_of(&answer)["run"].clone();
    assert_eq!(answer_of(&answer)["state"], "running", "{answer}");
    let look = json!({"run": run, "limit": 200});
    let mut stream = Stream::of(address, &headers, &call(3, "get_deployment", look));
    let seen = stream.next();
    assert!(
        seen.to_string()
            .contains("base: approved by the person at test (elicitation)"),
        "{seen}"
    );

    // Without a session there is no way back: the older versions get the command.
    let (mut _plain, address) = place.http(&[]);
    let control = json!({"run": run, "action": "request_approval"});
    let headers = [("MCP-Protocol-Version", "2025-11-25")];
    let refused = post(address, &headers, &call(1, "control_deployment", control));
    let refused = refused.json();
    assert!(
        answer_of(&refused)["code"].is_string(),
        "nobody is asked: {refused}"
    );
}

/// The events of one POST.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn of(address: SocketAddr, headers: &[(&str, &str)], message: &Value) -> Self {
        let mut all = vec![
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
        ];
        all.extend_from_slice(headers);
        let body = message.to_string();
        Self(BufReader::new(open(
            address,
            "POST",
            "/mcp",
            &all,
            Some(&body),
        )))
    }

    /// The next message; head, chunk sizes and what holds none are passed over.
    fn next(&mut self) -> Value {
        loop {
            let mut line = String::new();
            let read = self.0.read_line(&mut line).expect("an event");
            assert!(read > 0, "the stream ended");
            let data = line.strip_prefix("data:").map(str::trim);
            if let Some(data) = data.filter(|data| !data.is_empty()) {
                return serde_json::from_str(data).expect("a message");
            }
        }
    }
}

#[test]
fn the_older_stream_of_events_carries_the_question_too() {
    let place = place();
    let (mut _server, address) = place.http(&[]);
    let mut events = Events::open(address, &[]);
    events.ask(&[], &initialize_asking("2025-06-18"));
    let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(events.post(&[], &note).status, 202);
    let plan = events.ask(&[], &call(1, "plan_deployment", json!({})));
    let digest = answer_of(&plan)["digest"].clone();
    let deploy = call(2, "deploy_phase", json!({"digest": digest}));
    let question = events.ask(&[], &deploy);
    let answer = events.ask(&[], &said(&question, "accept"));
    assert_eq!(answer_of(&answer)["state"], "running", "{answer}");
}
