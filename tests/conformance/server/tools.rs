//! Tools that answer at once, and the list of all.

use std::{sync::Arc, time::Duration};

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResult, ClientCapabilities, ContentBlock,
        ProgressNotificationParam, ResourceContents, Tool,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

/// A red dot.
pub const PICTURE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
/// A sound of no length.
const SOUND: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";

/// Names without arguments, in the order of the list.
const PLAIN: &[(&str, &str)] = &[
    ("test_audio_content", "Answers a sound"),
    ("test_elicitation_sep1034_defaults", "Asks with defaults"),
    ("test_elicitation_sep1330_enums", "Asks with choices"),
    ("test_embedded_resource", "Answers a resource"),
    ("test_error_handling", "Always fails"),
    ("test_image_content", "Answers a picture"),
    (
        "test_input_required_result_capabilities",
        "Asks what the client can",
    ),
    ("test_input_required_result_elicitation", "Asks for a name"),
    ("test_input_required_result_list_roots", "Asks for roots"),
    (
        "test_input_required_result_multi_round",
        "Asks twice, one after the other",
    ),
    (
        "test_input_required_result_multiple_inputs",
        "Asks three things at once",
    ),
    ("test_input_required_result_request_state", "Asks and keeps"),
    ("test_input_required_result_sampling", "Asks a model"),
    (
        "test_input_required_result_tampered_state",
        "Notices a changed state",
    ),
    ("test_logging_tool", "Logs where it was asked to"),
    ("test_missing_capability", "Needs sampling"),
    ("test_multiple_content_types", "Answers several kinds"),
    ("test_simple_text", "Answers text"),
    ("test_streaming_elicitation", "Reports, then asks"),
    ("test_tool_with_logging", "Logs while it runs"),
    ("test_tool_with_progress", "Reports while it runs"),
    ("test_trigger_prompt_change", "Changes the prompts"),
    ("test_trigger_tool_change", "Changes the tools"),
];

/// Every tool, in a fixed order.
pub fn listed() -> Vec<Tool> {
    let plain = PLAIN
        .iter()
        .map(|(name, what)| tool(name, what, json!({ "type": "object", "properties": {} })));
    let text = |argument: &str| {
        json!({
            "type": "object",
            "properties": { argument: { "type": "string" } },
            "required": [argument],
        })
    };
    plain
        .chain([
            tool("json_schema_2020_12_tool", "A rich schema", rich_schema()),
            tool("test_custom_header", "Has a header", header_schema()),
            tool("test_elicitation", "Asks the user", text("message")),
            tool("test_sampling", "Asks a model", text("prompt")),
        ])
        .collect()
}

fn tool(name: &str, what: &str, schema: Value) -> Tool {
    let Value::Object(schema) = schema else {
        unreachable!("schemas are written as objects here");
    };
    Tool::new(name.to_owned(), what.to_owned(), Arc::new(schema))
}

fn rich_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": { "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": { "street": { "type": "string" }, "city": { "type": "string" } },
        } },
        "properties": {
            "name": { "type": "string" },
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": { "type": "string" },
            "email": { "type": "string" },
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": {
            "properties": { "contactMethod": { "const": "phone" } },
            "required": ["contactMethod"],
        },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false,
    })
}

fn header_schema() -> Value {
    json!({
        "type": "object",
        "properties": { "region": { "type": "string", "x-mcp-header": "Region" } },
        "required": ["region"],
    })
}

pub async fn call(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResult, ErrorData> {
    let content = match request.name.as_ref() {
        "test_simple_text" => vec![ContentBlock::text(
            "This is a simple text response for testing.",
        )],
        "test_image_content" => vec![ContentBlock::image(PICTURE, "image/png")],
        "test_audio_content" => vec![ContentBlock::audio(SOUND, "audio/wav")],
        "test_embedded_resource" => vec![ContentBlock::resource(
            ResourceContents::text(
                "This is an embedded resource content.",
                "test://embedded-resource",
            )
            .with_mime_type("text/plain"),
        )],
        "test_multiple_content_types" => vec![
            ContentBlock::text("Multiple content types test:"),
            ContentBlock::image(PICTURE, "image/png"),
            ContentBlock::resource(
                ResourceContents::text(
                    r#"{"test":"data","value":123}"#,
                    "test://mixed-content-resource",
                )
                .with_mime_type("application/json"),
            ),
        ],
        "test_error_handling" => {
            let text = "This tool intentionally returns an error for testing";
            return Ok(CallToolResult::error(vec![ContentBlock::text(text)]));
        }
        "test_tool_with_progress" => {
            report(context, &[0.0, 50.0, 100.0]).await;
            vec![ContentBlock::text("The work is done")]
        }
        "test_missing_capability" => {
            let can = context.client_capabilities().unwrap_or_default();
            if can.sampling.is_none() {
                return Err(ErrorData::missing_required_client_capability(
                    ClientCapabilities::builder().enable_sampling().build(),
                ));
            }
            vec![ContentBlock::text("The client can sample")]
        }
        "json_schema_2020_12_tool"
        | "test_custom_header"
        | "test_trigger_tool_change"
        | "test_trigger_prompt_change" => vec![ContentBlock::text("Done")],
        other => {
            return Err(ErrorData::invalid_params(
                format!("there is no tool `{other}`"),
                None,
            ));
        }
    };
    Ok(CallToolResult::success(content))
}

/// Tells how far the call is, where the caller gave a token for it.
pub async fn report(context: &RequestContext<RoleServer>, steps: &[f64]) {
    let Some(token) = context.meta.get_progress_token() else {
        return;
    };
    for step in steps {
        let told = ProgressNotificationParam::new(token.clone(), *step).with_total(100.0);
        // A client that is gone is noticed elsewhere.
        let _ = context.peer.notify_progress(told).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
