//! `get_service`: everything that is known of one service.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Call, Context, Effect, Outcome, Tool, Toolset, arguments, platform, schema};
use crate::{
    answer::{Answer, Budget, Table, time as times},
    health::{Health, ServiceHealth, Watch},
    observe::logs::Secrets,
    platform::{Platform, Service},
    runtime::{Scaling, ServiceState},
};

const NAME: &str = "get_service";

pub const TOOL: Tool = Tool {
    name: NAME,
    title: "Get service",
    description: "One service of the platform: state, image, ports, limits, what it needs and what \
                  needs it, the last look, last changes, its datasets.",
    toolset: Toolset::Platform,
    effect: Effect::Read,
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        schema::result(
            &["service", "state"],
            &[
                ("service", schema::string()),
                ("state", schema::string()),
                ("health", schema::object()),
                ("runtime", schema::object()),
                ("described", schema::object()),
                ("needs", schema::table()),
                ("needed_by", schema::table()),
                ("datasets", schema::list(schema::string())),
                ("changes", schema::table()),
            ],
        )
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Name or container name.
    service: String,
}

/// Changes that are told; the rest is counted.
const MOST_CHANGES: usize = 10;
/// How far back changes are told.
const CHANGES_SINCE: i64 = 7 * times::DAY;

async fn call(context: &Context, sent: Value) -> Outcome {
    let asked: Arguments = arguments::read(sent)?;
    let watch = context.platform()?;
    let platform = watch.platform();
    let service = platform::service(platform, "service", &asked.service)?;
    let checked = watch.check(&[service], false, context.deadline()).await?;
    let health = checked.health;

    let mut answer = Answer::new(Budget::DEFAULT);
    answer.put("service", service.name.0.as_str());
    if let Some(now) = health.service(&service.name.0) {
        answer.put("state", now.verdict.as_str());
        answer.put("health", of_health(now));
    }
    put_runtime(&mut answer, watch, service).await;
    answer.put("described", described(platform, service));
    answer.put(
        "needs",
        related(&health, service.needs.iter().map(|need| need.0.as_str())),
    );
    let needed_by = platform
        .services
        .iter()
        .filter(|other| other.needs.contains(&service.name))
        .map(|other| other.name.0.as_str());
    answer.put("needed_by", related(&health, needed_by));
    answer.put("datasets", service.datasets.clone());
    put_changes(&mut answer, context, service).await?;
    platform::put_provenance(&mut answer, watch);
    Ok(answer)
}

fn of_health(service: &ServiceHealth) -> Value {
    let mut told = Map::new();
    if let Some(since) = service.since {
        told.insert("since".into(), times::text(since.as_millisecond()).into());
    }
    if let Some(why) = &service.reason {
        told.insert("why".into(), why.as_str().into());
    }
    if !service.blocked_by.is_empty() {
        told.insert("blocked_by".into(), json!(service.blocked_by));
    }
    let response = platform::milliseconds(service.response);
    if !response.is_null() {
        told.insert("response_ms".into(), response);
    }
    if let Some(looked_at) = service.looked_at {
        let at = times::text(looked_at.as_millisecond());
        told.insert("looked_at".into(), at.into());
    }
    for (name, value) in &service.facts {
        told.insert(name.clone(), value.as_str().into());
    }
    told.into()
}

/// What carries it says of it now: which image, since when, how often it was started again.
async fn put_runtime(answer: &mut Answer, watch: &Watch, service: &Service) {
    let Ok(runtime) = watch.runtime() else {
        return;
    };
    let seen = match runtime.observe(std::slice::from_ref(&service.name)).await {
        Ok(seen) => seen,
        Err(problem) => {
            answer.warn(format!("could not look at the runtime: {problem}"));
            return;
        }
    };
    let Some(seen) = seen.first() else {
        return;
    };
    if let ServiceState::Unknown(why) = &seen.state {
        answer.warn(format!("could not look at the runtime: {why}"));
        return;
    }
    let mut told = Map::new();
    told.insert("kind".into(), runtime.name().into());
    told.insert("state".into(), seen.state.as_str().into());
    if let ServiceState::Exited(exit) | ServiceState::Restarting { last: exit, .. } = &seen.state {
        told.insert("last_exit".into(), exit.to_string().into());
    }
    if let Some(health) = seen.health {
        told.insert("health".into(), health.as_str().into());
    }
    let texts = [
        ("image", &seen.image),
        ("instance", &seen.instance),
        ("note", &seen.note),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            told.insert(name.into(), Secrets::default().masked(text).into());
        }
    }
    if let Some(started) = seen.started_at {
        let at = times::text(started.as_millisecond());
        told.insert("started_at".into(), at.into());
    }
    if seen.restarts > 0 {
        told.insert("restarts".into(), seen.restarts.into());
    }
    match runtime.scaling(std::slice::from_ref(&service.name)).await {
        Ok(scaling) => {
            if let Some(scaling) = scaling.into_iter().flatten().next() {
                told.insert("scaling".into(), of_scaling(&scaling));
            }
        }
        Err(problem) => {
            answer.warn(format!(
                "whether something scales it is not known: {problem}"
            ));
        }
    }
    answer.put("runtime", told);
}

fn of_scaling(scaling: &Scaling) -> Value {
    let mut told = Map::new();
    told.insert("current".into(), scaling.current.into());
    told.insert("wanted".into(), scaling.wanted.into());
    told.insert("min".into(), scaling.least.into());
    told.insert("max".into(), scaling.most.into());
    for (name, why) in [
        ("limited", &scaling.limited),
        ("not_scaling", &scaling.stuck),
    ] {
        if let Some(why) = why {
            told.insert(name.into(), why.as_str().into());
        }
    }
    told.into()
}

/// What the platform file says of it.
fn described(platform: &Platform, service: &Service) -> Value {
    let mut told = Map::new();
    let mut put = |name: &str, value: Value| {
        let is_empty = match &value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        if !is_empty {
            told.insert(name.to_owned(), value);
        }
    };
    put("purpose", service.purpose.as_deref().into());
    put("aliases", json!(service.aliases));
    put("phase", platform::phase_of(platform, service).into());
    put("group", service.group.as_deref().into());
    put("image", service.image.as_deref().into());
    put("ports", json!(service.ports));
    let text = |value: Option<String>| Value::from(value);
    put("memory", text(service.memory.map(|it| it.to_string())));
    put("cpu", text(service.cpu.map(|it| it.to_string())));
    put(
        "replicas",
        text(service.replicas.map(|(from, to)| format!("{from}-{to}"))),
    );
    put(
        "probe",
        service.probe.as_ref().map(|probe| probe.kind.name()).into(),
    );
    // Names alone: values may be secrets.
    let environment: Vec<&str> = service
        .environment
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    put("environment", json!(environment));
    if !service.is_essential {
        put("essential", false.into());
    }
    if service.is_stateful {
        put("keeps_data", true.into());
    }
    if service.is_one_shot {
        put("ends_by_itself", true.into());
    }
    told.into()
}

/// Services with what they are now.
fn related<'a>(health: &Health, names: impl Iterator<Item = &'a str>) -> Value {
    let mut table = Table::new(&["name", "verdict"]);
    for name in names {
        let verdict = health.service(name).map(|service| service.verdict.as_str());
        table.push(vec![name.into(), verdict.into()]);
    }
    if table.is_empty() {
        Value::Null
    } else {
        table.into_value()
    }
}

async fn put_changes(
    answer: &mut Answer,
    context: &Context,
    service: &Service,
) -> Result<(), super::ToolError> {
    let watch = context.platform()?;
    let name = service.name.0.clone();
    let until = context.now.as_millisecond() + times::MINUTE;
    let (changes, total) = watch
        .with_history(move |history| {
            history.transitions(Some(&name), until - CHANGES_SINCE, until, MOST_CHANGES)
        })
        .await?;
    let mut table = Table::new(&["at", "from", "to", "why"]);
    for change in &changes {
        let why = if change.blocked_by.is_empty() {
            change.reason.clone()
        } else {
            Some(format!("blocked by {}", change.blocked_by.join(", ")))
        };
        table.push(vec![
            times::text(change.at).into(),
            change.from.as_str().into(),
            change.to.as_str().into(),
            why.into(),
        ]);
    }
    if !table.is_empty() {
        answer.put("changes", table.into_value());
    }
    if total > changes.len() as u64 {
        answer.warn(format!(
            "{total} changes within 7 days, the newest {} are told; get_changes has all",
            changes.len()
        ));
    }
    Ok(())
}
