//! `get_deployment`: one run, or all of them.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Call, Context, Effect, ErrorCode, Outcome, Tool, ToolError, Toolset, arguments, deploy_phase,
    deployment, plan_deployment, schema,
};
use crate::{
    answer::{Answer, Budget, CursorScope, Page, Table, Total, time as times},
    deploy::{Deployments, Status, checks, event::EndState, plan::Kind},
    health::Verdict,
    observe::machine::Machine,
};

const NAME: &str = "get_deployment";

pub const TOOL: Tool = Tool {
    name: NAME,
    title: "Get a deployment",
    description: "A run: phases, gates, services up, timeline, what can be done now; `wait` returns \
                  when something changes. `history` lists runs.",
    toolset: Toolset::Deploy,
    effect: Effect::Read,
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        let mut fields = deploy_phase::run_fields();
        fields.extend([
            ("healthy", schema::string()),
            ("not_healthy", schema::list(schema::string())),
            ("checks", schema::table()),
            ("checks_passed", schema::integer()),
        ]);
        fields.extend(schema::paged("runs"));
        schema::result(&[], &fields)
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

/// Lines of the timeline unless the caller asks for more.
const LINES: usize = 8;
const MOST_LINES: u64 = 200;
/// Runs of a page.
const RUNS: u64 = 20;
const MOST_NAMES: usize = 6;

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Default: the newest.
    run: Option<String>,
    /// Seconds to wait for a change, at most 45.
    #[schemars(range(min = 0, max = 45))]
    wait: Option<u64>,
    /// All runs instead of one.
    history: Option<bool>,
    /// Lines of the timeline, or runs of a page.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u64>,
    /// `next` of the page before; the rest as it was.
    cursor: Option<String>,
}

async fn call(context: &Context, sent: Value) -> Outcome {
    let (asked, cursor_scope): (Arguments, _) = arguments::read_paged(NAME, sent)?;
    let deployments = deployment::deployments(context).await?;
    if asked.history.unwrap_or(false) {
        return history(context, &deployments, &asked, &cursor_scope).await;
    }
    let run = match &asked.run {
        Some(run) => deployment::run_number("run", run)?,
        None => {
            let target = deployments.target().await?;
            deployments.newest(&target).await?.ok_or_else(|| {
                ToolError::new(ErrorCode::NotFound, "nothing was deployed here yet")
                    .then("plan_deployment begins")
            })?
        }
    };
    let mut seen = deployments.look(run).await?;
    if asked.wait.unwrap_or(0) > 0 {
        let until = deployment::until(context, asked.wait);
        let seq = seen.reading.state.last_seq;
        deployments.wait(run, seq, until).await?;
        seen = deployments.look(run).await?;
    }
    let lines = asked
        .limit
        .map_or(LINES, |limit| limit.min(MOST_LINES) as usize);
    let mut answer = Answer::new(Budget::DEFAULT);
    deployment::put_run(&mut answer, context, &seen, lines);
    if !seen.reading.state.status.is_over() {
        put_health(&mut answer, context, &seen).await?;
    } else if seen.reading.plan.kind == Kind::Deploy
        && seen.reading.state.status == Status::Ended(EndState::Succeeded)
    {
        let watch = context.platform()?;
        let machine = Machine::of(watch.platform(), watch.runtime().ok()).await;
        let facts = deployments.facts(&machine).await;
        let list = checks::postflight(&seen.reading.plan, &seen.reading.state, &facts);
        plan_deployment::put_checks(&mut answer, &list);
    }
    Ok(answer)
}

/// How many of the services that are deployed so far are up, as last seen by whoever looks.
async fn put_health(
    answer: &mut Answer,
    context: &Context,
    seen: &crate::deploy::deployments::Seen,
) -> Result<(), ToolError> {
    let (plan, state) = (&seen.reading.plan, &seen.reading.state);
    let health = context.platform()?.known().await?;
    let mut deployed = plan.deployed.clone();
    for touched in &state.touched {
        if !deployed.contains(&touched.service) {
            deployed.push(touched.service.clone());
        }
    }
    if deployed.is_empty() {
        return Ok(());
    }
    let all = deployed.len();
    let mut not_up = Vec::new();
    for name in &deployed {
        let known = health.service(&name.0);
        let verdict = known.map_or(Verdict::Unknown, |known| known.verdict);
        if !matches!(verdict, Verdict::Up | Verdict::Degraded) {
            not_up.push(format!("{name} is {}", verdict.as_str()));
        }
    }
    answer.put("healthy", format!("{} of {all}", all - not_up.len()));
    if !not_up.is_empty() {
        answer.put("not_healthy", super::platform::some(&not_up, MOST_NAMES));
    }
    Ok(())
}

async fn history(
    context: &Context,
    deployments: &Deployments,
    asked: &Arguments,
    cursor_scope: &CursorScope,
) -> Outcome {
    let start = cursor_scope.position(asked.cursor.as_deref())?;
    let target = deployments.target().await?;
    let limit = asked.limit.unwrap_or(RUNS).min(MOST_LINES);
    let most = usize::try_from(start + limit).unwrap_or(usize::MAX);
    let (rows, total) = deployments.runs(&target, None, most).await?;
    let mut table = Table::new(&["run", "state", "what", "began", "took", "by", "reason"]);
    for row in rows
        .iter()
        .skip(usize::try_from(start).unwrap_or(usize::MAX))
    {
        let seen = deployments.look(row.id).await?;
        let (plan, state) = (&seen.reading.plan, &seen.reading.state);
        let what = match plan.kind {
            Kind::RollBack => format!("rollback of {} services", plan.restores.len()),
            Kind::Deploy => {
                let names: Vec<&str> = plan.phases.iter().map(|one| one.name.as_str()).collect();
                names.join(", ")
            }
        };
        let end = state.ended_at.unwrap_or(context.now).as_millisecond();
        table.push(vec![
            row.id.into(),
            seen.status().into(),
            what.into(),
            times::text(row.created).into(),
            times::length(end - row.created).into(),
            state.by.as_str().into(),
            state.reason.as_deref().into(),
        ]);
    }
    let mut answer = Answer::new(Budget::DEFAULT);
    answer.page(
        "runs",
        Page {
            table,
            total: Total::Exact(total),
            start,
            scope: cursor_scope,
        },
    );
    Ok(answer)
}
