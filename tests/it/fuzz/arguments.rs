//! Arguments made from each tool's own input schema and then damaged: always an answer, never a
//! fault of the server, and every refused argument by its name.

use openpolicy_mcp::tools::{self, Tool, Toolset};
use serde_json::{Map, Value, json};

use super::{choices::Choices, damage, on_demo};

/// A table of the demo.
pub const BILLS: &str = "openpolicy_pg.openpolicy.core.bills";

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

/// What a refusal of these arguments may be. Anything else is a fault of the server.
const REFUSALS: [&str; 6] = [
    "invalid_argument",
    "not_found",
    "ambiguous",
    "forbidden",
    "conflict",
    "unsupported_version",
];

/// Calls one tool of the demo with what these bytes make.
pub fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let tool = tool(&mut choices);
    let sent = of(tool, &mut choices);
    let answer = on_demo(tool.name, sent.clone());
    if let Some(fault) = fault(&answer, tool, &sent) {
        panic!("{} {sent}: {fault}\n{answer}", tool.name);
    }
}

pub fn tool(choices: &mut Choices) -> &'static Tool {
    // The demo has no platform to ask.
    let of_catalog: Vec<&'static Tool> = tools::all()
        .iter()
        .copied()
        .filter(|tool| matches!(tool.toolset, Toolset::Catalog | Toolset::CatalogWrite))
        .collect();
    choices.pick::<&Tool>(&of_catalog)
}

/// Arguments of a tool: what is required is there most of the time, else nothing behind it is ever
/// reached; then some more, right or not.
pub fn of(tool: &Tool, choices: &mut Choices) -> Value {
    let schema = Value::Object((tool.arguments)());
    let properties = schema["properties"].as_object().expect("properties");
    let mut arguments = Map::new();
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().expect("a name");
        if !choices.once_in(8) {
            arguments.insert(name.to_owned(), right(&properties[name], choices));
        }
    }
    for _ in 0..choices.below(4) {
        let at = choices.below(properties.len());
        let (name, property) = properties.iter().nth(at).expect("one");
        let name = match choices.below(24) {
            0 => format!("{name}s"),
            1 => choices.text(12),
            _ => name.clone(),
        };
        let value = match choices.below(16) {
            0..=4 => damage::other(choices),
            5 => right(property, choices).to_string().into(),
            6 => json!([right(property, choices)]),
            7 => json!({"fqn": choices.pick(&TEXTS)}),
            8 => choices.text(20).into(),
            9 => (*choices.pick(&TEXTS)).into(),
            _ => right(property, choices),
        };
        arguments.insert(name, value);
    }
    arguments.into()
}

/// A value as the schema wants it.
fn right(schema: &Value, choices: &mut Choices) -> Value {
    if let Some(values) = schema["enum"].as_array() {
        return choices.pick(values).clone();
    }
    match schema["type"].as_str() {
        Some("integer") => json!(choices.below(12)),
        Some("number") => json!(0.2),
        Some("boolean") => json!(choices.once_in(2)),
        Some("array") => (0..choices.below(3))
            .map(|_| right(&schema["items"], choices))
            .collect(),
        Some("object") => {
            let mut fields = Map::new();
            for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
                if choices.once_in(3) {
                    fields.insert(name.clone(), right(inner, choices));
                }
            }
            if schema["additionalProperties"].is_object() {
                fields.insert("title".into(), (*choices.pick(&TEXTS)).into());
            }
            fields.into()
        }
        _ => (*choices.pick(&TEXTS)).into(),
    }
}

/// What is wrong with this result of the tool.
fn fault(result: &Value, tool: &Tool, sent: &Value) -> Option<String> {
    let told = &result["structuredContent"];
    if !result["content"][0]["text"].is_string() || !told.is_object() {
        return Some("no answer".into());
    }
    if result["isError"] == false {
        if told["applied"] == true {
            return Some("changed something".into());
        }
        let schema = (tool.result)();
        let required = schema.get("required").and_then(Value::as_array);
        let mut absent = required.into_iter().flatten();
        let absent = absent.find(|name| told[name.as_str().expect("a name")].is_null());
        return absent.map(|name| format!("an answer without {name}"));
    }
    let code = told["code"].as_str().unwrap_or_default();
    if !REFUSALS.contains(&code) {
        return Some(format!("code {code}"));
    }
    if !told["message"].is_string() || !told["next_step"].is_string() {
        return Some("says nothing".into());
    }
    // Of a missing edge, either end may be at fault.
    if code != "invalid_argument" && told["argument"].is_null() {
        return None;
    }
    let argument = told["argument"].as_str().unwrap_or_default();
    let root = argument.split(['.', '[']).next().unwrap_or_default();
    let is_sent = sent.get(root).is_some();
    let is_known = (tool.arguments)()["properties"].get(root).is_some();
    // A name that was made up is quoted clean and cut.
    let is_plain = |name: &String| {
        name.chars()
            .all(|letter| letter.is_alphanumeric() || letter == '_')
    };
    let is_made_up = sent
        .as_object()
        .is_some_and(|sent| !sent.keys().all(is_plain));
    (!is_sent && !is_known && !is_made_up)
        .then(|| format!("names `{argument}`, which is no argument"))
}
