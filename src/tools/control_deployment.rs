//! `control_deployment`: what a person or an agent decides about a run.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Call, Context, Effect, ErrorCode, Outcome, Tool, ToolError, Toolset, arguments, deploy_phase,
    deployment::{self, approval},
    schema,
};
use crate::{
    answer::{Answer, Budget},
    deploy::{DeployError, Deployments, deployments::Seen, requests::Verb},
};

const NAME: &str = "control_deployment";

pub const TOOL: Tool = Tool {
    name: NAME,
    title: "Control a deployment",
    description: "Decides about a run: pause, resume (also an interrupted one), promote (past a gate \
                  that holds), abort (rolls back), accept (as it stands); request_approval asks the \
                  person at this client, where a run waits for one.",
    toolset: Toolset::Deploy,
    effect: Effect::Write {
        destructive: true,
        idempotent: true,
    },
    arguments: schema::of_arguments::<Arguments>,
    result: || schema::result(&["run", "state"], &deploy_phase::run_fields()),
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Its number.
    run: String,
    /// What becomes of it.
    action: Action,
    /// Why; it stands in the journal.
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Action {
    Pause,
    Resume,
    Promote,
    Abort,
    Accept,
    RequestApproval,
}

impl Action {
    /// What is asked of the run; none where a person is asked first.
    fn verb(self) -> Option<Verb> {
        Some(match self {
            Self::Pause => Verb::Pause,
            Self::Resume => Verb::Resume,
            Self::Promote => Verb::Promote,
            Self::Abort => Verb::Abort,
            Self::Accept => Verb::Accept,
            Self::RequestApproval => return None,
        })
    }
}

async fn call(context: &Context, sent: Value) -> Outcome {
    let asked: Arguments = arguments::read(sent)?;
    let run = deployment::run_number("run", &asked.run)?;
    let deployments = deployment::deployments(context).await?;
    let seen = deployments.look(run).await?;
    let Some(verb) = asked.action.verb() else {
        return request_approval(context, &deployments, seen).await;
    };
    // Stopping what goes wrong is free to everyone; going on in production is not.
    let is_for_a_person = !matches!(verb, Verb::Pause | Verb::Abort);
    if is_for_a_person
        && !context.has_proven()
        && deployments.needs_person(&seen.row.target).await?
    {
        let verb = verb.as_str();
        return Err(ToolError::new(
            ErrorCode::NeedsApproval,
            format!("the target is in production: a person decides about `{verb}`"),
        )
        .then(format!(
            "a person runs `openpolicy-mcp {verb} {run}` on a terminal; nothing was changed"
        )));
    }
    let reason = asked.reason.as_deref();
    deployments.ask(run, verb, context.by(), reason).await?;
    let seen = deployments.look(run).await?;
    let mut answer = Answer::new(Budget::DEFAULT);
    deployment::put_run(&mut answer, context, &seen, 4);
    if deployments.is_asked(run).await? {
        answer.warn("it is asked for, and done when the action at work has ended");
    }
    Ok(answer)
}

/// The action asks; what it comes to the person says, and no argument.
async fn request_approval(context: &Context, deployments: &Deployments, seen: Seen) -> Outcome {
    let run = seen.row.id;
    if seen.question().is_none() {
        return Err(DeployError::Refused {
            verb: Verb::Approve.as_str(),
            run,
            reason: format!("it does not wait for an approval ({})", seen.status()),
        }
        .into());
    }
    if let Err(reason) = approval::may_ask(context, deployments, &seen).await? {
        return Err(
            ToolError::new(ErrorCode::NeedsApproval, reason).then(format!(
                "`openpolicy-mcp approve {run}`; nothing was changed"
            )),
        );
    }
    let outcome = approval::ask(context, deployments, &seen).await?;
    let seen = deployments.look(run).await?;
    let mut answer = Answer::new(Budget::DEFAULT);
    deployment::put_run(&mut answer, context, &seen, 4);
    if let approval::Outcome::Waits(why) = outcome {
        answer.warn(why);
    }
    Ok(answer)
}
