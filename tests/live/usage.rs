//! What real processes use, told to a real Prometheus by a server that watches them.

use std::{fs, path::Path, process::Command, sync::Arc, time::Duration};

use openpolicy_mcp::{
    net::{Dialer, Reached, Request},
    platform::{Platform, ServiceName, TrustedDigests, Variables, load},
    runtime::{Change, Runtime, process::ProcessRuntime},
    store::StateFolder,
};
use serde_json::{Value, json};

use crate::dashboards;
use crate::engines::{
    free_port, over_http,
    prometheus::{Watch, check_rules},
};

const BINARY: &str = env!("CARGO_BIN_EXE_openpolicy-mcp");
const LIMIT: Duration = Duration::from_secs(20);

/// Local processes and a server that watches them; both end with the test.
struct Watched {
    runtime: Arc<ProcessRuntime>,
    names: Vec<ServiceName>,
    server: Option<std::process::Child>,
}

impl Watched {
    /// Starts the processes of a platform file that is trusted.
    async fn start(platform: &Path, state: &Path) -> (Self, String) {
        let trusted = TrustedDigests {
            everything: true,
            ..TrustedDigests::default()
        };
        let loaded = load(platform, &Variables::default(), &trusted).expect("a platform");
        let digest = loaded.digest.to_string();
        let names = loaded.platform.services.iter();
        let names: Vec<ServiceName> = names.map(|service| service.name.clone()).collect();
        let state = StateFolder::at(state).expect("a folder");
        let runtime = runtime(loaded.platform, &state);
        let desired = runtime.resolve(&names).await.expect("it is resolved");
        let change = Change::of(&desired, LIMIT);
        runtime.apply(change).await.expect("they start");
        let watched = Self {
            runtime,
            names,
            server: None,
        };
        (watched, digest)
    }
}

fn runtime(platform: Platform, state: &StateFolder) -> Arc<ProcessRuntime> {
    let runtime = ProcessRuntime::of(Arc::new(platform), state).expect("a runtime");
    Arc::new(runtime.with_program(Path::new(BINARY)))
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
        let (runtime, names) = (Arc::clone(&self.runtime), self.names.clone());
        let stopping = std::thread::spawn(move || {
            let threads = tokio::runtime::Runtime::new().expect("threads");
            threads.block_on(async {
                let stopped = runtime.stop(&names, Duration::from_secs(1)).await;
                stopped.expect("they stop");
            });
        });
        let _ = stopping.join();
    }
}

fn run(arguments: &[&str]) -> String {
    let ended = Command::new(BINARY)
        .args(arguments)
        .output()
        .expect("an end");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{arguments:?}: {said}");
    String::from_utf8(ended.stdout).expect("text")
}

/// Services for which a rule fires, as Prometheus says.
async fn firing(watch: &Watch, rule: &str) -> Vec<String> {
    let query = format!("ALERTS{{alertname=\"{rule}\",alertstate=\"firing\"}}");
    let Ok(found) = watch.prometheus.at(&query, None, LIMIT).await else {
        return Vec::new();
    };
    let label = |labels: &[(String, String)]| {
        let service = labels.iter().find(|(name, _)| name == "service");
        service.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    found.series.iter().map(|one| label(&one.labels)).collect()
}

#[tokio::test]
async fn a_rule_about_memory_fires_there_when_it_fires_here_and_ends_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (hungry, modest, http) = (free_port(), free_port(), free_port());
    let service = |name: &str, port: u16, memory: &str| {
        format!(
            "  {name}: {{ memory: 160Mi, cpu: 1, command: [\"{BINARY}\", stand-in, --name, {name}, --port, \"{port}\", \
             --memory, {memory}], probe: {{ http: \"http://127.0.0.1:{port}/health\", interval: 1s }} }}\n"
        )
    };
    let text = format!(
        "platform: local\nruntime: {{ process: {{}} }}\ncapacity: {{ memory: 1Gi, cpu: 2 }}\n\
         objectives: {{ utilisation: 80%, lead_time: 1h }}\nservices:\n{}{}alerts:\n  \
         - {{ name: MemoryHigh, when: {{ memory_above: 50% }}, for: 0s, severity: warning }}\n  \
         - {{ name: AllMemory, when: {{ memory_above: 5% }}, for: 0s, severity: warning, services: platform }}\n",
        service("hungry", hungry, "100Mi"),
        service("modest", modest, "1Mi"),
    );
    let (file, state) = (path("platform.yaml"), path("state"));
    fs::write(&file, text).expect("a file");
    let (mut watched, digest) = Watched::start(Path::new(&file), Path::new(&state)).await;
    let rules = run(&["export", "prometheus-rules", &file]);
    check_rules(&rules);
    let serve = ["serve", "--platform", &file, "--state", &state, "--trust"];
    let server = Command::new(BINARY)
        .args(serve)
        .args([&digest, "--http", &format!("127.0.0.1:{http}")])
        .stderr(std::process::Stdio::null())
        .spawn();
    watched.server = Some(server.expect("the binary"));
    let mut watch = Watch::start(http, &rules).await;

    let high = watch
        .until(
            async |watch| firing(watch, "MemoryHigh").await,
            |found| !found.is_empty(),
        )
        .await;
    assert_eq!(high, ["hungry"]);
    let whole = watch
        .until(
            async |watch| firing(watch, "AllMemory").await,
            |found| !found.is_empty(),
        )
        .await;
    assert_eq!(whole, [""], "of the platform, not of a service");
    let call = [
        "tools",
        "call",
        "--platform",
        &file,
        "--state",
        &state,
        "--trust",
    ];
    let call = [&call[..], &[&digest, "get_alerts", "--json"]].concat();
    let told: Value = serde_json::from_str(&run(&call)).expect("JSON");
    let firing_here = told["alerts"]["rows"].to_string();
    assert!(
        firing_here.contains("MemoryHigh") && firing_here.contains("hungry"),
        "{told}"
    );
    assert!(!firing_here.contains("modest"), "{told}");

    let score = ["{\"view\": \"scorecard\"}", "--json"];
    let score = [&call[..call.len() - 2], &["get_platform"], &score].concat();
    let told: Value = serde_json::from_str(&run(&score)).expect("JSON");
    let rows = told["scorecard"]["rows"].as_array().expect("rows");
    assert_eq!(rows[0][1], "utilisation", "{told}");
    let actual = rows[0][3].as_str().expect("a share");
    assert!(
        actual.starts_with("memory 1") && rows[0][4] == "yes",
        "{told}"
    );
    assert_eq!(
        (&rows[1][1], &rows[1][4]),
        (&"lead_time".into(), &"not known".into())
    );

    // The processor use of both is told, although no rule asks for it.
    let query = "openpolicy_service_cpu_cores{platform=\"local\"} >= 0";
    let found = watch.prometheus.at(query, None, LIMIT).await.expect("it");
    assert_eq!(found.series.len(), 2, "{found:?}");

    // So do the dashboards.
    over_http(http, "check_health", json!({}))
        .await
        .expect("an answer");
    dashboards::show(&mut watch, "local").await;

    let url = format!("http://127.0.0.1:{hungry}/control");
    let request = Request {
        method: http::Method::POST,
        url: url.parse().expect("an address"),
        headers: http::HeaderMap::new(),
        body: Some(br#"{"memory": "1Mi"}"#.to_vec()),
    };
    let answer = Dialer::default().ask(request, &Reached::default()).await;
    assert_eq!(answer.expect("an answer").reply.status, 200);
    watch
        .until(
            async |watch| firing(watch, "MemoryHigh").await,
            Vec::is_empty,
        )
        .await;
    let told: Value = serde_json::from_str(&run(&call)).expect("JSON");
    assert_eq!(told["counts"]["firing"], 0, "{told}");
}
