//! What a run does next: a pure function of its plan and its journal.
//!
//! Going on after a crash is nothing special: what has begun and has not ended comes next, and
//! doing it a second time changes nothing.

use super::{
    event::{EndState, HookAt, HookOutcome, HookPlace},
    plan::{Kind, Plan, PlannedPhase, Restore},
    rollback,
    state::{Failure, PhaseProgress, RunState, ShiftProgress, Status, StepProgress},
};
use crate::platform::model::{OnFailure, Promote};

/// What a driver does next.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A person decides.
    Wait(Wait),
    /// A person has to approve this phase.
    AskApproval {
        phase: usize,
    },
    /// Dumps a database, before anything is touched.
    Backup {
        index: usize,
    },
    BeginPhase {
        phase: usize,
    },
    Hook {
        hook: HookAt,
    },
    /// It began before a crash and nothing tells whether it was done.
    HookIsUnknown {
        hook: HookAt,
    },
    Apply {
        phase: usize,
        step: usize,
    },
    AwaitReady {
        phase: usize,
        step: usize,
    },
    /// Divides requests as a step of the traffic says.
    Shift {
        phase: usize,
        step: usize,
    },
    /// The gate between this step of the traffic and the next one.
    ShiftGate {
        phase: usize,
        step: usize,
    },
    Gate {
        phase: usize,
    },
    EndPhase {
        phase: usize,
    },
    RollBack {
        reason: String,
    },
    Pause {
        reason: String,
    },
    /// Divides requests as they were, before any service is taken back.
    Unshift {
        index: usize,
    },
    Restore(Box<Restore>),
    /// Everything is taken back: are the services that ran before well again?
    AwaitRestored,
    /// Something could not be taken back.
    Stuck {
        reason: String,
    },
    End {
        state: EndState,
        reason: Option<String>,
    },
}

/// For what a run waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    Approval,
    Resume,
    /// To be told whether a hook has run.
    Hook,
    Help,
}

/// What comes next.
pub fn next(plan: &Plan, run: i64, state: &RunState) -> Option<Action> {
    match state.status {
        Status::Ended(_) => return None,
        Status::AwaitingApproval => return Some(Action::Wait(Wait::Approval)),
        Status::Unknown => return Some(Action::Wait(Wait::Hook)),
        Status::Stuck => return Some(Action::Wait(Wait::Help)),
        Status::Paused => return Some(Action::Wait(Wait::Resume)),
        Status::RollingBack => return Some(next_of_rollback(plan, run, state)),
        Status::Running => {}
    }
    if let Some(failure) = &state.failure {
        return Some(after_failure(plan, state, failure));
    }
    if let Some(hook) = state.open_hook {
        return Some(after_open_hook(plan, hook));
    }
    let unfinished = state
        .phases
        .iter()
        .position(|phase| phase.ended_at.is_none());
    Some(match unfinished {
        None => Action::End {
            state: EndState::Succeeded,
            reason: None,
        },
        Some(phase) => next_of_phase(plan, state, phase),
    })
}

fn after_open_hook(plan: &Plan, hook: HookAt) -> Action {
    let has_check = plan.phases.get(hook.phase).is_some_and(|phase| {
        let hooks = match hook.place {
            HookPlace::Before => &phase.before,
            HookPlace::After => &phase.after,
        };
        hooks
            .get(hook.index)
            .is_some_and(|hook| hook.check.is_some())
    });
    match has_check {
        // Its check tells.
        true => Action::Hook { hook },
        false => Action::HookIsUnknown { hook },
    }
}

fn next_of_phase(plan: &Plan, state: &RunState, at: usize) -> Action {
    let (Some(progress), Some(planned)) = (state.phases.get(at), plan.phases.get(at)) else {
        return Action::End {
            state: EndState::Succeeded,
            reason: None,
        };
    };
    if planned.needs_approval && !progress.is_approved {
        return Action::AskApproval { phase: at };
    }
    let missing = (0..plan.backups.len()).find(|index| !state.backups.contains(index));
    if let Some(index) = missing {
        return Action::Backup { index };
    }
    if progress.begun_at.is_none() {
        return Action::BeginPhase { phase: at };
    }
    if let Some(action) = next_hook(progress, at, HookPlace::Before) {
        return action;
    }
    for (step, progress) in progress.steps.iter().enumerate() {
        match progress {
            StepProgress::Waiting | StepProgress::Begun => {
                return Action::Apply { phase: at, step };
            }
            StepProgress::Ended => return Action::AwaitReady { phase: at, step },
            StepProgress::Ready => {}
        }
    }
    if let Some(action) = next_hook(progress, at, HookPlace::After) {
        return action;
    }
    if let Some(action) = next_shift(planned, progress, at) {
        return action;
    }
    if !progress.is_gate_passed {
        return Action::Gate { phase: at };
    }
    Action::EndPhase { phase: at }
}

/// What is next of the traffic of a phase; none where the last weight is set: the gate of the phase
/// is the gate of that one.
fn next_shift(planned: &PlannedPhase, progress: &PhaseProgress, phase: usize) -> Option<Action> {
    let traffic = planned.traffic.as_ref()?;
    for (step, shift) in progress.shifts.iter().enumerate() {
        match shift {
            ShiftProgress::Waiting | ShiftProgress::Begun => {
                return Some(Action::Shift { phase, step });
            }
            _ if traffic.is_last(step) => return None,
            ShiftProgress::Ended => return Some(Action::ShiftGate { phase, step }),
            ShiftProgress::Held if traffic.traffic.promote == Promote::Person => {
                // What came after it was let come by somebody.
                let is_last = progress.last_shift().is_some_and(|(last, _)| last == step);
                if is_last {
                    return Some(Action::Pause {
                        reason: format!(
                            "{} has {} % of {}: `promote` goes on to {} %",
                            traffic.traffic.to,
                            traffic.traffic.weight(step),
                            traffic.traffic.virtual_service,
                            traffic.traffic.weight(step + 1)
                        ),
                    });
                }
            }
            ShiftProgress::Held | ShiftProgress::Passed => {}
        }
    }
    None
}

fn next_hook(progress: &PhaseProgress, phase: usize, place: HookPlace) -> Option<Action> {
    let hooks = match place {
        HookPlace::Before => &progress.before,
        HookPlace::After => &progress.after,
    };
    let is_done = |outcome: &Option<HookOutcome>| {
        matches!(
            outcome,
            Some(HookOutcome::Done | HookOutcome::DoneBefore | HookOutcome::TakenAsDone)
        )
    };
    let index = hooks.iter().position(|outcome| !is_done(outcome))?;
    Some(Action::Hook {
        hook: HookAt {
            phase,
            place,
            index,
        },
    })
}

/// What a failure leads to. A trigger always rolls back, a phase as it says; what no rollback
/// takes back makes a person decide.
fn after_failure(plan: &Plan, state: &RunState, failure: &Failure) -> Action {
    let on_failure = match (failure.is_trigger, failure.phase) {
        (true, _) | (false, None) => OnFailure::Rollback,
        (false, Some(phase)) => plan
            .phases
            .get(phase)
            .map_or(OnFailure::Rollback, |phase| phase.on_failure),
    };
    match on_failure {
        OnFailure::Rollback => match rollback::crossed(plan, state) {
            None => Action::RollBack {
                reason: failure.reason.clone(),
            },
            Some(crossed) => Action::Pause {
                reason: format!(
                    "{}; not rolled back by itself, as {crossed}",
                    failure.reason
                ),
            },
        },
        OnFailure::Pause => Action::Pause {
            reason: failure.reason.clone(),
        },
        OnFailure::Stop => Action::End {
            state: EndState::Failed,
            reason: Some(failure.reason.clone()),
        },
    }
}

fn next_of_rollback(plan: &Plan, run: i64, state: &RunState) -> Action {
    // Requests go back to where they were before what answers them goes.
    let shifts = state.to_unshift(plan, run);
    for (index, shift) in shifts.iter().enumerate() {
        match state.unshifted.get(&index) {
            None => return Action::Unshift { index },
            Some(Some(problem)) => {
                return Action::Stuck {
                    reason: format!(
                        "the traffic of {} was not taken back, and so no service was: {problem}",
                        shift.traffic.virtual_service
                    ),
                };
            }
            Some(None) => {}
        }
    }
    let restores = state.to_restore(plan, run);
    if let Some(restore) = restores
        .iter()
        .find(|restore| !state.restored.contains_key(&restore.service))
    {
        return Action::Restore(Box::new(restore.clone()));
    }
    let failed: Vec<String> = state
        .restored
        .iter()
        .filter_map(|(service, problem)| Some(format!("{service}: {}", problem.as_ref()?)))
        .collect();
    if !failed.is_empty() {
        return Action::Stuck {
            reason: format!("not taken back: {}", failed.join("; ")),
        };
    }
    let is_nothing = restores.is_empty() && shifts.is_empty() && plan.kind == Kind::Deploy;
    if is_nothing {
        return Action::End {
            state: EndState::Cancelled,
            reason: state.reason.clone(),
        };
    }
    Action::AwaitRestored
}
