//! What the nodes of a cluster have: gates and plans hold usage against it, where it may be looked at.

use serde_json::{Value, json};

use super::{
    applying::deployment,
    cluster::Cluster,
    site::{Site, ask, begin, ends, until},
};

const GATED: &str = "services: { db: { memory: 64Mi, probe: { process: true, interval: 1s } } }\nphases:\n\
    \x20 - { name: base, steps: [[db]], gate: { healthy: all, memory_below: 40%, stable_for: 1s, timeout: 120s } }\n";

/// metrics.k8s.io as kinds of its own: what is measured is what a test writes.
const MEASURED: &str = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
    metadata: { name: pods.metrics.k8s.io, annotations: { api-approved.kubernetes.io: 'unapproved, a test' } }\n\
    spec:\n  group: metrics.k8s.io\n  scope: Namespaced\n  names: { plural: pods, singular: pod, kind: PodMetrics, listKind: PodMetricsList }\n\
    \x20 versions: [{ name: v1beta1, served: true, storage: true, schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } } }]\n";

pub fn measured(cluster: &Cluster) {
    cluster.apply("default", MEASURED);
    cluster.kubectl(&[
        "wait",
        "--for=condition=Established",
        "crd/pods.metrics.k8s.io",
        "--timeout=30s",
    ]);
}

/// The same of nodes.
fn nodes_measured(cluster: &Cluster) {
    let nodes = MEASURED
        .replace("name: pods.", "name: nodes.")
        .replace("Namespaced", "Cluster")
        .replace(
            "plural: pods, singular: pod",
            "plural: nodes, singular: node",
        )
        .replace("PodMetrics", "NodeMetrics");
    cluster.apply("default", &nodes);
    cluster.kubectl(&[
        "wait",
        "--for=condition=Established",
        "crd/nodes.metrics.k8s.io",
        "--timeout=30s",
    ]);
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn each_node_is_told_with_what_is_used_of_it() {
    let cluster = Cluster::start();
    give_nodes(&cluster, "256Mi");
    cluster.kubectl(&["cordon", "node-3"]);
    let manifests = deployment("db", "db:1", "replicas: 1");
    let site = Site::with(&cluster, &manifests, GATED);
    let mut server = site.server();
    let sent = json!({"view": "nodes", "sort": "name"});
    let told = ask(&mut server, "get_resources", sent.clone());
    assert_eq!(
        (&told["total"], &told["complete"]),
        (&json!(3), &json!(true))
    );
    let warned = told["warnings"].to_string();
    assert!(warned.contains("no metrics.k8s.io"), "{told:#}");

    nodes_measured(&cluster);
    cluster.apply(
        "default",
        "apiVersion: metrics.k8s.io/v1beta1\nkind: NodeMetrics\nmetadata: { name: node-2 }\nwindow: 15s\n\
         usage: { memory: 192Mi, cpu: 300m }\n",
    );
    let told = ask(&mut server, "get_resources", sent);
    let table = &told["nodes"];
    let column = |name: &str| {
        let columns = table["columns"].as_array().expect("columns");
        let found = columns.iter().position(|one| one == name);
        found.unwrap_or_else(|| panic!("{name}: {told:#}"))
    };
    let cell = |row: usize, name: &str| &table["rows"][row][column(name)];
    assert_eq!(cell(1, "name"), "node-2");
    assert_eq!(
        (cell(1, "memory"), cell(1, "memory_used")),
        (&json!("256Mi"), &json!("192Mi"))
    );
    assert_eq!(cell(1, "cpu_used"), "300m", "{told:#}");
    assert_eq!(cell(0, "memory_used"), &Value::Null, "{told:#}");
    assert_eq!(
        (cell(2, "ready"), cell(2, "left_out")),
        (&json!(true), &json!("cordoned"))
    );
    assert!(told.get("services").is_none(), "{told:#}");

    // Nodes stand in no namespace.
    let namespace = &site.namespace;
    cluster.kubectl(&[
        "create",
        "rolebinding",
        "viewer",
        "-n",
        namespace,
        "--clusterrole=edit",
        "--user=viewer",
    ]);
    let site = Site::asking(&cluster.viewer(), namespace, &manifests, GATED);
    let told = ask(
        &mut site.server(),
        "get_resources",
        json!({"view": "nodes"}),
    );
    let message = told["message"].to_string();
    assert!(
        message.contains("list nodes") && message.contains("not allowed"),
        "{told:#}"
    );
}

fn give_nodes(cluster: &Cluster, memory: &str) {
    for node in ["node-1", "node-2", "node-3"] {
        let given = json!({"status": {"allocatable": {"memory": memory}}}).to_string();
        cluster.kubectl(&[
            "patch",
            "node",
            node,
            "--subresource=status",
            "--type=merge",
            "-p",
            &given,
        ]);
    }
}

fn check<'a>(plan: &'a Value, name: &str) -> &'a Value {
    let rows = plan["checks"]["rows"].as_array().expect("checks");
    let row = rows.iter().find(|row| row[0] == name);
    row.unwrap_or_else(|| panic!("{name}: {plan:#}"))
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn a_gate_on_memory_decides_by_what_nodes_have_that_take_pods() {
    let cluster = Cluster::start();
    measured(&cluster);
    give_nodes(&cluster, "16Mi");
    cluster.kubectl(&["cordon", "node-3"]);
    let manifests = deployment("db", "db:1", "replicas: 1");
    let site = Site::with(&cluster, &manifests, GATED);
    let mut server = site.server();
    let plan = ask(&mut server, "plan_deployment", json!({}));
    let resources = check(&plan, "resources available");
    assert_eq!(resources[1], "no", "{plan:#}");
    let note = resources[2].as_str().expect("a note");
    for part in [
        "limits of 64Mi in 32Mi",
        "2 of 3 nodes, left out: 1 cordoned",
        "other namespaces",
    ] {
        assert!(note.contains(part), "{part}: {plan:#}");
    }
    give_nodes(&cluster, "256Mi");
    let plan = ask(&mut server, "plan_deployment", json!({}));
    assert!(
        !plan["checks"].to_string().contains("resources"),
        "{plan:#}"
    );

    let run = begin(&mut server, json!({}));
    let gate =
        |seen: &Value, text: &str| seen["state"] != "running" || seen.to_string().contains(text);
    // Nobody has measured the pod yet: nothing is concluded.
    let seen = until(&mut server, &run, |seen| {
        gate(seen, "nothing is measured of")
    });
    assert_eq!(seen["state"], "running", "{seen:#}");
    let pod = cluster.kubectl(&["get", "pods", "-n", &site.namespace, "-o", "name"]);
    let pod = pod.trim_start_matches("pod/");
    cluster.apply(
        &site.namespace,
        &format!(
            "apiVersion: metrics.k8s.io/v1beta1\nkind: PodMetrics\nmetadata: {{ name: {pod} }}\nwindow: 15s\n\
             containers: [{{ name: main, usage: {{ memory: 256Mi, cpu: 100m }} }}]\n"
        ),
    );
    // Half of what two nodes have, a third of what three have.
    let seen = until(&mut server, &run, |seen| gate(seen, "is 50"));
    assert_eq!(seen["state"], "running", "{seen:#}");
    let used = ask(&mut server, "get_resources", json!({}));
    assert_eq!(used["capacity"]["memory"], "512Mi", "{used:#}");
    assert_eq!(used["capacity"]["measured"], json!(["memory", "cpu"]));
    let nodes = used["capacity"]["nodes"].as_str().expect("of nodes");
    assert!(nodes.starts_with("2 of 3 nodes, left out: 1 cordoned"));
    cluster.kubectl(&["uncordon", "node-3"]);
    ends(&mut server, &run, "succeeded");
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn who_may_not_list_nodes_is_told_so_and_no_number_is_made_up() {
    let cluster = Cluster::start();
    measured(&cluster);
    let namespace = cluster.namespace();
    let manifests = deployment("db", "db:1", "replicas: 1");
    let site = Site::asking(&cluster.viewer(), &namespace, &manifests, GATED);
    cluster.allow_viewer(&namespace, "*", "*.*");
    let mut server = site.server();
    let is_told = |text: String, whole: &Value| {
        assert!(text.contains("list nodes"), "{text}: {whole:#}");
        assert!(text.contains("not allowed"), "{text}: {whole:#}");
    };
    let plan = ask(&mut server, "plan_deployment", json!({}));
    let resources = check(&plan, "resources available");
    assert_eq!(resources[1], "could not look", "{plan:#}");
    is_told(resources[2].to_string(), &plan);
    let used = ask(&mut server, "get_resources", json!({}));
    assert_eq!(used.get("capacity"), None, "{used:#}");
    is_told(used["warnings"].to_string(), &used);
    let run = begin(&mut server, json!({}));
    let seen = until(&mut server, &run, |seen| {
        seen["state"] != "running" || seen["phases"].to_string().contains("at its gate")
    });
    assert_eq!(seen["state"], "running", "{seen:#}");
    let pod = cluster.kubectl(&["get", "pods", "-n", &namespace, "-o", "name"]);
    let pod = pod.trim_start_matches("pod/");
    cluster.apply(
        &namespace,
        &format!(
            "apiVersion: metrics.k8s.io/v1beta1\nkind: PodMetrics\nmetadata: {{ name: {pod} }}\nwindow: 15s\n\
             containers: [{{ name: main, usage: {{ memory: 256Mi, cpu: 100m }} }}]\n"
        ),
    );
    let seen = until(&mut server, &run, |seen| {
        seen["state"] != "running" || seen.to_string().contains("capacity for memory")
    });
    assert_eq!(seen["state"], "running", "{seen:#}");
    is_told(seen.to_string(), &seen);

    cluster.kubectl(&[
        "create",
        "clusterrole",
        "nodes",
        "--verb=list",
        "--resource=nodes",
    ]);
    cluster.kubectl(&[
        "create",
        "clusterrolebinding",
        "viewer",
        "--clusterrole=nodes",
        "--user=viewer",
    ]);
    ends(&mut server, &run, "succeeded");
    let used = ask(&mut server, "get_resources", json!({}));
    let nodes = used["capacity"]["nodes"].as_str().expect("of nodes");
    assert!(nodes.starts_with("3 of 3 nodes; shared"), "{used:#}");
}
