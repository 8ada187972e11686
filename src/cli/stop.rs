//! `stop`: the emergency stop by hand.

use clap::Args;
use serde_json::{Value, json};

use super::{
    Failure,
    asked::{Consent, Where},
    block_on,
    deployments::{approve, deploy, terminal},
};

#[derive(Debug, Args)]
pub(super) struct StopArguments {
    /// These services, essential or not.
    #[arg(value_name = "SERVICE", conflicts_with_all = ["memory_below", "all"])]
    services: Vec<String>,
    /// What is not essential, most memory first, until the platform uses less: 80%, 6Gi.
    #[arg(long, value_name = "LIMIT", conflicts_with = "all")]
    memory_below: Option<String>,
    /// Every service of the platform.
    #[arg(long)]
    all: bool,
    /// Only show what would be stopped.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    consent: Consent,
    /// Print the structured form.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

/// Exit code 0 where everything that was wanted is stopped.
pub(super) fn run(arguments: &StopArguments) -> Result<(), Failure> {
    let mut asked = arguments.at.asked(arguments.json)?;
    block_on(async {
        let mut sent = json!({
            "services": (!arguments.services.is_empty()).then(|| arguments.services.clone()),
            "until": arguments.memory_below.as_ref().map(|limit| json!({"memory_below": limit})),
            "all": arguments.all,
            "reason": arguments.consent.reason,
            "dry_run": true,
        });
        let shown = asked.call("stop_services", sent.clone()).await?;
        let state = shown.field("state").and_then(Value::as_str);
        if arguments.dry_run || state != Some("planned") {
            asked.print(&shown)?;
            return how(&shown);
        }
        deploy::show(&shown);
        if !arguments.consent.yes {
            terminal::confirm("Stop these?", "give --yes, or --dry-run to look")?;
        }
        let deployments = asked.deployments().await?;
        let target = asked.target(&deployments).await?;
        if approve::prove_if_needed(&deployments, &target, "stop services").await? {
            asked = asked.proven();
        }
        sent["dry_run"] = false.into();
        let done = asked.call("stop_services", sent).await?;
        asked.print(&done)?;
        how(&done)
    })
}

fn how(answer: &crate::answer::Answer) -> Result<(), Failure> {
    let state = answer.field("state").and_then(Value::as_str);
    let is_short = answer.field("still_needed").is_some();
    match state {
        Some("unknown" | "partly_stopped") => Err(Failure::Said),
        _ if is_short => Err(Failure::Said),
        _ => Ok(()),
    }
}
