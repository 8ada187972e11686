//! What `tools/list` says of a tool, which is also what stands in `tools/<name>.json`.

use serde_json::{Map, Value, json};

use super::{Effect, Tool};

/// Name, title, description, annotations and both schemas, in this order.
pub fn of(tool: &Tool) -> Value {
    let (read_only, destructive, idempotent) = match tool.effect {
        Effect::Read => (true, false, true),
        Effect::Write {
            destructive,
            idempotent,
        } => (false, destructive, idempotent),
    };
    json!({
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "annotations": {
            "title": tool.title,
            "readOnlyHint": read_only,
            "destructiveHint": destructive,
            "idempotentHint": idempotent,
            // The catalog and the platform are a closed world: nothing else is reached.
            "openWorldHint": false,
        },
        "inputSchema": Value::Object((tool.arguments)()),
        "outputSchema": Value::Object(output_schema(tool)),
    })
}

/// The schema of what stands in `structuredContent`: a result, or an error in the same place.
///
/// Clients built on the TypeScript SDK check the structured form of errors too, and hide the
/// message of one that does not match. So nothing is required at the top; what a result always
/// has is required where results are tested.
pub fn output_schema(tool: &Tool) -> Map<String, Value> {
    let mut schema = (tool.result)();
    schema.remove("required");
    schema
}

/// The contract as a file: pretty, in the order in which clients see it.
pub fn text(tool: &Tool) -> String {
    format!("{:#}\n", of(tool))
}
