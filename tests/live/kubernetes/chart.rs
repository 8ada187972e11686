//! The chart, by real Helm on a real API server: what it makes, and that the server works with it.

use std::{fs, path::Path, process::Command};

use base64::{Engine as _, prelude::BASE64_STANDARD as STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    cluster::{self, Cluster},
    platforms::{provide_volume, reference},
    site::{Site, ask},
};
use crate::docker::client::server::{self, Server, http, initialize, post, request};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/openpolicy-mcp");
const TOKEN: &str = "a-long-token-of-the-tests";

/// What the chart calls everything of the release `one`.
const NAME: &str = "one-openpolicy-mcp";

/// The release `one` in a namespace of its own, with the Secrets that it refers to.
struct Release {
    cluster: &'static Cluster,
    namespace: String,
    home: TempDir,
}

impl Release {
    fn new() -> Self {
        let cluster = cluster::shared();
        let namespace = cluster.namespace();
        cluster.kubectl(&[
            "create",
            "secret",
            "generic",
            "openpolicy-mcp",
            "-n",
            &namespace,
            "--from-literal=openmetadata-token=eyJ.of.nobody",
            &format!("--from-literal=http-token={TOKEN}"),
        ]);
        Self {
            cluster,
            namespace,
            home: tempfile::tempdir().expect("a folder"),
        }
    }

    /// Whether Helm ends well, and all that it said.
    fn tried(&self, arguments: &[&str]) -> (bool, String) {
        let program = std::env::var("OPENPOLICY_HELM")
            .expect("OPENPOLICY_HELM, as `./run test kubernetes` sets it");
        let ended = Command::new(program)
            .args(arguments)
            .args(["--namespace", &self.namespace])
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .env("HOME", self.home.path())
            .output()
            .expect("helm");
        let said = [ended.stdout, ended.stderr].concat();
        (
            ended.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    #[track_caller]
    fn helm(&self, arguments: &[&str]) -> String {
        let (is_fine, said) = self.tried(arguments);
        assert!(is_fine, "helm {arguments:?}: {said}");
        said
    }

    /// `upgrade --install`, waited for, with more values.
    #[track_caller]
    fn install(&self, values: &[&str]) -> String {
        let wait = [
            "upgrade",
            "--install",
            "one",
            CHART,
            "--wait",
            "--timeout",
            "240s",
        ];
        self.helm(&[&wait, values].concat())
    }

    fn object(&self, name: &str) -> Option<Value> {
        self.cluster.object(&self.namespace, name)
    }

    #[track_caller]
    fn stateful_set(&self) -> Value {
        self.object(&format!("statefulset/{NAME}"))
            .expect("a StatefulSet")
    }

    /// A token as the pods of the release have it.
    fn token(&self) -> String {
        self.cluster
            .kubectl(&["create", "token", NAME, "-n", &self.namespace])
    }
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn it_is_linted_installed_upgraded_and_rolled_back() {
    let release = Release::new();
    for number in 0..2 {
        let claim = format!("state-{NAME}-{number}");
        provide_volume(release.cluster, &release.namespace, &claim);
    }
    let linted = release.helm(&["lint", "--strict", CHART]);
    assert!(linted.contains("0 chart(s) failed"), "{linted}");

    let said = release.install(&[]);
    assert!(said.contains(&format!("http://{NAME}.")), "{said}");
    let made = release.stateful_set();
    assert_eq!(made["status"]["readyReplicas"], 1, "{made:#}");
    let claim = release.object(&format!("persistentvolumeclaim/state-{NAME}-0"));
    assert_eq!(claim.expect("a claim")["status"]["phase"], "Bound");
    let pod = &made["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false, "{pod:#}");
    assert_eq!(release.object(&format!("role/{NAME}")), None);

    // Without a platform there may be two, which are not ended together.
    release.install(&["--set", "replicas=2,dashboards.enabled=true"]);
    let dashboard = release.object(&format!("configmap/{NAME}-platform"));
    let dashboard = dashboard.expect("a dashboard")["data"]["platform.json"].to_string();
    assert!(dashboard.contains("openpolicy_service_up"), "{dashboard}");
    assert_eq!(release.stateful_set()["status"]["readyReplicas"], 2);
    let budget = release.object(&format!("poddisruptionbudget/{NAME}"));
    assert_eq!(budget.expect("a budget")["spec"]["maxUnavailable"], 1);

    // A version that never gets ready is taken back by Helm.
    let bad = ["--set", "replicas=2,image.tag=unready"];
    let upgrade = ["upgrade", "one", CHART, "--atomic", "--timeout", "15s"];
    let (is_fine, said) = release.tried(&[&upgrade[..], &bad].concat());
    assert!(!is_fine && said.contains("rolled back"), "{said}");
    let seen = release.stateful_set();
    let image = &seen["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(image, "openpolicy-mcp:0.1.0", "{seen:#}");

    release.helm(&["rollback", "one", "1", "--wait", "--timeout", "240s"]);
    assert_eq!(release.stateful_set()["status"]["readyReplicas"], 1);
    assert_eq!(release.object(&format!("poddisruptionbudget/{NAME}")), None);
    release.helm(&["uninstall", "one", "--wait"]);
    assert_eq!(release.object(&format!("service/{NAME}")), None);
    // What is kept is kept.
    assert!(
        release
            .object(&format!("persistentvolumeclaim/state-{NAME}-0"))
            .is_some()
    );
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn values_that_cannot_be_are_refused_in_words() {
    let release = Release::new();
    for (values, word) in [
        ("replicas=2,platform.configMap=p", "cannot share a journal"),
        ("replicas=2,http.sessions=true", "kept by one server"),
        ("access=look", "nothing to look at"),
        ("access=everything", "access"),
        ("acces=look", "acces"),
        ("platform.configMap=p,platform.trust={abc}", "trust"),
        ("openmetadata.url=metadata:8585", "url"),
        ("http.tokenSecret.name=", "tokenSecret"),
    ] {
        let (is_fine, said) = release.tried(&["template", "one", CHART, "--set", values]);
        assert!(!is_fine && said.contains(word), "{values}: {said}");
    }
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn the_plain_manifests_are_what_the_chart_makes() {
    let release = Release::new();
    let made = release.tried(&["template", "openpolicy-mcp", CHART]).1;
    let made = made.replace(&release.namespace, "openpolicy-mcp");
    let file = Path::new(CHART).with_file_name("manifests.yaml");
    let written = fs::read_to_string(&file).unwrap_or_default();
    let (_, written) = written.split_once("---\n").unwrap_or_default();
    assert!(
        made.trim_start_matches("---\n") == written,
        "{} is not what the chart makes; it is below the comment:\n{made}",
        file.display()
    );
    let plain = written.replace(
        "namespace: openpolicy-mcp",
        &format!("namespace: {}", release.namespace),
    );
    release.cluster.apply(&release.namespace, &plain);
}

/// The reference platform `kubernetes` in this namespace, as it is inside a pod: no kubeconfig, and so
/// no context.
fn in_pod(namespace: &str) -> TempDir {
    let folder = reference("kubernetes", namespace);
    let text = fs::read_to_string(folder.path().join("cluster.yaml")).expect("a file");
    let context = format!("    context: kind-{namespace}\n");
    assert!(text.contains(&context), "{text}");
    let text = text.replace(&context, "");
    fs::write(folder.path().join("platform.yaml"), text).expect("a file");
    folder
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn its_rights_are_what_the_server_needs_and_no_more() {
    let release = Release::new();
    let target = release.cluster.namespace();
    let site = Site::of(in_pod(&target), &release.namespace);
    let values = |access: &str| {
        format!(
            "state.persistent=false,platform.configMap=p,platform.namespace={target},access={access},\
             clusterAccess=true"
        )
    };
    release.cluster.kubectl(&[
        "create",
        "configmap",
        "p",
        "-n",
        &release.namespace,
        "--from-literal=platform.yaml=platform: p",
    ]);
    release.install(&["--set", &values("look")]);
    let mut server = site.server_in_pod(release.cluster, &release.token());
    let health = ask(&mut server, "check_health", json!({"refresh": true}));
    // It may look, and sees that nothing is there.
    for row in health["services"]["rows"].as_array().expect("services") {
        assert_eq!(row[3], "its process was never started", "{health:#}");
    }
    let plan = ask(&mut server, "plan_deployment", json!({}));
    let text = plan.to_string();
    assert!(text.contains("patch statefulsets.apps"), "{plan:#}");
    assert!(!text.contains("list pods"), "{plan:#}");

    release.install(&["--set", &values("deploy")]);
    let plan = ask(&mut server, "plan_deployment", json!({}));
    assert!(!plan.to_string().contains("missing in"), "{plan:#}");
    assert!(!plan.to_string().contains("forbidden"), "{plan:#}");
    for row in plan["phases"]["rows"].as_array().expect("phases") {
        assert!(row[2].to_string().contains("create"), "{plan:#}");
    }
    let account = format!("--as=system:serviceaccount:{}:{NAME}", release.namespace);
    for (verb, what, place) in [
        ("delete", "persistentvolumeclaims", target.as_str()),
        ("list", "secrets", target.as_str()),
        ("get", "secrets", release.namespace.as_str()),
        ("patch", "deployments", release.namespace.as_str()),
        ("delete", "namespaces", target.as_str()),
    ] {
        let asked = ["auth", "can-i", verb, what, "-n", place, &account];
        let (is_allowed, said) = release.cluster.tried(&asked, "");
        assert!(!is_allowed && said.contains("no"), "{verb} {what}: {said}");
    }
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn what_its_container_runs_is_a_server_that_answers() {
    let release = Release::new();
    let target = release.cluster.namespace();
    let files = in_pod(&target);
    let platform = format!(
        "--from-file=platform.yaml={}/platform.yaml",
        files.path().display()
    );
    let folder = format!("--from-file={}/k8s", files.path().display());
    for (name, from) in [("platform", &platform), ("manifests", &folder)] {
        release
            .cluster
            .kubectl(&["create", "configmap", name, "-n", &release.namespace, from]);
    }
    let file = files.path().join("platform.yaml").display().to_string();
    let digest = server::digest(&file, &[("OPENPOLICY_STATE", "/nowhere")]);
    let values = format!(
        "state.persistent=false,platform.configMap=platform,platform.folders.k8s=manifests,\
         platform.trust={{{digest}}},toolsets={{all}},access=look,http.allowedHosts={{mcp.example.org}}"
    );
    release.install(&["--set", &values]);

    // As a kubelet prepares the container: Secrets and ConfigMaps as files behind links.
    let root = tempfile::tempdir().expect("a folder");
    let made = release.stateful_set();
    let pod = &made["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    for mount in container["volumeMounts"].as_array().expect("mounts") {
        let volume = pod["volumes"].as_array().expect("volumes");
        let volume = volume.iter().find(|one| one["name"] == mount["name"]);
        let volume = volume.expect("a volume");
        let path = mount["mountPath"].as_str().expect("a path");
        let place = root.path().join(path.trim_start_matches('/'));
        release.provide(volume, mount["subPath"].as_str(), &place);
    }
    let inside = |value: &Value| {
        let text = value.as_str().expect("a text");
        let below = |path: &str| root.path().join(path).display().to_string();
        text.replace("/etc/openpolicy", &below("etc/openpolicy"))
            .replace("/state", &below("state"))
            .replace("0.0.0.0:8765", "127.0.0.1:0")
    };
    let arguments: Vec<String> = container["args"]
        .as_array()
        .expect("arguments")
        .iter()
        .map(inside)
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let environment: Vec<(String, String)> = container["env"]
        .as_array()
        .expect("variables")
        .iter()
        .map(|one| {
            (
                one["name"].as_str().expect("a name").to_owned(),
                inside(&one["value"]),
            )
        })
        .collect();
    let environment: Vec<(&str, &str)> = environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let mut server = Server::start(&arguments, &environment);
    let address = server.listens();

    let host = format!("{NAME}.{}.svc:8765", release.namespace);
    let bearer = format!("Bearer {TOKEN}");
    // The kubelet asks by the address of the pod, without a token.
    assert_eq!(http(address, "GET", "/healthz", &[], "").status, 200);
    for (host, authorization, status) in [
        (host.as_str(), bearer.as_str(), 200),
        ("mcp.example.org", &bearer, 200),
        ("elsewhere.example.org", &bearer, 403),
        (&host, "Bearer another", 401),
    ] {
        let headers = [("Host", host), ("Authorization", authorization)];
        let reply = post(address, &headers, &initialize("2025-06-18"));
        assert_eq!(reply.status, status, "{host}: {reply:?}");
    }
    let headers = [
        ("Host", host.as_str()),
        ("Authorization", &bearer),
        ("MCP-Protocol-Version", "2025-06-18"),
    ];
    let call = |name: &str| {
        let parameters = json!({"name": name, "arguments": {}});
        post(address, &headers, &request(2, "tools/call", parameters)).json()
    };
    let platform = call("get_platform").to_string();
    assert!(platform.contains("api-gateway"), "{platform}");
    // It is trusted: a cluster is asked, which is nowhere for this process.
    let plan = call("plan_deployment").to_string();
    assert!(!plan.contains("not trusted"), "{plan}");
}

impl Release {
    /// What a kubelet puts where a volume is mounted.
    fn provide(&self, volume: &Value, sub_path: Option<&str>, place: &Path) {
        let (kind, name) = match (
            &volume["secret"]["secretName"],
            &volume["configMap"]["name"],
        ) {
            (Value::String(name), _) => ("secret", name),
            (_, Value::String(name)) => ("configmap", name),
            _ => return fs::create_dir_all(place).expect("a folder"),
        };
        let object = self.object(&format!("{kind}/{name}")).expect(name);
        let all = object["data"].as_object().expect("keys");
        let text = |value: &Value| {
            let value = value.as_str().expect("a text");
            match kind {
                "secret" => {
                    String::from_utf8(STANDARD.decode(value).expect("base64")).expect("a text")
                }
                _ => value.to_owned(),
            }
        };
        if let Some(key) = sub_path {
            fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
            return fs::write(place, text(&all[key])).expect("a file");
        }
        let data = place.join("..2026_01_01");
        fs::create_dir_all(&data).expect("a folder");
        std::os::unix::fs::symlink("..2026_01_01", place.join("..data")).expect("a link");
        let items = volume["secret"]["items"].as_array();
        for (key, value) in all {
            let path = match items {
                Some(items) => match items.iter().find(|item| item["key"] == **key) {
                    Some(item) => item["path"].as_str().expect("a path"),
                    None => continue,
                },
                None => key,
            };
            fs::write(data.join(path), text(value)).expect("a file");
            let link = Path::new("..data").join(path);
            std::os::unix::fs::symlink(link, place.join(path)).expect("a link");
        }
    }
}
