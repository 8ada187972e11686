//! How services are looked at.

use std::time::Duration;

use secrecy::SecretString;

use crate::platform::quantity::Percent;

/// How a service is looked at.
#[derive(Debug, Clone)]
pub struct Probe {
    pub kind: ProbeKind,
    /// Of one look.
    pub timeout: Duration,
    /// Between two looks of the monitor.
    pub interval: Duration,
    /// Looks in a row that have to fail before the service is down.
    pub retries: u32,
    /// Looks in a row that have to pass before it is up again.
    pub successes: u32,
    /// After its start a service may fail for this long and is `starting`.
    pub start_period: Duration,
    /// Passes, but slower than this: degraded.
    pub slow_above: Option<Duration>,
}

impl Probe {
    /// The defaults are those of document 003's health-check template (interval 30 s, time-out
    /// 10 s, 3 retries, start period 40 s).
    pub fn of(kind: ProbeKind) -> Self {
        Self {
            kind,
            timeout: Duration::from_secs(10),
            interval: Duration::from_secs(30),
            retries: 3,
            successes: 1,
            start_period: Duration::from_secs(40),
            slow_above: None,
        }
    }
}

/// What a look does. Addresses that may hold a password are secrets as a whole.
#[derive(Debug, Clone)]
pub enum ProbeKind {
    Http {
        url: SecretString,
        /// Accepted status codes, both ends included.
        status: Vec<(u16, u16)>,
        /// JSON pointers into the body with the value that has to stand there.
        json: Vec<(String, serde_json::Value)>,
        /// A regular expression that the body has to match.
        body: Option<String>,
        headers: Vec<(String, SecretString)>,
    },
    /// HTML that loads and is no error page.
    Page {
        url: SecretString,
        /// A part of its title.
        title: Option<String>,
    },
    Tcp {
        host: String,
        port: u16,
    },
    /// `postgresql://user:password@host:port/database`.
    Postgres {
        url: SecretString,
        /// Default: `SELECT 1`.
        query: Option<String>,
        /// Share of allowed connections in use above which it is degraded.
        connections_above: Option<Percent>,
    },
    /// `redis://[:password@]host:port[/database]`.
    Redis {
        url: SecretString,
        /// Share of `maxmemory` in use above which it is degraded.
        memory_above: Option<Percent>,
    },
    /// `amqp://user:password@host:port/vhost`.
    Amqp {
        url: SecretString,
        /// `http://user:password@host:15672`: RabbitMQ's management API.
        management: Option<SecretString>,
        /// Messages in one queue above which it is degraded.
        queue_above: Option<u64>,
    },
    /// Elasticsearch or OpenSearch, by its cluster health.
    SearchEngine {
        url: SecretString,
    },
    /// OpenMetadata: `/api/v1/system/status` and what is inside.
    OpenMetadata {
        url: SecretString,
    },
    /// Airflow: scheduler and database, by the health paths of versions 2 and 3.
    Airflow {
        url: SecretString,
    },
    /// The runtime says whether it runs.
    Process,
    /// It cannot look: a variable is missing, or the file is not trusted.
    Withheld {
        /// The kind of the probe that it would be.
        kind: &'static str,
        reason: String,
    },
}

impl ProbeKind {
    /// As the platform file names it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Http { .. } => "http",
            Self::Page { .. } => "page",
            Self::Tcp { .. } => "tcp",
            Self::Postgres { .. } => "postgres",
            Self::Redis { .. } => "redis",
            Self::Amqp { .. } => "amqp",
            Self::SearchEngine { .. } => "search_engine",
            Self::OpenMetadata { .. } => "openmetadata",
            Self::Airflow { .. } => "airflow",
            Self::Process => "process",
            Self::Withheld { kind, .. } => kind,
        }
    }
}
