//! What the nodes of the cluster have for pods: the capacity of a platform whose file gives none.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    KubernetesRuntime, LONGEST_OBSERVATION,
    usage::{Plus as _, WITHOUT_METRICS, by_name, bytes, cpu},
    workloads::cut,
};
use crate::{
    answer::clean,
    platform::{Bytes, MilliCpu},
    runtime::{self, Host, Nodes, Problem},
};

/// Of the kind of a condition, which is one word.
const LONGEST_KIND: usize = 80;

/// Nodes stand in no namespace: a Role of the platform's own does not give this.
const WHAT: &str = "asking for the nodes (`list nodes`, which only a ClusterRole gives)";

/// What the pods of other namespaces ask for would take a list of all pods of the cluster.
const SHARED: &str = "shared with other namespaces, whose pods are not counted";

impl KubernetesRuntime {
    /// What all nodes that take pods have. Not kept: nodes come, go and are cordoned.
    pub(super) async fn cluster_host(&self) -> Result<Host, Problem> {
        Ok(host(&self.all_nodes().await?))
    }

    /// Each of them, with what everything on it uses.
    pub(super) async fn told_nodes(&self) -> Result<Nodes, Problem> {
        let measured = async {
            match self
                .cluster
                .list("/apis/metrics.k8s.io/v1beta1/nodes")
                .await
            {
                Ok(Some(measured)) => Ok(by_name(measured)),
                Ok(None) => Err(WITHOUT_METRICS.to_owned()),
                Err(problem) => Err(problem.to_string()),
            }
        };
        let (nodes, measured) = tokio::join!(self.all_nodes(), measured);
        let none = HashMap::new();
        let known = measured.as_ref().unwrap_or(&none);
        Ok(Nodes {
            nodes: nodes?.iter().map(|one| Node(one).told(known)).collect(),
            unmeasured: measured.as_ref().err().cloned(),
        })
    }

    async fn all_nodes(&self) -> Result<Vec<Value>, Problem> {
        let asked = self.cluster.list_of("/api/v1/nodes", WHAT);
        let nodes = tokio::time::timeout(LONGEST_OBSERVATION, asked)
            .await
            .map_err(|_| Problem::TimedOut {
                what: WHAT.into(),
                waited: LONGEST_OBSERVATION,
            })??;
        Ok(nodes.unwrap_or_default())
    }
}

/// A node as the API server has it.
#[derive(Debug, Clone, Copy)]
struct Node<'a>(&'a Value);

impl<'a> Node<'a> {
    fn list(self, path: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        let list = self.0.pointer(path).and_then(Value::as_array);
        list.into_iter().flatten()
    }

    fn name(self) -> &'a str {
        let name = self.0.pointer("/metadata/name");
        name.and_then(Value::as_str).unwrap_or_default()
    }

    /// Kind, status and words of each condition.
    fn conditions(self) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> + use<'a> {
        self.list("/status/conditions").map(|condition| {
            let text = |key: &str| condition.get(key).and_then(Value::as_str);
            (
                text("type").unwrap_or_default(),
                text("status").unwrap_or_default(),
                text("message").unwrap_or_default(),
            )
        })
    }

    fn is_ready(self) -> bool {
        self.conditions()
            .any(|(kind, status, _)| (kind, status) == ("Ready", "True"))
    }

    fn told(self, measured: &HashMap<String, Value>) -> runtime::Node {
        let ready = self.conditions().find(|(kind, ..)| *kind == "Ready");
        let pressure = self
            .conditions()
            .filter(|(kind, status, _)| *kind != "Ready" && *status == "True");
        let used = |key: &str| measured.get(self.name())?.get("usage")?.get(key)?.as_str();
        runtime::Node {
            name: self.name().to_owned(),
            is_ready: match ready {
                Some((_, "True", _)) => Some(true),
                Some((_, "False", _)) => Some(false),
                _ => None,
            },
            reason: ready
                .filter(|(_, status, words)| *status != "True" && !words.is_empty())
                .map(|(.., words)| cut(words)),
            left_out: self
                .left_out()
                .filter(|reason| *reason != Reason::NotReady)
                .map(Reason::words),
            pressure: pressure
                .map(|(kind, ..)| clean::text(kind, LONGEST_KIND))
                .collect(),
            memory: self.allocatable("memory").and_then(bytes),
            cpu: self.allocatable("cpu").and_then(cpu),
            memory_used: used("memory").and_then(bytes),
            cpu_used: used("cpu").and_then(cpu),
        }
    }

    fn is_cordoned(self) -> bool {
        self.0.pointer("/spec/unschedulable") == Some(&Value::Bool(true))
    }

    /// Pods go there only where they tolerate it, as on a control plane.
    fn is_tainted(self) -> bool {
        self.list("/spec/taints").any(|taint| {
            let effect = taint.get("effect").and_then(Value::as_str);
            matches!(effect, Some("NoSchedule" | "NoExecute"))
        })
    }

    /// Why new pods do not go there; none where they do.
    fn left_out(self) -> Option<Reason> {
        if !self.is_ready() {
            Some(Reason::NotReady)
        } else if self.is_cordoned() {
            Some(Reason::Cordoned)
        } else if self.is_tainted() {
            Some(Reason::Tainted)
        } else {
            None
        }
    }

    fn allocatable(self, resource: &str) -> Option<&'a str> {
        let allocatable = self.0.pointer("/status/allocatable")?;
        allocatable.get(resource)?.as_str()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    NotReady,
    Cordoned,
    Tainted,
}

impl Reason {
    const ALL: [Self; 3] = [Self::NotReady, Self::Cordoned, Self::Tainted];

    fn words(self) -> &'static str {
        match self {
            Self::NotReady => "not ready",
            Self::Cordoned => "cordoned",
            Self::Tainted => "tainted (NoSchedule, NoExecute)",
        }
    }
}

/// A sum that lacks a node would be a guess: where one that counts does not say what it has, there is
/// none.
fn host(nodes: &[Value]) -> Host {
    let (counted, left): (Vec<_>, Vec<_>) = nodes
        .iter()
        .map(|node| (Node(node), Node(node).left_out()))
        .partition(|(_, left_out)| left_out.is_none());
    let sum = |resource: &str| -> Option<Vec<&str>> {
        let told = counted.iter().map(|(node, _)| node.allocatable(resource));
        told.collect::<Option<Vec<_>>>()
            .filter(|all| !all.is_empty())
    };
    let memory: Option<Bytes> = sum("memory").and_then(|all| {
        let mut all = all.into_iter().map(bytes);
        all.try_fold(Bytes(0), |sum, one| Some(sum.plus(one?)))
    });
    let processors: Option<MilliCpu> = sum("cpu").and_then(|all| {
        let mut all = all.into_iter().map(cpu);
        all.try_fold(MilliCpu(0), |sum, one| Some(sum.plus(one?)))
    });
    let mut words = format!("{} of {} nodes", counted.len(), nodes.len());
    let why: Vec<String> = Reason::ALL
        .into_iter()
        .filter_map(|reason| {
            let count = left.iter().filter(|(_, why)| *why == Some(reason)).count();
            (count > 0).then(|| format!("{count} {}", reason.words()))
        })
        .collect();
    if !why.is_empty() {
        words = format!("{words}, left out: {}", why.join(", "));
    }
    let silent = [("memory", memory.is_none()), ("CPU", processors.is_none())];
    for (what, _) in silent.iter().filter(|one| one.1 && !counted.is_empty()) {
        words = format!("{words}; not all of them say what {what} they have");
    }
    Host::Cluster {
        memory,
        cpu: processors,
        notes: vec![words, SHARED.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(status: &str, spec: Value, memory: &str) -> Value {
        json!({
            "metadata": {"name": "a"},
            "spec": spec,
            "status": {
                "conditions": [
                    {"type": "MemoryPressure", "status": "True"},
                    {"type": "Ready", "status": status},
                ],
                "allocatable": {"memory": memory, "cpu": "1500m"},
            },
        })
    }

    #[test]
    fn what_takes_pods_is_added_up_and_the_rest_is_told() {
        let taint = |effect: &str| json!({"taints": [{"key": "a", "effect": effect}]});
        let nodes = [
            node("True", json!({}), "1Gi"),
            node("True", taint("PreferNoSchedule"), "1048576Ki"),
            node("Unknown", json!({"unschedulable": true}), "1Gi"),
            node("True", json!({"unschedulable": true}), "1Gi"),
            node("True", taint("NoSchedule"), "1Gi"),
            node("True", taint("NoExecute"), "1Gi"),
        ];
        let expected = Host::Cluster {
            memory: Some(Bytes(2 << 30)),
            cpu: Some(MilliCpu(3_000)),
            notes: vec![
                "2 of 6 nodes, left out: 1 not ready, 1 cordoned, 2 tainted (NoSchedule, NoExecute)"
                    .into(),
                SHARED.into(),
            ],
        };
        assert_eq!(host(&nodes), expected);
    }

    #[test]
    fn each_node_is_told_as_it_is() {
        let measured = by_name(vec![json!({
            "metadata": {"name": "a"}, "usage": {"memory": "512Mi", "cpu": "250m"},
        })]);
        let told = Node(&node("True", json!({"unschedulable": true}), "1Gi")).told(&measured);
        assert_eq!(
            (told.is_ready, told.left_out),
            (Some(true), Some("cordoned"))
        );
        assert_eq!(told.pressure, ["MemoryPressure"]);
        assert_eq!(
            (told.memory, told.memory_used),
            (Some(Bytes(1 << 30)), Some(Bytes(512 << 20)))
        );
        assert_eq!(told.cpu_used, Some(MilliCpu(250)));
        let mut silent = node("Unknown", json!({}), "1Gi");
        silent["status"]["conditions"][1]["message"] =
            "Kubelet stopped posting node status.".into();
        let told = Node(&silent).told(&HashMap::new());
        assert_eq!((told.is_ready, told.left_out), (None, None));
        assert_eq!(
            told.reason.as_deref(),
            Some("Kubelet stopped posting node status.")
        );
        assert_eq!(told.memory_used, None);
    }

    #[test]
    fn a_sum_that_lacks_a_node_is_none() {
        let mut silent = node("True", json!({}), "many");
        let told = host(&[node("True", json!({}), "1Gi"), silent.clone()]);
        let Host::Cluster { memory, cpu, notes } = told else {
            panic!("a cluster");
        };
        assert_eq!((memory, cpu), (None, Some(MilliCpu(3_000))));
        assert!(notes[0].contains("what memory they have"), "{notes:?}");
        silent["spec"] = json!({"unschedulable": true});
        let Host::Cluster { memory, cpu, notes } = host(&[silent]) else {
            panic!("a cluster");
        };
        assert_eq!((memory, cpu), (None, None));
        assert_eq!(notes[0], "0 of 1 nodes, left out: 1 cordoned");
    }
}
