//! Opens the platform that a server looks at: its file, its history, its probes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::{
    health::{Watch, probe},
    platform::{self, Loaded, Platform, TrustedDigests, Variables, trust},
    runtime::{self, Problem, Runtime},
    settings::{CatalogSettings, Credential, PlatformSettings},
    store::{History, StateFolder},
    tools::{ErrorCode, ToolError},
};

/// The platform of these settings under observation, where they name one. Nothing is looked at
/// yet.
///
/// A state folder that cannot be used is no reason to stay blind: the history then ends with the
/// process, and every answer says so.
pub(super) fn open(
    settings: &PlatformSettings,
    catalog: &CatalogSettings,
    state: Option<&Path>,
) -> Result<Option<Watch>, ToolError> {
    let Some(file) = &settings.file else {
        return Ok(None);
    };
    let loaded = read(file, settings, state)?;
    let findings = platform::lint(&loaded);
    let mut surroundings = probe::Surroundings::new(settings.ca_file.clone());
    if let Some((url, token)) = own_token(catalog) {
        surroundings = surroundings.with_openmetadata(&url, token);
    }
    let surroundings = Arc::new(surroundings);
    let check: crate::health::watch::Check = Arc::new(move |probe, until| {
        let surroundings = Arc::clone(&surroundings);
        Box::pin(async move { probe::check(&probe, &surroundings, until).await.looks })
    });
    let platform = Arc::new(loaded.platform);
    let runtime = runtime_of(&platform, state);
    let watch = match kept_history(file, state) {
        Ok(history) => Watch::new(platform, Arc::new(history), check),
        Err(reason) => {
            tracing::warn!(reason, "Health is remembered only while this server runs");
            let history = History::in_memory()?;
            Watch::new(platform, Arc::new(history), check).without_history(reason)
        }
    };
    let site = super::driving::site(settings, catalog, state);
    Ok(Some(
        watch
            .with_runtime(runtime)
            .with_findings(findings)
            .with_site(site),
    ))
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
fn runtime_of(platform: &Arc<Platform>, state: Option<&Path>) -> Result<Arc<dyn Runtime>, Problem> {
    let failed = |reason: String| Problem::failed("opening the runtime", reason);
    let state = state.ok_or_else(|| failed("there is no state folder".into()))?;
    let state = StateFolder::at(state).map_err(|error| failed(error.to_string()))?;
    runtime::of(platform, &state)
}

/// Reads and checks the file with everything that it refers to.
fn read(
    file: &Path,
    settings: &PlatformSettings,
    state: Option<&Path>,
) -> Result<Loaded, ToolError> {
    let mut given = Vec::new();
    for written in &settings.trusted {
        let digest = written.parse().map_err(|error: trust::NotADigest| {
            ToolError::new(ErrorCode::Unavailable, format!("--trust: {error}"))
                .then("start the server with a digest that `openpolicy-mcp trust FILE` shows")
        })?;
        given.push(digest);
    }
    let trusted = TrustedDigests {
        given,
        folder: state.map(trust::folder_in),
        everything: false,
    };
    match platform::load(file, &Variables::of_process(), &trusted) {
        Ok(loaded) => Ok(loaded),
        Err(problems) => Err(ToolError::new(
            ErrorCode::Unavailable,
            format!(
                "the platform file {} cannot be taken: {problems}",
                file.display()
            ),
        )
        .then(format!(
            "`openpolicy-mcp lint {}` shows everything that is wrong with it",
            file.display()
        ))),
    }
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

/// One history a platform file: two checkouts of one repository are two platforms.
fn history_name(file: &Path) -> PathBuf {
    let absolute = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let digest = Sha256::digest(absolute.as_os_str().as_encoded_bytes());
    let name: String = digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{name}.sqlite").into()
}
