//! Objects applied, shared, held by others, stopped and taken back: the runtime itself.

use std::time::Duration;

use openpolicy_mcp::runtime::{
    Before, LogQuery, Observed, Problem, Runtime, RuntimeHealth, ServiceState, Streams,
    values::{AppliedOutcome, StoppedOutcome},
};

use super::{
    cluster::{self, Cluster},
    site::{Site, apply, captured, failure, outcomes, resolved, seen, service, wait_for},
};

/// A Deployment with a ConfigMap that it reads, and a Service before it.
pub fn deployment(name: &str, image: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: settings }}\ndata: {{ LEVEL: info }}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{ name: {name} }}\n\
         spec: {{ selector: {{ app: {name} }}, ports: [{{ port: 80 }}] }}\n---\n\
         apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: {name} }}\n\
         spec:\n  {more}\n  selector: {{ matchLabels: {{ app: {name} }} }}\n\
         \x20 template:\n    metadata: {{ labels: {{ app: {name} }} }}\n\
         \x20   spec: {{ containers: [{{ name: main, image: '{image}', envFrom: [{{ configMapRef: {{ name: settings }} }}], \
         resources: {{ limits: {{ memory: 64Mi, cpu: 100m }} }} }}] }}\n---\n"
    )
}

pub const SERVICES: &str = "services: { api: { probe: { process: true, interval: 1s } } }\n";

fn is_up(seen: &Observed) -> bool {
    seen.health == Some(RuntimeHealth::Healthy)
}

fn image_of(cluster: &Cluster, namespace: &str) -> String {
    let object = cluster
        .object(namespace, "deployment/api")
        .expect("a deployment");
    let image = &object["spec"]["template"]["spec"]["containers"][0]["image"];
    image.as_str().expect("an image").to_owned()
}

async fn start(manifests: String, platform: &'static str) -> (&'static Cluster, Site) {
    let made = tokio::task::spawn_blocking(move || {
        let cluster = cluster::shared();
        (cluster, Site::with(cluster, &manifests, platform))
    });
    made.await.expect("a cluster")
}

#[tokio::test]
#[ignore = "builds a control plane: ./run test kubernetes"]
async fn what_is_applied_is_seen_and_taken_back_to_nothing_and_to_what_it_was() {
    let (cluster, site) = start(deployment("api", "api:1", "replicas: 2"), SERVICES).await;
    let runtime = site.runtime();
    assert_eq!(seen(&runtime, "api").await.state, ServiceState::Absent);
    let nothing = captured(&runtime, "api").await;
    assert_eq!(nothing.configuration, None);
    assert_eq!(
        outcomes(&apply(&runtime, &["api"]).await),
        [&AppliedOutcome::Started]
    );
    let up = wait_for(&runtime, "api", is_up).await;
    let desired = resolved(&runtime, &["api"]).await.remove(0);
    assert_eq!(desired.problem, None);
    assert_eq!(up.configuration.as_deref(), Some(desired.digest.as_str()));
    assert_eq!(up.image_id, desired.image_id);
    let note = up.note.expect("a note");
    assert!(note.starts_with("2 of 2 ready, 2 updated"), "{note}");
    // Twice changes nothing.
    assert_eq!(
        outcomes(&apply(&runtime, &["api"]).await),
        [&AppliedOutcome::Unchanged]
    );
    assert_eq!(seen(&runtime, "api").await.live, up.live);

    let first = captured(&runtime, "api").await;
    assert!(first.was_running);
    site.change("manifests.yaml", |text| {
        text.replace("api:1", "api:2")
            .replace("LEVEL: info", "LEVEL: debug, MORE: a")
    });
    assert_eq!(
        outcomes(&apply(&runtime, &["api"]).await),
        [&AppliedOutcome::Replaced]
    );
    wait_for(&runtime, "api", |seen| {
        is_up(seen) && seen.image_id.as_deref() == Some("api:2")
    })
    .await;
    let restored = runtime.restore(&first).await.expect("restored");
    assert_eq!(restored.outcome, AppliedOutcome::Replaced);
    let back = wait_for(&runtime, "api", is_up).await;
    assert_eq!(
        (back.image_id.as_deref(), &back.live),
        (Some("api:1"), &up.live)
    );
    let settings = cluster
        .object(&site.namespace, "configmap/settings")
        .expect("settings");
    assert_eq!(settings["data"], serde_json::json!({"LEVEL": "info"}));
    let again = runtime.restore(&first).await.expect("restored");
    assert_eq!(again.outcome, AppliedOutcome::Unchanged);

    let restored = runtime.restore(&nothing).await.expect("restored");
    assert_eq!(restored.outcome, AppliedOutcome::Removed);
    for name in ["deployment/api", "service/api", "configmap/settings"] {
        assert_eq!(cluster.object(&site.namespace, name), None, "{name}");
    }
    assert!(
        cluster
            .object(&site.namespace, &format!("namespace/{}", site.namespace))
            .is_some()
    );
}

#[tokio::test]
#[ignore = "builds a control plane: ./run test kubernetes"]
async fn what_services_share_stays_while_one_of_them_is_there() {
    let both =
        deployment("api", "api:1", "replicas: 1") + &deployment("web", "web:1", "replicas: 1");
    let (cluster, site) = start(
        both,
        "services: { api: { probe: { process: true, interval: 1s } }, web: { probe: { process: true, interval: 1s } } }\n",
    )
    .await;
    let runtime = site.runtime();
    let nothing = captured(&runtime, "api").await;
    apply(&runtime, &["api", "web"]).await;
    let restored = runtime.restore(&nothing).await.expect("restored");
    assert_eq!(restored.outcome, AppliedOutcome::Removed);
    assert_eq!(cluster.object(&site.namespace, "service/api"), None);
    assert!(
        cluster
            .object(&site.namespace, "configmap/settings")
            .is_some()
    );
}

#[tokio::test]
#[ignore = "builds a control plane: ./run test kubernetes"]
async fn what_others_hold_is_told_and_taken_from_nobody() {
    let (cluster, site) = start(deployment("api", "api:1", "replicas: 1"), SERVICES).await;
    let runtime = site.runtime();
    // There before, and of somebody else, with another value.
    cluster.apply(
        &site.namespace,
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: settings }\ndata: { LEVEL: loud, THEIRS: b }\n",
    );
    let desired = resolved(&runtime, &["api"]).await.remove(0);
    let problem = desired.problem.expect("a conflict");
    assert!(
        problem.contains(".data.LEVEL is held by \"kubectl\""),
        "{problem}"
    );
    let applied = apply(&runtime, &["api"]).await.remove(0);
    assert!(
        failure(&applied).to_string().contains("held by"),
        "{applied:?}"
    );
    assert_eq!(cluster.object(&site.namespace, "deployment/api"), None);
    // Of the same value: then it is of both, and theirs when ours is taken back.
    site.change("manifests.yaml", |text| {
        text.replace("LEVEL: info", "LEVEL: loud, OURS: a")
    });
    let before = captured(&runtime, "api").await;
    assert_eq!(
        outcomes(&apply(&runtime, &["api"]).await),
        [&AppliedOutcome::Started]
    );
    runtime.restore(&before).await.expect("restored");
    let settings = cluster
        .object(&site.namespace, "configmap/settings")
        .expect("settings");
    assert_eq!(
        settings["data"],
        serde_json::json!({"LEVEL": "loud", "THEIRS": "b"})
    );

    // By hand, past the runtime: seen as drift, told as a conflict, and not overwritten.
    apply(&runtime, &["api"]).await;
    let left = wait_for(&runtime, "api", is_up).await.live;
    cluster.kubectl(&[
        "set",
        "image",
        "-n",
        &site.namespace,
        "deployment/api",
        "main=api:hand",
    ]);
    assert_ne!(seen(&runtime, "api").await.live, left);
    let problem = resolved(&runtime, &["api"])
        .await
        .remove(0)
        .problem
        .expect("a conflict");
    assert!(
        problem.contains("image is held by \"kubectl-set\""),
        "{problem}"
    );
    assert_eq!(image_of(cluster, &site.namespace), "api:hand");
}

#[tokio::test]
#[ignore = "builds a control plane: ./run test kubernetes"]
async fn what_cannot_be_changed_and_what_is_left_behind_is_told_before() {
    let (cluster, site) = start(deployment("api", "api:1", "replicas: 1"), SERVICES).await;
    let runtime = site.runtime();
    apply(&runtime, &["api"]).await;
    let text = std::fs::read_to_string(site.folder.path().join("manifests.yaml")).expect("a file");
    site.write("manifests.yaml", &text.replace("app: api", "app: other"));
    let problem = resolved(&runtime, &["api"]).await.remove(0).problem;
    let problem = problem.expect("a selector never changes");
    assert!(problem.contains("field is immutable"), "{problem}");
    // Unknown fields are no typing errors that nobody sees.
    site.write("manifests.yaml", &text.replace("replicas:", "replicaz:"));
    let problem = resolved(&runtime, &["api"]).await.remove(0).problem;
    let problem = problem.expect("a fault");
    assert!(problem.contains("replicaz"), "{problem}");
    let other = text
        .replace("kind: Deployment", "kind: DaemonSet")
        .replace("replicas: 1", "");
    site.write("manifests.yaml", &other);
    let problem = resolved(&runtime, &["api"]).await.remove(0).problem;
    let problem = problem.expect("two of one name");
    assert!(problem.contains("Deployment/api is there"), "{problem}");
    // What stands around the workload, changed past the runtime; applying puts it right.
    site.write("manifests.yaml", &text);
    let told = async || {
        let desired = resolved(&runtime, &["api"]).await;
        let ready = runtime.readiness(&desired).await.expect("told");
        let check = ready.into_iter().find(|one| one.name == "as applied");
        check.expect("a check")
    };
    assert_eq!(told().await.is_ready, Some(true));
    cluster.kubectl(&["delete", "service", "api", "-n", &site.namespace]);
    let removed = "[{\"op\": \"remove\", \"path\": \"/data/LEVEL\"}]";
    let change = [
        "patch",
        "configmap",
        "settings",
        "-n",
        &site.namespace,
        "--type=json",
        "-p",
    ];
    cluster.kubectl(&[&change[..], &[removed]].concat());
    let note = told().await.note.unwrap_or_default();
    assert!(note.contains("Service/api is gone"), "{note}");
    assert!(note.contains("ConfigMap/settings is another"), "{note}");
    assert_eq!(
        outcomes(&apply(&runtime, &["api"]).await),
        [&AppliedOutcome::Unchanged]
    );
    assert_eq!(told().await.is_ready, Some(true));
    let (_, without) = text.split_once("---\n").expect("a ConfigMap before");
    site.write(
        "manifests.yaml",
        &without.replace("{ configMapRef: { name: settings } }", ""),
    );
    let desired = resolved(&runtime, &["api"]).await;
    assert_eq!(desired[0].problem, None);
    let ready = runtime.readiness(&desired).await.expect("told");
    let whole = ready
        .iter()
        .find(|one| one.name == "manifests whole")
        .expect("a check");
    let note = whole.note.as_deref().unwrap_or_default();
    assert!(
        note.contains("ConfigMap/settings of api is in the manifests no more"),
        "{ready:?}"
    );
    apply(&runtime, &["api"]).await;
    assert!(
        cluster
            .object(&site.namespace, "configmap/settings")
            .is_some()
    );
}

#[tokio::test]
#[ignore = "builds a control plane: ./run test kubernetes"]
async fn a_stopped_service_remembers_its_replicas_also_where_an_autoscaler_decides() {
    let scaled = deployment("api", "api:1", "minReadySeconds: 0")
        + "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: { name: api }\n\
           spec: { scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: api }, minReplicas: 3, maxReplicas: 5, \
           metrics: [{ type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 70 } } }] }\n";
    let (cluster, site) = start(scaled, SERVICES).await;
    let runtime = site.runtime();
    apply(&runtime, &["api"]).await;
    let three = |seen: &Observed| {
        is_up(seen)
            && seen
                .note
                .as_deref()
                .is_some_and(|note| note.starts_with("3 of 3"))
    };
    let up = wait_for(&runtime, "api", three).await;
    let running = captured(&runtime, "api").await;
    let grace = Duration::from_secs(10);
    let stopped = runtime
        .stop(&[service("api")], grace)
        .await
        .expect("stopped");
    assert!(
        matches!(stopped[0].outcome, StoppedOutcome::Ended(_)),
        "{stopped:?}"
    );
    let down = seen(&runtime, "api").await;
    assert!(
        matches!(down.state, ServiceState::Exited(ref exit) if exit.is_success()),
        "{down:?}"
    );
    // How many there are is no drift where an autoscaler or a stop decides it.
    assert_eq!(down.live, up.live);
    let again = runtime
        .stop(&[service("api")], grace)
        .await
        .expect("stopped");
    assert_eq!(again[0].outcome, StoppedOutcome::NotRunning);
    let halted = captured(&runtime, "api").await;
    assert!(!halted.was_running);
    assert_eq!(
        outcomes(&apply(&runtime, &["api"]).await),
        [&AppliedOutcome::Started]
    );
    wait_for(&runtime, "api", three).await;
    let object = cluster
        .object(&site.namespace, "deployment/api")
        .expect("a deployment");
    let notes = object["metadata"]["annotations"].to_string();
    assert!(!notes.contains("replicas-before"), "{notes}");
    // A way back leads to the stop as well as from it.
    runtime.restore(&halted).await.expect("restored");
    wait_for(&runtime, "api", |seen| {
        matches!(seen.state, ServiceState::Exited(_))
    })
    .await;
    runtime.restore(&running).await.expect("restored");
    wait_for(&runtime, "api", three).await;
}

#[tokio::test]
#[ignore = "builds a control plane: ./run test kubernetes"]
async fn a_stateful_set_whose_pod_never_gets_ready_is_freed_when_it_is_taken_back() {
    let stateful = |image: &str| {
        format!(
            "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{ name: api }}\n\
             spec:\n  replicas: 1\n  serviceName: api\n  selector: {{ matchLabels: {{ app: api }} }}\n\
             \x20 template: {{ metadata: {{ labels: {{ app: api }} }}, spec: {{ containers: [{{ name: main, image: '{image}' }}] }} }}\n"
        )
    };
    let (_, site) = start(stateful("db:1"), SERVICES).await;
    let runtime = site.runtime();
    apply(&runtime, &["api"]).await;
    wait_for(&runtime, "api", is_up).await;
    let before: Before = captured(&runtime, "api").await;
    site.write("manifests.yaml", &stateful("db:unready"));
    apply(&runtime, &["api"]).await;
    let stuck = wait_for(&runtime, "api", |seen| {
        seen.note
            .as_deref()
            .is_some_and(|note| note.contains("readiness probe"))
    });
    assert!(stuck.await.unfinished.is_some());
    runtime.restore(&before).await.expect("restored");
    wait_for(&runtime, "api", |seen| {
        is_up(seen) && seen.image_id.as_deref() == Some("db:1")
    })
    .await;
}

#[tokio::test]
#[ignore = "builds a control plane: ./run test kubernetes"]
async fn logs_usage_and_crash_loops_are_told() {
    let (_, site) = start(deployment("api", "api:crash", "replicas: 1"), SERVICES).await;
    let runtime = site.runtime();
    apply(&runtime, &["api"]).await;
    let looping =
        |seen: &Observed| matches!(seen.state, ServiceState::Restarting { count, .. } if count > 1);
    let told = wait_for(&runtime, "api", looping).await;
    let note = told.note.expect("a note");
    assert!(note.contains("CrashLoopBackOff"), "{note}");
    assert!(note.contains("ended last with code 1"), "{note}");
    let query = LogQuery {
        service: service("api"),
        since: None,
        cursor: None,
        limit: 100,
    };
    let page = runtime.logs(&query).await.expect("logs");
    let text: Vec<&str> = page.lines.iter().map(|line| line.text.as_str()).collect();
    // Of the container before its restart, and of the one that there is.
    assert_eq!(&text[..3], ["earlier 1", "earlier 2", "line 1"], "{text:?}");
    assert!(
        text.iter().any(|line| line.contains("ended with code 1")),
        "{text:?}"
    );
    let usage = runtime
        .usage(&[service("api")])
        .await
        .expect("usage")
        .remove(0);
    assert!(usage.is_unknown && usage.memory.is_none(), "{usage:?}");
    assert!(usage.notes[0].contains("metrics.k8s.io"), "{usage:?}");
    assert_eq!(usage.memory_limit.map(|limit| limit.0), Some(64 << 20));
    let refused = runtime
        .exec(
            &service("api"),
            &["true".into()],
            Streams::default(),
            Duration::from_secs(1),
        )
        .await;
    let told = refused.expect_err("nothing is ready").to_string();
    assert!(told.contains("no pod of it is ready"), "{told}");
}

#[tokio::test]
#[ignore = "builds a control plane: ./run test kubernetes"]
async fn a_command_runs_in_a_pod_and_reads_and_writes_files() {
    let (_, site) = start(deployment("api", "api:1", "replicas: 2"), SERVICES).await;
    let runtime = site.runtime();
    apply(&runtime, &["api"]).await;
    wait_for(&runtime, "api", is_up).await;
    let name = service("api");
    let shell = |text: &str| vec!["sh".to_owned(), "-c".to_owned(), text.to_owned()];
    let longest = Duration::from_secs(20);
    let told = runtime
        .exec(
            &name,
            &shell("echo said; echo complained >&2; exit 3"),
            Streams::default(),
            longest,
        )
        .await
        .expect("it ran");
    // KWOK tells of the exit code in words; kubelets give the number.
    assert!(!told.exit.is_success(), "{told:?}");
    assert!(told.exit.to_string().contains("exit status 3"), "{told:?}");
    assert!(
        told.text.contains("said") && told.text.contains("complained"),
        "{told:?}"
    );
    let (input, output) = (
        site.folder.path().join("in"),
        site.folder.path().join("out"),
    );
    let text = "a line\n".repeat(40_000);
    std::fs::write(&input, &text).expect("a file");
    let streams = Streams {
        input: Some(&input),
        output: Some(&output),
    };
    // KWOK does not tell a command that its input is at an end.
    let reads = shell(&format!("head -c {}; echo done >&2", text.len()));
    let told = runtime.exec(&name, &reads, streams, longest).await;
    let told = told.expect("it ran");
    assert!(
        told.exit.is_success() && told.text.trim() == "done",
        "{told:?}"
    );
    assert_eq!(std::fs::read_to_string(&output).expect("a file"), text);
    let late = runtime
        .exec(
            &name,
            &shell("sleep 5"),
            Streams::default(),
            Duration::from_millis(300),
        )
        .await;
    assert!(matches!(late, Err(Problem::TimedOut { .. })), "{late:?}");
}
