//! What is written into the journal of a run, before and after each action.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::gate::ConditionReading;
use crate::{
    platform::ServiceName,
    runtime::{Before, RunningCommand, Weights},
};

/// One entry. The names are part of a format that is kept: new ones may be added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    Created {
        by: String,
        reason: Option<String>,
        /// A person has to approve it first.
        awaits_approval: bool,
    },
    /// Of the run, or of one phase.
    Approved {
        by: String,
        phase: Option<usize>,
        /// How they were asked; older entries do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        way: Option<Way>,
    },
    /// A phase that a person has to approve is next.
    ApprovalAsked {
        phase: usize,
    },
    /// Something could not be taken back.
    Stuck {
        reason: String,
    },
    /// A driver took the run.
    Driving {
        process: RunningCommand,
        version: String,
    },
    /// A database was dumped, and the dump read back.
    BackupMade {
        index: usize,
        name: String,
        objects: usize,
    },
    BackupFailed {
        index: usize,
        reason: String,
    },
    PhaseBegun {
        phase: usize,
    },
    HookBegun {
        hook: HookAt,
    },
    HookEnded {
        hook: HookAt,
        outcome: HookOutcome,
    },
    /// Services are about to be acted on; what they were.
    StepBegun {
        phase: usize,
        step: usize,
        before: Vec<Before>,
    },
    /// A command of the runtime is about to act.
    CommandBegun {
        command: RunningCommand,
    },
    StepEnded {
        phase: usize,
        step: usize,
        services: Vec<ServiceEnd>,
    },
    /// Every service of the step is up.
    StepReady {
        phase: usize,
        step: usize,
    },
    GateBegun {
        phase: usize,
    },
    GatePassed {
        phase: usize,
        readings: Vec<ConditionReading>,
        baseline: Baseline,
        /// A person let it pass, who and why.
        promoted: Option<String>,
    },
    /// The requests of a route are about to be divided otherwise; how they were.
    ShiftBegun {
        phase: usize,
        step: usize,
        was: Weights,
        then: Weights,
    },
    /// They are divided so.
    ShiftEnded {
        phase: usize,
        step: usize,
    },
    /// The gate held at the weight of a step that is not the last one.
    ShiftPassed {
        phase: usize,
        step: usize,
        readings: Vec<ConditionReading>,
        /// A person let the next weight come, who and why.
        promoted: Option<String>,
    },
    PhaseFailed {
        phase: usize,
        reason: String,
        readings: Vec<ConditionReading>,
    },
    PhaseEnded {
        phase: usize,
    },
    /// A condition of `rollback_when` held for long enough.
    Triggered {
        reason: String,
    },
    Paused {
        by: String,
        reason: String,
    },
    Resumed {
        by: String,
        reason: Option<String>,
    },
    RollbackBegun {
        by: String,
        reason: String,
    },
    /// The requests of a route are about to be divided as they were before; which of them that the
    /// run takes back.
    UnshiftBegun {
        index: usize,
        /// How they are divided now.
        now: Option<Weights>,
    },
    UnshiftEnded {
        index: usize,
        /// What it came to.
        outcome: String,
        problem: Option<String>,
    },
    /// A service is about to be taken back.
    RestoreBegun {
        service: ServiceName,
        /// What it is now.
        now: Option<Before>,
    },
    RestoreEnded {
        service: ServiceName,
        /// What it came to.
        outcome: String,
        problem: Option<String>,
        /// Digest of what is really there now, for drift.
        #[serde(default)]
        live: Option<String>,
        #[serde(default)]
        image: Option<String>,
    },
    Ended {
        state: EndState,
        reason: Option<String>,
        by: Option<String>,
    },
    Note {
        text: String,
    },
}

/// How a person was asked for an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// On a terminal.
    Terminal,
    /// On a terminal, and they typed the passphrase.
    Passphrase,
    /// By a request of this server to their client, `elicitation/create`.
    Elicitation,
    /// By a call that ended with a question, `input_required`.
    InputRequired,
}

impl Way {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Passphrase => "passphrase",
            Self::Elicitation => "elicitation",
            Self::InputRequired => "input_required",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        [
            Self::Terminal,
            Self::Passphrase,
            Self::Elicitation,
            Self::InputRequired,
        ]
        .into_iter()
        .find(|way| way.as_str() == name)
    }
}

/// Which hook of which phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookAt {
    pub phase: usize,
    pub place: HookPlace,
    pub index: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookPlace {
    Before,
    After,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookOutcome {
    Done,
    /// Its `check` says that it has been done.
    DoneBefore,
    /// A person takes it as done.
    TakenAsDone,
    /// It failed, and said so.
    Failed(String),
    /// It may have run or not.
    Unknown(String),
}

/// What became of one service of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceEnd {
    pub service: ServiceName,
    /// `started`, `unchanged`, `replaced`, `waits`, `failed`.
    pub outcome: String,
    pub problem: Option<String>,
    /// Digest of what is really there now, for drift.
    pub live: Option<String>,
    pub image: Option<String>,
}

/// What the platform used when a gate passed; later runs show the difference.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Baseline {
    /// Percent of capacity.
    pub memory: Option<f64>,
    pub cpu: Option<f64>,
    pub mean_response: Option<Duration>,
    pub p95: Option<Duration>,
}

/// How a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndState {
    Succeeded,
    /// A phase failed and the platform file says `stop`.
    Failed,
    RolledBack,
    /// A person takes the platform as it stands.
    Accepted,
    /// Nothing was touched.
    Cancelled,
}

/// An event with its place in the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub seq: i64,
    pub at: Timestamp,
    pub event: Event,
}
