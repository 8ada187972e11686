//! `health` and `validate`: is the platform well; as a table and an exit code.

use clap::Args;
use serde_json::{Value, json};

use super::{
    Failure,
    asked::{Where, print_fields},
    block_on,
};

#[derive(Debug, Args)]
pub(super) struct HealthArguments {
    /// Services or container names; default all.
    #[arg(value_name = "SERVICE", conflicts_with = "phase")]
    services: Vec<String>,
    /// Those of one phase.
    #[arg(long)]
    phase: Option<String>,
    /// Also uptime and response times over 1 h, 24 h, 7 d and 30 d.
    #[arg(long)]
    history: bool,
    /// Print the structured form.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

/// How much has to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    /// What was seen lately is enough; what could not be looked at is no fault.
    AsKnown,
    /// Every service is looked at now, and has to be well.
    Validated,
}

/// Exit code 0 where nothing is wrong; for `validate`, where every service was seen to be well.
pub(super) fn run(arguments: &HealthArguments, strictness: Strictness) -> Result<(), Failure> {
    let asked = arguments.at.asked(arguments.json)?;
    block_on(async {
        let services = (!arguments.services.is_empty()).then(|| arguments.services.clone());
        let sent = json!({
            "services": services,
            "phase": arguments.phase,
            "refresh": strictness == Strictness::Validated,
            "history": arguments.history,
        });
        let told = asked.call_all("check_health", sent, "services").await?;
        print_fields(&told, arguments.json)?;
        let count = |verdicts: &[&str]| -> u64 {
            let counts = told.get("counts");
            verdicts
                .iter()
                .filter_map(|verdict| counts?.get(verdict)?.as_u64())
                .sum()
        };
        let all = told
            .get("total")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        let is_well = match strictness {
            Strictness::AsKnown => count(&["down", "blocked"]) == 0,
            Strictness::Validated => count(&["up", "degraded"]) == all,
        };
        match is_well {
            true => Ok(()),
            false => Err(Failure::Said),
        }
    })
}
