//! `plan_deployment`: what a run would do, before anything is done.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Call, Context, Effect, ErrorCode, Outcome, Tool, ToolError, Toolset, arguments, deployment,
    hurt, platform, schema,
};
use crate::{
    answer::{Answer, Budget, Table},
    deploy::{
        Plan,
        plan::{Check, CheckResult},
    },
    platform::ServiceName,
};

const NAME: &str = "plan_deployment";

pub const TOOL: Tool = Tool {
    name: NAME,
    title: "Plan a deployment",
    description: "What deploying phases (or some services) would do: changes, resource sums against \
                  gates, checklist, data that restarts hurt, and the digest for deploy_phase. \
                  Changes nothing.",
    toolset: Toolset::Deploy,
    effect: Effect::Read,
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        schema::result(
            &["digest", "phases"],
            &[
                ("digest", schema::string()),
                ("expires", schema::string()),
                ("target", schema::string()),
                ("needs_approval", schema::boolean()),
                ("phases", schema::table()),
                ("notes", schema::table()),
                ("checks", schema::table()),
                ("checks_passed", schema::integer()),
                ("impact", schema::object()),
            ],
        )
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Names or numbers; default all.
    phases: Option<Vec<String>>,
    /// All phases up to and with this one.
    through: Option<String>,
    /// These alone, in the order of what they need; `minimal`: the platform's emergency set.
    services: Option<Vec<String>>,
}

async fn call(context: &Context, sent: Value) -> Outcome {
    let asked: Arguments = arguments::read(sent)?;
    let deployments = deployment::deployments(context).await?;
    let watch = context.platform()?;
    let platform = watch.platform();
    let deadline = context.deadline();
    let plan = match &asked.services {
        Some(_) if asked.phases.is_some() || asked.through.is_some() => {
            return Err(ToolError::invalid(
                "services",
                "both `services` and phases are given",
                "give one of them",
            ));
        }
        Some(names) => {
            let (name, services) = chosen(platform, names)?;
            deployments.plan_services(name, services, deadline).await?
        }
        None => {
            let phases =
                deployment::phases(platform, asked.phases.as_deref(), asked.through.as_deref())?;
            deployments.plan_phases(&phases, deadline).await?
        }
    };
    let needs_person = deployments.needs_person(&plan.target).await?;
    let mut answer = Answer::new(Budget::DEFAULT);
    put(&mut answer, &plan, needs_person);
    let restarted: Vec<&str> = deployment::restarted(&plan)
        .into_iter()
        .map(|name| name.0.as_str())
        .collect();
    if !restarted.is_empty() {
        let hurts = hurt::told(&mut answer, context, &restarted).await;
        if !hurts.is_null() {
            answer.put("impact", hurts);
        }
    }
    Ok(answer)
}

fn chosen<'a>(
    platform: &crate::platform::Platform,
    names: &'a [String],
) -> Result<(&'a str, Vec<ServiceName>), ToolError> {
    if let [only] = names
        && only.eq_ignore_ascii_case("minimal")
        && platform.service(only).is_none()
    {
        return match platform.minimal.is_empty() {
            true => Err(ToolError::new(
                ErrorCode::NotFound,
                "the platform file gives no `minimal` set",
            )
            .about("services")
            .then("name the services")),
            false => Ok(("minimal", platform.minimal.clone())),
        };
    }
    if names.is_empty() {
        return Err(ToolError::invalid(
            "services",
            "no service is named",
            "name at least one, or leave it out for all phases",
        ));
    }
    let services = self::platform::chosen(platform, Some(names), None)?;
    let services = services.into_iter().map(|one| one.name.clone()).collect();
    Ok(("services", services))
}

/// A plan as an answer.
pub fn put(answer: &mut Answer, plan: &Plan, needs_person: bool) {
    answer.put("digest", plan.digest());
    answer.put("target", plan.target.as_str());
    if needs_person {
        answer.put("needs_approval", true);
    }
    answer.put("phases", deployment::phase_table(plan).into_value());
    let notes = notes(plan);
    if !notes.is_empty() {
        answer.put("notes", notes.into_value());
    }
    put_checks(answer, &plan.preflight);
    for warning in &plan.warnings {
        answer.warn(warning.as_str());
    }
}

/// What stands out of single services; what is said of several stands once, with all their names.
fn notes(plan: &Plan) -> Table {
    let mut said: Vec<(Vec<&str>, String)> = Vec::new();
    for change in plan.phases.iter().flat_map(|phase| &phase.changes) {
        let mut notes: Vec<String> = Vec::new();
        if let Some(before) = &change.image_before {
            let image = change.image.as_deref().unwrap_or("none");
            notes.push(format!("image {before} -> {image}"));
        }
        notes.extend(
            change
                .problem
                .iter()
                .map(|why| format!("cannot be done: {why}")),
        );
        notes.extend(change.drift.clone());
        notes.extend(change.irreversible.clone());
        notes.extend(
            change
                .not_restored
                .iter()
                .map(|what| format!("not taken back by a rollback: {what}")),
        );
        if notes.is_empty() {
            continue;
        }
        let (name, note) = (change.service.0.as_str(), notes.join("; "));
        match said.iter_mut().find(|(_, one)| *one == note) {
            Some((services, _)) => services.push(name),
            None => said.push((vec![name], note)),
        }
    }
    let mut table = Table::new(&["service", "note"]);
    for (services, note) in said {
        table.push(vec![services.join(", ").into(), note.into()]);
    }
    table
}

/// Checks that did not pass one by one, the others counted.
pub fn put_checks(answer: &mut Answer, checks: &[Check]) {
    let open: Vec<&Check> = checks
        .iter()
        .filter(|check| check.result != CheckResult::Yes)
        .collect();
    answer.put("checks_passed", json!(checks.len() - open.len()));
    if open.is_empty() {
        return;
    }
    let mut table = Table::new(&["check", "result", "note"]);
    for check in open {
        table.push(vec![
            check.name.as_str().into(),
            check.result.as_str().into(),
            check.note.as_deref().into(),
        ]);
    }
    answer.put("checks", table.into_value());
}
