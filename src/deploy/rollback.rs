//! What a rollback takes back, in which order, and what it never can. Pure.

use std::collections::BTreeSet;

use super::{
    plan::{Plan, PlannedAction, Restore, ShiftBack},
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

/// The same for traffic: each route goes to how it was before the oldest run that shifted it, from how
/// the newest one left it.
pub fn chain_of_shifts(runs: &[(i64, Vec<ShiftBack>)]) -> Vec<ShiftBack> {
    let mut oldest: Vec<ShiftBack> = Vec::new();
    for shift in runs.iter().flat_map(|(_, shifts)| shifts) {
        match oldest.iter_mut().find_map(|one| turned(shift, one)) {
            Some((place, earlier)) => {
                place.before = earlier.before;
                place.run = earlier.run;
            }
            None => oldest.push(shift.clone()),
        }
    }
    oldest
}

/// Where both are of the same two versions of one route: the newer one, and the older one with its
/// versions in the same order.
fn turned<'a>(
    older: &ShiftBack,
    newer: &'a mut ShiftBack,
) -> Option<(&'a mut ShiftBack, ShiftBack)> {
    let (one, other) = (&older.traffic, &newer.traffic);
    if one.virtual_service != other.virtual_service {
        return None;
    }
    let mut older = older.clone();
    if (&one.from, &one.to) == (&other.to, &other.from) {
        older.before = older.before.turned();
    } else if (&one.from, &one.to) != (&other.from, &other.to) {
        return None;
    }
    Some((newer, older))
}

/// Of these only the services of some phases.
pub fn only(restores: Vec<Restore>, services: &BTreeSet<ServiceName>) -> Vec<Restore> {
    restores
        .into_iter()
        .filter(|restore| services.contains(&restore.service))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        platform::model::{Promote, Traffic},
        runtime::Weights,
    };

    fn shift(run: i64, (from, to): (&str, &str), before: (u32, u32), ours: &[u8]) -> ShiftBack {
        ShiftBack {
            traffic: Traffic {
                virtual_service: "api-vs".into(),
                from: from.into(),
                to: to.into(),
                weights: ours.to_vec(),
                promote: Promote::Gate,
            },
            phase: "canary".into(),
            before: Weights {
                from: before.0,
                to: before.1,
            },
            ours: ours.iter().map(|weight| Weights::of(*weight)).collect(),
            run,
        }
    }

    #[test]
    fn a_route_goes_from_how_the_newest_run_left_it_to_how_the_oldest_found_it() {
        let there = shift(3, ("v1", "v2"), (90, 10), &[50]);
        let whole = shift(4, ("v1", "v2"), (50, 50), &[100]);
        // Back again, with the two the other way round.
        let again = shift(5, ("v2", "v1"), (0, 100), &[100]);
        let other = shift(5, ("v2", "v3"), (100, 0), &[10]);
        let all = chain_of_shifts(&[
            (5, vec![other.clone(), again.clone()]),
            (4, vec![whole]),
            (3, vec![there]),
        ]);
        let expected = ShiftBack {
            before: Weights { from: 10, to: 90 },
            run: 3,
            ..again
        };
        assert_eq!(all, [other, expected]);
    }
}
