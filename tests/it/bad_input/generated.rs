//! Arguments made from each tool's own input schema and then damaged: always an answer, never a
//! fault of the server, and every refused argument by its name.

use std::cell::RefCell;

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Map, Value, json};

use super::everything;
use crate::support::server::BILLS;

/// Some are right, some nearly, most are not.
const TEXTS: [&str; 20] = [
    BILLS,
    "openpolicy_pg.openpolicy.core.votes",
    "openpolicy_pg",
    "table:openpolicy_pg.openpolicy.core.\"votes.2025\"",
    "openpolicy_pg.openpolicy.étl.députés_élus",
    "openpolicy_pg.pg_profiler",
    "openpolicy_pg.openpolicy.core.votes.ballot.ballot_in_set",
    "title",
    "7d",
    "tables/name/openpolicy_pg.openpolicy.core.bills",
    "*",
    "",
    "null",
    ".",
    "\"",
    "a.b.\"c",
    "' OR 1=1 --",
    "%2e%2e/..",
    "\u{202E}\u{0}",
    "2026-11-20T10:00:00Z",
];

/// What was drawn for one argument: which, what is done to it, and material.
type Draw = (usize, u8, usize, Vec<char>);

/// A value for this schema, or something else in its place.
fn value(schema: &Value, damage: u8, choice: usize, letters: &[char]) -> Value {
    let text: Value = TEXTS[choice % TEXTS.len()].into();
    match damage % 16 {
        0 => Value::Null,
        1 => json!([]),
        2 => json!({}),
        3 => json!([text, choice]),
        4 => json!({"fqn": text}),
        5 => json!(choice as f64 / 3.0),
        6 => json!(-(choice as i64)),
        7 => json!(choice.is_multiple_of(2)),
        8 => letters.iter().collect::<String>().into(),
        9 => right(schema, choice).to_string().into(),
        10 => json!([right(schema, choice)]),
        11 => text,
        _ => right(schema, choice),
    }
}

/// A value as the schema wants it.
fn right(schema: &Value, choice: usize) -> Value {
    if let Some(values) = schema["enum"].as_array() {
        return values[choice % values.len()].clone();
    }
    let text: Value = TEXTS[choice % TEXTS.len()].into();
    match schema["type"].as_str() {
        Some("integer") => json!(choice % 12),
        Some("number") => json!(0.2),
        Some("boolean") => json!(choice.is_multiple_of(2)),
        Some("array") => (0..choice % 3)
            .map(|step| right(&schema["items"], choice + step))
            .collect(),
        Some("object") => {
            let mut fields = Map::new();
            for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
                if (name.len() + choice).is_multiple_of(3) {
                    fields.insert(name.clone(), right(inner, choice + name.len()));
                }
            }
            if schema["additionalProperties"].is_object() {
                fields.insert("title".into(), text);
            }
            fields.into()
        }
        _ => text,
    }
}

fn arguments(schema: &Value, draws: &[Draw]) -> Value {
    let properties = schema["properties"].as_object().expect("properties");
    let mut arguments = Map::new();
    // What is required is there most of the time: else nothing behind it is ever reached.
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().expect("a name");
        let choice = draws.first().map_or(0, |draw| draw.2);
        if choice % 7 != 6 {
            arguments.insert(name.to_owned(), right(&properties[name], choice));
        }
    }
    for (which, damage, choice, letters) in draws {
        let (name, property) = properties
            .iter()
            .nth(which % properties.len())
            .expect("one");
        let name = match damage {
            250.. => format!("{name}s"),
            _ => name.clone(),
        };
        arguments.insert(name, value(property, *damage, *choice, letters));
    }
    arguments.into()
}

/// What is wrong with this answer of the tool.
fn fault(answer: &Value, schema: &Value, sent: &Value) -> Option<String> {
    let result = &answer["result"];
    let told = &result["structuredContent"];
    if !result["content"][0]["text"].is_string() || !told.is_object() {
        return Some("no answer".into());
    }
    if result["isError"] == false {
        if told["applied"] == true {
            return Some("changed something".into());
        }
        let required = schema["outputSchema"]["required"].as_array();
        let mut absent = required.into_iter().flatten();
        let absent = absent.find(|name| told[name.as_str().expect("a name")].is_null());
        return absent.map(|name| format!("an answer without {name}"));
    }
    let code = told["code"].as_str().unwrap_or_default();
    let expected = [
        "invalid_argument",
        "not_found",
        "ambiguous",
        "forbidden",
        "conflict",
        "unsupported_version",
    ];
    if !expected.contains(&code) {
        return Some(format!("code {code}"));
    }
    if !told["message"].is_string() || !told["next_step"].is_string() {
        return Some("says nothing".into());
    }
    let argument = told["argument"].as_str().unwrap_or_default();
    let root = argument.split(['.', '[']).next().unwrap_or_default();
    let is_sent = sent.get(root).is_some();
    let is_known = schema["inputSchema"]["properties"].get(root).is_some();
    (!is_sent && !is_known).then(|| format!("names `{argument}`, which is no argument"))
}

#[test]
fn whatever_is_sent_is_answered_and_the_argument_at_fault_is_named() {
    let mut server = everything();
    let listed = server.ask(0, "tools/list", json!({}));
    let tools = listed["result"]["tools"].as_array().expect("tools").clone();
    assert_eq!(tools.len(), 14);
    let server = RefCell::new((server, 0));
    let draw = (
        0..64_usize,
        any::<u8>(),
        0..1_000_usize,
        vec(any::<char>(), 0..20),
    );
    let calls = (0..tools.len(), vec(draw, 0..4));
    let config = Config {
        cases: 700,
        failure_persistence: None,
        ..Config::default()
    };
    let run = TestRunner::new(config).run(&calls, |(which, draws)| {
        let tool = &tools[which];
        let sent = arguments(&tool["inputSchema"], &draws);
        let mut server = server.borrow_mut();
        server.1 += 1;
        let id = server.1;
        let name = tool["name"].as_str().expect("a name");
        let answer = server.0.call(id, name, sent.clone());
        match fault(&answer, tool, &sent) {
            None => Ok(()),
            Some(fault) => Err(TestCaseError::fail(format!(
                "{name} {sent}: {fault}\n{answer}"
            ))),
        }
    });
    if let Err(error) = run {
        panic!("{error}");
    }
}
