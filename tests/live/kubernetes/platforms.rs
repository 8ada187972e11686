//! The reference platform `kubernetes` on a cluster: from nothing to the end, and back.

use std::{fs, path::Path};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    cluster::{self, Cluster},
    site::{Site, ask, begin, ends},
};
use crate::docker::platforms::copy;

const NAMESPACE: &str = "openpolicy-platform";

/// Room for a claim, which nobody else may take: nothing makes it here.
pub fn provide_volume(cluster: &Cluster, namespace: &str, claim: &str) {
    let volume = format!(
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{ name: {namespace}-{claim} }}\nspec:\n  \
         capacity: {{ storage: 10Gi }}\n  accessModes: [ReadWriteOnce]\n  \
         hostPath: {{ path: /tmp/{namespace}-{claim} }}\n  \
         claimRef: {{ namespace: {namespace}, name: {claim} }}\n"
    );
    cluster.apply("default", &volume);
}

/// A reference platform in a namespace of its own.
pub fn reference(platform: &str, namespace: &str) -> TempDir {
    fn rename(folder: &Path, namespace: &str) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                rename(&path, namespace);
            } else {
                let text = fs::read_to_string(&path).expect("a file");
                fs::write(&path, text.replace(NAMESPACE, namespace)).expect("a file");
            }
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("platforms");
    copy(&from.join(platform), folder.path());
    rename(folder.path(), namespace);
    folder
}

fn generations(deployments: &Value) -> Vec<(String, Value)> {
    let items = deployments["items"].as_array().expect("a list").iter();
    let mut all: Vec<(String, Value)> = items
        .map(|one| {
            let name = one["metadata"]["name"].as_str().expect("a name").to_owned();
            // How many there are is the autoscaler's.
            (name, one["spec"]["template"].clone())
        })
        .collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn kubernetes_from_nothing_then_an_image_that_never_gets_ready_is_taken_back() {
    let cluster = cluster::shared();
    for claim in ["data-postgresql-0", "data-rabbitmq-0"] {
        provide_volume(cluster, NAMESPACE, claim);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("platforms/kubernetes");
    copy(&from, folder.path());
    let text = std::fs::read_to_string(folder.path().join("cluster.yaml")).expect("a file");
    let kubeconfig = format!(
        "context: test\n    kubeconfig: {}",
        cluster.kubeconfig().display()
    );
    // Each run of production waits for a person, which is tested elsewhere.
    let text = text
        .replace("context: kind-openpolicy-platform", &kubeconfig)
        .replace("environment: production", "environment: development");
    std::fs::write(folder.path().join("platform.yaml"), text).expect("a file");
    let site = Site::of(folder, NAMESPACE);
    let mut server = site.server();
    let plan = ask(&mut server, "plan_deployment", json!({}));
    let checks = plan["checks"].to_string();
    assert!(checks.contains("not there: openpolicy-secrets"), "{plan:#}");
    let run = begin(&mut server, json!({}));
    let seen = ends(&mut server, &run, "succeeded");
    assert!(
        seen["timeline"].to_string().contains("27 of 27"),
        "{seen:#}"
    );
    let health = ask(&mut server, "check_health", json!({"refresh": true}));
    assert_eq!(health["counts"], json!({"up": 27}), "{health:#}");
    let platform = ask(&mut server, "get_platform", json!({}));
    assert!(platform.to_string().contains("kubernetes"), "{platform:#}");
    let gateway = ask(
        &mut server,
        "get_service",
        json!({"service": "api-gateway"}),
    );
    assert!(gateway.to_string().contains("3 of 3 ready"), "{gateway:#}");
    let plan = ask(&mut server, "plan_deployment", json!({}));
    assert!(
        plan["phases"]["rows"][1][2]
            .to_string()
            .contains("keep all 24"),
        "{plan:#}"
    );
    let logs = ask(
        &mut server,
        "get_logs",
        json!({"services": ["api-gateway"]}),
    );
    assert!(logs.to_string().contains("line <n>"), "{logs:#}");

    let list = || {
        let text = cluster.kubectl(&["get", "deployments", "-n", NAMESPACE, "-o", "json"]);
        generations(&serde_json::from_str(&text).expect("a list"))
    };
    let before = list();
    site.change("k8s/api-gateway.yaml", |text| {
        text.replace("openpolicy/api-gateway:1", "openpolicy/api-gateway:unready")
    });
    site.change("k8s/configuration.yaml", |text| {
        text.replace("LOG_LEVEL: INFO", "LOG_LEVEL: DEBUG")
    });
    site.change("platform.yaml", |text| {
        let at = text.rfind("gate: { healthy: all }").expect("the last gate");
        let (first, last) = text.split_at(at);
        first.to_owned()
            + &last.replacen(
                "healthy: all }",
                "healthy: all, stable_for: 2s, timeout: 10s }",
                1,
            )
    });
    let mut server = site.server();
    let run = begin(&mut server, json!({"phases": ["platform"]}));
    let seen = ends(&mut server, &run, "rolled_back");
    assert!(
        seen["reason"].to_string().contains("api-gateway is"),
        "{seen:#}"
    );
    assert_eq!(list(), before);
    let settings = cluster.object(NAMESPACE, "configmap/openpolicy-configuration");
    assert_eq!(settings.expect("settings")["data"]["LOG_LEVEL"], "INFO");

    // Back to before the first run: workloads go, the namespace and the claims stay.
    let back = ask(&mut server, "roll_back", json!({"run": 1}));
    let run = ask(
        &mut server,
        "roll_back",
        json!({"digest": back["digest"], "reason": "a test"}),
    );
    ends(&mut server, &run["run"], "rolled_back");
    assert_eq!(list(), []);
    assert!(
        cluster
            .object(NAMESPACE, "persistentvolumeclaim/data-postgresql-0")
            .is_some()
    );
    assert_eq!(
        cluster.object(NAMESPACE, "configmap/openpolicy-configuration"),
        None
    );
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn environments_are_one_file_over_another_and_production_waits_for_a_person() {
    let cluster = cluster::shared();
    let namespace = cluster.namespace();
    provide_volume(cluster, &namespace, "data-postgresql-0");
    let kubeconfig = cluster.kubeconfig().display().to_string();
    let site_of = |file: &str| {
        let folder = reference("environments", &namespace);
        let site = Site::of(folder, &namespace);
        site.change("cluster.yaml", |text| {
            text.replace(
                "context: kind-openpolicy-dev",
                &format!("context: test\n    kubeconfig: {kubeconfig}"),
            )
        });
        site.change("cluster-production.yaml", |text| {
            text.replace("context: openpolicy-production", "context: test")
        });
        // No pod here has a pg_dump.
        site.change("platform.yaml", |text| {
            text.replace("before_run: true", "before_run: false")
        });
        // The file that is served is platform.yaml of its folder.
        site.change("platform.yaml", |shared| {
            site.write("shared.yaml", &shared);
            format!("extends: {file}\n")
        });
        site.change("cluster.yaml", |text| {
            text.replace("extends: platform.yaml", "extends: shared.yaml")
        });
        site
    };
    let development = site_of("cluster.yaml");
    let mut server = development.server();
    let run = begin(&mut server, json!({}));
    let seen = ends(&mut server, &run, "succeeded");
    assert!(
        seen["timeline"].to_string().contains("15 of 15"),
        "{seen:#}"
    );
    let gateway = cluster.object(&namespace, "deployment/api-gateway");
    assert_eq!(gateway, None, "no step of the document deploys it");
    let etl = cluster.object(&namespace, "horizontalpodautoscaler/etl-service-hpa");
    assert_eq!(etl.expect("it")["spec"]["maxReplicas"], 5);

    let production = site_of("cluster-production.yaml");
    let mut server = production.server();
    let plan = ask(&mut server, "plan_deployment", json!({}));
    assert_eq!(plan["needs_approval"], true, "{plan:#}");
    let run = ask(
        &mut server,
        "deploy_phase",
        json!({"digest": plan["digest"]}),
    );
    assert_eq!(run["state"], "awaiting_approval", "{run:#}");
}
