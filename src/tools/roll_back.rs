//! `roll_back`: takes back what runs did; tells first what that would be.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Call, Context, Effect, Outcome, Tool, ToolError, Toolset, arguments, deploy_phase, deployment,
    schema,
};
use crate::{
    answer::{Answer, Budget, Table},
    deploy::Plan,
};

const NAME: &str = "roll_back";

pub const TOOL: Tool = Tool {
    name: NAME,
    title: "Roll back",
    description: "Takes back a run, some phases of it, or everything since an earlier run. Without \
                  `digest` it only tells what that would do and gives the digest.",
    toolset: Toolset::Deploy,
    effect: Effect::Write {
        destructive: true,
        idempotent: true,
    },
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        let mut fields = deploy_phase::run_fields();
        fields.extend([
            ("digest", schema::string()),
            ("would_take_back", schema::table()),
            ("needs_approval", schema::boolean()),
        ]);
        schema::result(&[], &fields)
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// The run to take back; default the newest.
    run: Option<String>,
    /// Or: back to how it was after this run.
    to: Option<String>,
    /// Only services of these phases.
    phases: Option<Vec<String>>,
    /// Of the answer before: does it.
    digest: Option<String>,
    /// Why; it stands in the journal.
    reason: Option<String>,
}

async fn call(context: &Context, sent: Value) -> Outcome {
    let asked: Arguments = arguments::read(sent)?;
    let deployments = deployment::deployments(context).await?;
    let deadline = context.deadline();
    let mut answer = Answer::new(Budget::DEFAULT);
    if let Some(digest) = &asked.digest {
        let reason = asked.reason.as_deref();
        let run = deployments
            .begin(digest, context.by(), reason, deadline)
            .await?;
        let seen = deployments.look(run.id).await?;
        deployment::put_run(&mut answer, context, &seen, 6);
        return Ok(answer);
    }
    if asked.run.is_some() && asked.to.is_some() {
        return Err(ToolError::invalid(
            "to",
            "both `run` and `to` are given",
            "give one of them",
        ));
    }
    let number = |argument: &str, written: &Option<String>| {
        written
            .as_deref()
            .map(|written| deployment::run_number(argument, written))
            .transpose()
    };
    let (run, to) = (number("run", &asked.run)?, number("to", &asked.to)?);
    let platform = context.platform()?.platform();
    let phases = match &asked.phases {
        None => None,
        Some(names) => Some(deployment::phases(platform, Some(names), None)?),
    };
    let plan = deployments
        .plan_rollback(run, to, phases.as_deref(), deadline)
        .await?;
    put(
        &mut answer,
        &plan,
        deployments.needs_person(&plan.target).await?,
    );
    answer.put(
        "next_step",
        format!("call {NAME} with this digest; nothing was changed so far"),
    );
    Ok(answer)
}

fn put(answer: &mut Answer, plan: &Plan, needs_person: bool) {
    answer.put("digest", plan.digest());
    if needs_person {
        answer.put("needs_approval", true);
    }
    let mut table = Table::new(&["service", "goes_back_to", "of_run"]);
    // Traffic first, as it goes back.
    for shift in &plan.shifts {
        let traffic = &shift.traffic;
        table.push(vec![
            format!("traffic of {}", traffic.virtual_service).into(),
            format!("{} to {} as {}", traffic.from, traffic.to, shift.before).into(),
            shift.run.into(),
        ]);
    }
    for restore in &plan.restores {
        let before = &restore.before;
        let back_to = match (&before.configuration, before.was_running, &before.image) {
            (None, _, _) => "not there".to_owned(),
            (Some(_), false, _) => "stopped".to_owned(),
            (Some(_), true, Some(image)) => image.clone(),
            (Some(_), true, None) => "its former configuration".to_owned(),
        };
        table.push(vec![
            restore.service.0.as_str().into(),
            back_to.into(),
            restore.run.into(),
        ]);
    }
    answer.put("would_take_back", table.into_value());
    for warning in &plan.warnings {
        answer.warn(warning.as_str());
    }
}
