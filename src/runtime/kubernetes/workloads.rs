//! What a workload and its pods say of a service. Pure.

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{fields::canonical, kinds::Reference, manifests::selects};
use crate::{
    platform::ServiceName,
    runtime::{Exit, Observed, RuntimeHealth, ServiceState, Unfinished},
};

/// At a workload: digest of the configuration with which it was applied.
pub(super) const CONFIGURATION: &str = "openpolicy-mcp/configuration";
/// At a workload: what was applied with it.
pub(super) const OBJECTS: &str = "openpolicy-mcp/objects";
/// At every object: the workloads that it belongs to.
pub(super) const WORKLOADS: &str = "openpolicy-mcp/workloads";
/// At a stopped workload: how many replicas it had.
pub(super) const REPLICAS_BEFORE: &str = "openpolicy-mcp/replicas-before";
/// At a stopped workload: since when.
pub(super) const STOPPED_AT: &str = "openpolicy-mcp/stopped-at";

/// Characters of what the cluster says.
const LONGEST_WORDS: usize = 300;

/// A Deployment, StatefulSet or DaemonSet as the API server has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Workload<'a>(pub &'a Value);

impl<'a> Workload<'a> {
    fn at(self, path: &str) -> Option<&'a Value> {
        self.0.pointer(path)
    }

    fn number(self, path: &str) -> u64 {
        self.at(path).and_then(Value::as_u64).unwrap_or_default()
    }

    pub(super) fn name(self) -> &'a str {
        self.at("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    fn kind(self) -> &'a str {
        self.0
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(super) fn annotation(self, name: &str) -> Option<&'a str> {
        self.at("/metadata/annotations")?.get(name)?.as_str()
    }

    pub(super) fn generation(self) -> u64 {
        self.number("/metadata/generation")
    }

    /// How many pods it should have; a DaemonSet one on each node that it fits.
    pub(super) fn desired(self) -> u64 {
        match self.kind() {
            "DaemonSet" => self.number("/status/desiredNumberScheduled"),
            _ => self
                .at("/spec/replicas")
                .and_then(Value::as_u64)
                .unwrap_or(1),
        }
    }

    pub(super) fn is_stopped(self) -> bool {
        self.kind() != "DaemonSet" && self.desired() == 0
    }

    pub(super) fn ready(self) -> u64 {
        match self.kind() {
            "DaemonSet" => self.number("/status/numberReady"),
            _ => self.number("/status/readyReplicas"),
        }
    }

    fn available(self) -> u64 {
        match self.kind() {
            "DaemonSet" => self.number("/status/numberAvailable"),
            _ => self.number("/status/availableReplicas"),
        }
    }

    fn updated(self) -> u64 {
        match self.kind() {
            "DaemonSet" => self.number("/status/updatedNumberScheduled"),
            "StatefulSet" if self.is_one_revision() => self.number("/status/replicas"),
            _ => self.number("/status/updatedReplicas"),
        }
    }

    /// A StatefulSet that is not being changed.
    fn is_one_revision(self) -> bool {
        let revision = |key: &str| self.at("/status").and_then(|status| status.get(key));
        revision("currentRevision") == revision("updateRevision")
    }

    fn all(self) -> u64 {
        match self.kind() {
            "DaemonSet" => self.number("/status/currentNumberScheduled"),
            _ => self.number("/status/replicas"),
        }
    }

    /// As `kubectl rollout status` decides it.
    pub(super) fn is_rolled_out(self) -> bool {
        self.number("/status/observedGeneration") >= self.generation()
            && self.updated() >= self.desired()
            && self.all() <= self.updated().max(self.desired())
            && self.available() >= self.desired()
    }

    /// What the cluster says when it sees no progress within the deadline.
    fn given_up(self) -> Option<String> {
        let conditions = self.at("/status/conditions")?.as_array()?;
        if self.number("/status/observedGeneration") < self.generation() {
            return None;
        }
        conditions.iter().find_map(|condition| {
            let is =
                |key: &str, value: &str| condition.get(key).and_then(Value::as_str) == Some(value);
            let is_late = is("type", "Progressing") && is("reason", "ProgressDeadlineExceeded");
            let seconds = self
                .at("/spec/progressDeadlineSeconds")
                .and_then(Value::as_u64);
            is_late.then(|| {
                format!(
                    "its rollout made no progress within {} s",
                    seconds.unwrap_or(600)
                )
            })
        })
    }

    pub(super) fn image(self) -> Option<&'a str> {
        self.at("/spec/template/spec/containers/0/image")?.as_str()
    }

    /// Whether a pod is of this workload.
    pub(super) fn has_pod(self, pod: &Value) -> bool {
        let nothing = Value::Null;
        let selector = self.at("/spec/selector/matchLabels").unwrap_or(&nothing);
        let labels = pod.pointer("/metadata/labels").unwrap_or(&nothing);
        selects(selector, labels)
    }

    /// What was applied with it, as its annotation lists it.
    pub(super) fn objects(self) -> Vec<Reference> {
        let listed = self.annotation(OBJECTS).unwrap_or_default();
        listed.split(',').filter_map(Reference::read).collect()
    }

    /// Of what can be changed by hand: everything in `spec`, and labels. Not how many replicas
    /// there are where an autoscaler decides that, or where it was stopped.
    fn live(self) -> String {
        let mut spec = self.0.get("spec").cloned().unwrap_or_default();
        let is_scaled = self
            .objects()
            .iter()
            .any(|one| one.kind == "HorizontalPodAutoscaler");
        if (is_scaled || self.is_stopped())
            && let Some(spec) = spec.as_object_mut()
        {
            spec.remove("replicas");
        }
        let labels = self.at("/metadata/labels").cloned().unwrap_or_default();
        digest(&serde_json::json!([spec, labels]))
    }
}

/// Sixteen digits are enough to tell configurations apart.
pub(super) fn digest(value: &Value) -> String {
    let digest = Sha256::digest(canonical(value).as_bytes());
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What is to be told of one pod.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pod<'a>(pub &'a Value);

impl<'a> Pod<'a> {
    pub(super) fn name(self) -> &'a str {
        let name = self.0.pointer("/metadata/name");
        name.and_then(Value::as_str).unwrap_or_default()
    }

    fn statuses(self) -> impl Iterator<Item = &'a Value> {
        let of = |key: &str| {
            self.0
                .pointer(key)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        };
        of("/status/initContainerStatuses").chain(of("/status/containerStatuses"))
    }

    pub(super) fn containers(self) -> impl Iterator<Item = &'a Value> {
        let all = self.0.pointer("/status/containerStatuses");
        all.and_then(Value::as_array).into_iter().flatten()
    }

    /// The one whose image and ports are those of the service.
    pub(super) fn first_container(self) -> Option<&'a str> {
        self.0.pointer("/spec/containers/0/name")?.as_str()
    }

    pub(super) fn is_going(self) -> bool {
        self.0.pointer("/metadata/deletionTimestamp").is_some()
    }

    fn condition(self, kind: &str) -> Option<&'a Value> {
        let conditions = self.0.pointer("/status/conditions")?.as_array()?;
        let mut conditions = conditions.iter();
        conditions.find(|one| one.get("type").and_then(Value::as_str) == Some(kind))
    }

    pub(super) fn is_ready(self) -> bool {
        self.condition("Ready")
            .is_some_and(|one| one.get("status") == Some(&"True".into()))
    }

    pub(super) fn started_at(self) -> Option<Timestamp> {
        self.0.pointer("/status/startTime")?.as_str()?.parse().ok()
    }

    pub(super) fn restarts(self) -> u32 {
        let counts = self
            .containers()
            .filter_map(|one| one.get("restartCount")?.as_u64());
        u32::try_from(counts.sum::<u64>()).unwrap_or(u32::MAX)
    }

    /// How a container of it ended last.
    pub(super) fn last_exit(self) -> Option<Exit> {
        let ended = self.statuses().filter_map(|status| {
            let ended = status
                .pointer("/state/terminated")
                .or_else(|| status.pointer("/lastState/terminated"))?;
            exit(ended)
        });
        ended.max_by_key(|exit| exit.at)
    }

    fn is_in_a_crash_loop(self) -> bool {
        self.statuses().any(|status| {
            status
                .pointer("/state/waiting/reason")
                .and_then(Value::as_str)
                == Some("CrashLoopBackOff")
        })
    }

    /// Why it is not ready, as far as the cluster says.
    pub(super) fn trouble(self) -> Option<String> {
        if self.is_ready() || self.is_going() {
            return None;
        }
        let waiting = self.statuses().find_map(|status| {
            let waiting = status.pointer("/state/waiting")?;
            let reason = waiting.get("reason")?.as_str()?;
            if matches!(reason, "ContainerCreating" | "PodInitializing") {
                return None;
            }
            let message = waiting.get("message").and_then(Value::as_str);
            let last = status.pointer("/lastState/terminated").and_then(exit);
            let last = last
                .map(|exit| format!(", it ended with {exit}"))
                .unwrap_or_default();
            Some(match message {
                Some(message) => format!("{reason}: {}{last}", cut(message)),
                None => format!("{reason}{last}"),
            })
        });
        let unscheduled = || {
            let condition = self.condition("PodScheduled")?;
            let is_false = condition.get("status").and_then(Value::as_str) == Some("False");
            let message = condition.get("message").and_then(Value::as_str);
            is_false.then(|| {
                format!(
                    "no node takes it: {}",
                    cut(message.unwrap_or("no reason given"))
                )
            })
        };
        let unready = || {
            let is_running =
                self.0.pointer("/status/phase").and_then(Value::as_str) == Some("Running");
            is_running.then(|| "it runs, and its readiness probe has not passed".to_owned())
        };
        let words = waiting.or_else(unscheduled).or_else(unready)?;
        Some(format!("{}: {words}", self.name()))
    }

    fn image_id(self) -> Option<&'a str> {
        let id = self.containers().next()?.get("imageID")?.as_str()?;
        let id = id.rsplit_once('@').map_or(id, |(_, digest)| digest);
        (!id.is_empty()).then_some(id)
    }
}

fn exit(ended: &Value) -> Option<Exit> {
    let code = ended.get("exitCode").and_then(Value::as_i64);
    let at = ended.get("finishedAt").and_then(Value::as_str);
    let reason = ended.get("reason").and_then(Value::as_str);
    Some(Exit {
        code: code.and_then(|code| i32::try_from(code).ok()),
        signal: ended
            .get("signal")
            .and_then(Value::as_i64)
            .and_then(|signal| i32::try_from(signal).ok()),
        at: at
            .and_then(|at| at.parse().ok())
            .unwrap_or(Timestamp::UNIX_EPOCH),
        reason: reason
            .filter(|reason| !matches!(*reason, "Error" | "Completed"))
            .map(str::to_owned),
    })
}

/// What a runtime tells of a service with this workload and these pods.
pub(super) fn observed(
    service: ServiceName,
    workload: Option<&Value>,
    pods: &[&Value],
) -> Observed {
    let Some(workload) = workload.map(Workload) else {
        return Observed::new(service, ServiceState::Absent);
    };
    let pods: Vec<Pod<'_>> = pods.iter().map(|pod| Pod(pod)).collect();
    let newest = pods
        .iter()
        .max_by_key(|pod| (!pod.is_going(), pod.started_at()));
    let (desired, ready) = (workload.desired(), workload.ready());
    let troubles: Vec<String> = pods.iter().filter_map(|pod| pod.trouble()).collect();
    let mut counts = format!(
        "{ready} of {desired} ready, {} updated",
        workload.updated().min(workload.all())
    );
    if let Some(trouble) = troubles.first() {
        counts = format!("{counts}; {trouble}");
        if troubles.len() > 1 {
            counts = format!("{counts} ({} more pods are not ready)", troubles.len() - 1);
        }
    }
    let given_up = workload.given_up();
    let (state, health) = state(workload, &pods, given_up.is_some());
    let unfinished = (!workload.is_stopped() && !workload.is_rolled_out()).then(|| Unfinished {
        reason: match &given_up {
            Some(reason) => format!("{reason}: {counts}"),
            None => counts.clone(),
        },
        is_given_up: given_up.is_some(),
    });
    let last = pods
        .iter()
        .filter(|pod| pod.restarts() > 0)
        .filter_map(|pod| pod.last_exit())
        .max_by_key(|exit| exit.at);
    let mut note = counts;
    if let Some(reason) = given_up {
        note = format!("{reason}: {note}");
    }
    if let Some(exit) = last {
        note = format!("{note}; a container ended last with {exit} at {}", exit.at);
    }
    let image = workload.image();
    let mut ids = pods
        .iter()
        .filter(|pod| !pod.is_going())
        .map(|pod| pod.image_id());
    let id = ids.clone().flatten().next();
    let is_digest = |id: &&str| id.starts_with("sha256:") && ids.all(|other| other == Some(*id));
    let image_digest = id.filter(is_digest).map(str::to_owned);
    Observed {
        image: image.map(|image| match id {
            Some(id) if id != image => format!("{image} ({})", id.get(..19).unwrap_or(id)),
            _ => image.to_owned(),
        }),
        // A manifest names its image, and nothing but a registry knows what that stands for.
        image_id: image.map(str::to_owned),
        image_digest,
        started_at: pods.iter().filter_map(|pod| pod.started_at()).min(),
        restarts: pods.iter().map(|pod| pod.restarts()).sum(),
        instance: newest.map(|pod| format!("pod {}", pod.name())),
        health,
        configuration: workload.annotation(CONFIGURATION).map(str::to_owned),
        live: Some(workload.live()),
        note: Some(note),
        unfinished,
        ..Observed::new(service, state)
    }
}

fn state(
    workload: Workload<'_>,
    pods: &[Pod<'_>],
    is_given_up: bool,
) -> (ServiceState, Option<RuntimeHealth>) {
    if workload.is_stopped() {
        let at = workload
            .annotation(STOPPED_AT)
            .and_then(|at| at.parse().ok());
        let exit = Exit {
            code: Some(0),
            signal: None,
            at: at.unwrap_or(Timestamp::UNIX_EPOCH),
            reason: Some("scaled to 0".into()),
        };
        return (ServiceState::Exited(exit), None);
    }
    if workload.ready() == 0 {
        let looping = pods.iter().find(|pod| pod.is_in_a_crash_loop());
        if let Some(pod) = looping
            && let Some(last) = pod.last_exit()
        {
            let state = ServiceState::Restarting {
                count: pod.restarts(),
                since: last.at,
                last,
            };
            return (state, None);
        }
        let is_running = pods.iter().any(|pod| {
            pod.containers()
                .any(|container| container.pointer("/state/running").is_some())
        });
        if !is_running && !is_given_up {
            return (ServiceState::Starting, None);
        }
    }
    let health = if workload.is_rolled_out() {
        RuntimeHealth::Healthy
    } else if is_given_up {
        RuntimeHealth::Unhealthy
    } else {
        RuntimeHealth::Starting
    };
    (ServiceState::Running, Some(health))
}

pub(super) fn cut(text: &str) -> String {
    let cut: String = text.trim().chars().take(LONGEST_WORDS).collect();
    match cut.len() < text.trim().len() {
        true => format!("{cut}…"),
        false => cut,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(spec: Value, status: Value) -> Value {
        json!({
            "kind": "Deployment",
            "metadata": {"name": "api", "generation": 2, "annotations": {
                CONFIGURATION: "abc", OBJECTS: "v1 Service/api,apps/v1 Deployment/api",
            }},
            "spec": spec,
            "status": status,
        })
    }

    fn spec(replicas: u64) -> Value {
        json!({
            "replicas": replicas,
            "progressDeadlineSeconds": 30,
            "selector": {"matchLabels": {"app": "api"}},
            "template": {"spec": {"containers": [{"image": "api:1"}]}},
        })
    }

    fn seen(workload: &Value, pods: &[&Value]) -> Observed {
        observed(ServiceName("api".into()), Some(workload), pods)
    }

    fn pod(state: Value, is_ready: bool) -> Value {
        json!({
            "metadata": {"name": "api-1", "labels": {"app": "api"}},
            "status": {
                "phase": "Running",
                "startTime": "2026-01-01T00:00:00Z",
                "conditions": [{"type": "Ready", "status": if is_ready { "True" } else { "False" }}],
                "containerStatuses": [{
                    "name": "main", "restartCount": 3, "state": state,
                    "imageID": "docker.io/api@sha256:0123456789abcdef",
                    "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-01-01T00:01:00Z"}},
                }],
            },
        })
    }

    #[test]
    fn a_rollout_is_done_when_all_of_it_is_new_and_available() {
        let done = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2});
        let one = pod(json!({"running": {}}), true);
        let told = seen(&deployment(spec(2), done.clone()), &[&one]);
        assert_eq!(told.state, ServiceState::Running);
        assert_eq!(told.health, Some(RuntimeHealth::Healthy));
        assert_eq!(told.unfinished, None);
        assert_eq!(told.image.as_deref(), Some("api:1 (sha256:0123456789ab)"));
        let note = told.note.expect("a note");
        assert!(note.starts_with("2 of 2 ready, 2 updated"), "{note}");
        assert!(note.contains("code 137 (OOMKilled)"), "{note}");
        for (key, value) in [
            // Nobody has looked at the change.
            ("observedGeneration", 1),
            // One of the old ones is there still.
            ("replicas", 3),
            ("updatedReplicas", 1),
            ("availableReplicas", 1),
        ] {
            let mut status = done.clone();
            status[key] = value.into();
            let told = seen(&deployment(spec(2), status), &[&one]);
            assert_eq!(told.health, Some(RuntimeHealth::Starting), "{key}");
            assert!(!told.unfinished.expect("unfinished").is_given_up, "{key}");
        }
    }

    #[test]
    fn a_rollout_that_the_cluster_gives_up_says_so_while_the_old_pods_answer() {
        let status = json!({
            "observedGeneration": 2, "replicas": 3, "updatedReplicas": 1, "readyReplicas": 2, "availableReplicas": 2,
            "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}],
        });
        let bad = json!({"metadata": {"name": "api-2"}, "status": {"containerStatuses": [
            {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}},
        ]}});
        let told = seen(&deployment(spec(2), status), &[&bad]);
        assert_eq!(told.state, ServiceState::Running);
        assert_eq!(told.health, Some(RuntimeHealth::Unhealthy));
        let unfinished = told.unfinished.expect("unfinished");
        assert!(unfinished.is_given_up);
        for part in [
            "within 30 s",
            "2 of 2 ready, 1 updated",
            "ImagePullBackOff: no such image",
        ] {
            assert!(unfinished.reason.contains(part), "{}", unfinished.reason);
        }
    }

    #[test]
    fn loops_stops_and_waiting_are_told_apart() {
        let none = json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1});
        let looping = pod(json!({"waiting": {"reason": "CrashLoopBackOff"}}), false);
        let told = seen(&deployment(spec(1), none.clone()), &[&looping]);
        assert!(
            matches!(told.state, ServiceState::Restarting { count: 3, .. }),
            "{told:?}"
        );
        let told = seen(&deployment(spec(1), none), &[]);
        assert_eq!(told.state, ServiceState::Starting);
        let told = seen(&deployment(spec(0), json!({"observedGeneration": 2})), &[]);
        assert!(matches!(told.state, ServiceState::Exited(ref exit) if exit.is_success()));
        assert_eq!(told.unfinished, None);
        let told = observed(ServiceName("api".into()), None, &[]);
        assert_eq!(told.state, ServiceState::Absent);
    }

    #[test]
    fn what_somebody_changes_is_seen_and_what_an_autoscaler_changes_is_not() {
        let of = |workload: &Value| seen(workload, &[]).live;
        let first = deployment(spec(2), json!({}));
        let scaled = deployment(spec(3), json!({}));
        assert_ne!(of(&first), of(&scaled));
        let with_scaler = |mut workload: Value| {
            workload["metadata"]["annotations"][OBJECTS] =
                "autoscaling/v2 HorizontalPodAutoscaler/api".into();
            workload
        };
        assert_eq!(of(&with_scaler(first.clone())), of(&with_scaler(scaled)));
        let mut other = first.clone();
        other["spec"]["template"]["spec"]["containers"][0]["image"] = "api:2".into();
        assert_ne!(of(&first), of(&other));
    }
}
