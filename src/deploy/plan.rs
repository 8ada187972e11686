//! What a run would do: everything that was resolved when it was planned.
//!
//! A plan is kept as it is in the journal and may hold secrets (in what the runtime resolved, in
//! commands and addresses of hooks): answers show it only through `tools`.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    digest::hex,
    platform::{
        Bytes, MilliCpu, Percent, ServiceName,
        model::{Condition, Database, Environment, OnDriverLoss, OnFailure, Traffic},
    },
    runtime::{Before, Desired, Weights},
};

/// How long a plan may be used: what it was made from changes.
pub const VALID_FOR: Duration = Duration::from_secs(30 * 60);

/// One plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// Counts up in the journal.
    pub id: i64,
    pub kind: Kind,
    pub platform: String,
    /// What would be acted on, as the runtime names it: never run on another.
    pub target: String,
    pub environment: Environment,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// In order. Empty where services are taken back.
    pub phases: Vec<PlannedPhase>,
    /// Its one phase is no phase of the platform file: some services were asked for.
    #[serde(default)]
    pub is_loose: bool,
    /// How the services of the phases should run; in order of the phases.
    pub desired: Vec<Desired>,
    /// Services of earlier phases: they count in gates and triggers.
    pub deployed: Vec<ServiceName>,
    pub triggers: Vec<Condition>,
    /// How long a trigger has to hold.
    pub trigger_hold: Duration,
    /// Within which response times and errors of triggers are counted.
    pub trigger_window: Duration,
    /// Databases that are dumped before anything is touched.
    #[serde(default)]
    pub backups: Vec<Database>,
    /// What is taken back, in this order.
    pub restores: Vec<Restore>,
    /// Traffic that is taken back, before any service, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shifts: Vec<ShiftBack>,
    pub warnings: Vec<String>,
    pub preflight: Vec<Check>,
    /// Services that were not well when this was planned: no rollback is held up by them.
    pub unwell: Vec<ServiceName>,
}

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Deploy,
    RollBack,
}

/// One phase of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlannedPhase {
    pub name: String,
    pub steps: Vec<Vec<ServiceName>>,
    pub changes: Vec<ServiceChange>,
    pub gate: Vec<Condition>,
    pub stable_for: Duration,
    pub gate_timeout: Duration,
    pub window: Duration,
    pub before: Vec<PlannedHook>,
    pub after: Vec<PlannedHook>,
    /// How requests go over to what the phase started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<PlannedTraffic>,
    pub on_failure: OnFailure,
    pub on_driver_loss: OnDriverLoss,
    pub needs_approval: bool,
    /// What the platform is called once this phase is done.
    pub status_word: Option<String>,
    pub expected: Option<(Duration, Duration)>,
    /// Limits of everything that is deployed once this phase is done.
    pub sums: Sums,
}

impl PlannedPhase {
    pub fn services(&self) -> impl Iterator<Item = &ServiceName> {
        self.steps.iter().flatten()
    }
}

/// Limits added up, against what there is.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sums {
    pub memory: Bytes,
    pub memory_share: Option<Percent>,
    pub cpu: MilliCpu,
    pub cpu_share: Option<Percent>,
    /// Services without a limit, which the sums leave out.
    pub without_limit: u64,
}

/// What would become of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceChange {
    pub service: ServiceName,
    pub action: ChangeAction,
    /// Where they differ.
    pub image_before: Option<String>,
    pub image: Option<String>,
    /// Somebody changed it since a run of ours, or began it without one.
    pub drift: Option<String>,
    /// Why no rollback takes it back.
    pub irreversible: Option<String>,
    pub not_restored: Vec<String>,
    /// Why it cannot be done.
    pub problem: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeAction {
    Create,
    /// It runs with another configuration or image.
    Replace,
    /// It is there, and stopped.
    Start,
    Keep,
    /// The runtime could not say what runs.
    Unknown,
}

impl ChangeAction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Start => "start",
            Self::Keep => "keep",
            Self::Unknown => "unknown",
        }
    }
}

/// Something that a phase does beside starting services. May hold secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedHook {
    pub action: PlannedAction,
    /// A command in the same service that tells whether it has been done.
    pub check: Option<Vec<String>>,
    pub timeout: Duration,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlannedAction {
    Exec {
        service: ServiceName,
        command: Vec<String>,
    },
    Http {
        method: String,
        url: String,
    },
}

impl PlannedHook {
    /// For people; without arguments and addresses, which may hold secrets.
    pub fn name(&self) -> String {
        match &self.action {
            PlannedAction::Exec { service, command } => {
                let program = command.first().map_or("a command", String::as_str);
                format!("{program} in {service}")
            }
            PlannedAction::Http { method, .. } => format!("{method} request"),
        }
    }
}

impl fmt::Debug for PlannedHook {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PlannedHook({})", self.name())
    }
}

/// Requests that go over, as the platform file says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedTraffic {
    pub traffic: Traffic,
    /// How they were divided when this was planned: the first shift finds them so, or somebody
    /// changed them.
    pub was: Weights,
}

impl PlannedTraffic {
    /// How they are divided at a step.
    pub fn then(&self, step: usize) -> Weights {
        Weights::of(self.traffic.weight(step))
    }

    /// How a step finds them, where nobody but the run changed them.
    pub fn before(&self, step: usize) -> Weights {
        match step.checked_sub(1) {
            None => self.was,
            Some(earlier) => self.then(earlier),
        }
    }

    /// How the last step leaves them.
    pub fn last(&self) -> Weights {
        self.then(self.traffic.weights.len())
    }

    pub fn is_last(&self, step: usize) -> bool {
        step + 1 >= self.traffic.weights.len()
    }
}

/// Requests that are divided again as they were before a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShiftBack {
    pub traffic: Traffic,
    /// The phase that shifted them.
    pub phase: String,
    pub before: Weights,
    /// What the run set, or may have set: how they are divided otherwise is somebody else's doing.
    pub ours: Vec<Weights>,
    /// The run that recorded it.
    pub run: i64,
}

/// A service that is taken back to what it was before a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Restore {
    pub service: ServiceName,
    pub before: Before,
    /// The run that recorded it.
    pub run: i64,
}

/// One line of a checklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    pub result: CheckResult,
    pub note: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckResult {
    No,
    CouldNotLook,
    Yes,
}

impl CheckResult {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::CouldNotLook => "could not look",
            Self::Yes => "yes",
        }
    }
}

impl Plan {
    /// Names the plan and everything that it was made from: `7-9f86d081884c`. Health, replicas and
    /// ids of containers are not in it, as they change by themselves.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        add(&self.target);
        add(&self.created_at.to_string());
        for phase in &self.phases {
            add(&phase.name);
            // Steps, gate, hooks: what decides how the run goes.
            add(&serde_json::to_string(&phase.steps).unwrap_or_default());
            add(&serde_json::to_string(&phase.gate).unwrap_or_default());
            add(&serde_json::to_string(&(&phase.before, &phase.after)).unwrap_or_default());
            for change in &phase.changes {
                add(change.action.as_str());
            }
            // Plans without traffic keep the digest that they had.
            if let Some(traffic) = &phase.traffic {
                add(&serde_json::to_string(traffic).unwrap_or_default());
            }
        }
        add(&serde_json::to_string(&self.triggers).unwrap_or_default());
        for desired in &self.desired {
            add(&desired.service.0);
            add(&desired.digest);
            add(desired.image_id.as_deref().unwrap_or_default());
        }
        for restore in &self.restores {
            add(&restore.service.0);
            add(&restore.run.to_string());
        }
        for shift in &self.shifts {
            add(&serde_json::to_string(shift).unwrap_or_default());
        }
        let short = &hex(&hash.finalize())[..12];
        format!("{}-{short}", self.id)
    }

    /// The number of the plan that a digest names.
    pub fn id_in(digest: &str) -> Option<i64> {
        let (id, hash) = digest.trim().split_once('-')?;
        let is_hash = hash.len() == 12 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then(|| id.parse().ok()).flatten()
    }

    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }

    /// Services of the phases up to and with this one, and those deployed before.
    pub fn deployed_with(&self, phase: usize) -> Vec<ServiceName> {
        let mut all = self.deployed.clone();
        for phase in self.phases.iter().take(phase + 1) {
            for service in phase.services() {
                if !all.contains(service) {
                    all.push(service.clone());
                }
            }
        }
        all
    }

    pub fn desired(&self, service: &ServiceName) -> Option<&Desired> {
        self.desired.iter().find(|one| one.service == *service)
    }

    pub fn change(&self, service: &ServiceName) -> Option<&ServiceChange> {
        self.phases
            .iter()
            .flat_map(|phase| &phase.changes)
            .find(|change| change.service == *service)
    }
}
