//! Rules of every kind, exported to a real Prometheus that scrapes a real server: the same fire in
//! both.

use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::engines::{
    PATIENCE, free_port, over_http,
    prometheus::{Watch, check_rules},
};
use crate::local::{Local, Manner};

const BINARY: &str = env!("CARGO_BIN_EXE_openpolicy-mcp");
const LIMIT: Duration = Duration::from_secs(20);

/// Ends the server with the test, whatever becomes of it.
struct Served(std::process::Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

type Firing = BTreeSet<(String, String)>;

/// Rule and service of what fires, as Prometheus says.
async fn there(watch: &Watch) -> Firing {
    let query = "ALERTS{alertstate=\"firing\"}";
    let Ok(found) = watch.prometheus.at(query, None, LIMIT).await else {
        return Firing::new();
    };
    let label = |labels: &[(String, String)], name: &str| {
        let label = labels.iter().find(|(known, _)| known == name);
        label.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let series = found.series.iter();
    series
        .map(|one| {
            (
                label(&one.labels, "alertname"),
                label(&one.labels, "service"),
            )
        })
        .collect()
}

/// The same, as `get_alerts` of the server says.
async fn here(port: u16) -> Firing {
    let asked = json!({"state": ["firing"]});
    let told = over_http(port, "get_alerts", asked).await;
    let told = told.unwrap_or_default();
    let rows = told["alerts"]["rows"].as_array();
    let text = |cell: &Value| cell.as_str().unwrap_or_default().to_owned();
    let rows = rows.into_iter().flatten();
    rows.map(|row| (text(&row[0]), text(&row[1]))).collect()
}

#[tokio::test]
async fn what_fires_here_fires_there_and_nothing_else() {
    let well = Local::http(|_| (200, "text/plain", "OK".into())).await;
    let looks = Arc::new(AtomicUsize::new(0));
    // Every second look fails, and one alone is not enough to be down.
    let flapping = Local::start(Manner::http(move |_| {
        match looks.fetch_add(1, Ordering::SeqCst) % 2 {
            0 => (200, "text/plain", "OK".into()),
            _ => (500, "text/plain", String::new()),
        }
    }))
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (http, slow) = (free_port(), free_port());
    let delayed = ["stand-in", "--port", &slow.to_string(), "--delay", "300ms"];
    let delayed = Command::new(BINARY)
        .args(delayed)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _delayed = Served(delayed.expect("the binary"));
    let service = |name: &str, port: u16, more: &str| {
        format!(
            "  {name}: {{ probe: {{ http: \"http://127.0.0.1:{port}/health\", interval: 500ms, \
             timeout: 5s, retries: 3 }}{more} }}\n"
        )
    };
    let text = format!(
        "platform: rules\nservices:\n{}{}{}{}alerts:\n  \
         - {{ name: ServiceDown, when: down, for: 2s, severity: critical }}\n  \
         - {{ name: Slow, when: {{ response_above: 200ms }}, for: 2s, severity: warning }}\n  \
         - {{ name: Errors, when: {{ errors_above: 20%, window: 10s }}, for: 2s, severity: warning, \
         services: [well, slow, flapping] }}\n  \
         - {{ name: IngestionFailures, when: {{ ingestion_failures_above: 5% }}, for: 2s, severity: warning }}\n  \
         - {{ name: Stale, when: {{ older_than: 24h }}, for: 2s, severity: warning }}\n",
        service("well", well.port, ""),
        service("slow", slow, ""),
        service("flapping", flapping.port, ""),
        service("gone", free_port(), ", datasets: [openpolicy_pg]"),
    );
    let file = path("platform.yaml");
    fs::write(&file, text).expect("a file");
    let exported = Command::new(BINARY)
        .args(["export", "prometheus-rules", &file])
        .output()
        .expect("an end");
    let rules = String::from_utf8(exported.stdout).expect("text");
    check_rules(&rules);
    let server = Command::new(BINARY)
        .args(["demo", "--http", &format!("127.0.0.1:{http}")])
        .args(["--platform", &file, "--state", &path("state")])
        .stderr(Stdio::null())
        .spawn();
    let _server = Served(server.expect("the binary"));
    let watch = Watch::start(http, &rules).await;

    let expected: Firing = [
        ("Errors", "flapping"),
        ("ServiceDown", "gone"),
        ("Slow", "slow"),
        ("Stale", "gone"),
    ]
    .map(|(rule, service)| (rule.to_owned(), service.to_owned()))
    .into();
    let begun = Instant::now();
    let mut pause = tokio::time::interval(Duration::from_millis(200));
    loop {
        pause.tick().await;
        let (here, there) = (here(http).await, there(&watch).await);
        if here == expected && there == expected {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "here {here:?}, there {there:?}");
    }
}
