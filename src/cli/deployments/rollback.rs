//! `rollback`: takes back what runs did.

use clap::Args;
use serde_json::json;

use super::{
    super::{
        Failure,
        asked::{Consent, Where},
        block_on,
    },
    deploy,
    outcome::Wanted,
};

#[derive(Debug, Args)]
pub(in super::super) struct RollbackArguments {
    /// The run to take back, with those after it; default the newest.
    #[arg(value_name = "RUN", conflicts_with = "to")]
    run: Option<String>,
    /// Back to how it was after this run.
    #[arg(long, value_name = "RUN")]
    to: Option<String>,
    /// Only services of these phases.
    #[arg(long, value_name = "PHASE", value_delimiter = ',', num_args = 1..)]
    phases: Vec<String>,
    /// Only show what it would take back.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    consent: Consent,
    /// Print the structured form; what happens goes to stderr.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

pub(in super::super) fn run(arguments: &RollbackArguments) -> Result<(), Failure> {
    let asked = arguments.at.asked(arguments.json)?;
    block_on(async {
        let phases = (!arguments.phases.is_empty()).then(|| arguments.phases.clone());
        let sent = json!({"run": arguments.run, "to": arguments.to, "phases": phases});
        let plan = asked.call("roll_back", sent).await?;
        if arguments.dry_run {
            return asked.print(&plan);
        }
        deploy::show(&plan);
        let digest = deploy::agree("Take this back?", &plan, arguments.consent.yes)?;
        let sent = json!({"digest": digest, "reason": arguments.consent.reason});
        let begun = asked.call("roll_back", sent).await?;
        deploy::to_the_end(&asked, &begun, false, Wanted::Back).await
    })
}
