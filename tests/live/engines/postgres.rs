//! A PostgreSQL of one's own.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command,
};

use openpolicy_mcp::{health::Outcome, platform::ProbeKind};
use tempfile::TempDir;

use super::{Engine, free_port, wait_for};
use crate::local::Authority;

pub const PASSWORD: &str = "right horse battery";

pub struct Postgres {
    pub engine: Engine,
    pub port: u16,
    _folder: TempDir,
}

/// Where Debian and its kin keep the programs, newest first; else the PATH.
fn program(name: &str) -> PathBuf {
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    versions.sort();
    versions.pop().unwrap_or_else(|| name.into())
}

/// PostgreSQL refuses to run as root: words that change the user, with its number.
fn as_user() -> (Vec<String>, Option<u32>) {
    let number = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().expect("id");
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        text.parse::<u32>()
            .expect("a number: the user postgres exists")
    };
    if number(&["-u"]) != 0 {
        return (Vec::new(), None);
    }
    let words = [
        "setpriv",
        "--reuid",
        "postgres",
        "--regid",
        "postgres",
        "--clear-groups",
        "--pdeathsig",
        "KILL",
    ];
    let words = words.map(str::to_owned).to_vec();
    (words, Some(number(&["-u", "postgres"])))
}

impl Postgres {
    /// With ten connections, and TLS by a certificate of `authority` for 127.0.0.1.
    pub async fn start(authority: &Authority) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (words, user) = as_user();
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).expect("a file");
        let (certificate, key) = authority.certificate("127.0.0.1");
        let paths = [
            (folder.path().join("server.crt"), certificate),
            (folder.path().join("server.key"), key),
        ];
        for (path, text) in &paths {
            fs::write(path, text).expect("a file");
            private(path);
        }
        for path in [folder.path(), &password, &paths[0].0, &paths[1].0] {
            chown(path, user, None).expect("a change of owner");
        }
        let data = folder.path().join("data");
        let initdb = program("initdb");
        let mut all: Vec<_> = words.clone();
        all.push(initdb.display().to_string());
        all.extend(
            [
                "-A",
                "scram-sha-256",
                "-U",
                "postgres",
                "--no-sync",
                "--pwfile",
            ]
            .map(str::to_owned),
        );
        all.push(password.display().to_string());
        all.extend(["-D".to_owned(), data.display().to_string()]);
        let made = Command::new(&all[0])
            .args(&all[1..])
            .current_dir("/")
            .output();
        let made = made.expect("initdb (Debian package postgresql)");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );

        let port = free_port();
        let mut all = words;
        all.push(program("postgres").display().to_string());
        all.extend(["-D".to_owned(), data.display().to_string()]);
        for setting in [
            format!("port={port}"),
            "listen_addresses=127.0.0.1".into(),
            "unix_socket_directories=".into(),
            "max_connections=10".into(),
            "fsync=off".into(),
            "ssl=on".into(),
            format!("ssl_cert_file={}", paths[0].0.display()),
            format!("ssl_key_file={}", paths[1].0.display()),
        ] {
            all.extend(["-c".to_owned(), setting]);
        }
        let mut engine = Engine::start(&all, &[]);
        let postgres = ProbeKind::Postgres {
            url: url(port, "postgres", PASSWORD, "postgres"),
            query: None,
            connections_above: None,
        };
        wait_for(&postgres, &mut engine, |outcome| {
            *outcome == Outcome::Passed
        })
        .await;
        Self {
            engine,
            port,
            _folder: folder,
        }
    }

    pub fn kind(&self) -> ProbeKind {
        self.with("postgres", PASSWORD, "postgres")
    }

    pub fn with(&self, user: &str, password: &str, rest: &str) -> ProbeKind {
        ProbeKind::Postgres {
            url: url(self.port, user, password, rest),
            query: None,
            connections_above: None,
        }
    }

    pub fn asking(&self, query: &str) -> ProbeKind {
        ProbeKind::Postgres {
            url: url(self.port, "postgres", PASSWORD, "postgres"),
            query: Some(query.to_owned()),
            connections_above: None,
        }
    }
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("permissions");
}

fn url(port: u16, user: &str, password: &str, rest: &str) -> secrecy::SecretString {
    let password = password.replace(' ', "%20");
    format!("postgresql://{user}:{password}@127.0.0.1:{port}/{rest}").into()
}
