//! Drives one run in a process of its own: opens what the server that began it had open.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{AppError, catalogs, listen_for_signals, platform};
use crate::{
    deploy::{
        deployments::lease_path,
        engine::{Driven, Engine, Leased, Tuning},
        sense,
    },
    runtime::{self, RunningCommand},
    settings::{
        CatalogSettings, Credential, Identity, OpenMetadataSettings, PlatformSettings, SnapshotUse,
    },
    store::{
        Journal, LockError, Site, StateFolder,
        lease::{self, Held, Lease},
    },
};

/// Who looks whether a run is driven holds its lease for a moment: tried for so long.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// What a driver is told, over a pipe. It holds credentials.
#[derive(Serialize, Deserialize)]
pub struct DriveOrder {
    file: PathBuf,
    trusted: Vec<String>,
    ca_file: Option<PathBuf>,
    state: PathBuf,
    catalog: CatalogOrder,
}

#[derive(Serialize, Deserialize)]
enum CatalogOrder {
    None,
    Demo,
    OpenMetadata {
        url: String,
        credential: CredentialOrder,
        ca_file: Option<PathBuf>,
    },
}

#[derive(Serialize, Deserialize)]
enum CredentialOrder {
    None,
    Token(String),
    TokenFile(PathBuf),
    Password { email: String, password: String },
}

/// Where deployments of this platform are kept, and what their drivers are told; none without a
/// state folder.
pub(super) fn site(
    settings: &PlatformSettings,
    catalog: &CatalogSettings,
    state: Option<&Path>,
) -> Option<Site> {
    let file = absolute(settings.file.as_ref()?);
    let state = absolute(state?);
    let folder = StateFolder::at(&state)
        .and_then(|state| state.folder("deploy"))
        .ok()?;
    let order = DriveOrder {
        file: file.clone(),
        trusted: settings.trusted.clone(),
        ca_file: settings.ca_file.as_ref().map(|path| absolute(path)),
        state,
        catalog: CatalogOrder::of(catalog),
    };
    let folder = folder.join(platform::name_of(&file));
    let folder = StateFolder::at(&folder).ok()?.path().to_owned();
    Some(Site {
        folder,
        order: serde_json::to_string(&order).ok()?.into(),
        ends_with_client: settings.ends_with_client,
    })
}

pub(super) fn absolute(path: &Path) -> PathBuf {
    std::fs::canonicalize(path)
        .unwrap_or_else(|_| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
}

impl CatalogOrder {
    fn of(settings: &CatalogSettings) -> Self {
        match settings {
            // An address came with the file, or there is none.
            CatalogSettings::None | CatalogSettings::WithoutAddress(_) => Self::None,
            CatalogSettings::Demo => Self::Demo,
            CatalogSettings::OpenMetadata(settings) => Self::OpenMetadata {
                url: settings.url.clone(),
                credential: match &settings.credential {
                    Credential::None => CredentialOrder::None,
                    Credential::Token(token) => {
                        CredentialOrder::Token(token.expose_secret().to_owned())
                    }
                    Credential::TokenFile(path) => CredentialOrder::TokenFile(absolute(path)),
                    Credential::Password { email, password } => CredentialOrder::Password {
                        email: email.clone(),
                        password: password.expose_secret().to_owned(),
                    },
                },
                ca_file: settings.ca_file.as_ref().map(|path| absolute(path)),
            },
        }
    }

    fn settings(self) -> CatalogSettings {
        match self {
            Self::None => CatalogSettings::None,
            Self::Demo => CatalogSettings::Demo,
            Self::OpenMetadata {
                url,
                credential,
                ca_file,
            } => CatalogSettings::OpenMetadata(OpenMetadataSettings {
                url,
                credential: match credential {
                    CredentialOrder::None => Credential::None,
                    CredentialOrder::Token(token) => Credential::Token(token.into()),
                    CredentialOrder::TokenFile(path) => Credential::TokenFile(path),
                    CredentialOrder::Password { email, password } => Credential::Password {
                        email,
                        password: SecretString::from(password),
                    },
                },
                ca_file,
                identity: Identity::default(),
            }),
        }
    }
}

/// Drives a run until it is over or a person has to decide.
pub async fn drive(order: DriveOrder, run: i64) -> Result<(), AppError> {
    let failed = |error: &dyn std::fmt::Display| AppError::Start(error.to_string());
    let own = own_identity().map_err(|error| failed(&error))?;
    let shutdown = CancellationToken::new();
    listen_for_signals(shutdown.clone())?;
    let settings = PlatformSettings {
        file: Some(order.file),
        trusted: order.trusted,
        ca_file: order.ca_file,
        ends_with_client: false,
    };
    let catalog = order.catalog.settings();
    let state = order.state;
    let watch = platform(&settings, &catalog, Some(&state))
        .map_err(|error| failed(&error.message))?
        .ok_or_else(|| failed(&"no platform file is named"))?;
    let site = watch
        .site()
        .ok_or_else(|| failed(&"there is no state folder"))?;
    let journal =
        Journal::open(&site.folder.join("journal.sqlite")).map_err(|error| failed(&error))?;
    let row = journal
        .run(run)
        .map_err(|error| failed(&error))?
        .ok_or_else(|| failed(&format!("there is no run {run}")))?;
    let (lease, taken_from) = take_lease(site, &row.target)
        .await
        .map_err(|error| failed(&error))?;
    let lease = Arc::new(lease);
    let _beating = AbortOnDropHandle::new(tokio::spawn(give_signs(Arc::clone(&lease))));
    let is_held = Arc::clone(&lease);
    let opened = catalogs(&catalog, SnapshotUse::default(), Some(&state)).map(Arc::new);
    let opened = opened.map_err(|error| error.to_string());
    let own_catalog: sense::OwnCatalog = Arc::new(move || {
        let opened = opened.clone();
        Box::pin(async move { opened?.of(None).map_err(|error| error.to_string()) })
    });
    let engine = Engine {
        journal: Arc::new(journal),
        runtime: Arc::clone(watch.runtime().map_err(|problem| failed(&problem))?),
        look: sense::of(Arc::clone(&watch), own_catalog),
        backups: site.backups(),
        backups_kept: watch.platform().backup.keep,
        lease: Leased {
            is_held: Arc::new(move || is_held.is_ours()),
            taken_from,
        },
        tuning: Tuning::default(),
    };
    match engine.drive(run, own, &shutdown).await {
        Ok(Driven::NotDecided) => Err(failed(
            &"its driver was lost: resume, roll back or accept it",
        )),
        Ok(Driven::LostLease) => Err(failed(&format!(
            "this process gave no sign of life for a while, and another took run {run} over: it is \
             left to that one"
        ))),
        Ok(Driven::Over | Driven::Waits | Driven::Stopped) => Ok(()),
        Err(error) => Err(failed(&error)),
    }
}

fn own_identity() -> Result<RunningCommand, runtime::Problem> {
    runtime::detach()?;
    runtime::this_process("driver")
}

/// The lease; and from whom it was taken over.
async fn take_lease(site: &Site, target: &str) -> Result<(Lease, Option<String>), String> {
    let path = lease_path(site, target);
    let begun = std::time::Instant::now();
    let told = |error: &dyn std::fmt::Display| format!("the run is not driven: {error}");
    loop {
        match Lease::take(&path) {
            Ok(lease) => return Ok((lease, None)),
            Err(LockError::Held(_)) if begun.elapsed() < LONGEST_WAIT => {}
            Err(error) => return Err(told(&error)),
        }
        if let Held::Silent(silent) = Lease::held(&path).map_err(|error| told(&error))? {
            let age = silent.age().as_secs();
            tokio::time::sleep(lease::WATCHED).await;
            let lease = Lease::take_over(&path, &silent).map_err(|error| told(&error))?;
            let taken_from = format!(
                "process {} had given no sign of life for {age} s: the run was taken over from it",
                silent.process
            );
            return Ok((lease, Some(taken_from)));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// For as long as the lease is held.
async fn give_signs(lease: Arc<Lease>) {
    loop {
        tokio::time::sleep(lease::BEAT).await;
        if !lease.is_ours() {
            return;
        }
        if let Err(error) = lease.beat() {
            tracing::warn!(%error, "A sign of life could not be written");
        }
    }
}
