//! The platform's side of root causes: why a service fails, and which services are under an entity.

use serde_json::{Value, json};

use super::{Arguments, Context, Outcome};
use crate::{
    answer::{Answer, Budget, CursorScope, Page, Table, Total, time as times},
    bridge::root_cause::{self, ServiceCause},
    catalog::{
        Catalog, Reference,
        graph::{Direction, walk::walk},
        lineage::Reach,
        scope::Target,
    },
    platform::Service,
    tools::platform,
};

/// How far upstream services are looked for: beyond, nearly everything is upstream.
const HOPS: u32 = 5;

/// What the services under an entity tell.
#[derive(Default)]
pub struct Carried {
    pub causes: Vec<ServiceCause>,
    pub looked_at: usize,
    pub missed: Vec<String>,
}

/// The service of the platform that is asked about: its names go before those of the catalog.
pub fn named<'a>(context: &'a Context, asked: &Arguments) -> Option<&'a Service> {
    let name = asked
        .service
        .as_deref()
        .filter(|_| asked.entity.is_none())?;
    context.platform().ok()?.platform().service(name)
}

/// The failing services that carry an entity or what is upstream of it.
pub async fn under(context: &Context, catalog: &Catalog, target: &Target) -> Carried {
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
    let mut answer = Answer::new(Budget::DEFAULT);
    let verdict = health.service(name).map(|service| service.verdict);
    answer.put(
        "result",
        match (causes.len(), verdict) {
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
               "environment": platform::some(&environment, 20)}),
    );
    platform::put_provenance(&mut answer, watch);
    let mut table = Table::new(&["kind", "subject", "distance", "since", "evidence"]);
    let total = causes.len() as u64;
    for cause in &causes {
        table.push(row(cause));
    }
    answer.page(
        "causes",
        Page {
            table,
            total: Total::Exact(total),
            start: 0,
            scope: &CursorScope::new(super::NAME, &json!({"service": name})),
        },
    );
    Ok(answer)
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
