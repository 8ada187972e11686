//! The contract of the tools: what clients are told is what stands in `tools/`, portable and small.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Command, Stdio},
};

use openpolicy_mcp::tools::{self, Toolset, contract};
use serde_json::{Value, json};

use crate::support;

const REWRITE: &str =
    "rewrite them with `cargo run -- tools export tools` and review the difference";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tools")
}

/// The reviewed contracts by name of their file.
fn reviewed() -> BTreeMap<String, Value> {
    fs::read_dir(folder())
        .expect("the folder tools/")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let text = fs::read_to_string(&path).expect("a readable contract");
            (
                name,
                serde_json::from_str(&text).expect("a contract in JSON"),
            )
        })
        .collect()
}

#[test]
fn contracts_are_those_of_the_tools() {
    let reviewed = reviewed();
    let built: BTreeMap<String, Value> = tools::all()
        .iter()
        .map(|tool| (tool.name.to_owned(), contract::of(tool)))
        .collect();
    let mut faults = Vec::new();
    for (name, contract) in &built {
        match reviewed.get(name) {
            None => faults.push(format!("tools/{name}.json is missing")),
            Some(file) if file != contract => faults.push(format!("tools/{name}.json differs")),
            Some(_) => {}
        }
    }
    for name in reviewed.keys().filter(|name| !built.contains_key(*name)) {
        faults.push(format!("tools/{name}.json belongs to no tool"));
    }
    assert!(faults.is_empty(), "{}: {REWRITE}", faults.join(", "));
}

#[test]
fn the_binary_lists_what_the_contracts_say() {
    let mut server = Command::new(support::bin())
        .arg("demo")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary");
    let mut stdin = server.stdin.take().expect("stdin");
    let mut stdout = BufReader::new(server.stdout.take().expect("stdout"));
    let mut ask = |message: Value, is_answered: bool| {
        writeln!(stdin, "{message}").expect("a server that reads");
        if !is_answered {
            return Value::Null;
        }
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a server that answers");
        serde_json::from_str(&line).expect("an answer in JSON")
    };
    ask(
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "contract test", "version": "1"}}}),
        true,
    );
    ask(
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        false,
    );
    let answer = ask(
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}),
        true,
    );
    drop(stdin);
    assert!(
        server.wait().expect("an end").success(),
        "stdin closed: a clean end"
    );

    assert_eq!(answer["result"].get("nextCursor"), None, "one page");
    let listed: Vec<Value> = answer["result"]["tools"].as_array().expect("tools").clone();
    let names: Vec<&str> = listed
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    let reviewed = reviewed();
    // The demo has no platform: what asks for one is not listed.
    let is_of_platform = |name: &str| {
        let tool = tools::find(name).expect("a contract is of a tool");
        matches!(tool.toolset, Toolset::Platform | Toolset::Deploy)
    };
    let expected: Vec<&str> = reviewed
        .keys()
        .map(String::as_str)
        .filter(|name| !is_of_platform(name))
        .collect();
    assert_eq!(names, expected, "all tools, sorted");
    for tool in &listed {
        let name = tool["name"].as_str().expect("a name");
        assert!(
            tool == &reviewed[name],
            "tools/{name}.json differs: {REWRITE}"
        );
    }
}

/// Every schema object inside this one, with its place.
fn schemas<'a>(schema: &'a Value, place: String, all: &mut Vec<(String, &'a Value)>) {
    all.push((place.clone(), schema));
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        schemas(inner, format!("{place}.{name}"), all);
    }
    for name in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(name) {
            schemas(inner, format!("{place}.{name}"), all);
        }
    }
}

#[test]
fn schemas_are_portable() {
    let mut faults = Vec::new();
    for tool in tools::all() {
        let contract = contract::of(tool);
        let input = &contract["inputSchema"];
        let output = &contract["outputSchema"];
        assert_eq!(input["type"], "object", "{}", tool.name);
        assert_eq!(input["additionalProperties"], false, "{}", tool.name);
        assert_eq!(output["type"], "object", "{}", tool.name);
        let mut all = Vec::new();
        schemas(input, format!("{} input", tool.name), &mut all);
        schemas(output, format!("{} output", tool.name), &mut all);
        for (place, schema) in all {
            let fields = match schema {
                Value::Object(fields) => fields,
                Value::Bool(false) if place.ends_with(".additionalProperties") => continue,
                _ => {
                    faults.push(format!("{place} is no object"));
                    continue;
                }
            };
            for unportable in [
                "$ref",
                "$defs",
                "definitions",
                "$schema",
                "const",
                "anyOf",
                "oneOf",
                "allOf",
                "not",
                "format",
                "nullable",
                "default",
            ] {
                if fields.contains_key(unportable) {
                    faults.push(format!("{place} has {unportable}"));
                }
            }
            if fields.get("type").is_some_and(|kind| !kind.is_string()) {
                faults.push(format!("{place} has a list of types"));
            }
            if let Some(values) = fields.get("enum").and_then(Value::as_array)
                && values.iter().any(|value| !value.is_string())
            {
                faults.push(format!("{place} has an enumeration of other than texts"));
            }
            let required = fields.get("required").and_then(Value::as_array);
            for name in required.into_iter().flatten().filter_map(Value::as_str) {
                if fields["properties"].get(name).is_none() {
                    faults.push(format!(
                        "{place} requires {name}, which it does not describe"
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_tool_and_argument_is_described() {
    for tool in tools::all() {
        assert!(
            tool.name.len() <= 40,
            "{}: clients cut longer names",
            tool.name
        );
        assert!(!tool.title.is_empty(), "{} has no title", tool.name);
        assert!(
            !tool.description.is_empty(),
            "{} has no description",
            tool.name
        );
        // Claude clients cut descriptions at 2 KB.
        assert!(tool.description.len() <= 2_000, "{}", tool.name);
        let arguments = (tool.arguments)();
        let properties = arguments["properties"].as_object().expect("properties");
        assert!(!properties.is_empty(), "{} takes nothing", tool.name);
        for (name, schema) in properties {
            // A number with its bounds and a choice of words say all of it; each further word is
            // paid for in every conversation.
            if name == "limit" && schema["maximum"].is_number() || schema["enum"].is_array() {
                continue;
            }
            let description = schema["description"].as_str().unwrap_or_default();
            assert!(
                !description.is_empty(),
                "{}.{name} has no description",
                tool.name
            );
        }
    }
    let names: Vec<&str> = tools::all().iter().map(|tool| tool.name).collect();
    assert!(names.is_sorted(), "tools are listed by name");
    assert!(names.len() <= 28, "one page of tools");
}

#[test]
fn all_tools_together_fit_the_budget() {
    let listed: Vec<Value> = tools::all()
        .iter()
        .map(|tool| {
            let mut contract = contract::of(tool);
            contract
                .as_object_mut()
                .expect("an object")
                .remove("outputSchema");
            contract
        })
        .collect();
    let each: Vec<String> = listed
        .iter()
        .map(|tool| format!("{} {}", tool["name"], support::tokens(&tool.to_string())))
        .collect();
    let all = support::tokens(&Value::Array(listed).to_string());
    println!("{all} tokens of 6000");
    assert!(all <= 6_000, "{all} tokens: {}", each.join(", "));
}
