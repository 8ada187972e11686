//! Finds Compose: the plugin of version 2, or `docker-compose`.
//!
//! The plugin is run itself and not by `docker`: killing `docker` leaves its plugin at work.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use crate::runtime::Problem;

/// How long it may take to say its version.
const LONGEST_GREETING: Duration = Duration::from_secs(20);

/// Where plugins are, beside `DOCKER_CONFIG` (docker/cli, `cli-plugins/manager`).
const PLUGIN_FOLDERS: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// Which Compose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    One,
    Two,
}

/// A program that is Compose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    pub path: PathBuf,
    pub version: Version,
}

impl Program {
    /// The plugin where there is one, else what the PATH has.
    pub(super) async fn find() -> Result<Self, Problem> {
        let given = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let own = given("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| given("HOME").map(|home| Path::new(&home).join(".docker")));
        let plugins = own
            .map(|folder| folder.join("cli-plugins"))
            .into_iter()
            .chain(PLUGIN_FOLDERS.map(PathBuf::from))
            .map(|folder| folder.join("docker-compose"));
        let path = given("PATH").unwrap_or_default();
        let on_path = env::split_paths(&path).map(|folder| folder.join("docker-compose"));
        let found = plugins.chain(on_path).find(|path| path.is_file());
        match found {
            Some(path) => Self::at(path).await,
            None => Err(Problem::failed(
                "finding Docker Compose",
                "neither the plugin `docker compose` nor `docker-compose` is installed here \
                 (docs.docker.com/compose/install)",
            )),
        }
    }

    /// This program, of the version that it says it is.
    pub async fn at(path: PathBuf) -> Result<Self, Problem> {
        let what = || format!("asking {} for its version", path.display());
        let mut command = tokio::process::Command::new(&path);
        command
            .args(["version", "--short"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(LONGEST_GREETING, command.output())
            .await
            .map_err(|_| Problem::TimedOut {
                what: what(),
                waited: LONGEST_GREETING,
            })?
            .map_err(|error| Problem::failed(what(), error))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let said = said.trim().trim_start_matches('v');
        let version = match said.split('.').next() {
            Some("1") => Version::One,
            Some(major) if major.parse::<u32>().is_ok_and(|major| major >= 2) => Version::Two,
            _ => {
                return Err(Problem::failed(
                    what(),
                    format!("it is no Compose: it says `{said}`"),
                ));
            }
        };
        Ok(Self { path, version })
    }
}
