//! `deploy_phase`: begins the run of a plan.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Call, Context, Effect, Outcome, Tool, Toolset, arguments, deployment, schema};
use crate::answer::{Answer, Budget};

const NAME: &str = "deploy_phase";

pub const TOOL: Tool = Tool {
    name: NAME,
    title: "Deploy",
    description: "Begins the run of a plan by its digest; the same digest again gives the same run. \
                  A process of its own drives it: it goes on when this client is gone.",
    toolset: Toolset::Deploy,
    effect: Effect::Write {
        destructive: true,
        idempotent: true,
    },
    arguments: schema::of_arguments::<Arguments>,
    result: || schema::result(&["run", "state"], &run_fields()),
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

/// What a run is told with.
pub fn run_fields() -> Vec<(&'static str, Value)> {
    vec![
        ("run", schema::integer()),
        ("state", schema::string()),
        ("kind", schema::string()),
        ("reason", schema::string()),
        ("began", schema::string()),
        ("took", schema::string()),
        ("phases", schema::table()),
        ("taken_back", schema::string()),
        ("earlier_lines", schema::integer()),
        ("timeline", schema::list(schema::string())),
        ("next_step", schema::string()),
        ("is_earlier", schema::boolean()),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Of plan_deployment or roll_back.
    digest: String,
    /// Seconds to wait for its end, at most 45.
    #[schemars(range(min = 0, max = 45))]
    wait: Option<u64>,
    /// Why; it stands in the journal.
    reason: Option<String>,
}

async fn call(context: &Context, sent: Value) -> Outcome {
    let asked: Arguments = arguments::read(sent)?;
    let deployments = deployment::deployments(context).await?;
    let run = deployments
        .begin(
            &asked.digest,
            context.by(),
            asked.reason.as_deref(),
            context.deadline(),
        )
        .await?;
    let until = deployment::until(context, asked.wait);
    let mut seen = deployments.look(run.id).await?;
    while seen.reading.state.status.is_active()
        && !seen.is_interrupted()
        && std::time::Instant::now() < until
    {
        let seq = seen.reading.state.last_seq;
        deployments.wait(run.id, seq, until).await?;
        seen = deployments.look(run.id).await?;
    }
    let mut answer = Answer::new(Budget::DEFAULT);
    deployment::put_run(&mut answer, context, &seen, 6);
    if run.is_earlier {
        answer.put("is_earlier", true);
        answer.warn("this plan was used before: this is the run that used it");
    }
    Ok(answer)
}
