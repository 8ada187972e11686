//! Surprises of recorded servers that no other test meets, and the table that names a test for each.

mod entities;
mod lineage;
mod quality;
mod search;
mod table;
mod versions;
mod writes;

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::support::{
    replay::{Answer, Replay, Version},
    wire::Seen,
};

const BOTH: [Version; 2] = [Version::V1_12_6, Version::V1_2_0];
const BILLS: &str = "openpolicy_pg.openpolicy.core.bills";

/// The recorded answer of this name, head and all.
fn recorded(version: Version, name: &str) -> Answer {
    let recording = version.recording(name);
    let mut answer = Answer::empty(recording.status);
    for (name, value) in &recording.response_headers {
        answer = answer.with_header(name, value);
    }
    match &recording.response {
        Value::Null => answer,
        Value::String(text) => answer.with_body(text.as_str()),
        body => answer.with_body(body.to_string()),
    }
}

/// Everything but reads.
fn writes(server: &Replay) -> Vec<Seen> {
    let mut requests = server.requests();
    requests.retain(|seen| seen.method != "GET");
    requests
}

/// Picks reads of this path, but the first `count` of them.
fn after_the_first(count: usize, path: String) -> impl Fn(&Seen) -> bool + Send + 'static {
    let reads = AtomicUsize::new(0);
    move |seen| {
        seen.method == "GET" && seen.path == path && reads.fetch_add(1, Ordering::SeqCst) >= count
    }
}
