//! Finds the Docker Engine that the `docker` command would ask, and speaks with it.
//!
//! In this order: `DOCKER_HOST` (with `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`), the context of
//! `DOCKER_CONTEXT` or of `config.json`, `/var/run/docker.sock`, Podman's sockets. An engine behind
//! `ssh://` is not reached: bollard would need a second SSH client in the binary.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use bollard::{API_DEFAULT_VERSION, Docker, errors::Error};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::{digest, runtime::Problem};

/// How long the engine may take to say that it is there.
const LONGEST_GREETING: Duration = Duration::from_secs(2);

/// How long it may take to answer a question about what it knows.
pub(super) const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// Bound of bollard itself, for what takes long: stopping a container waits for its grace.
const LONGEST_REQUEST: u64 = 900;

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `unix:///var/run/docker.sock`, `tcp://host:2376`.
    pub host: String,
    /// Folder with `ca.pem`, `cert.pem` and `key.pem`.
    pub certificates: Option<PathBuf>,
}

/// The engine, greeted when it is first asked.
pub(super) struct Engine {
    address: Result<Address, Problem>,
    client: OnceCell<Docker>,
}

impl Engine {
    pub(super) fn new(address: Result<Address, Problem>) -> Self {
        Self {
            address,
            client: OnceCell::new(),
        }
    }

    pub(super) fn address(&self) -> Result<&Address, Problem> {
        self.address.as_ref().map_err(Clone::clone)
    }

    /// The client, speaking the version of the engine. An engine that does not answer is told
    /// soon, and asked again the next time.
    pub(super) async fn client(&self) -> Result<&Docker, Problem> {
        let address = self.address()?;
        self.client
            .get_or_try_init(|| async move {
                let docker = connected(address)?;
                let greeting = tokio::time::timeout(LONGEST_GREETING, docker.negotiate_version());
                match greeting.await {
                    Ok(Ok(docker)) => Ok(docker),
                    Ok(Err(error)) => Err(unreachable(address, words(&error))),
                    Err(_) => Err(unreachable(
                        address,
                        format!("no answer within {} s", LONGEST_GREETING.as_secs()),
                    )),
                }
            })
            .await
    }

    /// What a question gave, within the bound of a look.
    pub(super) async fn asked<T>(
        &self,
        what: impl Into<String>,
        question: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Problem> {
        match tokio::time::timeout(LONGEST_LOOK, question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failed(what, &error)),
            Err(_) => Err(Problem::TimedOut {
                what: what.into(),
                waited: LONGEST_LOOK,
            }),
        }
    }

    /// An error of the client as a problem.
    pub(super) fn failed(&self, what: impl Into<String>, error: &Error) -> Problem {
        match (error, &self.address) {
            (Error::DockerResponseServerError { .. }, _) | (_, Err(_)) => {
                Problem::failed(what, words(error))
            }
            (error, Ok(address)) if is_unreachable(error) => unreachable(address, words(error)),
            (error, Ok(_)) => Problem::failed(what, words(error)),
        }
    }
}

/// Whether the engine says that there is no such thing.
pub(super) fn is_absent(error: &Error) -> bool {
    matches!(
        error,
        Error::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}

/// Whether it is so already: started, stopped, being removed.
pub(super) fn is_so_already(error: &Error) -> bool {
    matches!(
        error,
        Error::DockerResponseServerError {
            status_code: 304,
            ..
        }
    )
}

fn is_unreachable(error: &Error) -> bool {
    matches!(
        error,
        Error::IOError { .. }
            | Error::HyperResponseError { .. }
            | Error::HyperLegacyError { .. }
            | Error::SocketNotFoundError(_)
            | Error::RequestTimeoutError
    )
}

fn unreachable(address: &Address, reason: String) -> Problem {
    Problem::Failed {
        what: format!("asking the Docker Engine at {}", address.host),
        reason: format!(
            "{reason} (is it running, and may this user open it? DOCKER_HOST or a Docker context names another)"
        ),
    }
}

/// What the engine said, without the words of the client around it.
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        error => {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(error);
            while let Some(inner) = cause {
                let more = inner.to_string();
                if !text.contains(&more) {
                    text = format!("{text}: {more}");
                }
                cause = inner.source();
            }
            text
        }
    }
}

fn connected(address: &Address) -> Result<Docker, Problem> {
    let host = address.host.as_str();
    let made = match (host.split_once("://"), &address.certificates) {
        (Some(("unix", _)), _) => {
            Docker::connect_with_unix(host, LONGEST_REQUEST, API_DEFAULT_VERSION)
        }
        (Some(("tcp" | "https", _)), Some(folder)) => Docker::connect_with_ssl(
            host,
            &folder.join("key.pem"),
            &folder.join("cert.pem"),
            &folder.join("ca.pem"),
            LONGEST_REQUEST,
            API_DEFAULT_VERSION,
        ),
        (Some(("tcp" | "http", _)), None) => {
            Docker::connect_with_http(host, LONGEST_REQUEST, API_DEFAULT_VERSION)
        }
        (Some(("ssh", _)), _) => {
            return Err(Problem::NotSupported {
                what: "an engine behind ssh://",
                runtime: "the compose runtime (forward its socket: ssh -L /path/docker.sock:/var/run/docker.sock HOST, and DOCKER_HOST=unix:///path/docker.sock)",
            });
        }
        _ => {
            return Err(Problem::failed(
                "finding the Docker Engine",
                format!("the address {host} is none of unix://, tcp://, http://, https://"),
            ));
        }
    };
    made.map_err(|error| unreachable(address, words(&error)))
}

/// Where `docker` would look in the environment of this process.
pub(super) fn address() -> Result<Address, Problem> {
    let given = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let configuration = given("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| given("HOME").map(|home| Path::new(&home).join(".docker")));
    if let Some(host) = given("DOCKER_HOST") {
        let is_verified = given("DOCKER_TLS_VERIFY").is_some();
        let certificates = given("DOCKER_CERT_PATH").map(PathBuf::from);
        return Ok(Address {
            host,
            certificates: is_verified
                .then(|| certificates.or_else(|| configuration.clone()))
                .flatten(),
        });
    }
    if let Some(folder) = &configuration {
        let named = given("DOCKER_CONTEXT").or_else(|| current_context(folder));
        if let Some(name) = named.filter(|name| name != "default") {
            return of_context(folder, &name);
        }
    }
    let podman = given("XDG_RUNTIME_DIR")
        .map(|folder| format!("{folder}/podman/podman.sock"))
        .into_iter()
        .chain(["/run/podman/podman.sock".to_owned()]);
    let socket = ["/var/run/docker.sock".to_owned()]
        .into_iter()
        .chain(podman)
        .find(|path| Path::new(path).exists())
        .unwrap_or_else(|| "/var/run/docker.sock".into());
    Ok(Address {
        host: format!("unix://{socket}"),
        certificates: None,
    })
}

fn current_context(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join("config.json")).ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    let name = value.get("currentContext")?.as_str()?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// A context is a folder named by the SHA-256 of its name (docker/cli, `cli/context/store`).
fn of_context(folder: &Path, name: &str) -> Result<Address, Problem> {
    let id = digest::sha256(name);
    let what = || format!("reading the Docker context {name}");
    let path = folder.join("contexts/meta").join(&id).join("meta.json");
    let text = fs::read_to_string(path).map_err(|error| Problem::failed(what(), error))?;
    let value: Value =
        serde_json::from_str(&text).map_err(|error| Problem::failed(what(), error))?;
    let host = value
        .pointer("/Endpoints/docker/Host")
        .and_then(Value::as_str)
        .ok_or_else(|| Problem::failed(what(), "it names no host"))?;
    let certificates = folder.join("contexts/tls").join(&id).join("docker");
    Ok(Address {
        host: host.to_owned(),
        certificates: certificates.join("ca.pem").exists().then_some(certificates),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_found_by_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let id = digest::sha256("far");
        let meta = folder.path().join("contexts/meta").join(id);
        fs::create_dir_all(&meta).expect("a folder");
        let text = r#"{"Name":"far","Endpoints":{"docker":{"Host":"tcp://10.0.0.9:2376"}}}"#;
        fs::write(meta.join("meta.json"), text).expect("a file");
        let found = of_context(folder.path(), "far").expect("a context");
        assert_eq!(found.host, "tcp://10.0.0.9:2376");
        let missing = of_context(folder.path(), "near").expect_err("no context");
        assert!(missing.to_string().contains("near"), "{missing}");
        fs::write(
            folder.path().join("config.json"),
            r#"{"currentContext":"far"}"#,
        )
        .expect("a file");
        assert_eq!(current_context(folder.path()).as_deref(), Some("far"));
    }

    #[tokio::test]
    async fn what_does_not_answer_is_told_with_its_address() {
        let at = |host: &str| {
            Engine::new(Ok(Address {
                host: host.into(),
                certificates: None,
            }))
        };
        let told = |engine: Engine| async move {
            let told = engine.client().await.map(|_| ());
            told.expect_err("nobody is there").to_string()
        };
        let missing = told(at("unix:///nowhere/docker.sock")).await;
        assert!(missing.contains("unix:///nowhere/docker.sock"), "{missing}");
        assert!(missing.contains("DOCKER_HOST"), "{missing}");
        let ssh = told(at("ssh://far")).await;
        assert!(ssh.contains("ssh -L"), "{ssh}");
    }

    #[tokio::test]
    async fn a_socket_where_nobody_answers_is_told_soon() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("docker.sock");
        // It takes connections and never says a word.
        let _listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        let engine = Engine::new(Ok(Address {
            host: format!("unix://{}", path.display()),
            certificates: None,
        }));
        let told = engine.client().await.map(|_| ()).expect_err("silence");
        assert!(told.to_string().contains("no answer within"), "{told}");
    }
}
