//! What the tests share: the replay server, the binary under test, token counts.

// Each test uses a part of this, and some parts are for tests that are still to come.
#![allow(dead_code)]

pub mod absent;
pub mod calls;
pub mod collections;
pub mod documents;
pub mod entities;
pub mod evaluator;
pub mod filters;
pub mod legacy_lineage;
pub mod lists;
pub mod matching;
pub mod recordings;
pub mod replay;
pub mod scripted_platform;
pub mod server;
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

/// The built binary.
pub fn bin() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_openpolicy-mcp"))
}
