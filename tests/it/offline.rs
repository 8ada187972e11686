//! The snapshot in the place of an OpenMetadata that is away: what is answered, to whom, as what.

mod copies;
mod identity;
mod outages;
mod requests;
mod swapped;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use openpolicy_mcp::{
    catalog::{
        snapshot::{Builder, Head},
        sync::Place,
    },
    settings::{Credential, Identity, OpenMetadataSettings},
    store::StateFolder,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::server::Server;

/// The server's own token in these tests.
const OWN: &str = "token-of-the-server";

/// When the copies of these tests were taken, unless they say otherwise.
const TAKEN: &str = "2026-11-21T01:20:14Z";

/// A port on which nothing listens. It was free a moment ago.
fn nowhere() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

/// A state folder with room for snapshots.
struct State {
    folder: TempDir,
}

impl State {
    fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// With the demo's catalog as the copy of this server, taken with `OWN`.
    fn with_copy_of(url: &str) -> Self {
        let state = Self::empty();
        state.put_copy(url, TAKEN);
        state
    }

    fn path(&self) -> &str {
        self.folder.path().to_str().expect("UTF-8")
    }

    /// Where the snapshot of this server lies for this token.
    fn place(&self, url: &str, token: &str) -> Place {
        let settings = OpenMetadataSettings {
            url: url.to_owned(),
            credential: Credential::Token(token.to_owned().into()),
            ca_file: None,
            identity: Identity::Server,
        };
        let state = StateFolder::at(self.folder.path()).expect("a state folder");
        Place::of(&state, &settings).expect("a place")
    }

    /// Puts a copy in its place as `sync` does: made aside, then renamed.
    fn put_copy(&self, url: &str, taken: &str) -> PathBuf {
        let place = self.place(url, OWN);
        let aside = place.folder().join("aside.sqlite");
        write_copy(&aside, &place, taken);
        std::fs::rename(&aside, place.snapshot()).expect("a rename");
        place.snapshot()
    }
}

/// The demo's catalog as a copy of this place.
fn write_copy(path: &Path, place: &Place, taken: &str) {
    // Left by an attempt before.
    let _ = std::fs::remove_file(path);
    let mut builder = Builder::at(path).expect("a file");
    let lines = include_str!("../../demo/catalog.jsonl").lines().skip(1);
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let kind = KINDS
            .into_iter()
            .find(|kind| kind.as_str() == line["kind"])
            .expect("a kind");
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        builder
            .add(kind, &text("key"), &text("type"), &line["body"])
            .expect("a document");
    }
    let taken: Timestamp = taken.parse().expect("a time");
    builder
        .finish_as(&Head {
            url: Some(place.url().to_owned()),
            identity: Some(place.identity().to_owned()),
            ..Head::of(taken, "1.12.6")
        })
        .expect("a copy");
}

use openpolicy_mcp::catalog::snapshot::Kind;
const KINDS: [Kind; 15] = [
    Kind::SearchDocument,
    Kind::Entity,
    Kind::Versions,
    Kind::TestCase,
    Kind::TestResults,
    Kind::Incidents,
    Kind::IngestionPipeline,
    Kind::IngestionRuns,
    Kind::PipelineRuns,
    Kind::Usage,
    Kind::Contract,
    Kind::Queries,
    Kind::Profile,
    Kind::SampleData,
    Kind::Event,
];

/// The real binary over stdio, with every tool, on this OpenMetadata and this state folder.
fn serve(url: &str, state: &State, more: &[&str]) -> Server {
    let arguments = [&["serve", "--toolsets", "all"], more].concat();
    let mut server = Server::start(
        &arguments,
        &[
            ("OPENMETADATA_URL", url),
            ("OPENMETADATA_TOKEN", OWN),
            ("OPENPOLICY_STATE", state.path()),
        ],
    );
    server.handshake("2025-06-18");
    server
}

/// What a call told, structured, after holding both forms against each other.
fn told(answer: &Value) -> Value {
    let result = &answer["result"];
    let structured = result["structuredContent"].clone();
    assert!(structured.is_object(), "{answer}");
    let text = result["content"][0]["text"].as_str().expect("a text");
    for warning in structured["warnings"].as_array().into_iter().flatten() {
        let warning = warning.as_str().expect("a text");
        assert!(text.contains(warning), "{warning:?} is not in {text}");
    }
    for field in ["source", "as_of", "message"] {
        if let Some(value) = structured[field].as_str() {
            assert!(text.contains(value), "{field} is not in {text}");
        }
    }
    structured
}

fn is_of_snapshot(told: &Value) -> bool {
    told["source"] == "snapshot"
}

/// Says that it is a snapshot, how old, and with this reason.
fn assert_of_snapshot(told: &Value, reason: &str) {
    assert!(is_of_snapshot(told), "{told}");
    let as_of = told["as_of"].as_str().expect("as_of");
    let warning = told["warnings"][0].as_str().expect("a warning");
    assert!(warning.contains(reason), "{reason:?} is not in {warning:?}");
    assert!(
        warning.contains(&as_of[..19]) && warning.contains(" old)"),
        "{warning}"
    );
}

fn bills() -> Value {
    json!({"entities": ["table:openpolicy_pg.openpolicy.core.bills"]})
}

/// Repeats until it holds. What is repeated waits by itself or is cheap.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "not in time: {what}"
        );
        std::thread::yield_now();
    }
}
