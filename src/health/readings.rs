//! Gathers what the alert rules read: looks, usage, ingestion.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{
    Health, ServiceHealth, Watch,
    alerts::{self, Alerts, NotEvaluated, Reading, Readings},
    metrics,
};
use crate::{
    catalog::{Catalog, Reference, ingestion, scope::Scope, scope::Target},
    platform::{AlertCondition, AlertScope, Percent, Platform, ServiceName},
    runtime::{Problem, Usage},
    store::HistoryError,
};

/// The window over which ingestion runs are counted.
const INGESTION_WINDOW: Duration = Duration::from_secs(24 * 3_600);
/// How far back a successful run is looked for.
const OLDEST_SUCCESS: Duration = Duration::from_secs(100 * 24 * 3_600);

/// What a service uses of what it may, in percent; by service, and under the empty name of the
/// platform as a whole.
pub type Shares = BTreeMap<String, (Option<Percent>, Option<Percent>)>;

/// Shares of what services may use, by what a runtime says that they use; the limits are its own,
/// else those of the platform file.
pub fn shares_of(platform: &Platform, usages: &[Usage]) -> Shares {
    let mut shares = Shares::new();
    let (mut memory_sum, mut cpu_sum) = (None, None);
    for usage in usages {
        let service = platform.service(&usage.service.0);
        let memory_limit = usage
            .memory_limit
            .or_else(|| service.and_then(|service| service.memory));
        let cpu_limit = usage
            .cpu_limit
            .or_else(|| service.and_then(|service| service.cpu));
        let share = |used: Option<u64>, limit: Option<u64>| match (used, limit) {
            (Some(used), Some(limit)) => Some(Percent::of(used as f64, limit as f64)),
            _ => None,
        };
        let memory = usage.memory.map(|memory| memory.0);
        let cpu = usage.cpu.map(|cpu| cpu.0);
        shares.insert(
            usage.service.0.clone(),
            (
                share(memory, memory_limit.map(|limit| limit.0)),
                share(cpu, cpu_limit.map(|limit| limit.0)),
            ),
        );
        for (sum, used) in [(&mut memory_sum, memory), (&mut cpu_sum, cpu)] {
            if let Some(used) = used {
                *sum = Some(sum.unwrap_or(0) + used);
            }
        }
    }
    let outside = platform
        .capacity
        .external_memory
        .map_or(0, |memory| memory.0);
    let of = |used: Option<u64>, capacity: Option<u64>| {
        Some(Percent::of(used? as f64, capacity? as f64))
    };
    let whole = (
        of(
            memory_sum.map(|sum| sum + outside),
            platform.capacity.memory.map(|memory| memory.0),
        ),
        of(cpu_sum, platform.capacity.cpu.map(|cpu| cpu.0)),
    );
    shares.insert(String::new(), whole);
    shares
}

/// Whether a rule asks what services use.
pub(super) fn asks_for_usage(platform: &Platform) -> bool {
    platform.alerts.iter().any(|rule| {
        matches!(
            rule.when,
            AlertCondition::MemoryAbove(_) | AlertCondition::CpuAbove(_)
        )
    })
}

impl Watch {
    /// Shares now, where the rules ask for them and a runtime can tell.
    pub async fn shares(&self, missed: &mut Vec<String>) -> Shares {
        let platform = self.platform();
        if !asks_for_usage(platform) {
            return Shares::new();
        }
        match self.usages().await {
            Ok(usages) => shares_of(platform, &usages),
            Err(problem) => {
                missed.push(format!("what services use: {problem}"));
                Shares::new()
            }
        }
    }
}

impl Watch {
    /// What every service uses now, where a runtime can tell; `/metrics` says it from then on.
    pub async fn usages(&self) -> Result<Vec<Usage>, Problem> {
        let platform = self.platform();
        let names: Vec<ServiceName> = platform
            .services
            .iter()
            .map(|service| service.name.clone())
            .collect();
        let usages = match self.runtime() {
            Ok(runtime) => runtime.usage(&names).await,
            Err(problem) => Err(problem),
        };
        metrics::say_usage(platform, usages.as_deref().unwrap_or_default());
        usages
    }
}

/// The rules, evaluated.
pub struct Evaluated {
    /// Everything that is or was pending or firing.
    pub alerts: Alerts,
    pub lacking: Vec<NotEvaluated>,
    /// What could not be read, and why.
    pub missed: Vec<String>,
}

impl Watch {
    /// Evaluates the rules now and keeps what came of it.
    pub async fn evaluate(
        &self,
        health: &Health,
        catalog: Option<&Catalog>,
        deadline: Instant,
    ) -> Result<Evaluated, HistoryError> {
        let mut missed = Vec::new();
        let shares = self.shares(&mut missed).await;
        let gathered = self.readings(health, &shares, catalog, deadline).await?;
        missed.extend(gathered.missed);
        let platform = Arc::clone(self.platform());
        let now = Timestamp::now().as_millisecond();
        let (alerts, lacking) = self
            .with_history(move |history| {
                history.update(now, |records| {
                    let lacking = alerts::evaluate(
                        &platform,
                        &gathered.readings,
                        &mut records.alerts,
                        now,
                        alerts::LONGEST_GAP,
                    );
                    (records.alerts.clone(), lacking)
                })
            })
            .await?;
        Ok(Evaluated {
            alerts,
            lacking,
            missed,
        })
    }
}

/// What was read, and what could not be.
pub struct Gathered {
    pub readings: Readings,
    pub missed: Vec<String>,
}

impl Watch {
    /// Readings for the rules of this platform: only what a rule asks for is looked up.
    pub async fn readings(
        &self,
        health: &Health,
        shares: &Shares,
        catalog: Option<&Catalog>,
        deadline: Instant,
    ) -> Result<Gathered, HistoryError> {
        let platform = self.platform();
        let mut errors = BTreeMap::new();
        for window in error_windows(platform) {
            let since = Timestamp::now() - window;
            errors.insert(window, self.totals(since).await?);
        }
        let mut missed = Vec::new();
        let ingested = ingested(platform, catalog, deadline, &mut missed).await;
        let mut services = BTreeMap::new();
        for service in &health.services {
            let mut reading = of_service(service, shares.get(&service.name));
            for (window, totals) in &errors {
                let share = totals
                    .get(&service.name)
                    .and_then(|totals| totals.failed_share());
                if let Some(share) = share {
                    reading.errors.insert(*window, Percent(share * 100.0));
                }
            }
            let datasets = platform
                .service(&service.name)
                .map_or(&[][..], |service| &service.datasets);
            let of_datasets = datasets.iter().filter_map(|dataset| ingested.get(dataset));
            put_ingestion(&mut reading, of_datasets);
            say_ingestion(&platform.name, &service.name, &reading);
            services.insert(service.name.clone(), reading);
        }
        let mut whole = Reading::default();
        (whole.memory, whole.cpu) = shares.get("").copied().unwrap_or_default();
        for (window, totals) in &errors {
            let (looks, failed) = totals.values().fold((0, 0), |(looks, failed), totals| {
                (looks + totals.looks, failed + totals.failed)
            });
            if looks > 0 {
                let share = Percent::of(failed as f64, looks as f64);
                whole.errors.insert(*window, share);
            }
        }
        // Of several the worst is what a reader has to worry about.
        for reading in services.values() {
            let (failures, worst) = (reading.ingestion_failures, &mut whole.ingestion_failures);
            if failures > *worst {
                *worst = failures;
            }
            whole.ingestion_age = whole.ingestion_age.max(reading.ingestion_age);
        }
        Ok(Gathered {
            readings: Readings {
                services,
                platform: whole,
            },
            missed,
        })
    }
}

fn say_ingestion(platform: &str, service: &str, reading: &Reading) {
    let failures = reading.ingestion_failures.map(|share| share.0 / 100.0);
    let succeeded = reading
        .ingestion_age
        .and_then(|age| Timestamp::now().checked_sub(age).ok());
    metrics::say_ingestion(platform, service, failures, succeeded);
}

fn of_service(
    service: &ServiceHealth,
    shares: Option<&(Option<Percent>, Option<Percent>)>,
) -> Reading {
    let (memory, cpu) = shares.copied().unwrap_or_default();
    Reading {
        verdict: Some(service.verdict),
        response: service.response,
        memory,
        cpu,
        ..Reading::default()
    }
}

fn error_windows(platform: &Platform) -> BTreeSet<Duration> {
    let windows = platform.alerts.iter().filter_map(|rule| match rule.when {
        AlertCondition::ErrorsAbove { window, .. } => Some(window),
        _ => None,
    });
    windows.collect()
}

/// What the ingestion of one dataset came to, over a day.
pub struct Ingested {
    pub runs: usize,
    pub failed: usize,
    /// Since the newest success.
    pub age: Option<Duration>,
}

fn put_ingestion<'a>(reading: &mut Reading, of_datasets: impl Iterator<Item = &'a Ingested>) {
    let (mut runs, mut failed) = (0, 0);
    for ingested in of_datasets {
        runs += ingested.runs;
        failed += ingested.failed;
        // The oldest of several is what a reader has to worry about.
        reading.ingestion_age = reading.ingestion_age.max(ingested.age);
    }
    if runs > 0 {
        reading.ingestion_failures = Some(Percent::of(failed as f64, runs as f64));
    }
}

/// The ingestion of every dataset that a rule watches.
async fn ingested(
    platform: &Platform,
    catalog: Option<&Catalog>,
    deadline: Instant,
    missed: &mut Vec<String>,
) -> BTreeMap<String, Ingested> {
    let mut found = BTreeMap::new();
    let datasets = watched_datasets(platform);
    if datasets.is_empty() {
        return found;
    }
    let Some(catalog) = catalog else {
        missed.push("ingestion: no catalog is configured".into());
        return found;
    };
    for dataset in datasets {
        match of_dataset(catalog, &dataset, deadline).await {
            Ok(ingested) => {
                found.insert(dataset, ingested);
            }
            Err(why) => missed.push(format!("the ingestion of {dataset}: {why}")),
        }
    }
    found
}

fn watched_datasets(platform: &Platform) -> BTreeSet<String> {
    let mut datasets = BTreeSet::new();
    for rule in &platform.alerts {
        let is_of_ingestion = matches!(
            rule.when,
            AlertCondition::IngestionFailuresAbove(_) | AlertCondition::OlderThan(_)
        );
        if !is_of_ingestion {
            continue;
        }
        let is_watched = |name: &str| match &rule.scope {
            AlertScope::AllServices | AlertScope::Platform => true,
            AlertScope::Services(names) => names.iter().any(|watched| watched.0 == name),
        };
        for service in &platform.services {
            if is_watched(&service.name.0) {
                datasets.extend(service.datasets.iter().cloned());
            }
        }
    }
    datasets
}

/// The ingestion of one dataset.
pub async fn of_dataset(
    catalog: &Catalog,
    dataset: &str,
    deadline: Instant,
) -> Result<Ingested, String> {
    let told = |error: crate::catalog::CatalogError| error.to_string();
    let reference = Reference::parse(dataset).map_err(told)?;
    let summary = catalog.resolve(&reference).await.map_err(told)?;
    let scope = Scope::Entity(Target::of(&summary));
    let (pipelines, cut) = catalog
        .ingestion_pipelines(&scope, deadline)
        .await
        .map_err(told)?;
    if let Some(cut) = cut {
        return Err(cut);
    }
    let now = match catalog {
        Catalog::Live(_) => Timestamp::now().as_millisecond(),
        Catalog::Snapshot(snapshot) => snapshot.as_of().as_millisecond(),
    };
    let back = |window: Duration| now - i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
    let mut ingested = Ingested {
        runs: 0,
        failed: 0,
        age: None,
    };
    for pipeline in pipelines {
        let runs = catalog
            .ingestion_runs(&pipeline.fqn, back(OLDEST_SUCCESS), now, deadline)
            .await
            .map_err(told)?;
        let recent = runs
            .iter()
            .filter(|run| run.state.is_finished() && run.started >= back(INGESTION_WINDOW));
        for run in recent {
            ingested.runs += 1;
            ingested.failed += usize::from(!run.state.is_success());
        }
        let age = ingestion::freshness(&pipeline, &runs, now).age;
        let age = age.map(|age| Duration::from_millis(age.unsigned_abs()));
        ingested.age = ingested.age.max(age);
    }
    Ok(ingested)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{Bytes, MilliCpu, Service};

    #[test]
    fn shares_are_of_the_limits_and_the_whole_of_the_capacity() {
        let mut platform = Platform::default();
        for name in ["db", "api"] {
            let mut service = Service::named(name);
            service.memory = Some(Bytes(1_000));
            platform
                .by_name
                .insert(name.into(), platform.services.len());
            platform.services.push(service);
        }
        platform.capacity.memory = Some(Bytes(4_000));
        platform.capacity.external_memory = Some(Bytes(1_000));
        let usage = |name: &str, memory, limit| Usage {
            memory: Some(Bytes(memory)),
            memory_limit: limit,
            cpu: Some(MilliCpu(100)),
            ..Usage::none(ServiceName(name.into()), Timestamp::UNIX_EPOCH)
        };
        let shares = shares_of(
            &platform,
            &[usage("db", 900, None), usage("api", 100, Some(Bytes(400)))],
        );
        assert_eq!(shares["db"].0, Some(Percent(90.0)));
        assert_eq!(shares["api"].0, Some(Percent(25.0)));
        assert_eq!(shares[""], (Some(Percent(50.0)), None));
        // A limit that nobody gives is not 'nothing used'.
        assert_eq!(shares["db"].1, None);
    }
}
