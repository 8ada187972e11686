//! What the journal of a run says: the events, folded. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    event::{Baseline, EndState, Entry, Event, HookAt, HookOutcome, HookPlace, ServiceEnd},
    gate::ConditionReading,
    plan::{Kind, Plan, Restore, ShiftBack},
};
use crate::{
    platform::ServiceName,
    runtime::{Before, RunningCommand, Weights},
};

/// What a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    AwaitingApproval,
    Running,
    Paused,
    RollingBack,
    /// A hook may have run or not: a person has to say.
    Unknown,
    /// Something could not be taken back: a person has to look.
    Stuck,
    Ended(EndState),
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingApproval => "awaiting_approval",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::RollingBack => "rolling_back",
            Self::Unknown => "unknown",
            Self::Stuck => "stuck",
            Self::Ended(EndState::Succeeded) => "succeeded",
            Self::Ended(EndState::Failed) => "failed",
            Self::Ended(EndState::RolledBack) => "rolled_back",
            Self::Ended(EndState::Accepted) => "accepted",
            Self::Ended(EndState::Cancelled) => "cancelled",
        }
    }

    pub fn is_over(self) -> bool {
        matches!(self, Self::Ended(_))
    }

    /// Whether a driver has something to do without being told.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::RollingBack)
    }
}

/// Everything that is known of a run.
#[derive(Debug, Clone)]
pub struct RunState {
    pub status: Status,
    /// Why it is so.
    pub reason: Option<String>,
    pub by: String,
    pub created_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub phases: Vec<PhaseProgress>,
    /// What services were before this run touched them, in the order in which it did.
    pub touched: Vec<Touched>,
    /// How requests were divided before this run shifted them, in the order in which it did.
    pub shifted: Vec<Shifted>,
    /// Of what is shifted back, by its place: what went wrong with it.
    pub unshifted: BTreeMap<usize, Option<String>>,
    /// Services that were taken back, and what went wrong with them.
    pub restored: BTreeMap<ServiceName, Option<String>>,
    /// The service that is being taken back.
    pub restoring: Option<ServiceName>,
    /// Why everything is taken back, where it is.
    pub rollback: Option<String>,
    /// Why the phase at work failed, until somebody decides.
    pub failure: Option<Failure>,
    pub is_paused: bool,
    /// A hook of which nobody knows whether it ran.
    pub open_hook: Option<HookAt>,
    /// The entry that asked a person for an approval, until somebody gave it.
    pub question: Option<i64>,
    pub driver: Option<RunningCommand>,
    /// A driver may take it without being told: it is new, or somebody decided.
    pub is_released: bool,
    /// How many drivers took it.
    pub drivers: u32,
    /// Commands that began and may still be at work.
    pub commands: Vec<RunningCommand>,
    /// Databases of the plan that were dumped.
    pub backups: BTreeSet<usize>,
    /// Hooks that changed something.
    pub hooks_done: u32,
    pub last_seq: i64,
}

/// Why a phase failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub phase: Option<usize>,
    pub reason: String,
    pub is_trigger: bool,
}

/// How far a phase is.
#[derive(Debug, Clone, Default)]
pub struct PhaseProgress {
    pub begun_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub is_approved: bool,
    pub steps: Vec<StepProgress>,
    pub services: Vec<ServiceEnd>,
    /// One for each weight of its traffic.
    pub shifts: Vec<ShiftProgress>,
    pub gate_began_at: Option<Timestamp>,
    pub is_gate_passed: bool,
    pub promoted: Option<String>,
    /// Of the gate, when it passed or failed.
    pub readings: Vec<ConditionReading>,
    pub baseline: Baseline,
    pub before: Vec<Option<HookOutcome>>,
    pub after: Vec<Option<HookOutcome>>,
    pub failure: Option<String>,
}

impl PhaseProgress {
    pub fn took(&self) -> Option<Duration> {
        let (begun, ended) = (self.begun_at?, self.ended_at?);
        Duration::try_from(ended.duration_since(begun)).ok()
    }

    /// The last weight that was begun.
    pub fn last_shift(&self) -> Option<(usize, ShiftProgress)> {
        let mut begun = self.shifts.iter().copied().enumerate();
        begun.rfind(|(_, progress)| *progress != ShiftProgress::Waiting)
    }

    /// The weight past which a person can let it go: its gate is held, or waits for them. At the last
    /// one it is the gate of the phase itself.
    pub fn shift_to_promote(&self) -> Option<usize> {
        let (step, progress) = self.last_shift()?;
        let is_at_gate = match progress {
            ShiftProgress::Held => true,
            ShiftProgress::Ended => self.gate_began_at.is_some(),
            _ => false,
        };
        (is_at_gate && step + 1 < self.shifts.len()).then_some(step)
    }
}

/// How far one weight is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ShiftProgress {
    #[default]
    Waiting,
    /// Set, or about to be.
    Begun,
    /// Set.
    Ended,
    /// The gate held at it.
    Held,
    /// A person let it pass.
    Passed,
}

/// Requests that a phase divided otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shifted {
    pub phase: usize,
    /// How they were divided before the first shift.
    pub before: Weights,
    /// What was set, or may have been.
    pub ours: Vec<Weights>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum StepProgress {
    #[default]
    Waiting,
    /// Acted on, or about to be.
    Begun,
    /// Acted on.
    Ended,
    /// Up.
    Ready,
}

/// A service that a run touched.
#[derive(Debug, Clone, PartialEq)]
pub struct Touched {
    pub service: ServiceName,
    pub before: Before,
    pub phase: usize,
}

impl RunState {
    pub fn of(plan: &Plan, entries: &[Entry]) -> Self {
        let phases = plan.phases.iter().map(|phase| PhaseProgress {
            steps: vec![StepProgress::Waiting; phase.steps.len()],
            before: vec![None; phase.before.len()],
            after: vec![None; phase.after.len()],
            shifts: vec![
                ShiftProgress::Waiting;
                phase
                    .traffic
                    .as_ref()
                    .map_or(0, |one| one.traffic.weights.len())
            ],
            ..PhaseProgress::default()
        });
        let mut state = Self {
            status: Status::Running,
            reason: None,
            by: String::new(),
            created_at: None,
            ended_at: None,
            phases: phases.collect(),
            touched: Vec::new(),
            shifted: Vec::new(),
            unshifted: BTreeMap::new(),
            restored: BTreeMap::new(),
            restoring: None,
            rollback: (plan.kind == Kind::RollBack).then(String::new),
            failure: None,
            is_paused: false,
            open_hook: None,
            question: None,
            driver: None,
            is_released: true,
            drivers: 0,
            commands: Vec::new(),
            backups: BTreeSet::new(),
            hooks_done: 0,
            last_seq: 0,
        };
        if plan.kind == Kind::RollBack {
            state.status = Status::RollingBack;
        }
        for entry in entries {
            state.take(entry);
        }
        state
    }

    /// One event more.
    pub fn take(&mut self, entry: &Entry) {
        self.last_seq = entry.seq;
        match &entry.event {
            Event::Created {
                by,
                reason,
                awaits_approval,
            } => {
                self.created_at = Some(entry.at);
                self.by.clone_from(by);
                self.reason.clone_from(reason);
                if *awaits_approval {
                    self.status = Status::AwaitingApproval;
                    self.question = Some(entry.seq);
                }
            }
            Event::Approved { phase, .. } => {
                if let Some(phase) = phase.and_then(|phase| self.phases.get_mut(phase)) {
                    phase.is_approved = true;
                }
                self.question = None;
                self.is_released = true;
                self.status = self.working();
            }
            Event::Driving { process, .. } => {
                self.driver = Some(process.clone());
                self.is_released = false;
                self.drivers += 1;
                // Those of the driver before were ended by this one before it went on.
                self.commands.clear();
            }
            Event::CommandBegun { command } => self.commands.push(command.clone()),
            Event::BackupMade { index, .. } => {
                self.backups.insert(*index);
            }
            Event::BackupFailed { reason, .. } => {
                self.failure = Some(Failure {
                    phase: None,
                    reason: reason.clone(),
                    is_trigger: false,
                });
                self.reason = Some(reason.clone());
            }
            Event::Paused { reason, .. } => {
                self.is_paused = true;
                self.reason = Some(reason.clone());
                self.status = Status::Paused;
            }
            Event::Resumed { reason, .. } => self.resume(reason.as_deref()),
            Event::Triggered { reason } => {
                self.failure = Some(Failure {
                    phase: self.phase_at_work(),
                    reason: reason.clone(),
                    is_trigger: true,
                });
                self.reason = Some(reason.clone());
            }
            Event::RollbackBegun { reason, .. } => {
                self.rollback = Some(reason.clone());
                self.reason = Some(reason.clone());
                self.is_paused = false;
                self.failure = None;
                self.open_hook = None;
                self.status = Status::RollingBack;
            }
            Event::UnshiftEnded { index, problem, .. } => {
                self.unshifted.insert(*index, problem.clone());
            }
            Event::RestoreBegun { service, .. } => self.restoring = Some(service.clone()),
            Event::RestoreEnded {
                service, problem, ..
            } => {
                self.restoring = None;
                self.restored.insert(service.clone(), problem.clone());
            }
            Event::Ended { state, reason, .. } => {
                self.status = Status::Ended(*state);
                self.ended_at = Some(entry.at);
                if reason.is_some() {
                    self.reason.clone_from(reason);
                }
            }
            Event::ApprovalAsked { .. } => {
                self.status = Status::AwaitingApproval;
                self.question = Some(entry.seq);
            }
            Event::Stuck { reason } => {
                self.status = Status::Stuck;
                self.reason = Some(reason.clone());
            }
            Event::Note { .. } | Event::UnshiftBegun { .. } => {}
            _ => self.take_of_phase(entry),
        }
    }

    fn take_of_phase(&mut self, entry: &Entry) {
        match &entry.event {
            Event::PhaseBegun { phase } => {
                self.with(*phase, |phase| phase.begun_at = Some(entry.at));
            }
            Event::HookBegun { hook } => self.open_hook = Some(*hook),
            Event::HookEnded { hook, outcome } => self.hook_ended(*hook, outcome),
            Event::StepBegun {
                phase,
                step,
                before,
            } => {
                for before in before {
                    // What it was before the first touch is what it goes back to.
                    if self.touched.iter().all(|one| one.service != before.service) {
                        self.touched.push(Touched {
                            service: before.service.clone(),
                            before: before.clone(),
                            phase: *phase,
                        });
                    }
                }
                self.with_step(*phase, *step, StepProgress::Begun);
            }
            Event::StepEnded {
                phase,
                step,
                services,
            } => {
                self.commands.clear();
                self.with_step(*phase, *step, StepProgress::Ended);
                self.with(*phase, |phase| {
                    for end in services {
                        phase.services.retain(|one| one.service != end.service);
                        phase.services.push(end.clone());
                    }
                });
            }
            Event::StepReady { phase, step } => {
                self.with_step(*phase, *step, StepProgress::Ready);
            }
            Event::GateBegun { phase } => {
                self.with(*phase, |phase| phase.gate_began_at = Some(entry.at));
            }
            Event::GatePassed {
                phase,
                readings,
                baseline,
                promoted,
            } => self.with(*phase, |phase| {
                phase.is_gate_passed = true;
                phase.readings.clone_from(readings);
                phase.baseline = *baseline;
                phase.promoted.clone_from(promoted);
            }),
            Event::ShiftBegun {
                phase,
                step,
                was,
                then,
            } => {
                match self.shifted.iter_mut().find(|one| one.phase == *phase) {
                    // How it was before the first shift is how it goes back.
                    Some(shifted) => shifted.ours.push(*then),
                    None => self.shifted.push(Shifted {
                        phase: *phase,
                        before: *was,
                        ours: vec![*then],
                    }),
                }
                self.with_shift(*phase, *step, ShiftProgress::Begun);
            }
            Event::ShiftEnded { phase, step } => {
                self.with_shift(*phase, *step, ShiftProgress::Ended);
            }
            Event::ShiftPassed {
                phase,
                step,
                readings,
                promoted,
            } => {
                let progress = match promoted {
                    Some(_) => ShiftProgress::Passed,
                    None => ShiftProgress::Held,
                };
                self.with_shift(*phase, *step, progress);
                self.with(*phase, |phase| phase.readings.clone_from(readings));
            }
            Event::PhaseFailed {
                phase,
                reason,
                readings,
            } => {
                self.failure = Some(Failure {
                    phase: Some(*phase),
                    reason: reason.clone(),
                    is_trigger: false,
                });
                self.reason = Some(reason.clone());
                self.with(*phase, |phase| {
                    phase.failure = Some(reason.clone());
                    phase.readings.clone_from(readings);
                });
            }
            Event::PhaseEnded { phase } => {
                self.with(*phase, |phase| phase.ended_at = Some(entry.at));
            }
            _ => {}
        }
    }

    fn resume(&mut self, reason: Option<&str>) {
        match reason {
            Some(reason) => self.reason = Some(reason.to_owned()),
            // Nobody waits any more for what stands there.
            None if self.held_shift().is_some() => self.reason = None,
            None => {}
        }
        self.is_paused = false;
        self.failure = None;
        self.unshifted.retain(|_, problem| problem.is_none());
        // What failed is tried again: the step that was not ready, the gate from its beginning,
        // what could not be taken back.
        self.restored.retain(|_, problem| problem.is_none());
        for phase in self.phases.iter_mut().filter(|one| one.ended_at.is_none()) {
            phase.failure = None;
            phase.gate_began_at = None;
            if let Some((step, ShiftProgress::Held)) = phase.last_shift()
                && let Some(shift) = phase.shifts.get_mut(step)
            {
                *shift = ShiftProgress::Ended;
            }
            for step in &mut phase.steps {
                if *step == StepProgress::Ended {
                    *step = StepProgress::Begun;
                }
            }
            for hook in phase.before.iter_mut().chain(&mut phase.after) {
                if matches!(hook, Some(HookOutcome::Failed(_) | HookOutcome::Unknown(_))) {
                    *hook = None;
                }
            }
        }
        // A hook that had begun when its driver was lost stays open: its check tells, or a person.
        self.status = self.working();
    }

    fn hook_ended(&mut self, hook: HookAt, outcome: &HookOutcome) {
        self.open_hook = None;
        match outcome {
            HookOutcome::Done => self.hooks_done += 1,
            HookOutcome::Unknown(reason) => {
                self.hooks_done += 1;
                self.status = Status::Unknown;
                self.reason = Some(reason.clone());
            }
            HookOutcome::TakenAsDone => self.status = self.working(),
            HookOutcome::DoneBefore | HookOutcome::Failed(_) => {}
        }
        let outcome = outcome.clone();
        self.with(hook.phase, |phase| {
            let hooks = match hook.place {
                HookPlace::Before => &mut phase.before,
                HookPlace::After => &mut phase.after,
            };
            if let Some(place) = hooks.get_mut(hook.index) {
                *place = Some(outcome);
            }
        });
    }

    fn working(&self) -> Status {
        match self.rollback {
            Some(_) => Status::RollingBack,
            None => Status::Running,
        }
    }

    fn with(&mut self, phase: usize, change: impl FnOnce(&mut PhaseProgress)) {
        if let Some(phase) = self.phases.get_mut(phase) {
            change(phase);
        }
    }

    fn with_step(&mut self, phase: usize, step: usize, progress: StepProgress) {
        self.with(phase, |phase| {
            if let Some(step) = phase.steps.get_mut(step) {
                *step = progress;
            }
        });
    }

    /// Each weight has a gate of its own.
    fn with_shift(&mut self, phase: usize, step: usize, progress: ShiftProgress) {
        self.with(phase, |phase| {
            phase.gate_began_at = None;
            if let Some(shift) = phase.shifts.get_mut(step) {
                *shift = progress;
            }
        });
    }

    /// The phase and the weight at which a paused run waits for a person to let the next one come.
    pub fn held_shift(&self) -> Option<(usize, usize)> {
        let phase = self.phase_at_work().filter(|_| self.is_paused)?;
        match self.phases.get(phase)?.last_shift()? {
            (step, ShiftProgress::Held) if self.failure.is_none() => Some((phase, step)),
            _ => None,
        }
    }

    /// A hook that a person has to speak about: it failed, or nobody knows whether it ran.
    pub fn unfinished_hook(&self) -> Option<HookAt> {
        let phase = self.phase_at_work()?;
        let progress = self.phases.get(phase)?;
        let position = |hooks: &[Option<HookOutcome>]| {
            hooks.iter().position(|hook| {
                matches!(hook, Some(HookOutcome::Failed(_) | HookOutcome::Unknown(_)))
            })
        };
        let (place, index) = match (position(&progress.before), position(&progress.after)) {
            (Some(index), _) => (HookPlace::Before, index),
            (None, Some(index)) => (HookPlace::After, index),
            (None, None) => return None,
        };
        Some(HookAt {
            phase,
            place,
            index,
        })
    }

    /// The phase that has begun and has not ended; of a run that has not begun none.
    pub fn phase_at_work(&self) -> Option<usize> {
        self.phases
            .iter()
            .position(|phase| phase.begun_at.is_some() && phase.ended_at.is_none())
    }

    /// Services of the steps that were acted on to the end.
    pub fn acted_on(&self, plan: &Plan) -> Vec<ServiceName> {
        let phases = plan.phases.iter().zip(&self.phases);
        let steps =
            phases.flat_map(|(planned, progress)| planned.steps.iter().zip(&progress.steps));
        steps
            .filter(|(_, progress)| **progress >= StepProgress::Ended)
            .flat_map(|(services, _)| services.iter().cloned())
            .collect()
    }

    /// Traffic that is taken back, newest first: of a run that deploys everything that it shifted.
    pub fn to_unshift(&self, plan: &Plan, run: i64) -> Vec<ShiftBack> {
        let of_phase = |shifted: &Shifted| {
            let planned = plan.phases.get(shifted.phase)?;
            Some(ShiftBack {
                traffic: planned.traffic.as_ref()?.traffic.clone(),
                phase: planned.name.clone(),
                before: shifted.before,
                ours: shifted.ours.clone(),
                run,
            })
        };
        match plan.kind {
            Kind::RollBack => plan.shifts.clone(),
            Kind::Deploy => self.shifted.iter().rev().filter_map(of_phase).collect(),
        }
    }

    /// The share that the newer version has by what this phase did, in percent; none where it has
    /// shifted nothing.
    pub fn share(&self, plan: &Plan, phase: usize) -> Option<u32> {
        let at = self
            .shifted
            .iter()
            .rev()
            .position(|one| one.phase == phase)?;
        let shifted = self.shifted.iter().rev().nth(at)?;
        if self.unshifted.get(&at).is_some_and(Option::is_none) {
            return Some(shifted.before.percent());
        }
        let traffic = plan.phases.get(phase)?.traffic.as_ref()?;
        let shifts = &self.phases.get(phase)?.shifts;
        let step = shifts.iter().rposition(|one| *one >= ShiftProgress::Ended);
        Some(step.map_or(shifted.before.percent(), |step| {
            u32::from(traffic.traffic.weight(step))
        }))
    }

    /// What is taken back, newest first: of a run that deploys everything that it touched.
    pub fn to_restore(&self, plan: &Plan, run: i64) -> Vec<Restore> {
        match plan.kind {
            Kind::RollBack => plan.restores.clone(),
            Kind::Deploy => self
                .touched
                .iter()
                .rev()
                .map(|touched| Restore {
                    service: touched.service.clone(),
                    before: touched.before.clone(),
                    run,
                })
                .collect(),
        }
    }
}
