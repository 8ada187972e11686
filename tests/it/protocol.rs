//! The protocol as clients speak it to the real binary: stdio, Streamable HTTP, server-sent events.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::support::server::{Events, Reply, Server, command, http, initialize, post, request};

/// Versions that begin with a handshake.
const VERSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

const TOKEN: &str = "correct-horse-battery-staple";

/// Searched for in everything that comes out.
const CANARY: &str = "eyJhbGciOiJSUzI1NiJ9.Y2FuYXJ5LWNhbmFyeQ.c2lnbmF0dXJl";

/// A token that no mask knows by its look: it must not get as far as a mask.
const PLAIN_CANARY: &str = "canary5canary5canary5";

/// A table of the demo.
const BILLS: &str = "openpolicy_pg.openpolicy.core.bills";

/// What a request of 2026-07-28 carries beside its parameters.
fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {}
    })
}

/// A call that any catalog with the demo data answers.
fn look(id: i64) -> Value {
    request(
        id,
        "tools/call",
        json!({"name": "get_entity", "arguments": {"entities": [BILLS]}}),
    )
}

/// A result in both forms about the same thing.
fn assert_answered(answer: &Value) {
    let result = &answer["result"];
    assert_eq!(result["isError"], false, "{answer}");
    assert!(
        result["structuredContent"]["entities"].is_array(),
        "{answer}"
    );
    let text = result["content"][0]["text"].as_str().expect("a text");
    assert!(text.contains("bills"), "{text}");
}

fn error_of(answer: &Value) -> &Value {
    let result = &answer["result"];
    assert_eq!(result["isError"], true, "{answer}");
    let structured = &result["structuredContent"];
    let text = result["content"][0]["text"].as_str().expect("a text");
    assert!(text.contains(structured["message"].as_str().expect("a message")));
    structured
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
fn every_version_works_on_one_http_address_without_a_session() {
    let (_server, address) = Server::http(&[], &[]);
    for version in VERSIONS {
        let reply = post(address, &[], &initialize(version));
        assert_eq!(reply.status, 200);
        assert!(reply.head.contains("content-type: application/json"));
        assert!(!reply.head.contains("mcp-session-id"));
        assert_eq!(reply.json()["result"]["protocolVersion"], version);
        let headers = [("MCP-Protocol-Version", version)];
        assert_answered(&post(address, &headers, &look(2)).json());
        let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(post(address, &headers, &note).status, 202);
    }
    assert_eq!(http(address, "GET", "/mcp", &[], "").status, 405);
}

#[test]
fn sessions_are_there_for_those_who_ask() {
    let (_server, address) = Server::http(&["--http-sessions"], &[]);
    let reply = post(address, &[], &initialize("2025-06-18"));
    let session = reply
        .head
        .lines()
        .find_map(|line| line.strip_prefix("mcp-session-id: "))
        .expect("a session");
    let reply = post(address, &[("Mcp-Session-Id", session)], &look(1));
    assert_eq!(reply.status, 200);
    assert!(reply.body.contains("bills"));
    assert_eq!(
        post(address, &[("Mcp-Session-Id", "x")], &look(1)).status,
        404
    );
}

#[test]
fn a_client_of_the_first_version_works_over_events() {
    let (_server, address) = Server::http(&[], &[]);
    let mut events = Events::open(address, &[]);
    assert!(events.endpoint.starts_with("/messages?sessionId="));
    let answer = events.ask(&[], &initialize("2024-11-05"));
    assert_eq!(answer["result"]["protocolVersion"], "2024-11-05");
    let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(events.post(&[], &note).status, 202);
    assert_answered(&events.ask(&[], &look(1)));

    let other = Events::open(address, &[]);
    assert_ne!(other.endpoint, events.endpoint);
    let reply = http(address, "POST", &events.endpoint, &[], "{nonsense");
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json()["error"]["code"], -32700);
    let reply = http(address, "POST", "/messages?sessionId=guessed", &[], "{}");
    assert_eq!(reply.status, 404);

    // The session ends with its stream.
    let gone = other.endpoint.clone();
    drop(other);
    let ping = request(1, "ping", json!({})).to_string();
    let end = std::time::Instant::now() + Duration::from_secs(10);
    while http(address, "POST", &gone, &[], &ping).status != 404 {
        assert!(std::time::Instant::now() < end, "the session stays");
    }
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
    let unknown = server.ask(
        5,
        "resources/read",
        json!({"uri": "openmetadata://tabel/x"}),
    );
    assert_eq!(unknown["error"]["code"], -32602);
    assert_eq!(unknown["error"]["data"]["did_you_mean"][0], "table");

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
fn foreign_hosts_and_origins_are_refused_on_every_route() {
    let (_server, address) = Server::http(
        &[
            "--allow-host",
            "mcp.example.org",
            "--allow-origin",
            "https://app.example.org",
        ],
        &[],
    );
    let paths = [
        "/mcp",
        "/sse",
        "/messages",
        "/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/nowhere",
    ];
    for path in paths {
        for headers in [
            [("Host", "evil.example"), ("Accept", "*/*")],
            [("Host", "localhost"), ("Origin", "https://evil.example")],
            [("Host", "localhost"), ("Origin", "null")],
        ] {
            for method in ["GET", "POST"] {
                let reply = http(address, method, path, &headers, "");
                assert_eq!(reply.status, 403, "{method} {path} {headers:?}");
            }
        }
    }
    for headers in [
        [("Host", "mcp.example.org"), ("Accept", "*/*")],
        [
            ("Host", "localhost:1"),
            ("Origin", "https://app.example.org"),
        ],
        [("Host", "[::1]:1"), ("Origin", "http://localhost:6274")],
    ] {
        assert_eq!(
            http(address, "GET", "/healthz", &headers, "").status,
            200,
            "{headers:?}"
        );
    }
    let preflight = http(
        address,
        "OPTIONS",
        "/mcp",
        &[
            ("Origin", "https://app.example.org"),
            ("Access-Control-Request-Method", "POST"),
        ],
        "",
    );
    assert_eq!(preflight.status, 204);
    assert!(
        preflight
            .head
            .contains("access-control-allow-origin: https://app.example.org")
    );
}

#[test]
fn a_token_guards_everything_but_the_probes() {
    let (mut server, address) = Server::http(&[], &[("OPENPOLICY_HTTP_TOKEN", TOKEN)]);
    let with = |token: &str, path: &str| -> Reply {
        let value = format!("Bearer {token}");
        http(address, "GET", path, &[("Authorization", &value)], "")
    };
    for path in ["/mcp", "/sse", "/messages", "/", "/metrics", "/nowhere"] {
        let reply = http(address, "GET", path, &[], "");
        assert_eq!(reply.status, 401, "{path}");
        assert!(reply.head.contains("www-authenticate: bearer"), "{reply:?}");
        assert_eq!(
            with("correct-horse-battery-stapl", path).status,
            401,
            "{path}"
        );
        assert_eq!(with(&format!("{TOKEN}x"), path).status, 401, "{path}");
    }
    assert_eq!(post(address, &[], &look(1)).status, 401);
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("Authorization", bearer.as_str())];
    assert_answered(&post(address, &headers, &look(1)).json());
    assert_eq!(with(TOKEN, "/").status, 200);
    let metrics = with(TOKEN, "/metrics");
    assert!(
        metrics
            .body
            .contains("openpolicy_tool_calls_total{tool=\"get_entity\",outcome=\"ok\"} 1"),
        "{}",
        metrics.body
    );
    let health = http(address, "GET", "/healthz", &[], "");
    assert_eq!(
        (health.status, health.body.as_str()),
        (200, "{\"status\":\"up\"}")
    );
    let ready = http(address, "GET", "/readyz", &[], "");
    assert_eq!(
        (ready.status, ready.body.as_str()),
        (200, "{\"ready\":true}")
    );

    server.signal("-TERM");
    server.ended();
    assert!(!server.log.contains(TOKEN), "{}", server.log);
}

#[test]
fn readiness_is_honest() {
    let (_server, address) = Server::http(&[], &[]);
    let ready = http(address, "GET", "/readyz", &[], "");
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json()["source"], "snapshot");
    assert!(ready.json()["as_of"].is_string());

    // Nothing listens at port 1.
    let mut server = Server::start(
        &["serve", "--http", "127.0.0.1:0"],
        &[
            ("OPENMETADATA_URL", "http://127.0.0.1:1"),
            ("OPENMETADATA_TOKEN", CANARY),
        ],
    );
    let address = server.listens();
    assert_eq!(http(address, "GET", "/healthz", &[], "").status, 200);
    let ready = http(address, "GET", "/readyz", &[], "");
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["ready"], false);
    assert!(ready.json()["reason"].is_string());
    let page = http(address, "GET", "/", &[], "");
    assert_eq!(page.status, 200);
    assert!(page.body.contains("not ready"));
    for reply in [&ready, &page] {
        assert!(!reply.body.contains(CANARY));
    }
}

#[test]
fn a_wide_address_without_a_token_is_refused_with_the_reason() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let ended = command(&["demo", "--http", address], &[])
            .output()
            .expect("the binary");
        assert_eq!(ended.status.code(), Some(2));
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(said.contains("OPENPOLICY_HTTP_TOKEN"), "{said}");
    }
    let mut wide = Server::start(
        &["demo", "--http", "0.0.0.0:0"],
        &[("OPENPOLICY_HTTP_TOKEN", TOKEN)],
    );
    assert!(wide.listens().ip().is_unspecified());
}

#[test]
fn an_address_in_use_is_an_error_in_words() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = command(&["demo", "--http", &address], &[])
        .output()
        .expect("the binary");
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("cannot be listened on"));
}

#[test]
fn bodies_are_bounded_and_malformed_ones_answered_as_json_rpc_says() {
    let (_server, address) = Server::http(&[], &[]);
    let json = [("Content-Type", "application/json")];
    let huge = format!("{{\"junk\":\"{}\"}}", "x".repeat(5 * 1024 * 1024));
    let announced = [json[0], ("Content-Length", "5000000000")];
    assert_eq!(http(address, "POST", "/mcp", &announced, "{").status, 413);
    let chunked = [
        json[0],
        ("Transfer-Encoding", "chunked"),
        ("Content-Length", ""),
    ];
    let body = format!("{:x}\r\n{huge}\r\n0\r\n\r\n", huge.len());
    assert_eq!(
        http(address, "POST", "/mcp", &chunked[..2], &body).status,
        413
    );
    for (body, code) in [
        ("{nonsense", -32700),
        ("[]", -32600),
        ("{\"id\":1}", -32600),
    ] {
        let reply = http(address, "POST", "/mcp", &json, body);
        assert_eq!(reply.status, 400, "{body}");
        assert_eq!(reply.json()["error"]["code"], code, "{body}");
    }
    let unread = request(1, "tools/call", json!({"name": 5}));
    assert_eq!(post(address, &[], &unread).json()["error"]["code"], -32602);
    // A form of a web page cannot send this type.
    let plain = [("Content-Type", "text/plain")];
    assert_eq!(
        http(address, "POST", "/mcp", &plain, &look(1).to_string()).status,
        415
    );
    assert_answered(&post(address, &[], &look(2)).json());
}

#[test]
fn any_accept_that_json_fits_is_taken() {
    let (_server, address) = Server::http(&[], &[]);
    let body = look(1).to_string();
    for accept in [None, Some("*/*"), Some("application/json")] {
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(accept.map(|accept| ("Accept", accept)));
        let reply = http(address, "POST", "/mcp", &headers, &body);
        assert_eq!(reply.status, 200, "{accept:?}");
        assert_answered(&reply.json());
    }
}

/// A caller's token goes to OpenMetadata, and nowhere else: not into answers, not into logs.
#[test]
fn a_token_of_the_caller_reaches_openmetadata_alone() {
    let openmetadata = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", openmetadata.local_addr().unwrap());
    let (seen, requests) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for stream in openmetadata.incoming().flatten() {
            let mut stream = stream;
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0)
            {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let (status, body) = if head.contains("/system/version") {
                ("200 OK", "{\"version\":\"1.12.6\"}".to_owned())
            } else {
                let message = format!("Not authorized {CANARY}");
                let body = json!({"code": 401, "message": message});
                ("401 Unauthorized", body.to_string())
            };
            let _ = seen.send(head);
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    let mut server = Server::start(
        &[
            "serve",
            "--http",
            "127.0.0.1:0",
            "--catalog-identity",
            "caller",
            "--log-level",
            "trace,rmcp=trace,hyper=trace,reqwest=trace,rustls=trace",
        ],
        &[("OPENMETADATA_URL", url.as_str())],
    );
    let address = server.listens();
    let call = request(
        1,
        "tools/call",
        json!({"name": "get_entity", "arguments": {"entities": ["table:a.b.c.d"]}}),
    );

    let without = post(address, &[], &call);
    assert_eq!(
        error_of(&without.json())["code"],
        "unauthorized",
        "{without:?}"
    );

    let canary = [("X-OpenMetadata-Token", PLAIN_CANARY)];
    let mut answers = vec![post(address, &canary, &call).body];
    let mut events = Events::open(address, &canary);
    events.ask(&[], &initialize("2024-11-05"));
    answers.push(events.ask(&[], &call).to_string());
    let mut events = Events::open(address, &[]);
    events.ask(&[], &initialize("2024-11-05"));
    answers.push(events.ask(&canary, &call).to_string());
    drop(events);
    server.signal("-TERM");
    server.ended();

    let asked: Vec<String> = requests.try_iter().collect();
    let with_token = asked
        .iter()
        .filter(|head| head.contains(PLAIN_CANARY))
        .count();
    assert!(
        with_token >= 3,
        "every call asked with the caller's token: {asked:?}, {answers:?}"
    );
    for canary in [CANARY, PLAIN_CANARY] {
        for answer in &answers {
            assert!(!answer.contains(canary), "{answer}");
        }
        assert!(!server.log.contains(canary), "the log holds a token");
    }
    assert!(server.log.contains("TRACE"), "everything was logged");
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
