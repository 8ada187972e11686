//! Tools that end their first answer with a question, as 2026-07-28 does.

use std::fmt::Write;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock,
        GetPromptRequestParams, GetPromptResponse, GetPromptResult, InputRequest, InputRequests,
        InputRequiredResult, InputResponses, PromptMessage, Role,
    },
    service::RequestContext,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Signs what a client carries for us. The suite reads no secrets.
const KEY: &str = "of the conformance fixture";

/// `None` where the tool is none of these.
pub fn call(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let tool = request.name.strip_prefix("test_input_required_result_");
    let tool = match request.name.as_ref() {
        "test_streaming_elicitation" => "elicitation",
        _ => tool?,
    };
    let nothing = InputResponses::new();
    let given = Given {
        responses: request.input_responses.as_ref().unwrap_or(&nothing),
        state: request.request_state.as_deref(),
    };
    Some(answer(tool, &given, context).map(|answer| match answer {
        Answer::Text(text) => CallToolResult::success(vec![ContentBlock::text(text)]).into(),
        Answer::Asks(result) => result.into(),
    }))
}

/// `None` where the prompt is another.
pub fn prompt(
    request: &GetPromptRequestParams,
    _: &RequestContext<RoleServer>,
) -> Option<Result<GetPromptResponse, ErrorData>> {
    if request.name != "test_input_required_result_prompt" {
        return None;
    }
    let responses = request.input_responses.as_ref();
    let context = responses.and_then(|responses| accepted(responses, "user_context", "context"));
    Some(match context {
        Some(context) => Ok(GetPromptResult::new(vec![PromptMessage::new_text(
            Role::User,
            format!("Use this context: {context}"),
        )])
        .into()),
        None => asks(
            [form(
                "user_context",
                "What context should the prompt use?",
                "context",
                "string",
            )],
            None,
        )
        .map(Into::into),
    })
}

struct Given<'a> {
    responses: &'a InputResponses,
    state: Option<&'a str>,
}

enum Answer {
    Text(String),
    Asks(InputRequiredResult),
}

fn answer(
    tool: &str,
    given: &Given,
    context: &RequestContext<RoleServer>,
) -> Result<Answer, ErrorData> {
    let Given { responses, state } = given;
    let name = || form("user_name", "What is your name?", "name", "string");
    let confirm = || form("confirm", "Please confirm", "ok", "boolean");
    let asked =
        |requests: Vec<(&str, Value)>, state: Option<&str>| asks(requests, state).map(Answer::Asks);
    match tool {
        "elicitation" => match accepted(responses, "user_name", "name") {
            Some(name) => Ok(Answer::Text(format!("Hello, {}!", said(name)))),
            None => asked(vec![name()], None),
        },
        "sampling" => match responses.get("capital_question") {
            Some(answer) => Ok(Answer::Text(said(&answer["content"]["text"]))),
            None => asked(
                vec![sampling(
                    "capital_question",
                    "What is the capital of France?",
                )],
                None,
            ),
        },
        "list_roots" => match responses.get("client_roots") {
            Some(answer) => Ok(Answer::Text(format!("Roots: {}", answer["roots"]))),
            None => asked(vec![roots()], None),
        },
        "request_state" | "tampered_state" => match accepted(responses, "confirm", "ok") {
            Some(_) => {
                opened(*state, "confirming")?;
                Ok(Answer::Text("state-ok".into()))
            }
            None => asked(vec![confirm()], Some("confirming")),
        },
        "multiple_inputs" => {
            let is_complete = ["user_name", "greeting", "client_roots"]
                .iter()
                .all(|key| responses.contains_key(*key));
            if is_complete {
                opened(*state, "three")?;
                return Ok(Answer::Text("All three are here".into()));
            }
            let greeting = sampling("greeting", "Generate a greeting");
            asked(vec![name(), greeting, roots()], Some("three"))
        }
        "multi_round" => {
            if let Some(color) = accepted(responses, "step2", "color") {
                opened(*state, "second")?;
                return Ok(Answer::Text(format!("You like {}", said(color))));
            }
            if accepted(responses, "step1", "name").is_some() {
                opened(*state, "first")?;
                let question = "Step 2: What is your favorite color?";
                return asked(
                    vec![form("step2", question, "color", "string")],
                    Some("second"),
                );
            }
            let question = "Step 1: What is your name?";
            asked(
                vec![form("step1", question, "name", "string")],
                Some("first"),
            )
        }
        "capabilities" => {
            let can = context.client_capabilities().unwrap_or_default();
            let requests: Vec<_> = [
                can.elicitation.is_some().then(name),
                can.sampling
                    .is_some()
                    .then(|| sampling("greeting", "Generate a greeting")),
                can.roots.is_some().then(roots),
            ]
            .into_iter()
            .flatten()
            .collect();
            match requests.is_empty() || !responses.is_empty() {
                true => Ok(Answer::Text("There is nothing to ask".into())),
                false => asked(requests, None),
            }
        }
        other => Err(ErrorData::invalid_params(
            format!("there is no tool `test_input_required_result_{other}`"),
            None,
        )),
    }
}

/// A question as the protocol carries it; the state is signed.
fn asks<'a>(
    requests: impl IntoIterator<Item = (&'a str, Value)>,
    state: Option<&str>,
) -> Result<InputRequiredResult, ErrorData> {
    let mut all = InputRequests::new();
    for (key, request) in requests {
        let request: InputRequest = serde_json::from_value(request)
            .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        all.insert(key.to_owned(), request);
    }
    Ok(InputRequiredResult::new(Some(all), state.map(sealed)))
}

fn form<'a>(key: &'a str, message: &str, field: &str, kind: &str) -> (&'a str, Value) {
    let params = json!({
        "mode": "form",
        "message": message,
        "requestedSchema": {
            "type": "object",
            "properties": { field: { "type": kind } },
            "required": [field],
        },
    });
    (
        key,
        json!({ "method": "elicitation/create", "params": params }),
    )
}

fn sampling<'a>(key: &'a str, question: &str) -> (&'a str, Value) {
    let params = json!({
        "messages": [{ "role": "user", "content": { "type": "text", "text": question } }],
        "maxTokens": 100,
    });
    (
        key,
        json!({ "method": "sampling/createMessage", "params": params }),
    )
}

fn roots() -> (&'static str, Value) {
    (
        "client_roots",
        json!({ "method": "roots/list", "params": {} }),
    )
}

/// What the user filled in, where the answer is whole.
fn accepted<'a>(responses: &'a InputResponses, key: &str, field: &str) -> Option<&'a Value> {
    let response = responses.get(key)?;
    (response.get("action")? == "accept").then_some(())?;
    response.get("content")?.get(field)
}

fn said(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn sealed(state: &str) -> String {
    let digest = Sha256::digest(format!("{KEY}:{state}"));
    digest.iter().fold(format!("{state}."), |mut sealed, byte| {
        // Writing to a string does not fail.
        let _ = write!(sealed, "{byte:02x}");
        sealed
    })
}

fn opened(carried: Option<&str>, expected: &str) -> Result<(), ErrorData> {
    match carried {
        Some(carried) if carried == sealed(expected) => Ok(()),
        _ => Err(ErrorData::invalid_params(
            "`requestState` is not what was sent",
            None,
        )),
    }
}
