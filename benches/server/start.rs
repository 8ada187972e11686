//! Over stdio: from the start of the process to the answer to `tools/list`, and memory after it.

use std::{
    io::{BufRead, BufReader, Write},
    process::{ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    Running, Spread, milliseconds, minimal, ours, replay,
    support::{
        memory::Held,
        server::{initialize, request},
    },
};

const STARTS: usize = 60;

pub fn measure() {
    let replay = replay();
    let url = replay.url();
    let live = || ours(&["serve"], Some(&url));
    let (mut our_starts, mut minimal_starts) = (Vec::new(), Vec::new());
    // By turns, so that both meet the same machine.
    for _ in 0..STARTS {
        our_starts.push(milliseconds(started(live()).1));
        minimal_starts.push(milliseconds(started(minimal(&[])).1));
    }
    let (ours, minimal_one) = (Spread::of(&mut our_starts), Spread::of(&mut minimal_starts));
    println!(
        "| start to the first `tools/list` answer, stdio, {STARTS} times | {ours} ms | \
         {minimal_one} ms | {} |",
        ours.over(minimal_one)
    );
    let listed = idle(live(), &[]);
    let minimal_listed = idle(minimal(&[]), &[]);
    row(
        "memory after `tools/list`, stdio, catalog live",
        listed,
        minimal_listed,
    );
    let call = |tool: &str, arguments| {
        request(
            9,
            "tools/call",
            json!({"name": tool, "arguments": arguments}),
        )
        .to_string()
    };
    let table = "table:openpolicy_pg.openpolicy.core.bills";
    let called = idle(
        live(),
        &[
            call("search_entities", json!({"query": "bills"})),
            call("get_entity", json!({"entities": [table]})),
            call("get_lineage", json!({"entity": table})),
        ],
    );
    let minimal_called = idle(
        minimal(&[]),
        &[call("look", json!({})), call("look", json!({}))],
    );
    row("the same after three calls", called, minimal_called);
}

fn row(what: &str, ours: f64, minimal: f64) {
    println!(
        "| {what} | {ours:.1} MiB | {minimal:.1} MiB | +{:.1} MiB |",
        ours - minimal
    );
}

/// A server that has answered `tools/list`, and how long that took.
fn started(mut command: Command) -> ((Running, ChildStdin, impl BufRead), Duration) {
    let lines = [
        initialize("2025-06-18").to_string(),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string(),
        request(1, "tools/list", json!({})).to_string(),
    ];
    let begun = Instant::now();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a binary");
    let mut stdin = child.stdin.take().expect("stdin");
    writeln!(stdin, "{}", lines.join("\n")).expect("a server that reads");
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
    read_until(&mut stdout, "\"id\":1,");
    let elapsed = begun.elapsed();
    ((Running(child), stdin, stdout), elapsed)
}

/// MiB in memory a second after the last of these lines was answered.
fn idle(command: Command, lines: &[String]) -> f64 {
    let ((running, mut stdin, mut stdout), _) = started(command);
    for line in lines {
        writeln!(stdin, "{line}").expect("a server that reads");
        read_until(&mut stdout, "\"id\":9,");
    }
    std::thread::sleep(Duration::from_secs(1));
    Held::by(running.0.id()).resident as f64 / 1024.0
}

fn read_until(stdout: &mut impl BufRead, id: &str) {
    let mut line = String::new();
    while !line.contains(id) {
        line.clear();
        assert!(stdout.read_line(&mut line).expect("a line") > 0, "it ended");
    }
}
