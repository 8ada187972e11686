//! Requests that the protocol library could not read: what is wrong with them, or what they mean.

use rmcp::{
    ErrorData,
    model::{
        CompleteRequestParams, ErrorCode, GetPromptRequestParams, InitializeRequestParams,
        PaginatedRequestParams, ReadResourceRequestParams,
    },
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A request without a type.
#[derive(Debug)]
pub enum Unread {
    /// A call whose arguments are no object; the tool's own reading takes them or says why not.
    Call {
        name: String,
        arguments: Value,
    },
    Refused(ErrorData),
}

/// Methods that went with 2026-07-28.
const REMOVED: [&str; 2] = ["initialize", "ping"];

/// What an unread request is, of a client of 2026-07-28 or later (`is_new`) or of an older one.
/// Never `-32601` for a method that exists.
pub fn of_unread(method: &str, parameters: Option<Value>, is_new: bool) -> Unread {
    let unknown = || {
        Unread::Refused(ErrorData::new(
            ErrorCode::METHOD_NOT_FOUND,
            format!(
                "there is no method `{}`",
                crate::answer::clean::text(method, 60)
            ),
            None,
        ))
    };
    if is_new && REMOVED.contains(&method) {
        return unknown();
    }
    let refused = |error: String| {
        Unread::Refused(ErrorData::invalid_params(
            format!("the parameters of `{method}` cannot be read: {error}"),
            None,
        ))
    };
    let parameters = parameters.unwrap_or(Value::Null);
    match method {
        "tools/call" => match call(parameters) {
            Ok((name, arguments)) => Unread::Call { name, arguments },
            Err(error) => refused(error),
        },
        "initialize" => refused(fault::<InitializeRequestParams>(parameters)),
        "resources/read" => refused(fault::<ReadResourceRequestParams>(parameters)),
        "prompts/get" => refused(fault::<GetPromptRequestParams>(parameters)),
        "completion/complete" => refused(fault::<CompleteRequestParams>(parameters)),
        "tools/list" | "prompts/list" | "resources/list" | "resources/templates/list" => {
            refused(fault::<PaginatedRequestParams>(parameters))
        }
        "ping" | "server/discover" => refused("they are of another form".into()),
        _ => unknown(),
    }
}

/// Name and arguments of a call that is nearly right.
fn call(parameters: Value) -> Result<(String, Value), String> {
    let Value::Object(mut parameters) = parameters else {
        return Err("`params` is no object; send {\"name\": …, \"arguments\": {…}}".into());
    };
    let name = match parameters.remove("name") {
        Some(Value::String(name)) => name,
        None | Some(Value::Null) => return Err("`name` is missing: the name of a tool".into()),
        Some(_) => return Err("`name` is no text: give the name of a tool".into()),
    };
    let arguments = parameters.remove("arguments").unwrap_or(Value::Null);
    match arguments {
        Value::Null | Value::Object(_) | Value::String(_) => Ok((name, arguments)),
        _ => Err("`arguments` is no object; send the argument names as keys".into()),
    }
}

fn fault<T: DeserializeOwned>(parameters: Value) -> String {
    match serde_json::from_value::<T>(parameters) {
        Err(error) => crate::answer::clean::text(&error.to_string(), 200),
        Ok(_) => "they are of another form".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(method: &str, parameters: Option<Value>) -> (i32, String) {
        match of_unread(method, parameters, false) {
            Unread::Refused(error) => (error.code.0, error.message.into_owned()),
            Unread::Call { name, .. } => panic!("read as a call of {name}"),
        }
    }

    #[test]
    fn a_malformed_call_names_what_is_wrong_as_invalid_params() {
        for (parameters, named) in [
            (None, "`params`"),
            (Some(json!([1])), "`params`"),
            (Some(json!({"arguments": {}})), "`name` is missing"),
            (Some(json!({"name": 5})), "`name` is no text"),
            (Some(json!({"name": "x", "arguments": [1]})), "`arguments`"),
        ] {
            let (code, message) = refusal("tools/call", parameters);
            assert_eq!(code, -32602, "{message}");
            assert!(message.contains(named), "{message}");
        }
    }

    #[test]
    fn arguments_written_as_text_reach_the_tool() {
        let parameters = json!({"name": "get_entity", "arguments": "{\"entities\": \"x\"}"});
        assert!(matches!(
            of_unread("tools/call", Some(parameters), true),
            Unread::Call { name, arguments: Value::String(_) } if name == "get_entity"
        ));
    }

    #[test]
    fn only_an_unknown_method_is_method_not_found() {
        assert_eq!(refusal("resources/read", Some(json!({}))).0, -32602);
        assert_eq!(refusal("no/such", None).0, -32601);
        assert_eq!(refusal("initialize", None).0, -32602);
    }

    #[test]
    fn a_method_that_went_with_a_version_is_unknown_in_it() {
        for method in REMOVED {
            let Unread::Refused(error) = of_unread(method, Some(json!({})), true) else {
                panic!("{method} is no call");
            };
            assert_eq!(error.code, ErrorCode::METHOD_NOT_FOUND);
        }
    }
}
