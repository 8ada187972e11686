//! A message from its bytes, and the answer to what is none.

use rmcp::{
    ErrorData,
    model::{ClientJsonRpcMessage, ClientRequest, GetMeta, ProtocolVersion, RequestId},
};
use serde_json::{Map, Value};

/// What a line, or the body of a POST, is.
pub(super) enum Parsed {
    Message(Box<ClientJsonRpcMessage>),
    /// No message: the answer to it.
    Refused(Value),
    Nothing,
}

/// A message from its bytes; never fails silently.
pub(super) fn parsed(bytes: &[u8]) -> Parsed {
    // RFC 8259 §8.1: a byte order mark may be ignored.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let bytes = bytes.trim_ascii();
    if bytes.is_empty() {
        return Parsed::Nothing;
    }
    let error = match serde_json::from_slice::<ClientJsonRpcMessage>(bytes) {
        // A request whose id is none is read as a notification: nobody would answer it.
        Ok(ClientJsonRpcMessage::Notification(_)) if has_id(bytes) => {
            let what = "`id` is neither a text nor a whole number";
            return Parsed::Refused(refusal(None, ErrorData::invalid_request(what, None)));
        }
        Ok(message) => return Parsed::Message(Box::new(message)),
        Err(error) => error,
    };
    let value = match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => value,
        // The error tells a place and a rule, never a part of the message.
        Err(error) => {
            return Parsed::Refused(refusal(
                IdFinder::of(bytes),
                ErrorData::parse_error(format!("this is not valid JSON: {error}"), None),
            ));
        }
    };
    if let Value::Object(fields) = &value
        && fields.get("jsonrpc") == Some(&"2.0".into())
        && fields.get("method").is_some_and(Value::is_string)
        && !matches!(fields.get("params"), None | Some(Value::Object(_)))
        && let Some(id) = id_of(fields)
    {
        let what = "`params` is no object";
        return Parsed::Refused(refusal(Some(id), ErrorData::invalid_params(what, None)));
    }
    let (what, fields) = match &value {
        Value::Array(_) => ("batches are not supported; send messages one by one", None),
        Value::Object(fields) if !fields.contains_key("method") => {
            // Perhaps a reply to a request that this server never sent.
            ("a message has `method`", Some(fields))
        }
        Value::Object(fields) if fields.get("jsonrpc") != Some(&"2.0".into()) => {
            ("`jsonrpc` is not \"2.0\"", Some(fields))
        }
        Value::Object(fields) => ("this is no request of the protocol", Some(fields)),
        _ => ("a message is an object", None),
    };
    tracing::debug!(%error, "A message could not be read");
    let id = fields.and_then(id_of);
    Parsed::Refused(refusal(id, ErrorData::invalid_request(what, None)))
}

fn has_id(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Map<String, Value>>(bytes)
        .is_ok_and(|fields| fields.contains_key("id"))
}

/// The id of a request, where it is one that a request may have.
fn id_of(fields: &Map<String, Value>) -> Option<RequestId> {
    serde_json::from_value(fields.get("id")?.clone()).ok()
}

/// An error reply. JSON-RPC wants `id: null` where the id is not known.
pub(super) fn refusal(id: Option<RequestId>, error: ErrorData) -> Value {
    serde_json::json!({ "jsonrpc": "2.0", "id": id, "error": error })
}

/// Finds the id of a request that cannot be read as JSON (half a surrogate pair, nested without
/// end, too long): without it the refusal reaches nobody, and the client waits.
#[derive(Default)]
pub(super) struct IdFinder {
    depth: u32,
    in_string: bool,
    is_escaped: bool,
    /// The member of the outermost object that is being read, as far as it is no object or list.
    member: Vec<u8>,
    is_nested: bool,
    found: Option<RequestId>,
}

impl IdFinder {
    /// Bytes; a longer member is no id.
    const LONGEST: usize = 256;

    fn of(bytes: &[u8]) -> Option<RequestId> {
        let mut finder = Self::default();
        finder.read(bytes);
        finder.found()
    }

    /// The next part of the message.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.step(byte);
        }
    }

    pub(super) fn found(self) -> Option<RequestId> {
        self.found
    }

    fn step(&mut self, byte: u8) {
        if self.in_string {
            self.keep(byte);
            if self.is_escaped {
                self.is_escaped = false;
            } else if byte == b'\\' {
                self.is_escaped = true;
            } else if byte == b'"' {
                self.in_string = false;
            }
            return;
        }
        match byte {
            b'{' | b'[' => {
                self.depth = self.depth.saturating_add(1);
                self.is_nested = self.depth > 1;
            }
            b'}' | b']' => {
                if self.depth == 1 {
                    self.end_member();
                }
                self.depth = self.depth.saturating_sub(1);
            }
            b',' if self.depth == 1 => self.end_member(),
            _ => {
                self.in_string = byte == b'"';
                self.keep(byte);
            }
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.depth == 1 && self.member.len() < Self::LONGEST {
            self.member.push(byte);
        }
    }

    fn end_member(&mut self) {
        let value = self.member.trim_ascii().strip_prefix(b"\"id\"");
        let value = value.and_then(|rest| rest.trim_ascii().strip_prefix(b":"));
        if let Some(value) = value
            && !self.is_nested
        {
            self.found = serde_json::from_slice(value).ok();
        }
        self.member.clear();
        self.is_nested = false;
    }
}

/// Keeps the protocol library from ending a connection: until a request has begun the conversation
/// (a ping has not, nor one that was refused) it takes anything but a request as a reason to.
#[derive(Default)]
pub(super) struct Opening {
    has_begun: bool,
}

impl Opening {
    pub(super) fn may_pass(&mut self, message: &ClientJsonRpcMessage) -> bool {
        let ClientJsonRpcMessage::Request(sent) = message else {
            return self.has_begun;
        };
        self.has_begun |= begins(&sent.request);
        true
    }
}

/// Whether the protocol library begins a conversation with this request, as it decides itself.
fn begins(request: &ClientRequest) -> bool {
    match request {
        ClientRequest::InitializeRequest(_) => true,
        ClientRequest::PingRequest(_) | ClientRequest::DiscoverRequest(_) => false,
        request => {
            let meta = request.get_meta();
            let is_known = |version| ProtocolVersion::KNOWN_VERSIONS.contains(&version);
            let required = meta.missing_required_keys(&ProtocolVersion::V_2026_07_28);
            required.is_empty() && meta.protocol_version().is_some_and(is_known)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> Value {
        match parsed(line.as_bytes()) {
            Parsed::Refused(answer) => answer,
            Parsed::Message(message) => panic!("read as {message:?}"),
            Parsed::Nothing => panic!("ignored"),
        }
    }

    #[test]
    fn a_request_that_is_no_json_is_refused_by_its_own_id() {
        let call = |arguments: &str| {
            format!(r#"{{"params":{{"id":1,"a":"\"id\":2","b":{arguments}}},"id":7}}"#)
        };
        for arguments in [r#""\ud83d""#, "1e999", &"[".repeat(200), r#"{"id":3,]"#] {
            let line = if arguments.starts_with('[') {
                call(&format!("{arguments}{}", "]".repeat(200)))
            } else {
                call(arguments)
            };
            let answer = refused(&line);
            assert_eq!(answer["error"]["code"], -32700, "{answer}");
            if arguments != r#"{"id":3,]"# {
                assert_eq!(answer["id"], 7, "{line}");
            }
        }
        let front = r#"{"jsonrpc":"2.0", "id" : "seven", "params": {"a": "#;
        assert_eq!(refused(front)["id"], "seven");
    }

    #[test]
    fn what_is_no_message_is_answered_by_what_is_wrong() {
        assert_eq!(refused("{nonsense")["error"]["code"], -32700);
        assert_eq!(refused("{nonsense")["id"], Value::Null);
        assert_eq!(refused("[]")["error"]["code"], -32600);
        assert_eq!(refused("5")["error"]["code"], -32600);
        for id in ["null", "1.5", "{}", "[1]", "true"] {
            let request = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#);
            let answer = refused(&request);
            assert_eq!(answer["error"]["code"], -32600, "{request}");
            assert_eq!(answer["id"], Value::Null);
        }
        let answer = refused(r#"{"id":7,"method":"ping"}"#);
        assert_eq!(answer["id"], 7);
        assert!(
            answer["error"]["message"]
                .as_str()
                .unwrap()
                .contains("jsonrpc")
        );
    }

    #[test]
    fn nothing_but_requests_passes_until_a_conversation_has_begun() {
        let message = |text: &str| match parsed(text.as_bytes()) {
            Parsed::Message(message) => message,
            _ => panic!("no message: {text}"),
        };
        let ping = message(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
        let list = message(r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#);
        let told = message(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        let begin = message(
            r#"{"jsonrpc":"2.0","id":3,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}"#,
        );
        let mut opening = Opening::default();
        for request in [&ping, &list] {
            assert!(opening.may_pass(request));
            assert!(!opening.may_pass(&told));
        }
        assert!(opening.may_pass(&begin));
        assert!(opening.may_pass(&told));
    }
}
