//! The real binary as an MCP client meets it, on a platform whose services are containers.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use super::engine::{self, BINARY, Docker};

#[expect(dead_code, reason = "what the other test binary asks over HTTP")]
#[path = "../../it/support/server.rs"]
pub mod server;

#[path = "../../it/support/runs.rs"]
mod runs;

#[path = "../../it/support/waiting.rs"]
pub mod waiting;

pub use runs::{driver, signal};
use server::Server;

/// What `server` starts.
pub fn bin() -> PathBuf {
    BINARY.into()
}

/// Longer than any run here takes.
const LONGEST_RUN: Duration = Duration::from_secs(600);

/// A platform in a folder of its own, and what it takes to reach its engine.
pub struct Site {
    pub folder: TempDir,
    host: String,
    configuration: String,
}

impl Site {
    pub fn at(folder: TempDir, docker: &Docker) -> Self {
        Self {
            folder,
            host: docker.host(),
            configuration: engine::compose_2_folder().display().to_string(),
        }
    }

    /// A reference platform, published at an address where nobody else listens.
    pub fn reference(name: &str, address: &str, docker: &Docker) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("platforms")
            .join(name);
        super::platforms::copy(&from, folder.path());
        let site = Self::at(folder, docker);
        site.variables(&[("PUBLISH_ADDRESS", address)]);
        site.change("platform.yaml", |text| reached_at(&text, address));
        site
    }

    pub fn variables(&self, all: &[(&str, &str)]) {
        let text: String = all
            .iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
        fs::write(self.folder.path().join(".env"), text).expect("a file");
    }

    pub fn change(&self, name: &str, change: impl FnOnce(String) -> String) {
        let path = self.folder.path().join(name);
        let text = fs::read_to_string(&path).expect("a file");
        fs::write(&path, change(text)).expect("a file");
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        vec![
            ("PATH", "/usr/bin:/bin:/usr/sbin:/sbin"),
            ("DOCKER_HOST", &self.host),
            ("DOCKER_CONFIG", &self.configuration),
        ]
    }

    /// A command of the binary on this platform: whether it ended well, and what it said.
    pub fn command(&self, arguments: &[&str]) -> (bool, String) {
        let (file, state) = (self.path("platform.yaml"), self.path("state"));
        let more = ["--platform", &file, "--state", &state];
        let ended = server::command(&[arguments, &more].concat(), &self.environment())
            .output()
            .expect("it runs");
        let said = [ended.stdout, ended.stderr].concat();
        (
            ended.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    /// A server of this platform as it is written now, trusted.
    pub fn server(&self) -> Server {
        let (file, state) = (self.path("platform.yaml"), self.path("state"));
        server::trust(&file, &[("OPENPOLICY_STATE", &state)]);
        let mut server = Server::start(&serving(&file, &state), &self.environment());
        server.handshake("2025-06-18");
        server
    }
}

/// What serves all tools of a platform.
fn serving<'a>(file: &'a str, state: &'a str) -> [&'a str; 7] {
    [
        "serve",
        "--platform",
        file,
        "--state",
        state,
        "--toolsets",
        "all",
    ]
}

/// A reference platform whose services are reached at an address. RabbitMQ, Elasticsearch,
/// OpenMetadata and Airflow are stand-ins here: they are asked as what they are.
fn reached_at(text: &str, address: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut line = line.replace("localhost:", &format!("{address}:"));
        while let Some(from) = line.find("${PLATFORM_HOST:-") {
            let to = line[from..].find('}').expect("its end") + from;
            line.replace_range(from..=to, address);
        }
        line = line.replace("${INGESTION_PORT:-8083}", "18083");
        for kind in [
            "openmetadata: \"http",
            "search_engine: \"http",
            "airflow: \"http",
        ] {
            if let Some(at) = line.find(kind) {
                let end = at + kind.len() + line[at + kind.len()..].find('"').expect("its end");
                line.insert_str(end, "/health");
                line = line.replace(kind, "http: \"http");
            }
        }
        // In two lines, with a password.
        if line.trim_start().starts_with("amqp:") {
            line = format!("      tcp: \"{address}:5672\"");
        } else if line.contains("RABBITMQ_PASSWORD") {
            continue;
        }
        lines.push(line);
    }
    lines.join("\n") + "\n"
}

impl Site {
    /// The same as process 1 of its own world, as in a container.
    pub fn server_as_process_1(&self) -> Server {
        drop(self.server());
        let (file, state) = (self.path("platform.yaml"), self.path("state"));
        let alone = ["--pid", "--fork", "--mount-proc", BINARY];
        let arguments = [&alone[..], &serving(&file, &state)].concat();
        let mut server = Server::start_program("unshare", &arguments, &self.environment());
        server.handshake("2025-06-18");
        server
    }
}

pub fn ask(server: &mut Server, tool: &str, arguments: Value) -> Value {
    server.told(tool, arguments)
}

/// Plans and begins; the number of the run.
pub fn begin(server: &mut Server, arguments: Value) -> Value {
    let digest = runs::planned(server, arguments);
    runs::begun(server, &digest)
}

/// Looks at a run until it is as wanted.
pub fn until(server: &mut Server, run: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
    runs::until(server, run, LONGEST_RUN, wanted)
}

/// Waits until a run needs nobody or somebody, and holds how it ended against what is wanted.
#[track_caller]
pub fn ends(server: &mut Server, run: &Value, state: &str) -> Value {
    let seen = until(server, run, |seen| {
        !["running", "rolling_back"].contains(&seen["state"].as_str().unwrap_or_default())
    });
    assert_eq!(seen["state"], state, "{seen:#}");
    seen
}
