//! A platform whose looks are scripted: what each service answers is set by the test.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use openpolicy_mcp::{
    catalog::{Catalogs, snapshot},
    health::{Observation, Outcome, Watch},
    platform::{
        AlertCondition, AlertRule, AlertScope, Platform, Probe, ProbeKind, Service, ServiceName,
        Severity,
    },
    store::History,
    tools::{Caller, Context},
};

use super::scripted_runtime::ScriptedRuntime;

/// What the services answer; those that are not named pass.
#[derive(Default)]
pub struct Script {
    pub outcomes: BTreeMap<u16, Outcome>,
    /// How often each port was looked at.
    pub looks: BTreeMap<u16, usize>,
}

pub type Scripted = Arc<Mutex<Script>>;

/// A service that is looked at by a port of its own.
pub fn service(name: &str, port: u16, needs: &[&str]) -> Service {
    let kind = ProbeKind::Tcp {
        host: "localhost".into(),
        port,
    };
    Service {
        aliases: vec![format!("p-{name}-1")],
        ports: vec![port],
        needs: needs
            .iter()
            .map(|need| ServiceName((*need).into()))
            .collect(),
        probe: Some(Probe {
            retries: 1,
            ..Probe::of(kind)
        }),
        ..Service::named(name)
    }
}

pub fn platform(services: Vec<Service>) -> Platform {
    let mut platform = Platform {
        name: "scripted".into(),
        ..Platform::default()
    };
    for service in services {
        for name in std::iter::once(&service.name.0).chain(&service.aliases) {
            platform
                .by_name
                .insert(name.to_lowercase(), platform.services.len());
        }
        platform.services.push(service);
    }
    platform
}

/// A watch on this platform, and the script of its looks.
pub fn watch(platform: Platform) -> (Arc<Watch>, Scripted) {
    let scripted = Scripted::default();
    let script = Arc::clone(&scripted);
    let look = move |probe: Probe, _: tokio::time::Instant| {
        let ProbeKind::Tcp { port, .. } = probe.kind else {
            panic!("scripted services have TCP probes");
        };
        let mut script = script.lock().expect("the script");
        *script.looks.entry(port).or_default() += 1;
        let outcome = script
            .outcomes
            .get(&port)
            .cloned()
            .unwrap_or(Outcome::Passed);
        let response = match &outcome {
            Outcome::Passed | Outcome::Impaired(_) => {
                Some(Duration::from_micros(1_000 + u64::from(port)))
            }
            Outcome::Failed(_) | Outcome::CouldNotLook(_) => None,
        };
        let observation = Observation {
            at: Timestamp::now(),
            outcome,
            response,
            facts: Vec::new(),
        };
        Box::pin(async move { vec![observation] })
            as futures::future::BoxFuture<'static, Vec<Observation>>
    };
    let history = History::in_memory().expect("a history");
    let runtime = Arc::new(ScriptedRuntime::default());
    let watch =
        Watch::new(Arc::new(platform), Arc::new(history), Arc::new(look)).with_runtime(Ok(runtime));
    (Arc::new(watch), scripted)
}

/// Calls on the demo's catalog and on this platform.
pub fn context(watch: &Arc<Watch>) -> Context {
    let snapshot = snapshot::demo().expect("the demo's snapshot");
    Context::new(Arc::new(Catalogs::of_snapshot(snapshot)), Caller::default())
        .with_platform(Some(Ok(Arc::clone(watch))))
}

/// A database that is down under three services, one of which carries datasets of the demo's
/// catalog, and a rule that watches.
pub fn with_failures() -> (Arc<Watch>, Scripted) {
    let mut services = vec![
        service("postgres", 5432, &[]),
        service("api", 8080, &["postgres"]),
        service("web", 3000, &["api"]),
        service("etl", 8083, &["postgres"]),
        service("redis", 6379, &[]),
    ];
    services[0].datasets = vec!["openpolicy_pg".into()];
    let mut platform = platform(services);
    platform.alerts.push(AlertRule {
        name: "ServiceDown".into(),
        when: AlertCondition::Down,
        hold: Duration::from_secs(300),
        severity: Severity::Critical,
        scope: AlertScope::AllServices,
    });
    let (watch, scripted) = watch(platform);
    let refused = || Outcome::Failed("nothing listens there: the connection was refused".into());
    for port in [5432, 8080, 3000, 8083] {
        scripted
            .lock()
            .expect("the script")
            .outcomes
            .insert(port, refused());
    }
    (watch, scripted)
}
