//! Flags and environment into the settings of the app: flags win, then the environment.
//!
//! Secrets have no flags: a process list shows flags to everyone on the machine.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use clap::Args;
use secrecy::SecretString;

use super::{CatalogChoice, Failure, places};
use crate::{
    platform::trust::FilesDigest,
    settings::{
        CatalogMode, CatalogSettings, Credential, Identity, OpenMetadataSettings, PlatformSettings,
        SnapshotReaders, SnapshotUse, UnknownWord,
    },
};

/// How to reach OpenMetadata. Its credential comes from the environment: OPENMETADATA_TOKEN, or
/// OPENMETADATA_TOKEN_FILE, or OPENMETADATA_EMAIL with OPENMETADATA_PASSWORD (or _PASSWORD_FILE).
#[derive(Debug, Clone, Args)]
pub(super) struct OpenMetadataArguments {
    /// Address of OpenMetadata, with or without /api; also a page of it [env: OPENMETADATA_URL].
    #[arg(long)]
    url: Option<String>,
    /// A file that holds the token; read again when it changes [env: OPENMETADATA_TOKEN_FILE].
    #[arg(long, value_name = "PATH")]
    token_file: Option<PathBuf>,
    /// PEM certificates to trust beside the built-in roots [env: OPENMETADATA_CA_FILE].
    #[arg(long, value_name = "PATH")]
    ca_file: Option<PathBuf>,
    /// `caller`: only the token in the header X-OpenMetadata-Token of each call is used.
    #[arg(long, value_name = "server|caller", default_value = "server")]
    catalog_identity: Identity,
}

/// Where this program keeps what lasts longer than a run.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct StateArguments {
    /// Folder for the snapshot of the catalog [env: OPENPOLICY_STATE] [default: the user's state
    /// folder, as ~/.local/state/openpolicy-mcp].
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
}

impl StateArguments {
    /// Flag, environment, the user's state folder; none where there is no home either.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        self.state
            .clone()
            .or_else(|| path("OPENPOLICY_STATE"))
            .or_else(places::state)
    }
}

/// Which platform is served.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct PlatformArguments {
    /// The platform file [env: OPENPOLICY_PLATFORM].
    #[arg(long, value_name = "FILE")]
    platform: Option<PathBuf>,
    /// Trust the platform file of this digest, which `openpolicy-mcp trust FILE` shows; for
    /// containers, which keep no state [env: OPENPOLICY_TRUST].
    #[arg(long, value_name = "sha256:…")]
    trust: Vec<FilesDigest>,
    /// PEM certificates that probes trust beside the built-in roots [env: OPENPOLICY_CA_FILE].
    #[arg(long, value_name = "PATH")]
    probe_ca_file: Option<PathBuf>,
}

impl PlatformArguments {
    /// Flags, then the environment.
    pub(super) fn settings(&self) -> Result<PlatformSettings, Failure> {
        let mut trusted: Vec<String> = self.trust.iter().map(ToString::to_string).collect();
        if let Some(digests) = text("OPENPOLICY_TRUST").filter(|_| trusted.is_empty()) {
            for digest in digests.split(',') {
                let digest: FilesDigest = digest
                    .parse()
                    .map_err(|error| Failure::Usage(format!("OPENPOLICY_TRUST: {error}")))?;
                trusted.push(digest.to_string());
            }
        }
        Ok(PlatformSettings {
            file: self
                .platform
                .clone()
                .or_else(|| path("OPENPOLICY_PLATFORM")),
            trusted,
            ca_file: self
                .probe_ca_file
                .clone()
                .or_else(|| path("OPENPOLICY_CA_FILE")),
            ends_with_client: false,
        })
    }
}

/// When the snapshot of the catalog answers, and whom.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct SnapshotArguments {
    /// `live`: OpenMetadata alone. `snapshot`: the copy that `sync` took alone. `auto`: OpenMetadata,
    /// and the copy while it is down or too slow [env: OPENPOLICY_CATALOG] [default: auto].
    #[arg(
        long = "catalog",
        id = "catalog-mode",
        value_name = "live|snapshot|auto"
    )]
    answers: Option<CatalogMode>,
    /// `everyone`: callers with an OpenMetadata token of their own may see the copy too, which
    /// shows what the server's own credential may see [env: OPENPOLICY_SNAPSHOT_FOR] [default:
    /// server].
    #[arg(long, value_name = "server|everyone")]
    snapshot_for: Option<SnapshotReaders>,
    /// Seconds that a call waits for a sign of OpenMetadata before the copy answers, 1 to 40
    /// [env: OPENPOLICY_CATALOG_PATIENCE] [default: 10].
    #[arg(long, value_name = "SECONDS")]
    catalog_patience: Option<String>,
}

impl SnapshotArguments {
    pub(super) fn settings(&self) -> Result<SnapshotUse, Failure> {
        let default = SnapshotUse::default();
        let readers = chosen(self.snapshot_for, "OPENPOLICY_SNAPSHOT_FOR")?;
        let patience = self
            .catalog_patience
            .clone()
            .or_else(|| text("OPENPOLICY_CATALOG_PATIENCE"));
        Ok(SnapshotUse {
            answers: chosen(self.answers, "OPENPOLICY_CATALOG")?.unwrap_or(default.answers),
            for_everyone: readers == Some(SnapshotReaders::Everyone),
            patience: match patience {
                Some(written) => patience_of(&written)?,
                None => default.patience,
            },
        })
    }
}

/// The flag, else what the variable says.
fn chosen<T>(flag: Option<T>, variable: &str) -> Result<Option<T>, Failure>
where
    T: FromStr<Err = UnknownWord>,
{
    match (flag, text(variable)) {
        (None, Some(written)) => written
            .parse()
            .map(Some)
            .map_err(|error| Failure::Usage(format!("{variable}: {error}"))),
        (flag, _) => Ok(flag),
    }
}

/// Below the 50 s of a call, so that the snapshot still has time to answer.
fn patience_of(written: &str) -> Result<Duration, Failure> {
    let seconds = written.trim().trim_end_matches('s').trim();
    match seconds.parse() {
        Ok(seconds @ 1..=40) => Ok(Duration::from_secs(seconds)),
        _ => Err(Failure::Usage(format!(
            "`{written}` is no patience (--catalog-patience, OPENPOLICY_CATALOG_PATIENCE): give \
             seconds from 1 to 40"
        ))),
    }
}

impl CatalogChoice {
    /// The catalog that flags and environment name.
    pub(super) fn settings(&self) -> Result<CatalogSettings, Failure> {
        if self.demo {
            return Ok(CatalogSettings::Demo);
        }
        self.openmetadata.settings()
    }
}

impl OpenMetadataArguments {
    /// Where no address is given, a platform file may give one.
    pub(super) fn settings(&self) -> Result<CatalogSettings, Failure> {
        let url = self.url.clone().filter(|url| !url.trim().is_empty());
        let url = url.or_else(|| text("OPENMETADATA_URL"));
        let settings = OpenMetadataSettings {
            url: url.unwrap_or_default(),
            credential: self.credential()?,
            ca_file: self
                .ca_file
                .clone()
                .or_else(|| path("OPENMETADATA_CA_FILE")),
            identity: self.catalog_identity,
        };
        Ok(match settings.url.is_empty() {
            true => CatalogSettings::WithoutAddress(settings),
            false => CatalogSettings::OpenMetadata(settings),
        })
    }

    fn credential(&self) -> Result<Credential, Failure> {
        let token = secret("OPENMETADATA_TOKEN");
        let email = text("OPENMETADATA_EMAIL");
        let password = secret_or_file("OPENMETADATA_PASSWORD")?;
        let file = self.token_file.clone();
        match (
            file.or_else(|| path("OPENMETADATA_TOKEN_FILE")),
            token,
            email,
            password,
        ) {
            (Some(path), _, _, _) => Ok(Credential::TokenFile(path)),
            (_, Some(token), _, _) => Ok(Credential::Token(token)),
            (_, None, Some(email), Some(password)) => Ok(Credential::Password { email, password }),
            (_, None, None, None) => Ok(Credential::None),
            (_, None, Some(_), None) => Err(Failure::Usage(
                "OPENMETADATA_EMAIL is set, OPENMETADATA_PASSWORD is not".into(),
            )),
            (_, None, None, Some(_)) => Err(Failure::Usage(
                "OPENMETADATA_PASSWORD is set, OPENMETADATA_EMAIL is not".into(),
            )),
        }
    }
}

/// The secret in this variable, or in the file that `<variable>_FILE` names.
pub(super) fn secret_or_file(variable: &str) -> Result<Option<SecretString>, Failure> {
    if let Some(secret) = secret(variable) {
        return Ok(Some(secret));
    }
    let file = format!("{variable}_FILE");
    match text(&file) {
        Some(path) => secret_in(&file, Path::new(&path)).map(Some),
        None => Ok(None),
    }
}

/// The secret in a file that `setting` names.
pub(super) fn secret_in(setting: &str, path: &Path) -> Result<SecretString, Failure> {
    let place = path.display();
    let secret = std::fs::read_to_string(path).map_err(|error| {
        Failure::Usage(format!(
            "{setting} names {place}, which cannot be read: {error}"
        ))
    })?;
    let secret = secret.trim();
    if secret.is_empty() {
        return Err(Failure::Usage(format!(
            "{setting} names {place}, which is empty"
        )));
    }
    Ok(SecretString::from(secret))
}

fn secret(variable: &str) -> Option<SecretString> {
    text(variable).map(SecretString::from)
}

fn path(variable: &str) -> Option<PathBuf> {
    text(variable).map(PathBuf::from)
}

/// A variable that is set to something: empty is how Compose files say 'not set'.
pub(super) fn text(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok()?;
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}
