//! How fast a catalog is copied into the snapshot, and in how much memory: the real command against
//! a generated server of 100,000 tables and 300,000 edges.
//!
//! `cargo bench --bench sync -- 10000` takes another number of tables.

#[path = "../tests/it/sync/synthetic.rs"]
mod synthetic;

use std::{
    error::Error,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use synthetic::{Synthetic, World};

fn main() -> Result<(), Box<dyn Error>> {
    let tables: usize = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .next()
        .unwrap_or(100_000);
    let server = Synthetic::start(World {
        tables,
        edges_of_each: 3,
        tests: 100,
        ..World::default()
    });
    let state = tempfile::tempdir()?;
    println!("| copy | entities | edges | requests | seconds | entities/s | peak memory | file |");
    println!("|---|---|---|---|---|---|---|---|");
    row("full", &server, state.path())?;
    row("incremental, nothing changed", &server, state.path())?;
    server.change(|world| {
        world.changed.extend((0..tables).step_by(100));
        world.gone.extend((1..tables).step_by(1000));
        world.cut.extend((2..tables).step_by(500));
    });
    row("incremental, 1 % changed", &server, state.path())?;
    Ok(())
}

fn row(name: &str, server: &Synthetic, state: &Path) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_openpolicy-mcp"))
        .args(["sync", "--json", "--url", &server.url(), "--state"])
        .arg(state)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut peak = None;
    while child.try_wait()?.is_none() {
        peak = peak_memory(child.id()).or(peak);
        std::thread::sleep(Duration::from_millis(20));
    }
    let seconds = begun.elapsed().as_secs_f64();
    let output = child.wait_with_output()?;
    let said: Value = serde_json::from_slice(&output.stdout)?;
    let copied: u64 = said["counts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|count| count["copied"].as_u64())
        .sum();
    println!(
        "| {name} | {copied} | {} | {} | {seconds:.1} | {:.0} | {} | {:.0} MiB |",
        said["edges"],
        said["requests"],
        copied as f64 / seconds,
        peak.map_or("?".into(), |kib| format!("{:.0} MiB", kib as f64 / 1024.0)),
        said["bytes"].as_f64().unwrap_or(0.0) / 1024.0 / 1024.0,
    );
    Ok(())
}

/// The most memory that a process had until now, in KiB; Linux alone tells.
fn peak_memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
