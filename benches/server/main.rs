//! The server beside a minimal one of the same library, and beside the HTTP calls that it makes.
//!
//! `benches/README.md` says how to run it. OPENPOLICY_MCP and MINIMAL name other binaries.

#[path = "../../tests/it/support/mod.rs"]
mod support;

mod overhead;
mod rate;
mod start;

use std::{
    fmt,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use support::replay::{Replay, Version};

fn main() {
    println!("| what | openpolicy-mcp | minimal rmcp server | ratio or difference |");
    println!("|---|---|---|---|");
    start::measure();
    rate::measure();
    overhead::measure();
}

/// A recorded OpenMetadata; what it cannot answer is answered with 501.
fn replay() -> Replay {
    let replay = Replay::start_blocking(Version::V1_12_6);
    replay.allow_unmatched();
    replay
}

/// The binary of this build.
fn ours(arguments: &[&str], catalog: Option<&str>) -> Command {
    let mut command = Command::new(support::bin());
    command.args(arguments).env_clear();
    if let Some(url) = catalog {
        command.envs([
            ("OPENMETADATA_URL", url),
            ("OPENMETADATA_TOKEN", "a.test.token"),
        ]);
        // No snapshot of an earlier run.
        command.env("OPENPOLICY_STATE", "/nonexistent");
    }
    command
}

fn minimal(arguments: &[&str]) -> Command {
    let built = support::bin().with_file_name("examples").join("minimal");
    let path = std::env::var_os("MINIMAL").map_or(built, PathBuf::from);
    assert!(
        path.exists(),
        "build it: cargo build --release --example minimal"
    );
    let mut command = Command::new(path);
    command.args(arguments).env_clear();
    command
}

/// A process that is ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server over HTTP; it says on stderr where it listens.
fn over_http(mut command: Command) -> (Running, SocketAddr) {
    let mut child = command.stderr(Stdio::piped()).spawn().expect("a binary");
    let mut lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
    let address = loop {
        let line = lines.next().expect("a line").expect("a text");
        let place = line
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.split('/').next());
        if let Some(address) = place.and_then(|place| place.parse().ok()) {
            break address;
        }
    };
    // Nobody may wait for a reader of the log.
    std::thread::spawn(move || lines.for_each(drop));
    (Running(child), address)
}

/// Of times by turns: the quickest tells the work, the median also the neighbours on the machine.
#[derive(Clone, Copy)]
struct Spread {
    quickest: f64,
    median: f64,
}

impl Spread {
    fn of(times: &mut [f64]) -> Self {
        let median = median(times);
        Self {
            quickest: times[0],
            median,
        }
    }

    fn over(self, other: Self) -> String {
        let (quickest, median) = (self.quickest / other.quickest, self.median / other.median);
        format!("{quickest:.2} (median {median:.2})")
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:.2} (median {:.2})",
            self.quickest, self.median
        )
    }
}

/// The middle one; sorts.
fn median<T: Copy + PartialOrd>(values: &mut [T]) -> T {
    values.sort_by(|left, right| left.partial_cmp(right).expect("comparable"));
    values[values.len() / 2]
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
