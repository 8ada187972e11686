//! What can go wrong between us and a catalog, told apart by what a caller can do about it.

use std::time::Duration;

/// A question to the catalog that was not answered. Messages never hold a credential.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CatalogError {
    /// There is no such entity (or page, or version).
    #[error("{what} was not found")]
    NotFound {
        what: String,
        did_you_mean: Vec<String>,
    },
    /// It was deleted and can be restored (a soft delete).
    #[error("{what} is deleted")]
    Deleted { what: String },
    /// The name fits more than one entity.
    #[error("{what} fits {} entities", candidates.len())]
    Ambiguous {
        what: String,
        candidates: Vec<String>,
    },
    /// OpenMetadata did not take the request for what it is.
    #[error("{message}")]
    Invalid {
        argument: Option<String>,
        message: String,
    },
    /// No credential, or one that OpenMetadata does not take. `advice` says what to do.
    #[error("{message}")]
    Unauthorized { message: String, advice: String },
    /// The credential is fine, the right is missing.
    #[error("{message}")]
    Forbidden { message: String },
    /// Changed by someone else in the meantime.
    #[error("{message}")]
    Conflict { message: String },
    /// Could not be reached, or is down.
    #[error("{message}")]
    Unavailable { message: String },
    /// No answer in time.
    #[error("{message}")]
    Timeout { message: String },
    #[error("OpenMetadata asks for fewer requests")]
    RateLimited { retry_after: Option<Duration> },
    /// An answer that is none: HTML, cut JSON, a shape that no version has, too large.
    #[error("{message}")]
    BadUpstream { message: String },
    /// This server's version (or this snapshot) does not have it.
    #[error("{message}")]
    Unsupported { message: String },
    /// A write whose answer never came.
    #[error("{message}")]
    UnknownOutcome {
        message: String,
        how_to_check: String,
    },
}

impl CatalogError {
    /// Of a search: the search engine is the trouble, not the caller, so the database may still
    /// answer. An invalid request counts too, as older indexes refuse what newer ones take.
    pub(super) fn is_search_trouble(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::BadUpstream { .. }
                | Self::Unsupported { .. }
                | Self::Timeout { .. }
                | Self::Invalid { .. }
        )
    }
}
