//! The composition root: settings become catalogs, a service, transports, and a clean end.

mod driving;
mod platform;
mod refresh;

pub use driving::{DriveOrder, drive};

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::{
    bridge::alerting,
    catalog::{
        self, Catalog, Catalogs, Snapshot, Spare,
        snapshot::{self, SnapshotFile},
        sync::Place,
    },
    health::{Watch, monitor},
    logs,
    mcp::{Lazy, LazyCatalogs, McpServer, Selection, guard::Guard, http, stdio},
    settings::{
        CatalogMode, CatalogSettings, Credential, HttpSettings, Identity, OpenMetadataSettings,
        PlatformSettings, Settings, SnapshotUse, Transport,
    },
    store::StateFolder,
    tools::{self, ErrorCode, ToolError},
    web::{self, Readiness},
};

/// Why the server did not start. `main` makes the exit code of it.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A setting that cannot be taken: exit code 2.
    #[error("{0}")]
    Settings(String),
    /// The address is taken, the standard streams are gone, and the like: exit code 1.
    #[error("{0}")]
    Start(String),
}

impl AppError {
    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) => 2,
            Self::Start(_) => 1,
        }
    }
}

/// Serves until the client hangs up (stdio) or a signal comes; then at most 5 s longer.
pub async fn serve(settings: Settings) -> Result<(), AppError> {
    let refused = |error: &dyn std::error::Error| AppError::Settings(error.to_string());
    logs::start(&settings.logs, &secrets(&settings)).map_err(|error| refused(&error))?;
    let selection =
        Selection::new(tools::all(), &settings.tools).map_err(|error| refused(&error))?;
    let selection = match &settings.platform.file {
        Some(_) => selection,
        None => selection.without_platform(),
    };
    // Reads the address only: nothing is opened before a client needs it.
    if let CatalogSettings::OpenMetadata(_) = &settings.catalog {
        catalogs(
            &settings.catalog,
            settings.snapshot,
            settings.state.as_deref(),
        )?;
    }
    if needs_callers(&settings) {
        return Err(AppError::Settings(
            "--catalog-identity caller needs --http: over stdio a call cannot bring a token".into(),
        ));
    }
    let shutdown = CancellationToken::new();
    listen_for_signals(shutdown.clone())?;
    let watched = lazy_watch(
        settings.platform,
        settings.catalog.clone(),
        settings.state.clone(),
    );
    if let CatalogSettings::OpenMetadata(catalog) = &settings.catalog
        && let Some((every, state)) = settings.sync_every.zip(settings.state.clone())
    {
        refresh::start(every, catalog.clone(), state, shutdown.clone())
            .map_err(|error| AppError::Start(format!("no thread for the snapshot: {error}")))?;
    }
    let (catalog, snapshot, state) = (settings.catalog, settings.snapshot, settings.state);
    let lazy = Arc::new(LazyCatalogs::new(move || {
        opened(catalog.clone(), snapshot, state.clone())
    }));
    let mut server = McpServer::new(selection, settings.answers, lazy);
    if let Some(watched) = &watched {
        server = server.with_platform(Arc::clone(watched));
    }
    match settings.transport {
        Transport::Stdio => {
            tracing::info!(
                tools = server.selection().listed().len(),
                "Serving over stdio"
            );
            stdio::serve(server, shutdown)
                .await
                .map_err(|error| AppError::Start(format!("stdin cannot be read: {error}")))?;
        }
        Transport::Http(settings) => serve_http(&settings, server, watched, shutdown).await?,
    }
    tracing::info!("The server ended");
    Ok(())
}

/// Whether each call has to bring a token where none can.
fn needs_callers(settings: &Settings) -> bool {
    matches!(settings.transport, Transport::Stdio)
        && matches!(
            &settings.catalog,
            CatalogSettings::OpenMetadata(catalog) if catalog.identity == Identity::Caller
        )
}

async fn serve_http(
    settings: &HttpSettings,
    server: McpServer,
    watched: Option<Arc<Lazy<Watch>>>,
    shutdown: CancellationToken,
) -> Result<(), AppError> {
    let guard = Guard::new(settings).map_err(|error| AppError::Settings(error.to_string()))?;
    let pages = web::Pages {
        ready: {
            let lazy = Arc::clone(server.catalogs());
            Box::new(move || Box::pin(readiness(Arc::clone(&lazy))))
        },
        tells_why: settings.token.is_none(),
        metrics: recorder()?,
        tools: server
            .selection()
            .listed()
            .iter()
            .map(|tool| (tool.name, tool.description))
            .collect(),
    };
    let (listener, bound) = http::bind(settings.address).await.map_err(|error| {
        AppError::Start(format!(
            "{} cannot be listened on: {error}",
            settings.address
        ))
    })?;
    tracing::info!(
        address = %bound,
        tools = pages.tools.len(),
        needs_token = settings.token.is_some(),
        "Serving MCP at http://{bound}/mcp"
    );
    let lazy = Arc::clone(server.catalogs());
    tokio::spawn(async move {
        if let Err(error) = lazy.get().await {
            tracing::warn!(reason = error.message, "The catalog could not be opened");
        }
    });
    if let Some(watched) = watched {
        let catalogs = Arc::clone(server.catalogs());
        tokio::spawn(keep_watching(watched, catalogs, shutdown.clone()));
    }
    http::serve(
        listener,
        guard,
        settings,
        server,
        web::routes(pages),
        shutdown,
    )
    .await;
    Ok(())
}

/// Looks at the platform for as long as the server runs.
async fn keep_watching(
    watched: Arc<Lazy<Watch>>,
    catalogs: Arc<LazyCatalogs>,
    shutdown: CancellationToken,
) {
    match watched.get().await {
        Ok(watch) => {
            // As this server itself sees it; without a catalog rules about data are not evaluated.
            let catalog: alerting::OwnCatalog = Box::new(move || {
                let catalogs = Arc::clone(&catalogs);
                Box::pin(async move { catalogs.get().await.ok()?.of(None).ok() })
            });
            tokio::join!(
                monitor::run(Arc::clone(&watch), shutdown.clone()),
                alerting::run(watch, catalog, shutdown),
            );
        }
        Err(error) => {
            tracing::error!(reason = error.message, "The platform is not watched");
        }
    }
}

/// The platform that is opened when a call first needs it; none where no file is named.
fn lazy_watch(
    settings: PlatformSettings,
    catalog: CatalogSettings,
    state: Option<PathBuf>,
) -> Option<Arc<Lazy<Watch>>> {
    settings.file.as_ref()?;
    let failed = || ToolError::new(ErrorCode::Unavailable, "the platform could not be opened");
    Some(Arc::new(Lazy::new(move || {
        let (settings, catalog) = (settings.clone(), catalog.clone());
        let state = state.clone();
        async move {
            let opening = tokio::task::spawn_blocking(move || {
                platform(&settings, &catalog, state.as_deref())
            });
            let opened = opening.await.map_err(|_| failed())?;
            opened?.ok_or_else(failed)
        }
    })))
}

/// The platform of these settings under observation, where they name one. A probe of the
/// OpenMetadata that is the catalog asks with the same token.
pub fn platform(
    settings: &PlatformSettings,
    catalog: &CatalogSettings,
    state: Option<&Path>,
) -> Result<Option<Watch>, ToolError> {
    platform::open(settings, catalog, state)
}

/// The catalogs that these settings name. Opening the demo reads all of it.
///
/// `state`: the state folder, in which the snapshot of an OpenMetadata lies.
pub fn catalogs(
    settings: &CatalogSettings,
    snapshot: SnapshotUse,
    state: Option<&Path>,
) -> Result<Catalogs, AppError> {
    match settings {
        CatalogSettings::None => Ok(Catalogs::default()),
        CatalogSettings::OpenMetadata(settings) => {
            let refused = |error: String| AppError::Settings(error);
            if settings.identity == Identity::Caller
                && (snapshot.for_everyone || snapshot.answers == CatalogMode::Snapshot)
            {
                return Err(refused(
                    "--catalog-identity caller and a snapshot exclude each other: a snapshot \
                     shows what the server's own credential may see"
                        .into(),
                ));
            }
            let catalogs = Catalogs::of_openmetadata(&catalog::Settings::from(settings))
                .map_err(|error| refused(error.to_string()))?;
            let Some(state) = state else {
                return match snapshot.answers {
                    CatalogMode::Snapshot => Err(refused(
                        "--catalog snapshot needs the folder of the snapshot: set OPENPOLICY_STATE"
                            .into(),
                    )),
                    _ => Ok(catalogs),
                };
            };
            Ok(catalogs.with_snapshot(snapshot_file(state, settings), snapshot))
        }
        // Made up for everyone to see.
        CatalogSettings::Demo => snapshot::demo()
            .map(|snapshot| Catalogs::of_snapshot(snapshot).for_everyone())
            .map_err(|error| AppError::Start(error.to_string())),
    }
}

/// The snapshot that `sync` takes with these settings.
pub fn snapshot_file(state: &Path, settings: &OpenMetadataSettings) -> SnapshotFile {
    let (folder, settings) = (state.to_owned(), settings.clone());
    SnapshotFile::new(state, move || {
        Place::of(&StateFolder::at(&folder)?, &settings)
    })
}

/// The same where a call waits for it.
async fn opened(
    settings: CatalogSettings,
    snapshot: SnapshotUse,
    state: Option<PathBuf>,
) -> Result<Catalogs, ToolError> {
    let opening =
        tokio::task::spawn_blocking(move || catalogs(&settings, snapshot, state.as_deref()));
    let failed = |message: String| {
        ToolError::new(ErrorCode::Unavailable, message)
            .then("run `openpolicy-mcp doctor` where the server runs; it says what is wrong")
    };
    match opening.await {
        Ok(Ok(catalogs)) => Ok(catalogs),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed("the catalog could not be opened".into())),
    }
}

/// A probe asks every few seconds and does not wait long.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// Whether calls are answered now: by the catalog, or by its snapshot while that is away.
async fn readiness(lazy: Arc<LazyCatalogs>) -> Readiness {
    let not_ready = |reason: String| Readiness {
        reason: Some(reason),
        ..Readiness::default()
    };
    let catalogs = match tokio::time::timeout(LONGEST_LOOK, lazy.get()).await {
        Ok(Ok(catalogs)) => catalogs,
        Ok(Err(error)) => return not_ready(error.message),
        Err(_) => return not_ready("the catalog is still being opened".into()),
    };
    let sources = catalogs.sources(None).await;
    let of_snapshot = |snapshot: &Snapshot, reason| Readiness {
        is_ready: true,
        source: Some("snapshot"),
        as_of: Some(snapshot.as_of().to_string()),
        reason,
        ..Readiness::default()
    };
    if let Ok(Catalog::Snapshot(snapshot)) = &sources.first {
        return of_snapshot(snapshot, None);
    }
    let reason = match (catalogs.own_client(), sources.first) {
        // Where callers bring their tokens, the server itself answers without one.
        (Some(client), _) => {
            // Not `version()`, which remembers: what counts is that it answers now.
            let version = client.get_fresh("system/version", &[]);
            match tokio::time::timeout(LONGEST_LOOK, version).await {
                Ok(Ok(version)) => {
                    return Readiness {
                        is_ready: true,
                        source: Some("openmetadata"),
                        version: version["version"].as_str().map(str::to_owned),
                        ..Readiness::default()
                    };
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!(
                    "the catalog did not answer within {} s",
                    LONGEST_LOOK.as_secs()
                ),
            }
        }
        (None, Err(error)) => error.to_string(),
        (None, Ok(_)) => String::new(),
    };
    match sources.spare {
        Spare::Snapshot { snapshot, .. } => of_snapshot(&snapshot, Some(reason)),
        Spare::None | Spare::Unusable(_) => not_ready(reason),
    }
}

/// Collects metrics for `/metrics`. Durations are in seconds.
fn recorder() -> Result<PrometheusHandle, AppError> {
    const BUCKETS: [f64; 10] = [0.001, 0.005, 0.02, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 50.0];
    let failed = |error| AppError::Start(format!("metrics cannot be collected: {error}"));
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(failed)
}

/// Every secret that these settings hold, for the mask of the logs.
fn secrets(settings: &Settings) -> Vec<SecretString> {
    let mut secrets = Vec::new();
    if let CatalogSettings::OpenMetadata(catalog) = &settings.catalog {
        match &catalog.credential {
            Credential::Token(secret)
            | Credential::Password {
                password: secret, ..
            } => {
                secrets.push(secret.clone());
            }
            Credential::None | Credential::TokenFile(_) => {}
        }
    }
    if let Transport::Http(http) = &settings.transport {
        secrets.extend(http.token.clone());
    }
    secrets
}

/// Cancels `shutdown` at the first SIGTERM or SIGINT.
fn listen_for_signals(shutdown: CancellationToken) -> Result<(), AppError> {
    let failed = |error: std::io::Error| AppError::Start(format!("no signals: {error}"));
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "Asked to end"),
                _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "Asked to end"),
            }
            shutdown.cancel();
        });
    }
    #[cfg(not(unix))]
    {
        let _ = failed;
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                shutdown.cancel();
            }
        });
    }
    Ok(())
}
