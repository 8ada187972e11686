//! One look at one service, and what is concluded from looks.

use std::time::Duration;

use jiff::Timestamp;

/// The result of one look.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// When the look began.
    pub at: Timestamp,
    pub outcome: Outcome,
    /// How long the answer took; absent where there was none.
    pub response: Option<Duration>,
    /// Numbers and words that came with it: connections, memory, colour, version.
    pub facts: Vec<Fact>,
}

/// How a look ended. Reasons are one sentence for people, free of secrets and cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// It answers and does its work, but not as it should (slow, yellow, nearly full).
    Impaired(String),
    /// It does not answer, or says that it is not well.
    Failed(String),
    /// It could not be looked at, which says nothing of it: own network, DNS, permission, secret
    /// not set, probe not trusted.
    CouldNotLook(String),
}

/// Something that a look learnt besides.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    pub name: &'static str,
    pub value: String,
}

/// What a service is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    Up,
    Degraded,
    Starting,
    Down,
    /// It fails, and a failing dependency is the cause.
    Blocked,
    /// It could not be looked at, or never was.
    Unknown,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Starting => "starting",
            Self::Down => "down",
            Self::Blocked => "blocked",
            Self::Unknown => "unknown",
        }
    }
}
