//! The platform as everything else sees it: parsed and valid, so that nobody checks it again.
//!
//! Names of services that stand in `needs`, in steps and elsewhere are names of services that
//! exist; dependencies have no cycle; times and sizes are what they say. Whoever builds a
//! `Platform` has made sure of it.

mod alerts;
mod phases;
mod probes;

use std::{collections::HashMap, fmt, path::PathBuf, time::Duration};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    problem::Place,
    quantity::{Bytes, MilliCpu, Percent},
    trust::Trust,
};

pub use alerts::{AlertCondition, AlertRule, AlertScope, Severity};
pub use phases::{
    Budget, Condition, Hook, HookAction, OnDriverLoss, OnFailure, Phase, Promote, Traffic,
};
pub use probes::{Probe, ProbeKind};

/// One platform.
#[derive(Debug, Clone, Default)]
pub struct Platform {
    pub name: String,
    pub title: Option<String>,
    pub version: Option<String>,
    /// Where the platform file lies: paths in it are relative to this folder.
    pub folder: PathBuf,
    /// Whether what it runs and sends may be run and sent. Without trust neither commands nor
    /// values of variables are in here at all.
    pub trust: Trust,
    pub environment: Environment,
    pub capacity: Capacity,
    pub runtime: RuntimeKind,
    pub objectives: Objectives,
    /// Objectives of groups, which win over `objectives` for their services.
    pub groups: Vec<Group>,
    /// In the order of the file.
    pub services: Vec<Service>,
    /// In the order in which they are deployed.
    pub phases: Vec<Phase>,
    /// Any of these rolls a run back.
    pub rollback_when: Vec<Condition>,
    /// How long a trigger has to hold.
    pub rollback_hold: Duration,
    /// Within which response times and errors of triggers are counted.
    pub rollback_window: Duration,
    pub alerts: Vec<AlertRule>,
    /// What an emergency start brings up, in this order.
    pub minimal: Vec<ServiceName>,
    pub backup: Backup,
    pub standards: Option<Standards>,
    /// PromQL by name.
    pub metrics: Vec<(String, String)>,
    pub prometheus: Option<Endpoint>,
    pub alertmanager: Option<Endpoint>,
    pub catalog: CatalogSource,
    /// Toolsets to list, as `--toolsets` takes them; empty where the file does not say.
    pub toolsets: Vec<String>,
    /// `postgres://…`: where several servers keep their state together.
    pub store: Option<SecretString>,
    /// Positions in `services` by name and by alias, folded to lower case.
    pub by_name: HashMap<String, usize>,
}

impl Platform {
    /// The service of this name or alias (container name), whatever its case.
    pub fn service(&self, name: &str) -> Option<&Service> {
        let position = self.by_name.get(&name.trim().to_lowercase())?;
        self.services.get(*position)
    }

    /// The phase of this name, or of this number (1 is the first).
    pub fn phase(&self, name: &str) -> Option<&Phase> {
        let name = name.trim();
        self.phases
            .iter()
            .find(|phase| phase.name.eq_ignore_ascii_case(name))
            .or_else(|| {
                let number: usize = name.parse().ok()?;
                self.phases.get(number.checked_sub(1)?)
            })
    }
}

/// The name of a service that exists in its platform.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServiceName(pub String);

impl fmt::Display for ServiceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Where the platform stands: in production a person approves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    #[default]
    Development,
    Production,
}

/// What the machine or cluster has. Absent: measured.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Capacity {
    pub memory: Option<Bytes>,
    pub cpu: Option<MilliCpu>,
    pub storage: Option<Bytes>,
    /// Memory that something outside the platform uses and that counts with it.
    pub external_memory: Option<Bytes>,
}

/// Something that a cluster has beside the platform, or who deploys to it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterPart {
    Kind,
    Helm,
    Istio,
    /// The namespace is labelled for it.
    IstioInjection,
    ArgoCd,
    PrometheusStack,
    ExternalSecrets,
    MetricsServer,
}

/// What carries the services. `None`: services are only looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RuntimeKind {
    #[default]
    None,
    /// Local child processes.
    Process,
    Compose {
        files: Vec<PathBuf>,
        project: Option<String>,
        profiles: Vec<String>,
        env_files: Vec<PathBuf>,
    },
    Kubernetes {
        context: Option<String>,
        /// Where it is not that of whoever starts the server.
        kubeconfig: Option<PathBuf>,
        namespace: String,
        manifests: Vec<PathBuf>,
        /// What a plan looks for besides.
        expects: Vec<ClusterPart>,
    },
}

/// What is promised. Each is a bound that is kept or missed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Objectives {
    /// At least.
    pub uptime: Option<Percent>,
    /// 95th percentile of response times, below.
    pub p95: Option<Duration>,
    /// Below.
    pub mean_response: Option<Duration>,
    /// Share of failed looks or requests, below.
    pub errors: Option<Percent>,
    /// Memory and CPU in use of what is allowed, below.
    pub utilisation: Option<Percent>,
    /// Services that are up, at least.
    pub healthy: Option<Percent>,
    /// Mean time between deployments, at most (daily: 24 h).
    pub deployment_every: Option<Duration>,
    /// From change to production, below.
    pub lead_time: Option<Duration>,
    /// From a failure to its end, below.
    pub time_to_restore: Option<Duration>,
    /// Share of deployments that failed or were rolled back, below.
    pub change_failure_rate: Option<Percent>,
}

/// A category of services with objectives of its own.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Group {
    pub name: String,
    pub objectives: Objectives,
}

/// One part of the platform; maybe a database.
#[derive(Debug, Clone)]
pub struct Service {
    pub name: ServiceName,
    /// Container names and other names that people know it by.
    pub aliases: Vec<String>,
    pub title: Option<String>,
    pub purpose: Option<String>,
    pub group: Option<String>,
    pub image: Option<String>,
    /// The one that the platform file itself names, with the values of its variables: on a cluster it
    /// goes before that of the manifests.
    pub own_image: Option<String>,
    /// Ports as its document gives them, the first one the main one.
    pub ports: Vec<u16>,
    /// Limits.
    pub memory: Option<Bytes>,
    pub cpu: Option<MilliCpu>,
    /// What it is promised at least.
    pub memory_reserved: Option<Bytes>,
    pub cpu_reserved: Option<MilliCpu>,
    pub storage: Option<Bytes>,
    /// From, to.
    pub replicas: Option<(u32, u32)>,
    /// Direct dependencies, with 'all services' resolved.
    pub needs: Vec<ServiceName>,
    pub probe: Option<Probe>,
    /// The health path of its document, where the probe looks elsewhere.
    pub documented_path: Option<String>,
    /// It ends by itself: done is up.
    pub is_one_shot: bool,
    /// Emergencies stop what is not essential first.
    pub is_essential: bool,
    /// It keeps data: another image over its data is no way back.
    pub is_stateful: bool,
    /// FQNs of catalog services, databases, schemas or tables that it carries.
    pub datasets: Vec<String>,
    /// Names of environment variables with their values where these are no secrets.
    pub environment: Vec<(String, Option<String>)>,
    /// How the `process` runtime starts it: program and arguments.
    pub command: Vec<String>,
    /// Where it is started.
    pub folder: Option<PathBuf>,
    /// Its name in the Compose file or among the manifests, where that is another one.
    pub runtime_name: Option<String>,
    /// Keys whose value no document gives.
    pub assumed: Vec<String>,
    /// Where each value stands that is given; keys as in the platform file.
    pub sources: Vec<(&'static str, Place)>,
    /// Line in the platform file, 0 where it stands in another file only.
    pub line: usize,
}

impl Service {
    /// A service of which nothing but its name is known.
    pub fn named(name: &str) -> Self {
        Self {
            name: ServiceName(name.to_owned()),
            aliases: Vec::new(),
            title: None,
            purpose: None,
            group: None,
            image: None,
            own_image: None,
            ports: Vec::new(),
            memory: None,
            cpu: None,
            memory_reserved: None,
            cpu_reserved: None,
            storage: None,
            replicas: None,
            needs: Vec::new(),
            probe: None,
            documented_path: None,
            is_one_shot: false,
            is_essential: true,
            is_stateful: false,
            datasets: Vec::new(),
            environment: Vec::new(),
            command: Vec::new(),
            folder: None,
            runtime_name: None,
            assumed: Vec::new(),
            sources: Vec::new(),
            line: 0,
        }
    }
}

/// Where the catalog is, as the platform file says.
#[derive(Debug, Clone, Default)]
pub enum CatalogSource {
    /// It does not say, or names the variables that this server reads anyway.
    #[default]
    Environment,
    OpenMetadata {
        url: String,
        token: Option<SecretString>,
        token_file: Option<PathBuf>,
        ca_file: Option<PathBuf>,
    },
    /// It names an address that would get a credential, and the file is not trusted.
    Withheld,
}

/// Databases that are dumped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Also before each run that replaces a service that keeps one of them.
    pub before_run: bool,
    /// So many dumps of each database stay, at least.
    pub keep: usize,
    pub databases: Vec<Database>,
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            before_run: false,
            keep: Self::KEPT,
            databases: Vec::new(),
        }
    }
}

impl Backup {
    /// Where the file does not say.
    pub const KEPT: usize = 10;
}

/// A PostgreSQL database in a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    pub service: ServiceName,
    pub name: String,
    /// Who may read all of it.
    pub user: String,
}

/// What every service should be like; compliance is told in percent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Standards {
    /// From, to.
    pub ports: Option<(u16, u16)>,
    pub health_path: Option<String>,
    pub needs_probe: bool,
    pub needs_limits: bool,
    pub needs_reservations: bool,
    pub needs_image: bool,
    /// Services that the standards do not speak of.
    pub except: Vec<ServiceName>,
}

/// Another system of the user's: Prometheus, Alertmanager.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// May hold a password.
    pub url: SecretString,
    pub token: Option<SecretString>,
}
