//! `plan`: what a deployment would do.

use clap::Args;
use serde_json::{Value, json};

use super::super::{Failure, asked::Where, block_on};

#[derive(Debug, Args)]
pub(in super::super) struct PlanArguments {
    #[command(flatten)]
    chosen: Chosen,
    /// Print the structured form.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

/// What is deployed; everything where nothing is named.
#[derive(Debug, Clone, Args)]
pub(super) struct Chosen {
    /// Phases by name or number.
    #[arg(value_name = "PHASE", conflicts_with_all = ["through", "services"])]
    pub(super) phases: Vec<String>,
    /// All phases up to and with this one.
    #[arg(long, value_name = "PHASE", conflicts_with = "services")]
    pub(super) through: Option<String>,
    /// These services alone; `minimal` is the platform's emergency set.
    #[arg(long, value_name = "SERVICE", value_delimiter = ',', num_args = 1..)]
    pub(super) services: Vec<String>,
}

impl Chosen {
    /// As `plan_deployment` takes it.
    pub(super) fn arguments(&self) -> Value {
        let some = |names: &[String]| (!names.is_empty()).then(|| names.to_vec());
        json!({
            "phases": some(&self.phases),
            "through": self.through,
            "services": some(&self.services),
        })
    }
}

pub(in super::super) fn run(arguments: &PlanArguments) -> Result<(), Failure> {
    let asked = arguments.at.asked(arguments.json)?;
    block_on(async {
        let answer = asked
            .call("plan_deployment", arguments.chosen.arguments())
            .await?;
        asked.print(&answer)
    })
}
