//! What the nodes of the cluster have for pods: the capacity of a platform whose file gives none.

use serde_json::Value;

use super::{
    KubernetesRuntime, LONGEST_OBSERVATION,
    usage::{Plus as _, bytes, cpu},
};
use crate::{
    platform::{Bytes, MilliCpu},
    runtime::{Host, Problem},
};

/// Nodes stand in no namespace: a Role of the platform's own does not give this.
const WHAT: &str = "asking for the nodes (`list nodes`, which only a ClusterRole gives)";

/// What the pods of other namespaces ask for would take a list of all pods of the cluster.
const SHARED: &str = "shared with other namespaces, whose pods are not counted";

impl KubernetesRuntime {
    /// What all nodes that take pods have. Not kept: nodes come, go and are cordoned.
    pub(super) async fn cluster_host(&self) -> Result<Host, Problem> {
        Ok(host(&self.nodes().await?))
    }

    async fn nodes(&self) -> Result<Vec<Value>, Problem> {
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

    fn is_ready(self) -> bool {
        self.list("/status/conditions").any(|condition| {
            let text = |key: &str| condition.get(key).and_then(Value::as_str);
            text("type") == Some("Ready") && text("status") == Some("True")
        })
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
