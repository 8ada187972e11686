//! Bad input of every kind, tool by tool, to the real binary: refused with what was wrong and what
//! is right, or read as it was meant; never swallowed, never a fault of the server.

mod tables;

use serde_json::{Value, json};

use crate::support::server::{BILLS, Server};

/// One call that has to be refused.
struct Bad {
    arguments: Value,
    code: &'static str,
    /// The argument at fault.
    argument: &'static str,
    /// What message or next step have to say.
    says: &'static str,
    /// A name that has to be suggested.
    near: Option<&'static str>,
}

/// An argument that cannot be taken.
fn bad(arguments: Value, argument: &'static str, says: &'static str) -> Bad {
    Bad {
        arguments,
        code: "invalid_argument",
        argument,
        says,
        near: None,
    }
}

/// A name that leads nowhere.
fn lost(arguments: Value, argument: &'static str) -> Bad {
    Bad {
        code: "not_found",
        ..bad(arguments, argument, "")
    }
}

impl Bad {
    fn near(self, name: &'static str) -> Self {
        Self {
            near: Some(name),
            ..self
        }
    }

    fn code(self, code: &'static str) -> Self {
        Self { code, ..self }
    }
}

/// The demo with every tool, after the handshake.
fn everything() -> Server {
    let mut server = Server::start(&["demo", "--toolsets", "all"], &[]);
    server.handshake("2025-06-18");
    server
}

/// What is wrong with this refusal; empty where it is as it should be.
fn faults_of(answer: &Value, bad: &Bad) -> Vec<String> {
    let mut faults = Vec::new();
    let mut want = |is_so: bool, what: &str| {
        if !is_so {
            faults.push(what.to_owned());
        }
    };
    let result = &answer["result"];
    let error = &result["structuredContent"];
    want(result["isError"] == true, "is no error");
    want(error["code"] == bad.code, "has another code");
    want(error["argument"] == bad.argument, "names another argument");
    want(error["retry"] == false, "says that the same call may work");
    let said = format!("{} {}", error["message"], error["next_step"]);
    want(error["message"].is_string(), "says nothing");
    want(error["next_step"].is_string(), "says nothing to do");
    want(
        said.contains(bad.says),
        &format!("does not say {:?}", bad.says),
    );
    if let Some(near) = bad.near {
        let names = error["did_you_mean"].as_array();
        let is_near = names.is_some_and(|names| names.iter().any(|name| name == near));
        want(is_near, &format!("does not suggest {near}"));
    }
    // Clients hand on one form or the other.
    let text = result["content"][0]["text"].as_str().unwrap_or_default();
    for field in ["code", "argument"] {
        want(
            text.contains(error[field].as_str().unwrap_or("?")),
            &format!("does not name the {field} in its text"),
        );
    }
    want(text.len() < 4_000, "is a long text");
    faults
}

#[test]
fn each_tool_refuses_what_is_wrong_and_says_what_is_right() {
    let mut server = everything();
    let mut wrong = Vec::new();
    let mut id = 0;
    for (tool, table) in tables::all() {
        for bad in table {
            id += 1;
            let answer = server.call(id, tool, bad.arguments.clone());
            let faults = faults_of(&answer, &bad);
            if !faults.is_empty() {
                let sent: String = bad.arguments.to_string().chars().take(200).collect();
                let said = &answer["result"]["structuredContent"];
                let said: String = said.to_string().chars().take(400).collect();
                wrong.push(format!("{tool} {sent}: {}\n  {said}", faults.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(id > 150, "only {id} calls were made");
}

#[test]
fn what_is_meant_is_read_in_every_spelling() {
    let mut server = everything();
    for (id, (tool, sent, meant)) in tables::spellings().into_iter().enumerate() {
        let id = id as i64 * 2;
        let lenient = server.call(id, tool, sent.clone());
        let strict = server.call(id + 1, tool, meant);
        assert_eq!(strict["result"]["isError"], false, "{tool}: {strict}");
        assert_eq!(
            lenient["result"]["structuredContent"], strict["result"]["structuredContent"],
            "{tool} {sent}"
        );
    }
}

#[test]
fn a_cursor_goes_on_in_another_spelling_and_belongs_to_one_call() {
    let mut server = everything();
    let paged = [
        ("search_entities", json!({"query": "bills", "limit": 2})),
        ("get_entity", json!({"entities": [BILLS], "limit": 2})),
        ("get_lineage", json!({"entity": BILLS, "limit": 2})),
        ("analyze_impact", json!({"entity": BILLS, "limit": 2})),
        ("find_root_cause", json!({"entity": BILLS, "limit": 1})),
        ("get_data_quality", json!({"limit": 1})),
        ("get_ingestion", json!({"limit": 1})),
        ("get_changes", json!({"limit": 1})),
    ];
    let with = |arguments: &Value, name: &str, value: Value| {
        let mut arguments = arguments.clone();
        arguments[name] = value;
        arguments
    };
    let mut id = 0;
    let mut ask = |tool: &str, arguments: Value| {
        id += 1;
        server.call(id, tool, arguments)["result"]["structuredContent"].take()
    };
    let mut cursors = Vec::new();
    for (tool, arguments) in &paged {
        let first = ask(tool, arguments.clone());
        let next = first["next"].as_str().unwrap_or_else(|| panic!("{first}"));
        cursors.push(next.to_owned());

        let second = ask(tool, with(arguments, "cursor", next.into()));
        assert!(second["code"].is_null(), "{tool}: {second}");
        let mut respelt = with(arguments, "cursor", format!(" {next} ").into());
        respelt["limit"] = arguments["limit"].to_string().into();
        if *tool != "get_entity" && *tool != "get_lineage" {
            respelt["service"] = "".into();
        }
        assert_eq!(second, ask(tool, respelt), "{tool}");

        let scope = next.split('.').next().unwrap();
        let past = ask(
            tool,
            with(arguments, "cursor", format!("{scope}.9999").into()),
        );
        let warnings = past["warnings"].to_string();
        assert!(warnings.contains("past the end"), "{tool}: {past}");
        assert!(past["next"].is_null(), "{tool}: {past}");

        for malformed in [
            "x", "5", "....", "zz.1", ".1", "1.", "1.-1", "1.+1", "1.1.1",
        ] {
            let error = ask(tool, with(arguments, "cursor", malformed.into()));
            assert_eq!(error["code"], "invalid_argument", "{tool} {malformed}");
            assert_eq!(error["argument"], "cursor", "{tool} {malformed}");
        }
    }
    for (position, (tool, arguments)) in paged.iter().enumerate() {
        let foreign = &cursors[(position + 1) % cursors.len()];
        let error = ask(tool, with(arguments, "cursor", foreign.as_str().into()));
        assert_eq!(error["argument"], "cursor", "{tool}: {error}");
    }
}

/// Names that break a path, a query language or a careless comparison.
const AWKWARD: [&str; 7] = [
    "openpolicy_pg.openpolicy.core.\"votes.2025\"",
    "openpolicy_pg.openpolicy.core.motions/amendments",
    "openpolicy_pg.openpolicy.core.rate%limits+plus",
    "openpolicy_pg.openpolicy.core.bills v2",
    "openpolicy_pg.openpolicy.étl.députés_élus",
    "openpolicy_pg.openpolicy.core.Bills",
    BILLS,
];

#[test]
fn awkward_names_are_taken_to_the_letter_by_every_tool() {
    let mut server = everything();
    let mut id = 0;
    let mut ask = |tool: &str, arguments: Value| {
        id += 1;
        let mut answer = server.call(id, tool, arguments.clone());
        assert_eq!(
            answer["result"]["isError"], false,
            "{tool} {arguments}: {answer}"
        );
        answer["result"]["structuredContent"].take()
    };
    for name in AWKWARD {
        for named in [name.to_owned(), format!("table:{name}")] {
            let found = ask("get_entity", json!({"entities": [named]}));
            assert_eq!(found["entities"][0]["fqn"], name, "{found}");
            let found = ask("get_lineage", json!({"entity": named}));
            assert_eq!(found["root"]["fqn"], name);
            let found = ask("analyze_impact", json!({"entity": named}));
            assert_eq!(found["of"]["fqn"], name);
            let change = json!({"entity": named, "set": {"display_name": "x"}});
            let found = ask("update_entity", change);
            assert_eq!(
                (&found["fqn"], &found["applied"]),
                (&name.into(), &false.into())
            );
            for tool in ["find_root_cause", "get_data_quality", "get_changes"] {
                ask(tool, json!({"entity": named}));
            }
        }
        let found = ask("search_entities", json!({"query": name, "limit": 1}));
        let prefix = found["hits"]["prefix"].as_str().unwrap_or_default();
        let first = found["hits"]["rows"][0][0].as_str().unwrap_or_default();
        assert_eq!(format!("{prefix}{first}"), name, "{found}");

        let encoded: String = name
            .bytes()
            .map(|byte| match byte {
                b'.' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).into(),
                _ => format!("%{byte:02X}"),
            })
            .collect();
        let path = format!("tables/name/{encoded}");
        let found = ask(
            "read_openmetadata",
            json!({"path": path, "fields": "fullyQualifiedName"}),
        );
        assert_eq!(found["body"]["fullyQualifiedName"], name, "{found}");

        if name != BILLS {
            let found = ask("find_lineage_path", json!({"from": BILLS, "to": name}));
            assert_ne!(found["status"], "unresolved", "{found}");
        }
    }
}

#[test]
fn a_request_that_is_no_json_is_answered_by_its_own_id() {
    let mut server = everything();
    let begins = r#"{"method":"tools/call","params":{"name":"get_lineage","arguments":"#;
    let too_deep = format!("{}1{}", "[".repeat(400), "]".repeat(400));
    let too_long = format!("{{\"entity\":\"{}\"}}", "x".repeat(5_000_000));
    let halved = r#"{"entity":"\ud83d"}"#.to_owned();
    let endless = r#"{"entity":"x","depth":1e999}"#.to_owned();
    for (id, arguments) in [too_deep, too_long, halved, endless].iter().enumerate() {
        server.send_line(&format!(
            r#"{begins}{arguments}}},"jsonrpc":"2.0","id":{id}}}"#
        ));
        let answer = server.receive();
        assert_eq!(answer["id"], id as i64, "{answer}");
        assert!(answer["error"]["message"].is_string(), "{answer}");
    }
    let answer = server.call(9, "get_entity", json!({"entities": BILLS}));
    assert_eq!(answer["result"]["isError"], false);
}
