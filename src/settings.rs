//! What a server is started with: every setting as a value, already parsed.
//!
//! Whoever reads flags, environment and files fills this in; nothing here reads any of them. It
//! stands left of every room that is configured by it.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use secrecy::SecretString;

/// Everything that `app::serve` needs.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub catalog: CatalogSettings,
    pub snapshot: SnapshotUse,
    pub transport: Transport,
    pub tools: ToolSwitches,
    pub answers: Answers,
    pub logs: LogSettings,
    pub platform: PlatformSettings,
    /// Where snapshots and the store lie; none where neither the user nor the system names a place.
    pub state: Option<PathBuf>,
    /// The snapshot is copied anew when it is older than this; never by itself without it.
    pub sync_every: Option<Duration>,
}

/// The platform that carries the data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlatformSettings {
    /// The platform file; none where only a catalog is served.
    pub file: Option<PathBuf>,
    /// Digests (`sha256:…`) of platform files that are trusted beside those of the state folder.
    pub trusted: Vec<String>,
    /// PEM certificates that probes trust beside the built-in roots.
    pub ca_file: Option<PathBuf>,
    /// Everything on this machine ends with the one client: no deployment could outlive it.
    pub ends_with_client: bool,
}

/// Which catalog answers.
#[derive(Debug, Clone, Default)]
pub enum CatalogSettings {
    /// None configured: tools are listed, and each call says what to set.
    #[default]
    None,
    /// How to ask an OpenMetadata whose address a platform file may give; `url` is empty.
    WithoutAddress(OpenMetadataSettings),
    /// A running OpenMetadata.
    OpenMetadata(OpenMetadataSettings),
    /// The snapshot that is built into the binary.
    Demo,
}

/// How to reach OpenMetadata.
#[derive(Debug, Clone)]
pub struct OpenMetadataSettings {
    /// As people paste it: with or without `/api`, a trailing slash, a page of the user interface.
    pub url: String,
    pub credential: Credential,
    /// PEM certificates to trust beside the built-in roots.
    pub ca_file: Option<PathBuf>,
    pub identity: Identity,
}

impl OpenMetadataSettings {
    /// This address and nothing else.
    pub fn at(url: String) -> Self {
        Self {
            url,
            credential: Credential::None,
            ca_file: None,
            identity: Identity::Server,
        }
    }
}

/// With what this server signs in to OpenMetadata.
#[derive(Debug, Clone, Default)]
pub enum Credential {
    /// No credential of its own: callers bring theirs.
    #[default]
    None,
    Token(SecretString),
    /// Read again when the file changes.
    TokenFile(PathBuf),
    Password {
        email: String,
        password: SecretString,
    },
}

/// When the snapshot of a catalog answers, and whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotUse {
    pub answers: CatalogMode,
    /// The operator says that callers with a token of their own may see it too.
    pub for_everyone: bool,
    /// How long a call waits for a sign of OpenMetadata before the snapshot answers.
    pub patience: Duration,
}

impl Default for SnapshotUse {
    fn default() -> Self {
        Self {
            answers: CatalogMode::Auto,
            for_everyone: false,
            patience: Duration::from_secs(10),
        }
    }
}

/// Which side of a catalog answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CatalogMode {
    /// The running OpenMetadata alone.
    Live,
    /// The snapshot alone.
    Snapshot,
    /// The running OpenMetadata, and the snapshot while it is down or too slow.
    #[default]
    Auto,
}

/// Who may see a snapshot that was taken with the server's own credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SnapshotReaders {
    /// Callers without a token of their own.
    #[default]
    Server,
    Everyone,
}

/// As whom a call asks OpenMetadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Identity {
    /// As the token that came with the call, else as this server.
    #[default]
    Server,
    /// Only as the token that came with the call; a call without one is `unauthorized`.
    Caller,
}

/// Where clients connect.
#[derive(Debug, Clone, Default)]
pub enum Transport {
    #[default]
    Stdio,
    Http(HttpSettings),
}

/// The HTTP server.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    pub address: SocketAddr,
    /// Bearer token that every request must carry (`/healthz` apart).
    pub token: Option<SecretString>,
    /// Names, or `name:port`, that may stand in `Host`, beside the loopback names.
    pub allowed_hosts: Vec<String>,
    /// Origins (`https://host[:port]`) that may stand in `Origin`, beside loopback ones.
    pub allowed_origins: Vec<String>,
    /// Sessions for clients before protocol 2026-07-28; off by default.
    pub sessions: bool,
}

impl HttpSettings {
    /// No token, loopback names only, no sessions.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            token: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            sessions: false,
        }
    }
}

/// Which tools are listed and may be called. Names are checked at the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolSwitches {
    /// Toolsets by name, or `all`. Empty: the ones that read.
    pub toolsets: Vec<String>,
    /// Tools by name, beside those of the toolsets. Given without toolsets: these alone.
    pub tools: Vec<String>,
    /// Tools to leave away, whatever lists them.
    pub exclude_tools: Vec<String>,
    /// Only tools that read; wins over everything.
    pub read_only: bool,
}

/// In which forms a result is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answers {
    /// `structuredContent` and text, with output schemas.
    #[default]
    Both,
    /// Text alone, no output schemas.
    Text,
}

/// Logs, which go to stderr.
#[derive(Debug, Clone, Default)]
pub struct LogSettings {
    pub format: LogFormat,
    /// A level (`info`) or a filter (`openpolicy_mcp=debug,rmcp=warn`).
    pub level: LogLevel,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel(pub String);

impl Default for LogLevel {
    fn default() -> Self {
        Self("info".into())
    }
}

/// A word that a switch does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{written}` is not one of: {expected}")]
pub struct UnknownWord {
    pub written: String,
    pub expected: &'static str,
}

macro_rules! words {
    ($type:ty, $expected:literal, $($word:literal => $value:expr),+) => {
        impl FromStr for $type {
            type Err = UnknownWord;

            fn from_str(written: &str) -> Result<Self, UnknownWord> {
                match written.trim().to_ascii_lowercase().as_str() {
                    $($word => Ok($value),)+
                    _ => Err(UnknownWord { written: written.to_owned(), expected: $expected }),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(if *self == $value {
                    return formatter.write_str($word);
                })+
                Ok(())
            }
        }
    };
}

words!(Identity, "server, caller", "server" => Self::Server, "caller" => Self::Caller);
words!(CatalogMode, "live, snapshot, auto", "live" => Self::Live, "snapshot" => Self::Snapshot,
    "auto" => Self::Auto);
words!(SnapshotReaders, "server, everyone", "server" => Self::Server,
    "everyone" => Self::Everyone);
words!(Answers, "both, text", "both" => Self::Both, "text" => Self::Text);
words!(LogFormat, "text, json", "text" => Self::Text, "json" => Self::Json);
