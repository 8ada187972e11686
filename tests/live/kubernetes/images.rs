//! What passed in one environment goes to another one by its digests.

use serde_json::json;

use super::{
    applying::deployment,
    cluster,
    site::{Site, ask, begin, ends},
};

const PHASES: &str = "services: { api: { probe: { process: true, interval: 1s } } }\n\
                      phases: [{ name: apps, steps: [[api]], gate: { healthy: all, stable_for: 1s } }]\n";
const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn what_passed_in_one_environment_is_what_another_one_gets() {
    let cluster = cluster::shared();
    let manifests = deployment("api", "registry.test/api:1", "replicas: 2");
    let development = Site::with(cluster, &manifests, PHASES);
    let mut server = development.server();
    let (is_fine, said) = development.command(&["images"]);
    assert!(!is_fine && said.contains("there was no run"), "{said}");
    let run = begin(&mut server, json!({}));
    ends(&mut server, &run, "succeeded");

    // Nodes that only play tell no digest until somebody says one: first for one pod, then for both.
    let pods = || {
        let names = ["get", "pods", "-n", &development.namespace, "-o", "name"];
        let names = cluster.kubectl(&names);
        names.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let say_digest = |pod: &str| {
        let patch = json!([{
            "op": "add",
            "path": "/status/containerStatuses/0/imageID",
            "value": format!("registry.test/api@{DIGEST}"),
        }]);
        cluster.kubectl(&[
            "patch",
            pod,
            "-n",
            &development.namespace,
            "--subresource=status",
            "--type=json",
            "-p",
            &patch.to_string(),
        ]);
    };
    for pod in pods() {
        let (is_fine, said) = development.command(&["images"]);
        assert!(
            !is_fine && said.contains("`api`: the runtime tells no digest"),
            "{said}"
        );
        say_digest(&pod);
    }
    let (is_fine, passed) = development.command(&["images", "--extends", "shared.yaml"]);
    assert!(is_fine, "{passed}");
    assert!(
        passed.contains(&format!("registry.test/api:1@{DIGEST}")),
        "{passed}"
    );

    let other = Site::with(cluster, &manifests, PHASES);
    other.change("platform.yaml", |shared| {
        other.write("shared.yaml", &shared);
        other.write("images.yaml", &passed);
        "extends: images.yaml\ntitle: The other one\n".to_owned()
    });
    let mut there = other.server();
    let run = begin(&mut there, json!({}));
    ends(&mut there, &run, "succeeded");
    let made = cluster
        .object(&other.namespace, "deployment/api")
        .expect("it");
    assert_eq!(
        made["spec"]["template"]["spec"]["containers"][0]["image"],
        format!("registry.test/api:1@{DIGEST}")
    );
    let plan = ask(&mut there, "plan_deployment", json!({}));
    assert_eq!(plan["phases"]["rows"][0][2], "keep", "{plan:#}");

    // What somebody put there by hand has passed nothing.
    cluster.kubectl(&[
        "set",
        "image",
        "deployment/api",
        "*=registry.test/api:2",
        "-n",
        &development.namespace,
    ]);
    let (is_fine, said) = development.command(&["images", "--json"]);
    assert!(
        !is_fine && said.contains("`api`") && said.contains("\"images\":null"),
        "{said}"
    );
}
