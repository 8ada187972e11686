//! `stop_services`: the emergency stop. What is not essential goes first, most memory first.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Call, Context, Effect, ErrorCode, Outcome, Tool, ToolError, Toolset, arguments, deployment,
    platform, schema,
};
use crate::{
    answer::{Answer, Budget, Table},
    deploy::{
        DeployError,
        emergency::{Choice, Wanted},
        stopping::{Done, Ended},
    },
    health::Watch,
    observe::machine::Machine,
    platform::{Bytes, Percent, ServiceName, model::RuntimeKind},
    runtime::{Problem, values::StoppedOutcome},
};

const NAME: &str = "stop_services";

pub const TOOL: Tool = Tool {
    name: NAME,
    title: "Stop services",
    description: "Emergency: stops what is not essential, most memory first, until below a limit, or \
                  named services. Shows first; never touches volumes.",
    toolset: Toolset::Deploy,
    effect: Effect::Write {
        destructive: true,
        idempotent: true,
    },
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        schema::result(
            &["state", "stopped"],
            &[
                ("state", schema::string()),
                ("stopped", schema::table()),
                ("freed", schema::string()),
                ("memory_before", schema::string()),
                ("memory_after", schema::string()),
                ("limit", schema::string()),
                ("still_needed", schema::string()),
                ("essential", schema::list(schema::string())),
                ("reason", schema::string()),
                ("next_step", schema::string()),
            ],
        )
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Names or container names.
    services: Option<Vec<String>>,
    /// What is not essential, until:
    until: Option<Until>,
    /// Essential ones too.
    all: Option<bool>,
    /// Why; it stands in the journal.
    reason: Option<String>,
    /// Default true: only shows.
    dry_run: Option<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Until {
    /// `80%` of capacity, or `6Gi`.
    memory_below: String,
}

/// Essential services that are named where more is needed.
const MOST_NAMED: usize = 5;

async fn call(context: &Context, sent: Value) -> Outcome {
    let asked: Arguments = arguments::read(sent)?;
    let watch = context.platform()?;
    let (wanted, limit) = wanted(watch, &asked).await?;
    let deployments = deployment::deployments(context).await?;
    let mut answer = Answer::new(Budget::DEFAULT);
    let choice = match deployments.choose(&wanted).await {
        Ok(choice) => choice,
        // The engine does not answer.
        Err(DeployError::Runtime(
            problem @ (Problem::Failed { .. }
            | Problem::TimedOut { .. }
            | Problem::NotReached { .. }),
        )) => {
            put_unknown(&mut answer, watch, &problem.to_string());
            return Ok(answer);
        }
        Err(error) => return Err(error.into()),
    };
    let names: Vec<ServiceName> = choice.stop.iter().map(|one| one.service.clone()).collect();
    let is_shown_only = asked.dry_run.unwrap_or(true) || names.is_empty();
    if !is_shown_only {
        let target = deployments.target().await?;
        if !context.has_proven() && deployments.needs_person(&target).await? {
            return Err(ToolError::new(
                ErrorCode::NeedsApproval,
                "the target is in production: a person decides about stopping services",
            )
            .then("a person runs `openpolicy-mcp stop` on a terminal; nothing was changed"));
        }
        if let Some(open) = deployments.open_run(&target).await? {
            answer.warn(format!(
                "run {} is not over ({}): what was stopped may make its gates or triggers act",
                open.id, open.state
            ));
        }
    }
    let done = match is_shown_only {
        true => None,
        false => {
            let reason = asked.reason.as_deref();
            let until = context.deadline();
            match deployments
                .stop(&names, context.by(), reason, until)
                .await?
            {
                Ended::Done(done) => Some(done),
                Ended::Unknown(why) => {
                    put_unknown(&mut answer, watch, &why);
                    return Ok(answer);
                }
            }
        }
    };
    put(&mut answer, &choice, limit, done.as_ref());
    if is_shown_only && !names.is_empty() {
        answer.put(
            "next_step",
            "the same call with `dry_run: false` stops them; nothing was changed so far",
        );
    }
    Ok(answer)
}

/// What is asked for, and the limit.
async fn wanted(watch: &Watch, asked: &Arguments) -> Result<(Wanted, Option<Bytes>), ToolError> {
    let is_all = asked.all.unwrap_or(false);
    let given = [asked.services.is_some(), asked.until.is_some(), is_all];
    if given.iter().filter(|one| **one).count() != 1 {
        return Err(ToolError::invalid(
            "services",
            "one of `services`, `until` and `all` has to say what to stop",
            "give `until: {memory_below: \"80%\"}` to stop what is not essential, or name services",
        ));
    }
    if is_all {
        return Ok((Wanted::All, None));
    }
    if let Some(names) = &asked.services {
        let services = platform::chosen(watch.platform(), Some(names), None)?;
        let names = services.into_iter().map(|one| one.name.clone()).collect();
        return Ok((Wanted::Named(names), None));
    }
    let written = asked.until.as_ref().map(|until| until.memory_below.trim());
    let written = written.unwrap_or_default();
    let limit = limit(watch, written).await.map_err(|why| {
        ToolError::invalid(
            "until.memory_below",
            why,
            "give a share of capacity such as 80%, or an amount such as 6Gi",
        )
    })?;
    Ok((Wanted::Below(limit), Some(limit)))
}

async fn limit(watch: &Watch, written: &str) -> Result<Bytes, String> {
    if !written.ends_with('%') {
        return Bytes::parse(written).map_err(|error| error.to_string());
    }
    let share = Percent::parse(written).map_err(|error| error.to_string())?;
    let machine = Machine::of(watch.platform(), watch.runtime().ok()).await;
    let capacity = machine.memory.ok_or_else(|| match machine.provenance() {
        Some(why) => format!("the capacity of the platform is not known: {why}"),
        None => "the capacity of the machine is not known".to_owned(),
    })?;
    Ok(Bytes((share.0 / 100.0 * capacity.0 as f64) as u64))
}

fn put(answer: &mut Answer, choice: &Choice, limit: Option<Bytes>, done: Option<&Done>) {
    let failed = done.map_or(0, |done| {
        done.stopped
            .iter()
            .filter(|one| matches!(one.outcome, StoppedOutcome::Failed(_)))
            .count()
    });
    answer.put(
        "state",
        match (done, choice.stop.is_empty(), failed) {
            (_, true, _) => "nothing_to_stop",
            (None, ..) => "planned",
            (Some(_), _, 0) => "stopped",
            (Some(_), ..) => "partly_stopped",
        },
    );
    let mut table = Table::new(&["service", "memory", "outcome"]);
    for one in &choice.stop {
        let ended = done.and_then(|done| {
            let ended = done.stopped.iter();
            ended.into_iter().find(|it| it.service == one.service)
        });
        table.push(vec![
            one.service.0.as_str().into(),
            one.memory.map(|memory| memory.to_string()).into(),
            ended.map(|ended| outcome(&ended.outcome)).into(),
        ]);
    }
    answer.put("stopped", table.into_value());
    let after = match done {
        None => Some(choice.after),
        Some(done) => done.after,
    };
    if let Some(after) = after {
        let freed = Bytes(choice.before.0.saturating_sub(after.0));
        answer.put("freed", freed.to_string());
    }
    answer.put("memory_before", choice.before.to_string());
    match after {
        Some(after) => {
            answer.put("memory_after", after.to_string());
        }
        None => {
            answer.warn("what is left could not be measured: get_resources tells it");
        }
    }
    if let Some(limit) = limit {
        answer.put("limit", limit.to_string());
    }
    if let Some(needed) = choice.still_needed {
        answer.put("still_needed", needed.to_string());
        let essential: Vec<String> = choice
            .could_be_named
            .iter()
            .map(|one| one.service.0.clone())
            .collect();
        answer.put("essential", platform::some(&essential, MOST_NAMED));
        answer.warn(
            "everything that is not essential does not suffice: name essential services to stop \
             them too",
        );
    }
    if choice.unmeasured > 0 {
        answer.warn(format!(
            "the memory of {} running services is not known and not in the sums",
            choice.unmeasured
        ));
    }
}

fn outcome(outcome: &StoppedOutcome) -> String {
    match outcome {
        StoppedOutcome::NotRunning => "was not running".into(),
        StoppedOutcome::Ended(_) => "stopped".into(),
        StoppedOutcome::Killed => "killed: it did not end when asked".into(),
        StoppedOutcome::Failed(problem) => format!("not stopped: {problem}"),
    }
}

/// Nobody knows what runs: what a person does then.
fn put_unknown(answer: &mut Answer, watch: &Watch, why: &str) {
    answer.put("state", "unknown");
    answer.put(
        "stopped",
        Table::new(&["service", "memory", "outcome"]).into_value(),
    );
    answer.put("reason", why);
    let minimal = match watch.platform().minimal.is_empty() {
        true => "`openpolicy-mcp deploy`",
        false => "`openpolicy-mcp deploy --services minimal`",
    };
    answer.put(
        "next_step",
        match &watch.platform().runtime {
            RuntimeKind::Compose { .. } => format!(
                "a person on the machine: `docker kill $(docker ps -q)` (ends every container of \
                 the engine, also of others; volumes stay), `sudo systemctl restart docker`, then \
                 {minimal}"
            ),
            RuntimeKind::Kubernetes { namespace, .. } => format!(
                "a person who reaches the cluster: `kubectl -n {namespace} scale deployment NAME \
                 --replicas=0` (claims and their data stay), then {minimal}"
            ),
            _ => format!("look with get_resources what runs; then {minimal} starts what is needed"),
        },
    );
}
