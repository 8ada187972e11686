//! Copies a live OpenMetadata into a local snapshot.
//!
//! The copy is made aside and takes the place of the one before when it is whole. Every step is
//! noted in it, so that an interrupted copy is gone on with.

mod begin;
mod copy;
mod error;
mod lineage;
mod lists;
pub mod place;
mod plan;
mod scan;
mod series;
mod source;
mod trim;
mod writer;

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;

pub use copy::copy;
pub use error::SyncError;
pub use place::{Place, PlaceError};

use super::snapshot::{FoundDifferences, Head};

/// How to copy.
#[derive(Debug, Clone)]
pub struct Options {
    /// Everything anew, also what the copy before could be carried over for.
    pub full: bool,
    /// Old servers cost one call an entity for lineage; without this that is refused, with the
    /// number of calls.
    pub may_cost_a_call_an_entity: bool,
    /// Before a failed read is asked again for the first time; doubled each time.
    pub pause: Duration,
    /// Entities in one answer of a list, and three times as many in one of the search index.
    pub page: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            full: false,
            may_cost_a_call_an_entity: false,
            pause: Duration::from_secs(2),
            page: 200,
        }
    }
}

/// How far a copy is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// `search index`, `tables`, `results of tests`, …
    pub stage: String,
    pub done: u64,
    /// As the server said; none where it did not.
    pub total: Option<u64>,
}

/// What a finished copy is.
#[derive(Debug, Clone)]
pub struct Summary {
    pub head: Head,
    pub mode: Mode,
    /// Why everything was read although there is a copy; why an interrupted copy was not gone on
    /// with; or since when that copy was in the making.
    pub remarks: Vec<String>,
    pub requests: u64,
    pub took: Duration,
    pub edges: u64,
    pub differences: FoundDifferences,
    /// There was a copy to compare with, begun then.
    pub compared_with: Option<Timestamp>,
    pub path: PathBuf,
    pub bytes: u64,
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Full,
    /// Ids, versions, deletions and lineage in full, details of what changed.
    Incremental,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
        }
    }
}
