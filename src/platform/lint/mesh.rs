//! Istio in the manifests: weights that do not add up, subsets of nobody, tries that never come, and
//! encryption that one side does not speak.

use std::time::Duration;

use super::{
    Linter,
    manifests::{Manifests, items, text, words},
};
use crate::platform::{
    kubernetes::selects,
    quantity::duration,
    yaml::{Node, Value},
};

pub fn look(linter: &mut Linter<'_>, manifests: &Manifests<'_>) {
    routes(linter, manifests);
    encryption(linter, manifests);
}

/// Weights that do not add up, subsets that nobody defines, subsets without pods.
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
                tries(linter, object, rule);
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

/// All tries together have to fit into the time-out of the route: what does not is never made.
fn tries(linter: &mut Linter<'_>, object: &Node, rule: &Node) {
    let time = |keys: &[&str]| -> Option<Duration> { duration(text(rule, keys)?).ok() };
    let attempts = text(rule, &["retries", "attempts"]).and_then(|text| text.parse::<u32>().ok());
    let (Some(whole), Some(each), Some(attempts)) = (
        time(&["timeout"]),
        time(&["retries", "perTryTimeout"]),
        attempts,
    ) else {
        return;
    };
    // The first try is none of the retries.
    if each.saturating_mul(attempts.saturating_add(1)) > whole {
        linter.warn(
            "tries-outlast-timeout",
            rule.place,
            format!(
                "{} gives up after {whole:?}: a try and {attempts} retries of {each:?} each do not fit into that",
                words(object)
            ),
        );
    }
}

/// Plain text to pods that take nothing but mutual TLS.
fn encryption(linter: &mut Linter<'_>, manifests: &Manifests<'_>) {
    let strict: Vec<&Node> = manifests
        .of("PeerAuthentication")
        .filter(|one| text(one, &["spec", "mtls", "mode"]) == Some("STRICT"))
        .collect();
    for rule in manifests.of("DestinationRule") {
        let mode = rule.at(&["spec", "trafficPolicy", "tls", "mode"]);
        let (Some(mode), Some(host)) = (mode, text(rule, &["spec", "host"])) else {
            continue;
        };
        if mode.text() != Some("DISABLE") {
            continue;
        }
        let selector = manifests
            .of("Service")
            .find(|service| {
                text(service, &["metadata", "name"]).is_some_and(|name| same_host(name, host))
            })
            .and_then(|service| service.at(&["spec", "selector"]));
        let Some(selector) = selector else {
            continue;
        };
        let refusing = strict.iter().find(|one| {
            let pods = manifests.pods();
            let mut behind = pods.iter().filter(|pods| selects(selector, pods.labels));
            match one.at(&["spec", "selector"]) {
                None => behind.next().is_some(),
                Some(chosen) => behind.any(|pods| pods.are_selected_by(chosen)),
            }
        });
        if let Some(refusing) = refusing {
            linter.warn(
                "plain-text-to-strict",
                mode.place,
                format!(
                    "{} sends plain text to {host}, and {} lets its pods take mutual TLS alone",
                    words(rule),
                    words(refusing)
                ),
            );
        }
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
