//! What a call has at hand: the catalog as this caller sees it, the deadline, the time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use secrecy::SecretString;

use super::ToolError;
use crate::catalog::{Catalog, CatalogError, Catalogs};

/// Who calls.
#[derive(Clone, Default)]
pub struct Caller {
    /// The OpenMetadata token that came with this call (HTTP header `X-OpenMetadata-Token`).
    pub openmetadata_token: Option<SecretString>,
}

/// One call's surroundings.
pub struct Context {
    catalogs: Arc<Catalogs>,
    caller: Caller,
    /// The catalog that this run of the call asks, where that was chosen.
    chosen: Option<Result<Catalog, CatalogError>>,
    deadline: Instant,
    longest: Duration,
    /// The time of the call; tools never read the clock elsewhere. A snapshot's own time, where a
    /// snapshot answers, is `catalog().as_of()`.
    pub now: jiff::Timestamp,
}

impl Context {
    /// The longest that a call takes: clients cut at 60 s.
    pub const LONGEST_CALL: Duration = Duration::from_secs(50);

    pub fn new(catalogs: Arc<Catalogs>, caller: Caller) -> Self {
        Self {
            catalogs,
            caller,
            chosen: None,
            deadline: Instant::now() + Self::LONGEST_CALL,
            longest: Self::LONGEST_CALL,
            now: jiff::Timestamp::now(),
        }
    }

    /// The same call with another bound on its length, counted from now.
    pub fn ending_in(mut self, longest: Duration) -> Self {
        self.deadline = Instant::now() + longest;
        self.longest = longest;
        self
    }

    /// The same call asking this catalog.
    pub fn asking(mut self, catalog: Result<Catalog, CatalogError>) -> Self {
        self.chosen = Some(catalog);
        self
    }

    /// The catalog as this caller sees it.
    pub fn catalog(&self) -> Result<Catalog, ToolError> {
        if let Some(chosen) = &self.chosen {
            return Ok(chosen.clone()?);
        }
        Ok(self.catalogs.of(self.caller.openmetadata_token.as_ref())?)
    }

    /// When a partial answer has to be ready: a little before the call is ended from outside.
    pub fn deadline(&self) -> Instant {
        self.deadline - (self.longest / 16).min(Duration::from_secs(3))
    }

    /// Time left before `deadline`.
    pub fn time_left(&self) -> Duration {
        self.deadline().saturating_duration_since(Instant::now())
    }

    pub fn is_late(&self) -> bool {
        self.time_left().is_zero()
    }
}
