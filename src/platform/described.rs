//! What Compose files and manifests say of services, in one shape.

use std::time::Duration;

use super::{
    problem::Place,
    quantity::{Bytes, MilliCpu},
    read::Placed,
};

/// What is said of one service outside the platform file.
#[derive(Debug, Clone, Default)]
pub struct Described {
    pub name: String,
    pub place: Place,
    /// Container names.
    pub aliases: Vec<String>,
    pub image: Option<Placed<String>>,
    /// Inside.
    pub ports: Vec<Placed<u16>>,
    /// On the host.
    pub published: Vec<Placed<u16>>,
    pub memory: Option<Placed<Bytes>>,
    pub cpu: Option<Placed<MilliCpu>>,
    pub memory_reserved: Option<Placed<Bytes>>,
    pub cpu_reserved: Option<Placed<MilliCpu>>,
    pub storage: Option<Placed<Bytes>>,
    /// From, to.
    pub replicas: Option<Placed<(u32, u32)>>,
    pub needs: Vec<Placed<String>>,
    /// The runtime looks at its health itself.
    pub health: Option<Placed<HealthCheck>>,
    pub is_one_shot: bool,
    pub is_stateful: bool,
    /// Profiles without which Compose does not start it.
    pub profiles: Vec<String>,
    /// Values of secrets are absent.
    pub environment: Vec<(String, Option<String>)>,
}

/// A health check of the runtime.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthCheck {
    /// The command, or the path of an HTTP probe.
    pub test: String,
    pub timeout: Option<Duration>,
    pub interval: Option<Duration>,
    pub retries: Option<u32>,
    pub start_period: Option<Duration>,
}
