//! Not allowed, not reached and not there are different answers.

use openpolicy_mcp::runtime::{Problem, Runtime, ServiceState};
use serde_json::json;

use super::{
    applying::{SERVICES, deployment},
    cluster,
    site::{Site, ask, resolved, seen},
};

const PHASES: &str = "services: { api: { probe: { process: true, interval: 1s } } }\n\
                      phases: [{ name: apps, steps: [[api]], gate: { healthy: all, timeout: 20s } }]\n";

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn each_missing_right_is_named_before_anything_is_done() {
    let cluster = cluster::shared();
    let namespace = cluster.namespace();
    let manifests = deployment("api", "api:1", "replicas: 1");
    let site = Site::asking(&cluster.viewer(), &namespace, &manifests, PHASES);
    let mut server = site.server();
    // May not even look: no word of a service being down.
    let plan = ask(&mut server, "plan_deployment", json!({}));
    let text = plan.to_string();
    for right in [
        "patch deployments.apps",
        "create services",
        "delete configmaps",
        "list pods",
        "get pods/log",
    ] {
        assert!(text.contains(right), "{right}: {plan:#}");
    }
    let health = ask(&mut server, "check_health", json!({"refresh": true}));
    assert_eq!(health["counts"], json!({"unknown": 1}), "{health:#}");

    // Some rights, given by name: the rest is named.
    cluster.apply(
        &namespace,
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: { name: some }\nrules:\n\
         - { apiGroups: [apps], resources: [deployments, statefulsets, daemonsets], verbs: [get, list, create, patch, delete] }\n\
         - { apiGroups: [''], resources: [pods, services], verbs: [get, list, create, patch, delete] }\n\
         - { apiGroups: [''], resources: [pods/log], verbs: [get] }\n\
         ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: { name: some }\n\
         subjects: [{ kind: User, name: viewer, apiGroup: rbac.authorization.k8s.io }]\n\
         roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: some }\n",
    );
    let mut server = site.server();
    let plan = ask(&mut server, "plan_deployment", json!({}));
    let text = plan.to_string();
    let missing = "get configmaps, create configmaps, patch configmaps, delete configmaps";
    let named = |right: &str| text.contains(right);
    assert!(missing.split(", ").all(named), "{plan:#}");
    assert!(!named("patch deployments.apps"), "{plan:#}");
    let run = ask(
        &mut server,
        "deploy_phase",
        json!({"digest": plan["digest"]}),
    );
    let seen = super::site::until(&mut server, &run["run"], |seen| {
        !["running", "rolling_back"].contains(&seen["state"].as_str().unwrap_or_default())
    });
    assert_ne!(seen["state"], "succeeded", "{seen:#}");
    assert_eq!(cluster.object(&namespace, "deployment/api"), None);
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn in_a_pod_its_service_account_acts_with_the_rights_that_it_was_given() {
    let cluster = cluster::shared();
    let namespace = cluster.namespace();
    let manifests = deployment("api", "api:1", "replicas: 1");
    let site = Site::asking(&cluster.kubeconfig(), &namespace, &manifests, PHASES);
    site.change("platform.yaml", |text| {
        let (first, rest) = text.split_once(", context: test").expect("a context");
        let (_, rest) = rest.split_once(" } }").expect("its end");
        // Nothing is current here by chance: production needs no context.
        format!("environment: production\n{first} }} }}{rest}")
    });
    cluster.kubectl(&["create", "serviceaccount", "openpolicy", "-n", &namespace]);
    let token = cluster.kubectl(&["create", "token", "openpolicy", "-n", &namespace]);
    let mut server = site.server_in_pod(cluster, &token);
    let plan = ask(&mut server, "plan_deployment", json!({}));
    let checks = plan["checks"].to_string();
    assert!(checks.contains("missing in"), "{plan:#}");
    assert!(checks.contains("patch deployments.apps"), "{plan:#}");
    cluster.kubectl(&[
        "create",
        "rolebinding",
        "openpolicy",
        "-n",
        &namespace,
        "--clusterrole=edit",
        &format!("--serviceaccount={namespace}:openpolicy"),
    ]);
    let plan = ask(&mut server, "plan_deployment", json!({}));
    assert!(!plan.to_string().contains("missing in"), "{plan:#}");
    assert!(!plan.to_string().contains("cluster named"), "{plan:#}");
    assert_eq!(plan["phases"]["rows"][0][2], "create", "{plan:#}");
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn a_part_that_is_missing_is_named_with_its_command() {
    let cluster = cluster::shared();
    let manifests = deployment("api", "api:1", "replicas: 1");
    let site = Site::with(cluster, &manifests, PHASES);
    site.change("platform.yaml", |text| {
        let expects = "expects: [helm, istio-injection, argocd, prometheus-stack, external-secrets], context: test";
        text.replace("context: test", expects)
    });
    let mut server = site.server();
    let missing = |server: &mut crate::docker::client::server::Server| {
        let plan = ask(server, "plan_deployment", json!({}));
        let rows = plan["checks"]["rows"].as_array().expect("checks").clone();
        let missing = rows.into_iter().filter(|row| row[1] == "no");
        missing
            .map(|row| {
                (
                    row[0].as_str().expect("a name").to_owned(),
                    row[2].to_string(),
                )
            })
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let found = missing(&mut server);
    for (check, command) in [
        ("Helm installed", "get.helm.sh"),
        (
            "Istio injection on",
            &format!(
                "kubectl label namespace {} istio-injection=enabled",
                site.namespace
            ),
        ),
        (
            "GitOps operational",
            "argo-cd/stable/manifests/install.yaml",
        ),
        ("Prometheus stack installed", "kube-prometheus-stack"),
        (
            "external secrets installed",
            "helm install external-secrets",
        ),
    ] {
        assert!(found[check].contains(command), "{check}: {found:#?}");
    }
    cluster.kubectl(&[
        "label",
        "namespace",
        &site.namespace,
        "istio-injection=enabled",
    ]);
    cluster.apply(
        "default",
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
         metadata: { name: externalsecrets.external-secrets.io }\nspec:\n  group: external-secrets.io\n  \
         scope: Namespaced\n  names: { plural: externalsecrets, kind: ExternalSecret }\n  versions:\n  \
         - { name: v1, served: true, storage: true, schema: { openAPIV3Schema: { type: object } } }\n",
    );
    cluster.kubectl(&[
        "wait",
        "--for=condition=Established",
        "crd/externalsecrets.external-secrets.io",
        "--timeout=60s",
    ]);
    let found = missing(&mut server);
    assert!(!found.contains_key("Istio injection on"), "{found:#?}");
    assert!(
        !found.contains_key("external secrets installed"),
        "{found:#?}"
    );
    assert!(found.contains_key("GitOps operational"), "{found:#?}");
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn a_command_that_gives_credentials_reads_nothing_of_what_the_client_says() {
    let cluster = cluster::shared();
    let namespace = cluster.namespace();
    let folder = tempfile::tempdir().expect("a folder");
    let text = std::fs::read_to_string(cluster.viewer()).expect("a file");
    let credential = "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"admin-token\"}}";
    let script = folder.path().join("plugin");
    // It reads all there is before it answers.
    let body = format!(
        "cat >{}/read\necho '{credential}'\n",
        folder.path().display()
    );
    std::fs::write(&script, body).expect("a file");
    let exec = |mode: &str| {
        let plugin = format!(
            "exec: {{apiVersion: client.authentication.k8s.io/v1, command: sh, args: [{}], interactiveMode: {mode}}}",
            script.display()
        );
        let file = folder.path().join(mode);
        std::fs::write(&file, text.replace("token: viewer-token", &plugin)).expect("a file");
        file
    };
    let manifests = deployment("api", "api:1", "replicas: 1");
    let site = Site::asking(&exec("IfAvailable"), &namespace, &manifests, PHASES);
    let mut server = site.server();
    let plan = ask(&mut server, "plan_deployment", json!({}));
    assert_eq!(plan["phases"]["rows"][0][2], "create", "{plan:#}");
    let read = std::fs::read_to_string(folder.path().join("read")).expect("a file");
    assert_eq!(read, "");
    let asking = Site::asking(&exec("Always"), &namespace, &manifests, PHASES);
    let refused = ask(&mut asking.server(), "plan_deployment", json!({}));
    assert!(
        refused["message"]
            .to_string()
            .contains("has to ask a person"),
        "{refused:#}"
    );
}

#[tokio::test]
#[ignore = "builds a control plane: ./run test kubernetes"]
async fn what_is_not_reached_or_not_there_is_told_as_such() {
    let cluster = tokio::task::spawn_blocking(cluster::shared)
        .await
        .expect("a cluster");
    let manifests = deployment("api", "api:1", "replicas: 1");
    let nowhere = Site::asking(
        &cluster.kubeconfig(),
        "nobody-made-it",
        &manifests,
        SERVICES,
    );
    let runtime = nowhere.runtime();
    let desired = resolved(&runtime, &["api"]).await;
    let problem = desired[0].problem.clone().expect("a problem");
    assert!(
        problem.contains("there is no namespace nobody-made-it"),
        "{problem}"
    );
    let ready = runtime.readiness(&desired).await.expect("told");
    let namespace = ready
        .iter()
        .find(|one| one.name == "namespace created")
        .expect("a check");
    assert_eq!(namespace.is_ready, Some(false), "{ready:?}");
    let named = ready
        .iter()
        .find(|one| one.name == "cluster named")
        .expect("a check");
    let note = named.note.clone().expect("a note");
    assert!(
        note.contains("context test of") && note.contains("named by the platform file"),
        "{note}"
    );

    let file = nowhere.folder.path().join("unreached");
    let text = std::fs::read_to_string(cluster.kubeconfig()).expect("a file");
    let port = text
        .split("127.0.0.1:")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let text = text.replace(port.expect("a port"), "1");
    std::fs::write(&file, text).expect("a file");
    let away = Site::asking(&file, "default", &manifests, SERVICES).runtime();
    let told = away.target().await.expect_err("nobody is there");
    assert!(matches!(told, Problem::NotReached { .. }), "{told:?}");
    let observed = seen(&away, "api").await;
    assert!(
        matches!(observed.state, ServiceState::Unknown(ref why) if why.contains("127.0.0.1:1")),
        "{observed:?}"
    );
    let viewer = Site::asking(&cluster.viewer(), "default", &manifests, SERVICES).runtime();
    let observed = seen(&viewer, "api").await;
    assert!(
        matches!(observed.state, ServiceState::Unknown(ref why) if why.contains("not allowed")),
        "{observed:?}"
    );
    // The cluster that a plan is for is named, and is not another one.
    let target = runtime.target().await.expect("a target");
    assert!(
        target.starts_with("kubernetes https://127.0.0.1:"),
        "{target}"
    );
    assert!(target.ends_with("namespace nobody-made-it"), "{target}");
}
