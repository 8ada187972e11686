//! A Docker Engine of the tests' own: data, socket and networks are nobody else's, and all of it
//! ends with the process of the tests.

use std::{
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use openpolicy_mcp::runtime::compose::{Address, Program};
use tempfile::TempDir;

use crate::engines::PATIENCE;

pub const BINARY: &str = env!("CARGO_BIN_EXE_openpolicy-mcp");

/// The version of Compose 2 that `./run` builds.
const COMPOSE: &str = "2.40.3";

/// Waits for the end of its input, that is of the tests, and ends what it started.
const WATCHED: &str = r#"
"$@" >"$LOG" 2>&1 &
engine=$!
cat >/dev/null
kill "$engine"
wait "$engine"
umount "$FOLDER/exec/netns/default" 2>/dev/null
find "$FOLDER" -mindepth 1 -delete 2>/dev/null
rmdir "$FOLDER" 2>/dev/null
exit 0
"#;

pub struct Docker {
    pub folder: PathBuf,
    watcher: Child,
    /// Closed when the tests end.
    _alive: Option<ChildStdin>,
}

/// The engine that tests share, with all images.
pub fn shared() -> &'static Docker {
    static SHARED: OnceLock<Docker> = OnceLock::new();
    SHARED.get_or_init(|| {
        let docker = Docker::start(0);
        docker.make_images();
        docker
    })
}

impl Docker {
    /// `number` keeps networks of several engines apart.
    pub fn start(number: u8) -> Self {
        Self::start_with(number, |_| Vec::new())
    }

    /// With more arguments, which may name files of its folder.
    pub fn start_with(number: u8, more: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let folder = TempDir::with_prefix("docker-").expect("a folder").keep();
        let more = more(&folder);
        let (watcher, alive) = started(&folder, number, &more);
        let mut docker = Self {
            folder,
            watcher,
            _alive: Some(alive),
        };
        // On a machine with too much to do the engine gives up on its own containerd.
        if !docker.answers_in_time() {
            docker.replace(started(&docker.folder, number, &more));
            assert!(docker.answers_in_time(), "dockerd gave up twice");
        }
        docker
    }

    /// Ends the engine, and keeps what it has.
    pub fn stop(&mut self) {
        let pid = std::fs::read_to_string(self.folder.join("pid")).expect("its pid");
        let ended = Command::new("kill").arg(pid.trim()).status();
        assert!(ended.expect("kill").success());
        let begun = Instant::now();
        while Path::new("/proc").join(pid.trim()).join("exe").exists() {
            assert!(begun.elapsed() < PATIENCE, "dockerd does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts it again with what it had.
    pub fn start_again(&mut self, number: u8) {
        self.replace(started(&self.folder, number, &[]));
        assert!(self.answers_in_time(), "dockerd gave up");
    }

    /// The watcher of the first one waits on: it clears up in the end.
    fn replace(&mut self, (watcher, alive): (Child, ChildStdin)) {
        self.watcher = watcher;
        std::mem::forget(self._alive.replace(alive));
    }

    pub fn host(&self) -> String {
        format!("unix://{}/docker.sock", self.folder.display())
    }

    pub fn address(&self) -> Address {
        Address {
            host: self.host(),
            certificates: None,
        }
    }

    /// What `docker` prints; it has to succeed.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        let (is_fine, text) = self.tried(arguments);
        assert!(is_fine, "docker {arguments:?}: {text}");
        text
    }

    pub fn tried(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new("docker")
            .args(arguments)
            .env("DOCKER_HOST", self.host())
            .env_remove("DOCKER_CONTEXT")
            .output()
            .expect("docker (Debian package docker.io)");
        let mut text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() {
            text.push_str(&String::from_utf8_lossy(&output.stderr));
        }
        (output.status.success(), text)
    }

    /// Waits until it answers; `false`: its containerd did not start in the 15 s that dockerd allows.
    fn answers_in_time(&self) -> bool {
        let begun = Instant::now();
        while !self.tried(&["version"]).0 {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            if log.contains("failed to start containerd") {
                return false;
            }
            let end: Vec<&str> = log.lines().rev().take(5).collect();
            assert!(begun.elapsed() < PATIENCE, "dockerd: {end:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }

    /// The stand-in alone.
    pub fn make_stand_in(&self) {
        self.make("platforms/stand-in.sh");
    }

    fn make_images(&self) {
        self.make("tests/live/docker/images.sh");
    }

    fn make(&self, script: &str) {
        let made = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
            .arg(BINARY)
            .env("DOCKER_HOST", self.host())
            .output()
            .expect("bash");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{script}: {said}");
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        drop(self._alive.take());
        let _ = self.watcher.wait();
    }
}

fn started(folder: &Path, number: u8, more: &[String]) -> (Child, ChildStdin) {
    let inside = |name: &str| folder.join(name).display().to_string();
    let mut watcher = Command::new("bash")
        .args(["-c", WATCHED, "docker", "dockerd"])
        .args(["--data-root", &inside("data")])
        .args(["--exec-root", &inside("exec")])
        .args(["--pidfile", &inside("pid")])
        .args(["--host", &format!("unix://{}", inside("docker.sock"))])
        // The networks of projects only: no bridge that another engine of this machine has.
        .args(["--bridge", "none"])
        // Engines side by side would take each other's rules away. Ports are published by Docker's
        // own proxy then.
        .args(["--iptables=false"])
        .args([
            "--default-address-pool",
            &format!("base=10.2{}.0.0/16,size=26", 30 + number),
        ])
        .args(["--shutdown-timeout", "2"])
        .args(more)
        .env("FOLDER", folder)
        .env("LOG", folder.join("log"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("bash");
    let alive = watcher.stdin.take().expect("its input");
    (watcher, alive)
}

/// Compose 2, as `./run` built it.
pub async fn compose_2() -> Program {
    let path = compose_2_folder().join("cli-plugins/docker-compose");
    Program::at(path).await.expect("it is Compose")
}

/// The configuration of Docker in which it is a plugin.
pub fn compose_2_folder() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .expect("a cache folder");
    let folder = cache.join(format!("openpolicy-mcp/compose-{COMPOSE}"));
    assert!(
        folder.join("cli-plugins/docker-compose").is_file(),
        "{} is missing: `./run test live` builds it",
        folder.display()
    );
    folder
}

/// Compose 1, as Debian has it.
pub async fn compose_1() -> Program {
    let found = Program::at("/usr/bin/docker-compose".into()).await;
    found.expect("docker-compose 1 (Debian package docker-compose)")
}
