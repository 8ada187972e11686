//! Traffic shifted by weights, on a real API server with the resource definitions of Istio. Nothing
//! routes there; the weights, who holds them and what stands around them are real.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    applying::deployment,
    cluster::{self, Cluster},
    site::{Site, ask, begin, bin, driver, ends, signal, until},
};
use crate::{
    docker::platforms::copy,
    engines::{Engine, PATIENCE, free_port, prometheus::Watch},
    local::Local,
};

/// A control plane of its own: what tests share has no Istio.
fn with_istio() -> &'static Cluster {
    static MADE: OnceLock<Cluster> = OnceLock::new();
    MADE.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/kubernetes/istio");
        let found = Command::new(script).output().expect("bash");
        let file = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        assert!(found.status.success() && !file.is_empty(), "{found:?}");
        let cluster = Cluster::start();
        cluster.kubectl(&["apply", "--server-side", "-f", &file]);
        cluster.kubectl(&[
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "crd/virtualservices.networking.istio.io",
            "crd/destinationrules.networking.istio.io",
        ]);
        cluster
    })
}

/// A route with these destinations (`v1 100`), and a header that has to stay what it is.
fn route(destinations: &[&str]) -> String {
    let all: Vec<String> = destinations
        .iter()
        .map(|one| {
            let (subset, weight) = one.split_once(' ').expect("a weight");
            format!("{{ destination: {{ host: api, subset: {subset} }}, weight: {weight} }}")
        })
        .collect();
    format!(
        "apiVersion: networking.istio.io/v1beta1\nkind: VirtualService\nmetadata: {{ name: api-vs }}\n\
         spec:\n  hosts: [api]\n  http:\n\
         \x20   - match: [{{ headers: {{ tester: {{ exact: 'yes' }} }} }}]\n\
         \x20     route: [{{ destination: {{ host: api, subset: v2 }} }}]\n\
         \x20   - timeout: 5s\n      route: [{}]\n---\n",
        all.join(", ")
    )
}

fn rule(subsets: &[&str]) -> String {
    let all: Vec<String> = subsets
        .iter()
        .map(|one| format!("{{ name: {one}, labels: {{ version: {one} }} }}"))
        .collect();
    format!(
        "apiVersion: networking.istio.io/v1beta1\nkind: DestinationRule\nmetadata: {{ name: api }}\n\
         spec: {{ host: api, subsets: [{}] }}\n---\n",
        all.join(", ")
    )
}

/// `api`, then `api-v2` with traffic; `gate` and `more` of that phase.
fn platform(weights: &str, gate: &str, more: &str) -> String {
    format!(
        "services: {{ api: {{ probe: {{ process: true, interval: 1s }} }}, api-v2: {{ probe: {{ process: true, interval: 1s }} }} }}\n\
         phases:\n\
         \x20 - {{ name: base, steps: [[api]], gate: {{ healthy: all, stable_for: 1s, timeout: 60s }} }}\n\
         \x20 - {{ name: canary, steps: [[api-v2]], traffic: {{ virtual_service: api-vs, from: v1, to: v2, weights: {weights}{more} }}, \
         gate: {{ healthy: all, {gate} }} }}\n"
    )
}

fn manifests() -> String {
    deployment("api", "api:1", "replicas: 1") + &deployment("api-v2", "api:2", "replicas: 1")
}

/// A platform whose route gives everything to the first version.
fn site(kubeconfig: &Path, platform: &str) -> Site {
    let cluster = with_istio();
    let namespace = cluster.namespace();
    let routes = route(&["v1 100", "v2 0"]) + &rule(&["v1", "v2"]);
    cluster.apply(&namespace, &routes);
    Site::asking(kubeconfig, &namespace, &manifests(), platform)
}

fn object(namespace: &str) -> Value {
    let found = with_istio().object(namespace, "virtualservice/api-vs");
    found.expect("a route")
}

fn weights(namespace: &str) -> (u64, u64) {
    let object = object(namespace);
    let weight = |at: usize| object["spec"]["http"][1]["route"][at]["weight"].as_u64();
    (weight(0).expect("a weight"), weight(1).expect("a weight"))
}

/// Sets weights as somebody else does.
fn set(namespace: &str, (from, to): (u64, u64)) {
    let change = json!([
        {"op": "replace", "path": "/spec/http/1/route/0/weight", "value": from},
        {"op": "replace", "path": "/spec/http/1/route/1/weight", "value": to},
    ]);
    with_istio().kubectl(&[
        "patch",
        "-n",
        namespace,
        "virtualservice/api-vs",
        "--type=json",
        "-p",
        &change.to_string(),
    ]);
}

#[track_caller]
fn until_weights(namespace: &str, wanted: (u64, u64)) {
    let begun = Instant::now();
    while weights(namespace) != wanted {
        assert!(begun.elapsed() < PATIENCE, "{:?}", weights(namespace));
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn has(cluster: &Cluster, namespace: &str, name: &str) -> bool {
    cluster.object(namespace, name).is_some()
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn what_shifting_needs_is_asked_for_before_anything_is_done() {
    let text = platform("[10, 100]", "stable_for: 1s, timeout: 60s", "");
    let told = |site: &Site| {
        let mut server = site.server();
        let plan = ask(&mut server, "plan_deployment", json!({}));
        assert!(plan["digest"].is_null(), "{plan:#}");
        (plan["code"].clone(), plan.to_string())
    };
    let plain = cluster::shared();
    let without = Site::with(plain, &manifests(), &text);
    let (code, words) = told(&without);
    assert_eq!(code, "not_found", "{words}");
    for part in [
        "virtualservices.networking.istio.io",
        "istioctl install --set profile=demo -y",
        "phase canary",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    // What shifts nothing is planned there as before.
    let mut server = without.server();
    let base = ask(&mut server, "plan_deployment", json!({"phases": ["base"]}));
    assert!(base["digest"].is_string(), "{base:#}");

    let cluster = with_istio();
    let namespace = cluster.namespace();
    let viewed = Site::asking(&cluster.viewer(), &namespace, &manifests(), &text);
    let (code, words) = told(&viewed);
    assert_eq!(code, "forbidden", "{words}");
    for right in [
        "get virtualservices.networking.istio.io",
        "patch virtualservices.networking.istio.io",
        "list destinationrules.networking.istio.io",
    ] {
        assert!(words.contains(right), "{right}: {words}");
    }

    let site = Site::asking(&cluster.kubeconfig(), &namespace, &manifests(), &text);
    let (code, words) = told(&site);
    assert_eq!(code, "not_found", "{words}");
    let missing = format!("there is no VirtualService api-vs in the namespace {namespace}");
    assert!(words.contains(&missing), "{words}");
    for (destinations, subsets, part) in [
        (
            &["v1 100"][..],
            &["v1", "v2"][..],
            "the second one with weight 0",
        ),
        (
            &["v1 80", "v2 10", "v3 10"],
            &["v1", "v2"],
            "among 3 destinations",
        ),
        (
            &["v1 100", "v2 0"],
            &["v1"],
            "defines the subset v2 of `api`",
        ),
    ] {
        cluster.apply(&namespace, &(route(destinations) + &rule(subsets)));
        let (_, words) = told(&site);
        assert!(words.contains(part), "{part}: {words}");
    }
    assert!(!has(cluster, &namespace, "deployment/api"));
}

/// What the newer version counts of its requests, as whoever scrapes it is told.
#[derive(Default)]
struct Counted {
    is_failing: AtomicBool,
    all: AtomicU64,
    failed: AtomicU64,
}

impl Counted {
    fn metrics(&self) -> String {
        let all = self.all.fetch_add(100, Ordering::SeqCst) + 100;
        let more = if self.is_failing.load(Ordering::SeqCst) {
            20
        } else {
            0
        };
        let failed = self.failed.fetch_add(more, Ordering::SeqCst) + more;
        format!(
            "# TYPE istio_requests_total counter\n\
             istio_requests_total{{destination_version=\"v2\",response_code=\"500\"}} {failed}\n\
             istio_requests_total{{destination_version=\"v2\",response_code=\"200\"}} {}\n",
            all - failed
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "builds a control plane: ./run test kubernetes"]
async fn a_canary_stopped_by_what_prometheus_says_gives_the_requests_back_and_then_goes() {
    let counted = Arc::new(Counted::default());
    counted.is_failing.store(true, Ordering::SeqCst);
    let told = Arc::clone(&counted);
    let app = Local::http(move |_| (200, "text/plain; version=0.0.4", told.metrics())).await;
    let mut watch = Watch::start(app.port, "groups: []\n").await;
    let limit = Duration::from_secs(20);
    watch
        .until(
            async |watch| {
                let query = "sum(rate(istio_requests_total[2s]))";
                watch.prometheus.at(query, None, limit).await.ok()
            },
            |found| found.as_ref().is_some_and(|found| !found.series.is_empty()),
        )
        .await;
    let of_v2 = "istio_requests_total{destination_version=\"v2\"";
    let metered = format!(
        "prometheus: {{ url: \"http://127.0.0.1:{}\" }}\nmetrics:\n  errors: 'sum(rate({of_v2},response_code=~\"5..\"}}[2s])) / \
         sum(rate({of_v2}}}[2s]))'\n",
        watch.port
    );
    let gate = "errors_below: 5%, stable_for: 2s, timeout: 8s";
    let text = metered + &platform("[10, 50, 100]", gate, "");
    tokio::task::block_in_place(|| stopped_and_gone(&text, &counted));
}

fn stopped_and_gone(text: &str, counted: &Counted) {
    let cluster = with_istio();
    let site = site(&cluster.kubeconfig(), text);
    let namespace = &site.namespace;
    let first = object(namespace);
    let mut server = site.server();
    let plan = ask(&mut server, "plan_deployment", json!({}));
    let steps = plan["phases"]["rows"][1][1].as_str().expect("steps");
    assert_eq!(
        steps,
        "api-v2 > 10 %, 50 %, 100 % of api-vs from v1 to v2 (now 0 %), gate between"
    );
    let run = begin(&mut server, json!({}));
    let seen = until(&mut server, &run, |seen| {
        seen["phases"]["rows"][1][3]
            .as_str()
            .is_some_and(|gate| gate.contains("errors"))
    });
    let gate = seen["phases"]["rows"][1][3].as_str().expect("a gate");
    assert!(gate.starts_with("v2 has 10 % of api-vs; "), "{seen:#}");
    assert_eq!(weights(namespace), (90, 10));
    let seen = ends(&mut server, &run, "rolled_back");
    let reason = seen["reason"].to_string();
    assert!(
        reason.contains("the gate of canary at 10 % did not pass"),
        "{seen:#}"
    );
    assert!(reason.contains("errors < 5% (is 20%)"), "{seen:#}");
    let now = object(namespace);
    assert_eq!(now["spec"], first["spec"]);
    assert!(!has(cluster, namespace, "deployment/api-v2"));
    let timeline = seen["timeline"].to_string();
    let (back, gone) = (
        timeline.find("traffic taken back (shifted back)"),
        timeline.find("api-v2 taken back"),
    );
    assert!(back.is_some() && back < gone, "{seen:#}");
    // Whose the routes are by now is to be seen.
    let whole = cluster.kubectl(&[
        "get",
        "-n",
        namespace,
        "virtualservice/api-vs",
        "-o",
        "yaml",
        "--show-managed-fields",
    ]);
    assert!(whole.contains("manager: openpolicy-mcp-traffic"), "{whole}");

    counted.is_failing.store(false, Ordering::SeqCst);
    let run = begin(&mut server, json!({}));
    let seen = ends(&mut server, &run, "succeeded");
    assert_eq!(weights(namespace), (0, 100));
    // Nothing but the weights is another.
    let mut now = object(namespace);
    for (at, weight) in [(0, 100), (1, 0)] {
        now["spec"]["http"][1]["route"][at]["weight"] = weight.into();
    }
    assert_eq!(now["spec"], first["spec"]);
    assert!(has(cluster, namespace, "deployment/api-v2"), "{seen:#}");

    // By hand: the requests first.
    let back = ask(&mut server, "roll_back", json!({"run": run}));
    let rows = &back["would_take_back"]["rows"];
    assert_eq!(rows[0][0], "traffic of api-vs", "{back:#}");
    assert_eq!(rows[0][1], "v1 to v2 as 100 to 0", "{back:#}");
    let second = ask(
        &mut server,
        "roll_back",
        json!({"digest": back["digest"], "reason": "a test"}),
    );
    ends(&mut server, &second["run"], "rolled_back");
    assert_eq!(weights(namespace), (100, 0));
    assert!(!has(cluster, namespace, "deployment/api-v2"));
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn a_person_lets_each_weight_come_with_a_tool_or_the_command() {
    let text = platform(
        "[10, 50, 100]",
        "stable_for: 1s, timeout: 60s",
        ", promote: person",
    );
    let site = site(&with_istio().kubeconfig(), &text);
    let mut server = site.server();
    let run = begin(&mut server, json!({}));
    let seen = ends(&mut server, &run, "paused");
    assert_eq!(
        seen["reason"], "v2 has 10 % of api-vs: `promote` goes on to 50 %",
        "{seen:#}"
    );
    assert_eq!(
        seen["phases"]["rows"][1][3], "v2 has 10 % of api-vs",
        "{seen:#}"
    );
    assert!(
        seen["next_step"].to_string().contains("`promote` goes on"),
        "{seen:#}"
    );
    assert_eq!(weights(&site.namespace), (90, 10));
    let promote = json!({"run": run, "action": "promote", "reason": "looks well"});
    ask(&mut server, "control_deployment", promote);
    let seen = until(&mut server, &run, |seen| {
        seen["reason"] == "v2 has 50 % of api-vs: `promote` goes on to 100 %"
    });
    assert_eq!(weights(&site.namespace), (50, 50));
    assert!(
        seen["timeline"]
            .to_string()
            .contains("past 10 % of api-vs to v2, let pass by"),
        "{seen:#}"
    );
    let path = |name: &str| site.folder.path().join(name).display().to_string();
    let promoted = Command::new(bin())
        .args(["promote", &run.to_string(), "--follow"])
        .args([
            "--platform",
            &path("platform.yaml"),
            "--state",
            &path("state"),
        ])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&promoted.stdout).into_owned();
    assert!(promoted.status.success(), "{promoted:?}");
    assert!(said.contains("100 % of api-vs to v2"), "{said}");
    ends(&mut server, &run, "succeeded");
    assert_eq!(weights(&site.namespace), (0, 100));
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn what_somebody_else_set_is_told_with_their_name_and_stays() {
    let text = platform("[10, 50, 100]", "stable_for: 3s, timeout: 60s", "");
    let cluster = with_istio();
    let site = site(&cluster.kubeconfig(), &text);
    let namespace = &site.namespace;
    let mut server = site.server();
    let run = begin(&mut server, json!({}));
    until_weights(namespace, (90, 10));
    set(namespace, (70, 30));
    let seen = ends(&mut server, &run, "stuck");
    let reason = seen["reason"].to_string();
    for part in [
        "`kubectl-patch`",
        "70 to 30",
        "90 to 10 was expected",
        "no service was",
    ] {
        assert!(reason.contains(part), "{part}: {seen:#}");
    }
    assert_eq!(weights(namespace), (70, 30));
    assert!(has(cluster, namespace, "deployment/api-v2"));
    set(namespace, (100, 0));
    let resume = json!({"run": run, "action": "resume"});
    ask(&mut server, "control_deployment", resume);
    ends(&mut server, &run, "rolled_back");
    assert_eq!(weights(namespace), (100, 0));
    assert!(!has(cluster, namespace, "deployment/api-v2"));

    // Between a plan and its run.
    let plan = ask(&mut server, "plan_deployment", json!({}));
    set(namespace, (99, 1));
    let stale = ask(
        &mut server,
        "deploy_phase",
        json!({"digest": plan["digest"]}),
    );
    assert_eq!(stale["code"], "stale_plan", "{stale:#}");
    assert!(
        stale
            .to_string()
            .contains("divided requests 100 to 0 and now does 99 to 1"),
        "{stale:#}"
    );
}

/// Between a client and the API server: with `holds` no answer to a shift comes through, which is done
/// all the same.
struct Between {
    kubeconfig: tempfile::NamedTempFile,
    holds: Arc<AtomicBool>,
    _proxy: Engine,
}

impl Between {
    fn start(cluster: &Cluster) -> Self {
        let upstream = free_port();
        let built = std::env::var("OPENPOLICY_KUBERNETES").expect("a control plane");
        let kubectl = format!("{built}/bin/kubectl");
        let proxy = Engine::start(
            &[kubectl, "proxy".to_owned(), format!("--port={upstream}")],
            &[("KUBECONFIG", &cluster.kubeconfig().display().to_string())],
        );
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", upstream)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "kubectl proxy does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let holds = Arc::new(AtomicBool::new(true));
        let held = Arc::clone(&holds);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let holds = Arc::clone(&held);
                std::thread::spawn(move || pass(client, upstream, &holds));
            }
        });
        let mut kubeconfig = tempfile::NamedTempFile::new().expect("a file");
        write!(
            kubeconfig,
            "apiVersion: v1\nkind: Config\nclusters: [{{name: test, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n\
             users: [{{name: one, user: {{}}}}]\ncontexts: [{{name: test, context: {{cluster: test, user: one}}}}]\n\
             current-context: test\n"
        )
        .expect("it is written");
        Self {
            kubeconfig,
            holds,
            _proxy: proxy,
        }
    }
}

/// One request of a connection.
fn pass(mut client: TcpStream, upstream: u16, holds: &AtomicBool) -> Option<()> {
    let mut request = Vec::new();
    let mut piece = [0; 16_384];
    let body_at = loop {
        let count = client.read(&mut piece).ok().filter(|count| *count > 0)?;
        request.extend_from_slice(&piece[..count]);
        if let Some(at) = request.windows(4).position(|end| end == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8_lossy(&request[..body_at]).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
        .unwrap_or(0_usize);
    while request.len() < body_at + length {
        let count = client.read(&mut piece).ok().filter(|count| *count > 0)?;
        request.extend_from_slice(&piece[..count]);
    }
    // After the first line: one answer, and the end of it is the end of the connection.
    let line = request.windows(2).position(|end| end == b"\r\n")? + 2;
    let mut server = TcpStream::connect(("127.0.0.1", upstream)).ok()?;
    server.write_all(&request[..line]).ok()?;
    server.write_all(b"Connection: close\r\n").ok()?;
    server.write_all(&request[line..]).ok()?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).ok()?;
    if head.contains("application/json-patch+json") && holds.load(Ordering::SeqCst) {
        // Until whoever waits for it is gone.
        let _ = client.read(&mut piece);
        return None;
    }
    client.write_all(&answer).ok()
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn a_driver_that_is_killed_in_mid_shift_is_followed_by_one_that_looks_at_the_route() {
    let cluster = with_istio();
    for (verb, end, left) in [
        ("resume", "succeeded", (0, 100)),
        ("abort", "rolled_back", (100, 0)),
    ] {
        let between = Between::start(cluster);
        let text = platform("[10, 100]", "stable_for: 1s, timeout: 60s", "");
        let site = site(between.kubeconfig.path(), &text);
        let namespace = &site.namespace;
        let mut server = site.server();
        let run = begin(&mut server, json!({}));
        // Done, and its driver does not know it.
        until_weights(namespace, (90, 10));
        let seen = ask(
            &mut server,
            "get_deployment",
            json!({"run": run, "limit": 100}),
        );
        assert_eq!(seen["state"], "running", "{seen:#}");
        assert!(!seen["timeline"].to_string().contains("10 %"), "{seen:#}");
        signal(driver(&seen), "KILL");
        until(&mut server, &run, |seen| seen["state"] == "interrupted");
        between.holds.store(false, Ordering::SeqCst);
        let decide = json!({"run": run, "action": verb});
        ask(&mut server, "control_deployment", decide);
        let seen = ends(&mut server, &run, end);
        assert_eq!(weights(namespace), left, "{seen:#}");
        // Each way once: made, to 10 %, and to the end or back.
        assert_eq!(object(namespace)["metadata"]["generation"], 3, "{seen:#}");
        let is_there = has(cluster, namespace, "deployment/api-v2");
        assert_eq!(is_there, verb == "resume", "{seen:#}");
    }
}

#[test]
#[ignore = "builds a control plane: ./run test kubernetes"]
fn the_canary_of_the_reference_platform_goes_over_by_the_weights_of_its_document() {
    const NAMESPACE: &str = "openpolicy-platform";
    let cluster = with_istio();
    let folder = tempfile::tempdir().expect("a folder");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("platforms/kubernetes");
    copy(&from, folder.path());
    let text = fs::read_to_string(folder.path().join("canary.yaml")).expect("a file");
    let change = |text: String, from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    };
    // Each run of production waits for a person, and nobody counts requests here.
    let text = change(
        text,
        "manifests: [k8s, k8s-canary] } }",
        &format!(
            "manifests: [k8s, k8s-canary], context: test, kubeconfig: {} }} }}\nenvironment: development",
            cluster.kubeconfig().display()
        ),
    );
    let text = change(
        text,
        "errors_below: 5%, p95_below: 2s, stable_for: 5m, timeout: 30m",
        "stable_for: 1s, timeout: 60s",
    );
    fs::write(folder.path().join("platform.yaml"), text).expect("a file");
    let routes = folder.path().join("istio").display().to_string();
    let site = Site::of(folder, NAMESPACE);
    let mut server = site.server();
    let first = json!({"services": ["api-gateway"]});
    let run = begin(&mut server, first.clone());
    ends(&mut server, &run, "succeeded");
    let missing = ask(
        &mut server,
        "plan_deployment",
        json!({"phases": ["canary"]}),
    );
    assert!(
        missing
            .to_string()
            .contains("there is no VirtualService api-gateway-vs"),
        "{missing:#}"
    );
    cluster.kubectl(&["apply", "-f", &routes]);
    let weights = || {
        let object = cluster.object(NAMESPACE, "virtualservice/api-gateway-vs");
        let routes = object.expect("a route")["spec"]["http"][0]["route"].clone();
        [routes[0]["weight"].clone(), routes[1]["weight"].clone()]
    };
    let run = begin(&mut server, json!({"phases": ["canary"]}));
    let seen = ends(&mut server, &run, "paused");
    // As the document has it.
    assert_eq!(weights(), [json!(90), json!(10)], "{seen:#}");
    let promote = json!({"run": run, "action": "promote"});
    ask(&mut server, "control_deployment", promote.clone());
    until(&mut server, &run, |seen| {
        seen["reason"].to_string().contains("has 50 %")
    });
    assert_eq!(weights(), [json!(50), json!(50)]);
    ask(&mut server, "control_deployment", promote);
    until(&mut server, &run, |seen| seen["state"] == "succeeded");
    assert_eq!(weights(), [json!(0), json!(100)]);
    // The first version is as it was: nothing of it is planned.
    let plan = ask(&mut server, "plan_deployment", first);
    assert_eq!(plan["phases"]["rows"][0][2], "keep", "{plan:#}");
    let gateway = ask(
        &mut server,
        "get_service",
        json!({"service": "api-gateway"}),
    );
    assert!(gateway.to_string().contains("3 of 3 ready"), "{gateway:#}");
}
