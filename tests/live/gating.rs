//! Gates that are fed by queries to a real Prometheus, over real deployments: they pass by what it says
//! and not by what probes saw, and nothing passes while it says nothing.

use std::{
    fmt::Write as _,
    fs,
    process::{Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    engines::{PATIENCE, free_port, over_http, prometheus::Watch},
    local::Local,
};

const BINARY: &str = env!("CARGO_BIN_EXE_openpolicy-mcp");
const LIMIT: Duration = Duration::from_secs(20);

/// Requests that an application counts, as it tells them to whoever scrapes it: each scrape finds a
/// hundred more.
struct Counted {
    is_slow: AtomicBool,
    is_failing: AtomicBool,
    totals: Mutex<Totals>,
}

#[derive(Default)]
struct Totals {
    quick: u64,
    all: u64,
    failed: u64,
}

impl Counted {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            is_slow: AtomicBool::new(true),
            is_failing: AtomicBool::new(true),
            totals: Mutex::default(),
        })
    }

    fn metrics(&self) -> String {
        let mut totals = self.totals.lock().expect("totals");
        totals.all += 100;
        if !self.is_slow.load(Ordering::SeqCst) {
            totals.quick += 100;
        }
        if self.is_failing.load(Ordering::SeqCst) {
            totals.failed += 20;
        }
        let mut text = String::from("# TYPE app_seconds histogram\n");
        for (bound, count) in [
            ("0.1", totals.quick),
            ("1", totals.all),
            ("+Inf", totals.all),
        ] {
            writeln!(text, "app_seconds_bucket{{le=\"{bound}\"}} {count}").expect("a text");
        }
        let answered = totals.all - totals.failed;
        writeln!(
            text,
            "# TYPE app_requests_total counter\n\
             app_requests_total{{code=\"500\"}} {}\n\
             app_requests_total{{code=\"200\"}} {answered}",
            totals.failed
        )
        .expect("a text");
        text
    }
}

/// A server over a platform of one service, which ends with the test.
struct Deployed {
    folder: tempfile::TempDir,
    server: Option<std::process::Child>,
    port: u16,
}

impl Deployed {
    fn new(prometheus: u16) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (app, port) = (free_port(), free_port());
        let text = format!(
            "platform: gated\ncapacity: {{ memory: 1Gi, cpu: 2 }}\nruntime: {{ process: {{}} }}\n\
             prometheus: {{ url: \"http://127.0.0.1:{prometheus}\" }}\n\
             metrics:\n  \
               p95: 'histogram_quantile(0.95, sum by (le) (rate(app_seconds_bucket[2s])))'\n  \
               errors: 'sum(rate(app_requests_total{{code=\"500\"}}[2s])) / sum(rate(app_requests_total[2s]))'\n\
             services:\n  \
               app: {{ command: [\"{BINARY}\", stand-in, --name, app, --port, \"{app}\"], \
             probe: {{ http: \"http://127.0.0.1:{app}/health\", interval: 1s, start_period: 20s }} }}\n\
             phases:\n  \
               - {{ name: all, steps: [[app]], on_failure: pause, gate: {{ healthy: all, p95_below: 200ms, \
             errors_below: 5%, stable_for: 2s, timeout: 8s }} }}\n"
        );
        fs::write(folder.path().join("platform.yaml"), text).expect("a file");
        let mut deployed = Self {
            folder,
            server: None,
            port,
        };
        let shown = deployed.run(&["trust", "platform.yaml", "--show"]);
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        let digest = shown.lines().find_map(|line| line.strip_prefix("digest: "));
        let digest = digest.unwrap_or_else(|| panic!("a digest: {shown}"));
        let trusted = deployed.run(&["trust", "platform.yaml", "--digest", digest]);
        assert!(trusted.status.success(), "{trusted:?}");
        let address = format!("127.0.0.1:{port}");
        let server = deployed
            .command(&["serve", "--http", &address, "--toolsets", "all"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        deployed.server = Some(server.expect("the binary"));
        deployed
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("OPENPOLICY_STATE", self.folder.path().join("state"))
            .env(
                "OPENPOLICY_PLATFORM",
                self.folder.path().join("platform.yaml"),
            );
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("an end")
    }

    /// Asks a tool until it answers as wanted.
    async fn until(&self, tool: &str, asked: Value, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = std::time::Instant::now();
        let mut pause = tokio::time::interval(Duration::from_millis(200));
        loop {
            pause.tick().await;
            let told = over_http(self.port, tool, asked.clone()).await;
            if let Some(told) = told.as_ref().filter(|told| wanted(told)) {
                return told.clone();
            }
            assert!(begun.elapsed() < PATIENCE, "not in time: {told:?}");
        }
    }

    /// Plans and begins.
    async fn begin(&self) -> Value {
        let planned = self
            .until("plan_deployment", json!({}), |plan| {
                plan["digest"].is_string()
            })
            .await;
        let digest = json!({"digest": planned["digest"]});
        let begun = over_http(self.port, "deploy_phase", digest).await;
        begun.expect("an answer")["run"].clone()
    }

    async fn until_run(&self, run: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
        let asked = json!({"run": run, "limit": 100});
        self.until("get_deployment", asked, wanted).await
    }

    async fn decide(&self, run: &Value, action: &str) {
        let asked = json!({"run": run, "action": action});
        over_http(self.port, "control_deployment", asked).await;
    }
}

impl Drop for Deployed {
    fn drop(&mut self) {
        // Whatever a failed test leaves: the run first, then what it started.
        self.run(&["accept", "1"]);
        self.run(&["stop", "app", "--yes"]);
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn is(state: &'static str) -> impl Fn(&Value) -> bool {
    move |seen| seen["state"] == state
}

/// What the gate of the phase reads.
fn gate(seen: &Value) -> &str {
    seen["phases"]["rows"][0][3].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_passes_by_what_prometheus_says_and_not_while_it_says_nothing() {
    let counted = Counted::new();
    let told = Arc::clone(&counted);
    let app = Local::http(move |_| (200, "text/plain; version=0.0.4", told.metrics())).await;
    let mut watch = Watch::start(app.port, "groups: []\n").await;
    // Before anything is deployed: the query has a value.
    let query = "sum(rate(app_requests_total[2s]))";
    watch
        .until(
            async |watch| watch.prometheus.at(query, None, LIMIT).await.ok(),
            |found| found.as_ref().is_some_and(|found| !found.series.is_empty()),
        )
        .await;
    let deployed = Deployed::new(watch.port);

    // Its own probe answers at once and well; the queries say that it is slow and failing.
    let run = deployed.begin().await;
    let seen = deployed
        .until_run(&run, |seen| gate(seen).contains("errors < 5% (is 20%)"))
        .await;
    assert_eq!(seen["state"], "running", "{seen}");
    let paused = deployed.until_run(&run, is("paused")).await;
    let reason = paused["reason"].as_str().expect("a reason");
    assert!(reason.contains("errors < 5% (is 20%)"), "{reason}");
    assert!(reason.contains("p95 < 200ms (is 95"), "{reason}");

    // One of the two is mended: the other still holds the gate.
    counted.is_failing.store(false, Ordering::SeqCst);
    deployed.decide(&run, "resume").await;
    let held = deployed
        .until_run(&run, |seen| {
            seen["state"] == "paused" && !seen["reason"].to_string().contains("errors")
        })
        .await;
    let reason = held["reason"].as_str().expect("a reason");
    assert!(reason.contains("p95 < 200ms"), "{reason}");

    counted.is_slow.store(false, Ordering::SeqCst);
    deployed.decide(&run, "resume").await;
    let passed = deployed.until_run(&run, is("succeeded")).await;
    let timeline = passed["timeline"].to_string();
    assert!(
        timeline.contains("gate passed") && timeline.contains("p95 < 200ms: 95ms"),
        "{timeline}"
    );
    assert!(timeline.contains("errors < 5%: 0%"), "{timeline}");

    // Everything is well, and nobody can say so.
    watch.engines[0].signal("KILL");
    let run = deployed.begin().await;
    let blind = deployed.until_run(&run, is("paused")).await;
    let reason = blind["reason"].as_str().expect("a reason");
    assert!(reason.contains("p95 < 200ms (is Prometheus: "), "{reason}");
    deployed.decide(&run, "accept").await;
    deployed.until_run(&run, is("accepted")).await;
}
