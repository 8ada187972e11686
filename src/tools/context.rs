//! What a call has at hand: the catalog as this caller sees it, the platform, the deadline, the time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use secrecy::SecretString;

use super::{
    ErrorCode, ToolError,
    asking::{Asked, Asks, Reply},
};
use crate::{
    catalog::{Catalog, CatalogError, Catalogs, Snapshot},
    health::Watch,
};

/// Who calls.
#[derive(Clone, Default)]
pub struct Caller {
    /// The OpenMetadata token that came with this call (HTTP header `X-OpenMetadata-Token`).
    pub openmetadata_token: Option<SecretString>,
    /// Who sits at the command line. No client of the protocol is one, whatever it sends.
    pub person: Option<Person>,
    /// Where the person at the client can be asked something.
    pub asks: Option<Asks>,
}

/// A person at the command line.
#[derive(Debug, Clone)]
pub struct Person {
    /// As the journal names them.
    pub name: String,
    /// They gave the factor that production asks for.
    pub has_proven: bool,
}

/// What a server has for its calls, and who makes this one.
#[derive(Clone)]
pub struct Surroundings {
    pub catalogs: Arc<Catalogs>,
    /// None: no platform is configured. An error: its file cannot be taken.
    pub platform: Option<Result<Arc<Watch>, ToolError>>,
    pub caller: Caller,
}

/// What one call has at hand.
pub struct Context {
    catalogs: Arc<Catalogs>,
    /// None: no platform is configured.
    platform: Option<Result<Arc<Watch>, ToolError>>,
    caller: Caller,
    /// The catalog that this run of the call asks, where that was chosen.
    chosen: Option<Result<Catalog, CatalogError>>,
    spare: Option<Arc<Snapshot>>,
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
            platform: None,
            caller,
            chosen: None,
            spare: None,
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

    /// The same call on a server with a platform, or with one that could not be opened.
    pub fn with_platform(mut self, platform: Option<Result<Arc<Watch>, ToolError>>) -> Self {
        self.platform = platform;
        self
    }

    /// The platform of this server.
    pub fn platform(&self) -> Result<&Arc<Watch>, ToolError> {
        match &self.platform {
            Some(Ok(watch)) => Ok(watch),
            Some(Err(error)) => Err(error.clone()),
            None => Err(ToolError::new(
                ErrorCode::Unavailable,
                "no platform is configured on this server",
            )
            .then(
                "start the server with --platform FILE (or OPENPOLICY_PLATFORM); \
                 `openpolicy-mcp init --platform` drafts the file",
            )),
        }
    }

    /// Who asks, as the journal names them.
    pub fn by(&self) -> &str {
        let person = self.caller.person.as_ref();
        person.map_or("an MCP client", |person| &person.name)
    }

    /// Whether what a person has to decide in production was decided by one.
    pub fn has_proven(&self) -> bool {
        let person = self.caller.person.as_ref();
        person.is_some_and(|person| person.has_proven)
    }

    /// Whether the person at the client can be asked something.
    pub fn can_ask(&self) -> bool {
        self.caller.asks.is_some()
    }

    /// Asks the person at the client.
    pub async fn ask(&self, question: Asked) -> Reply {
        match &self.caller.asks {
            Some(asks) => asks.ask(question).await,
            None => Reply::None("this client cannot put a question to a person".into()),
        }
    }

    /// Whether this server has a platform, readable or not.
    pub fn has_platform(&self) -> bool {
        self.platform.is_some()
    }

    /// The same call asking this catalog.
    pub fn asking(mut self, catalog: Result<Catalog, CatalogError>) -> Self {
        self.chosen = Some(catalog);
        self
    }

    /// The same call with a copy to turn to where the catalog that it asks is away.
    pub fn with_spare(mut self, spare: Option<Arc<Snapshot>>) -> Self {
        self.spare = spare;
        self
    }

    /// The copy of the catalog, where there is one that this caller may see: it knows what changed
    /// between copies. The catalog itself may be live.
    pub fn copy(&self) -> Option<&Snapshot> {
        self.spare.as_deref()
    }

    /// The copy to turn to where the catalog is away: for tools that are about something else, and
    /// ask the catalog besides.
    pub fn spare(&self) -> Option<Catalog> {
        self.spare.clone().map(Catalog::Snapshot)
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
