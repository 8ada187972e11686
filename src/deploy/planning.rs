//! Makes a plan of what was asked, what should run, and what runs. Pure.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use secrecy::ExposeSecret as _;

use super::{
    checks::{self, Facts},
    plan::{
        ChangeAction, Kind, Plan, PlannedAction, PlannedHook, PlannedPhase, PlannedTraffic,
        Restore, ServiceChange, ShiftBack, Sums, VALID_FOR,
    },
};
use crate::{
    platform::{
        Percent, Phase, Platform, Service, ServiceName,
        model::{Capacity, Database, Hook, HookAction, OnDriverLoss, OnFailure, RuntimeKind},
    },
    runtime::{Desired, Divided, Exit, Observed, ServiceState},
    store::journal::Left,
};

/// What a plan is made of.
pub struct Material<'a> {
    pub platform: &'a Platform,
    /// What there is, measured where the file does not say.
    pub capacity: Capacity,
    pub target: String,
    pub now: Timestamp,
    /// For all services of the chosen phases.
    pub desired: Vec<Desired>,
    /// For all services of the platform.
    pub observed: Result<Vec<Observed>, String>,
    /// The routes of the phases that shift traffic, as they are now, by the name of the phase.
    pub routes: BTreeMap<String, Divided>,
    /// What earlier runs left.
    pub left: BTreeMap<String, Left>,
    /// Services that are not well now.
    pub unwell: Vec<ServiceName>,
    pub facts: Facts,
}

/// Services that are started together without a phase around them.
pub struct Loose {
    pub name: String,
    pub services: Vec<ServiceName>,
}

/// What is deployed.
pub enum Chosen<'a> {
    Phases(Vec<&'a Phase>),
    /// Some services, in the order of their dependencies, as one phase.
    Services(Loose),
}

/// How long what has no phase may take to be up.
const LOOSE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// A plan without a number: the journal gives it.
pub fn plan(chosen: &Chosen<'_>, material: Material<'_>) -> Plan {
    let platform = material.platform;
    let mut phases: Vec<PlannedPhase> = match chosen {
        Chosen::Phases(phases) => phases
            .iter()
            .map(|phase| planned(phase, &material))
            .collect(),
        Chosen::Services(loose) => vec![planned_loose(platform, loose)],
    };
    follow_each_other(&mut phases);
    let deployed = deployed_before(chosen, platform, &material);
    let mut so_far = deployed.clone();
    for phase in &mut phases {
        phase.changes = phase
            .services()
            .map(|service| change(service, &material))
            .collect();
        for service in phase.steps.iter().flatten() {
            if !so_far.contains(service) {
                so_far.push(service.clone());
            }
        }
        phase.sums = sums(platform, &material.capacity, &so_far);
    }
    let mut warnings = warnings(platform, &phases, &material);
    if let Err(reason) = &material.observed {
        warnings.push(format!("what runs now is not known: {reason}"));
    }
    let backups = backups(platform, &phases, &material);
    let preflight = checks::preflight(platform, &phases, &material);
    Plan {
        id: 0,
        kind: Kind::Deploy,
        platform: platform.name.clone(),
        target: material.target,
        environment: platform.environment,
        created_at: material.now,
        expires_at: material.now + VALID_FOR,
        phases,
        is_loose: matches!(chosen, Chosen::Services(_)),
        desired: material.desired,
        deployed,
        triggers: platform.rollback_when.clone(),
        trigger_hold: platform.rollback_hold,
        trigger_window: platform.rollback_window,
        backups,
        restores: Vec::new(),
        shifts: Vec::new(),
        warnings,
        preflight,
        unwell: material.unwell,
    }
}

/// Databases whose service runs now and is replaced, or has a hook of the plan.
fn backups(platform: &Platform, phases: &[PlannedPhase], material: &Material<'_>) -> Vec<Database> {
    if !platform.backup.before_run {
        return Vec::new();
    }
    let is_replaced = |service: &ServiceName| {
        let mut changes = phases.iter().flat_map(|phase| &phase.changes);
        changes.any(|change| change.service == *service && change.action == ChangeAction::Replace)
    };
    let has_hook = |service: &ServiceName| {
        let mut hooks = phases
            .iter()
            .flat_map(|phase| phase.before.iter().chain(&phase.after));
        hooks.any(
            |hook| matches!(&hook.action, PlannedAction::Exec { service: of, .. } if of == service),
        )
    };
    let databases = platform.backup.databases.iter().filter(|database| {
        let service = &database.service;
        !is_absent(service, material) && (is_replaced(service) || has_hook(service))
    });
    databases.cloned().collect()
}

/// A plan that takes services back.
pub fn plan_of_rollback(
    platform: &Platform,
    target: String,
    (restores, shifts): (Vec<Restore>, Vec<ShiftBack>),
    unwell: Vec<ServiceName>,
    now: Timestamp,
) -> Plan {
    let mut warnings = Vec::new();
    for restore in &restores {
        let service = platform.service(&restore.service.0);
        let is_stateful = service.is_some_and(|service| service.is_stateful);
        if is_stateful && restore.before.configuration.is_some() {
            warnings.push(format!(
                "{} keeps data: its program goes back, its data stays as it is",
                restore.service
            ));
        }
    }
    Plan {
        id: 0,
        kind: Kind::RollBack,
        platform: platform.name.clone(),
        target,
        environment: platform.environment,
        created_at: now,
        expires_at: now + VALID_FOR,
        phases: Vec::new(),
        is_loose: false,
        desired: Vec::new(),
        deployed: Vec::new(),
        triggers: Vec::new(),
        trigger_hold: platform.rollback_hold,
        trigger_window: platform.rollback_window,
        backups: Vec::new(),
        restores,
        shifts,
        warnings,
        preflight: Vec::new(),
        unwell,
    }
}

fn planned(phase: &Phase, material: &Material<'_>) -> PlannedPhase {
    let route = material.routes.get(&phase.name);
    PlannedPhase {
        name: phase.name.clone(),
        steps: phase.steps.clone(),
        changes: Vec::new(),
        gate: phase.gate.clone(),
        stable_for: phase.stable_for,
        gate_timeout: phase.gate_timeout,
        window: phase.window,
        before: phase.before.iter().filter_map(hook).collect(),
        after: phase.after.iter().filter_map(hook).collect(),
        traffic: phase
            .traffic
            .clone()
            .zip(route)
            .map(|(traffic, route)| PlannedTraffic {
                traffic,
                was: route.weights,
            }),
        on_failure: phase.on_failure,
        on_driver_loss: phase.on_driver_loss,
        needs_approval: phase.needs_approval,
        status_word: phase.status_word.clone(),
        expected: phase.expected,
        sums: Sums::default(),
    }
}

/// Of two phases that shift the same traffic the later one finds it as the earlier one leaves it.
fn follow_each_other(phases: &mut [PlannedPhase]) {
    let mut left: Vec<PlannedTraffic> = Vec::new();
    for planned in phases.iter_mut().filter_map(|phase| phase.traffic.as_mut()) {
        let traffic = &planned.traffic;
        let earlier = left.iter().rev().find_map(|earlier| {
            let (before, last) = (&earlier.traffic, earlier.last());
            let is_same = before.virtual_service == traffic.virtual_service;
            match (&before.from, &before.to) {
                (from, to) if is_same && (from, to) == (&traffic.from, &traffic.to) => Some(last),
                (from, to) if is_same && (to, from) == (&traffic.from, &traffic.to) => {
                    Some(last.turned())
                }
                _ => None,
            }
        });
        planned.was = earlier.unwrap_or(planned.was);
        left.push(planned.clone());
    }
}

fn planned_loose(platform: &Platform, loose: &Loose) -> PlannedPhase {
    PlannedPhase {
        name: loose.name.clone(),
        steps: crate::runtime::order::waves(platform, &loose.services),
        changes: Vec::new(),
        gate: vec![],
        stable_for: Duration::ZERO,
        gate_timeout: LOOSE_TIMEOUT,
        window: platform.rollback_window,
        before: Vec::new(),
        after: Vec::new(),
        traffic: None,
        on_failure: OnFailure::default(),
        on_driver_loss: OnDriverLoss::default(),
        needs_approval: false,
        status_word: None,
        expected: None,
        sums: Sums::default(),
    }
}

/// A hook of a file that is not trusted does nothing; such a file is not deployed at all.
fn hook(hook: &Hook) -> Option<PlannedHook> {
    let action = match &hook.action {
        HookAction::Exec { service, command } => PlannedAction::Exec {
            service: service.clone(),
            command: command.clone(),
        },
        HookAction::Http { method, url } => PlannedAction::Http {
            method: (*method).to_owned(),
            url: url.expose_secret().to_owned(),
        },
        HookAction::Withheld => return None,
    };
    Some(PlannedHook {
        action,
        check: hook.check.clone(),
        timeout: hook.timeout,
    })
}

/// Services of earlier phases, where they are there: they count in gates and sums.
fn deployed_before(
    chosen: &Chosen<'_>,
    platform: &Platform,
    material: &Material<'_>,
) -> Vec<ServiceName> {
    let in_plan: Vec<&ServiceName> = match chosen {
        Chosen::Phases(phases) => phases
            .iter()
            .flat_map(|phase| phase.steps.iter().flatten())
            .collect(),
        Chosen::Services(loose) => loose.services.iter().collect(),
    };
    let Ok(observed) = &material.observed else {
        return Vec::new();
    };
    let is_there = |service: &&Service| {
        let mut seen = observed.iter().filter(|one| one.service == service.name);
        seen.any(|one| is_in_use(one, service.is_one_shot))
    };
    platform
        .services
        .iter()
        .filter(is_there)
        .map(|service| &service.name)
        .filter(|name| !in_plan.contains(name))
        .cloned()
        .collect()
}

/// Whether it counts in gates and sums: what was stopped on purpose does not, what ended by itself
/// with a fault does.
fn is_in_use(observed: &Observed, is_one_shot: bool) -> bool {
    match &observed.state {
        ServiceState::Absent | ServiceState::Unknown(_) => false,
        ServiceState::Exited(exit) => is_one_shot || !is_stopped(exit),
        _ => true,
    }
}

/// It ended well, or by a signal with which a service is asked to end (TERM, INT) or is ended when
/// it does not (KILL), and not for want of memory, which has a reason.
fn is_stopped(exit: &Exit) -> bool {
    const INT: i32 = 2;
    const KILL: i32 = 9;
    const TERM: i32 = 15;
    exit.is_success() || exit.reason.is_none() && matches!(exit.signal, Some(INT | KILL | TERM))
}

fn change(name: &ServiceName, material: &Material<'_>) -> ServiceChange {
    let desired = material.desired.iter().find(|one| one.service == *name);
    let observed = material
        .observed
        .as_ref()
        .ok()
        .and_then(|all| all.iter().find(|one| one.service == *name));
    let action = action(desired, observed);
    let image = desired.and_then(|desired| desired.image.clone());
    let image_before = observed.and_then(|observed| observed.image.clone());
    let has_other_image = observed
        .zip(desired)
        .is_some_and(|(observed, desired)| is_other_image(observed, desired));
    let is_stateful = material
        .platform
        .service(&name.0)
        .is_some_and(|service| service.is_stateful);
    let irreversible = (is_stateful && has_other_image).then(|| {
        format!(
            "{name} keeps data and gets another image: an older one over its data is no way back"
        )
    });
    ServiceChange {
        service: name.clone(),
        drift: observed.and_then(|observed| drift(observed, material.left.get(&name.0))),
        image_before: has_other_image.then_some(image_before).flatten(),
        image,
        irreversible,
        not_restored: match action {
            ChangeAction::Keep => Vec::new(),
            _ => desired
                .map(|desired| desired.not_restored.clone())
                .unwrap_or_default(),
        },
        problem: match desired {
            Some(desired) => desired.problem.clone(),
            None => Some("the runtime did not say how it should run".into()),
        },
        action,
    }
}

/// Whether it gets another image than it has. Another variable or limit is another configuration of
/// the same image.
fn is_other_image(observed: &Observed, desired: &Desired) -> bool {
    match (&observed.image_id, &desired.image_id) {
        (Some(now), Some(then)) => now != then,
        // It has to be pulled or built: nobody knows what it will be.
        (Some(_), None) => true,
        (None, _) => observed.image.is_some() && observed.image != desired.image,
    }
}

fn action(desired: Option<&Desired>, observed: Option<&Observed>) -> ChangeAction {
    let (Some(desired), Some(observed)) = (desired, observed) else {
        return ChangeAction::Unknown;
    };
    let is_same = observed.configuration.as_deref() == Some(desired.digest.as_str());
    match (&observed.state, is_same) {
        (ServiceState::Unknown(_), _) => ChangeAction::Unknown,
        (ServiceState::Absent, _) => ChangeAction::Create,
        (_, false) => ChangeAction::Replace,
        (ServiceState::Exited(_), true) => ChangeAction::Start,
        (_, true) => ChangeAction::Keep,
    }
}

/// Whether somebody else changed what a run of ours left, or what is there was never ours.
fn drift(observed: &Observed, left: Option<&Left>) -> Option<String> {
    if matches!(
        observed.state,
        ServiceState::Absent | ServiceState::Unknown(_)
    ) {
        return None;
    }
    let left = left?;
    match (&observed.live, &left.live) {
        (Some(now), Some(then)) if now != then => {
            Some(format!("changed by hand since run {}", left.run))
        }
        _ => None,
    }
}

fn sums(platform: &Platform, capacity: &Capacity, services: &[ServiceName]) -> Sums {
    let mut sums = Sums::default();
    for name in services {
        let Some(service) = platform.service(&name.0) else {
            continue;
        };
        let copies = match platform.runtime {
            RuntimeKind::Kubernetes { .. } => {
                service.replicas.map_or(1, |(least, _)| u64::from(least))
            }
            // One container or process each.
            _ => 1,
        };
        match service.memory {
            Some(memory) => sums.memory.0 += memory.0 * copies,
            None => sums.without_limit += 1,
        }
        sums.cpu.0 += service.cpu.map_or(0, |cpu| cpu.0) * copies;
    }
    let outside = capacity.external_memory.map_or(0, |memory| memory.0);
    let share = |used: u64, all: Option<u64>| {
        all.filter(|all| *all > 0)
            .map(|all| Percent::of(used as f64, all as f64))
    };
    sums.memory_share = share(sums.memory.0 + outside, capacity.memory.map(|one| one.0));
    sums.cpu_share = share(sums.cpu.0, capacity.cpu.map(|one| one.0));
    sums
}

fn warnings(platform: &Platform, phases: &[PlannedPhase], material: &Material<'_>) -> Vec<String> {
    use crate::platform::model::Condition;
    let mut warnings = Vec::new();
    for phase in phases {
        for condition in &phase.gate {
            let (share, bound, what) = match condition {
                Condition::MemoryBelow(bound) => (phase.sums.memory_share, bound, "memory"),
                Condition::CpuBelow(bound) => (phase.sums.cpu_share, bound, "cpu"),
                _ => continue,
            };
            if let Some(share) = share
                && share.0 >= bound.0
            {
                warnings.push(format!(
                    "{}: the {what} limits add up to {share} of the capacity, its gate wants less \
                     than {bound}: it passes only while services stay below their limits",
                    phase.name
                ));
            }
        }
        let budget = platform
            .phase(&phase.name)
            .and_then(|phase| phase.budget.memory);
        if let Some(budget) = budget
            && phase.sums.memory > budget
        {
            warnings.push(format!(
                "{}: the memory limits add up to {}, its budget is {budget}",
                phase.name, phase.sums.memory
            ));
        }
    }
    let in_plan: Vec<&ServiceName> = phases.iter().flat_map(PlannedPhase::services).collect();
    for name in &in_plan {
        let Some(service) = platform.service(&name.0) else {
            continue;
        };
        for need in &service.needs {
            let is_there = in_plan.contains(&need) || !is_absent(need, material);
            if !is_there {
                warnings.push(format!(
                    "{name} needs {need}, which does not run and is not in the plan"
                ));
            }
        }
    }
    warnings
}

pub(super) fn is_absent(name: &ServiceName, material: &Material<'_>) -> bool {
    match &material.observed {
        Ok(observed) => observed
            .iter()
            .find(|one| one.service == *name)
            .is_none_or(|one| matches!(one.state, ServiceState::Absent | ServiceState::Exited(_))),
        // Nobody knows.
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(image: &str, id: Option<&str>) -> Observed {
        Observed {
            image: Some(image.into()),
            image_id: id.map(str::to_owned),
            ..Observed::new(ServiceName("api".into()), ServiceState::Running)
        }
    }

    fn wanted(image: &str, id: Option<&str>) -> Desired {
        Desired {
            service: ServiceName("api".into()),
            configuration: serde_json::Value::Null,
            digest: String::new(),
            image: Some(image.into()),
            image_id: id.map(str::to_owned),
            problem: None,
            is_image_absent: id.is_none(),
            not_restored: Vec::new(),
        }
    }

    #[test]
    fn an_image_is_known_by_its_id_and_not_by_its_name() {
        for (now, then, is_other) in [
            (
                running("api:1", Some("a")),
                wanted("api:1", Some("a")),
                false,
            ),
            // The name was moved to another image.
            (
                running("api:1", Some("a")),
                wanted("api:1", Some("b")),
                true,
            ),
            // Two names of one image.
            (
                running("api:1", Some("a")),
                wanted("api:2", Some("a")),
                false,
            ),
            (running("api:1", Some("a")), wanted("api:1", None), true),
            // What knows no identities tells by the name.
            (running("api:1", None), wanted("api:1", None), false),
            (running("api:1", None), wanted("api:2", None), true),
        ] {
            assert_eq!(is_other_image(&now, &then), is_other, "{now:?} {then:?}");
        }
    }

    #[test]
    fn what_somebody_stopped_is_not_in_use_and_what_crashed_is() {
        let ended = |code, signal, reason: Option<&str>| {
            let exit = Exit {
                code,
                signal,
                at: jiff::Timestamp::UNIX_EPOCH,
                reason: reason.map(str::to_owned),
            };
            Observed::new(ServiceName("api".into()), ServiceState::Exited(exit))
        };
        for (observed, is_one_shot, expected) in [
            (ended(Some(0), None, None), false, false),
            (ended(None, Some(15), None), false, false),
            (ended(None, Some(9), None), false, false),
            // The kernel ended it, as its memory was used up.
            (ended(None, Some(9), Some("out of memory")), false, true),
            (ended(Some(1), None, None), false, true),
            (ended(None, Some(11), None), false, true),
            // A migration that is done counts.
            (ended(Some(0), None, None), true, true),
        ] {
            assert_eq!(is_in_use(&observed, is_one_shot), expected, "{observed:?}");
        }
    }
}
