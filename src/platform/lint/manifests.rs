//! Manifests: what is selected by nobody, bound to nobody, cut off, or sent nowhere.
//!
//! What is not in the manifests may still be in the cluster, so that something is missing here is a
//! note; that two of them contradict each other is a warning.

use super::{Linter, listed};
use crate::platform::{
    kubernetes::{Pods, kind, name, objects, pods, selects},
    problem::Place,
    yaml::{Node, Value},
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
    routes(linter, &manifests);
}

struct Manifests<'a> {
    objects: Vec<&'a Node>,
}

impl<'a> Manifests<'a> {
    fn of(&self, wanted: &'static str) -> impl Iterator<Item = &'a Node> + use<'_, 'a> {
        let all = self.objects.iter().copied();
        all.filter(move |object| kind(object) == wanted)
    }

    /// Whether there is one of this kind and name.
    fn has(&self, wanted: &'static str, named: &str) -> bool {
        self.of(wanted).any(|object| name(object) == Some(named))
    }

    fn pods(&self) -> Vec<Pods<'a>> {
        self.objects.iter().copied().filter_map(pods).collect()
    }
}

/// Where an object is named.
fn place(object: &Node) -> Place {
    object
        .at(&["metadata", "name"])
        .map_or(object.place, |name| name.place)
}

fn words(object: &Node) -> String {
    format!("{} `{}`", kind(object), name(object).unwrap_or("?"))
}

fn text<'a>(object: &'a Node, keys: &[&str]) -> Option<&'a str> {
    object.at(keys).and_then(Node::text)
}

fn items<'a>(object: &'a Node, keys: &[&str]) -> &'a [Node] {
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

/// Istio: weights that do not add up, subsets that nobody defines, subsets without pods.
fn routes(linter: &mut Linter<'_>, manifests: &Manifests<'_>) {
    let all = manifests.pods();
    for object in manifests.of("DestinationRule") {
        for subset in items(object, &["spec", "subsets"]) {
            let (Some(named), Some(labels)) = (subset.get("name"), subset.get("labels")) else {
                continue;
            };
            if !all.iter().any(|pods| selects(labels, pods.labels)) {
                linter.warn(
                    "subset-without-pods",
                    named.place,
                    format!(
                        "subset `{}` of {} has the pods of no workload here",
                        named.text().unwrap_or("?"),
                        words(object)
                    ),
                );
            }
        }
    }
    for object in manifests.of("VirtualService") {
        for protocol in ["http", "tls", "tcp"] {
            for rule in items(object, &["spec", protocol]) {
                let routes = items(rule, &["route"]);
                for route in routes {
                    subset(linter, manifests, object, route);
                }
                weights(linter, object, rule, routes);
            }
        }
    }
}

fn subset(linter: &mut Linter<'_>, manifests: &Manifests<'_>, object: &Node, route: &Node) {
    let Some(host) = text(route, &["destination", "host"]) else {
        return;
    };
    let Some(node) = route.at(&["destination", "subset"]) else {
        return;
    };
    let named = node.text().unwrap_or_default();
    let is_defined = manifests
        .of("DestinationRule")
        .filter(|rule| text(rule, &["spec", "host"]).is_some_and(|other| same_host(other, host)))
        .flat_map(|rule| items(rule, &["spec", "subsets"]))
        .any(|one| text(one, &["name"]) == Some(named));
    if !is_defined {
        linter.warn(
            "subset-undefined",
            node.place,
            format!(
                "{} sends to subset `{named}` of {host}, which no DestinationRule here defines",
                words(object)
            ),
        );
    }
}

/// `api` and `api.namespace.svc.cluster.local` are one.
fn same_host(one: &str, other: &str) -> bool {
    let first = |host: &str| host.split('.').next().map(str::to_owned);
    first(one) == first(other)
}

/// Istio takes weights in proportion; whoever writes 90 and 20 means something else.
fn weights(linter: &mut Linter<'_>, object: &Node, rule: &Node, routes: &[Node]) {
    let written: Vec<u32> = routes
        .iter()
        .filter_map(|route| text(route, &["weight"])?.parse().ok())
        .collect();
    let sum: u32 = written.iter().sum();
    if written.len() > 1 && sum != 100 {
        linter.warn(
            "weights-do-not-add-up",
            rule.place,
            format!(
                "the weights of {} add up to {sum}, not to 100",
                words(object)
            ),
        );
    }
    let shared = written.iter().filter(|weight| **weight > 0).count();
    if shared > 1 && calls_itself_blue_green(object) {
        linter.note(
            "blue-green-is-a-canary",
            rule.place,
            format!(
                "{} calls itself blue-green and shares traffic between {shared} versions, as a canary does",
                words(object)
            ),
        );
    }
}

/// In its name, a label or an annotation.
fn calls_itself_blue_green(object: &Node) -> bool {
    fn says(node: &Node) -> bool {
        match &node.value {
            Value::Map(entries) => entries
                .iter()
                .any(|entry| is_it(&entry.key) || says(&entry.value)),
            Value::List(items) => items.iter().any(says),
            Value::Scalar { text, .. } => is_it(text),
            Value::Null => false,
        }
    }
    fn is_it(text: &str) -> bool {
        let letters: String = text.chars().filter(char::is_ascii_alphabetic).collect();
        letters.to_ascii_lowercase().contains("bluegreen")
    }
    object.get("metadata").is_some_and(says)
}
