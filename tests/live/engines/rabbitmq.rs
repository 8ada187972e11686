//! A RabbitMQ of one's own, with its management API.

use std::{fs, process::Command};

use openpolicy_mcp::{health::Outcome, platform::ProbeKind};
use secrecy::SecretString;
use tempfile::TempDir;

use super::{Engine, free_port, wait_for};
use crate::local::Authority;

pub const PASSWORD: &str = "right-password";

/// Where packages put it: the program itself, not the wrapper that changes the user.
const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

pub struct RabbitMq {
    pub engine: Engine,
    pub port: u16,
    pub tls_port: u16,
    pub management: u16,
    /// Erlang's register of names, which the broker would start by itself and leave behind.
    _names: Engine,
    _folder: TempDir,
}

impl RabbitMq {
    pub async fn start(authority: &Authority) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let [port, tls_port, management, names, between] = [(); 5].map(|()| free_port());
        let (certificate, key) = authority.certificate("127.0.0.1");
        for (name, text) in [
            ("server.crt", certificate),
            ("server.key", key),
            ("ca.crt", authority.pem()),
        ] {
            fs::write(path(name), text).expect("a file");
        }
        let configuration = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\n\
             listeners.ssl.1 = 127.0.0.1:{tls_port}\n\
             ssl_options.cacertfile = {}\n\
             ssl_options.certfile = {}\n\
             ssl_options.keyfile = {}\n\
             ssl_options.verify = verify_none\n\
             management.tcp.ip = 127.0.0.1\n\
             management.tcp.port = {management}\n\
             default_user = probe\n\
             default_pass = {PASSWORD}\n\
             collect_statistics_interval = 500\n",
            path("ca.crt"),
            path("server.crt"),
            path("server.key"),
        );
        fs::write(path("rabbitmq.conf"), configuration).expect("a file");
        fs::write(path("enabled_plugins"), "[rabbitmq_management].\n").expect("a file");
        let names_port = names.to_string();
        let names = Engine::start(&["epmd", "-port", &names_port], &[]);
        let between = between.to_string();
        let (home, mnesia, log) = (path(""), path("mnesia"), path("log"));
        let (configuration, plugins) = (path("rabbitmq.conf"), path("enabled_plugins"));
        let node = format!("probe{port}@localhost");
        let engine = Engine::start(
            &[PROGRAM],
            &[
                ("HOME", &home),
                ("ERL_EPMD_PORT", &names_port),
                ("RABBITMQ_DIST_PORT", &between),
                ("RABBITMQ_NODENAME", &node),
                ("RABBITMQ_MNESIA_BASE", &mnesia),
                ("RABBITMQ_LOG_BASE", &log),
                ("RABBITMQ_CONFIG_FILE", &configuration),
                ("RABBITMQ_ENABLED_PLUGINS_FILE", &plugins),
            ],
        );
        let mut rabbitmq = Self {
            engine,
            port,
            tls_port,
            management,
            _names: names,
            _folder: folder,
        };
        // Both doors: the API opens after the broker.
        let kind = rabbitmq.counting(PASSWORD, None);
        wait_for(&kind, &mut rabbitmq.engine, |outcome| {
            *outcome == Outcome::Passed
        })
        .await;
        rabbitmq
    }

    pub fn with(&self, user: &str, password: &str, path: &str) -> ProbeKind {
        let url = format!("amqp://{user}:{password}@127.0.0.1:{}{path}", self.port);
        ProbeKind::Amqp {
            url: url.into(),
            management: None,
            queue_above: None,
        }
    }

    /// With queues counted as the user `probe` of this password.
    pub fn counting(&self, password: &str, above: Option<u64>) -> ProbeKind {
        let amqp = format!("amqp://probe:{PASSWORD}@127.0.0.1:{}", self.port);
        let management = format!("http://probe:{password}@127.0.0.1:{}", self.management);
        ProbeKind::Amqp {
            url: amqp.into(),
            management: Some(SecretString::from(management)),
            queue_above: above,
        }
    }

    /// A request to the management API.
    pub fn call(&self, method: &str, path: &str, body: &str) {
        let url = format!("http://127.0.0.1:{}{path}", self.management);
        let user = format!("probe:{PASSWORD}");
        let done = Command::new("curl")
            .args(["-sf", "--max-time", "20", "-u", &user, "-X", method])
            .args(["-H", "content-type: application/json", "-d", body, &url])
            .output()
            .expect("curl");
        assert!(done.status.success(), "{method} {path}: {done:?}");
    }
}
