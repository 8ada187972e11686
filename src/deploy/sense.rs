//! Looks at a real platform for a driver: health, usage, and what the catalog says of its data.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;

use super::{
    gate::Reading,
    look::{Look, Metered, Order, Seen, ServiceSeen},
    metered,
};
use crate::{
    catalog::{Catalog, Reference, quality::TestStatus, scope::Scope, scope::Target},
    health::{Outcome, Verdict, Watch, readings, recording::Looked},
    observe::{machine::Machine, resources::standing},
    platform::{Percent, Platform, Service, ServiceName},
    runtime::Usage,
};

/// Gives the catalog as this process itself sees it, or says why there is none.
pub type OwnCatalog = Arc<dyn Fn() -> BoxFuture<'static, Result<Catalog, String>> + Send + Sync>;

/// How long the catalog may take for one look.
const LONGEST_CATALOG: Duration = Duration::from_secs(20);
/// What the catalog says is asked again after this: data does not change with every look.
const CATALOG_EVERY: Duration = Duration::from_secs(15);
/// Usage is asked again after this: a runtime may take two looks a second apart for it.
const USAGE_EVERY: Duration = Duration::from_secs(3);
const LONGEST_USAGE: Duration = Duration::from_secs(15);

/// Looks at the platform of this watch.
pub fn of(watch: Arc<Watch>, catalog: OwnCatalog) -> Look {
    let kept = Arc::new(Kept::default());
    Arc::new(move |order| {
        let (watch, catalog, kept) = (Arc::clone(&watch), Arc::clone(&catalog), Arc::clone(&kept));
        Box::pin(async move { seen(&watch, &catalog, &kept, order).await })
    })
}

/// What costs something and changes slowly.
#[derive(Default)]
struct Kept {
    usage: Mutex<Option<(Instant, Used)>>,
    data: Mutex<Option<(Instant, Vec<String>, Data)>>,
}

#[derive(Clone)]
struct Used {
    memory: Reading<f64>,
    cpu: Reading<f64>,
    bytes: Option<u64>,
}

#[derive(Clone)]
struct Data {
    ingestion_success: Reading<f64>,
    tests_passing: Reading<f64>,
    age: Reading<Duration>,
}

impl Data {
    fn none(reason: &str) -> Self {
        Self {
            ingestion_success: Err(reason.to_owned()),
            tests_passing: Err(reason.to_owned()),
            age: Err(reason.to_owned()),
        }
    }
}

async fn seen(watch: &Arc<Watch>, catalog: &OwnCatalog, kept: &Kept, order: Order) -> Seen {
    let platform = Arc::clone(watch.platform());
    let services: Vec<&Service> = order
        .services
        .iter()
        .filter_map(|name| platform.service(&name.0))
        .collect();
    let usage = async {
        match order.wants.usage {
            true => used(watch, kept).await,
            false => Used {
                memory: Err("not asked".into()),
                cpu: Err("not asked".into()),
                bytes: None,
            },
        }
    };
    let data = async {
        match order.wants.catalog {
            true => data(&platform, &order.services, catalog, kept).await,
            false => Data::none("not asked"),
        }
    };
    let metered = async {
        match order.wants.responses {
            true => metered::now(&platform).await,
            false => Metered::default(),
        }
    };
    let (looked, usage, data, metered) =
        tokio::join!(watch.look_once_at(&services), usage, data, metered);
    let counts: Vec<(String, Option<Duration>, u32, u32)> = looked.iter().map(counted).collect();
    let health = watch.enter(looked).await;
    let services = order
        .services
        .into_iter()
        .map(|service| {
            let count = counts.iter().find(|one| one.0 == service.0);
            let (response, looks, failed) = count.map_or((None, 0, 0), |one| (one.1, one.2, one.3));
            let known = health.as_ref().map(|health| health.service(&service.0));
            let (verdict, reason) = match known {
                Ok(Some(known)) => (known.verdict, reason_of(known)),
                Ok(None) => (
                    Verdict::Unknown,
                    Some("the platform file does not have it any more".into()),
                ),
                Err(error) => (Verdict::Unknown, Some(error.to_string())),
            };
            ServiceSeen {
                service,
                verdict,
                reason,
                response,
                looks,
                failed,
            }
        })
        .collect();
    Seen {
        services,
        memory: usage.memory,
        cpu: usage.cpu,
        metered,
        memory_bytes: usage.bytes,
        ingestion_success: data.ingestion_success,
        tests_passing: data.tests_passing,
        age: data.age,
    }
}

fn reason_of(known: &crate::health::ServiceHealth) -> Option<String> {
    match known.blocked_by.is_empty() {
        true => known.reason.clone(),
        false => Some(format!("blocked by {}", known.blocked_by.join(", "))),
    }
}

/// Its name, how fast it answered, looks that were made and that failed.
fn counted(looked: &Looked) -> (String, Option<Duration>, u32, u32) {
    let (mut looks, mut failed) = (0, 0);
    for look in &looked.looks {
        match look.outcome {
            Outcome::Passed | Outcome::Impaired(_) => looks += 1,
            Outcome::Failed(_) => {
                looks += 1;
                failed += 1;
            }
            Outcome::CouldNotLook(_) => {}
        }
    }
    let response = looked.looks.last().and_then(|look| look.response);
    (looked.service.clone(), response, looks, failed)
}

async fn used(watch: &Watch, kept: &Kept) -> Used {
    let known = kept
        .usage
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    if let Some((at, used)) = known
        && at.elapsed() < USAGE_EVERY
    {
        return used;
    }
    let used = used_now(watch).await;
    *kept.usage.lock().unwrap_or_else(PoisonError::into_inner) =
        Some((Instant::now(), used.clone()));
    used
}

/// Everything that the platform uses, of what it has.
async fn used_now(watch: &Watch) -> Used {
    let platform = watch.platform();
    let none = |reason: String| Used {
        memory: Err(reason.clone()),
        cpu: Err(reason),
        bytes: None,
    };
    let names: Vec<ServiceName> = platform
        .services
        .iter()
        .map(|service| service.name.clone())
        .collect();
    let runtime = match watch.runtime() {
        Ok(runtime) => runtime,
        Err(problem) => return none(problem.to_string()),
    };
    let asked = tokio::time::timeout(LONGEST_USAGE, runtime.usage(&names)).await;
    let usages = match asked {
        Ok(Ok(usages)) => usages,
        Ok(Err(problem)) => return none(problem.to_string()),
        Err(_) => {
            return none(format!(
                "the runtime did not tell usage within {} s",
                LONGEST_USAGE.as_secs()
            ));
        }
    };
    let machine = Machine::of(platform, Some(runtime)).await;
    let standing = standing(platform, &usages, &machine);
    let bytes = standing.memory.0 + standing.external_memory.0;
    let share = |share: Option<Percent>, what: &str| {
        share
            .map(|share| share.0)
            .ok_or_else(|| match machine.provenance() {
                Some(why) => format!("the capacity for {what} is not known: {why}"),
                None => format!("the capacity for {what} is not known"),
            })
    };
    // A sum that lacks a part would pass gates and miss triggers.
    let (memory_lacks, cpu_lacks) = (
        lacking(&usages, |usage| usage.is_unknown),
        lacking(&usages, |usage| {
            usage.is_unknown || usage.memory.is_some() && usage.cpu.is_none()
        }),
    );
    Used {
        bytes: memory_lacks.is_none().then_some(bytes),
        memory: memory_lacks.map_or_else(|| share(standing.memory_share, "memory"), Err),
        cpu: cpu_lacks.map_or_else(|| share(standing.cpu_share, "cpu"), Err),
    }
}

/// Why a sum is not known; none where it is.
fn lacking(usages: &[Usage], is_lacking: impl Fn(&Usage) -> bool) -> Option<String> {
    let lacking: Vec<&Usage> = usages.iter().filter(|usage| is_lacking(usage)).collect();
    let first = lacking.first()?;
    let others = match lacking.len() {
        1 => String::new(),
        all => format!(" and {} others", all - 1),
    };
    let why = match first.notes.first() {
        Some(note) => format!(": {note}"),
        None => String::new(),
    };
    Some(format!(
        "what {}{others} uses is not known{why}",
        first.service
    ))
}

async fn data(
    platform: &Platform,
    services: &[ServiceName],
    catalog: &OwnCatalog,
    kept: &Kept,
) -> Data {
    let datasets: Vec<String> = services
        .iter()
        .filter_map(|name| platform.service(&name.0))
        .flat_map(|service| service.datasets.iter().cloned())
        .collect();
    if datasets.is_empty() {
        return Data::none("no deployed service carries a dataset");
    }
    let known = kept
        .data
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    if let Some((at, of, data)) = known
        && at.elapsed() < CATALOG_EVERY
        && of == datasets
    {
        return data;
    }
    let until = Instant::now() + LONGEST_CATALOG;
    let asked = tokio::time::timeout_at(until.into(), data_now(&datasets, catalog, until)).await;
    let data = asked.unwrap_or_else(|_| Data::none("the catalog did not answer in time"));
    *kept.data.lock().unwrap_or_else(PoisonError::into_inner) =
        Some((Instant::now(), datasets, data.clone()));
    data
}

async fn data_now(datasets: &[String], catalog: &OwnCatalog, until: Instant) -> Data {
    let catalog = match catalog().await {
        Ok(catalog) => catalog,
        Err(reason) => return Data::none(&reason),
    };
    let (mut runs, mut failed) = (0, 0);
    let mut age: Reading<Duration> = Err("nothing was ever ingested".into());
    let (mut tests, mut passing) = (0_usize, 0_usize);
    for dataset in datasets {
        let ingested = match readings::of_dataset(&catalog, dataset, until).await {
            Ok(ingested) => ingested,
            Err(reason) => return Data::none(&format!("the ingestion of {dataset}: {reason}")),
        };
        runs += ingested.runs;
        failed += ingested.failed;
        // The oldest of several is what a gate has to worry about.
        if let Some(of_dataset) = ingested.age {
            age = Ok(age.map_or(of_dataset, |age| age.max(of_dataset)));
        }
        match tests_of(&catalog, dataset, until).await {
            Ok((all, good)) => {
                tests += all;
                passing += good;
            }
            Err(reason) => return Data::none(&format!("the tests of {dataset}: {reason}")),
        }
    }
    let share = |part: usize, whole: usize, what: &str| match whole {
        0 => Err(format!("no {what}")),
        _ => Ok(part as f64 * 100.0 / whole as f64),
    };
    Data {
        ingestion_success: share(runs - failed, runs, "ingestion run within a day"),
        tests_passing: share(passing, tests, "test has a result"),
        age,
    }
}

/// Tests with a result, and those that pass.
async fn tests_of(
    catalog: &Catalog,
    dataset: &str,
    until: Instant,
) -> Result<(usize, usize), String> {
    let told = |error: crate::catalog::CatalogError| error.to_string();
    let reference = Reference::parse(dataset).map_err(told)?;
    let summary = catalog.resolve(&reference).await.map_err(told)?;
    let scope = Scope::Entity(Target::of(&summary));
    let cases = catalog.test_cases(&scope, until).await.map_err(told)?;
    if let Some(cut) = cases.cut {
        return Err(cut);
    }
    let decided = cases.cases.iter().filter(|case| {
        matches!(
            case.status,
            Some(TestStatus::Success | TestStatus::Failed | TestStatus::Aborted)
        )
    });
    let all = decided.clone().count();
    let good = decided
        .filter(|case| case.status == Some(TestStatus::Success))
        .count();
    Ok((all, good))
}
