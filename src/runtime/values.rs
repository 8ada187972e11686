//! What every runtime takes and tells, the same for processes, containers and pods.

use std::{fmt, path::Path, time::Duration};

use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::platform::{Bytes, MilliCpu, ServiceName};

/// Why a runtime could not look or act. Sentences for people, free of secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// This runtime, or this system, cannot do it at all.
    #[error("{what} is not supported by {runtime}")]
    NotSupported {
        what: &'static str,
        runtime: &'static str,
    },
    /// The platform has no such service.
    #[error("the platform has no service `{0}`")]
    NoSuchService(String),
    /// The platform file does not say what this needs.
    #[error("`{service}` cannot be run: {reason}")]
    NotDescribed { service: String, reason: String },
    /// The other side, or the system, refused or broke.
    #[error("{what} failed: {reason}")]
    Failed { what: String, reason: String },
    /// The other side knows who asks and does not let them, or does not know them.
    #[error("{what} is not allowed: {reason}")]
    NotAllowed { what: String, reason: String },
    /// Nobody answered there, or nobody could be asked.
    #[error("{what} did not reach {place}: {reason}")]
    NotReached {
        what: String,
        place: String,
        reason: String,
    },
    /// The other side answers, and has nothing of this name.
    #[error("{what} found nothing: {reason}")]
    NotFound { what: String, reason: String },
    /// Somebody else holds what would be changed; nothing is taken from them.
    #[error("{what} would take from others what they hold: {reason}")]
    HeldByOthers { what: String, reason: String },
    /// Another caller is at work on the same service.
    #[error("`{service}` is being changed by another caller; try again in a moment")]
    Busy { service: String },
    /// Given up after waiting.
    #[error("{what} did not end within {} s", .waited.as_secs())]
    TimedOut { what: String, waited: Duration },
}

impl Problem {
    pub fn failed(what: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::Failed {
            what: what.into(),
            reason: reason.to_string(),
        }
    }
}

/// How something ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code; none where a signal ended it or nobody was there to see.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    pub at: Timestamp,
    /// Why, where more is known: `above its memory limit (612Mi of 512Mi)`.
    pub reason: Option<String>,
}

impl Exit {
    /// Ended by itself and says that all went well.
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(formatter, "code {code}")?,
            (None, Some(signal)) => write!(formatter, "signal {signal}")?,
            (None, None) => formatter.write_str("code not known")?,
        }
        match &self.reason {
            Some(reason) => write!(formatter, " ({reason})"),
            None => Ok(()),
        }
    }
}

/// What a service is to its runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceState {
    Running,
    /// Being started; it does not run yet.
    Starting,
    /// It ended and is not started again.
    Exited(Exit),
    /// It ended and will be started again.
    Restarting {
        /// Restarts so far.
        count: u32,
        /// When it ended.
        since: Timestamp,
        last: Exit,
    },
    /// There is nothing of this name.
    Absent,
    /// Could not look, and why.
    Unknown(String),
}

impl ServiceState {
    /// One word, as answers have it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Exited(_) => "exited",
            Self::Restarting { .. } => "restarting",
            Self::Absent => "absent",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// What the runtime itself says of a service's health; none where it does not look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeHealth {
    Starting,
    Healthy,
    Unhealthy,
}

impl RuntimeHealth {
    /// One word, as answers have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What a runtime sees of one service.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    pub service: ServiceName,
    pub state: ServiceState,
    /// Image with its digest; a program where there is no image.
    pub image: Option<String>,
    /// The id under which the runtime has that image; compares with [`Desired::image_id`].
    pub image_id: Option<String>,
    /// `sha256:…`, by which a registry has that image, where all instances have the same.
    pub image_digest: Option<String>,
    pub started_at: Option<Timestamp>,
    /// How often it was started again since it was applied.
    pub restarts: u32,
    /// A process or container id, for people.
    pub instance: Option<String>,
    pub health: Option<RuntimeHealth>,
    /// Digest of the configuration with which it was made.
    pub configuration: Option<String>,
    /// Digest of what is really there, what can be changed by hand included. Where it differs
    /// from what an action of ours left, somebody changed it.
    pub live: Option<String>,
    /// What else a reader should know.
    pub note: Option<String>,
    /// Why it is not yet what it was made, where its runtime changes it step by step.
    pub unfinished: Option<Unfinished>,
}

/// A change that its runtime has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    pub reason: String,
    /// The runtime itself says that it makes no progress.
    pub is_given_up: bool,
}

impl Observed {
    /// A service of which only the state is known.
    pub fn new(service: ServiceName, state: ServiceState) -> Self {
        Self {
            service,
            state,
            image: None,
            image_id: None,
            image_digest: None,
            started_at: None,
            restarts: 0,
            instance: None,
            health: None,
            configuration: None,
            live: None,
            note: None,
            unfinished: None,
        }
    }
}

/// Whether a service is up, as whoever applies it judges.
pub type IsUp<'a> = &'a (dyn Fn(ServiceName) -> BoxFuture<'a, bool> + Send + Sync);

/// How one service should run, resolved.
#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Desired {
    pub service: ServiceName,
    /// What the runtime needs to make it so. May hold secrets: kept with mode 0600, never shown.
    pub configuration: serde_json::Value,
    /// Of the configuration; compares with [`Observed::configuration`].
    pub digest: String,
    /// As the file names it; a program where there is no image.
    pub image: Option<String>,
    /// The image that the name stands for here and now; none where it is not here yet.
    pub image_id: Option<String>,
    /// Its image is not here and has to be pulled or built first.
    #[serde(default)]
    pub is_image_absent: bool,
    /// Why it cannot be made so, where that is known before: `image api:9 is not here and …`.
    pub problem: Option<String>,
    /// What `restore` could not take back: `folder ./data is mounted and not kept`.
    pub not_restored: Vec<String>,
}

impl Desired {
    /// One that cannot be made, and why.
    pub fn not_described(service: ServiceName, problem: String) -> Self {
        Self {
            service,
            configuration: serde_json::Value::Null,
            digest: String::new(),
            image: None,
            image_id: None,
            is_image_absent: false,
            problem: Some(problem),
            not_restored: Vec::new(),
        }
    }
}

impl fmt::Debug for Desired {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Desired")
            .field("service", &self.service)
            .field("digest", &self.digest)
            .field("image", &self.image)
            .finish_non_exhaustive()
    }
}

/// A command of a runtime that goes on when its parent is killed. Enough to find it again and to
/// know that it is the same: a pid alone is given to another process one day.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RunningCommand {
    /// For people: `docker compose up`.
    pub what: String,
    pub pid: u32,
    /// In clock ticks since the system's start, as `/proc/PID/stat` has it.
    pub started: u64,
    /// Of the system's start, as `/proc/sys/kernel/random/boot_id` has it.
    pub boot: String,
}

/// Told of each command before it acts; it does not act where this fails.
pub type OnCommand<'a> = &'a (dyn Fn(&RunningCommand) -> Result<(), Problem> + Send + Sync);

/// Whether something else comes first: then nothing is waited for any longer.
pub type IsCutShort<'a> = &'a (dyn Fn() -> bool + Send + Sync);

/// What carries the services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// The one that this process runs on.
    Here,
    Another {
        /// As it calls itself.
        name: String,
        memory: Option<Bytes>,
        cpu: Option<MilliCpu>,
    },
    /// Many machines together.
    Cluster {
        memory: Option<Bytes>,
        cpu: Option<MilliCpu>,
        /// How these came about and what they do not say, for people.
        notes: Vec<String>,
    },
}

/// What to apply.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    pub desired: &'a [Desired],
    /// A service starts when what it needs is up by this; without it, when that runs (one-shot
    /// services: when they ended well).
    pub is_up: Option<IsUp<'a>>,
    /// How long a service waits for what it needs.
    pub patience: Duration,
    pub is_cut_short: Option<IsCutShort<'a>>,
    pub on_command: Option<OnCommand<'a>>,
}

impl<'a> Change<'a> {
    /// Applies these, with nobody who judges, looks over the shoulder or comes in between.
    pub fn of(desired: &'a [Desired], patience: Duration) -> Self {
        Self {
            desired,
            is_up: None,
            patience,
            is_cut_short: None,
            on_command: None,
        }
    }

    /// Where a service stands among those asked for.
    pub fn position(&self, service: &ServiceName) -> Option<usize> {
        self.desired.iter().position(|one| one.service == *service)
    }
}

/// What became of one service.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    pub service: ServiceName,
    pub outcome: AppliedOutcome,
    /// What `restore` needs to take it back.
    pub before: Before,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppliedOutcome {
    Started,
    /// It ran with this configuration already.
    Unchanged,
    /// It ran with another configuration and was started anew.
    Replaced,
    /// It was stopped, as it was not there before.
    Removed,
    /// It was not touched, as something that it needs is not up.
    Waits(String),
    Failed(Problem),
}

/// What a service was before it was applied: absent, or a configuration that its runtime can read.
/// The configuration may hold secrets: it is kept with mode 0600 and never shown.
#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Before {
    pub service: ServiceName,
    pub configuration: Option<serde_json::Value>,
    pub was_running: bool,
    /// Image with its digest or id, for people.
    #[serde(default)]
    pub image: Option<String>,
    /// What stands around the service and is taken back with it, also where the service itself was
    /// not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub around: Option<serde_json::Value>,
}

impl fmt::Debug for Before {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Before")
            .field("service", &self.service)
            .field("was_present", &self.configuration.is_some())
            .field("was_running", &self.was_running)
            .finish()
    }
}

/// How the requests of a route are divided between two versions, as its weights say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Weights {
    pub from: u32,
    pub to: u32,
}

impl Weights {
    /// So many percent for the version that gets the requests.
    pub fn of(percent: u8) -> Self {
        let to = u32::from(percent.min(100));
        Self { from: 100 - to, to }
    }

    /// The same with the two the other way round.
    pub fn turned(self) -> Self {
        Self {
            from: self.to,
            to: self.from,
        }
    }

    /// The share of the version that gets the requests, in percent, rounded; 0 where no weight is set.
    pub fn percent(self) -> u32 {
        let (to, all) = (
            u64::from(self.to),
            u64::from(self.from) + u64::from(self.to),
        );
        let percent = (to * 100 + all / 2).checked_div(all).unwrap_or_default();
        u32::try_from(percent).unwrap_or(100)
    }
}

/// `90 to 10`.
impl fmt::Display for Weights {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} to {}", self.from, self.to)
    }
}

/// A route as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divided {
    pub weights: Weights,
    /// Who set its weights last, in words; none where the runtime does not tell.
    pub holder: Option<String>,
}

/// Something that has to be so before a run begins, as the runtime alone can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    pub name: &'static str,
    /// None: could not look.
    pub is_ready: Option<bool>,
    pub note: Option<String>,
}

/// What stopping one service came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Stopped {
    pub service: ServiceName,
    pub outcome: StoppedOutcome,
    /// Memory that it used before.
    pub freed: Option<Bytes>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoppedOutcome {
    /// Nothing ran.
    NotRunning,
    /// It ended when asked.
    Ended(Exit),
    /// It did not end within its grace and was ended.
    Killed,
    Failed(Problem),
}

/// Which lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    pub service: ServiceName,
    /// Lines at or after this time.
    pub since: Option<Timestamp>,
    /// Go on after an earlier page; then lines come oldest first from there.
    pub cursor: Option<String>,
    /// At most so many lines; without a cursor the newest.
    pub limit: usize,
}

/// A piece of a service's output, oldest line first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogPage {
    pub lines: Vec<LogLine>,
    /// Where the next page goes on; good for as long as the lines are kept.
    pub cursor: Option<String>,
    /// Lines within the window that are older than the first of this page.
    pub older: u64,
    /// Lines that are newer than the last of this page.
    pub has_newer: bool,
    /// What is not there, though asked for: dropped by rotation, lost.
    pub missing: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub at: Timestamp,
    pub stream: Stream,
    /// As the service wrote it: data of a stranger.
    pub text: String,
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    Out,
    Error,
    /// Said by the runtime: started, ended, lines lost.
    Runtime,
}

/// What one service uses.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    pub service: ServiceName,
    pub at: Timestamp,
    /// Working set: what the system could not take back without paging. None: nothing runs.
    pub memory: Option<Bytes>,
    pub memory_limit: Option<Bytes>,
    /// Over `cpu_window`.
    pub cpu: Option<MilliCpu>,
    pub cpu_window: Duration,
    pub cpu_limit: Option<MilliCpu>,
    /// Read and written since its start.
    pub disk: Option<(Bytes, Bytes)>,
    /// Received and sent since its start.
    pub network: Option<(Bytes, Bytes)>,
    /// Why something is not known, or how far it is bound.
    pub notes: Vec<String>,
    /// Something runs and what it uses could not be read: a sum with it is no sum.
    pub is_unknown: bool,
}

impl Usage {
    /// Something may run and what it uses is not known, because of this.
    pub fn unknown(service: ServiceName, at: Timestamp, reason: String) -> Self {
        Self {
            notes: vec![reason],
            is_unknown: true,
            ..Self::none(service, at)
        }
    }

    /// Nothing runs, so nothing is used.
    pub fn none(service: ServiceName, at: Timestamp) -> Self {
        Self {
            service,
            at,
            memory: None,
            memory_limit: None,
            cpu: None,
            cpu_window: Duration::ZERO,
            cpu_limit: None,
            disk: None,
            network: None,
            notes: Vec::new(),
            is_unknown: false,
        }
    }
}

/// A machine among those that carry the services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    /// None: it is not heard of.
    pub is_ready: Option<bool>,
    /// Why it is not ready.
    pub reason: Option<String>,
    /// Why nothing new goes there, though it is ready: `cordoned`.
    pub left_out: Option<&'static str>,
    /// What it lacks, in its own words: `MemoryPressure`.
    pub pressure: Vec<String>,
    /// What it has for services.
    pub memory: Option<Bytes>,
    pub cpu: Option<MilliCpu>,
    /// What everything on it uses; none where nobody measures.
    pub memory_used: Option<Bytes>,
    pub cpu_used: Option<MilliCpu>,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes {
    pub nodes: Vec<Node>,
    /// Why what they use is not known.
    pub unmeasured: Option<String>,
}

/// What scales a service by itself makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scaling {
    /// How many copies there are.
    pub current: u32,
    /// How many there should be by what it read; none where it has not looked yet.
    pub wanted: Option<u32>,
    pub least: u32,
    pub most: u32,
    /// Why it is kept from going further: `TooManyReplicas: …`.
    pub limited: Option<String>,
    /// Why it scales nothing now: `FailedGetResourceMetric: …`.
    pub stuck: Option<String>,
}

impl fmt::Display for Scaling {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} of {}-{}",
            self.current, self.least, self.most
        )?;
        if let Some(wanted) = self.wanted.filter(|wanted| *wanted != self.current) {
            write!(formatter, ", wants {wanted}")?;
        }
        match (&self.stuck, &self.limited) {
            (Some(_), _) => formatter.write_str(", does not scale"),
            (None, Some(_)) => formatter.write_str(", limited"),
            (None, None) => Ok(()),
        }
    }
}

/// Files of this machine in place of a command's input and output.
#[derive(Debug, Clone, Copy, Default)]
pub struct Streams<'a> {
    pub input: Option<&'a Path>,
    /// Made for its owner alone; then only what the command says of errors is told.
    pub output: Option<&'a Path>,
}

/// What a command gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub exit: Exit,
    /// Both streams as they came, cut to a bound that `is_cut` tells of.
    pub text: String,
    pub is_cut: bool,
}
