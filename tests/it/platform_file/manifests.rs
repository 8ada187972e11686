//! What manifests contradict among themselves.

use openpolicy_mcp::platform;

use super::Folder;

/// A workload `api` with the labels `app: api` and `version: v1`, and a Service before it.
const API: &str = "apiVersion: apps/v1
kind: Deployment
metadata: { name: api }
spec: { template: { metadata: { labels: { app: api, version: v1 } }, spec: { containers: [{ name: main }] } } }
---
apiVersion: v1
kind: Service
metadata: { name: api }
spec: { selector: { app: api } }
";

/// The findings about one more object, with their codes.
fn findings(object: &str) -> Vec<String> {
    let platform = "platform: p\nruntime: { kubernetes: { manifests: [k8s], namespace: p } }\n\
                    services: { api: { probe: { process: true } } }\n";
    let folder = Folder::with(platform)
        .file("k8s/api.yaml", API)
        .file("k8s/more.yaml", object);
    platform::lint(&folder.load())
        .into_iter()
        .map(|finding| format!("{} {}", finding.code, finding.message))
        .collect()
}

#[test]
fn each_contradiction_is_one_finding() {
    for (object, expected) in [
        (
            "kind: NetworkPolicy\nmetadata: { name: n }\nspec: { podSelector: {}, policyTypes: [Ingress] }",
            "policy-cuts-off NetworkPolicy `n` lists Ingress and allows none: `api` is reached by nobody",
        ),
        (
            "kind: NetworkPolicy\nmetadata: { name: n }\nspec: { podSelector: { matchExpressions: [{ key: app, operator: In, values: [api] }] }, \
             policyTypes: [Egress], egress: [{ ports: [{ port: 443 }] }] }",
            "policy-without-dns NetworkPolicy `n` lets `api` reach no port 53: it cannot look up a name",
        ),
        (
            "kind: ClusterRole\nmetadata: { name: c }",
            "role-bound-to-nobody ClusterRole `c` is bound to nobody: no ClusterRoleBinding names it",
        ),
        (
            "kind: Service\nmetadata: { name: s }\nspec: { selector: { app: ap } }",
            "selects-nobody Service `s` selects the pods of no workload here",
        ),
        (
            "kind: PodDisruptionBudget\nmetadata: { name: b }\nspec: { selector: { matchLabels: { app: x } } }",
            "selects-nobody PodDisruptionBudget `b` selects the pods of no workload here",
        ),
        (
            "kind: HorizontalPodAutoscaler\nmetadata: { name: h }\nspec: { scaleTargetRef: { kind: Deployment, name: x } }",
            "scales-nobody HorizontalPodAutoscaler `h` scales Deployment `x`, which is not here",
        ),
        (
            "kind: Ingress\nmetadata: { name: i }\nspec: { rules: [{ http: { paths: [{ backend: { service: { name: x } } }] } }] }",
            "sent-nowhere Ingress `i` sends to Service `x`, which is not here",
        ),
        (
            "kind: DestinationRule\nmetadata: { name: d }\nspec: { host: api, subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }] }",
            "subset-without-pods subset `v2` of DestinationRule `d` has the pods of no workload here",
        ),
        (
            "kind: VirtualService\nmetadata: { name: v }\nspec: { http: [{ route: [{ destination: { host: api }, weight: 90 }, \
             { destination: { host: api }, weight: 20 }] }] }",
            "weights-do-not-add-up the weights of VirtualService `v` add up to 110, not to 100",
        ),
        (
            "kind: VirtualService\nmetadata: { name: v }\nspec: { http: [{ timeout: 10s, retries: { attempts: 3, perTryTimeout: 3s }, \
             route: [{ destination: { host: api } }] }] }",
            "tries-outlast-timeout VirtualService `v` gives up after 10s: a try and 3 retries of 3s each do not fit into that",
        ),
        (
            "kind: PeerAuthentication\nmetadata: { name: p }\nspec: { selector: { matchLabels: { app: api } }, mtls: { mode: STRICT } }\n---\n\
             kind: DestinationRule\nmetadata: { name: d }\nspec: { host: api, trafficPolicy: { tls: { mode: DISABLE } } }",
            "plain-text-to-strict DestinationRule `d` sends plain text to api, and PeerAuthentication `p` lets its pods take mutual TLS alone",
        ),
    ] {
        assert_eq!(findings(object), [expected], "{object}");
    }
}

#[test]
fn replicas_that_an_autoscaler_decides_are_given_once() {
    let found = findings(
        "kind: Deployment\nmetadata: { name: web }\nspec: { replicas: 2, template: { metadata: { labels: { app: web } }, spec: { containers: [] } } }\n\
         ---\nkind: HorizontalPodAutoscaler\nmetadata: { name: h }\nspec: { scaleTargetRef: { kind: Deployment, name: web } }",
    );
    assert_eq!(
        found,
        [
            "no-probe `web` has no probe: whether it is healthy is not known",
            "replicas-twice Deployment `web` gives its replicas, and HorizontalPodAutoscaler `h` decides them: \
             each apply sets back what it decided"
        ]
    );
}

#[test]
fn what_fits_together_is_no_finding() {
    for object in [
        "kind: NetworkPolicy\nmetadata: { name: n }\nspec: { podSelector: { matchLabels: { app: other } }, policyTypes: [Egress] }",
        // Two policies add up.
        "kind: NetworkPolicy\nmetadata: { name: n }\nspec: { podSelector: {}, policyTypes: [Egress] }\n---\n\
         kind: NetworkPolicy\nmetadata: { name: m }\nspec: { podSelector: {}, policyTypes: [Egress], egress: [{}] }",
        "kind: VirtualService\nmetadata: { name: v }\nspec: { http: [{ timeout: 12s, retries: { attempts: 3, perTryTimeout: 3s } }] }",
        "kind: PeerAuthentication\nmetadata: { name: p }\nspec: { selector: { matchLabels: { app: x } }, mtls: { mode: STRICT } }\n---\n\
         kind: DestinationRule\nmetadata: { name: d }\nspec: { host: api, trafficPolicy: { tls: { mode: DISABLE } } }",
        "kind: Role\nmetadata: { name: r }\n---\nkind: RoleBinding\nmetadata: { name: b }\nroleRef: { kind: Role, name: r }",
        "kind: DestinationRule\nmetadata: { name: d }\nspec: { host: api.p.svc.cluster.local, subsets: [{ name: v1, labels: { version: v1 } }] }\n---\n\
         kind: VirtualService\nmetadata: { name: blue-green }\nspec: { http: [{ route: [{ destination: { host: api, subset: v1 }, weight: 100 }] }] }",
    ] {
        assert_eq!(findings(object), [] as [&str; 0], "{object}");
    }
}
