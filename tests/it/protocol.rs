//! The protocol as clients speak it to the real binary, whatever carries it; over stdio first.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::support::server::{
    BILLS, Events, Server, VERSIONS, assert_answered, command, error_of, look, post, request,
};

/// What a request of 2026-07-28 carries beside its parameters.
fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {}
    })
}

#[test]
fn every_version_shakes_hands_over_stdio() {
    for version in VERSIONS {
        let mut server = Server::start(&["demo"], &[]);
        let answer = server.handshake(version);
        assert_eq!(answer["result"]["protocolVersion"], version);
        assert_eq!(answer["result"]["serverInfo"]["name"], "openpolicy-mcp");
        assert!(answer["result"]["instructions"].is_string());
        assert_answered(&server.call(1, "get_entity", json!({"entities": [BILLS]})));
    }
}

#[test]
fn a_version_that_nobody_knows_is_answered_with_one_that_we_do() {
    let mut server = Server::start(&["demo"], &[]);
    let answer = server.handshake("1999-01-01");
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
}

#[test]
fn the_newest_version_needs_no_handshake() {
    let parameters = json!({
        "name": "get_entity", "arguments": {"entities": [BILLS]}, "_meta": meta()
    });
    let mut server = Server::start(&["demo"], &[]);
    let found = server.ask(1, "server/discover", json!({"_meta": meta()}));
    let versions = found["result"]["supportedVersions"].as_array().unwrap();
    assert_eq!(versions.len(), 5, "{found}");
    let answer = server.ask(2, "tools/call", parameters.clone());
    assert_answered(&answer);
    assert_eq!(answer["result"]["resultType"], "complete");

    let (_server, address) = Server::http(&[], &[]);
    let reply = post(
        address,
        &[
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", "tools/call"),
            ("Mcp-Name", "get_entity"),
        ],
        &request(3, "tools/call", parameters),
    );
    assert_eq!(reply.status, 200);
    assert_answered(&reply.json());
}

#[test]
fn tools_are_listed_on_one_page_with_all_that_clients_need() {
    let mut server = Server::start(&["serve"], &[]);
    server.handshake("2025-06-18");
    let answer = server.ask(1, "tools/list", json!({}));
    assert_eq!(answer["result"].get("nextCursor"), None);
    let tools = answer["result"]["tools"].as_array().expect("tools");
    let names: Vec<&str> = tools
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    assert!(names.is_sorted());
    assert!(names.contains(&"search_entities"));
    assert!(
        !names.contains(&"update_entity"),
        "writes are off by default"
    );
    for tool in tools {
        for hint in [
            "readOnlyHint",
            "destructiveHint",
            "idempotentHint",
            "openWorldHint",
        ] {
            assert!(tool["annotations"][hint].is_boolean(), "{tool}");
        }
        assert_eq!(tool["annotations"]["readOnlyHint"], true);
        assert!(tool["title"].is_string());
        assert_eq!(tool["inputSchema"]["type"], "object");
        assert_eq!(tool["outputSchema"]["type"], "object");
        // An error stands in the same place and has other fields.
        assert_eq!(tool["outputSchema"].get("required"), None);
    }
}

fn listed(arguments: &[&str]) -> Vec<String> {
    let mut server = Server::start(arguments, &[]);
    server.handshake("2025-06-18");
    let answer = server.ask(1, "tools/list", json!({}));
    let tools = answer["result"]["tools"].as_array().expect("tools");
    let names = tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned());
    names.collect()
}

#[test]
fn switches_choose_what_is_listed() {
    assert_eq!(listed(&["serve", "--tools", "get_entity"]), ["get_entity"]);
    let all = listed(&["serve", "--toolsets", "all"]);
    assert!(all.contains(&"update_entity".to_owned()));
    let read = listed(&[
        "serve",
        "--toolsets",
        "all",
        "--read-only",
        "--exclude-tools",
        "get_entity",
    ]);
    assert!(!read.contains(&"update_entity".to_owned()));
    assert!(!read.contains(&"get_entity".to_owned()));

    for (arguments, near) in [
        (["serve", "--tools", "get_entitty"], "get_entity"),
        (["serve", "--toolsets", "catalog-writes"], "catalog-write"),
        (["serve", "--exclude-tools", "search"], "search_entities"),
    ] {
        let ended = command(&arguments, &[]).output().expect("the binary");
        assert_eq!(ended.status.code(), Some(2));
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(said.contains(&format!("did you mean {near}")), "{said}");
    }
}

#[test]
fn what_is_not_listed_cannot_be_called_and_says_which_switch_lists_it() {
    let mut server = Server::start(&["serve"], &[]);
    server.handshake("2025-06-18");
    let answer = server.call(1, "update_entity", json!({}));
    let error = error_of(&answer);
    assert_eq!(error["code"], "not_found");
    let next_step = error["next_step"].as_str().unwrap();
    assert!(
        next_step.contains("--toolsets catalog-write"),
        "{next_step}"
    );
    let answer = server.call(2, "get_entitty", json!({}));
    assert_eq!(error_of(&answer)["did_you_mean"][0], "get_entity");
}

#[test]
fn answers_as_text_alone() {
    let mut server = Server::start(&["demo", "--answers", "text"], &[]);
    server.handshake("2025-06-18");
    let list = server.ask(1, "tools/list", json!({}));
    assert!(
        list["result"]["tools"]
            .as_array()
            .unwrap()
            .iter()
            .all(|tool| tool.get("outputSchema").is_none())
    );
    let answer = server.call(2, "get_entity", json!({"entities": [BILLS]}));
    assert_eq!(answer["result"].get("structuredContent"), None);
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("bills"));
}

#[test]
fn malformed_messages_are_answered_and_the_server_lives_on() {
    let mut server = Server::demo();
    for (line, code, id) in [
        ("{nonsense", -32700, Value::Null),
        ("\"text\"", -32600, Value::Null),
        ("[]", -32600, Value::Null),
        (r#"{"id":7,"method":"ping"}"#, -32600, json!(7)),
        (
            r#"{"jsonrpc":"2.0","id":8,"method":"no/such"}"#,
            -32601,
            json!(8),
        ),
        (
            r#"{"jsonrpc":"2.0","id":9,"method":"tools/call"}"#,
            -32602,
            json!(9),
        ),
        (
            r#"{"jsonrpc":"2.0","id":10,"method":"tools/call","params":{"name":5}}"#,
            -32602,
            json!(10),
        ),
        (
            r#"{"jsonrpc":"2.0","id":11,"method":"tools/call","params":[]}"#,
            -32602,
            json!(11),
        ),
        (
            r#"{"jsonrpc":"2.0","id":12,"method":"resources/read","params":{}}"#,
            -32602,
            json!(12),
        ),
        (
            r#"{"jsonrpc":"2.0","id":13,"method":"prompts/get","params":{"name":"x"}}"#,
            -32602,
            json!(13),
        ),
    ] {
        server.send_line(line);
        let answer = server.receive();
        assert_eq!(answer["error"]["code"], code, "{line}: {answer}");
        assert_eq!(answer["id"], id, "{line}: {answer}");
    }
    server.send_line("");
    server.send_line(&format!("{{\"junk\":\"{}\"}}", "x".repeat(5 * 1024 * 1024)));
    let answer = server.receive();
    assert_eq!(answer["error"]["code"], -32600);
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("bytes")
    );
    assert_answered(&server.call(20, "get_entity", json!({"entities": [BILLS]})));
}

#[test]
fn what_comes_before_the_handshake_does_not_end_the_server() {
    let mut server = Server::start(&["demo"], &[]);
    server.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    server.send(&json!({"jsonrpc": "2.0", "id": 5, "result": {}}));
    let answer = server.ask(1, "tools/list", json!({}));
    assert_eq!(answer["error"]["code"], -32602);
    let answer = server.handshake("2025-06-18");
    assert_eq!(answer["result"]["protocolVersion"], "2025-06-18");
}

#[test]
fn arguments_are_read_leniently_at_the_edge() {
    let mut server = Server::demo();
    for arguments in [
        json!({"name": "get_entity", "arguments": format!("{{\"entities\": [{BILLS:?}]}}")}),
        json!({"name": "get_entity", "arguments": {"entities": BILLS, "limit": "5"}}),
    ] {
        assert_answered(&server.ask(1, "tools/call", arguments));
    }
    for arguments in [
        json!({"name": "get_entity"}),
        json!({"name": "get_entity", "arguments": null}),
    ] {
        let answer = server.ask(2, "tools/call", arguments);
        let error = error_of(&answer);
        assert_eq!(error["code"], "invalid_argument");
        assert_eq!(error["argument"], "entities");
    }
}

#[test]
fn entities_are_resources_and_are_completed() {
    let mut server = Server::demo();
    let templates = server.ask(2, "resources/templates/list", json!({}));
    assert_eq!(
        templates["result"]["resourceTemplates"][0]["uriTemplate"],
        "openmetadata://{type}/{fqn}"
    );
    let uri = format!("openmetadata://table/{BILLS}");
    let read = server.ask(3, "resources/read", json!({"uri": uri}));
    let content = &read["result"]["contents"][0];
    assert_eq!(content["mimeType"], "application/json");
    assert!(
        content["text"].as_str().unwrap().contains("bills"),
        "{read}"
    );

    let missing = server.ask(
        4,
        "resources/read",
        json!({"uri": "openmetadata://table/no.such"}),
    );
    assert_eq!(missing["error"]["code"], -32002, "{missing}");
    assert_eq!(
        missing["error"]["data"]["uri"],
        "openmetadata://table/no.such"
    );
    let unknown = server.ask(
        5,
        "resources/read",
        json!({"uri": "openmetadata://tabel/x"}),
    );
    assert_eq!(unknown["error"]["code"], -32602);
    assert_eq!(unknown["error"]["data"]["did_you_mean"][0], "table");
    assert_eq!(unknown["error"]["data"]["uri"], "openmetadata://tabel/x");

    let reference = json!({"type": "ref/resource", "uri": "openmetadata://{type}/{fqn}"});
    let completed = server.ask(
        6,
        "completion/complete",
        json!({"ref": reference, "argument": {"name": "type", "value": "das"}}),
    );
    let values = &completed["result"]["completion"]["values"];
    assert!(values.as_array().unwrap().contains(&"dashboard".into()));
    let completed = server.ask(
        7,
        "completion/complete",
        json!({"ref": reference, "argument": {"name": "fqn", "value": "bills"},
            "context": {"arguments": {"type": "table"}}}),
    );
    let values = &completed["result"]["completion"]["values"];
    assert!(
        values.as_array().unwrap().contains(&BILLS.into()),
        "{completed}"
    );
}

#[test]
fn prompts_are_filled_in() {
    let mut server = Server::demo();
    let list = server.ask(1, "prompts/list", json!({}));
    let names: Vec<&str> = list["result"]["prompts"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|prompt| prompt["name"].as_str())
        .collect();
    assert_eq!(
        names,
        ["assess_change", "document_dataset", "investigate_incident"]
    );
    let got = server.ask(
        2,
        "prompts/get",
        json!({"name": "assess_change", "arguments": {"entity": "pg.bills"}}),
    );
    let text = got["result"]["messages"][0]["content"]["text"]
        .as_str()
        .unwrap();
    assert!(text.contains("pg.bills") && text.contains("analyze_impact"));
}

#[test]
fn two_hundred_calls_at_once_are_all_answered() {
    let mut server = Server::demo();
    for id in 1..=200 {
        server.send(&look(id));
    }
    let mut answered = BTreeSet::new();
    for _ in 0..200 {
        let answer = server.receive();
        assert_answered(&answer);
        answered.insert(answer["id"].as_i64().unwrap());
    }
    assert_eq!(answered, (1..=200).collect());

    let (_server, address) = Server::http(&[], &[]);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..20)
            .map(|caller| {
                scope.spawn(move || {
                    for call in 0..10 {
                        let id = caller * 10 + call;
                        let answer = post(address, &[], &look(id)).json();
                        assert_eq!(answer["id"], id);
                        assert_answered(&answer);
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.join().expect("a caller");
        }
    });
}

#[test]
fn the_end_of_stdin_ends_the_server_after_what_was_asked() {
    let mut server = Server::demo();
    server.send(&look(1));
    server.close_stdin();
    let (status, elapsed, rest) = server.ended();
    assert!(status.success(), "{status}");
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
    assert_eq!(rest.len(), 1, "asked before the end, so answered: {rest:?}");
    assert_answered(&serde_json::from_str(&rest[0]).unwrap());
}

#[test]
fn stdin_that_ends_before_anything_was_said_is_no_error() {
    let mut server = Server::start(&["serve"], &[]);
    server.close_stdin();
    let (status, _, rest) = server.ended();
    assert!(status.success(), "{status}");
    assert!(rest.is_empty(), "stdout carries protocol only: {rest:?}");
}

#[test]
fn signals_end_the_server_in_time_over_each_transport() {
    for signal in ["-TERM", "-INT"] {
        let mut server = Server::demo();
        server.signal(signal);
        let (status, elapsed, _) = server.ended();
        assert!(status.success(), "{signal}: {status}");
        assert!(elapsed < Duration::from_secs(5), "{signal}: {elapsed:?}");

        let (mut server, address) = Server::http(&[], &[]);
        // An open stream must not hold the process.
        let _events = Events::open(address, &[]);
        server.signal(signal);
        let (status, elapsed, _) = server.ended();
        assert!(status.success(), "{signal} over HTTP: {status}");
        assert!(elapsed < Duration::from_secs(5), "{signal}: {elapsed:?}");
    }
}

#[test]
fn an_identity_that_no_call_could_bring_is_refused() {
    let arguments = ["serve", "--catalog-identity", "caller"];
    let environment = [("OPENMETADATA_URL", "http://127.0.0.1:1")];
    let ended = command(&arguments, &environment)
        .output()
        .expect("the binary");
    assert_eq!(ended.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("--http"));
}

#[test]
fn logs_are_json_where_asked_and_never_on_stdout() {
    let mut server = Server::start(&["demo", "--log-format", "json"], &[]);
    server.handshake("2025-06-18");
    assert_answered(&server.call(7, "get_entity", json!({"entities": [BILLS]})));
    server.close_stdin();
    let (_, _, rest) = server.ended();
    assert!(rest.is_empty());
    let events: Vec<Value> = server
        .log
        .lines()
        .map(|line| serde_json::from_str(line).expect("an event in JSON"))
        .collect();
    let call = events
        .iter()
        .find(|event| event["message"] == "A call was answered")
        .expect("the call");
    assert_eq!(call["span"]["tool"], "get_entity");
    assert_eq!(call["span"]["over"], "stdio");
    assert_eq!(call["span"]["id"], "7");

    let ended = command(&["demo", "--log-level", "a=b=c"], &[])
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(2));
}
