//! `approve`: a person lets a run go on that waits for one.

use clap::Args;
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{
    super::{
        Failure,
        asked::Asked,
        block_on,
        output::{note, say},
    },
    control::Decision,
    deploy, follow,
    outcome::{self, Wanted},
    passphrase::{PassphraseError, Place},
    terminal,
};
use crate::{
    deploy::{DeployError, Deployments, Status, deployments::Seen, event::Way, requests::Verb},
    tools::{ToolError, deployment},
};

#[derive(Debug, Args)]
pub(in super::super) struct ApproveArguments {
    /// The run.
    #[arg(value_name = "RUN", required_unless_present = "set_passphrase")]
    run: Option<String>,
    /// Choose the passphrase that approvals in production ask for.
    #[arg(long, conflicts_with_all = ["run", "follow", "reason"])]
    set_passphrase: bool,
    #[command(flatten)]
    decision: Decision,
}

pub(in super::super) fn run(arguments: &ApproveArguments) -> Result<(), Failure> {
    let Some(run) = &arguments.run else {
        return set_passphrase();
    };
    let decision = &arguments.decision;
    let asked = decision.asked()?;
    block_on(async {
        let run = deployment::run_number("RUN", run).map_err(|error| asked.failure(error))?;
        let deployments = asked.deployments().await?;
        approve_for(&asked, &deployments, run, decision.reason.as_deref()).await?;
        let sent = json!({"run": run.to_string()});
        let answer = asked.call("get_deployment", sent).await?;
        if decision.follow {
            return deploy::to_the_end(&asked, &answer, false, Wanted::Success).await;
        }
        asked.print(&answer)?;
        outcome::of(&follow::look(&deployments, run).await?, Wanted::Success)
    })
}

/// Asks the person at the terminal, and approves.
pub(super) async fn approve(
    asked: &Asked,
    deployments: &Deployments,
    run: i64,
) -> Result<(), Failure> {
    approve_for(asked, deployments, run, None).await
}

async fn approve_for(
    asked: &Asked,
    deployments: &Deployments,
    run: i64,
    reason: Option<&str>,
) -> Result<(), Failure> {
    let told = |error: DeployError| asked.failure(error);
    let context = asked.context();
    let seen = follow::look(deployments, run).await?;
    let is_awaited = seen.reading.state.status == Status::AwaitingApproval;
    if is_awaited && is_stale(&seen, Timestamp::now()) {
        let expired = seen.reading.plan.expires_at;
        let reason = format!("nobody approved it before its plan expired at {expired}");
        deployments
            .ask(run, Verb::Abort, context.by(), Some(&reason))
            .await
            .map_err(told)?;
        return Err(Failure::Error(format!(
            "run {run} was cancelled: {reason}; nothing was changed. Make a new plan"
        )));
    }
    if is_awaited {
        let target = deployments.target().await.map_err(told)?;
        if target != seen.row.target {
            return Err(Failure::Error(format!(
                "run {run} is for {}, this is {target}: approve it there",
                seen.row.target
            )));
        }
        note(what(&seen));
        let way = match needs_proof(deployments, &target).await? {
            true => {
                terminal::or_left(move || prove(&format!("approve run {run}"))).await?;
                Way::Passphrase
            }
            false => {
                let instead = "a person approves on one; no flag and no argument does";
                terminal::or_left(|| terminal::confirm("Approve this?", instead)).await?;
                Way::Terminal
            }
        };
        if let Some(question) = seen.question() {
            let approved = deployments.approve(&question, way, context.by(), reason);
            return approved.await.map_err(told);
        }
    }
    // It waits for nothing: this says so.
    deployments
        .ask(run, Verb::Approve, context.by(), reason)
        .await
        .map_err(told)
}

/// A run that nobody let begin in time: what its plan was made from changes. A phase in the middle
/// of a run waits as long as it has to.
fn is_stale(seen: &Seen, now: Timestamp) -> bool {
    seen.reading.state.driver.is_none() && seen.reading.plan.is_expired(now)
}

/// What would be approved.
fn what(seen: &Seen) -> String {
    let (plan, state) = (&seen.reading.plan, &seen.reading.state);
    let next = state.phases.iter().position(|one| one.ended_at.is_none());
    let what = match (state.driver.is_some(), next) {
        (true, Some(at)) => plan
            .phases
            .get(at)
            .map_or_else(String::new, |phase| format!(", phase {}", phase.name)),
        _ if plan.phases.is_empty() => {
            format!(", which takes back {} services", plan.restores.len())
        }
        _ => {
            let names: Vec<&str> = plan.phases.iter().map(|one| one.name.as_str()).collect();
            format!(", phases {}", names.join(", "))
        }
    };
    format!(
        "run {} of plan {} on {}{what}; asked for by {}",
        seen.row.id,
        plan.digest(),
        plan.target,
        state.by
    )
}

/// Asks for the passphrase where what is done to this target needs it; whether it did.
pub(in super::super) async fn prove_if_needed(
    deployments: &Deployments,
    target: &str,
    what: &str,
) -> Result<bool, Failure> {
    let is_needed = needs_proof(deployments, target).await?;
    if is_needed {
        prove(what)?;
    }
    Ok(is_needed)
}

async fn needs_proof(deployments: &Deployments, target: &str) -> Result<bool, Failure> {
    let needs = deployments.needs_person(target).await;
    needs.map_err(|error| Failure::Error(ToolError::from(error).text()))
}

/// Asks for the passphrase.
fn prove(what: &str) -> Result<(), Failure> {
    let place = Place::of_user().map_err(failed)?;
    let Some(kept) = place.kept().map_err(failed)? else {
        return Err(Failure::Error(format!(
            "the target is in production, and no passphrase is kept in {}: set one with \
             `openpolicy-mcp approve --set-passphrase`; nothing was changed",
            place.path().display()
        )));
    };
    let typed = terminal::hidden(&format!("Passphrase to {what} (production): "))?;
    match kept.is(&typed) {
        true => Ok(()),
        false => Err(Failure::Error(
            "that is not the passphrase; nothing was changed".into(),
        )),
    }
}

fn set_passphrase() -> Result<(), Failure> {
    let place = Place::of_user().map_err(failed)?;
    if let Some(kept) = place.kept().map_err(failed)? {
        let old = terminal::hidden("The passphrase so far: ")?;
        if !kept.is(&old) {
            return Err(Failure::Error(
                "that is not the passphrase; it stays as it is".into(),
            ));
        }
    }
    let new = terminal::hidden("New passphrase: ")?;
    let again = terminal::hidden("The same again: ")?;
    if new.expose_secret() != again.expose_secret() {
        return Err(Failure::Error("the two differ; nothing was changed".into()));
    }
    place.keep(&new).map_err(failed)?;
    say(format_args!(
        "its hash is kept in {}, for you alone",
        place.path().display()
    ))
}

fn failed(error: PassphraseError) -> Failure {
    match error {
        PassphraseError::Short => Failure::Usage(error.to_string()),
        error => Failure::Error(error.to_string()),
    }
}
