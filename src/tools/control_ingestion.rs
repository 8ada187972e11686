//! `control_ingestion`: run, stop, enable or disable an ingestion pipeline.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Call, Context, Effect, ErrorCode, Outcome, Tool, ToolError, Toolset, arguments, pipelines,
    schema, subject,
};
use crate::{
    answer::{Answer, Budget, time as times},
    catalog::{
        Catalog,
        ingestion::{
            ControlAction, ControlOutcome, IngestionPipeline, PipelineClient, Run, RunState,
        },
    },
};

pub const TOOL: Tool = Tool {
    name: "control_ingestion",
    title: "Control ingestion",
    description: "Runs, stops, enables or disables an ingestion pipeline; shows what it would do \
                  unless dry_run is false.",
    toolset: Toolset::CatalogWrite,
    effect: Effect::Write {
        destructive: true,
        idempotent: false,
    },
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        schema::result(
            &["pipeline", "state", "applied"],
            &[
                ("pipeline", schema::string()),
                ("state", schema::string()),
                ("applied", schema::boolean()),
                ("next_step", schema::string()),
                ("run", schema::object()),
            ],
        )
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// FQN or name of the ingestion pipeline.
    pipeline: String,
    action: Action,
    /// Only show what would happen (default true).
    dry_run: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Action {
    Run,
    Stop,
    Enable,
    Disable,
}

/// What an action comes to for a pipeline as it is.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Nothing(&'static str),
    Do(ControlAction),
}

async fn call(context: &Context, sent: Value) -> Outcome {
    let arguments: Arguments = arguments::read(sent)?;
    let catalog = context.catalog()?.fresh();
    let is_dry = arguments.dry_run.unwrap_or(true);
    if let (Catalog::Snapshot(_), false) = (&catalog, is_dry) {
        return Err(ToolError::of_local_copy());
    }
    let deadline = context.deadline();
    let now = subject::time_of(context, &catalog);
    let pipeline = pipelines::named(&catalog, &arguments.pipeline, deadline).await?;
    let mut answer = Answer::new(Budget::DEFAULT);
    subject::put_source(&mut answer, &catalog);
    answer.put("pipeline", pipeline.fqn.clone());
    let action = match plan(&pipeline, arguments.action) {
        Plan::Nothing(why) => {
            answer.put("state", why);
            answer.put("applied", false);
            put_run(&mut answer, pipeline.last.as_ref());
            return Ok(answer);
        }
        Plan::Do(action) => action,
    };
    if is_dry {
        let client = catalog.pipeline_client(deadline).await;
        answer.put("state", preview(&pipeline, arguments.action, &client));
        answer.put("applied", false);
        put_run(&mut answer, pipeline.last.as_ref());
        if !matches!(client, PipelineClient::Disabled { .. }) {
            answer.put("next_step", subject::after_dry_run(&catalog));
        }
        return Ok(answer);
    }
    match catalog.control_ingestion(&pipeline.id, action).await {
        Ok(ControlOutcome::Done) => {}
        Ok(ControlOutcome::Disabled { said }) => {
            answer.put("state", disabled(&said));
            answer.put("applied", false);
            return Ok(answer);
        }
        Ok(ControlOutcome::Refused { said }) => {
            return Err(ToolError::new(
                ErrorCode::Unavailable,
                format!("the ingestion service did not do it: {said}"),
            )
            .then("get_ingestion shows its state; look at its logs"));
        }
        Err(error) => return Err(error.into()),
    }
    // Read back: what OpenMetadata says of it now.
    let after = pipelines::named(&catalog, &pipeline.fqn, deadline).await;
    let runs = catalog
        .ingestion_runs(&pipeline.fqn, now - times::DAY, now + times::DAY, deadline)
        .await;
    match after {
        Ok(after) => {
            let enabled = |is_enabled| if is_enabled { "enabled" } else { "disabled" };
            match arguments.action {
                Action::Enable | Action::Disable => {
                    answer.put(
                        "state",
                        format!(
                            "{} -> {}",
                            enabled(pipeline.is_enabled),
                            enabled(after.is_enabled)
                        ),
                    );
                    answer.put("applied", pipeline.is_enabled != after.is_enabled);
                    if pipeline.is_enabled == after.is_enabled {
                        answer.warn("OpenMetadata took the order, and nothing has changed");
                    }
                }
                Action::Run | Action::Stop => {
                    let done = match arguments.action {
                        Action::Run => "a run was ordered",
                        _ => "its runs were ordered to stop",
                    };
                    answer.put("state", done);
                    answer.put("applied", true);
                    answer.put(
                        "next_step",
                        "get_ingestion with this pipeline shows the run",
                    );
                }
            }
        }
        Err(error) => {
            answer.put("state", "ordered, but could not be read back");
            answer.put("applied", true);
            answer.warn(error.message);
        }
    }
    match runs {
        Ok(runs) => put_run(&mut answer, runs.first()),
        Err(error) => {
            answer.warn(format!("could not look at the runs: {error}"));
        }
    }
    Ok(answer)
}

fn plan(pipeline: &IngestionPipeline, action: Action) -> Plan {
    let is_running = pipeline
        .last
        .as_ref()
        .is_some_and(|run| matches!(run.state, RunState::Running | RunState::Queued));
    match (action, pipeline.is_enabled) {
        (Action::Enable, true) => Plan::Nothing("already enabled: nothing to do"),
        (Action::Disable, false) => Plan::Nothing("already disabled: nothing to do"),
        (Action::Enable, false) | (Action::Disable, true) => Plan::Do(ControlAction::Toggle),
        (Action::Stop, _) if !is_running => Plan::Nothing("no run is going on: nothing to stop"),
        (Action::Stop, _) => Plan::Do(ControlAction::Stop),
        (Action::Run, _) => Plan::Do(ControlAction::Run),
    }
}

fn preview(pipeline: &IngestionPipeline, action: Action, client: &PipelineClient) -> String {
    if let PipelineClient::Disabled { said } = client {
        return disabled(said);
    }
    let mut would = match action {
        Action::Run => "would run now".to_owned(),
        Action::Stop => "would stop its runs".to_owned(),
        Action::Enable => "disabled -> would be enabled".to_owned(),
        Action::Disable => "enabled -> would be disabled".to_owned(),
    };
    if action == Action::Run && !pipeline.is_enabled {
        would.push_str(" (the pipeline is disabled: OpenMetadata may refuse)");
    }
    match client {
        PipelineClient::Unhealthy { said } => {
            would.push_str(&format!("; the ingestion service is unhealthy ({said})"));
        }
        PipelineClient::NotLooked { why } => {
            would.push_str(&format!(
                "; could not look at the ingestion service ({why})"
            ));
        }
        PipelineClient::Healthy | PipelineClient::Disabled { .. } => {}
    }
    would
}

fn disabled(said: &str) -> String {
    format!(
        "disabled ({said}): OpenMetadata has no pipeline client, so it can neither run, stop, \
         enable nor disable; use the tool that runs this ingestion"
    )
}

fn put_run(answer: &mut Answer, run: Option<&Run>) {
    if let Some(run) = run {
        answer.put(
            "run",
            json!({"state": run.state.as_str(), "at": times::text(run.started)}),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ingestion;

    #[test]
    fn what_is_so_already_is_not_done_again() {
        let pipeline = |enabled: bool, state: &str| {
            ingestion::pipeline(&json!({"fullyQualifiedName": "pg.m", "enabled": enabled,
                "pipelineStatuses": {"pipelineState": state, "startDate": 1}}))
            .unwrap()
        };
        let toggle = Plan::Do(ControlAction::Toggle);
        assert!(matches!(
            plan(&pipeline(true, "success"), Action::Enable),
            Plan::Nothing(_)
        ));
        assert!(matches!(
            plan(&pipeline(false, "success"), Action::Disable),
            Plan::Nothing(_)
        ));
        assert!(matches!(
            plan(&pipeline(true, "success"), Action::Stop),
            Plan::Nothing(_)
        ));
        assert_eq!(
            plan(&pipeline(true, "running"), Action::Stop),
            Plan::Do(ControlAction::Stop)
        );
        assert_eq!(plan(&pipeline(true, "success"), Action::Disable), toggle);
        assert_eq!(plan(&pipeline(false, "success"), Action::Enable), toggle);
        assert_eq!(
            plan(&pipeline(true, "running"), Action::Run),
            Plan::Do(ControlAction::Run)
        );
    }
}
