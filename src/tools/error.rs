//! The one place where errors of all rooms meet and become what a caller reads.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::{
    answer::{clean, cursor::CursorError},
    catalog::CatalogError,
    observe::ObserveError,
    runtime::Problem,
    store::{Fault, HistoryError},
};

/// The codes of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    InvalidArgument,
    NotFound,
    Ambiguous,
    Unauthorized,
    Forbidden,
    Unavailable,
    Timeout,
    RateLimited,
    BadUpstream,
    Conflict,
    StalePlan,
    NeedsApproval,
    UnsupportedVersion,
    Internal,
}

impl ErrorCode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::NotFound => "not_found",
            Self::Ambiguous => "ambiguous",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate_limited",
            Self::BadUpstream => "bad_upstream",
            Self::Conflict => "conflict",
            Self::StalePlan => "stale_plan",
            Self::NeedsApproval => "needs_approval",
            Self::UnsupportedVersion => "unsupported_version",
            Self::Internal => "internal",
        }
    }
}

/// Whether the same call may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It would fail again.
    No,
    /// It may succeed.
    Yes,
    /// It may succeed after this long.
    After(Duration),
}

/// Why a call has no answer, and what the caller can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolError {
    pub code: ErrorCode,
    pub message: String,
    /// The argument at fault.
    pub argument: Option<String>,
    pub did_you_mean: Vec<String>,
    pub retry: Retry,
    pub next_step: String,
}

impl ToolError {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            argument: None,
            did_you_mean: Vec::new(),
            retry: Retry::No,
            next_step: String::new(),
        }
    }

    /// An argument that cannot be taken. `message` says what is wrong, `next_step` what is right.
    pub fn invalid(
        argument: impl Into<String>,
        message: impl Into<String>,
        next_step: impl Into<String>,
    ) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
            .about(argument)
            .then(next_step)
    }

    /// A name that this argument holds and that leads nowhere.
    pub fn of_name(argument: &str, error: CatalogError) -> Self {
        let is_unreadable = matches!(error, CatalogError::Invalid { .. });
        let error = Self::from(error).about(argument);
        if is_unreadable {
            return error.then("give an FQN, type:fqn, an id or a page address");
        }
        error
    }

    /// A change that a local copy cannot take.
    pub fn of_local_copy() -> Self {
        Self::new(
            ErrorCode::UnsupportedVersion,
            "this catalog is a snapshot (a local copy), which cannot be changed",
        )
        .about("dry_run")
        .then(
            "leave `dry_run` on to see what would change, or connect a running OpenMetadata \
             (OPENMETADATA_URL)",
        )
    }

    pub fn about(mut self, argument: impl Into<String>) -> Self {
        self.argument = Some(argument.into());
        self
    }

    pub fn then(mut self, next_step: impl Into<String>) -> Self {
        self.next_step = next_step.into();
        self
    }

    pub fn did_you_mean(mut self, near: Vec<String>) -> Self {
        self.did_you_mean = near;
        self
    }

    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// `{code, message, argument?, did_you_mean?, retry, next_step}`, cleaned.
    pub fn structured(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("code".into(), self.code.as_str().into());
        fields.insert("message".into(), self.message.clone().into());
        if let Some(argument) = &self.argument {
            fields.insert("argument".into(), argument.clone().into());
        }
        if !self.did_you_mean.is_empty() {
            fields.insert("did_you_mean".into(), self.did_you_mean.clone().into());
        }
        fields.insert(
            "retry".into(),
            match self.retry {
                Retry::No => json!(false),
                Retry::Yes => json!(true),
                Retry::After(wait) => json!(format!("after {} s", wait.as_secs().max(1))),
            },
        );
        if !self.next_step.is_empty() {
            fields.insert("next_step".into(), self.next_step.clone().into());
        }
        fields
            .into_iter()
            .map(|(name, value)| (name, shortened(value)))
            .collect()
    }

    pub fn text(&self) -> String {
        crate::answer::text::render(&self.structured())
    }
}

/// Error texts quote what others wrote: short is enough.
fn shortened(value: Value) -> Value {
    const LONGEST: usize = 600;
    match value {
        Value::String(text) => clean::text(&text, LONGEST).into(),
        Value::Array(items) => items.into_iter().map(shortened).collect(),
        other => other,
    }
}

impl From<CatalogError> for ToolError {
    fn from(error: CatalogError) -> Self {
        use CatalogError as E;
        let message = error.to_string();
        match error {
            E::NotFound { did_you_mean, .. } => Self::new(ErrorCode::NotFound, message)
                .did_you_mean(did_you_mean)
                .then("look it up with search_entities; names are exact, upper and lower case differ"),
            E::Deleted { .. } => Self::new(ErrorCode::NotFound, message)
                .then("it was deleted softly: restore it in OpenMetadata, or name another entity"),
            E::Ambiguous { candidates, .. } => Self::new(ErrorCode::Ambiguous, message)
                .did_you_mean(candidates)
                .then("name one of them, as type:fqn"),
            E::Invalid { argument, .. } => {
                let error = Self::new(ErrorCode::InvalidArgument, message)
                    .then("correct what the message names, then repeat the call");
                match argument {
                    Some(argument) => error.about(argument),
                    None => error,
                }
            }
            E::Unauthorized { advice, .. } => {
                Self::new(ErrorCode::Unauthorized, message).then(advice)
            }
            E::Forbidden { .. } => Self::new(ErrorCode::Forbidden, message)
                .then("ask an administrator of OpenMetadata for the right, or use a token that has it"),
            E::Conflict { .. } => Self::new(ErrorCode::Conflict, message)
                .then("read the entity again and repeat the change on what it is now"),
            E::Unavailable { .. } => Self::new(ErrorCode::Unavailable, message)
                .retry(Retry::Yes)
                .then("run `openpolicy-mcp doctor` where the server runs; it says what is wrong"),
            E::Timeout { .. } => Self::new(ErrorCode::Timeout, message)
                .retry(Retry::Yes)
                .then("ask for less (limit, depth, fewer sections), or try again"),
            E::RateLimited { retry_after } => Self::new(ErrorCode::RateLimited, message)
                .retry(retry_after.map_or(Retry::Yes, Retry::After))
                .then("wait, then repeat the call"),
            E::BadUpstream { .. } => Self::new(ErrorCode::BadUpstream, message)
                .retry(Retry::Yes)
                .then("check that OPENMETADATA_URL is OpenMetadata itself; `openpolicy-mcp doctor` tells"),
            E::Unsupported { .. } => Self::new(ErrorCode::UnsupportedVersion, message)
                .then("use another tool, or a newer OpenMetadata"),
            E::UnknownOutcome { how_to_check, .. } => {
                Self::new(ErrorCode::Timeout, message).then(how_to_check)
            }
        }
    }
}

impl From<ObserveError> for ToolError {
    fn from(error: ObserveError) -> Self {
        use ObserveError as E;
        let message = error.to_string();
        match error {
            E::Address { .. } => Self::new(ErrorCode::Unavailable, message)
                .then("correct its `url` in the platform file"),
            E::Unreachable { .. } => Self::new(ErrorCode::Unavailable, message)
                .retry(Retry::Yes)
                .then("check that it runs and that its `url` in the platform file is right"),
            E::Timeout { .. } => Self::new(ErrorCode::Timeout, message)
                .retry(Retry::Yes)
                .then("ask for a shorter span, a longer step or fewer series"),
            E::Refused { .. } => Self::new(ErrorCode::Unauthorized, message)
                .then("correct its credential in the platform file"),
            E::BadQuestion { .. } => Self::invalid("query", message, "correct the query"),
            E::BadAnswer { .. } => Self::new(ErrorCode::BadUpstream, message)
                .retry(Retry::Yes)
                .then("check that its `url` in the platform file leads to it"),
        }
    }
}

impl From<HistoryError> for ToolError {
    fn from(error: HistoryError) -> Self {
        let next_step = match &error.0 {
            Fault::Locked => "try again",
            Fault::Full | Fault::Unwritable(_) => {
                "free space where the state folder lies, then repeat the call"
            }
            Fault::Network(_) | Fault::Newer { .. } | Fault::Damaged(_) | Fault::Other(_) => {
                "`openpolicy-mcp doctor` tells where the state folder is"
            }
        };
        Self::new(ErrorCode::Unavailable, error.to_string()).then(next_step)
    }
}

impl From<Problem> for ToolError {
    fn from(problem: Problem) -> Self {
        let message = problem.to_string();
        match problem {
            Problem::NotSupported { .. } => Self::new(ErrorCode::UnsupportedVersion, message)
                .then("name a runtime under `runtime` in the platform file; `openpolicy-mcp doctor` tells what it can do"),
            Problem::NoSuchService(_) => Self::new(ErrorCode::NotFound, message)
                .then("get_platform lists the services; container names are understood too"),
            Problem::NotDescribed { .. } => Self::new(ErrorCode::Unavailable, message)
                .then("complete the platform file as the message says"),
            Problem::Failed { .. } => Self::new(ErrorCode::Unavailable, message)
                .retry(Retry::Yes)
                .then("run `openpolicy-mcp doctor` where the server runs; it says what is wrong"),
            Problem::NotAllowed { .. } => Self::new(ErrorCode::Forbidden, message)
                .then("give whoever this server acts as the right that is named; plan_deployment lists what is missing"),
            Problem::NotReached { .. } => Self::new(ErrorCode::Unavailable, message)
                .retry(Retry::Yes)
                .then("see that it runs and is reached from where the server runs; `openpolicy-mcp doctor` tells"),
            Problem::NotFound { .. } => Self::new(ErrorCode::NotFound, message)
                .then("make it, or correct its name in the platform file"),
            Problem::HeldByOthers { .. } => Self::new(ErrorCode::Conflict, message)
                .then("let whoever holds the fields let go of them, or write what they want into the manifests; then plan again"),
            Problem::Busy { .. } => Self::new(ErrorCode::Conflict, message)
                .retry(Retry::Yes)
                .then("wait a moment, then repeat the call"),
            Problem::TimedOut { .. } => Self::new(ErrorCode::Timeout, message)
                .retry(Retry::Yes)
                .then("ask for fewer services, or try again"),
        }
    }
}

impl From<CursorError> for ToolError {
    fn from(error: CursorError) -> Self {
        Self::invalid(
            "cursor",
            format!("the cursor {error}"),
            "repeat the call without a cursor, then pass `next` of its answer with the same arguments",
        )
    }
}
