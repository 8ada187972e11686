//! The checklists before and after a run: named checks with yes, no or could not look. Pure.
//!
//! The names are those of the lists in the documents about the reference platforms, in their
//! words; which check answers which line stands in `platforms/README.md`.

use super::{
    plan::{ChangeAction, Check, CheckResult, Plan, PlannedPhase},
    planning::{Material, is_absent},
    state::{PhaseProgress, RunState, Status},
};
use crate::{
    platform::{Bytes, Platform},
    runtime::Readiness,
};

/// What a plan knows beside services.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Whether health is being watched and history kept.
    pub monitoring: Option<Result<(), String>>,
    /// What the linter found.
    pub findings: usize,
    /// Memory that the machine has free.
    pub available: Option<Bytes>,
    /// How its memory was measured, or why it is not known.
    pub machine: Option<String>,
    /// Whether Prometheus, where one is named, answers.
    pub prometheus: Option<Result<(), String>>,
    /// Whether Alertmanager, where one is named, is there.
    pub has_alertmanager: bool,
    /// What the runtime alone can tell, or why it could not.
    pub runtime: Option<Result<Vec<Readiness>, String>>,
}

fn check(name: &str, result: CheckResult, note: impl Into<Option<String>>) -> Check {
    Check {
        name: name.to_owned(),
        result,
        note: note.into(),
    }
}

fn of_result(name: &str, result: &Result<(), String>) -> Check {
    match result {
        Ok(()) => check(name, CheckResult::Yes, None),
        Err(reason) => check(name, CheckResult::No, reason.clone()),
    }
}

/// Before a run.
pub fn preflight(
    platform: &Platform,
    phases: &[PlannedPhase],
    material: &Material<'_>,
) -> Vec<Check> {
    let mut list = Vec::new();
    // 'Cluster ready', 'clean cluster state'.
    list.push(match &material.observed {
        Ok(observed) => {
            let there = observed
                .iter()
                .filter(|one| !is_absent(&one.service, material))
                .count();
            let note = format!("{} answers, {there} services run", material.target);
            check("runtime ready", CheckResult::Yes, note)
        }
        Err(reason) => check("runtime ready", CheckResult::CouldNotLook, reason.clone()),
    });
    match &material.facts.runtime {
        Some(Ok(told)) => list.extend(told.iter().map(|one| {
            let result = match one.is_ready {
                Some(is_ready) => yes_if(is_ready),
                None => CheckResult::CouldNotLook,
            };
            check(one.name, result, one.note.clone())
        })),
        Some(Err(reason)) => list.push(check(
            "runtime prepared",
            CheckResult::CouldNotLook,
            reason.clone(),
        )),
        None => {}
    }
    list.push(clean_state(phases));
    list.push(resources(platform, phases, material));
    list.push(images(material));
    list.push(check(
        "configuration valid",
        CheckResult::Yes,
        (material.facts.findings > 0)
            .then(|| format!("the linter has {} findings", material.facts.findings)),
    ));
    list.push(match &material.facts.monitoring {
        Some(result) => of_result("monitoring ready", result),
        None => check("monitoring ready", CheckResult::CouldNotLook, None),
    });
    list.push(way_back(phases));
    list.push(earlier_phases(platform, phases, material));
    if let Some(result) = &material.facts.prometheus {
        list.push(of_result("metrics reachable", result));
    }
    list
}

fn clean_state(phases: &[PlannedPhase]) -> Check {
    let changes = phases.iter().flat_map(|phase| &phase.changes);
    let drifted: Vec<String> = changes
        .clone()
        .filter(|change| change.drift.is_some())
        .map(|change| change.service.0.clone())
        .collect();
    let unknown = changes
        .filter(|change| change.action == ChangeAction::Unknown)
        .count();
    match (unknown, drifted.is_empty()) {
        (0, true) => check("clean state", CheckResult::Yes, None),
        (0, false) => check(
            "clean state",
            CheckResult::No,
            format!("changed by hand: {}", drifted.join(", ")),
        ),
        (unknown, _) => check(
            "clean state",
            CheckResult::CouldNotLook,
            format!("{unknown} services could not be looked at"),
        ),
    }
}

fn resources(platform: &Platform, phases: &[PlannedPhase], material: &Material<'_>) -> Check {
    let name = "resources available";
    let Some(last) = phases.last() else {
        return check(name, CheckResult::Yes, None);
    };
    let Some(capacity) = material.capacity.memory else {
        let why = material.facts.machine.as_ref();
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        return check(
            name,
            CheckResult::CouldNotLook,
            format!("the memory of the platform is not known{why}"),
        );
    };
    let measured = platform
        .capacity
        .memory
        .filter(|_| material.facts.available.is_some_and(|free| free < capacity));
    let how = material.facts.machine.as_ref();
    let how = how.filter(|_| platform.capacity.memory.is_none());
    let how = how.map(|how| format!(" ({how})")).unwrap_or_default();
    let note = format!("limits of {} in {capacity}{how}", last.sums.memory);
    if last.sums.memory > capacity {
        return check(name, CheckResult::No, note);
    }
    match (measured, material.facts.available) {
        (Some(_), Some(free)) => check(
            name,
            CheckResult::Yes,
            format!("{note}; the machine has {free} free now"),
        ),
        _ => check(name, CheckResult::Yes, note),
    }
}

fn images(material: &Material<'_>) -> Check {
    let broken: Vec<String> = material
        .desired
        .iter()
        .filter_map(|desired| {
            Some(format!(
                "{}: {}",
                desired.service,
                desired.problem.as_ref()?
            ))
        })
        .collect();
    let absent: Vec<String> = material
        .desired
        .iter()
        .filter(|desired| desired.problem.is_none() && desired.is_image_absent)
        .map(|desired| desired.service.0.clone())
        .collect();
    match (broken.is_empty(), absent.is_empty()) {
        (true, true) => check("images ready", CheckResult::Yes, None),
        (false, _) => check("images ready", CheckResult::No, broken.join("; ")),
        (true, false) => check(
            "images ready",
            CheckResult::No,
            format!("not on this machine yet: {}", absent.join(", ")),
        ),
    }
}

fn way_back(phases: &[PlannedPhase]) -> Check {
    let name = "rollback ready";
    let changes = phases.iter().flat_map(|phase| &phase.changes);
    let mut limits: Vec<String> = changes
        .clone()
        .filter_map(|change| change.irreversible.clone())
        .collect();
    let hooks: usize = phases
        .iter()
        .map(|phase| phase.before.len() + phase.after.len())
        .sum();
    if hooks > 0 {
        limits.push(format!("{hooks} hooks, which are not taken back"));
    }
    let left: Vec<String> = changes
        .filter(|change| !change.not_restored.is_empty())
        .map(|change| format!("{}: {}", change.service, change.not_restored.join(", ")))
        .collect();
    limits.extend(left);
    match limits.is_empty() {
        true => check(name, CheckResult::Yes, None),
        false => check(name, CheckResult::No, limits.join("; ")),
    }
}

fn earlier_phases(platform: &Platform, phases: &[PlannedPhase], material: &Material<'_>) -> Check {
    let name = "earlier phases up";
    let first = phases.first().and_then(|first| {
        platform
            .phases
            .iter()
            .position(|phase| phase.name == first.name)
    });
    let missing: Vec<String> = platform
        .phases
        .iter()
        .take(first.unwrap_or_default())
        .flat_map(|phase| phase.steps.iter().flatten())
        .filter(|service| is_absent(service, material) || material.unwell.contains(service))
        .map(|service| service.0.clone())
        .collect();
    match (&material.observed, missing.is_empty()) {
        (Err(_), _) => check(name, CheckResult::CouldNotLook, None),
        (Ok(_), true) => check(name, CheckResult::Yes, None),
        (Ok(_), false) => check(
            name,
            CheckResult::No,
            format!("not up: {}", missing.join(", ")),
        ),
    }
}

/// After a run.
pub fn postflight(plan: &Plan, state: &RunState, facts: &Facts) -> Vec<Check> {
    let done = |phase: &PhaseProgress| phase.is_gate_passed;
    let mut list = vec![
        check(
            "services deployed",
            yes_if(
                matches!(state.status, Status::Ended(_))
                    && state.phases.iter().all(|one| one.ended_at.is_some()),
            ),
            None,
        ),
        check(
            "all services healthy",
            yes_if(state.phases.iter().all(done)),
            state
                .phases
                .iter()
                .rev()
                .find_map(|phase| phase.readings.first().map(|one| one.reading.clone())),
        ),
    ];
    let promoted: Vec<String> = plan
        .phases
        .iter()
        .zip(&state.phases)
        .filter_map(|(planned, phase)| {
            Some(format!(
                "{} was let pass {}",
                planned.name,
                phase.promoted.as_ref()?
            ))
        })
        .collect();
    list.push(check(
        "gates passed",
        yes_if(state.phases.iter().all(done) && promoted.is_empty()),
        (!promoted.is_empty()).then(|| promoted.join("; ")),
    ));
    list.push(check(
        "baseline recorded",
        yes_if(state.phases.iter().any(|one| one.baseline.memory.is_some())),
        None,
    ));
    list.push(check(
        "alerts configured",
        yes_if(facts.has_alertmanager),
        (!facts.has_alertmanager).then(|| "no Alertmanager is named".to_owned()),
    ));
    match &facts.monitoring {
        Some(result) => list.push(of_result("metrics collection working", result)),
        None => list.push(check(
            "metrics collection working",
            CheckResult::CouldNotLook,
            None,
        )),
    }
    list
}

fn yes_if(holds: bool) -> CheckResult {
    if holds {
        CheckResult::Yes
    } else {
        CheckResult::No
    }
}
