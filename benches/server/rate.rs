//! Over HTTP: calls a second on kept connections, and memory while many clients work.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    Spread, median, minimal, ours, over_http, replay,
    support::{calls, connection::Connection, memory::Held, server::request},
};

/// Of each server by turns.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const CLIENTS: usize = 50;

const LISTEN: [&str; 2] = ["--http", "127.0.0.1:0"];

pub fn measure() {
    let (_ours, our_address) = over_http(ours(&[&["demo"][..], &LISTEN].concat(), None));
    let (_minimal, minimal_address) = over_http(minimal(&LISTEN[1..]));
    let call = |tool: &str, arguments: Value| {
        vec![request(
            1,
            "tools/call",
            json!({"name": tool, "arguments": arguments}),
        )]
    };
    let fqn = "openpolicy_pg.openpolicy.core.bills";
    let missing = call("get_entity", json!({"entities": ["openpolicy_pg.nothing"]}));
    let look = call("look", json!({"query": "x"}));
    let questions = [
        (
            "`ping`",
            vec![request(1, "ping", json!({}))],
            vec![request(1, "ping", json!({}))],
        ),
        ("a call that finds nothing", missing, look.clone()),
        (
            "`get_entity`, summary",
            call(
                "get_entity",
                json!({"entities": [format!("table:{fqn}")], "sections": ["summary"]}),
            ),
            look.clone(),
        ),
        (
            "`search_entities` by exact FQN",
            call("search_entities", json!({"query": fqn, "limit": 1})),
            look,
        ),
    ];
    for (name, ours, minimal) in &questions {
        for connections in [1, 16] {
            let (mut our_rates, mut minimal_rates) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                our_rates.push(1.0 / rate(our_address, connections, ours));
                minimal_rates.push(1.0 / rate(minimal_address, connections, minimal));
            }
            // Seconds a call, so that the quickest round comes first.
            let (ours, minimal) = (Spread::of(&mut our_rates), Spread::of(&mut minimal_rates));
            println!(
                "| {name}, HTTP, {connections} connection{}, calls a second | {:.0} (median {:.0}) | \
                 {:.0} (median {:.0}) | {} |",
                if connections == 1 { "" } else { "s" },
                1.0 / ours.quickest,
                1.0 / ours.median,
                1.0 / minimal.quickest,
                1.0 / minimal.median,
                minimal.over(ours)
            );
        }
    }
    crowd("the demo", ours(&[&["demo"][..], &LISTEN].concat(), None));
    let replay = replay();
    crowd(
        "a live catalog",
        ours(&[&["serve"][..], &LISTEN].concat(), Some(&replay.url())),
    );
}

/// Calls a second of so many connections that ask these by turns.
fn rate(address: SocketAddr, connections: usize, messages: &[Value]) -> f64 {
    let count = AtomicU64::new(0);
    let ends = AtomicBool::new(false);
    let messages: Vec<Vec<u8>> = messages
        .iter()
        .map(|message| message.to_string().into())
        .collect();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..connections {
            let (count, ends, messages) = (&count, &ends, &messages);
            scope.spawn(move || {
                let mut connection = Connection::open(address).expect("a server");
                for message in messages.iter().cycle().skip(client) {
                    if ends.load(Ordering::Relaxed) {
                        return;
                    }
                    let (status, _) = connection.ask(message).expect("an answer");
                    assert_eq!(status, 200);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(ROUND);
        ends.store(true, Ordering::Relaxed);
    });
    count.into_inner() as f64 / begun.elapsed().as_secs_f64()
}

/// Memory before, while, and after many clients ask everything.
fn crowd(catalog: &str, command: std::process::Command) {
    let (server, address) = over_http(command);
    let messages: Vec<Value> = calls::reads()
        .into_iter()
        .map(|(tool, arguments)| {
            request(
                1,
                "tools/call",
                json!({"name": tool, "arguments": arguments}),
            )
        })
        .collect();
    let idle = Held::by(server.0.id());
    let ends = AtomicBool::new(false);
    let (mut most, mut threads) = (0, 0);
    let rate = std::thread::scope(|scope| {
        let (ends, process) = (&ends, server.0.id());
        let watcher = scope.spawn(move || {
            let (mut most, mut threads) = (0, 0);
            while !ends.load(Ordering::Relaxed) {
                let held = Held::by(process);
                most = most.max(held.resident);
                threads = threads.max(held.threads);
                std::thread::sleep(Duration::from_millis(50));
            }
            (most, threads)
        });
        let mut rates: Vec<f64> = (0..ROUNDS)
            .map(|_| rate(address, CLIENTS, &messages))
            .collect();
        ends.store(true, Ordering::Relaxed);
        (most, threads) = watcher.join().expect("a watcher");
        median(&mut rates)
    });
    let mebibytes = |kibibytes: usize| kibibytes as f64 / 1024.0;
    println!(
        "| memory while {CLIENTS} clients ask {catalog} everything ({rate:.0} calls/s, {threads} threads) | \
         {:.1} MiB at most, {:.1} MiB before | | |",
        mebibytes(most),
        mebibytes(idle.resident)
    );
}
