//! The parts of the tests' support that the harness uses.

#![expect(
    dead_code,
    reason = "each part is whole; a target uses some of it"
)]

#[path = "../../tests/it/support/absent.rs"]
pub mod absent;
#[path = "../../tests/it/support/calls.rs"]
pub mod calls;
#[path = "../../tests/it/support/collections.rs"]
pub mod collections;
#[path = "../../tests/it/support/connection.rs"]
pub mod connection;
#[path = "../../tests/it/support/documents.rs"]
pub mod documents;
#[path = "../../tests/it/support/entities.rs"]
pub mod entities;
#[path = "../../tests/it/support/evaluator.rs"]
pub mod evaluator;
#[path = "../../tests/it/support/filters.rs"]
pub mod filters;
#[path = "../../tests/it/support/legacy_lineage.rs"]
pub mod legacy_lineage;
#[path = "../../tests/it/support/lists.rs"]
pub mod lists;
#[path = "../../tests/it/support/matching.rs"]
pub mod matching;
#[path = "../../tests/it/support/recordings.rs"]
pub mod recordings;
#[path = "../../tests/it/support/replay.rs"]
pub mod replay;
#[path = "../../tests/it/support/server.rs"]
pub mod server;
#[path = "../../tests/it/support/waiting.rs"]
pub mod waiting;
#[path = "../../tests/it/support/wire.rs"]
pub mod wire;
#[path = "../../tests/it/support/words.rs"]
pub mod words;

/// The targets serve in process.
pub fn bin() -> std::path::PathBuf {
    unreachable!("no target starts the binary")
}
