//! The rules of alerts.

use std::time::Duration;

use super::ServiceName;
use crate::platform::quantity::Percent;

/// A rule of the alerts.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRule {
    pub name: String,
    pub when: AlertCondition,
    /// How long it has to hold before it fires.
    pub hold: Duration,
    pub severity: Severity,
    pub scope: AlertScope,
}

/// What an alert looks at.
#[derive(Debug, Clone, PartialEq)]
pub enum AlertCondition {
    /// A service is down (not: blocked).
    Down,
    /// The last response time.
    ResponseAbove(Duration),
    /// Share of failed looks within the window.
    ErrorsAbove {
        share: Percent,
        window: Duration,
    },
    /// Share of the service's limit.
    MemoryAbove(Percent),
    CpuAbove(Percent),
    /// Share of ingestion runs of the service's datasets that failed.
    IngestionFailuresAbove(Percent),
    /// The newest successful ingestion is older.
    OlderThan(Duration),
}

/// Which services a rule watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertScope {
    AllServices,
    Services(Vec<ServiceName>),
    /// The platform as a whole.
    Platform,
}

/// How bad an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Warning,
    Critical,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}
