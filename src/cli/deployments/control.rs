//! `pause`, `resume`, `promote`, `abort`, `accept`: what a person decides about a run.

use clap::Args;
use serde_json::json;

use super::{
    super::{
        Failure,
        asked::{Asked, Where},
        block_on,
    },
    approve, deploy,
    outcome::Wanted,
};
use crate::{deploy::requests::Verb, tools::deployment};

#[derive(Debug, Args)]
pub(in super::super) struct ControlArguments {
    /// The run.
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    decision: Decision,
}

/// What a person adds to a decision about a run.
#[derive(Debug, Args)]
pub(super) struct Decision {
    /// Why; it stands in the journal.
    #[arg(long)]
    pub(super) reason: Option<String>,
    /// Watch the run until it is over or a person has to decide again.
    #[arg(long)]
    pub(super) follow: bool,
    /// Print the structured form.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

impl Decision {
    pub(super) fn asked(&self) -> Result<Asked, Failure> {
        self.at.asked(self.json)
    }
}

/// Exit code 0 where it was taken; with `--follow` that of how the run ended.
pub(in super::super) fn run(arguments: &ControlArguments, verb: Verb) -> Result<(), Failure> {
    let ControlArguments { run, decision } = arguments;
    let mut asked = decision.asked()?;
    block_on(async {
        let run = deployment::run_number("RUN", run).map_err(|error| asked.failure(error))?;
        if !matches!(verb, Verb::Pause | Verb::Abort) {
            let deployments = asked.deployments().await?;
            let seen = super::follow::look(&deployments, run).await?;
            let what = format!("{} run {run}", verb.as_str());
            if approve::prove_if_needed(&deployments, &seen.row.target, &what).await? {
                asked = asked.proven();
            }
        }
        let sent = json!({
            "run": run.to_string(),
            "action": verb.as_str(),
            "reason": decision.reason,
        });
        let answer = asked.call("control_deployment", sent).await?;
        if !decision.follow {
            return asked.print(&answer);
        }
        let wanted = match verb {
            Verb::Abort => Wanted::Back,
            _ => Wanted::Success,
        };
        deploy::to_the_end(&asked, &answer, false, wanted).await
    })
}
