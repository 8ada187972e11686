//! Looks at everything between here and OpenMetadata that can be wrong, in the order in which it
//! has to be right.

mod explain;
mod look;
pub mod snapshot;

pub use look::checks;

/// One look, with what to do where it is not right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// `address`, `name`, `connection`, `server`, `clock`, `credential`, `search`, `server parts`,
    /// `ingestion`, `snapshot`; of this machine `state`, `platform`, `runtime`, `history`.
    pub name: &'static str,
    pub state: State,
    /// What was found, one sentence without a full stop.
    pub finding: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// How a look ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Ok,
    /// Could not be looked at, because of an earlier fault or for want of a right.
    Skipped,
    /// Works, with something that a person should know.
    Warning,
    Failed,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

impl Check {
    pub fn ok(name: &'static str, finding: impl Into<String>) -> Self {
        Self::of(name, State::Ok, finding.into(), None)
    }

    pub fn warning(
        name: &'static str,
        finding: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::of(name, State::Warning, finding.into(), Some(advice.into()))
    }

    pub fn failed(
        name: &'static str,
        finding: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::of(name, State::Failed, finding.into(), Some(advice.into()))
    }

    pub fn skipped(name: &'static str, finding: impl Into<String>) -> Self {
        Self::of(name, State::Skipped, finding.into(), None)
    }

    fn of(name: &'static str, state: State, finding: String, advice: Option<String>) -> Self {
        Self {
            name,
            state,
            finding,
            advice: advice.filter(|advice| !advice.is_empty()),
        }
    }
}

/// Where this process runs, as far as it changes what an address means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// In a container (Docker, Podman, Kubernetes).
    pub in_container: bool,
    /// Requests may go through a proxy of the environment.
    pub has_proxy: bool,
}

impl Surroundings {
    /// Looks at marker files and the environment.
    pub fn here() -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
        Self {
            in_container: ["/.dockerenv", "/run/.containerenv"]
                .iter()
                .any(|path| std::path::Path::new(path).exists())
                || is_set("KUBERNETES_SERVICE_HOST"),
            has_proxy: proxies
                .iter()
                .any(|name| is_set(name) || is_set(&name.to_lowercase())),
        }
    }
}
