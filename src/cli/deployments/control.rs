//! `pause`, `resume`, `promote`, `abort`, `accept`: what a person decides about a run.

use clap::Args;
use serde_json::json;

use super::{
    super::{Failure, asked::Where, block_on},
    approve, deploy,
    outcome::Wanted,
};
use crate::{deploy::requests::Verb, tools::deployment};

#[derive(Debug, Args)]
pub(in super::super) struct ControlArguments {
    /// The run.
    #[arg(value_name = "RUN")]
    run: String,
    /// Why; it stands in the journal.
    #[arg(long)]
    reason: Option<String>,
    /// Watch it until it is over or a person has to decide again.
    #[arg(long)]
    follow: bool,
    /// Print the structured form.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

/// Exit code 0 where it was taken; with `--follow` that of how the run ended.
pub(in super::super) fn run(arguments: &ControlArguments, verb: Verb) -> Result<(), Failure> {
    let mut asked = arguments.at.asked(arguments.json)?;
    block_on(async {
        let run =
            deployment::run_number("RUN", &arguments.run).map_err(|error| asked.failure(&error))?;
        if !matches!(verb, Verb::Pause | Verb::Abort) {
            let deployments = asked.deployments()?;
            let seen = super::follow::look(&deployments, run)?;
            if approve::needs_proof(&deployments, &seen.row.target)? {
                approve::prove(&format!("{} run {run}", verb.as_str()))?;
                asked = asked.proven();
            }
        }
        let sent = json!({
            "run": run.to_string(),
            "action": verb.as_str(),
            "reason": arguments.reason,
        });
        let answer = asked.call("control_deployment", sent).await?;
        if !arguments.follow {
            return asked.print(&answer);
        }
        let wanted = match verb {
            Verb::Abort => Wanted::Back,
            _ => Wanted::Success,
        };
        deploy::to_the_end(&asked, &answer, false, wanted).await
    })
}
