//! The shape of a platform file: which keys stand where, as docs/platform-file.md tells.

mod phases;
mod values;

use std::time::Duration;

use serde_json::Value as Json;

pub use phases::{
    RawBudget, RawCall, RawCatalogGate, RawExec, RawGate, RawHook, RawTraffic, RawTriggers,
};
pub use values::{
    CpuBudget, EnvValue, Healthy, JsonValue, Method, Needs, ProbeOrNone, RawEnvReference, Required,
    StatusRange, Watched, When,
};

use super::{
    model::{ClusterPart, Environment, OnDriverLoss, OnFailure, Promote, Severity},
    quantity::{Bytes, MilliCpu, Percent},
    read::{Named, Placed, Range, Read, Reader, record},
    variables::Expanded,
    yaml::Node,
};

record! {
    /// A platform: its services, how each is looked at, its phases, gates, alerts and objectives.
    pub struct RawPlatform {
        /// Its name.
        platform: String,
        /// The platform file in the same folder that this one is laid over.
        extends: Placed<String>,
        title: String,
        version: String,
        /// In production a person approves each run.
        environment: Environment,
        /// What machine or cluster has; measured when absent.
        capacity: RawCapacity,
        /// What carries the services; without it they are only looked at.
        runtime: RawRuntime,
        /// Where the catalog is.
        catalog: RawCatalog,
        prometheus: RawEndpoint,
        alertmanager: RawEndpoint,
        /// What is promised.
        objectives: RawObjectives,
        /// Categories of services.
        groups: Named<RawGroup>,
        services: Named<RawService>,
        /// In the order in which they are deployed.
        phases: Vec<RawPhase>,
        /// Any of these rolls a run back.
        rollback_when: RawTriggers,
        alerts: Vec<RawAlert>,
        /// What an emergency start brings up, in this order.
        minimal: Vec<Placed<String>>,
        /// Databases that `backup` dumps.
        backup: RawBackup,
        /// What every service should be like.
        standards: RawStandards,
        /// PromQL by name.
        metrics: Named<String>,
        /// Environment variables of all services.
        env: Named<EnvValue>,
        toolsets: Vec<Placed<String>>,
        /// `postgres://…`: where several servers keep their state together.
        store: Expanded,
        /// What a document says about the whole; only `lint` reads it.
        stated: Vec<RawStatement>,
    }
}

record! {
    /// What machine or cluster has.
    pub struct RawCapacity {
        memory: Bytes,
        cpu: MilliCpu,
        storage: Bytes,
        /// In use by others, and counted with the platform.
        external_memory: Bytes,
    }
}

record! {
    /// One of compose, kubernetes, process.
    pub struct RawRuntime {
        compose: RawCompose,
        kubernetes: RawKubernetes,
        process: RawProcess,
    }
}

record! {
    /// Docker Compose or Podman.
    pub struct RawCompose {
        /// Later files win, as with `docker compose -f`; default: compose.yaml.
        files: Vec<Placed<String>>,
        project: String,
        profiles: Vec<String>,
        env_files: Vec<Placed<String>>,
    }
}

record! {
    /// A namespace of a Kubernetes cluster.
    pub struct RawKubernetes {
        /// Files or folders.
        manifests: Vec<Placed<String>>,
        namespace: String,
        /// Of the kubeconfig; production has to name it.
        context: String,
        /// A file; default: `KUBECONFIG`, `~/.kube/config`, the service account of the own pod.
        kubeconfig: String,
        /// Parts of the cluster that a plan looks for; what is missing is named with its command.
        expects: Vec<ClusterPart>,
    }
}

record! {
    /// Services with a `command` are local processes.
    pub struct RawProcess {
        /// Working folder of commands that name none.
        folder: String,
    }
}

record! {
    /// Where the catalog is.
    pub struct RawCatalog {
        openmetadata: RawOpenMetadata,
    }
}

/// The only place that may name the OpenMetadata credentials of the environment.
#[derive(Debug, Clone, Default)]
pub struct RawOpenMetadata(pub RawOpenMetadataKeys);

impl Read for RawOpenMetadata {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        reader
            .with_own(|reader| RawOpenMetadataKeys::read(node, reader))
            .map(Self)
    }

    fn schema() -> Json {
        RawOpenMetadataKeys::schema()
    }
}

record! {
    /// A running OpenMetadata.
    pub struct RawOpenMetadataKeys {
        url: Expanded,
        token: Expanded,
        token_file: Expanded,
        ca_file: Expanded,
    }
}

record! {
    /// Another system of the user's.
    pub struct RawEndpoint {
        url: Expanded,
        token: Expanded,
        token_file: Expanded,
    }
}

record! {
    /// What is promised; each is a bound that is kept or missed.
    pub struct RawObjectives {
        /// At least.
        uptime: Percent,
        /// Services that are up, at least.
        healthy: Percent,
        /// 95th percentile of response times, below.
        p95: Duration,
        mean_response: Duration,
        /// Share of failed looks or requests, below.
        errors: Percent,
        /// Memory and CPU in use of what is allowed, below.
        utilisation: Percent,
        /// Daily: 1d.
        deployment_every: Duration,
        /// From change to production, below.
        lead_time: Duration,
        /// From a failure to its end, below.
        time_to_restore: Duration,
        change_failure_rate: Percent,
    }
}

record! {
    /// A category of services.
    pub struct RawGroup {
        title: String,
        objectives: RawObjectives,
        /// What its members are when they do not say otherwise.
        defaults: RawService,
    }
}

record! {
    /// One part of the platform; maybe a database.
    pub struct RawService {
        /// Other names, container names above all.
        aliases: Vec<Placed<String>>,
        title: String,
        purpose: String,
        group: String,
        image: Expanded,
        port: u16,
        /// The first one is the main one.
        ports: Vec<Placed<u16>>,
        /// Limit, or `reserved-limit`.
        memory: Range<Bytes>,
        /// Limit, or `reserved-limit`.
        cpu: Range<MilliCpu>,
        memory_reserved: Bytes,
        cpu_reserved: MilliCpu,
        storage: Bytes,
        replicas: Range<u32>,
        /// Direct dependencies; `all` are the services of the phases before.
        needs: Needs,
        probe: ProbeOrNone,
        /// The health path that its document gives, where the probe looks elsewhere.
        documented_path: String,
        /// It ends by itself: done is up.
        one_shot: bool,
        /// Emergencies stop what is not essential first.
        essential: bool,
        /// It keeps data.
        stateful: bool,
        /// FQNs of catalog services, databases, schemas or tables that it carries.
        datasets: Vec<String>,
        env: Named<EnvValue>,
        /// Program and arguments, for the runtime `process`.
        command: Vec<Expanded>,
        /// Working folder of the command.
        folder: String,
        /// Its name in the Compose file, where that is another one.
        compose: String,
        /// Its name among the manifests, where that is another one.
        kubernetes: String,
        /// Keys whose value no document gives.
        assumed: Vec<Placed<String>>,
        /// What a document says about it in another place; only `lint` reads it.
        stated: Vec<RawServiceStatement>,
    }
}

record! {
    /// One look: exactly one kind, and how patiently it looks.
    pub struct RawProbe {
        /// URL.
        http: Expanded,
        /// URL of HTML that loads and is no error page.
        page: Expanded,
        /// host:port
        tcp: Expanded,
        /// postgresql://user@host:port/database
        postgres: Expanded,
        /// redis://host:port/0
        redis: Expanded,
        /// amqp://user@host:port/vhost
        amqp: Expanded,
        /// URL of Elasticsearch or OpenSearch.
        search_engine: Expanded,
        /// URL of OpenMetadata.
        openmetadata: Expanded,
        /// URL of Airflow.
        airflow: Expanded,
        /// The runtime says whether it runs.
        process: bool,
        /// Of one look.
        timeout: Duration,
        /// Between two looks of the monitor.
        interval: Duration,
        /// Looks in a row that have to fail before it is down.
        retries: u32,
        /// Looks in a row that have to pass before it is up again.
        successes: u32,
        /// It may fail for this long after its start.
        start_period: Duration,
        /// Passes, but slower than this: degraded.
        slow_above: Duration,
        user: Expanded,
        password: Expanded,
        password_file: Expanded,
        /// Accepted status codes of `http`.
        status: Vec<StatusRange>,
        /// JSON pointers with the value that has to stand there.
        json: Named<JsonValue>,
        /// A regular expression that the body has to match.
        body: String,
        headers: Named<Expanded>,
        /// A part of the title of a `page`.
        title: String,
        /// SQL of `postgres`; default: SELECT 1.
        query: String,
        /// Share of allowed connections above which `postgres` is degraded.
        connections_above: Percent,
        /// Share of `maxmemory` above which `redis` is degraded.
        memory_above: Percent,
        /// URL of RabbitMQ's management API.
        management: Expanded,
        /// Messages in one queue above which `amqp` is degraded.
        queue_above: u64,
    }
}

record! {
    /// How patiently every probe of the file looks.
    pub struct RawTimes {
        timeout: Duration,
        interval: Duration,
        retries: u32,
        successes: u32,
        start_period: Duration,
    }
}

record! {
    /// A named, ordered group of services with a gate.
    pub struct RawPhase {
        name: String,
        title: String,
        goal: String,
        /// Services of a step start together; steps follow each other.
        steps: Vec<Vec<Placed<String>>>,
        /// Short for one step.
        services: Vec<Placed<String>>,
        before: Vec<RawHook>,
        after: Vec<RawHook>,
        /// Canary or blue-green: how requests go over to what it started.
        traffic: RawTraffic,
        gate: RawGate,
        on_failure: OnFailure,
        on_driver_loss: OnDriverLoss,
        /// What this phase may use, with everything before it.
        budget: RawBudget,
        /// How long it takes.
        expected: Range<Duration>,
        priority: u32,
        priority_word: String,
        risk: String,
        network: String,
        /// What the platform is called once this phase is done.
        status_word: String,
        /// A person approves this phase.
        approve: bool,
        /// What a document says about it; only `lint` reads it.
        stated: Vec<RawStatement>,
    }
}

record! {
    /// A rule of the alerts.
    pub struct RawAlert {
        name: String,
        when: When,
        /// How long it has to hold before it fires.
        hold as "for": Duration,
        severity: Severity,
        services: Watched,
        group: Placed<String>,
    }
}

record! {
    /// What an alert looks at: exactly one of them.
    pub struct RawWhen {
        response_above: Duration,
        errors_above: Percent,
        /// Of `errors_above`.
        window: Duration,
        /// Share of the service's limit.
        memory_above: Percent,
        /// Share of the service's limit.
        cpu_above: Percent,
        /// Share of ingestion runs that failed.
        ingestion_failures_above: Percent,
        /// The newest successful ingestion is older.
        older_than: Duration,
    }
}

record! {
    /// Databases that `backup` dumps, each in its own service.
    pub struct RawBackup {
        /// Also before each run that replaces a service that keeps one of them.
        before_run: bool,
        /// So many dumps of each database stay; 10 without it.
        keep: u32,
        databases: Vec<RawDatabase>,
    }
}

record! {
    /// A PostgreSQL database and who may read all of it.
    pub struct RawDatabase {
        service: String,
        database: String,
        user: String,
    }
}

record! {
    /// What every service should be like; compliance is told in percent.
    pub struct RawStandards {
        ports: Range<u16>,
        health_path: String,
        /// Defaults of all probes of the file.
        probe: RawTimes,
        requires: Vec<Required>,
        /// Services that are not measured.
        except: Vec<Placed<String>>,
    }
}

record! {
    /// One sentence of a document.
    pub struct RawStatement {
        services: u32,
        services_so_far: u32,
        /// `24/25`, or `96%`.
        compliant: String,
        memory: String,
        memory_so_far: String,
        cpu: String,
        cpu_so_far: String,
        storage: String,
        memory_share: String,
        memory_free_share: String,
        cpu_share: String,
        cpu_free_share: String,
        duration: Range<Duration>,
        /// Services, each the dependency of the next.
        chain: Vec<Placed<String>>,
        /// The services that its command starts.
        starts: Vec<Placed<String>>,
        /// Services that it watches in this phase.
        watches: Vec<Placed<String>>,
        /// Services that the sentence does not count.
        except: Vec<Placed<String>>,
        /// The words of the document.
        text: String,
    }
}

record! {
    /// What a document says about a service in another place.
    pub struct RawServiceStatement {
        port: u16,
        memory: Range<Bytes>,
        cpu: Range<MilliCpu>,
        needs: Vec<Placed<String>>,
        replicas: Range<u32>,
        documented_path: String,
        text: String,
    }
}
