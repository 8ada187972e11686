//! How a tool stands in `tools/list`.

use std::sync::Arc;

use rmcp::model::{Tool as Listed, ToolAnnotations};
use serde_json::{Map, Value, json};

use crate::{
    settings::Answers,
    tools::{Effect, Tool},
};

/// One entry of `tools/list`.
pub fn listed(tool: &Tool, answers: Answers) -> Listed {
    let (is_read_only, is_destructive, is_idempotent) = match tool.effect {
        Effect::Read => (true, false, true),
        Effect::Write {
            destructive,
            idempotent,
        } => (false, destructive, idempotent),
    };
    let listed = Listed::new(tool.name, tool.description, Arc::new((tool.arguments)()))
        .with_title(tool.title)
        .with_annotations(
            ToolAnnotations::new()
                .read_only(is_read_only)
                .destructive(is_destructive)
                .idempotent(is_idempotent)
                // All of them ask one catalog and one platform, never the world at large.
                .open_world(false),
        );
    match answers {
        Answers::Both => listed.with_raw_output_schema(Arc::new(output_schema((tool.result)()))),
        Answers::Text => listed,
    }
}

/// The same as JSON, for the contract files.
pub fn json(tool: &Tool, answers: Answers) -> Value {
    serde_json::to_value(listed(tool, answers)).unwrap_or_default()
}

/// The schema of what a call hands over: a result, or an error in the same place.
///
/// Clients built on the TypeScript SDK check `structuredContent` of errors too, and hide the
/// message of one that does not match: so what is required is required of results only.
fn output_schema(mut result: Map<String, Value>) -> Map<String, Value> {
    let required = result.remove("required").unwrap_or_else(|| json!([]));
    if required.as_array().is_some_and(|names| !names.is_empty()) {
        result.insert(
            "anyOf".into(),
            json!([{"required": required}, {"required": ["code", "message"]}]),
        );
    }
    result
}
