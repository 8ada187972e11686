//! The real binary as a client meets it: lines over stdio, raw HTTP, raw server-sent events.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::waiting;

/// Longer than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Versions that begin with a handshake.
pub const VERSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// A table of the demo.
pub const BILLS: &str = "openpolicy_pg.openpolicy.core.bills";

/// A call that any catalog with the demo data answers.
pub fn look(id: i64) -> Value {
    request(
        id,
        "tools/call",
        json!({"name": "get_entity", "arguments": {"entities": [BILLS]}}),
    )
}

/// A result in both forms about the same thing.
pub fn assert_answered(answer: &Value) {
    let result = &answer["result"];
    assert_eq!(result["isError"], false, "{answer}");
    assert!(
        result["structuredContent"]["entities"].is_array(),
        "{answer}"
    );
    let text = result["content"][0]["text"].as_str().expect("a text");
    assert!(text.contains("bills"), "{text}");
}

pub fn error_of(answer: &Value) -> &Value {
    let result = &answer["result"];
    assert_eq!(result["isError"], true, "{answer}");
    let structured = &result["structuredContent"];
    let text = result["content"][0]["text"].as_str().expect("a text");
    assert!(text.contains(structured["message"].as_str().expect("a message")));
    structured
}

/// The binary with nothing of our own environment.
pub fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    program(&super::bin().display().to_string(), arguments, environment)
}

/// Any program, in the same way.
fn program(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(name);
    command
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The digest of a platform file, as `trust --show` tells it.
#[track_caller]
pub fn digest(file: &str, environment: &[(&str, &str)]) -> String {
    let ended = command(&["trust", file, "--show"], environment).output();
    let ended = ended.expect("the binary");
    let shown = String::from_utf8_lossy(&ended.stdout);
    let digest = shown.lines().find_map(|line| line.strip_prefix("digest: "));
    digest
        .unwrap_or_else(|| panic!("a digest: {ended:?}"))
        .to_owned()
}

/// Trusts a platform file as it is now.
#[track_caller]
pub fn trust(file: &str, environment: &[(&str, &str)]) {
    let digest = digest(file, environment);
    let ended = command(&["trust", file, "--digest", &digest], environment).output();
    let ended = ended.expect("the binary");
    assert!(ended.status.success(), "{ended:?}");
}

/// Lines of a stream as they come, read by a thread.
fn lines(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (line, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for read in BufReader::new(stream).lines().map_while(Result::ok) {
            if line.send(read).is_err() {
                return;
            }
        }
    });
    lines
}

/// A running server. Dropping it ends the process.
pub struct Server {
    process: Child,
    stdin: Option<ChildStdin>,
    stdout: mpsc::Receiver<String>,
    stderr: mpsc::Receiver<String>,
    /// Everything that was read of stderr.
    pub log: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::of(command(arguments, environment))
    }

    /// A program that becomes the binary.
    pub fn start_program(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::of(program(name, arguments, environment))
    }

    fn of(mut command: Command) -> Self {
        let mut process = command.spawn().expect("the binary");
        Self {
            stdin: process.stdin.take(),
            stdout: lines(process.stdout.take().expect("stdout")),
            stderr: lines(process.stderr.take().expect("stderr")),
            process,
            log: String::new(),
        }
    }

    /// The demo over stdio, after the handshake.
    pub fn demo() -> Self {
        let mut server = Self::start(&["demo"], &[]);
        server.handshake("2025-06-18");
        server
    }

    /// The demo over HTTP, and where it listens.
    pub fn http(arguments: &[&str], environment: &[(&str, &str)]) -> (Self, SocketAddr) {
        let all = [&["demo", "--http", "127.0.0.1:0"], arguments].concat();
        let mut server = Self::start(&all, environment);
        let address = server.listens();
        (server, address)
    }

    /// The address that the log names.
    pub fn listens(&mut self) -> SocketAddr {
        loop {
            let line = self.stderr.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                panic!("the server says where it listens; it said:\n{}", self.log)
            });
            self.log += &line;
            self.log.push('\n');
            let address = line
                .split("http://")
                .nth(1)
                .and_then(|rest| rest.split('/').next()?.parse().ok());
            if let Some(address) = address {
                return address;
            }
        }
    }

    /// Reads the log until a line says this.
    pub fn logs_until(&mut self, said: &str) {
        while !self.log.contains(said) {
            let line = self
                .stderr
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("the log says {said:?}; it said:\n{}", self.log));
            self.log += &line;
            self.log.push('\n');
        }
    }

    pub fn handshake(&mut self, version: &str) -> Value {
        self.send(&initialize(version));
        let answer = self.receive();
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        answer
    }

    pub fn send(&mut self, message: &Value) {
        self.send_line(&message.to_string());
    }

    pub fn send_line(&mut self, line: &str) {
        self.send_bytes(line.as_bytes());
    }

    /// A line that need not be text.
    pub fn send_bytes(&mut self, line: &[u8]) {
        let stdin = self.stdin.as_mut().expect("an open stdin");
        stdin
            .write_all(&[line, b"\n"].concat())
            .expect("a server that reads");
        stdin.flush().expect("a server that reads");
    }

    pub fn receive(&mut self) -> Value {
        let line = self.stdout.recv_timeout(PATIENCE).expect("an answer");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("not the protocol: {line}"))
    }

    pub fn ask(&mut self, id: i64, method: &str, parameters: Value) -> Value {
        self.send(&request(id, method, parameters));
        let answer = self.receive();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    pub fn call(&mut self, id: i64, tool: &str, arguments: Value) -> Value {
        let parameters = json!({"name": tool, "arguments": arguments});
        self.ask(id, "tools/call", parameters)
    }

    /// The structured answer of a tool, right or wrong.
    pub fn told(&mut self, tool: &str, arguments: Value) -> Value {
        self.call(7, tool, arguments)["result"]["structuredContent"].take()
    }

    /// Asks a tool until it answers as wanted.
    pub fn until(
        &mut self,
        tool: &str,
        arguments: &Value,
        longest: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        waiting::until(tool, longest, || self.told(tool, arguments.clone()), wanted)
    }

    /// The names of the tools that it lists.
    pub fn tools(&mut self) -> Vec<String> {
        let answer = self.ask(1, "tools/list", json!({}));
        let tools = answer["result"]["tools"].as_array().expect("tools").iter();
        tools
            .map(|tool| tool["name"].as_str().expect("a name").to_owned())
            .collect()
    }

    pub fn process(&self) -> u32 {
        self.process.id()
    }

    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.process.id().to_string()])
            .status();
        assert!(status.expect("kill").success());
    }

    /// How it ended, how long that took, and what was left on stdout. Reads all of stderr.
    pub fn ended(&mut self) -> (ExitStatus, Duration, Vec<String>) {
        let begun = Instant::now();
        // Both streams end when the process does.
        let mut rest = Vec::new();
        loop {
            match self.stdout.recv_timeout(PATIENCE) {
                Ok(line) => rest.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("the server does not end"),
            }
        }
        let status = self.process.wait().expect("an end");
        let elapsed = begun.elapsed();
        while let Ok(line) = self.stderr.recv_timeout(PATIENCE) {
            self.log += &line;
            self.log.push('\n');
        }
        (status, elapsed, rest)
    }
}

pub fn initialize(version: &str) -> Value {
    request(
        0,
        "initialize",
        json!({
            "protocolVersion": version,
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"}
        }),
    )
}

pub fn request(id: i64, method: &str, parameters: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": parameters})
}

/// One HTTP answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }
}

/// Sends a request as it stands, on a connection of its own. `Host` is added unless given.
pub fn http(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let mut stream = open(address, method, path, headers, Some(body));
    let mut read = Vec::new();
    // A server that refuses a body may reset the connection after its answer.
    let _ = stream.read_to_end(&mut read);
    let read = String::from_utf8(read).expect("UTF-8");
    let (head, body) = read.split_once("\r\n\r\n").unwrap_or((&read, ""));
    Reply {
        status: head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("no answer: {read:?}")),
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

/// A connection on which a request was sent.
pub fn open(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a server");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    let has = |name: &str| {
        headers
            .iter()
            .any(|(given, _)| given.eq_ignore_ascii_case(name))
    };
    if !has("host") {
        text += &format!("Host: {address}\r\n");
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if let Some(body) = body {
        text += "Connection: close\r\n";
        if !has("content-length") && (method == "POST" || !body.is_empty()) {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
    }
    text += "\r\n";
    text += body.unwrap_or_default();
    // The answer may come, and the connection end, before all of it is read.
    let _ = stream.write_all(text.as_bytes());
    stream
}

/// A POST to `/mcp` as clients send it.
pub fn post(address: SocketAddr, headers: &[(&str, &str)], message: &Value) -> Reply {
    let mut all = vec![
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
    ];
    all.extend_from_slice(headers);
    http(address, "POST", "/mcp", &all, &message.to_string())
}

/// A stream of events, and where its messages go.
pub struct Events {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
    pub endpoint: String,
}

impl Events {
    pub fn open(address: SocketAddr, headers: &[(&str, &str)]) -> Self {
        let stream = BufReader::new(open(address, "GET", "/sse", headers, None));
        let mut events = Self {
            address,
            stream,
            endpoint: String::new(),
        };
        let (kind, endpoint) = events.next();
        assert_eq!(kind, "endpoint");
        events.endpoint = endpoint;
        events
    }

    /// The next event: its kind and its data. Everything else (head, chunk sizes, comments) is
    /// passed over.
    pub fn next(&mut self) -> (String, String) {
        let mut kind = String::new();
        loop {
            let mut line = String::new();
            let read = self.stream.read_line(&mut line).expect("an event");
            assert!(read > 0, "the stream ended");
            if let Some(name) = line.strip_prefix("event: ") {
                kind = name.trim().to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (kind, data.trim().to_owned());
            }
        }
    }

    pub fn post(&self, headers: &[(&str, &str)], message: &Value) -> Reply {
        let mut all = vec![("Content-Type", "application/json")];
        all.extend_from_slice(headers);
        http(
            self.address,
            "POST",
            &self.endpoint,
            &all,
            &message.to_string(),
        )
    }

    pub fn ask(&mut self, headers: &[(&str, &str)], message: &Value) -> Value {
        assert_eq!(self.post(headers, message).status, 202);
        let (kind, data) = self.next();
        assert_eq!(kind, "message");
        serde_json::from_str(&data).expect("a message")
    }
}
