//! Whole conversations over stdio: every request is answered, once, and the end is an end.

use std::{
    io::{Read, Write},
    sync::mpsc,
    time::Duration,
};

use openpolicy_mcp::mcp::stdio;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{PATIENCE, choices::Choices, demo, messages, messages::Expected, runtime};

/// Serves these bytes: the first says how the conversation begins, the rest is what is sent, as it
/// stands or as material of messages.
pub fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let manner = choices.byte();
    let mut sent = Vec::new();
    if manner & 12 != 0 {
        sent.extend_from_slice(HANDSHAKE);
    }
    if manner & 3 == 0 {
        sent.extend_from_slice(choices.rest());
    } else {
        while !choices.is_used_up() {
            sent.extend(messages::message(&mut choices));
            sent.push(b'\n');
        }
    }
    converse(&sent);
}

const HANDSHAKE: &[u8] = br#"{"jsonrpc":"2.0","id":"first","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"fuzz","version":"0"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
"#;

/// Sends all of it and a last question, which has to be answered however it went before.
fn converse(sent: &[u8]) {
    let mut expected = Expected::default();
    for line in sent.split(|byte| *byte == b'\n') {
        expected.add(line);
    }
    let last = json!({"jsonrpc": "2.0", "id": "last", "method": "ping"}).to_string();
    expected.add(last.as_bytes());
    let (input, incoming) = mpsc::channel();
    let (outgoing, output) = mpsc::channel();
    let serving = runtime().spawn(stdio::serve_over(
        demo(),
        Incoming {
            parts: incoming,
            part: Vec::new(),
        },
        Outgoing(outgoing),
        CancellationToken::new(),
    ));
    let told = || String::from_utf8_lossy(sent).into_owned();
    let sends = input.send([sent, b"\n", last.as_bytes(), b"\n"].concat());
    sends.expect("a reader");
    let mut is_last = false;
    let take = |line: Vec<u8>, expected: &mut Expected| {
        let answer: Value = serde_json::from_slice(&line)
            .unwrap_or_else(|_| panic!("not the protocol: {}", String::from_utf8_lossy(&line)));
        if let Some(fault) = expected.take(&answer) {
            panic!("{answer} {fault}:\n{}", told());
        }
        answer["id"] == "last"
    };
    while expected.open() > 0 || !is_last {
        match output.recv_timeout(PATIENCE) {
            Ok(line) => is_last |= take(line, &mut expected),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                panic!("answers are lost: {expected:?}:\n{}", told())
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                panic!(
                    "the server hung up, {} answers open:\n{}",
                    expected.open(),
                    told()
                )
            }
        }
    }
    drop(input);
    let ended =
        runtime().block_on(async { tokio::time::timeout(Duration::from_secs(10), serving).await });
    ended
        .unwrap_or_else(|_| panic!("the server does not end:\n{}", told()))
        .unwrap_or_else(|error| panic!("{error}:\n{}", told()))
        .expect("two threads");
    while let Ok(line) = output.recv_timeout(PATIENCE) {
        take(line, &mut expected);
    }
}

/// Standard input as the server sees it; ends when the other end is dropped.
struct Incoming {
    parts: mpsc::Receiver<Vec<u8>>,
    part: Vec<u8>,
}

impl Read for Incoming {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.part.is_empty() {
            match self.parts.recv() {
                Ok(part) => self.part = part,
                Err(_) => return Ok(0),
            }
        }
        let length = into.len().min(self.part.len());
        into[..length].copy_from_slice(&self.part[..length]);
        self.part.drain(..length);
        Ok(length)
    }
}

/// Standard output: the server writes a line at a time.
struct Outgoing(mpsc::Sender<Vec<u8>>);

impl Write for Outgoing {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let gone = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        self.0.send(line.to_vec()).map_err(gone)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
