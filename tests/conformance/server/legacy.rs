//! Tools that ask the client while they run, as protocols before 2026-07-28 do.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock,
        CreateMessageRequestParams, ElicitRequest, ElicitRequestParams, LoggingLevel,
        LoggingMessageNotificationParam, SamplingMessage, ServerRequest,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

type Answer = Result<CallToolResponse, ErrorData>;

/// `None` where the tool is none of these.
pub async fn call(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Option<Answer> {
    let argument = |name: &str| {
        let arguments = request.arguments.as_ref()?;
        arguments.get(name)?.as_str().map(str::to_owned)
    };
    Some(match request.name.as_ref() {
        "test_sampling" => sampled(context, argument("prompt").unwrap_or_default()).await,
        "test_elicitation" => {
            let message = argument("message").unwrap_or_default();
            asked(context, "User response", &message, user()).await
        }
        "test_elicitation_sep1034_defaults" => {
            asked(context, "Elicitation completed", "Check these", defaults()).await
        }
        "test_elicitation_sep1330_enums" => {
            asked(context, "Elicitation completed", "Choose", choices()).await
        }
        "test_tool_with_logging" => {
            for step in ["started", "processing data", "completed"] {
                logged(context, &format!("Tool execution {step}")).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            text("The work is logged")
        }
        "test_logging_tool" => {
            // From 2026-07-28 a request has to ask for messages.
            if context.meta.log_level().is_some() {
                logged(context, "The tool ran").await;
            }
            text("The tool ran")
        }
        _ => return None,
    })
}

fn text(text: impl Into<String>) -> Answer {
    let content = vec![ContentBlock::text(text.into())];
    Ok(CallToolResult::success(content).into())
}

fn failed(error: impl std::fmt::Display) -> Answer {
    let content = vec![ContentBlock::text(error.to_string())];
    Ok(CallToolResult::error(content).into())
}

async fn logged(context: &RequestContext<RoleServer>, message: &str) {
    let message = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(message));
    // A client that is gone is noticed elsewhere.
    let _ = context.peer.notify_logging_message(message).await;
}

async fn sampled(context: &RequestContext<RoleServer>, prompt: String) -> Answer {
    let request = CreateMessageRequestParams::new(vec![SamplingMessage::user_text(prompt)], 100);
    match context.peer.create_message(request).await {
        Ok(result) => {
            let answer = serde_json::to_value(&result.message).unwrap_or_default();
            let said = answer["content"]["text"].as_str().unwrap_or("nothing");
            text(format!("LLM response: {said}"))
        }
        Err(error) => failed(error),
    }
}

async fn asked(
    context: &RequestContext<RoleServer>,
    lead: &str,
    message: &str,
    schema: Value,
) -> Answer {
    let request = json!({ "mode": "form", "message": message, "requestedSchema": schema });
    let request: ElicitRequestParams = match serde_json::from_value(request) {
        Ok(request) => request,
        Err(error) => return failed(error),
    };
    let request = ServerRequest::ElicitRequest(ElicitRequest::new(request));
    match context.peer.send_request(request).await {
        Ok(result) => {
            let answer = serde_json::to_value(&result).unwrap_or_default();
            let action = answer["action"].as_str().unwrap_or_default();
            text(format!(
                "{lead}: action={action}, content={}",
                answer["content"]
            ))
        }
        Err(error) => failed(error),
    }
}

fn user() -> Value {
    json!({
        "type": "object",
        "properties": {
            "username": { "type": "string", "description": "User's response" },
            "email": { "type": "string", "description": "User's email address" },
        },
        "required": ["username", "email"],
    })
}

fn defaults() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "default": "John Doe" },
            "age": { "type": "integer", "default": 30 },
            "score": { "type": "number", "default": 95.5 },
            "status": {
                "type": "string", "enum": ["active", "inactive", "pending"], "default": "active",
            },
            "verified": { "type": "boolean", "default": true },
        },
    })
}

fn choices() -> Value {
    let titled = |name: &str, title: &str| json!({ "const": name, "title": title });
    json!({
        "type": "object",
        "properties": {
            "untitledSingle": { "type": "string", "enum": ["option1", "option2", "option3"] },
            "titledSingle": { "type": "string", "oneOf": [
                titled("value1", "First Option"),
                titled("value2", "Second Option"),
                titled("value3", "Third Option"),
            ] },
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": { "type": "array", "items": {
                "type": "string", "enum": ["option1", "option2", "option3"],
            } },
            "titledMulti": { "type": "array", "items": { "anyOf": [
                titled("value1", "First Choice"),
                titled("value2", "Second Choice"),
                titled("value3", "Third Choice"),
            ] } },
        },
    })
}
