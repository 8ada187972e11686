//! Looks at the services of a platform, remembers what was seen, and reports.
//!
//! All looks of one check run side by side, each with the time-out of its own probe: a slow one
//! never delays the report of another beyond its own bound.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::{
    metrics,
    observation::{Observation, Outcome},
    probe::process,
    recording::{self, Looked},
    report::Health,
};
use crate::{
    platform::{Finding, Platform, Probe, ProbeKind, Service, ServiceName},
    runtime::{Observed, Problem, Runtime},
    store::{
        History, HistoryError, Holder, Site,
        history::{Records, ServiceRecord, Totals},
        sqlite,
    },
};

/// Looks until a look does not fail, until `retries` of the probe have failed, or until the time
/// has come: every look that was made, in order.
pub type Check =
    Arc<dyn Fn(Probe, tokio::time::Instant) -> BoxFuture<'static, Vec<Observation>> + Send + Sync>;

/// How long a runtime is waited for: it is asked besides.
const LONGEST_OBSERVATION: Duration = Duration::from_secs(3);

/// A platform under observation.
pub struct Watch {
    platform: Arc<Platform>,
    history: Arc<History>,
    check: Check,
    /// Why the history ends with this process, where it does.
    not_kept: Option<String>,
    /// What the platform file contradicts.
    findings: Vec<Finding>,
    runtime: Result<Arc<dyn Runtime>, Problem>,
    site: Option<Site>,
    /// What every answer about it has to say besides.
    notes: RwLock<Vec<String>>,
    watched_by: RwLock<WatchedBy>,
    /// Why what was seen last was not kept, where it was not.
    unkept: RwLock<Option<String>>,
}

/// Who keeps looking at a platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum WatchedBy {
    /// Nobody that this process knows of: it is looked when someone asks.
    #[default]
    Nobody,
    ThisServer,
    /// Another process with the same state folder; what it sees is read from the history.
    Another(Holder),
}

/// What one check gave.
pub struct Checked {
    pub health: Health,
    /// Services that were looked at now; the others are as they were known.
    pub looked_at: usize,
}

impl Watch {
    pub fn new(platform: Arc<Platform>, history: Arc<History>, check: Check) -> Self {
        Self {
            platform,
            history,
            check,
            not_kept: None,
            findings: Vec::new(),
            runtime: Err(Problem::NotSupported {
                what: "looking at processes, logs and usage",
                runtime: "a server without a runtime",
            }),
            site: None,
            notes: RwLock::default(),
            watched_by: RwLock::default(),
            unkept: RwLock::default(),
        }
    }

    /// The platform after a change of its file, with the same history.
    pub fn succeeded_by(&self, platform: Arc<Platform>, check: Check) -> Self {
        for service in &self.platform.services {
            let name = &service.name.0;
            if self.platform.name != platform.name
                || !platform.services.iter().any(|one| one.name.0 == *name)
            {
                metrics::forget(&self.platform.name, name);
            }
        }
        Self {
            not_kept: self.not_kept.clone(),
            site: self.site.clone(),
            ..Self::new(platform, Arc::clone(&self.history), check)
        }
    }

    /// Who keeps looking at it.
    pub fn watched_by(&self) -> WatchedBy {
        let held = self.watched_by.read();
        held.map(|held| held.clone()).unwrap_or_default()
    }

    /// Says who keeps looking at it from now on.
    pub fn set_watched_by(&self, who: WatchedBy) {
        if let Ok(mut held) = self.watched_by.write() {
            *held = who;
        }
    }

    /// What every answer about this platform has to say besides.
    pub fn notes(&self) -> Vec<String> {
        let notes = self.notes.read();
        let mut notes = notes.map(|notes| notes.clone()).unwrap_or_default();
        notes.extend(
            self.unkept()
                .map(|why| format!("what was seen last is not kept: {why}")),
        );
        notes
    }

    /// Takes the place of what was said besides.
    pub fn set_notes(&self, notes: Vec<String>) {
        if let Ok(mut held) = self.notes.write() {
            *held = notes;
        }
    }

    /// What carries the services, or why nothing can be asked of it.
    pub fn with_runtime(mut self, runtime: Result<Arc<dyn Runtime>, Problem>) -> Self {
        self.runtime = runtime;
        self
    }

    /// Where the state of its deployments lies.
    pub fn with_site(mut self, site: Option<Site>) -> Self {
        self.site = site;
        self
    }

    /// Where the state of its deployments lies; none where there is no place for it.
    pub fn site(&self) -> Option<&Site> {
        self.site.as_ref()
    }

    /// What carries the services.
    pub fn runtime(&self) -> Result<&Arc<dyn Runtime>, Problem> {
        self.runtime.as_ref().map_err(Clone::clone)
    }

    /// With what the linter found in the platform file.
    pub fn with_findings(mut self, findings: Vec<Finding>) -> Self {
        self.findings = findings;
        self
    }

    /// What the platform file contradicts.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The history could not be opened for this reason and is kept in memory.
    pub fn without_history(mut self, reason: String) -> Self {
        self.not_kept = Some(reason);
        self
    }

    pub fn platform(&self) -> &Arc<Platform> {
        &self.platform
    }

    pub fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// Why what is seen now is forgotten with this process, where it is.
    pub fn not_kept(&self) -> Option<&str> {
        self.not_kept.as_deref()
    }

    /// What is known without looking.
    pub async fn known(&self) -> Result<Health, HistoryError> {
        let platform = Arc::clone(&self.platform);
        self.with_history(move |history| Ok(Health::of(&platform, &history.services()?)))
            .await
    }

    /// Looks at these services, at each as often as it takes to be sure, and at what they need,
    /// without which no cause can be named. What was seen less than an interval of its probe ago
    /// is not looked at again unless `is_fresh` asks for it.
    pub async fn check(
        &self,
        services: &[&Service],
        is_fresh: bool,
        deadline: Instant,
    ) -> Result<Checked, HistoryError> {
        let records = self.with_history(|history| history.services()).await?;
        let now = Timestamp::now();
        let due: Vec<&Service> = self
            .with_dependencies(services)
            .into_iter()
            .filter(|service| is_fresh || !is_recent(service, records.get(&service.name.0), now))
            .collect();
        let count = due.len();
        let observed = self.observed(&due).await;
        let mut looks = Vec::with_capacity(count);
        for service in due {
            let failures = records
                .get(&service.name.0)
                .map_or(0, |record| record.failures);
            let of_runtime = observed.get(&service.name);
            looks.push(self.look_at(service, of_runtime, failures, deadline));
        }
        let checked = futures::future::join_all(looks).await;
        let health = self.enter(checked).await?;
        Ok(Checked {
            health,
            looked_at: count,
        })
    }

    /// Enters looks that were made and answers what is known with them.
    pub async fn enter(&self, checked: Vec<Looked>) -> Result<Health, HistoryError> {
        for looked in &checked {
            for look in &looked.looks {
                metrics::count_look(&self.platform.name, &looked.service, &look.outcome);
            }
        }
        let platform = Arc::clone(&self.platform);
        let entered = self.with_history(move |history| {
            let now = Timestamp::now();
            let kept = history.update(now.as_millisecond(), |records| {
                recording::enter(&platform, &checked, records, now);
                records.services.clone()
            });
            let (services, unkept) = match kept {
                Ok(services) => (services, None),
                Err(error) => {
                    // It was seen all the same: told, although it is forgotten again.
                    let mut records = Records {
                        services: history.services()?,
                        ..Records::default()
                    };
                    recording::enter(&platform, &checked, &mut records, now);
                    (records.services, Some(error.to_string()))
                }
            };
            Ok((Health::of(&platform, &services), unkept))
        });
        let (health, unkept) = entered.await?;
        if let Ok(mut held) = self.unkept.write() {
            *held = unkept;
        }
        self.tell(&health);
        Ok(health)
    }

    /// Why what was seen last was not kept, where it was not.
    pub fn unkept(&self) -> Option<String> {
        self.unkept.read().ok()?.clone()
    }

    /// `/metrics` says this from now on.
    pub(super) fn tell(&self, health: &Health) {
        for service in &health.services {
            let (name, response) = (&service.name, service.response);
            metrics::say(&self.platform.name, name, service.verdict, response);
        }
    }

    /// What each service was how long since a time.
    pub async fn totals(&self, since: Timestamp) -> Result<BTreeMap<String, Totals>, HistoryError> {
        self.with_history(move |history| history.totals(None, since.as_millisecond()))
            .await
    }

    /// One look, sure or not: a monitor comes again.
    pub async fn look_once(&self, service: &Service) -> Looked {
        // The probe's own time-out is the bound.
        let until = Instant::now() + Duration::from_secs(3_600);
        let observed = self.observed(&[service]).await;
        self.look_at(service, observed.get(&service.name), u32::MAX, until)
            .await
    }

    /// One look at each of these, sure or not, all side by side: who looks comes again.
    pub async fn look_once_at(&self, services: &[&Service]) -> Vec<Looked> {
        let until = Instant::now() + Duration::from_secs(3_600);
        let observed = self.observed(services).await;
        let looks = services
            .iter()
            .map(|service| self.look_at(service, observed.get(&service.name), u32::MAX, until));
        futures::future::join_all(looks).await
    }

    /// What the runtime sees of these services, where there is one that answers in time.
    async fn observed(&self, services: &[&Service]) -> HashMap<ServiceName, Observed> {
        let Ok(runtime) = self.runtime() else {
            return HashMap::new();
        };
        let names: Vec<ServiceName> = services.iter().map(|one| one.name.clone()).collect();
        let observing = tokio::time::timeout(LONGEST_OBSERVATION, runtime.observe(&names));
        match observing.await {
            Ok(Ok(observed)) => observed
                .into_iter()
                .map(|one| (one.service.clone(), one))
                .collect(),
            // The probes tell all the same.
            Ok(Err(_)) | Err(_) => HashMap::new(),
        }
    }

    /// Looks until it is sure, where so many looks failed before.
    async fn look_at(
        &self,
        service: &Service,
        of_runtime: Option<&Observed>,
        failures: u32,
        until: Instant,
    ) -> Looked {
        let looks = match (&service.probe, of_runtime) {
            (Some(probe), _) if !matches!(probe.kind, ProbeKind::Process) => {
                let mut probe = probe.clone();
                probe.retries = probe.retries.saturating_sub(failures).max(1);
                (self.check)(probe, until.into()).await
            }
            (_, Some(seen)) => vec![process::observed(
                Timestamp::now(),
                seen,
                service.is_one_shot,
            )],
            (Some(probe), None) => (self.check)(probe.clone(), until.into()).await,
            (None, None) => vec![no_probe()],
        };
        Looked {
            service: service.name.0.clone(),
            looks,
            started: of_runtime
                .filter(|seen| !loops(seen))
                .and_then(|seen| seen.started_at),
        }
    }

    /// These services and everything that they need, in the order of the file.
    fn with_dependencies(&self, services: &[&Service]) -> Vec<&Service> {
        let mut wanted: Vec<&str> = services
            .iter()
            .map(|service| service.name.0.as_str())
            .collect();
        let mut next = 0;
        while let Some(service) = wanted
            .get(next)
            .and_then(|name| self.platform.service(name))
        {
            for need in &service.needs {
                if !wanted.contains(&need.0.as_str()) {
                    wanted.push(&need.0);
                }
            }
            next += 1;
        }
        self.platform
            .services
            .iter()
            .filter(|service| wanted.contains(&service.name.0.as_str()))
            .collect()
    }

    /// SQLite waits: never on a thread that answers.
    pub async fn with_history<T: Send + 'static>(
        &self,
        work: impl FnOnce(&History) -> Result<T, HistoryError> + Send + 'static,
    ) -> Result<T, HistoryError> {
        sqlite::off_thread(&self.history, work).await
    }
}

fn is_recent(service: &Service, record: Option<&ServiceRecord>, now: Timestamp) -> bool {
    let (Some(probe), Some(record)) = (&service.probe, record) else {
        return false;
    };
    let age = now.as_millisecond() - record.looked_at;
    let interval = i64::try_from(probe.interval.as_millis()).unwrap_or(i64::MAX);
    // A verdict that is not sure yet is looked at again.
    let is_sure = !matches!(record.own.as_str(), "unknown")
        && (record.failures == 0 || record.failures >= probe.retries);
    is_sure && (0..interval).contains(&age)
}

/// So often a service may end and be started again before that counts as a loop: what it needs may
/// come up a moment after it.
const RESTARTS_OF_A_START: u32 = 2;

/// Whether a service ends again and again. It is then not given its start period each time: it
/// would be `starting` for ever, and its failed looks would never add up.
fn loops(seen: &Observed) -> bool {
    seen.restarts > RESTARTS_OF_A_START
}

fn no_probe() -> Observation {
    Observation {
        at: Timestamp::now(),
        outcome: Outcome::CouldNotLook("the platform file gives no probe for it".into()),
        response: None,
        facts: Vec::new(),
    }
}
