//! Deployments to a cluster through the MCP tools: faults on the way, and the way back.

use serde_json::json;

use super::{
    applying::deployment,
    cluster::{self, Cluster},
    site::{Site, ask, begin, driver, ends, signal, until},
};

const TWO: &str = "services: { db: { probe: { process: true, interval: 1s } }, api: { probe: { process: true, interval: 1s }, needs: [db] } }\nphases:\n\
    \x20 - { name: base, steps: [[db]], gate: { healthy: all, stable_for: 1s, timeout: 60s } }\n\
    \x20 - { name: apps, steps: [[api]], gate: { healthy: all, stable_for: 1s, timeout: 60s } }\n";

fn two(cluster: &Cluster, more: &str) -> Site {
    let manifests = deployment("db", "db:1", "replicas: 1") + &deployment("api", "api:1", more);
    Site::with(cluster, &manifests, TWO)
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn a_rollout_that_makes_no_progress_is_given_up_and_taken_back_field_by_field() {
    let cluster = cluster::shared();
    let site = two(cluster, "progressDeadlineSeconds: 3");
    let mut server = site.server();
    let plan = ask(&mut server, "plan_deployment", json!({}));
    assert_eq!(plan["phases"]["rows"][1][2], "create", "{plan:#}");
    let target = plan["target"].as_str().expect("a target");
    let namespace = format!("namespace {}", site.namespace);
    assert!(target.ends_with(&namespace), "{plan:#}");
    let run = begin(&mut server, json!({}));
    ends(&mut server, &run, "succeeded");
    let db = cluster
        .object(&site.namespace, "deployment/db")
        .expect("db");
    let api = cluster
        .object(&site.namespace, "deployment/api")
        .expect("api");

    site.change("manifests.yaml", |text| {
        text.replace("api:1", "api:missing")
            .replace("LEVEL: info", "LEVEL: debug")
    });
    let mut server = site.server();
    let run = begin(&mut server, json!({"phases": ["apps"]}));
    let seen = ends(&mut server, &run, "rolled_back");
    let reason = seen["reason"].to_string();
    assert!(reason.contains("made no progress within 3 s"), "{seen:#}");
    assert!(reason.contains("ImagePullBackOff"), "{seen:#}");
    let now = cluster
        .object(&site.namespace, "deployment/api")
        .expect("api");
    assert_eq!(now["spec"], api["spec"]);
    let settings = cluster
        .object(&site.namespace, "configmap/settings")
        .expect("settings");
    assert_eq!(settings["data"], json!({"LEVEL": "info"}));
    // Nothing else moved.
    let untouched = cluster
        .object(&site.namespace, "deployment/db")
        .expect("db");
    assert_eq!(
        untouched["metadata"]["generation"],
        db["metadata"]["generation"]
    );
    let health = ask(&mut server, "check_health", json!({"refresh": true}));
    assert_eq!(health["counts"], json!({"up": 2}), "{health:#}");
    // Nobody measures here: that is no use of nothing.
    let used = ask(&mut server, "get_resources", json!({}));
    assert!(used.to_string().contains("metrics.k8s.io"), "{used:#}");

    // By hand: to what was before the first run, that is to nothing.
    let back = ask(&mut server, "roll_back", json!({"run": 1}));
    assert!(back.to_string().contains("not there"), "{back:#}");
    let run = ask(
        &mut server,
        "roll_back",
        json!({"digest": back["digest"], "reason": "a test"}),
    );
    ends(&mut server, &run["run"], "rolled_back");
    for name in [
        "deployment/api",
        "deployment/db",
        "configmap/settings",
        "service/api",
    ] {
        assert_eq!(cluster.object(&site.namespace, name), None, "{name}");
    }
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn pods_that_run_and_never_get_ready_are_taken_back_when_the_time_is_over() {
    let cluster = cluster::shared();
    let site = two(cluster, "replicas: 2");
    let mut server = site.server();
    let run = begin(&mut server, json!({}));
    ends(&mut server, &run, "succeeded");
    site.change("manifests.yaml", |text| {
        text.replace("api:1", "api:unready")
    });
    site.change("platform.yaml", |text| {
        text.replace(
            "steps: [[api]], gate: { healthy: all, stable_for: 1s, timeout: 60s }",
            "steps: [[api]], gate: { healthy: all, stable_for: 1s, timeout: 8s }",
        )
    });
    let mut server = site.server();
    let plan = ask(&mut server, "plan_deployment", json!({}));
    assert_eq!(plan["phases"]["rows"][1][2], "replace", "{plan:#}");
    let run = begin(&mut server, json!({}));
    let seen = ends(&mut server, &run, "rolled_back");
    let reason = seen["reason"].to_string();
    // The old pods answered all the time, and that was not enough.
    assert!(reason.contains("not up within 8s"), "{seen:#}");
    assert!(
        reason.contains("readiness probe has not passed"),
        "{seen:#}"
    );
    let health = ask(&mut server, "check_health", json!({"refresh": true}));
    assert_eq!(health["counts"], json!({"up": 2}), "{health:#}");
    let plan = ask(&mut server, "plan_deployment", json!({}));
    assert!(!plan.to_string().contains("changed by hand"), "{plan:#}");
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn a_driver_that_is_killed_in_mid_rollout_is_followed_by_another() {
    let cluster = cluster::shared();
    // No node has this label yet: its pods wait.
    let site = two(cluster, "replicas: 2");
    let zone = site.namespace.clone();
    site.change("manifests.yaml", |text| {
        text.replace(
            "spec: { containers: [{ name: main, image: 'api:1'",
            &format!("spec: {{ nodeSelector: {{ zone: {zone} }}, containers: [{{ name: main, image: 'api:1'"),
        )
    });
    let mut server = site.server();
    let run = begin(&mut server, json!({}));
    let seen = until(&mut server, &run, |seen| {
        seen["timeline"].to_string().contains("apps: api started")
    });
    signal(driver(&seen), "KILL");
    until(&mut server, &run, |seen| seen["state"] == "interrupted");
    let before = cluster
        .object(&site.namespace, "deployment/api")
        .expect("api");
    // The cluster went on by itself.
    cluster.kubectl(&[
        "label",
        "node",
        "node-1",
        "--overwrite",
        &format!("zone={zone}"),
    ]);
    ask(
        &mut server,
        "control_deployment",
        json!({"run": run, "action": "resume"}),
    );
    ends(&mut server, &run, "succeeded");
    let now = cluster
        .object(&site.namespace, "deployment/api")
        .expect("api");
    assert_eq!(
        now["metadata"]["generation"],
        before["metadata"]["generation"]
    );
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn an_api_server_that_goes_and_comes_back_holds_a_run_and_does_not_end_it() {
    let cluster = Cluster::start();
    let site = two(&cluster, "replicas: 1");
    site.change("platform.yaml", |text| {
        text.replace("stable_for: 1s", "stable_for: 8s")
    });
    let mut server = site.server();
    let run = begin(&mut server, json!({}));
    let seen = until(&mut server, &run, |seen| {
        seen["phases"]["rows"][1][1] == "at its gate" || seen["state"] != "running"
    });
    assert_eq!(seen["state"], "running", "{seen:#}");
    cluster.stop_server();
    let plan = ask(&mut server, "plan_deployment", json!({}));
    assert_eq!(plan["code"], "unavailable", "{plan:#}");
    let seen = ask(&mut server, "get_deployment", json!({"run": run}));
    assert_eq!(seen["state"], "running", "{seen:#}");
    let health = ask(&mut server, "check_health", json!({"refresh": true}));
    assert_eq!(health["counts"], json!({"unknown": 2}), "{health:#}");
    cluster.start_server();
    ends(&mut server, &run, "succeeded");
}
