//! The file under a running server: replaced, damaged, half, of another format.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
};

use serde_json::json;

use super::{State, assert_of_snapshot, bills, nowhere, serve, told};
use crate::support::server::{Server, post, request};

const LATER: &str = "2026-11-22T02:00:00Z";

#[test]
fn a_new_file_is_noticed_between_calls() {
    let url = format!("http://{}", nowhere());
    let state = State::empty();
    let mut server = serve(&url, &state, &[]);
    assert_eq!(
        told(&server.call(1, "get_entity", bills()))["code"],
        "unavailable"
    );
    state.put_copy(&url, super::TAKEN);
    assert_eq!(
        told(&server.call(2, "get_entity", bills()))["as_of"],
        super::TAKEN
    );
    state.put_copy(&url, LATER);
    assert_eq!(told(&server.call(3, "get_entity", bills()))["as_of"], LATER);
}

#[test]
fn calls_under_way_are_not_disturbed_by_a_new_file() {
    let url = format!("http://{}", nowhere());
    let state = State::with_copy_of(&url);
    let mut server = Server::start(
        &["serve", "--http", "127.0.0.1:0", "--catalog", "snapshot"],
        &[
            ("OPENMETADATA_URL", &url),
            ("OPENMETADATA_TOKEN", super::OWN),
            ("OPENPOLICY_STATE", state.path()),
        ],
    );
    let address = server.listens();
    let is_over = AtomicBool::new(false);
    let seen: Vec<String> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = Vec::new();
                    while !is_over.load(Ordering::Relaxed) {
                        let lineage = json!({"entity": bills()["entities"][0], "depth": 5});
                        let call = request(
                            1,
                            "tools/call",
                            json!({"name": "get_lineage", "arguments": lineage}),
                        );
                        let told = told(&post(address, &[], &call).json());
                        assert_of_snapshot(&told, "as asked");
                        seen.push(told["as_of"].as_str().unwrap().to_owned());
                    }
                    seen
                })
            })
            .collect();
        for minute in 0..6 {
            state.put_copy(&url, &format!("2026-11-22T02:0{minute}:00Z"));
        }
        is_over.store(true, Ordering::Relaxed);
        callers
            .into_iter()
            .flat_map(|caller| caller.join().expect("a caller"))
            .collect()
    });
    let different: BTreeSet<&String> = seen.iter().collect();
    assert!(
        different.len() > 1,
        "no swap was seen in {} calls",
        seen.len()
    );
    let call = request(
        1,
        "tools/call",
        json!({"name": "get_entity", "arguments": bills()}),
    );
    let last = told(&post(address, &[], &call).json());
    assert_eq!(last["as_of"], "2026-11-22T02:05:00Z");
}

#[test]
fn a_file_that_is_no_snapshot_is_named_and_never_used() {
    let url = format!("http://{}", nowhere());
    let state = State::with_copy_of(&url);
    let path = state.place(&url, super::OWN).snapshot();
    let whole = std::fs::read(&path).expect("the file");
    let other_format = {
        let connection = rusqlite::Connection::open(&path).expect("SQLite");
        connection
            .execute("UPDATE head SET value = '1' WHERE name = 'format'", [])
            .expect("a change");
        drop(connection);
        std::fs::read(&path).expect("the file")
    };
    let mut torn = whole.clone();
    torn[100..4096].fill(0xAA);
    let files: [(&[u8], &str); 5] = [
        (&whole[..whole.len() / 2], "damaged"),
        (b"not a database, whatever it is called", "damaged"),
        (b"", "does not say when it was taken"),
        (&torn, "damaged"),
        (&other_format, "another version of this program"),
    ];
    let mut server = serve(&url, &state, &[]);
    let mut id = 0;
    for (bytes, why) in files {
        let aside = path.with_extension("aside");
        std::fs::write(&aside, bytes).expect("a file");
        std::fs::rename(&aside, &path).expect("a rename");
        id += 1;
        let told = told(&server.call(id, "get_entity", bills()));
        assert_eq!(told["code"], "unavailable", "{why}: {told}");
        let message = told["message"].as_str().unwrap();
        assert!(
            message.contains(why) && message.contains("refused"),
            "{message}"
        );
    }
    // A good one in its place is used again.
    state.put_copy(&url, LATER);
    assert_of_snapshot(&told(&server.call(9, "get_entity", bills())), "refused");
}
