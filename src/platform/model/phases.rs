//! Phases: what they start, what has to hold at their end, and what they do where it does not.

use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::ServiceName;
use crate::platform::quantity::{Bytes, MilliCpu, Percent};

/// A named, ordered group of services with a gate.
#[derive(Debug, Clone)]
pub struct Phase {
    pub name: String,
    pub title: Option<String>,
    pub goal: Option<String>,
    /// Services of a step start together; steps follow each other.
    pub steps: Vec<Vec<ServiceName>>,
    pub gate: Vec<Condition>,
    /// How long the gate has to hold, and how long it may take.
    pub stable_for: Duration,
    pub gate_timeout: Duration,
    /// Within which response times and errors are counted.
    pub window: Duration,
    /// Before its services are started, and after its last step is healthy.
    pub before: Vec<Hook>,
    pub after: Vec<Hook>,
    /// How requests go over to what it started, once that is up.
    pub traffic: Option<Traffic>,
    pub on_failure: OnFailure,
    pub on_driver_loss: OnDriverLoss,
    /// A person approves this phase.
    pub needs_approval: bool,
    pub budget: Budget,
    /// How long it is expected to take: from, to.
    pub expected: Option<(Duration, Duration)>,
    pub priority: Option<u32>,
    /// `HIGHEST`, `MEDIUM`, …
    pub priority_word: Option<String>,
    pub risk: Option<String>,
    pub network: Option<String>,
    /// What the platform is called once this phase is done (`STABLE`, `FUNCTIONAL`, …).
    pub status_word: Option<String>,
    pub line: usize,
}

/// How the requests of a route go over from one version of a service to another, weight by weight,
/// with the gate of the phase after each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// The route, as a VirtualService of Istio.
    pub virtual_service: String,
    /// Subsets of a DestinationRule.
    pub from: String,
    pub to: String,
    /// Percent of the requests that `to` gets, step by step: growing, from 1 to 100.
    pub weights: Vec<u8>,
    pub promote: Promote,
}

impl Traffic {
    /// `10 %, 50 %, 100 %`.
    pub fn steps(&self) -> String {
        let all: Vec<String> = self.weights.iter().map(|one| format!("{one} %")).collect();
        all.join(", ")
    }

    /// The weight of a step; that of the last one for those that there are not.
    pub fn weight(&self, step: usize) -> u8 {
        let weight = self.weights.get(step).or(self.weights.last());
        weight.copied().unwrap_or_default()
    }
}

/// Who lets the next weight come once the gate has held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promote {
    /// The gate alone.
    #[default]
    Gate,
    /// Somebody with `promote`; the run is paused until then.
    Person,
}

/// What a phase that fails does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    #[default]
    Rollback,
    Pause,
    Stop,
}

/// What a phase does when the process that drives its run is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDriverLoss {
    #[default]
    Wait,
    Rollback,
}

/// Something that a phase does beside starting services.
#[derive(Debug, Clone)]
pub struct Hook {
    pub action: HookAction,
    /// A command in the same service that tells whether it has been done.
    pub check: Option<Vec<String>>,
    pub timeout: Duration,
    pub line: usize,
}

/// What a hook does. Without trust it does nothing that could be run.
#[derive(Debug, Clone)]
pub enum HookAction {
    Exec {
        service: ServiceName,
        command: Vec<String>,
    },
    Http {
        method: &'static str,
        url: SecretString,
    },
    /// The file is not trusted.
    Withheld,
}

/// What a phase may use, with everything deployed before it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Budget {
    pub memory: Option<Bytes>,
    /// As an amount.
    pub cpu: Option<MilliCpu>,
    /// As a share of `capacity.cpu`.
    pub cpu_share: Option<Percent>,
    pub storage: Option<Bytes>,
}

/// One condition of a gate, a trigger or an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// All services (`None`), or at least this many.
    Healthy(Option<u32>),
    MemoryBelow(Percent),
    MemoryAbove(Percent),
    CpuBelow(Percent),
    CpuAbove(Percent),
    /// Share of deployed services.
    UnhealthyAbove(Percent),
    MeanResponseAbove(Duration),
    MeanResponseBelow(Duration),
    P95Above(Duration),
    P95Below(Duration),
    ErrorsAbove(Percent),
    ErrorsBelow(Percent),
    IngestionSuccessAbove(Percent),
    TestsPassingAbove(Percent),
    FresherThan(Duration),
}
