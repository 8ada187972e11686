//! Manifests: what is selected by nobody, bound to nobody, cut off, or sent nowhere.
//!
//! What is not in the manifests may still be in the cluster, so that something is missing here is a
//! note; that two of them contradict each other is a warning.

use super::{Linter, listed, mesh};
use crate::platform::{
    kubernetes::{Pods, kind, name, objects, pods, selects},
    problem::Place,
    yaml::Node,
};

/// Port of name servers.
const DNS: &str = "53";

pub fn look(linter: &mut Linter<'_>) {
    let manifests = Manifests {
        objects: objects(&linter.loaded.manifests),
    };
    if manifests.objects.is_empty() {
        return;
    }
    policies(linter, &manifests);
    roles(linter, &manifests);
    selected(linter, &manifests);
    autoscalers(linter, &manifests);
    ingresses(linter, &manifests);
    mesh::look(linter, &manifests);
}

pub(super) struct Manifests<'a> {
    objects: Vec<&'a Node>,
}

impl<'a> Manifests<'a> {
    pub(super) fn of(&self, wanted: &'static str) -> impl Iterator<Item = &'a Node> + use<'_, 'a> {
        let all = self.objects.iter().copied();
        all.filter(move |object| kind(object) == wanted)
    }

    /// Whether there is one of this kind and name.
    pub(super) fn has(&self, wanted: &'static str, named: &str) -> bool {
        self.of(wanted).any(|object| name(object) == Some(named))
    }

    pub(super) fn pods(&self) -> Vec<Pods<'a>> {
        self.objects.iter().copied().filter_map(pods).collect()
    }
}

/// Where an object is named.
pub(super) fn place(object: &Node) -> Place {
    object
        .at(&["metadata", "name"])
        .map_or(object.place, |name| name.place)
}

pub(super) fn words(object: &Node) -> String {
    format!("{} `{}`", kind(object), name(object).unwrap_or("?"))
}

pub(super) fn text<'a>(object: &'a Node, keys: &[&str]) -> Option<&'a str> {
    object.at(keys).and_then(Node::text)
}

pub(super) fn items<'a>(object: &'a Node, keys: &[&str]) -> &'a [Node] {
    object.at(keys).map(Node::items).unwrap_or_default()
}

/// Policies add up: pods are isolated by any that selects them, and reach what any of them allows.
fn policies(linter: &mut Linter<'_>, manifests: &Manifests<'_>) {
    for pods in manifests.pods() {
        let about_it: Vec<&Node> = manifests
            .of("NetworkPolicy")
            .filter(|policy| {
                let selector = policy.at(&["spec", "podSelector"]);
                selector.is_some_and(|selector| pods.are_selected_by(selector))
            })
            .collect();
        for (direction, key) in [("Egress", "egress"), ("Ingress", "ingress")] {
            let isolating: Vec<&Node> = about_it
                .iter()
                .copied()
                .filter(|policy| isolates(policy, direction))
                .collect();
            let Some(first) = isolating.first() else {
                continue;
            };
            let rules: Vec<&Node> = isolating
                .iter()
                .flat_map(|policy| items(policy, &["spec", key]))
                .collect();
            let names = listed(isolating.iter().filter_map(|policy| name(policy)));
            if rules.is_empty() {
                let effect = match direction {
                    "Egress" => "reaches nobody, and cannot even look up a name",
                    _ => "is reached by nobody",
                };
                linter.warn(
                    "policy-cuts-off",
                    place(first),
                    format!(
                        "NetworkPolicy {names} lists {direction} and allows none: `{}` {effect}",
                        pods.name
                    ),
                );
            } else if direction == "Egress" && !rules.iter().any(|rule| allows_names(rule)) {
                linter.warn(
                    "policy-without-dns",
                    place(first),
                    format!(
                        "NetworkPolicy {names} lets `{}` reach no port 53: it cannot look up a name",
                        pods.name
                    ),
                );
            }
        }
    }
}

/// Without `policyTypes` a policy is one of ingress, and of egress where it has such rules.
fn isolates(policy: &Node, direction: &str) -> bool {
    match policy.at(&["spec", "policyTypes"]) {
        Some(types) => types
            .items()
            .iter()
            .any(|one| one.text() == Some(direction)),
        None => direction == "Ingress" || policy.at(&["spec", "egress"]).is_some(),
    }
}

/// A rule without ports is for all ports.
fn allows_names(rule: &Node) -> bool {
    let ports = items(rule, &["ports"]);
    ports.is_empty()
        || ports.iter().any(|port| match text(port, &["port"]) {
            None => true,
            Some(number) => number == DNS || number == "dns",
        })
}

fn roles(linter: &mut Linter<'_>, manifests: &Manifests<'_>) {
    for (role, binding) in [
        ("Role", "RoleBinding"),
        ("ClusterRole", "ClusterRoleBinding"),
    ] {
        for object in manifests.of(role) {
            let named = name(object);
            let is_bound = ["RoleBinding", "ClusterRoleBinding"]
                .into_iter()
                .flat_map(|kind| manifests.of(kind))
                .any(|one| {
                    text(one, &["roleRef", "kind"]) == Some(role)
                        && text(one, &["roleRef", "name"]) == named
                });
            if !is_bound {
                linter.warn(
                    "role-bound-to-nobody",
                    place(object),
                    format!(
                        "{} is bound to nobody: no {binding} names it",
                        words(object)
                    ),
                );
            }
        }
    }
}

/// Services and budgets that select pods of no workload.
fn selected(linter: &mut Linter<'_>, manifests: &Manifests<'_>) {
    let all = manifests.pods();
    for object in manifests.of("Service") {
        let Some(selector) = object.at(&["spec", "selector"]) else {
            continue;
        };
        if !all.iter().any(|pods| selects(selector, pods.labels)) {
            linter.warn(
                "selects-nobody",
                place(object),
                format!("{} selects the pods of no workload here", words(object)),
            );
        }
    }
    for object in manifests.of("PodDisruptionBudget") {
        let Some(selector) = object.at(&["spec", "selector"]) else {
            continue;
        };
        if !all.iter().any(|pods| pods.are_selected_by(selector)) {
            linter.warn(
                "selects-nobody",
                place(object),
                format!("{} selects the pods of no workload here", words(object)),
            );
        }
    }
}

fn autoscalers(linter: &mut Linter<'_>, manifests: &Manifests<'_>) {
    for object in manifests.of("HorizontalPodAutoscaler") {
        let target = |key| text(object, &["spec", "scaleTargetRef", key]);
        let (Some(wanted), Some(named)) = (target("kind"), target("name")) else {
            continue;
        };
        let found = manifests
            .objects
            .iter()
            .find(|one| kind(one) == wanted && name(one) == Some(named));
        match found {
            None => linter.note(
                "scales-nobody",
                place(object),
                format!(
                    "{} scales {wanted} `{named}`, which is not here",
                    words(object)
                ),
            ),
            Some(workload) => {
                if let Some(replicas) = workload.at(&["spec", "replicas"]) {
                    linter.warn(
                        "replicas-twice",
                        replicas.place,
                        format!(
                            "{} gives its replicas, and {} decides them: each apply sets back what it decided",
                            words(workload),
                            words(object)
                        ),
                    );
                }
            }
        }
    }
}

fn ingresses(linter: &mut Linter<'_>, manifests: &Manifests<'_>) {
    for object in manifests.of("Ingress") {
        let paths = items(object, &["spec", "rules"])
            .iter()
            .flat_map(|rule| items(rule, &["http", "paths"]));
        let backends = paths
            .filter_map(|path| path.get("backend"))
            .chain(object.at(&["spec", "defaultBackend"]));
        for backend in backends {
            if let Some(service) = backend.at(&["service", "name"])
                && let Some(named) = service.text()
                && !manifests.has("Service", named)
            {
                linter.note(
                    "sent-nowhere",
                    service.place,
                    format!(
                        "{} sends to Service `{named}`, which is not here",
                        words(object)
                    ),
                );
            }
        }
    }
}
