//! `status`: one run, or all of them.

use clap::Args;
use serde_json::{Value, json};

use super::{
    super::{Failure, asked::Where, block_on},
    follow,
    outcome::{self, Wanted},
};

#[derive(Debug, Args)]
pub(in super::super) struct StatusArguments {
    /// The run; default the newest.
    #[arg(value_name = "RUN", conflicts_with = "history")]
    run: Option<String>,
    /// Watch it until it is over or a person has to decide.
    #[arg(long, conflicts_with = "history")]
    follow: bool,
    /// All runs instead of one.
    #[arg(long)]
    history: bool,
    /// Lines of the timeline, or runs.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=200))]
    limit: Option<u64>,
    /// Print the structured form.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

pub(in super::super) fn run(arguments: &StatusArguments) -> Result<(), Failure> {
    let asked = arguments.at.asked(arguments.json)?;
    block_on(async {
        let sent = json!({
            "run": arguments.run,
            "history": arguments.history,
            "limit": arguments.limit,
        });
        let mut answer = asked.call("get_deployment", sent.clone()).await?;
        let run = answer.field("run").and_then(Value::as_i64);
        let Some(run) = run else {
            return asked.print(&answer);
        };
        let deployments = asked.deployments().await?;
        if arguments.follow {
            follow::follow(&asked, &deployments, run).await?;
            answer = asked.call("get_deployment", sent).await?;
            follow::leave_out_what_is_seen(&asked, &mut answer);
        }
        asked.print(&answer)?;
        outcome::of(&follow::look(&deployments, run).await?, Wanted::Success)
    })
}
