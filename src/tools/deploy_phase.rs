//! `deploy_phase`: begins the run of a plan.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Call, Context, Effect, Outcome, Tool, Toolset, arguments,
    deployment::{self, approval},
    schema,
};
use crate::answer::{Answer, Budget};

const NAME: &str = "deploy_phase";

/// How long a driver takes to come to an approval that its run begins with.
const TO_BE_ASKED: Duration = Duration::from_secs(5);

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
    let mut seen = deployments.look(run.id).await?;
    let mut until = deployment::until(context, asked.wait);
    if seen.next_phase_asks() {
        // That comes first of all: it is soon known.
        until = until
            .max(Instant::now() + TO_BE_ASKED)
            .min(deployment::latest(context));
    }
    let mut waits = None;
    loop {
        while seen.reading.state.status.is_active()
            && !seen.is_interrupted()
            && Instant::now() < until
        {
            let seq = seen.reading.state.last_seq;
            deployments.wait(run.id, seq, until).await?;
            seen = deployments.look(run.id).await?;
        }
        // Where nobody may be asked here, `next_step` says who is.
        if seen.question().is_none()
            || approval::may_ask(context, &deployments, &seen)
                .await?
                .is_err()
        {
            break;
        }
        let outcome = approval::ask(context, &deployments, &seen).await?;
        // A person takes their time: others may have decided meanwhile.
        seen = deployments.look(run.id).await?;
        match outcome {
            approval::Outcome::Approved => until = deployment::until(context, asked.wait),
            approval::Outcome::Waits(why) => {
                waits = Some(why);
                break;
            }
            approval::Outcome::GoesOut => break,
        }
    }
    let mut answer = Answer::new(Budget::DEFAULT);
    deployment::put_run(&mut answer, context, &seen, 6);
    if let Some(why) = waits {
        answer.warn(why);
    }
    if run.is_earlier {
        answer.put("is_earlier", true);
        answer.warn("this plan was used before: this is the run that used it");
    }
    Ok(answer)
}
