//! Opens the platform that a server looks at: its file, its history, its probes.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use secrecy::SecretString;
use url::Url;

use super::{
    chosen, driving,
    follow::{Current, Followed},
};
use crate::{
    digest,
    health::{Watch, probe},
    platform::{self, Loaded, Platform},
    runtime::{self, Problem, Runtime},
    settings::{CatalogSettings, Credential, PlatformSettings},
    store::{History, StateFolder},
    tools::{ErrorCode, ToolError},
};

/// Opens a platform, anew after each change of its file.
pub(super) struct Opener {
    followed: Arc<Followed>,
    /// As flags and environment name it.
    catalog: CatalogSettings,
    settings: PlatformSettings,
    state: Option<PathBuf>,
    /// The file as it was when the platform was opened last.
    basis: Mutex<Option<Arc<Loaded>>>,
    /// When it was last tried to open a history that is not kept.
    tried: Mutex<Option<Instant>>,
}

/// How often it is tried to open a history that could not be.
const TRY_AGAIN: Duration = Duration::from_secs(5);

impl Opener {
    pub(super) fn new(
        followed: Arc<Followed>,
        settings: &PlatformSettings,
        catalog: CatalogSettings,
        state: Option<PathBuf>,
    ) -> Self {
        Self {
            followed,
            catalog,
            settings: settings.clone(),
            state,
            basis: Mutex::default(),
            tried: Mutex::default(),
        }
    }

    /// The platform as its file says now: what is open, or a new one that goes on with its
    /// history. Reads files.
    pub(super) fn newest(&self, opened: Option<Arc<Watch>>) -> Result<Arc<Watch>, ToolError> {
        let current = self.followed.current()?;
        let Ok(mut basis) = self.basis.lock() else {
            let poisoned = "an earlier opening of the platform failed";
            return Err(ToolError::new(ErrorCode::Internal, poisoned));
        };
        let is_open = basis
            .as_ref()
            .is_some_and(|basis| Arc::ptr_eq(basis, &current.loaded));
        let watch = match opened {
            Some(watch) if is_open && !self.can_keep_now(&watch) => watch,
            opened => {
                let watch = Arc::new(self.opened(&current, opened.as_deref())?);
                *basis = Some(Arc::clone(&current.loaded));
                watch
            }
        };
        watch.set_notes(self.followed.notes(&current));
        Ok(watch)
    }

    /// Whether `newest` would look at files.
    pub(super) fn is_due(&self) -> bool {
        self.followed.recent().is_none()
    }

    /// Whether a history could be opened now that could not before: the disk has room again, or
    /// who held it has ended.
    fn can_keep_now(&self, watch: &Watch) -> bool {
        let (Some(_), Some(state)) = (watch.not_kept(), self.state.as_deref()) else {
            return false;
        };
        let Ok(mut tried) = self.tried.lock() else {
            return false;
        };
        if tried.is_some_and(|tried| tried.elapsed() < TRY_AGAIN) {
            return false;
        }
        *tried = Some(Instant::now());
        kept_history(self.followed.file(), Some(state)).is_ok()
    }

    /// The platform under observation. Nothing is looked at yet.
    ///
    /// A state folder that cannot be used is no reason to stay blind: the history then ends with
    /// the process, and every answer says so.
    fn opened(&self, current: &Current, before: Option<&Watch>) -> Result<Watch, ToolError> {
        let (file, state) = (self.followed.file(), self.state.as_deref());
        let findings = platform::lint(&current.loaded);
        let platform = Arc::new(current.loaded.platform.clone());
        let mut surroundings = probe::Surroundings::new(self.settings.ca_file.clone());
        let catalog = chosen::catalog(&self.catalog, Some((&platform, file)));
        let catalog = catalog.unwrap_or_default();
        if let Some((url, token)) = own_token(&catalog) {
            surroundings = surroundings.with_openmetadata(&url, token);
        }
        let surroundings = Arc::new(surroundings);
        let check: crate::health::watch::Check = Arc::new(move |probe, until| {
            let surroundings = Arc::clone(&surroundings);
            Box::pin(async move { probe::check(&probe, &surroundings, until).await.looks })
        });
        let runtime = runtime_of(&platform, state);
        let watch = match before {
            Some(before) if before.not_kept().is_none() => before.succeeded_by(platform, check),
            before => match (kept_history(file, state), before) {
                (Ok(history), _) => Watch::new(platform, Arc::new(history), check),
                (Err(_), Some(before)) => before.succeeded_by(platform, check),
                (Err(reason), None) => {
                    tracing::warn!(reason, "Health is remembered only while this server runs");
                    let history = History::in_memory()?;
                    Watch::new(platform, Arc::new(history), check).without_history(reason)
                }
            },
        };
        let site = driving::site(&self.settings, &catalog, state);
        Ok(watch
            .with_runtime(runtime)
            .with_findings(findings)
            .with_site(site))
    }
}

/// The address of the catalog and the token of this server, where it has one: with an e-mail and a
/// password a probe would have to sign in at each look.
fn own_token(catalog: &CatalogSettings) -> Option<(Url, SecretString)> {
    let CatalogSettings::OpenMetadata(settings) = catalog else {
        return None;
    };
    let token = match &settings.credential {
        Credential::Token(token) => token.clone(),
        Credential::TokenFile(path) => std::fs::read_to_string(path).ok()?.trim().into(),
        Credential::None | Credential::Password { .. } => return None,
    };
    Some((settings.url.trim().parse().ok()?, token))
}

/// What carries the services, where this program can ask it.
pub(super) fn runtime_of(
    platform: &Arc<Platform>,
    state: Option<&Path>,
) -> Result<Arc<dyn Runtime>, Problem> {
    let failed = |reason: String| Problem::failed("opening the runtime", reason);
    let state = state.ok_or_else(|| failed("there is no state folder".into()))?;
    let state = StateFolder::at(state).map_err(|error| failed(error.to_string()))?;
    runtime::of(platform, &state)
}

fn kept_history(file: &Path, state: Option<&Path>) -> Result<History, String> {
    let Some(state) = state else {
        return Err("there is no state folder (OPENPOLICY_STATE names one)".into());
    };
    let opened = || -> Result<History, Box<dyn std::error::Error>> {
        let folder = StateFolder::at(state)?.folder("health")?;
        Ok(History::open(&folder.join(history_name(file)))?)
    };
    opened().map_err(|error| error.to_string())
}

/// Where the history of a platform lies; it need not be there.
pub(super) fn history_of(file: &Path, state: &Path) -> Option<PathBuf> {
    let folder = StateFolder::at(state).ok()?.folder("health").ok()?;
    Some(folder.join(history_name(file)))
}

/// Where the lock lies of the one process that looks at this platform, and who that is.
pub(super) fn lock_of(file: &Path, state: &Path) -> Option<(PathBuf, PathBuf)> {
    let history = history_of(file, state)?;
    Some((
        history.with_extension("lock"),
        history.with_extension("holder"),
    ))
}

fn history_name(file: &Path) -> PathBuf {
    format!("{}.sqlite", name_of(file)).into()
}

/// What is kept of a platform lies under this name, one a platform file: two checkouts of one
/// repository are two platforms.
pub(super) fn name_of(file: &Path) -> String {
    digest::short(driving::absolute(file).as_os_str().as_encoded_bytes(), 16)
}
