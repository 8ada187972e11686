//! Asks the person at a client for the approval that a run waits for.
//!
//! Only in development: what production asks a person for comes from the command line alone.

use crate::{
    answer::clean,
    deploy::{
        Deployments,
        deployments::Seen,
        event::Way,
        plan::{ChangeAction, PlannedPhase},
    },
    tools::{
        Context, ToolError,
        asking::{Accepted, Asked, Reply},
    },
};

/// Of a name in the question.
const LONGEST_NAME: usize = 60;
/// Of a target, which may hold a path.
const LONGEST_TARGET: usize = 120;
/// Names of services in one line; the rest is counted.
const MOST_NAMES: usize = 12;

/// What came of asking.
pub enum Outcome {
    Approved,
    /// It waits as before; why, for the reader of the answer.
    Waits(String),
    /// The question goes out in the place of the answer.
    GoesOut,
}

/// Whether the person at this client may be asked about this run: it is in development. `Err`: why not.
pub async fn may_ask(
    context: &Context,
    deployments: &Deployments,
    seen: &Seen,
) -> Result<Result<(), String>, ToolError> {
    let run = seen.row.id;
    let command = format!("`openpolicy-mcp approve {run}`");
    if seen.is_in_production() || deployments.needs_person(&seen.row.target).await? {
        return Ok(Err(format!(
            "the target is in production: only a person with the passphrase approves, on a terminal \
             with {command}; nobody was asked here"
        )));
    }
    Ok(match context.can_ask() {
        true => Ok(()),
        false => Err(format!(
            "this client cannot put a question to a person (it does not declare `elicitation`, or has \
             no way back to it): a person approves on a terminal with {command}"
        )),
    })
}

/// Asks, and approves where they accept. Only for a run that waits for an approval.
pub async fn ask(
    context: &Context,
    deployments: &Deployments,
    seen: &Seen,
) -> Result<Outcome, ToolError> {
    let run = seen.row.id;
    if let Err(reason) = may_ask(context, deployments, seen).await? {
        return Ok(Outcome::Waits(reason));
    }
    let Some(question) = seen.question() else {
        return Ok(Outcome::Waits("it does not wait for an approval".into()));
    };
    let asked = Asked {
        about: format!(
            "run {run}, plan {}, entry {}",
            question.digest, question.entry
        ),
        message: message(seen),
        until: super::latest(context),
    };
    let waits = |what: &str| Outcome::Waits(format!("{what}; run {run} stays waiting"));
    let Accepted { by, came_again } = match context.ask(asked).await {
        Reply::Accepted(accepted) => accepted,
        Reply::GoesOut => return Ok(Outcome::GoesOut),
        Reply::Declined => return Ok(waits("the person declined: nothing was approved")),
        Reply::Cancelled => {
            return Ok(waits(
                "the person closed the question without a decision: nothing was approved",
            ));
        }
        Reply::OfAnother => {
            return Ok(waits(
                "the answer that came is to another question than the one that is open now, and \
                 approved nothing; control_deployment with `request_approval` asks again",
            ));
        }
        Reply::None(why) => {
            return Ok(waits(&format!("{why}: nothing was approved")));
        }
    };
    let way = match came_again {
        true => Way::InputRequired,
        false => Way::Elicitation,
    };
    // A person takes their time: meanwhile somebody may have said that the target is in production.
    if let Err(reason) = may_ask(context, deployments, seen).await? {
        return Ok(Outcome::Waits(reason));
    }
    Ok(match deployments.approve(&question, way, &by, None).await {
        Ok(()) => Outcome::Approved,
        Err(crate::deploy::DeployError::Refused { reason, .. }) => Outcome::Waits(format!(
            "the person accepted, and it came too late ({reason}): nothing was approved"
        )),
        Err(error) => return Err(error.into()),
    })
}

/// The question, in fixed words. Names are others' words: cleaned, and cut.
fn message(seen: &Seen) -> String {
    let (plan, state) = (&seen.reading.plan, &seen.reading.state);
    let name = |name: &str| one_line(name, LONGEST_NAME);
    let shifts = seen.asked_phase().and_then(|phase| phase.traffic.as_ref());
    let shifts = shifts.map_or_else(String::new, |traffic| {
        let line = one_line(&super::traffic(traffic), LONGEST_TARGET);
        format!("\nTraffic: {line}")
    });
    let (what, services, hooks) = match seen.asked_phase() {
        Some(phase) => (
            format!("deploy phase {}", name(&phase.name)),
            services(phase),
            phase.before.len() + phase.after.len(),
        ),
        None => ("begin".to_owned(), "all of its plan".to_owned(), 0),
    };
    let hooks = match hooks {
        0 => String::new(),
        count => format!("\nHooks: {count} of the platform file are run"),
    };
    format!(
        "A deployment waits for your approval.\n\
         Run: {}, of plan {}, asked for by {}\n\
         What: {what}\n\
         Services: {services}{hooks}{shifts}\n\
         Platform: {}, on {}\n\
         Accept, and this is done now. Decline, and the run stays waiting; nothing is changed.",
        seen.row.id,
        plan.digest(),
        name(&state.by),
        name(&plan.platform),
        one_line(&plan.target, LONGEST_TARGET),
    )
}

/// Nobody adds a line of their own to the question.
fn one_line(text: &str, longest: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    clean::text(&words.join(" "), longest)
}

/// `create api, web; keep 3`.
fn services(phase: &PlannedPhase) -> String {
    let of = |action: ChangeAction| {
        let all = phase.changes.iter().filter(|one| one.action == action);
        all.map(|one| one_line(&one.service.0, LONGEST_NAME))
            .collect::<Vec<_>>()
    };
    let mut parts = Vec::new();
    let mut actions: Vec<ChangeAction> = phase.changes.iter().map(|one| one.action).collect();
    actions.sort();
    actions.dedup();
    for action in actions {
        let names = of(action);
        let word = action.as_str();
        if action == ChangeAction::Keep {
            parts.push(format!("{word} {}", names.len()));
            continue;
        }
        let rest = names.len().saturating_sub(MOST_NAMES);
        let shown = names.get(..MOST_NAMES).unwrap_or(&names).join(", ");
        parts.push(match rest {
            0 => format!("{word} {shown}"),
            rest => format!("{word} {shown} and {rest} more"),
        });
    }
    parts.join("; ")
}
