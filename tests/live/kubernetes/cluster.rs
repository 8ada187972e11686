//! A control plane of the tests' own: it ends with the process of the tests.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;

use crate::engines::free_port;

pub struct Cluster {
    pub folder: PathBuf,
    bin: PathBuf,
    orders: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    _script: Child,
}

/// The cluster that tests share; each has a namespace of its own.
pub fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(Cluster::start)
}

impl Cluster {
    pub fn start() -> Self {
        let built = std::env::var("OPENPOLICY_KUBERNETES")
            .expect("OPENPOLICY_KUBERNETES, as `./run test kubernetes` sets it");
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/live/kubernetes/cluster/up"
        );
        let folder = tempfile::TempDir::with_prefix("cluster-");
        let folder = folder.expect("a folder").keep();
        let ports = (0..6).map(|_| free_port().to_string());
        let mut child = Command::new(script)
            .arg(&folder)
            .arg(&built)
            .args(ports)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash");
        let orders = child.stdin.take().expect("its input");
        let said = BufReader::new(child.stdout.take().expect("its output"));
        let cluster = Self {
            folder,
            bin: Path::new(&built).join("bin"),
            orders: Mutex::new((orders, said)),
            _script: child,
        };
        cluster.says("ready");
        cluster
    }

    #[track_caller]
    fn says(&self, word: &str) {
        let mut orders = self.orders.lock().expect("nobody panicked");
        let mut line = String::new();
        orders.1.read_line(&mut line).expect("a line");
        assert_eq!(line.trim(), word, "the control plane");
    }

    fn order(&self, word: &str, answer: &str) {
        let mut orders = self.orders.lock().expect("nobody panicked");
        writeln!(orders.0, "{word}").expect("it listens");
        drop(orders);
        self.says(answer);
    }

    /// Ends the API server; what is stored stays.
    pub fn stop_server(&self) {
        self.order("stop", "stopped");
    }

    pub fn start_server(&self) {
        self.order("start", "started");
    }

    /// Of somebody who may do everything.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Of a user who may do nothing.
    pub fn viewer(&self) -> PathBuf {
        self.folder.join("viewer")
    }

    /// What `kubectl` prints; it has to succeed.
    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let (is_fine, text) = self.tried(arguments, "");
        assert!(is_fine, "kubectl {arguments:?}: {text}");
        text
    }

    /// Objects, as kubectl applies them on the server under its own name.
    #[track_caller]
    pub fn apply(&self, namespace: &str, objects: &str) {
        let arguments = ["apply", "--server-side", "-n", namespace, "-f", "-"];
        let (is_fine, text) = self.tried(&arguments, objects);
        assert!(is_fine, "{text}\n{objects}");
    }

    pub fn tried(&self, arguments: &[&str], input: &str) -> (bool, String) {
        let mut child = Command::new(self.bin.join("kubectl"))
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl");
        let mut stdin = child.stdin.take().expect("its input");
        stdin.write_all(input.as_bytes()).expect("it reads");
        drop(stdin);
        let ended = child.wait_with_output().expect("kubectl");
        let said = [ended.stdout, ended.stderr].concat();
        (
            ended.status.success(),
            String::from_utf8_lossy(&said).trim().to_owned(),
        )
    }

    /// An object as the API server has it; none where it is not there.
    pub fn object(&self, namespace: &str, name: &str) -> Option<Value> {
        let (is_fine, text) = self.tried(&["get", "-n", namespace, name, "-o", "json"], "");
        if !is_fine {
            assert!(text.contains("NotFound"), "{text}");
            return None;
        }
        Some(serde_json::from_str(&text).expect("an object"))
    }

    /// Lets the user without rights do this in a namespace; both are lists with commas.
    pub fn allow_viewer(&self, namespace: &str, verbs: &str, resources: &str) {
        let in_it = ["-n", namespace];
        let role = [
            "create",
            "role",
            "viewer",
            &format!("--verb={verbs}"),
            &format!("--resource={resources}"),
        ];
        self.kubectl(&[&role[..], &in_it].concat());
        let binding = [
            "create",
            "rolebinding",
            "viewer",
            "--role=viewer",
            "--user=viewer",
        ];
        self.kubectl(&[&binding[..], &in_it].concat());
    }

    /// A namespace that nobody else uses.
    pub fn namespace(&self) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("t{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.kubectl(&["create", "namespace", &name]);
        name
    }
}
