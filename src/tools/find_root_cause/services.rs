//! The platform's side of root causes: why a service fails, and which services are under an entity.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Context, Outcome};
use crate::{
    answer::{Answer, Budget, CursorScope, Page, Table, Total, time as times},
    bridge::root_cause::{self, DeploymentCause, ServiceCause},
    catalog::{
        Catalog, Reference,
        graph::{Direction, walk::walk},
        lineage::Reach,
        scope::Target,
    },
    deploy::{Deployments, past::Past},
    health::{Verdict, Watch},
    observe::logs::{self, secrets::Secrets},
    platform::Service,
    runtime::{LogQuery, Observed, ServiceState},
    tools::platform,
};

/// How far upstream services are looked for: beyond, nearly everything is upstream.
const HOPS: u32 = 5;

/// Lines of its log that a root cause shows; get_logs has the rest.
const LAST_LINES: usize = 8;

/// What the services under an entity tell.
#[derive(Default)]
pub struct Carried {
    pub causes: Vec<ServiceCause>,
    /// What was done to them shortly before they, or the data, went wrong; with hops upstream.
    pub deployed: Vec<(u32, DeploymentCause)>,
    pub looked_at: usize,
    pub missed: Vec<String>,
}

/// The failing services that carry an entity or what is upstream of it. `wrong`: when something
/// of the data went wrong.
pub async fn under(
    context: &Context,
    catalog: &Catalog,
    target: &Target,
    wrong: &[i64],
) -> Carried {
    let Ok(watch) = context.platform() else {
        return match context.has_platform() {
            true => Carried {
                missed: vec!["the services of the platform: its file cannot be taken".into()],
                ..Carried::default()
            },
            false => Carried::default(),
        };
    };
    let mut carried = Carried::default();
    let mut entities: Vec<(String, u32)> = vec![(target.fqn.clone(), 0)];
    match upstream_of(context, catalog, target).await {
        Ok(upstream) => entities.extend(upstream),
        Err(why) => carried
            .missed
            .push(format!("the services upstream of it: {why}")),
    }
    let named = entities.iter().map(|(fqn, hops)| (fqn.as_str(), *hops));
    let carriers = root_cause::carriers(watch.platform(), named);
    let services: Vec<&Service> = carriers
        .keys()
        .filter_map(|name| watch.platform().service(name))
        .collect();
    carried.looked_at = services.len();
    match watch.check(&services, false, context.deadline()).await {
        Ok(checked) => carried.causes = root_cause::of_carriers(&carriers, &checked.health),
        Err(error) => carried
            .missed
            .push(format!("the services of the platform: {error}")),
    }
    match past(context, watch).await {
        Ok(past) => {
            let wrong = wrong
                .iter()
                .filter_map(|at| Timestamp::from_millisecond(*at).ok());
            let data = wrong.flat_map(|at| carriers.keys().map(move |name| (*name, at)));
            let failing = carried.causes.iter();
            let failing = failing
                .map(|cause| (cause.service.as_str(), cause.since.unwrap_or(context.now)))
                .chain(data);
            let deployed = root_cause::acted_on(failing, &past, context.now);
            carried.deployed = deployed
                .into_iter()
                .map(|mut one| {
                    one.evidence = format!("on {}: {}", one.service, one.evidence);
                    let hops = carriers.get(one.service.as_str());
                    (hops.copied().unwrap_or_default(), one)
                })
                .collect();
        }
        Err(why) => carried.missed.push(format!("deployments: {why}")),
    }
    carried
}

async fn upstream_of(
    context: &Context,
    catalog: &Catalog,
    target: &Target,
) -> Result<Vec<(String, u32)>, String> {
    let reference = Reference::to(target.entity_type.clone(), target.fqn.clone());
    let told = |error: crate::catalog::CatalogError| error.to_string();
    let entity = catalog.resolve(&reference).await.map_err(told)?;
    let reach = Reach::only(Direction::Upstream, HOPS);
    let lineage = catalog
        .lineage(&entity, reach, context.deadline())
        .await
        .map_err(told)?;
    let walked = walk(&lineage.graph, &lineage.origin, Direction::Upstream, HOPS);
    let visits = walked.visits.iter();
    Ok(visits
        .map(|visit| (lineage.graph.node(visit.node).fqn.to_owned(), visit.depth))
        .collect())
}

/// Why a service of the platform fails.
pub async fn root_cause(context: &Context, service: &Service) -> Outcome {
    let watch = context.platform()?;
    let checked = watch.check(&[service], false, context.deadline()).await?;
    let health = checked.health;
    let name = service.name.0.as_str();
    let causes = root_cause::of_service(watch.platform(), &health, name);
    let past = past(context, watch).await;
    let deployed = past.as_ref().map_or_else(
        |_| Vec::new(),
        |past| root_cause::of_deployments(&causes, past, context.now),
    );
    let mut answer = Answer::new(Budget::DEFAULT);
    let verdict = health.service(name).map(|service| service.verdict);
    let seen = seen_by_runtime(watch, service).await;
    let restart_loop = match (&seen, verdict) {
        (Some(Ok(seen)), Some(verdict)) if verdict != Verdict::Up => restart_loop(service, seen),
        _ => None,
    };
    let total = causes.len() + deployed.len() + usize::from(restart_loop.is_some());
    answer.put(
        "result",
        match (total, verdict) {
            (0, Some(verdict)) => format!("nothing found: {name} is {}", verdict.as_str()),
            (count, Some(verdict)) => {
                format!("{name} is {}: {count} possible causes", verdict.as_str())
            }
            (_, None) => format!("nothing is known of {name}"),
        },
    );
    // Names alone: values may be secrets.
    let environment: Vec<String> = service
        .environment
        .iter()
        .map(|(name, _)| name.clone())
        .collect();
    let needs: Vec<Value> = service
        .needs
        .iter()
        .map(|need| {
            let verdict = health.service(&need.0).map(|need| need.verdict.as_str());
            json!({"service": need.0, "verdict": verdict})
        })
        .collect();
    answer.put(
        "looked_at",
        json!({"platform_services": checked.looked_at, "needs": needs,
               "environment": platform::some(&environment, 20),
               "deployments": past.as_ref().map(|past| past.runs.len()).unwrap_or_default()}),
    );
    if let Err(why) = past {
        answer.put("could_not_look", vec![format!("deployments: {why}")]);
    }
    put_runtime(&mut answer, watch, service, seen).await;
    platform::put_provenance(&mut answer, watch);
    let mut table = Table::new(&["kind", "subject", "distance", "since", "evidence"]);
    if let Some(row) = restart_loop {
        table.push(row);
    }
    for cause in &causes {
        table.push(row(cause));
        // What was done to it shortly before belongs to it.
        for one in deployed.iter().filter(|one| one.service == cause.service) {
            table.push(row_of_deployment(cause.distance, one));
        }
    }
    answer.page(
        "causes",
        Page {
            table,
            total: Total::Exact(total as u64),
            start: 0,
            scope: &CursorScope::new(super::NAME, &json!({"service": name})),
        },
    );
    Ok(answer)
}

/// Runs that may be read: those of a day.
const MOST_RUNS: usize = 100;

/// What was done to the platform lately.
async fn past(context: &Context, watch: &Arc<Watch>) -> Result<Past, String> {
    let since = context.now.as_millisecond() - root_cause::DEPLOYED_WITHIN;
    let since = Timestamp::from_millisecond(since).unwrap_or(context.now);
    Deployments::past(watch, since, context.now, MOST_RUNS)
        .await
        .map_err(|error| error.to_string())
}

/// What the runtime sees of the service, where there is one; else why it could not look.
async fn seen_by_runtime(watch: &Watch, service: &Service) -> Option<Result<Observed, String>> {
    let runtime = watch.runtime().ok()?;
    let names = [service.name.clone()];
    match runtime.observe(&names).await {
        Ok(seen) => seen.into_iter().next().map(Ok),
        Err(problem) => Some(Err(problem.to_string())),
    }
}

/// Said first: what ends again and again tells more than that nobody answers at its port.
fn restart_loop(service: &Service, seen: &Observed) -> Option<Vec<Value>> {
    let (since, ended) = match &seen.state {
        ServiceState::Restarting { since, last, .. } => {
            (Some(*since), format!(", the last time with {last}"))
        }
        ServiceState::Running if seen.restarts > 0 => (seen.started_at, String::new()),
        _ => return None,
    };
    Some(vec![
        "restarting_service".into(),
        service.name.0.as_str().into(),
        0.into(),
        since.map(|at| times::text(at.as_millisecond())).into(),
        format!(
            "it ended and was started again {} times{ended}: its last lines, what it needs and its \
             environment are told here",
            seen.restarts
        )
        .into(),
    ])
}

/// What the runtime saw of the service, and the last lines that it wrote: what a restart loop is
/// told by.
async fn put_runtime(
    answer: &mut Answer,
    watch: &Watch,
    service: &Service,
    seen: Option<Result<Observed, String>>,
) {
    let Ok(runtime) = watch.runtime() else {
        return;
    };
    match seen {
        Some(Ok(seen)) => {
            let mut told = json!({"state": seen.state.as_str(), "restarts": seen.restarts});
            match &seen.state {
                ServiceState::Exited(exit) | ServiceState::Restarting { last: exit, .. } => {
                    told["last_exit"] = exit.to_string().into();
                }
                _ => {}
            }
            if let Some(started) = seen.started_at {
                told["started_at"] = times::text(started.as_millisecond()).into();
            }
            answer.put("runtime", told);
        }
        None => {}
        Some(Err(problem)) => {
            answer.warn(format!("could not look at the runtime: {problem}"));
        }
    }
    let query = LogQuery {
        service: service.name.clone(),
        since: None,
        cursor: None,
        limit: LAST_LINES,
    };
    if let Ok(page) = runtime.logs(&query).await {
        let secrets = Secrets::default();
        let lines: Vec<Value> = logs::read(&service.name, &page.lines, &secrets)
            .into_iter()
            .map(|line| line.text.into())
            .collect();
        answer.put("last_lines", lines);
    }
}

/// A row of `causes`.
pub fn row(cause: &ServiceCause) -> Vec<Value> {
    vec![
        format!("{}_service", cause.verdict.as_str()).into(),
        cause.service.as_str().into(),
        cause.distance.into(),
        cause
            .since
            .map(|since| times::text(since.as_millisecond()))
            .into(),
        cause.evidence.as_str().into(),
    ]
}

/// A row of `causes`.
pub fn row_of_deployment(distance: u32, one: &DeploymentCause) -> Vec<Value> {
    vec![
        "deployment".into(),
        one.subject.as_str().into(),
        distance.into(),
        times::text(one.at.as_millisecond()).into(),
        one.evidence.as_str().into(),
    ]
}
