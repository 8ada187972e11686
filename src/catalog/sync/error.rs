//! Why a copy did not come about.

use super::PlaceError;
use crate::{
    catalog::{CatalogError, snapshot::SnapshotError},
    store::{Holder, LockError},
};

#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error("another process copies this catalog already: {0}")]
    Held(Holder),
    #[error(
        "the state folder lies on a network file system ({0}), where the locks of SQLite do not \
         hold: name a local folder with OPENPOLICY_STATE"
    )]
    Network(String),
    #[error("the lock of the snapshot cannot be taken: {0}")]
    Lock(std::io::Error),
    /// Nothing was begun.
    #[error(
        "this OpenMetadata ({version}) does not tell lineage in its search index: the copy costs \
         one call an entity, about {calls} calls"
    )]
    NeedsApproval { version: String, calls: u64 },
    /// The search index knows too little to be believed.
    #[error(
        "the search index of OpenMetadata knows only {found} of {there} entities, so the lineage \
         would be lost: it is being rebuilt, or its last rebuild failed (Settings > Search Indexing \
         in OpenMetadata)"
    )]
    ThinIndex { found: u64, there: u64 },
    /// What was read so far is kept.
    #[error("{stage}: {error}")]
    Catalog { stage: String, error: CatalogError },
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("the work on the file ended unexpectedly")]
    Crashed,
}

impl From<LockError> for SyncError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held(holder) => Self::Held(holder),
            LockError::Io(error) => Self::Lock(error),
        }
    }
}
