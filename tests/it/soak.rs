//! Many mixed calls over HTTP, SSE and stdio, with errors, cancellations and hang-ups: memory stays
//! flat, no descriptor and no call is left.
//!
//! `SOAK_CALLS` says how many; OPENPOLICY_MCP names another binary than the one built here.

mod load;

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use crate::support::{
    memory::Held,
    replay::{Replay, Version},
    server::{Server, http},
    waiting::until,
};

/// In the plain test; `./run test --all` makes 100,000.
const CALLS: i64 = 5_000;

/// The work is done in parts; memory after the third is what it is held against at the end.
const PARTS: usize = 10;
const WARM: usize = 2;

/// What memory may grow by after the warm-up, in KiB: the allocator keeps an arena for each thread
/// and gives freed pages back late. In 60,000 calls a leak of 120 bytes a call would be as much.
const VARIES: usize = 8 * 1024;

/// Answers of a live catalog are kept for 30 s, up to 8 MiB of them as they came; read as JSON they
/// take a few times that, and the warm-up need not have filled it.
const CACHED: usize = 24 * 1024;

/// Descriptors that are opened when they are first needed and stay: the source of random numbers.
const OPENED_ONCE: usize = 1;

/// Longer than the last call and every connection need to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Calls that are still to be made, shared by whoever makes them.
pub struct Left(AtomicI64);

impl Left {
    pub fn takes(&self) -> bool {
        self.0.fetch_sub(1, Ordering::Relaxed) > 0
    }
}

fn calls() -> i64 {
    let calls = std::env::var("SOAK_CALLS").ok();
    calls.map_or(CALLS, |calls| calls.parse().expect("a number"))
}

#[test]
fn a_server_over_http_keeps_nothing_of_calls_that_ended() {
    let (mut server, address) = Server::http(&["--toolsets", "all"], &[]);
    soak(
        "http",
        &server,
        calls() * 13 / 20,
        VARIES,
        0,
        |part, left| {
            std::thread::scope(|scope| {
                for client in 0..4 {
                    scope.spawn(move || load::over_http(address, part * 16 + client, left));
                }
            });
        },
    );
    let metrics = http(address, "GET", "/metrics", &[], "");
    let in_flight = metrics
        .body
        .lines()
        .find(|line| line.starts_with("openpolicy_tool_calls_in_flight"));
    assert_eq!(in_flight, Some("openpolicy_tool_calls_in_flight 0"));
    server.signal("-TERM");
    assert_ends(&mut server);
}

#[test]
fn a_server_before_a_live_catalog_keeps_nothing_of_calls_that_ended() {
    let replay = Replay::start_blocking(Version::V1_12_6);
    replay.allow_unmatched();
    let url = replay.url();
    let environment = [
        ("OPENMETADATA_URL", url.as_str()),
        ("OPENMETADATA_TOKEN", "own-token"),
        // No snapshot of another run.
        ("OPENPOLICY_STATE", "/nonexistent"),
    ];
    let arguments = ["serve", "--http", "127.0.0.1:0", "--toolsets", "all"];
    let mut server = Server::start(&arguments, &environment);
    let address = server.listens();
    // Connections to the catalog are kept for the next request.
    soak(
        "live",
        &server,
        calls() / 20,
        VARIES + CACHED,
        32,
        |part, left| {
            std::thread::scope(|scope| {
                for client in 0..2 {
                    let replay = &replay;
                    scope.spawn(move || load::live(replay, address, part * 16 + client, left));
                }
            });
            replay.heal();
            replay.forget_requests();
        },
    );
    server.signal("-TERM");
    assert_ends(&mut server);
}

#[test]
fn a_server_over_stdio_keeps_nothing_of_calls_that_ended() {
    let server = std::cell::RefCell::new(Server::start(&["demo", "--toolsets", "all"], &[]));
    server.borrow_mut().handshake("2025-06-18");
    let process = server.borrow().process();
    soak_process(
        "stdio",
        process,
        calls() * 3 / 10,
        VARIES,
        0,
        |part, left| {
            load::over_stdio(&mut server.borrow_mut(), part, left);
        },
    );
    server.borrow_mut().close_stdin();
    assert_ends(&mut server.borrow_mut());
}

fn soak(
    name: &str,
    server: &Server,
    calls: i64,
    varies: usize,
    kept: usize,
    work: impl Fn(u64, &Left),
) {
    soak_process(name, server.process(), calls, varies, kept, work);
}

/// Does the work in parts and looks at the process after each.
fn soak_process(
    name: &str,
    process: u32,
    calls: i64,
    varies: usize,
    kept: usize,
    work: impl Fn(u64, &Left),
) {
    let idle = Held::by(process);
    eprintln!("{name}: before the first call {idle:?}");
    let mut looks = Vec::new();
    for part in 0..PARTS {
        work(part as u64, &Left(AtomicI64::new(calls / PARTS as i64)));
        // What clients left behind is noticed and closed in a moment.
        let most = idle.descriptors + OPENED_ONCE + kept;
        let held = until(
            &format!("{name}: {most} descriptors at most"),
            PATIENCE,
            || Held::by(process),
            |held| held.descriptors <= most,
        );
        eprintln!(
            "{name}: after {} calls {held:?}",
            calls / PARTS as i64 * (part as i64 + 1)
        );
        looks.push(held);
    }
    let (warm, end) = (looks[WARM], looks[PARTS - 1]);
    assert!(
        end.resident <= warm.resident + varies,
        "{name}: memory grew from {} to {} KiB",
        warm.resident,
        end.resident
    );
}

fn assert_ends(server: &mut Server) {
    let (status, elapsed, _) = server.ended();
    assert!(status.success(), "{status}");
    assert!(
        elapsed < Duration::from_secs(10),
        "it took {elapsed:?} to end"
    );
}
