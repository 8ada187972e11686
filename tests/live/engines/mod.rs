//! Real engines, each with a data folder and ports of its own, ended by the test that started it.

pub mod postgres;
pub mod prometheus;
pub mod rabbitmq;
pub mod redis;

use std::{
    ffi::OsStr,
    net::TcpListener,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use openpolicy_mcp::health::{
    Observation, Outcome,
    probe::{Surroundings, look},
};
use openpolicy_mcp::net::{Dialer, Reached, Request};
use openpolicy_mcp::platform::{Probe, ProbeKind};
use serde_json::Value;

/// Longer than any engine takes to start, on a machine with much else to do.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A port of the loopback address that nobody listens at.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// A child with everything it started. Dropping it ends them.
pub struct Engine {
    child: Child,
}

impl Engine {
    /// Starts `command`; where this process dies first, the engine goes with it (`setpriv`).
    pub fn start(command: &[impl AsRef<OsStr>], environment: &[(&str, &str)]) -> Self {
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .args(command)
            .envs(environment.iter().copied())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("setpriv (Debian package util-linux)");
        Self { child }
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal to the engine and what it started.
    pub fn signal(&self, signal: &str) {
        let group = format!("-{}", self.child.id());
        let sent = Command::new("kill")
            .args(["-s", signal, "--", &group])
            .status();
        assert!(sent.expect("kill").success(), "signal {signal}");
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.is_running() {
            // A stopped process does not die before it goes on.
            for signal in ["CONT", "KILL"] {
                let group = format!("-{}", self.child.id());
                let _ = Command::new("kill")
                    .args(["-s", signal, "--", &group])
                    .status();
            }
        }
        let _ = self.child.wait();
    }
}

/// A probe that waits as long as it has to.
pub fn probe(kind: ProbeKind) -> Probe {
    let mut probe = Probe::of(kind);
    probe.timeout = Duration::from_secs(20);
    probe
}

/// A probe that gives up soon.
pub fn impatient(kind: ProbeKind) -> Probe {
    let mut probe = Probe::of(kind);
    probe.timeout = Duration::from_millis(300);
    probe
}

/// One look with the usual roots.
pub async fn seen(kind: ProbeKind) -> Observation {
    look(&probe(kind), &Surroundings::default()).await
}

/// Looks until the outcome is wanted. The engine under test may still start.
pub async fn wait_for(
    kind: &ProbeKind,
    engine: &mut Engine,
    wanted: impl Fn(&Outcome) -> bool,
) -> Observation {
    let begun = Instant::now();
    let mut pause = tokio::time::interval(Duration::from_millis(50));
    loop {
        pause.tick().await;
        let observation = seen(kind.clone()).await;
        if wanted(&observation.outcome) {
            return observation;
        }
        assert!(engine.is_running(), "the engine ended: {observation:?}");
        assert!(begun.elapsed() < PATIENCE, "not in time: {observation:?}");
    }
}

/// Waits until nobody listens any more: what an engine started ends a moment after it.
pub async fn wait_until_refused(kind: &ProbeKind) {
    let begun = Instant::now();
    loop {
        let observation = seen(kind.clone()).await;
        if matches!(&observation.outcome, Outcome::Failed(why) if why.contains("refuses connections"))
        {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "not in time: {observation:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn fact<'a>(observation: &'a Observation, name: &str) -> &'a str {
    let fact = observation.facts.iter().find(|fact| fact.name == name);
    &fact
        .unwrap_or_else(|| panic!("no fact {name}: {observation:?}"))
        .value
}

/// Asserts the kind of an outcome and words of its reason.
#[track_caller]
pub fn assert_failed(observation: &Observation, words: &str) {
    let is_right = matches!(&observation.outcome, Outcome::Failed(why) if why.contains(words));
    assert!(is_right, "failed, `{words}`: {observation:?}");
}

#[track_caller]
pub fn assert_impaired(observation: &Observation, words: &str) {
    let is_right = matches!(&observation.outcome, Outcome::Impaired(why) if why.contains(words));
    assert!(is_right, "impaired, `{words}`: {observation:?}");
}

#[track_caller]
pub fn assert_not_looked(observation: &Observation, words: &str) {
    let is_right =
        matches!(&observation.outcome, Outcome::CouldNotLook(why) if why.contains(words));
    assert!(is_right, "could not look, `{words}`: {observation:?}");
}

#[track_caller]
pub fn assert_passed(observation: &Observation) {
    assert_eq!(observation.outcome, Outcome::Passed, "{observation:?}");
    assert!(observation.response.is_some(), "{observation:?}");
}

/// The structured answer of a tool over HTTP, as a client of the protocol gets it; none where
/// nobody answers yet.
pub async fn over_http(port: u16, tool: &str, arguments: Value) -> Option<Value> {
    let call = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                                  "params": {"name": tool, "arguments": arguments}});
    let header = http::HeaderValue::from_static;
    let request = Request {
        method: http::Method::POST,
        url: format!("http://127.0.0.1:{port}/mcp")
            .parse()
            .expect("an address"),
        headers: http::HeaderMap::from_iter([
            (http::header::CONTENT_TYPE, header("application/json")),
            (
                http::header::ACCEPT,
                header("application/json, text/event-stream"),
            ),
        ]),
        body: Some(call.to_string().into_bytes()),
    };
    let answer = Dialer::default().ask(request, &Reached::default()).await;
    let mut told: Value = serde_json::from_slice(&answer.ok()?.reply.body).expect("JSON");
    assert_eq!(told["result"]["isError"], false, "{told}");
    Some(told["result"]["structuredContent"].take())
}
