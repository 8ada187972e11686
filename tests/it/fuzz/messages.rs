//! Makes messages as a client sends them and worse, and knows which of them want an answer.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::{
    arguments::{self, BILLS},
    choices::Choices,
    damage,
};

const METHODS: [&str; 18] = [
    "ping",
    "tools/list",
    "tools/call",
    "tools/call",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "completion/complete",
    "server/discover",
    "logging/setLevel",
    "notifications/initialized",
    "notifications/progress",
    "notifications/cancelled",
    "initialize",
    "no/such method\u{202e}",
];

/// One message without its end of line.
pub fn message(choices: &mut Choices) -> Vec<u8> {
    let method = *choices.pick(&METHODS);
    let id = match choices.below(12) {
        0 => Value::Null,
        1 => json!("a string"),
        2 => json!(1.5),
        3 => json!(-7),
        4 => json!(u64::MAX),
        5 => json!({}),
        other => json!(other),
    };
    let mut message = json!({"jsonrpc": "2.0", "id": id, "method": method});
    if method.starts_with("notifications/") || choices.once_in(16) {
        message.as_object_mut().expect("an object").remove("id");
    }
    message["params"] = parameters(method, choices);
    if choices.once_in(8) {
        message["params"]["_meta"] = json!({"progressToken": choices.below(3)});
    }
    match choices.below(24) {
        0 => message = json!([message]),
        1 => message = json!({"jsonrpc": "2.0", "id": 3, "result": {}}),
        2 => message = json!({"jsonrpc": "2.0", "id": 3, "error": {"code": 1, "message": "x"}}),
        3..=8 => damage::tree(&mut message, choices),
        _ => {}
    }
    let mut bytes = message.to_string().into_bytes();
    if choices.once_in(4) {
        damage::bytes(&mut bytes, choices);
    }
    bytes
}

fn parameters(method: &str, choices: &mut Choices) -> Value {
    match method {
        "tools/call" => {
            let tool = arguments::tool(choices);
            let arguments = arguments::of(tool, choices);
            json!({"name": tool.name, "arguments": arguments})
        }
        "prompts/get" => {
            let prompts = [
                "assess_change",
                "investigate_incident",
                "document_dataset",
                "x",
            ];
            json!({"name": choices.pick(&prompts), "arguments": {"entity": BILLS}})
        }
        "resources/read" => {
            let uris = [
                "openmetadata://table/",
                "openpolicy://",
                "file:///",
                "::",
                "",
            ];
            json!({"uri": format!("{}{BILLS}", choices.pick(&uris))})
        }
        "completion/complete" => json!({
            "ref": {"type": "ref/resource", "uri": "openmetadata://{type}/{fqn}"},
            "argument": {"name": choices.pick(&["fqn", "type", "x"]), "value": choices.text(8)}
        }),
        "notifications/cancelled" => json!({"requestId": choices.below(12), "reason": "x"}),
        "notifications/progress" => json!({"progressToken": 1, "progress": 0.5}),
        "initialize" => json!({
            "protocolVersion": choices.pick(&["2025-06-18", "2024-11-05", "9", ""]),
            "capabilities": {},
            "clientInfo": {"name": "fuzz", "version": "0"}
        }),
        _ => json!({}),
    }
}

/// How many answers messages want at least, and which they may get.
#[derive(Debug, Default)]
pub struct Expected {
    wanted: usize,
    taken: usize,
    /// Requests with this id, and answers that may still come under it.
    by_id: HashMap<String, (usize, usize)>,
    /// Answers that may come under no id, or under one that was found in what is no request.
    without: usize,
    /// Whether there was one: it may have been answered under an id that was cancelled.
    is_garbled: bool,
    cancelled: HashSet<String>,
}

impl Expected {
    /// Reads a message as the specification does, apart from the code under test.
    pub fn add(&mut self, message: &[u8]) {
        let message = message.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(message);
        let message = message.trim_ascii();
        if message.is_empty() {
            return;
        }
        let Ok(Value::Object(fields)) = serde_json::from_slice(message) else {
            self.wanted += 1;
            self.without += 1;
            self.is_garbled = true;
            return;
        };
        let method = fields.get("method").and_then(Value::as_str);
        let id = fields.get("id");
        let is_answer = fields.contains_key("result") || fields.contains_key("error");
        let is_told = method.is_some() && id.is_none();
        self.wanted += usize::from(!is_answer && !is_told);
        let is_named = method.is_some() && fields.get("jsonrpc") == Some(&"2.0".into());
        let is_valid = is_named && !is_answer;
        self.is_garbled |= !is_valid;
        match id.filter(|id| id.is_string() || id.is_i64()) {
            Some(id) => {
                let entry = self.by_id.entry(id.to_string()).or_default();
                entry.0 += usize::from(is_valid);
                entry.1 += 1;
                self.without += usize::from(!is_valid);
            }
            None => self.without += 1,
        }
        if method == Some("notifications/cancelled") {
            let parameters = fields.get("params").unwrap_or(&Value::Null);
            self.cancelled.insert(parameters["requestId"].to_string());
        }
    }

    /// Takes an answer; says what is wrong with it.
    pub fn take(&mut self, answer: &Value) -> Option<String> {
        if answer["method"].is_string() {
            return (!answer["id"].is_null()).then(|| "asks something".into());
        }
        let says_one = answer["result"].is_object() ^ answer["error"].is_object();
        if answer["jsonrpc"] != "2.0" || !says_one {
            return Some("is no answer".into());
        }
        // A completion or a resource that was cancelled has no other code to say so.
        if answer["error"]["code"] == -32603 && answer["error"]["data"]["code"] != "timeout" {
            return Some("is an internal error".into());
        }
        if answer["result"]["structuredContent"]["code"] == "internal" {
            return Some("is a fault of the server".into());
        }
        self.taken += 1;
        match self.by_id.get_mut(&answer["id"].to_string()) {
            Some((_, most)) if *most > 0 => *most -= 1,
            _ if self.without > 0 => self.without -= 1,
            _ => return Some("was not asked for".into()),
        }
        None
    }

    /// Answers that have to come still. What was cancelled may be answered or not.
    pub fn open(&self) -> usize {
        let cancelled = self.cancelled.iter().filter_map(|id| self.by_id.get(id));
        let open = |(asked, open): &(usize, usize)| match self.is_garbled {
            true => *asked,
            false => *asked.min(open),
        };
        let cancelled: usize = cancelled.map(open).sum();
        self.wanted.saturating_sub(self.taken + cancelled)
    }
}
