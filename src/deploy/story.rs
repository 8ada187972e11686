//! What happened in a run, in words. Pure; nothing of what runtimes and hooks keep secret.

use super::{
    event::{Entry, Event, HookAt, HookOutcome, HookPlace},
    gate::ConditionReading,
    plan::Plan,
};
use crate::platform::ServiceName;

/// Names that one line holds; the rest is counted.
const MOST_NAMES: usize = 4;

/// One line; none for entries that say nothing to a reader.
pub fn line(plan: &Plan, entry: &Entry) -> Option<String> {
    let phase = |at: &usize| {
        plan.phases
            .get(*at)
            .map_or_else(|| format!("phase {}", at + 1), |phase| phase.name.clone())
    };
    Some(match &entry.event {
        Event::Created { by, .. } => format!("begun by {by}"),
        Event::ApprovalAsked { phase: at } => format!("{}: a person has to approve it", phase(at)),
        Event::Approved { by, phase: at, way } => {
            let how = way.map_or_else(String::new, |way| format!(" ({})", way.as_str()));
            let what = at.map_or_else(String::new, |at| format!("{}: ", phase(&at)));
            format!("{what}approved by {by}{how}")
        }
        Event::Driving { process, .. } => format!("driven by process {}", process.pid),
        Event::CommandBegun { .. } | Event::GateBegun { .. } => return None,
        Event::BackupMade {
            index,
            name,
            objects,
        } => format!(
            "{}: backup {name} made and read back ({objects} objects)",
            database(plan, *index)
        ),
        Event::BackupFailed { reason, .. } => reason.clone(),
        Event::PhaseBegun { phase: at } => format!("{}: begun", phase(at)),
        Event::HookBegun { hook } => format!("{}: {}", phase(&hook.phase), hook_name(plan, *hook)),
        Event::HookEnded { hook, outcome } => format!(
            "{}: {} {}",
            phase(&hook.phase),
            hook_name(plan, *hook),
            of_hook(outcome)
        ),
        Event::StepBegun { .. } => return None,
        Event::StepEnded {
            phase: at,
            services,
            ..
        } => {
            let failed: Vec<String> = services
                .iter()
                .filter_map(|end| Some(format!("{}: {}", end.service, end.problem.as_ref()?)))
                .collect();
            match failed.is_empty() {
                true => {
                    let names: Vec<&ServiceName> =
                        services.iter().map(|end| &end.service).collect();
                    let mut words: Vec<&str> =
                        services.iter().map(|end| end.outcome.as_str()).collect();
                    words.dedup();
                    format!("{}: {} {}", phase(at), some(&names), words.join(", "))
                }
                false => format!("{}: {}", phase(at), failed.join("; ")),
            }
        }
        Event::StepReady { .. } => return None,
        Event::GatePassed {
            phase: at,
            promoted,
            readings,
            ..
        } => match promoted {
            Some(promoted) => format!("{}: let pass {promoted}", phase(at)),
            None => format!("{}: gate passed ({})", phase(at), read(readings)),
        },
        Event::ShiftBegun { .. } | Event::UnshiftBegun { .. } => return None,
        Event::ShiftEnded { phase: at, step } => {
            format!("{}: {}", phase(at), share(plan, *at, *step))
        }
        Event::ShiftPassed {
            phase: at,
            step,
            readings,
            promoted,
        } => {
            let share = share(plan, *at, *step);
            match promoted {
                Some(promoted) => format!("{}: past {share}, let pass {promoted}", phase(at)),
                None => format!("{}: gate passed at {share} ({})", phase(at), read(readings)),
            }
        }
        Event::UnshiftEnded {
            index,
            outcome,
            problem,
        } => match problem {
            Some(problem) => format!("traffic {} was not taken back: {problem}", index + 1),
            None => format!("traffic taken back ({outcome})"),
        },
        Event::PhaseFailed {
            phase: at, reason, ..
        } => format!("{} failed: {reason}", phase(at)),
        Event::PhaseEnded { phase: at } => {
            let word = plan
                .phases
                .get(*at)
                .and_then(|one| one.status_word.as_ref());
            match word {
                Some(word) => format!("{}: done, the platform is {word}", phase(at)),
                None => format!("{}: done", phase(at)),
            }
        }
        Event::Triggered { reason } => reason.clone(),
        Event::Resumed { by, reason } => match reason {
            Some(reason) => format!("resumed by {by}: {reason}"),
            None => format!("resumed by {by}"),
        },
        // What the platform file does itself follows the line that says why.
        Event::RollbackBegun { by, .. } if by == super::BY_THE_FILE => "rollback begun".into(),
        Event::RollbackBegun { by, reason } => format!("rollback begun by {by}: {reason}"),
        Event::Paused { by, .. } if by == super::BY_THE_FILE => "paused".into(),
        Event::Paused { by, reason } => format!("paused by {by}: {reason}"),
        Event::RestoreBegun { .. } => return None,
        Event::RestoreEnded {
            service,
            outcome,
            problem,
            ..
        } => match problem {
            Some(problem) => format!("{service} was not taken back: {problem}"),
            None => format!("{service} taken back ({outcome})"),
        },
        Event::Stuck { reason } => format!("stuck: {reason}"),
        Event::Ended { state, reason, by } => {
            let mut line = super::Status::Ended(*state).as_str().replace('_', " ");
            if let Some(by) = by {
                line.push_str(&format!(" by {by}"));
            }
            if let Some(reason) = reason {
                line.push_str(&format!(": {reason}"));
            }
            line
        }
        Event::Note { text } => text.clone(),
    })
}

fn read(readings: &[ConditionReading]) -> String {
    let all: Vec<String> = readings
        .iter()
        .map(|one| format!("{}: {}", one.condition, one.reading))
        .collect();
    all.join("; ")
}

/// `10 % of api-gateway-vs to v2`.
fn share(plan: &Plan, phase: usize, step: usize) -> String {
    let traffic = plan.phases.get(phase).and_then(|one| one.traffic.as_ref());
    traffic.map_or_else(
        || format!("weight {}", step + 1),
        |one| {
            let traffic = &one.traffic;
            format!(
                "{} % of {} to {}",
                traffic.weight(step),
                traffic.virtual_service,
                traffic.to
            )
        },
    )
}

fn database(plan: &Plan, index: usize) -> String {
    plan.backups.get(index).map_or_else(
        || "a database".to_owned(),
        |one| format!("{} in {}", one.name, one.service),
    )
}

fn hook_name(plan: &Plan, hook: HookAt) -> String {
    let phase = plan.phases.get(hook.phase);
    let hooks = phase.map(|phase| match hook.place {
        HookPlace::Before => &phase.before,
        HookPlace::After => &phase.after,
    });
    hooks
        .and_then(|hooks| hooks.get(hook.index))
        .map_or_else(|| "a hook".to_owned(), super::plan::PlannedHook::name)
}

fn of_hook(outcome: &HookOutcome) -> String {
    match outcome {
        HookOutcome::Done => "done".into(),
        HookOutcome::DoneBefore => "had been done before".into(),
        HookOutcome::TakenAsDone => "taken as done".into(),
        HookOutcome::Failed(reason) => format!("failed: {reason}"),
        HookOutcome::Unknown(_) => "may have run or not".into(),
    }
}

fn some(names: &[&ServiceName]) -> String {
    let mut shown: Vec<String> = names
        .iter()
        .take(MOST_NAMES)
        .map(ToString::to_string)
        .collect();
    if names.len() > MOST_NAMES {
        shown.push(format!("and {} more", names.len() - MOST_NAMES));
    }
    shown.join(", ")
}
