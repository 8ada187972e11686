//! Which images have passed: those of the newest run that succeeded, where nothing has changed since.

use jiff::Timestamp;

use super::plan::{ChangeAction, Plan};
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
