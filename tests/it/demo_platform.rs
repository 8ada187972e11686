//! The real binary with a platform: the tools that it lists, real processes, one of them broken.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    server::{Server, http},
    waiting::until,
};

/// Services take a moment to start and to fail.
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn the_tools_of_a_platform_are_listed_where_there_is_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("platform.yaml");
    std::fs::write(
        &file,
        "platform: p\nservices: { db: { probe: { tcp: \"127.0.0.1:1\", retries: 1 } } }\n",
    )
    .expect("a file");
    let file = file.to_str().expect("a path");
    let state = folder.path().join("state");
    let state = state.to_str().expect("a path");
    let mut server = Server::start(&["serve", "--platform", file, "--state", state], &[]);
    server.handshake("2025-06-18");
    let names = server.tools();
    for name in ["check_health", "get_platform", "get_logs", "get_resources"] {
        assert!(names.iter().any(|listed| listed == name), "{names:?}");
    }
    let answer = server.call(2, "check_health", json!({}));
    let told = &answer["result"]["structuredContent"];
    assert_eq!(told["counts"], json!({"down": 1}), "{answer}");

    let mut server = Server::start(&["serve"], &[]);
    server.handshake("2025-06-18");
    assert!(!server.tools().contains(&"check_health".to_owned()));
}

#[test]
fn a_platform_file_with_faults_is_told_to_whoever_asks_and_hides_no_catalog() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("platform.yaml");
    std::fs::write(&file, "platform: p\nservises: {}\n").expect("a file");
    let file = file.to_str().expect("a path");
    let mut server = Server::start(&["demo", "--platform", file, "--state", file], &[]);
    server.handshake("2025-06-18");
    let answer = server.call(1, "check_health", json!({}));
    let told = &answer["result"]["structuredContent"];
    assert_eq!(told["code"], "unavailable");
    assert!(told["message"].to_string().contains("servises"), "{told}");
    let answer = server.call(2, "search_entities", json!({"query": "bills"}));
    assert_eq!(answer["result"]["isError"], false, "{answer}");
}

#[test]
fn the_demo_breaks_its_database_and_tells_cause_blocked_services_and_hurt_data() {
    let arguments = ["demo", "--with-platform", "--break", "database"];
    let mut server = Server::start(&arguments, &[("PATH", "/usr/bin:/bin")]);
    server.handshake("2025-06-18");
    server.until("get_deployment", &json!({}), PATIENCE, |told| {
        told["state"] == "succeeded" && told["run"] == 3
    });
    let refresh = json!({"refresh": true});
    let told = server.until("check_health", &refresh, PATIENCE, |told| {
        told["counts"]["up"] == 1 && told["counts"]["blocked"] == 4
    });
    assert_eq!(told["counts"], json!({"up": 1, "down": 1, "blocked": 4}));
    let cause = &told["causes"][0];
    assert_eq!(
        (&cause["service"], &cause["blocks"]),
        (&json!("database"), &json!(4))
    );
    let hurts = &cause["hurts"];
    assert!(hurts["affected"].as_u64() > Some(100), "{hurts}");
    assert!(
        hurts["dashboards"].to_string().contains("superset."),
        "{hurts}"
    );

    let logs = server.call(1, "get_logs", json!({"services": ["database"]}));
    assert_eq!(logs["result"]["isError"], false, "{logs}");
    let cause = server.call(3, "find_root_cause", json!({"service": "database"}));
    let told = &cause["result"]["structuredContent"];
    assert_eq!(told["runtime"]["state"], "running", "{cause}");
    assert!(!told["last_lines"].as_array().expect("lines").is_empty());
    let cause = server.call(4, "find_root_cause", json!({"service": "web"}));
    let told = &cause["result"]["structuredContent"];
    assert_eq!(told["causes"]["rows"][0][1], "database", "{cause}");

    let resources = server.call(2, "get_resources", json!({}));
    let told = resources["result"]["structuredContent"].to_string();
    assert!(told.contains("database"), "{told}");

    let keepers = |server: &Server| {
        let listed = std::process::Command::new("ps")
            .args(["-eo", "args"])
            .output()
            .expect("ps");
        let folder = format!("openpolicy-demo-{}", server.process());
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        (listed.matches("stand-in --name").count(), folder)
    };
    let (running, folder) = keepers(&server);
    assert!(running >= 6, "{running}");
    server.close_stdin();
    let (status, _, _) = server.ended();
    assert!(status.success(), "{status}");
    assert!(!std::env::temp_dir().join(folder).exists());
}

#[test]
fn the_demo_deploys_phase_by_phase_and_takes_back_what_does_not_pass_its_gate() {
    let arguments = ["demo", "--with-platform", "--fail", "web"];
    let mut server = Server::start(&arguments, &[("PATH", "/usr/bin:/bin")]);
    server.handshake("2025-06-18");
    let history = json!({"history": true});
    let told = server.until("get_deployment", &history, PATIENCE, |told| {
        told["runs"]["rows"][0][1] == "rolled_back"
    });
    let runs = told["runs"]["rows"].as_array().expect("runs");
    let states: Vec<(&Value, &Value)> = runs.iter().map(|run| (&run[1], &run[2])).collect();
    assert_eq!(
        states,
        [
            (&json!("rolled_back"), &json!("applications")),
            (&json!("succeeded"), &json!("data")),
            (&json!("succeeded"), &json!("infrastructure")),
        ]
    );
    let health = server.call(1, "check_health", json!({"refresh": true}));
    let told = &health["result"]["structuredContent"];
    assert_eq!(told["counts"]["up"], 4, "{told}");
    // A person mends it and tries again by hand; the way is the same for every client.
    let plan = server.call(2, "plan_deployment", json!({"phases": ["applications"]}));
    let told = &plan["result"]["structuredContent"];
    assert_eq!(told["phases"]["rows"][0][2], "start all 2", "{told}");
    server.close_stdin();
    let (status, _, _) = server.ended();
    assert!(status.success(), "{status}");
}

#[test]
fn what_became_of_ingestion_is_told_to_prometheus() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("platform.yaml");
    std::fs::write(
        &file,
        "platform: p\nservices:\n  db: { datasets: [openpolicy_pg], probe: { tcp: \"127.0.0.1:1\" } }\n  \
         cache: { probe: { tcp: \"127.0.0.1:1\" } }\n\
         alerts: [{ name: Old, when: { older_than: 1h }, for: 0s, severity: warning }]\n",
    )
    .expect("a file");
    let state = folder.path().join("state").display().to_string();
    let file = file.display().to_string();
    let arguments = ["--platform", file.as_str(), "--state", &state];
    let (_server, address) = Server::http(&arguments, &[]);
    let value = |text: &str, metric: &str, service: &str| {
        let line = text.lines().find(|line| {
            line.starts_with(metric) && line.contains(&format!("service=\"{service}\""))
        });
        let value = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        value.unwrap_or(f64::NAN)
    };
    let age = "openpolicy_service_ingestion_success_timestamp_seconds";
    let text = until(
        "what became of ingestion",
        PATIENCE,
        || http(address, "GET", "/metrics", &[], "").body,
        |text| value(text, age, "db") > 0.0,
    );
    let failures = value(&text, "openpolicy_service_ingestion_failure_ratio", "db");
    assert!((0.0..=1.0).contains(&failures), "{text}");
    // Without datasets nothing is known.
    assert!(value(&text, age, "cache").is_nan(), "{text}");
}
