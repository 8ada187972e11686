//! What Compose files and manifests say of services, in one shape.

use std::time::Duration;

use super::{
    problem::Place,
    quantity::{Bytes, MilliCpu},
    read::Placed,
};

/// What is said of one service outside the platform file.
#[derive(Debug, Clone, Default, PartialEq)]
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
    /// None of its profiles is on.
    pub is_inactive: bool,
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

/// A variable whose name says that its value is a secret.
pub fn is_secret_name(name: &str) -> bool {
    const WORDS: [&str; 8] = [
        "PASSWORD",
        "PASSWD",
        "SECRET",
        "TOKEN",
        "CREDENTIAL",
        "PRIVATE",
        "API_KEY",
        "ACCESS_KEY",
    ];
    let name = name.to_ascii_uppercase();
    WORDS.iter().any(|word| name.contains(word)) || name.ends_with("_KEY")
}

/// The value of a variable where it may be shown: no secret, and no address with a password.
pub fn showable(name: &str, value: &str) -> Option<String> {
    let has_password = value.split_once("://").is_some_and(|(_, rest)| {
        rest.split('/')
            .next()
            .is_some_and(|host| host.contains('@'))
    });
    (!is_secret_name(name) && !has_password).then(|| value.to_owned())
}
