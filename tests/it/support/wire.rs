//! A small HTTP/1.1 server that can also misbehave: late answers, cut bodies, dropped connections.
//!
//! A well-behaved server library refuses to send less than it announced, which is what clients
//! must be tested against. Never used for anything but answers to the client under test.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::recordings::{decoded, parameter};

/// What a client sent.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// Percent-decoded.
    pub path: String,
    /// As it was sent, with the query.
    pub target: String,
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        parameter(&self.query, name)
    }

    /// All values of a repeated parameter.
    pub fn parameters(&self, name: &str) -> Vec<&str> {
        let same = self.query.iter().filter(|(key, _)| key == name);
        same.map(|(_, value)| value.as_str()).collect()
    }

    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// The body as JSON, as text where it is none, null where it is empty.
    pub fn body_value(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| String::from_utf8_lossy(&self.body).into_owned().into())
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let query: Vec<String> = self
            .query
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        write!(formatter, "{} {}", self.method, self.path)?;
        if !query.is_empty() {
            write!(formatter, "?{}", query.join("&"))?;
        }
        if !self.body.is_empty() {
            write!(formatter, " with {}", String::from_utf8_lossy(&self.body))?;
        }
        Ok(())
    }
}

/// What the server does with one request.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    manner: Manner,
}

/// How an answer travels.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Whole,
    Late(Duration),
    /// The announced length stays; only so many bytes are sent.
    Cut(usize),
    Dropped,
    Held,
}

impl Answer {
    pub fn empty(status: u16) -> Answer {
        Answer {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            manner: Manner::Whole,
        }
    }

    pub fn json(status: u16, body: &Value) -> Answer {
        Answer::empty(status)
            .with_header("content-type", "application/json")
            .with_body(serde_json::to_vec(body).expect("JSON is writable"))
    }

    /// A page where data was expected: what a proxy or a wrong address answers.
    pub fn html(status: u16) -> Answer {
        Answer::empty(status)
            .with_header("content-type", "text/html;charset=utf-8")
            .with_body("<!DOCTYPE html><html><body>Sign in</body></html>")
    }

    /// A JSON document of at least so many bytes.
    pub fn huge(bytes: usize) -> Answer {
        Answer::json(200, &serde_json::json!({ "data": "x".repeat(bytes) }))
    }

    /// The connection closes without a byte of answer.
    pub fn dropped() -> Answer {
        Answer::empty(200).in_manner(Manner::Dropped)
    }

    /// No answer at all for as long as the client waits.
    pub fn held() -> Answer {
        Answer::empty(200).in_manner(Manner::Held)
    }

    pub fn after(self, delay: Duration) -> Answer {
        self.in_manner(Manner::Late(delay))
    }

    /// Announces the whole body, sends its first bytes and closes.
    pub fn cut_after(self, bytes: usize) -> Answer {
        self.in_manner(Manner::Cut(bytes))
    }

    pub fn with_header(mut self, name: &str, value: &str) -> Answer {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Answer {
        self.body = body.into();
        self
    }

    fn in_manner(mut self, manner: Manner) -> Answer {
        self.manner = manner;
        self
    }
}

/// Answers every request with `respond`, until the task is dropped.
pub async fn serve(listener: TcpListener, respond: Arc<dyn Fn(Seen) -> Answer + Send + Sync>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        connections.spawn(converse(stream, respond.clone()));
    }
}

async fn converse(mut stream: TcpStream, respond: Arc<dyn Fn(Seen) -> Answer + Send + Sync>) {
    let mut buffer = Vec::new();
    while let Some(seen) = read_request(&mut stream, &mut buffer).await {
        let is_head = seen.method == "HEAD";
        let answer = respond(seen);
        let sent = match answer.manner {
            Manner::Dropped => return,
            Manner::Held => {
                // Ends when the client gives up.
                while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
                return;
            }
            Manner::Late(delay) => {
                tokio::time::sleep(delay).await;
                usize::MAX
            }
            Manner::Cut(bytes) => bytes,
            Manner::Whole => usize::MAX,
        };
        let sent = if is_head { 0 } else { sent };
        let body = &answer.body[..sent.min(answer.body.len())];
        // One write: a head sent alone would wait 40 ms for its acknowledgement.
        let bytes = [head_of(&answer).as_bytes(), body].concat();
        if stream.write_all(&bytes).await.is_err() || matches!(answer.manner, Manner::Cut(_)) {
            return;
        }
    }
}

fn head_of(answer: &Answer) -> String {
    let mut head = format!("HTTP/1.1 {} Replayed\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    // 204 and 304 have no body, and saying so twice confuses clients.
    if answer.status != 204 && answer.status != 304 {
        head.push_str(&format!("content-length: {}\r\n", answer.body.len()));
    }
    head.push_str("\r\n");
    head
}

/// One request, or nothing when the client closed or speaks something else.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    let head_end = loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        read_more(stream, buffer).await?;
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, value)| value.parse().unwrap_or(0));
    while buffer.len() < head_end + 4 + length {
        read_more(stream, buffer).await?;
    }
    let rest = buffer.split_off(head_end + 4 + length);
    let body = buffer.split_off(head_end + 4);
    *buffer = rest;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Some(Seen {
        method,
        path: decoded(path),
        query: url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        target: target.clone(),
        headers,
        body,
    })
}

async fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let read = stream.read_buf(buffer).await.ok()?;
    (read > 0).then_some(())
}
