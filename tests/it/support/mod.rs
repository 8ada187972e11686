//! What the tests share: the replay server, the binary under test, token counts.

// Each test uses a part of this, and some parts are for tests that are still to come.
#![allow(dead_code)]

pub mod absent;
pub mod calls;
pub mod collections;
pub mod connection;
pub mod documents;
pub mod entities;
pub mod evaluator;
pub mod filters;
pub mod legacy_lineage;
pub mod lists;
pub mod matching;
pub mod memory;
pub mod recordings;
pub mod replay;
pub mod runs;
pub mod scripted_platform;
pub mod scripted_runtime;
pub mod server;
pub mod waiting;
pub mod wire;
pub mod words;

use std::path::PathBuf;
use std::sync::OnceLock;

use tiktoken_rs::CoreBPE;

/// How many tokens a model reads in this text (o200k).
pub fn tokens(text: &str) -> usize {
    static ENCODING: OnceLock<CoreBPE> = OnceLock::new();
    let encoding = ENCODING.get_or_init(|| tiktoken_rs::o200k_base().expect("the o200k encoding"));
    encoding.encode_ordinary(text).len()
}

/// The built binary, or the one that OPENPOLICY_MCP names.
pub fn bin() -> PathBuf {
    match std::env::var_os("OPENPOLICY_MCP") {
        Some(named) => named.into(),
        None => env!("CARGO_BIN_EXE_openpolicy-mcp").into(),
    }
}
