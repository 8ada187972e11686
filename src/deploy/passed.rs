//! Which images have passed: those of the newest run that succeeded, where nothing has changed since.

use jiff::Timestamp;

use super::plan::{ChangeAction, Plan, PlannedTraffic};
use crate::{
    platform::ServiceName,
    runtime::{Observed, ServiceState},
};

/// The newest run on a target, as far as it decides.
#[derive(Debug, Clone)]
pub struct Newest {
    pub run: i64,
    /// As `Status::as_str` writes it.
    pub state: String,
    pub is_open: bool,
    pub ended: Timestamp,
}

/// Images that stood behind the gates of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    pub run: i64,
    pub ended: Timestamp,
    pub target: String,
    /// Each with its digest: `api:1@sha256:…`.
    pub images: Vec<(ServiceName, String)>,
}

/// All images of the phases, or everything for which they have not passed. `plan` is what would be done
/// now: where that is more than nothing, something else runs than what the run left.
pub fn passed(
    newest: Option<&Newest>,
    plan: &Plan,
    observed: &[Observed],
) -> Result<Passed, Vec<String>> {
    let Some(newest) = newest else {
        return Err(vec![format!("there was no run on {}", plan.target)]);
    };
    if newest.is_open || newest.state != "succeeded" {
        return Err(vec![format!(
            "the newest run, {}, is {}: what runs has not passed its gates",
            newest.run, newest.state
        )]);
    }
    let mut why_not = Vec::new();
    let mut images = Vec::new();
    for change in plan.phases.iter().flat_map(|phase| &phase.changes) {
        let name = &change.service;
        let found = observed.iter().find(|one| one.service == *name);
        if let Some(problem) = &change.problem {
            why_not.push(format!("`{name}`: {problem}"));
        } else if let Some(drift) = &change.drift {
            why_not.push(format!("`{name}`: {drift}"));
        } else if change.action != ChangeAction::Keep {
            why_not.push(format!(
                "`{name}` is not what the files say: a run would {} it",
                change.action.as_str()
            ));
        } else {
            match found.map(image) {
                Some(Ok(image)) => images.push((name.clone(), image)),
                Some(Err(reason)) => why_not.push(format!("`{name}`: {reason}")),
                None => why_not.push(format!("`{name}`: the runtime told nothing of it")),
            }
        }
    }
    why_not.extend(elsewhere(plan));
    if !why_not.is_empty() {
        return Err(why_not);
    }
    Ok(Passed {
        run: newest.run,
        ended: newest.ended,
        target: plan.target.clone(),
        images,
    })
}

/// Routes that are divided otherwise than the last phase that shifts them leaves them.
fn elsewhere(plan: &Plan) -> Vec<String> {
    let all: Vec<&PlannedTraffic> = plan
        .phases
        .iter()
        .filter_map(|phase| phase.traffic.as_ref())
        .collect();
    let of_route = |one: &PlannedTraffic, other: &PlannedTraffic| {
        one.traffic.virtual_service == other.traffic.virtual_service
    };
    let mut told = Vec::new();
    for (at, last) in all.iter().enumerate() {
        let has_later = all.iter().skip(at + 1).any(|later| of_route(later, last));
        // The first one found it as it is now.
        let first = all.iter().find(|first| of_route(first, last));
        let (false, Some(first)) = (has_later, first) else {
            continue;
        };
        let now = match first.traffic.from == last.traffic.from {
            true => first.was,
            false => first.was.turned(),
        };
        if now != last.last() {
            told.push(format!(
                "`{}` gives {} {} %, and what passed had {} %",
                last.traffic.virtual_service,
                last.traffic.to,
                now.percent(),
                last.last().percent()
            ));
        }
    }
    told
}

/// The image of a service with the digest that its instances have.
fn image(observed: &Observed) -> Result<String, &'static str> {
    if !matches!(observed.state, ServiceState::Running) {
        return Err("it does not run");
    }
    let name = observed.image_id.as_deref().ok_or("it has no image")?;
    let digest = observed.image_digest.as_deref().ok_or(
        "the runtime tells no digest that all its instances have: its image may not come from a registry",
    )?;
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    Ok(format!("{name}@{digest}"))
}
