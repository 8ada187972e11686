//! A Redis of one's own.

use std::fs;

use openpolicy_mcp::{
    health::Outcome,
    platform::{Percent, ProbeKind},
};
use tempfile::TempDir;

use super::{Engine, free_port, wait_for};
use crate::local::Authority;

pub const PASSWORD: &str = "right-password";

pub struct Redis {
    pub engine: Engine,
    pub port: u16,
    pub tls_port: u16,
    _folder: TempDir,
}

impl Redis {
    /// With a password, 16 MB of memory, and a user `blind` (password `blind-password`) who may
    /// only PING.
    pub async fn start(authority: &Authority, further: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (certificate, key) = authority.certificate("127.0.0.1");
        let path = |name: &str| folder.path().join(name).display().to_string();
        for (name, text) in [
            ("server.crt", certificate),
            ("server.key", key),
            ("ca.crt", authority.pem()),
        ] {
            fs::write(path(name), text).expect("a file");
        }
        let (port, tls_port) = (free_port(), free_port());
        let mut all: Vec<String> = [
            "redis-server",
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--maxmemory",
            "16mb",
            "--tls-auth-clients",
            "no",
            "--user",
            "blind",
            "on",
            ">blind-password",
            "+ping",
        ]
        .map(str::to_owned)
        .to_vec();
        all.extend(["--port".to_owned(), port.to_string()]);
        all.extend(["--tls-port".to_owned(), tls_port.to_string()]);
        all.extend(["--dir".to_owned(), folder.path().display().to_string()]);
        all.extend(["--tls-cert-file".to_owned(), path("server.crt")]);
        all.extend(["--tls-key-file".to_owned(), path("server.key")]);
        all.extend(["--tls-ca-cert-file".to_owned(), path("ca.crt")]);
        all.extend(further.iter().map(|word| (*word).to_owned()));
        let mut redis = Self {
            engine: Engine::start(&all, &[]),
            port,
            tls_port,
            _folder: folder,
        };
        let kind = redis.with("redis://", redis.port);
        wait_for(&kind, &mut redis.engine, |outcome| {
            !matches!(outcome, Outcome::Failed(_))
        })
        .await;
        redis
    }

    /// `before` is scheme and credentials.
    pub fn with(&self, before: &str, port: u16) -> ProbeKind {
        ProbeKind::Redis {
            url: format!("{before}127.0.0.1:{port}").into(),
            memory_above: None,
        }
    }

    pub fn memory_above(&self, before: &str, percent: f64) -> ProbeKind {
        ProbeKind::Redis {
            url: format!("{before}127.0.0.1:{}", self.port).into(),
            memory_above: Some(Percent(percent)),
        }
    }
}
