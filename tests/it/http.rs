//! The protocol over HTTP and server-sent events, with the real binary: who may ask, and what is
//! answered.

use std::time::Duration;

use serde_json::json;

use crate::support::server::{
    Events, Reply, Server, VERSIONS, assert_answered, command, error_of, http, initialize, look,
    post, request,
};

const TOKEN: &str = "correct-horse-battery-staple";

/// Searched for in everything that comes out.
const CANARY: &str = "eyJhbGciOiJSUzI1NiJ9.Y2FuYXJ5LWNhbmFyeQ.c2lnbmF0dXJl";

/// A token that no mask knows by its look: it must not get as far as a mask.
const PLAIN_CANARY: &str = "canary5canary5canary5";

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
    let metrics = http(address, "GET", "/metrics", &[], "").body;
    let counted = "openpolicy_catalog_requests_total{outcome=\"refused\"}";
    assert!(metrics.contains(counted), "{metrics}");
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
