//! `deploy`: plans, shows, asks, begins, and follows to the end.

use clap::Args;
use serde_json::{Value, json};

use super::{
    super::{
        Failure,
        asked::{Asked, Consent, Where},
        block_on,
        output::note,
    },
    approve, follow,
    outcome::{self, Wanted},
    plan::Chosen,
    terminal,
};
use crate::{answer::Answer, deploy::Status};

#[derive(Debug, Args)]
pub(in super::super) struct DeployArguments {
    #[command(flatten)]
    chosen: Chosen,
    /// Begin the run of this plan, which `plan` showed; the same digest again follows its run.
    #[arg(long, value_name = "DIGEST", conflicts_with_all = ["phases", "through", "services"])]
    digest: Option<String>,
    #[command(flatten)]
    consent: Consent,
    /// Begin and leave it: `status --follow` shows it.
    #[arg(long)]
    detach: bool,
    /// Print how it ended in the structured form; what happens goes to stderr.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

pub(in super::super) fn run(arguments: &DeployArguments) -> Result<(), Failure> {
    let asked = arguments.at.asked(arguments.json)?;
    block_on(async {
        let digest = match &arguments.digest {
            Some(digest) => digest.clone(),
            None => {
                let plan = asked
                    .call("plan_deployment", arguments.chosen.arguments())
                    .await?;
                show(&plan);
                agree("Deploy this?", &plan, arguments.consent.yes)?
            }
        };
        let begun = asked
            .call(
                "deploy_phase",
                json!({"digest": digest, "reason": arguments.consent.reason}),
            )
            .await?;
        to_the_end(&asked, &begun, arguments.detach, Wanted::Success).await
    })
}

/// A plan, beside the answer.
pub(in super::super) fn show(plan: &Answer) {
    let mut plan = plan.clone();
    // What comes next is asked here.
    plan.remove("next_step");
    note(plan.text());
    note("");
}

/// The digest of a plan, once it is agreed to.
pub(super) fn agree(question: &str, plan: &Answer, is_agreed: bool) -> Result<String, Failure> {
    let digest = plan
        .field("digest")
        .and_then(Value::as_str)
        .ok_or_else(|| Failure::Error("the plan has no digest".into()))?;
    if !is_agreed {
        let instead = format!("give --yes, or --digest {digest}");
        terminal::confirm(question, &instead)?;
    }
    Ok(digest.to_owned())
}

/// Follows a run that has begun, asks for approvals on the way where there is a terminal, and
/// tells how it ended.
pub(super) async fn to_the_end(
    asked: &Asked,
    begun: &Answer,
    is_left: bool,
    wanted: Wanted,
) -> Result<(), Failure> {
    let structured = begun.structured();
    let warnings = structured.get("warnings").and_then(Value::as_array);
    for warning in warnings.into_iter().flatten().filter_map(Value::as_str) {
        note(warning);
    }
    let run = begun
        .field("run")
        .and_then(Value::as_i64)
        .ok_or_else(|| Failure::Error("the answer names no run".into()))?;
    let deployments = asked.deployments().await?;
    loop {
        let seen = match is_left {
            true => follow::look(&deployments, run).await?,
            false => follow::follow(asked, &deployments, run).await?,
        };
        if seen.reading.state.status == Status::AwaitingApproval && terminal::is_there() {
            approve::approve(asked, &deployments, run).await?;
            if !is_left {
                continue;
            }
        }
        let mut answer = asked
            .call("get_deployment", json!({"run": run.to_string()}))
            .await?;
        if !is_left {
            follow::leave_out_what_is_seen(asked, &mut answer);
        }
        asked.print(&answer)?;
        return outcome::of(&follow::look(&deployments, run).await?, wanted);
    }
}
