//! `serve`: speaks MCP over stdio or HTTP.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;

use super::{Failure, block_on, environment};
use crate::{
    app,
    platform::quantity,
    settings::{
        Answers, CatalogSettings, HttpSettings, LogFormat, LogLevel, LogSettings, Settings,
        SnapshotUse, ToolSwitches, Transport,
    },
};

/// Serves MCP until the client hangs up (stdio) or a signal comes.
#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    #[command(flatten)]
    openmetadata: environment::OpenMetadataArguments,
    #[command(flatten)]
    snapshot: environment::SnapshotArguments,
    /// Copy the catalog into the snapshot whenever that is older than this, as 15m or 6h
    /// [env: OPENPOLICY_SYNC_EVERY] [default: only when `sync` is run].
    #[arg(long, value_name = "DURATION")]
    sync_every: Option<String>,
    #[command(flatten)]
    pub(super) server: ServerArguments,
}

impl ServeArguments {
    fn sync_every(&self) -> Result<Option<Duration>, Failure> {
        let written = self.sync_every.clone();
        let Some(written) = written.or_else(|| environment::text("OPENPOLICY_SYNC_EVERY")) else {
            return Ok(None);
        };
        let every = quantity::duration(&written)
            .map_err(|error| Failure::Usage(format!("--sync-every: {error}")))?;
        if every < SHORTEST_SYNC {
            return Err(Failure::Usage(format!(
                "--sync-every: {written} is shorter than {} s",
                SHORTEST_SYNC.as_secs()
            )));
        }
        Ok(Some(every))
    }
}

/// A copy reads every id and every edge: closer ones would follow each other without end.
const SHORTEST_SYNC: Duration = Duration::from_secs(10);

/// What every command that serves takes.
#[derive(Debug, Args)]
pub(super) struct ServerArguments {
    /// Serve Streamable HTTP at /mcp (and the older SSE at /sse) instead of stdio. Beyond
    /// loopback this needs a bearer token: OPENPOLICY_HTTP_TOKEN or OPENPOLICY_HTTP_TOKEN_FILE.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) http: Option<SocketAddr>,
    /// A file that holds the bearer token.
    #[arg(long, value_name = "PATH", requires = "http")]
    http_token_file: Option<PathBuf>,
    /// A name that clients may use in `Host` beside the loopback names.
    #[arg(long, value_name = "HOST[:PORT]", requires = "http")]
    allow_host: Vec<String>,
    /// A web origin that may call, beside the loopback ones.
    #[arg(long, value_name = "ORIGIN", requires = "http")]
    allow_origin: Vec<String>,
    /// Keep sessions for clients of older protocol versions.
    #[arg(long, requires = "http")]
    http_sessions: bool,
    /// Toolsets to list: catalog, catalog-write, or all [env: OPENPOLICY_TOOLSETS] [default: those
    /// that read].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    toolsets: Vec<String>,
    /// Tools to list; without --toolsets these alone.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    tools: Vec<String>,
    /// Tools to leave away.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    exclude_tools: Vec<String>,
    /// List only tools that read; wins over everything.
    #[arg(long)]
    read_only: bool,
    /// `text`: leave the structured form and the output schemas away.
    #[arg(long, value_name = "both|text", default_value = "both")]
    answers: Answers,
    #[command(flatten)]
    platform: environment::PlatformArguments,
    #[command(flatten)]
    state: environment::StateArguments,
    /// Logs go to stderr.
    #[arg(long, value_name = "text|json", default_value = "text")]
    log_format: LogFormat,
    /// A level (`info`) or a filter (`openpolicy_mcp=debug`).
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: String,
}

pub(super) fn run(arguments: ServeArguments) -> Result<(), Failure> {
    let catalog = arguments.openmetadata.settings()?;
    let settings = Settings {
        snapshot: arguments.snapshot.settings()?,
        sync_every: arguments.sync_every()?,
        ..arguments.server.settings(catalog)?
    };
    block_on(async { Ok(app::serve(settings).await?) })
}

impl ServerArguments {
    /// Whether a platform file is named, here or in the environment.
    pub(super) fn names_platform(&self) -> bool {
        self.platform
            .settings()
            .is_ok_and(|settings| settings.file.is_some())
    }

    /// The settings of a server on this catalog.
    pub(super) fn settings(self, catalog: CatalogSettings) -> Result<Settings, Failure> {
        let transport = match self.http {
            None => Transport::Stdio,
            Some(address) => Transport::Http(HttpSettings {
                address,
                token: match &self.http_token_file {
                    Some(path) => Some(environment::secret_in("--http-token-file", path)?),
                    None => environment::secret_or_file("OPENPOLICY_HTTP_TOKEN")?,
                },
                allowed_hosts: self.allow_host,
                allowed_origins: self.allow_origin,
                sessions: self.http_sessions,
            }),
        };
        let toolsets = match environment::text("OPENPOLICY_TOOLSETS") {
            Some(names) if self.toolsets.is_empty() => names
                .split(',')
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect(),
            _ => self.toolsets,
        };
        Ok(Settings {
            catalog,
            snapshot: SnapshotUse::default(),
            platform: self.platform.settings()?,
            transport,
            tools: ToolSwitches {
                toolsets,
                tools: self.tools,
                exclude_tools: self.exclude_tools,
                read_only: self.read_only,
            },
            answers: self.answers,
            logs: LogSettings {
                format: self.log_format,
                level: LogLevel(self.log_level),
            },
            state: self.state.folder(),
            sync_every: None,
        })
    }

    /// Lists every toolset unless the caller chose.
    pub(super) fn with_all_toolsets(mut self) -> Self {
        let is_chosen = environment::text("OPENPOLICY_TOOLSETS").is_some();
        if self.toolsets.is_empty() && self.tools.is_empty() && !is_chosen {
            self.toolsets = vec!["all".to_owned()];
        }
        self
    }
}
