//! What an autoscaler makes of a service, by the controller of a real cluster.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    applying::{SERVICES, deployment},
    cluster::{self, Cluster},
    nodes::measured,
    site::{Site, ask},
};
use crate::{docker::client::server::Server, engines::PATIENCE};

const SCALER: &str = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: { name: anything }\nspec:\n\
    \x20 scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: api }\n  minReplicas: 1\n  maxReplicas: 3\n\
    \x20 metrics: [{ type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 50 } } }]\n";

/// Asks until what is told of scaling is as wanted.
fn until_scaling(server: &mut Server, wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let told = ask(server, "get_service", json!({"service": "api"}));
        let scaling = &told["runtime"]["scaling"];
        if wanted(scaling) {
            return scaling.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "not in time: {told:#}");
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn what_an_autoscaler_wants_and_what_keeps_it_from_that_is_told() {
    let cluster = Cluster::start();
    let namespace = cluster.namespace();
    let manifests = deployment("api", "api:1", "replicas: 1");
    let site = Site::asking(&cluster.kubeconfig(), &namespace, &manifests, SERVICES);
    cluster.apply(&namespace, &manifests);
    let mut server = site.server();
    let told = ask(&mut server, "get_service", json!({"service": "api"}));
    assert_eq!(told["runtime"].get("scaling"), None, "{told:#}");
    assert!(!told.to_string().contains("scales"), "{told:#}");

    cluster.apply(&namespace, SCALER);
    // Nobody measures: it decides nothing.
    let told = until_scaling(&mut server, |told| told["not_scaling"].is_string());
    assert_eq!((&told["min"], &told["max"]), (&json!(1), &json!(3)));
    let why = told["not_scaling"].as_str().expect("why");
    assert!(why.starts_with("FailedGetResourceMetric: "), "{told:#}");

    // Three times what it may use: six times what is aimed at.
    measured(&cluster);
    let pods = cluster.kubectl(&["get", "pods", "-n", &namespace, "-o", "name"]);
    let pod = pods.trim_start_matches("pod/");
    let later = Timestamp::now() + Duration::from_secs(60);
    cluster.apply(
        &namespace,
        &format!(
            "apiVersion: metrics.k8s.io/v1beta1\nkind: PodMetrics\nmetadata: {{ name: {pod}, labels: {{ app: api }} }}\n\
             timestamp: '{later:.0}'\nwindow: 1s\ncontainers: [{{ name: main, usage: {{ memory: 1Mi, cpu: 300m }} }}]\n"
        ),
    );
    let told = until_scaling(&mut server, |told| told["current"] == 3);
    assert_eq!(told["wanted"], 3, "{told:#}");
    let why = told["limited"].as_str().expect("why");
    assert!(why.starts_with("TooManyReplicas: "), "{told:#}");
    assert_eq!(told.get("not_scaling"), None, "{told:#}");
    let used = ask(&mut server, "get_resources", json!({}));
    assert!(
        used["services"].to_string().contains("3 of 1-3, limited"),
        "{used:#}"
    );
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn who_may_not_list_autoscalers_is_told_so() {
    let cluster = cluster::shared();
    let namespace = cluster.namespace();
    let manifests = deployment("api", "api:1", "replicas: 1");
    cluster.apply(&namespace, &manifests);
    let workloads = "pods,deployments.apps,statefulsets.apps,daemonsets.apps";
    cluster.allow_viewer(&namespace, "list", workloads);
    let site = Site::asking(&cluster.viewer(), &namespace, &manifests, SERVICES);
    let mut server = site.server();
    for (tool, sent) in [
        ("get_service", json!({"service": "api"})),
        ("get_resources", json!({})),
    ] {
        let told = ask(&mut server, tool, sent);
        let warned = told["warnings"].to_string();
        assert!(warned.contains("list horizontalpodautoscalers"), "{told:#}");
        assert!(warned.contains("not allowed"), "{told:#}");
    }
}
