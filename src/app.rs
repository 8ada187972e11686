//! The composition root: settings become catalogs, a service, transports, and a clean end.

mod chosen;
pub mod doctor;
mod driving;
mod follow;
mod listed;
mod lost;
mod named;
mod platform;
mod readiness;
mod refresh;
mod watching;

pub use driving::{DriveOrder, drive};

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use self::platform::Opener;
use crate::{
    catalog::{
        self, Catalogs,
        snapshot::{self, SnapshotFile},
        sync::Place,
    },
    health::Watch,
    logs,
    mcp::{Lazy, LazyCatalogs, McpServer, guard::Guard, http, stdio},
    settings::{
        CatalogMode, CatalogSettings, Credential, HttpSettings, Identity, OpenMetadataSettings,
        PlatformSettings, Settings, SnapshotUse, Transport,
    },
    store::StateFolder,
    tools::{ErrorCode, ToolError},
    web,
};
use follow::Followed;
use named::Named;
use watching::Watching;

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
pub async fn serve(mut settings: Settings) -> Result<(), AppError> {
    // Process 1 of a container takes everything in it along.
    settings.platform.ends_with_client =
        std::process::id() == 1 && matches!(settings.transport, Transport::Stdio);
    let refused = |error: &dyn std::error::Error| AppError::Settings(error.to_string());
    let followed = followed(&settings.platform, settings.state.as_deref())?;
    let current = followed
        .as_ref()
        .and_then(|followed| followed.current().ok());
    let here = current.as_ref().zip(followed.as_deref());
    let here = here.map(|(current, followed)| (&current.loaded.platform, followed.file()));
    let catalog = chosen::catalog(&settings.catalog, here);
    logs::start(&settings.logs, &secrets(&settings, &catalog)).map_err(|error| refused(&error))?;
    let selection = listed::at_start(&settings.tools, followed.is_some(), here)?;
    match &catalog {
        // Reads the address only: nothing is opened before a client needs it.
        Ok(catalog @ CatalogSettings::OpenMetadata(_)) => {
            catalogs(catalog, settings.snapshot, settings.state.as_deref())?;
        }
        Ok(_) => {}
        Err(reason) if followed.is_some() => {
            tracing::warn!(reason, "The catalog is not asked");
            if settings.sync_every.is_some() {
                tracing::warn!("The snapshot is not kept fresh before the server is started anew");
            }
        }
        Err(reason) => return Err(AppError::Settings(reason.clone())),
    }
    if needs_callers(&settings) {
        return Err(AppError::Settings(
            "--catalog-identity caller needs --http: over stdio a call cannot bring a token".into(),
        ));
    }
    let shutdown = CancellationToken::new();
    listen_for_signals(shutdown.clone())?;
    if let Ok(CatalogSettings::OpenMetadata(catalog)) = &catalog
        && let Some((every, state)) = settings.sync_every.zip(settings.state.clone())
    {
        refresh::start(every, catalog.clone(), state, shutdown.clone())
            .map_err(|error| AppError::Start(format!("no thread for the snapshot: {error}")))?;
    }
    let watched = followed
        .clone()
        .map(|followed| lazy_watch(followed, &settings));
    let lock = followed
        .as_ref()
        .zip(settings.state.as_deref())
        .and_then(|(followed, state)| platform::lock_of(followed.file(), state));
    let lazy = Arc::new(lazy_catalogs(
        settings.catalog,
        settings.snapshot,
        settings.state,
        followed,
    ));
    let mut server = McpServer::new(selection, settings.answers, lazy);
    if let Some(watched) = &watched {
        let switches = settings.tools;
        let before = server.selection();
        server = server.with_platform(Arc::clone(watched), move |watch| {
            listed::with(&switches, watch.platform()).unwrap_or_else(|error| {
                tracing::warn!(reason = %error, "The toolsets of the platform file do not hold");
                before.clone()
            })
        });
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
        Transport::Http(settings) => serve_http(&settings, server, watched, lock, shutdown).await?,
    }
    tracing::info!("The server ended");
    Ok(())
}

/// The platform file of these settings. One that has faults is told to the calls that need it; one
/// that asks for what is not built is refused here.
fn followed(
    settings: &PlatformSettings,
    state: Option<&Path>,
) -> Result<Option<Arc<Followed>>, AppError> {
    let Some(followed) = Followed::new(settings, state) else {
        return Ok(None);
    };
    if let Err(error) = followed.current()
        && error.message.contains(follow::NO_STORE)
    {
        return Err(AppError::Settings(error.message));
    }
    Ok(Some(Arc::new(followed)))
}

/// Whether each call has to bring a token where none can.
fn needs_callers(settings: &Settings) -> bool {
    matches!(settings.transport, Transport::Stdio)
        && matches!(
            &settings.catalog,
            CatalogSettings::OpenMetadata(catalog) | CatalogSettings::WithoutAddress(catalog)
                if catalog.identity == Identity::Caller
        )
}

async fn serve_http(
    settings: &HttpSettings,
    server: McpServer,
    watched: Option<Arc<Lazy<Watch>>>,
    lock: Option<(PathBuf, PathBuf)>,
    shutdown: CancellationToken,
) -> Result<(), AppError> {
    let guard = Guard::new(settings).map_err(|error| AppError::Settings(error.to_string()))?;
    let pages = web::Pages {
        ready: {
            let lazy = Arc::clone(server.catalogs());
            Box::new(move || Box::pin(readiness::look(Arc::clone(&lazy))))
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
        let watching = Watching {
            watched,
            catalogs,
            lock,
        };
        tokio::spawn(watching.run(shutdown.clone()));
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

/// The platform that is opened when a call first needs it, and follows its file.
fn lazy_watch(followed: Arc<Followed>, settings: &Settings) -> Arc<Lazy<Watch>> {
    let opener = Arc::new(Opener::new(
        followed,
        &settings.platform,
        settings.catalog.clone(),
        settings.state.clone(),
    ));
    Arc::new(Lazy::following(move |opened: Option<Arc<Watch>>| {
        let opener = Arc::clone(&opener);
        async move {
            match opened {
                // Nothing waits, nothing is spawned.
                Some(opened) if !opener.is_due() => opener.newest(Some(opened)),
                opened => blocking(move || opener.newest(opened)).await,
            }
        }
    }))
}

/// Work that reads files.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ToolError> + Send + 'static,
) -> Result<T, ToolError> {
    let failed = |_| {
        ToolError::new(
            ErrorCode::Internal,
            "opening failed by a fault of this server",
        )
    };
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

/// The platform of these settings under observation, where they name one. A probe of the
/// OpenMetadata that is the catalog asks with the same token.
pub fn platform(
    settings: &PlatformSettings,
    catalog: &CatalogSettings,
    state: Option<&Path>,
) -> Result<Option<Arc<Watch>>, ToolError> {
    let Some(followed) = Followed::new(settings, state) else {
        return Ok(None);
    };
    let (catalog, state) = (catalog.clone(), state.map(Path::to_owned));
    let opener = Opener::new(Arc::new(followed), settings, catalog, state);
    opener.newest(None).map(Some)
}

/// The catalog that flags, environment and platform file name, for a command that needs one.
pub fn catalog_of(
    given: &CatalogSettings,
    settings: &PlatformSettings,
    state: Option<&Path>,
) -> Result<CatalogSettings, AppError> {
    let followed = followed(settings, state)?;
    let current = followed.as_ref().map(|followed| followed.current());
    let current = current.transpose();
    let refused = |error: ToolError| AppError::Settings(error.message);
    let chosen = match (&followed, current) {
        // What was named outside does not wait for a file that has faults.
        (Some(_), Err(_)) if matches!(given, CatalogSettings::OpenMetadata(_)) => Ok(given.clone()),
        (Some(followed), Ok(Some(current))) => {
            let platform = (&current.loaded.platform, followed.file());
            chosen::catalog(given, Some(platform))
        }
        (_, Err(error)) => return Err(refused(error)),
        (_, Ok(_)) => chosen::catalog(given, None),
    };
    chosen.map_err(AppError::Settings)
}

/// The catalogs that a single call asks. One that may not be asked is none: a tool of the platform
/// answers all the same.
pub fn catalogs_of(
    given: &CatalogSettings,
    settings: &PlatformSettings,
    snapshot: SnapshotUse,
    state: Option<&Path>,
) -> Result<Arc<Catalogs>, AppError> {
    let Some(followed) = followed(settings, state)? else {
        let chosen = chosen::catalog(given, None).map_err(AppError::Settings)?;
        return catalogs(&chosen, snapshot, state).map(Arc::new);
    };
    let named = Named::new(given.clone(), snapshot, state.map(Path::to_owned), followed);
    let failed = |error: ToolError| AppError::Start(error.message);
    named.newest(None).map_err(failed)
}

/// The catalogs, opened when a call first needs them; anew where the platform file names another.
fn lazy_catalogs(
    given: CatalogSettings,
    snapshot: SnapshotUse,
    state: Option<PathBuf>,
    followed: Option<Arc<Followed>>,
) -> LazyCatalogs {
    let followed = followed.filter(|_| !matches!(given, CatalogSettings::Demo));
    let Some(followed) = followed else {
        return Lazy::new(move || opened(given.clone(), snapshot, state.clone()));
    };
    let source = Arc::new(Named::new(given, snapshot, state, followed));
    Lazy::following(move |opened: Option<Arc<Catalogs>>| {
        let source = Arc::clone(&source);
        async move {
            match opened {
                Some(opened) if !source.is_due() => source.newest(Some(opened)),
                opened => blocking(move || source.newest(opened)).await,
            }
        }
    })
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
        CatalogSettings::None | CatalogSettings::WithoutAddress(_) => Ok(Catalogs::default()),
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
fn secrets(settings: &Settings, chosen: &Result<CatalogSettings, String>) -> Vec<SecretString> {
    let mut secrets = Vec::new();
    for catalog in [Some(&settings.catalog), chosen.as_ref().ok()] {
        let Some(CatalogSettings::OpenMetadata(catalog) | CatalogSettings::WithoutAddress(catalog)) =
            catalog
        else {
            continue;
        };
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
