//! Secrets that a server shows, in everything that comes out of the real binary.

use serde_json::{Value, json};

use super::writes;
use crate::support::{
    calls::reads,
    replay::{Identity, Replay, Version},
    server::{Events, Server, http, initialize, post, request},
};

/// What the recorded passwords and tokens are replaced with: those recorded are ordinary words.
const LEAKED: &str = "canary-leaked-7f3a";
const TOKEN: &str = "canary-own-token-7f3b";
const BEARER: &str = "canary-bearer-7f3c";
const LOG: &str = "trace,rmcp=trace,hyper=trace,reqwest=trace,rustls=trace,h2=trace";

/// The answer with every credential in it replaced; whether there was one.
fn with_canaries(answer: &mut Value) -> bool {
    match answer {
        Value::Object(fields) => {
            let mut found = false;
            for (name, field) in fields {
                let is_one = matches!(name.as_str(), "password" | "jwtToken" | "secretKey")
                    && field.as_str().is_some_and(|text| !text.starts_with('*'));
                if is_one {
                    *field = LEAKED.into();
                }
                found |= is_one | with_canaries(field);
            }
            found
        }
        Value::Array(items) => {
            let found: Vec<bool> = items.iter_mut().map(with_canaries).collect();
            found.contains(&true)
        }
        _ => false,
    }
}

/// What a tool of both transports is asked for here.
fn calls() -> Vec<(&'static str, Value)> {
    let mut all = reads();
    all.extend(writes());
    for path in [
        "/services/databaseServices",
        "/services/databaseServices/name/openpolicy_pg",
        "/services/databaseServices/name/warehouse",
        "/services/dashboardServices/name/superset",
        "/services/pipelineServices/name/airflow",
        "/services/ingestionPipelines",
    ] {
        for fields in [json!([]), json!(["connection"]), json!(["data.connection"])] {
            all.push(("read_openmetadata", json!({"path": path, "fields": fields})));
        }
        let query = json!({"fields": "*", "limit": "10"});
        all.push(("read_openmetadata", json!({"path": path, "query": query})));
    }
    for service in ["openpolicy_pg", "warehouse", "superset", "airflow"] {
        for entity in [service.to_owned(), format!("databaseService:{service}")] {
            let sections = json!([
                "summary",
                "columns",
                "owners",
                "custom_properties",
                "versions"
            ]);
            all.push((
                "get_entity",
                json!({"entities": [entity], "sections": sections}),
            ));
        }
        all.push(("get_ingestion", json!({"service": service})));
    }
    all
}

#[test]
fn nothing_secret_comes_out_of_anything() {
    for version in [Version::V1_12_6, Version::V1_2_0] {
        let replay = Replay::start_blocking(version);
        replay.allow_unmatched();
        replay.token_identity(TOKEN, Identity::Bot);
        let (leaks, leaked) = std::sync::mpsc::channel();
        replay.change_answers(move |_, answer| {
            let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else {
                return answer;
            };
            if with_canaries(&mut body) {
                let _ = leaks.send(());
            }
            answer.with_body(body.to_string())
        });
        let url = replay.url();
        let environment = [
            ("OPENMETADATA_URL", url.as_str()),
            ("OPENMETADATA_TOKEN", TOKEN),
            ("OPENPOLICY_HTTP_TOKEN", BEARER),
            ("OPENPOLICY_TOOLSETS", "all"),
        ];
        let mut out = String::new();
        let mut stdio = Server::start(&["serve", "--log-level", LOG], &environment);
        out += &stdio.handshake("2025-06-18").to_string();
        out += &stdio.ask(1, "tools/list", json!({})).to_string();
        let arguments = ["serve", "--http", "127.0.0.1:0", "--log-level", LOG];
        let mut server = Server::start(&arguments, &environment);
        let address = server.listens();
        let bearer = format!("Bearer {BEARER}");
        let headers = [("Authorization", bearer.as_str())];
        let mut events = Events::open(address, &headers);
        events.ask(&headers, &initialize("2024-11-05"));
        for (number, (tool, arguments)) in calls().into_iter().enumerate() {
            let id = 10 + number as i64;
            let call = request(
                id,
                "tools/call",
                json!({"name": tool, "arguments": arguments}),
            );
            match number % 3 {
                0 => out += &events.ask(&headers, &call).to_string(),
                1 => out += &post(address, &headers, &call).body,
                _ => {}
            }
            stdio.send(&call);
            let answer = stdio.receive();
            assert_ne!(
                answer["result"]["structuredContent"]["code"], "internal",
                "{answer}"
            );
            out += &answer.to_string();
        }
        for path in ["/metrics", "/", "/readyz", "/healthz", "/nowhere"] {
            let reply = http(address, "GET", path, &headers, "");
            out += &reply.head;
            out += &reply.body;
        }
        drop(events);
        stdio.close_stdin();
        stdio.ended();
        server.signal("-TERM");
        server.ended();
        out += &stdio.log;
        out += &server.log;

        assert!(
            leaked.try_iter().count() >= 3,
            "the server showed its secrets"
        );
        assert!(out.contains("TRACE"), "everything was logged");
        for canary in [LEAKED, TOKEN, BEARER] {
            let at = out.find(canary);
            assert!(
                at.is_none(),
                "{canary}: {:?}",
                at.map(|at| &out[at.saturating_sub(200)..at + 40])
            );
        }
    }
}
