//! What happened in a catalog, as one timeline.

use super::error::CatalogError;

/// Why a snapshot takes no change.
pub fn read_only() -> CatalogError {
    CatalogError::Unsupported {
        message: "this catalog is a local copy, which cannot be changed".into(),
    }
}
