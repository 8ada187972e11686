//! `get_resources`: what services use against limits, budgets and capacity, and what to stop first.

use std::iter::repeat;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Call, Context, Effect, Outcome, Tool, Toolset, arguments, platform, schema};
use crate::{
    answer::{Answer, Budget, CursorScope, Page, Table, Total},
    observe::{
        machine::Machine,
        resources::{self, Standing},
    },
    platform::{Bytes, Percent, ServiceName},
    runtime::{Nodes, Observed, Problem, Scaling, ServiceState, Usage},
};

const NAME: &str = "get_resources";

pub const TOOL: Tool = Tool {
    name: NAME,
    title: "Get resources",
    description: "Memory, CPU and disk of platform services against their limits, phase budgets and \
                  capacity; which are near a limit; what to stop first in need.",
    toolset: Toolset::Platform,
    effect: Effect::Read,
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        let mut fields = vec![
            ("total_used", schema::object()),
            ("capacity", schema::object()),
            ("near_limits", schema::table()),
            ("phases", schema::table()),
            ("stop_first", schema::table()),
            ("notes", schema::list(schema::string())),
            ("nodes", schema::table()),
        ];
        fields.extend(schema::paged("services"));
        schema::result(&["total_used", "total", "returned", "complete"], &fields)
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Names or container names; default all.
    services: Option<Vec<String>>,
    view: Option<View>,
    sort: Option<Sort>,
    /// `next` of the page before; the rest as it was.
    cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum View {
    #[default]
    Services,
    Phases,
    Nodes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Sort {
    #[default]
    Memory,
    Cpu,
    Name,
}

/// Services that are named as near a limit or to be stopped first; the rest is counted.
const MOST_NAMED: usize = 10;

async fn call(context: &Context, sent: Value) -> Outcome {
    let (asked, scope): (Arguments, _) = arguments::read_paged(NAME, sent)?;
    let watch = context.platform()?;
    let runtime = watch.runtime()?;
    let start = scope.position(asked.cursor.as_deref())?;
    let whole = watch.platform();
    let chosen = platform::chosen(whole, asked.services.as_deref(), None)?;
    // Sums, budgets and what to stop are of the platform, whatever rows are asked for.
    let all: Vec<ServiceName> = whole.services.iter().map(|one| one.name.clone()).collect();
    let usages = runtime.usage(&all).await?;
    let observed = runtime.observe(&all).await?;
    let scaling = runtime.scaling(&all).await;
    let machine = Machine::of(whole, Some(runtime)).await;
    let standing = resources::standing(whole, &usages, &machine);

    let mut answer = Answer::new(Budget::DEFAULT);
    answer.put("total_used", total(&standing));
    answer.put("capacity", capacity(&machine, &standing));
    if let Some(why) = &machine.unknown {
        answer.warn(format!("the capacity is not known: {why}"));
    }
    let view = asked.view.unwrap_or_default();
    if view == View::Phases
        || standing
            .phases
            .iter()
            .any(resources::PhaseStanding::is_over)
    {
        answer.put("phases", phases(&standing));
    }
    let nodes = match view {
        View::Nodes => match runtime.nodes().await {
            Err(Problem::NotSupported { .. }) => {
                answer.warn("all services run on one node: `capacity` is its");
                None
            }
            told => Some(told?),
        },
        View::Services | View::Phases => None,
    };
    let scaling = scaling.unwrap_or_else(|problem| {
        answer.warn(format!("what scales services is not known: {problem}"));
        Vec::new()
    });
    put_near(&mut answer, &standing);
    put_stop_first(&mut answer, &standing);
    let mut notes: Vec<String> = usages
        .iter()
        .flat_map(|usage| {
            usage
                .notes
                .iter()
                .map(move |note| format!("{}: {note}", usage.service))
        })
        .collect();
    notes.truncate(MOST_NAMED);
    answer.put("notes", notes);

    if let Some(nodes) = nodes {
        put_nodes(
            &mut answer,
            nodes,
            asked.sort.unwrap_or_default(),
            start,
            &scope,
        );
        return Ok(answer);
    }
    let scaling = scaling.iter().map(Option::as_ref).chain(repeat(None));
    let mut rows: Vec<(&Usage, &Observed, Option<&Scaling>)> = usages
        .iter()
        .zip(&observed)
        .zip(scaling)
        .map(|((usage, observed), scaling)| (usage, observed, scaling))
        .filter(|(usage, ..)| chosen.iter().any(|one| one.name == usage.service))
        .collect();
    match asked.sort.unwrap_or_default() {
        Sort::Memory => rows.sort_by_key(|(usage, ..)| std::cmp::Reverse(usage.memory)),
        Sort::Cpu => rows.sort_by_key(|(usage, ..)| std::cmp::Reverse(usage.cpu)),
        Sort::Name => rows.sort_by(|(one, ..), (other, ..)| one.service.cmp(&other.service)),
    }
    let mut table = Table::new(&[
        "name",
        "memory",
        "memory_limit",
        "memory_share",
        "cpu",
        "cpu_limit",
        "disk_read",
        "disk_written",
        "replicas",
        "state",
    ]);
    for (usage, observed, scaling) in rows.iter().skip(start as usize) {
        table.push(row(usage, observed, *scaling));
    }
    answer.page(
        "services",
        Page {
            table,
            total: Total::Exact(rows.len() as u64),
            start,
            scope: &scope,
        },
    );
    Ok(answer)
}

fn put_nodes(answer: &mut Answer, told: Nodes, sort: Sort, start: u64, scope: &CursorScope) {
    let Nodes {
        mut nodes,
        unmeasured,
    } = told;
    if let Some(why) = unmeasured {
        answer.warn(format!("what nodes use is not known: {why}"));
    }
    nodes.sort_by(|one, other| one.name.cmp(&other.name));
    match sort {
        Sort::Memory => nodes.sort_by_key(|node| std::cmp::Reverse(node.memory_used)),
        Sort::Cpu => nodes.sort_by_key(|node| std::cmp::Reverse(node.cpu_used)),
        Sort::Name => {}
    }
    let mut table = Table::new(&[
        "name",
        "ready",
        "why",
        "left_out",
        "pressure",
        "memory",
        "memory_used",
        "cpu",
        "cpu_used",
    ]);
    let text = |value: Option<String>| value.map_or(Value::Null, Value::String);
    for node in nodes.iter().skip(start as usize) {
        table.push(vec![
            node.name.as_str().into(),
            match node.is_ready {
                Some(is_ready) => is_ready.into(),
                None => "unknown".into(),
            },
            node.reason.as_deref().into(),
            node.left_out.into(),
            text((!node.pressure.is_empty()).then(|| node.pressure.join(", "))),
            text(node.memory.map(|one| one.to_string())),
            text(node.memory_used.map(|one| one.to_string())),
            text(node.cpu.map(|one| one.to_string())),
            text(node.cpu_used.map(|one| one.to_string())),
        ]);
    }
    answer.page(
        "nodes",
        Page {
            table,
            total: Total::Exact(nodes.len() as u64),
            start,
            scope,
        },
    );
}

fn row(usage: &Usage, observed: &Observed, scaling: Option<&Scaling>) -> Vec<Value> {
    let share = usage
        .memory
        .zip(usage.memory_limit)
        .map(|(used, limit)| Percent::of(used.0 as f64, limit.0 as f64));
    let text = |value: Option<String>| value.map_or(Value::Null, Value::String);
    // Nothing is said of disks that were not used.
    let disk = |bytes: Bytes| (bytes.0 > 0).then(|| bytes.to_string());
    vec![
        usage.service.0.as_str().into(),
        text(usage.memory.map(|one| one.to_string())),
        text(usage.memory_limit.map(|one| one.to_string())),
        text(share.map(whole_percent)),
        text(usage.cpu.map(|one| one.to_string())),
        text(usage.cpu_limit.map(|one| one.to_string())),
        text(usage.disk.and_then(|(read, _)| disk(read))),
        text(usage.disk.and_then(|(_, written)| disk(written))),
        text(scaling.map(|one| one.to_string())),
        match &observed.state {
            ServiceState::Running => Value::Null,
            state => state.as_str().into(),
        },
    ]
}

fn whole_percent(share: Percent) -> String {
    Percent(share.0.round()).to_string()
}

fn total(standing: &Standing) -> Map<String, Value> {
    let mut total = Map::new();
    total.insert("services".into(), standing.measured.into());
    if standing.unmeasured > 0 {
        total.insert("not_running_or_unknown".into(), standing.unmeasured.into());
    }
    total.insert("memory".into(), standing.memory.to_string().into());
    if standing.external_memory.0 > 0 {
        let external = standing.external_memory.to_string();
        total.insert("external_memory".into(), external.into());
    }
    total.insert(
        "memory_limits".into(),
        standing.memory_limits.to_string().into(),
    );
    if standing.without_memory_limit > 0 {
        total.insert(
            "without_memory_limit".into(),
            standing.without_memory_limit.into(),
        );
    }
    total.insert("cpu".into(), standing.cpu.to_string().into());
    total
}

fn capacity(machine: &Machine, standing: &Standing) -> Map<String, Value> {
    let mut capacity = Map::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            capacity.insert(name.to_owned(), value.into());
        }
    };
    put("memory", machine.memory.map(|one| one.to_string()));
    put(
        "memory_used",
        standing.memory_share.map(|one| one.to_string()),
    );
    put("cpu", machine.cpu.map(|one| one.to_string()));
    put("cpu_used", standing.cpu_share.map(|one| one.to_string()));
    put(
        "memory_free_on_machine",
        machine.available.map(|one| one.to_string()),
    );
    put("machine", machine.another.clone());
    let measured: Vec<&str> = [
        ("memory", machine.is_memory_measured),
        ("cpu", machine.is_cpu_measured),
    ]
    .into_iter()
    .filter_map(|(name, is_measured)| is_measured.then_some(name))
    .collect();
    if !measured.is_empty() {
        capacity.insert("measured".into(), json!(measured));
    }
    if !machine.notes.is_empty() {
        capacity.insert("nodes".into(), machine.notes.join("; ").into());
    }
    capacity
}

fn phases(standing: &Standing) -> Value {
    let mut table = Table::new(&[
        "phase",
        "memory",
        "memory_budget",
        "cpu",
        "cpu_budget",
        "over",
        "not_measured",
    ]);
    for phase in &standing.phases {
        let text = |value: Option<String>| value.map_or(Value::Null, Value::String);
        table.push(vec![
            phase.name.as_str().into(),
            phase.memory.to_string().into(),
            text(phase.memory_budget.map(|one| one.to_string())),
            phase.cpu.to_string().into(),
            text(phase.cpu_budget.map(|one| one.to_string())),
            if phase.is_over() {
                true.into()
            } else {
                Value::Null
            },
            match phase.unmeasured {
                0 => Value::Null,
                count => count.into(),
            },
        ]);
    }
    table.into_value()
}

fn put_near(answer: &mut Answer, standing: &Standing) {
    let mut table = Table::new(&["name", "what", "share"]);
    for near in standing.near_limits.iter().take(MOST_NAMED) {
        table.push(vec![
            near.service.0.as_str().into(),
            near.what.into(),
            whole_percent(near.share).into(),
        ]);
    }
    if !table.is_empty() {
        answer.put("near_limits", table.into_value());
    }
    let left = standing.near_limits.len().saturating_sub(MOST_NAMED);
    if left > 0 {
        answer.warn(format!(
            "{left} more are near a limit: see `memory_share` of each"
        ));
    }
}

fn put_stop_first(answer: &mut Answer, standing: &Standing) {
    let mut table = Table::new(&["name", "memory", "freed"]);
    for one in standing.stop_first.iter().take(MOST_NAMED) {
        table.push(vec![
            one.service.0.as_str().into(),
            one.memory.to_string().into(),
            one.freed.to_string().into(),
        ]);
    }
    if !table.is_empty() {
        answer.put("stop_first", table.into_value());
    }
    let left = standing.stop_first.len().saturating_sub(MOST_NAMED);
    if left > 0 {
        answer.warn(format!(
            "{left} more services are not essential and could be stopped after these"
        ));
    }
}
