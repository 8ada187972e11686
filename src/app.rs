//! The composition root: settings become catalogs, a service, transports, and a clean end.

use std::{sync::Arc, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::{
    catalog::{self, Catalog, Catalogs, snapshot},
    logs,
    mcp::{LazyCatalogs, McpServer, Selection, guard::Guard, http, stdio},
    settings::{CatalogSettings, Credential, HttpSettings, Identity, Settings, Transport},
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
    // Reads the address only: nothing is opened before a client needs it.
    if let CatalogSettings::OpenMetadata(_) = &settings.catalog {
        catalogs(&settings.catalog)?;
    }
    if needs_callers(&settings) {
        return Err(AppError::Settings(
            "--catalog-identity caller needs --http: over stdio a call cannot bring a token".into(),
        ));
    }
    let shutdown = CancellationToken::new();
    listen_for_signals(shutdown.clone())?;
    let catalog = settings.catalog;
    let lazy = Arc::new(LazyCatalogs::new(move || opened(catalog.clone())));
    let server = McpServer::new(selection, settings.answers, lazy);
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
        Transport::Http(settings) => serve_http(&settings, server, shutdown).await?,
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

/// The catalogs that these settings name. Opening the demo reads all of it.
pub fn catalogs(settings: &CatalogSettings) -> Result<Catalogs, AppError> {
    match settings {
        CatalogSettings::None => Ok(Catalogs::default()),
        CatalogSettings::OpenMetadata(settings) => {
            Catalogs::of_openmetadata(&catalog::Settings::from(settings))
                .map_err(|error| AppError::Settings(error.to_string()))
        }
        // Made up for everyone to see.
        CatalogSettings::Demo => snapshot::demo()
            .map(|snapshot| Catalogs::of_snapshot(snapshot).for_everyone())
            .map_err(|error| AppError::Start(error.to_string())),
    }
}

/// The same where a call waits for it.
async fn opened(settings: CatalogSettings) -> Result<Catalogs, ToolError> {
    let opening = tokio::task::spawn_blocking(move || catalogs(&settings));
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

/// Whether the catalog answers now.
async fn readiness(lazy: Arc<LazyCatalogs>) -> Readiness {
    let look = async {
        let catalogs = lazy.get().await.map_err(|error| error.message)?;
        if let Some(client) = catalogs.own_client() {
            // Not `version()`, which remembers: what counts is that it answers now.
            let version = client.get_fresh("system/version", &[]).await;
            let version = version.map_err(|error| error.to_string())?;
            return Ok(Readiness {
                is_ready: true,
                source: Some("openmetadata"),
                version: version["version"].as_str().map(str::to_owned),
                ..Readiness::default()
            });
        }
        let catalog = catalogs.of(None).map_err(|error| error.to_string())?;
        Ok(Readiness {
            is_ready: true,
            source: Some(catalog.source()),
            as_of: Catalog::as_of(&catalog),
            ..Readiness::default()
        })
    };
    let not_ready = |reason: String| Readiness {
        reason: Some(reason),
        ..Readiness::default()
    };
    match tokio::time::timeout(LONGEST_LOOK, look).await {
        Ok(Ok(ready)) => ready,
        Ok(Err(reason)) => not_ready(reason),
        Err(_) => not_ready(format!(
            "the catalog did not answer within {} s",
            LONGEST_LOOK.as_secs()
        )),
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
