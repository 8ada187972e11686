//! A deployment as a client plans it, begins it and looks at its run.

use std::{process::Command, time::Duration};

use serde_json::{Value, json};

use super::server::Server;

/// The digest of a plan.
pub fn planned(server: &mut Server, arguments: Value) -> String {
    let plan = server.told("plan_deployment", arguments);
    let digest = plan["digest"].as_str();
    digest
        .unwrap_or_else(|| panic!("a plan: {plan}"))
        .to_owned()
}

/// Begins what was planned; the number of the run.
pub fn begun(server: &mut Server, digest: &str) -> Value {
    let run = server.told("deploy_phase", json!({"digest": digest}));
    assert!(run["run"].is_number(), "{run}");
    run["run"].clone()
}

/// Looks at a run until it is as wanted.
pub fn until(
    server: &mut Server,
    run: &Value,
    longest: Duration,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    let arguments = json!({"run": run, "wait": 5, "limit": 200});
    server.until("get_deployment", &arguments, longest, wanted)
}

/// The process that drives a run, as its timeline names it.
pub fn driver(seen: &Value) -> u32 {
    let lines = seen["timeline"].as_array().expect("a timeline");
    let line = lines.iter().rev().find_map(|line| {
        let (_, pid) = line.as_str()?.rsplit_once("driven by process ")?;
        pid.parse().ok()
    });
    line.unwrap_or_else(|| panic!("a driver: {seen}"))
}

/// Sends a signal to a process that has to be there.
#[track_caller]
pub fn signal(pid: u32, signal: &str) {
    let sent = Command::new("kill")
        .args([format!("-{signal}"), pid.to_string()])
        .status();
    assert!(sent.expect("kill").success(), "{signal} to {pid}");
}
