//! `get_platform`: the platform at a glance, by its file and by what was seen of it.

mod deliveries;
mod scorecard;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Call, Context, Effect, Outcome, Tool, ToolError, Toolset, arguments, platform, schema,
};
use crate::{
    answer::{Answer, Budget, CursorScope, Page, Table, Total},
    health::{Health, Watch, watch::WatchedBy},
    platform::{Environment, Phase, Platform, Service, lint::Finding, model::RuntimeKind},
};

const NAME: &str = "get_platform";

pub const TOOL: Tool = Tool {
    name: NAME,
    title: "Get platform",
    description: "The platform at a glance: phases, services, limits against capacity; what needs \
                  what; the scorecard against its objectives; what its file contradicts.",
    toolset: Toolset::Platform,
    effect: Effect::Read,
    arguments: schema::of_arguments::<Arguments>,
    result: || {
        let mut fields = vec![
            ("platform", schema::object()),
            ("counts", schema::object()),
            ("phases", schema::table()),
            ("scorecard", schema::table()),
            ("findings", schema::table()),
        ];
        fields.extend(schema::paged("services"));
        schema::result(&["platform"], &fields)
    },
    call: |context, arguments| -> Call<'_> { Box::pin(call(context, arguments)) },
};

#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Default: overview.
    view: Option<View>,
    /// `next` of the page before; the rest as it was.
    cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum View {
    Overview,
    Dependencies,
    Scorecard,
    Lint,
}

async fn call(context: &Context, sent: Value) -> Outcome {
    let (asked, scope): (Arguments, _) = arguments::read_paged(NAME, sent)?;
    let watch = context.platform()?;
    let start = scope.position(asked.cursor.as_deref())?;
    let mut answer = Answer::new(Budget::DEFAULT);
    let mut about = described(watch.platform());
    if let WatchedBy::Another(holder) = watch.watched_by() {
        about["watched_by"] =
            format!("another server ({holder}); this one reads what it sees").into();
    }
    answer.put("platform", about);
    platform::put_provenance(&mut answer, watch);
    match asked.view.unwrap_or(View::Overview) {
        View::Overview => overview(&mut answer, watch, start, &scope).await?,
        View::Dependencies => dependencies(&mut answer, watch.platform(), start, &scope),
        View::Scorecard => scorecard::put(&mut answer, context, watch, start, &scope).await?,
        View::Lint => findings(&mut answer, watch, start, &scope),
    }
    Ok(answer)
}

fn described(platform: &Platform) -> Value {
    let mut told = Map::new();
    told.insert("name".into(), platform.name.as_str().into());
    told.insert(
        "environment".into(),
        match platform.environment {
            Environment::Development => "development",
            Environment::Production => "production",
        }
        .into(),
    );
    let runtime = match &platform.runtime {
        RuntimeKind::None => None,
        RuntimeKind::Process => Some("process"),
        RuntimeKind::Compose { .. } => Some("compose"),
        RuntimeKind::Kubernetes { .. } => Some("kubernetes"),
    };
    if let Some(runtime) = runtime {
        told.insert("runtime".into(), runtime.into());
    }
    told.insert("services".into(), platform.services.len().into());
    let memory: u64 = platform
        .services
        .iter()
        .filter_map(|service| service.memory)
        .map(|memory| memory.0)
        .sum();
    let cpu: u64 = platform
        .services
        .iter()
        .filter_map(|service| service.cpu)
        .map(|cpu| cpu.0)
        .sum();
    let against = |sum: String, capacity: Option<String>| match capacity {
        Some(capacity) => format!("{sum} of {capacity}"),
        None => sum,
    };
    if memory > 0 {
        let sum = crate::platform::Bytes(memory).to_string();
        let capacity = platform.capacity.memory.map(|memory| memory.to_string());
        told.insert("memory_limits".into(), against(sum, capacity).into());
    }
    if cpu > 0 {
        let sum = crate::platform::MilliCpu(cpu).to_string();
        let capacity = platform.capacity.cpu.map(|cpu| cpu.to_string());
        told.insert("cpu_limits".into(), against(sum, capacity).into());
    }
    if !platform.minimal.is_empty() {
        let minimal: Vec<&str> = platform
            .minimal
            .iter()
            .map(|name| name.0.as_str())
            .collect();
        told.insert("minimal".into(), json!(minimal));
    }
    told.into()
}

async fn overview(
    answer: &mut Answer,
    watch: &Watch,
    start: u64,
    scope: &CursorScope,
) -> Result<(), ToolError> {
    // As it is known: check_health looks.
    let health = watch.known().await?;
    let counts: Map<String, Value> = health
        .counts()
        .into_iter()
        .map(|(verdict, count)| (verdict.as_str().to_owned(), count.into()))
        .collect();
    answer.put("counts", counts);
    let platform = watch.platform();
    let mut phases = Table::new(&[
        "phase", "services", "up", "memory", "cpu", "budget", "status",
    ]);
    for phase in &platform.phases {
        phases.push(of_phase(platform, phase, &health));
    }
    if !phases.is_empty() {
        answer.put("phases", phases.into_value());
    }
    let mut table = Table::new(&[
        "name", "verdict", "phase", "port", "memory", "cpu", "replicas",
    ]);
    for service in platform.services.iter().skip(start as usize) {
        let verdict = health
            .service(&service.name.0)
            .map(|service| service.verdict.as_str());
        table.push(vec![
            service.name.0.as_str().into(),
            verdict.into(),
            platform::phase_of(platform, service).into(),
            service.ports.first().copied().into(),
            service.memory.map(|memory| memory.to_string()).into(),
            service.cpu.map(|cpu| cpu.to_string()).into(),
            service
                .replicas
                .map(|(from, to)| format!("{from}-{to}"))
                .into(),
        ]);
    }
    page(answer, table, platform.services.len(), start, scope);
    Ok(())
}

fn of_phase(platform: &Platform, phase: &Phase, health: &Health) -> Vec<Value> {
    let services: Vec<&Service> = phase
        .steps
        .iter()
        .flatten()
        .filter_map(|name| platform.service(&name.0))
        .collect();
    let up = services
        .iter()
        .filter_map(|service| health.service(&service.name.0))
        .filter(|service| service.verdict == crate::health::Verdict::Up)
        .count();
    let memory: u64 = services
        .iter()
        .filter_map(|service| service.memory)
        .map(|memory| memory.0)
        .sum();
    let cpu: u64 = services
        .iter()
        .filter_map(|service| service.cpu)
        .map(|cpu| cpu.0)
        .sum();
    vec![
        phase.name.as_str().into(),
        services.len().into(),
        up.into(),
        (memory > 0)
            .then(|| crate::platform::Bytes(memory).to_string())
            .into(),
        (cpu > 0)
            .then(|| crate::platform::MilliCpu(cpu).to_string())
            .into(),
        phase
            .budget
            .memory
            .map(|memory| format!("{memory} in all"))
            .into(),
        phase.status_word.as_deref().into(),
    ]
}

fn dependencies(answer: &mut Answer, platform: &Platform, start: u64, scope: &CursorScope) {
    let mut table = Table::new(&["name", "needs", "needed_by"]);
    for service in platform.services.iter().skip(start as usize) {
        let needs: Vec<&str> = service.needs.iter().map(|need| need.0.as_str()).collect();
        let needed_by = platform
            .services
            .iter()
            .filter(|other| other.needs.contains(&service.name))
            .count();
        table.push(vec![
            service.name.0.as_str().into(),
            needs.join(", ").into(),
            (needed_by > 0).then_some(needed_by).into(),
        ]);
    }
    page(answer, table, platform.services.len(), start, scope);
}

fn findings(answer: &mut Answer, watch: &Watch, start: u64, scope: &CursorScope) {
    let all = watch.findings();
    let mut table = Table::new(&["severity", "code", "message", "line"]);
    for finding in all.iter().skip(start as usize) {
        table.push(of_finding(finding));
    }
    answer.page(
        "findings",
        Page {
            table,
            total: Total::Exact(all.len() as u64),
            start,
            scope,
        },
    );
}

fn of_finding(finding: &Finding) -> Vec<Value> {
    vec![
        finding.severity.as_str().into(),
        finding.code.into(),
        finding.message.as_str().into(),
        finding.place.line.into(),
    ]
}

fn page(answer: &mut Answer, table: Table, total: usize, start: u64, scope: &CursorScope) {
    answer.page(
        "services",
        Page {
            table,
            total: Total::Exact(total as u64),
            start,
            scope,
        },
    );
}
