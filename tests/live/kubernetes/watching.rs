//! Looks that are answered by a watch: how little they ask, and that none of them tells what was.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

use openpolicy_mcp::runtime::{Observed, Runtime, ServiceState, kubernetes::KubernetesRuntime};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{
    applying::{SERVICES, deployment},
    cluster::{self, Cluster},
    site::{Site, apply, captured, resolved, seen, service, wait_for},
};
use crate::engines::PATIENCE;

/// Between two looks of somebody who goes on looking.
const OFTEN: Duration = Duration::from_millis(100);

fn is_up(seen: &Observed) -> bool {
    seen.health.is_some() && seen.unfinished.is_none()
}

fn is_unknown(seen: &Observed) -> bool {
    matches!(seen.state, ServiceState::Unknown(_))
}

/// What the API server counts of a kind in namespaces: nobody else asks for one there.
fn counted(cluster: &Cluster, what: &str, verb: &str, resource: &str) -> u64 {
    let metrics = cluster.kubectl(&["get", "--raw", "/metrics"]);
    let wanted = [
        format!("verb=\"{verb}\""),
        format!("resource=\"{resource}\""),
        "scope=\"namespace\"".to_owned(),
    ];
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with(what) && wanted.iter().all(|one| line.contains(one)));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum::<f64>() as u64
}

fn listed(cluster: &Cluster, resource: &str) -> u64 {
    counted(cluster, "apiserver_request_total{", "LIST", resource)
}

/// Looks until the API server holds a watch of each kind.
async fn looked_until_watched(cluster: &Cluster, runtime: &KubernetesRuntime) {
    let begun = Instant::now();
    let kinds = ["deployments", "statefulsets", "daemonsets", "pods"];
    while !kinds
        .iter()
        .all(|kind| counted(cluster, "apiserver_longrunning_requests{", "WATCH", kind) > 0)
    {
        seen(runtime, "api").await;
        assert!(begun.elapsed() < PATIENCE, "nothing is watched");
        tokio::time::sleep(OFTEN).await;
    }
}

async fn own_cluster() -> Cluster {
    let started = tokio::task::spawn_blocking(Cluster::start);
    started.await.expect("a cluster")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "builds a control plane: ./run test kubernetes"]
async fn five_hundred_deployments_are_not_listed_anew_with_each_look() {
    const ALL: usize = 500;
    const LOOKS: u32 = 100;
    let cluster = own_cluster().await;
    let mut manifests = deployment("api", "api:1", "replicas: 1");
    let mut platform = SERVICES.replace(" }\n", "");
    for other in 1..ALL {
        manifests += &format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: s{other} }}\nspec:\n  selector: {{ matchLabels: {{ app: s{other} }} }}\n\
             \x20 template:\n    metadata: {{ labels: {{ app: s{other} }} }}\n    spec: {{ containers: [{{ name: main, image: 'some:1' }}] }}\n---\n"
        );
        platform += &format!(", s{other}: {{ probe: {{ process: true }} }}");
    }
    let site = Site::with(&cluster, &manifests, &(platform + " }\n"));
    cluster.apply(&site.namespace, &manifests);
    let runtime = site.runtime();
    let names: Vec<_> = (1..ALL).map(|one| service(&format!("s{one}"))).collect();
    wait_for(&runtime, "api", is_up).await;
    let begun = Instant::now();
    loop {
        let all = runtime.observe(&names).await.expect("observed");
        if all.iter().all(is_up) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "they do not come up");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    looked_until_watched(&cluster, &runtime).await;
    let before = (listed(&cluster, "deployments"), listed(&cluster, "pods"));
    let begun = Instant::now();
    for _ in 0..LOOKS {
        let all = runtime.observe(&names).await.expect("observed");
        assert!(all.iter().all(is_up));
        tokio::time::sleep(OFTEN).await;
    }
    let seconds = begun.elapsed().as_secs();
    let deployments = listed(&cluster, "deployments") - before.0;
    let pods = listed(&cluster, "pods") - before.1;
    println!("{LOOKS} looks in {seconds} s: {deployments} lists of deployments, {pods} of pods");
    // One of them is asked for now and then, whether the server is there; a watch that is held anew
    // may meet a look.
    assert!(deployments <= seconds / 2 + 3, "{deployments}");
    assert!(pods <= 2, "{pods}");

    // What others change is seen, and what is written here is seen by the very next look.
    let change = Cluster::kubectl;
    change(
        &cluster,
        &[
            "scale",
            "deployment/s7",
            "--replicas=0",
            "-n",
            &site.namespace,
        ],
    );
    let is_stopped = |seen: &Observed| matches!(seen.state, ServiceState::Exited(_));
    wait_for(&runtime, "s7", is_stopped).await;
    change(
        &cluster,
        &["delete", "deployment/s8", "-n", &site.namespace],
    );
    wait_for(&runtime, "s8", |seen| seen.state == ServiceState::Absent).await;
    let own = deployment("new", "api:1", "replicas: 1");
    site.change("manifests.yaml", |text| own.clone() + &text);
    site.change("platform.yaml", |text| {
        text.replace("{ api:", "{ new: { probe: { process: true } }, api:")
    });
    let runtime = site.runtime();
    looked_until_watched(&cluster, &runtime).await;
    let nothing = captured(&runtime, "new").await;
    for image in 1..=10 {
        site.change("manifests.yaml", |text| {
            text.replace(&format!("api:{image}'"), &format!("api:{}'", image + 1))
        });
        let desired = resolved(&runtime, &["new"]).await.remove(0);
        apply(&runtime, &["new"]).await;
        let now = seen(&runtime, "new").await;
        assert_eq!(now.configuration, Some(desired.digest), "{now:?}");
    }
    runtime.restore(&nothing).await.expect("restored");
    assert_eq!(seen(&runtime, "new").await.state, ServiceState::Absent);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "builds a control plane: ./run test kubernetes"]
async fn a_watch_that_is_cut_or_says_nothing_is_told_and_found_again() {
    let cluster = own_cluster().await;
    let manifests = deployment("api", "api:1", "replicas: 1");
    let namespace = cluster.namespace();
    cluster.apply(&namespace, &manifests);
    let way = Way::to(&cluster).await;
    let kubeconfig = way.kubeconfig(&cluster);
    let site = Site::asking(&kubeconfig, &namespace, &manifests, SERVICES);
    let runtime = site.runtime();
    wait_for(&runtime, "api", is_up).await;
    looked_until_watched(&cluster, &runtime).await;

    // The server is gone.
    cluster.stop_server();
    let told = wait_for(&runtime, "api", is_unknown).await;
    assert!(format!("{told:?}").contains("127.0.0.1"), "{told:?}");
    for _ in 0..20 {
        let now = seen(&runtime, "api").await;
        assert!(is_unknown(&now), "{now:?}");
    }
    cluster.start_server();
    wait_for(&runtime, "api", is_up).await;
    looked_until_watched(&cluster, &runtime).await;

    // Nothing comes through, and nobody says so.
    way.freeze(true);
    let begun = Instant::now();
    wait_for(&runtime, "api", is_unknown).await;
    let late = begun.elapsed();
    assert!(late < Duration::from_secs(8), "stale for {late:?}");
    way.freeze(false);
    wait_for(&runtime, "api", is_up).await;
    looked_until_watched(&cluster, &runtime).await;

    // Only what was open is dead: new connections come through.
    way.forget();
    cluster.kubectl(&["scale", "deployment/api", "--replicas=0", "-n", &namespace]);
    let begun = Instant::now();
    let is_stopped = |seen: &Observed| matches!(seen.state, ServiceState::Exited(_));
    wait_for(&runtime, "api", is_stopped).await;
    let late = begun.elapsed();
    assert!(late < Duration::from_secs(20), "stale for {late:?}");
}

#[tokio::test]
#[ignore = "builds a control plane: ./run test kubernetes"]
async fn who_may_list_and_not_watch_goes_on_looking() {
    let cluster = tokio::task::spawn_blocking(cluster::shared)
        .await
        .expect("a cluster");
    let namespace = cluster.namespace();
    let manifests = deployment("api", "api:1", "replicas: 1");
    cluster.apply(&namespace, &manifests);
    let workloads = "pods,deployments.apps,statefulsets.apps,daemonsets.apps";
    cluster.allow_viewer(&namespace, "list", workloads);
    let runtime = Site::asking(&cluster.viewer(), &namespace, &manifests, SERVICES).runtime();
    wait_for(&runtime, "api", is_up).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(6) {
        let now = seen(&runtime, "api").await;
        assert!(is_up(&now), "{now:?}");
        tokio::time::sleep(OFTEN).await;
    }
    // And sees what changes.
    cluster.kubectl(&["scale", "deployment/api", "--replicas=0", "-n", &namespace]);
    let now = seen(&runtime, "api").await;
    assert!(matches!(now.state, ServiceState::Exited(_)), "{now:?}");
}

/// A way to the API server that can die without a word.
struct Way {
    port: u16,
    is_frozen: Arc<AtomicBool>,
    /// Connections that were made before this one was are dead.
    generation: Arc<AtomicU16>,
}

impl Way {
    async fn to(cluster: &Cluster) -> Self {
        let server = address(cluster);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let way = Self {
            port,
            is_frozen: Arc::default(),
            generation: Arc::default(),
        };
        let (is_frozen, generation) = (Arc::clone(&way.is_frozen), Arc::clone(&way.generation));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&server).await else {
                    continue;
                };
                let own = generation.load(Ordering::SeqCst);
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.into_split();
                for (mut from, mut to) in [(near_in, far_out), (far_in, near_out)] {
                    let (is_frozen, generation) = (Arc::clone(&is_frozen), Arc::clone(&generation));
                    tokio::spawn(async move {
                        let mut bytes = vec![0; 16_384];
                        while let Ok(count @ 1..) = from.read(&mut bytes).await {
                            while is_frozen.load(Ordering::SeqCst)
                                || generation.load(Ordering::SeqCst) != own
                            {
                                tokio::time::sleep(Duration::from_millis(20)).await;
                            }
                            if to.write_all(&bytes[..count]).await.is_err() {
                                break;
                            }
                        }
                    });
                }
            }
        });
        way
    }

    fn freeze(&self, is_frozen: bool) {
        self.is_frozen.store(is_frozen, Ordering::SeqCst);
    }

    /// What is open now says nothing any more, and does not end.
    fn forget(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    fn kubeconfig(&self, cluster: &Cluster) -> std::path::PathBuf {
        let text = std::fs::read_to_string(cluster.kubeconfig()).expect("a file");
        let text = text.replace(&address(cluster), &format!("127.0.0.1:{}", self.port));
        let file = cluster.folder.join("by-another-way");
        std::fs::write(&file, text).expect("a file");
        file
    }
}

/// Where the API server listens.
fn address(cluster: &Cluster) -> String {
    let text = std::fs::read_to_string(cluster.kubeconfig()).expect("a file");
    let address = text
        .split("https://")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    address.expect("an address").to_owned()
}
