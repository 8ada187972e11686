//! What a rollback takes back, in which order, and what it never can. Pure.

use std::collections::BTreeSet;

use super::{
    plan::{Plan, PlannedAction, Restore},
    state::RunState,
};
use crate::platform::ServiceName;

/// Why a run went past a point from which no rollback leads back; none where it did not.
pub fn crossed(plan: &Plan, state: &RunState) -> Option<String> {
    let of_services: Vec<String> = state
        .touched
        .iter()
        .filter(|touched| !is_backed_up(plan, state, &touched.service))
        .filter_map(|touched| {
            let change = plan.change(&touched.service)?;
            change.irreversible.clone()
        })
        .collect();
    if let Some(first) = of_services.first() {
        return Some(first.clone());
    }
    let hooks = plan
        .phases
        .iter()
        .flat_map(|phase| phase.before.iter().chain(&phase.after));
    let are_backed_up = hooks.into_iter().all(|hook| match &hook.action {
        PlannedAction::Exec { service, .. } => is_backed_up(plan, state, service),
        PlannedAction::Http { .. } => false,
    });
    (state.hooks_done > 0 && !are_backed_up).then(|| {
        let (hooks, have) = match state.hooks_done {
            1 => ("a hook", "has"),
            _ => ("hooks", "have"),
        };
        format!("{hooks} {have} run, and what that did is not taken back")
    })
}

/// Whether everything that is dumped of a service was dumped in this run, and something is.
fn is_backed_up(plan: &Plan, state: &RunState, service: &ServiceName) -> bool {
    let mut of_service = plan
        .backups
        .iter()
        .enumerate()
        .filter(|(_, database)| database.service == *service)
        .peekable();
    of_service.peek().is_some() && of_service.all(|(index, _)| state.backups.contains(&index))
}

/// What leads back to the state before the oldest of these runs, given newest first: each service
/// goes to what it was before the oldest run that touched it; those touched last come first.
pub fn chain(runs: &[(i64, Vec<Restore>)]) -> Vec<Restore> {
    let mut oldest: Vec<Restore> = Vec::new();
    for (_, restores) in runs {
        for restore in restores {
            match oldest.iter_mut().find(|one| one.service == restore.service) {
                Some(place) => *place = restore.clone(),
                None => oldest.push(restore.clone()),
            }
        }
    }
    oldest
}

/// Of these only the services of some phases.
pub fn only(restores: Vec<Restore>, services: &BTreeSet<ServiceName>) -> Vec<Restore> {
    restores
        .into_iter()
        .filter(|restore| services.contains(&restore.service))
        .collect()
}
