//! The kinds of objects that this runtime applies, and where the API has them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A kind of object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub kind: &'static str,
    /// Empty: the core group.
    pub group: &'static str,
    pub plural: &'static str,
    pub is_namespaced: bool,
    /// What was not there before goes again when a service is taken back. Never what holds data.
    pub is_removed: bool,
}

const fn kind(kind: &'static str, group: &'static str, plural: &'static str) -> Kind {
    Kind {
        kind,
        group,
        plural,
        is_namespaced: true,
        is_removed: true,
    }
}

/// In the order in which they are applied: what others refer to comes first.
pub(super) const KINDS: [Kind; 17] = [
    Kind {
        is_namespaced: false,
        is_removed: false,
        ..kind("Namespace", "", "namespaces")
    },
    kind("ResourceQuota", "", "resourcequotas"),
    kind("LimitRange", "", "limitranges"),
    kind("ServiceAccount", "", "serviceaccounts"),
    kind("Role", "rbac.authorization.k8s.io", "roles"),
    kind("RoleBinding", "rbac.authorization.k8s.io", "rolebindings"),
    kind("ConfigMap", "", "configmaps"),
    kind("Secret", "", "secrets"),
    Kind {
        is_removed: false,
        ..kind("PersistentVolumeClaim", "", "persistentvolumeclaims")
    },
    kind("NetworkPolicy", "networking.k8s.io", "networkpolicies"),
    kind("Service", "", "services"),
    kind("Deployment", "apps", "deployments"),
    kind("StatefulSet", "apps", "statefulsets"),
    kind("DaemonSet", "apps", "daemonsets"),
    kind(
        "HorizontalPodAutoscaler",
        "autoscaling",
        "horizontalpodautoscalers",
    ),
    kind("PodDisruptionBudget", "policy", "poddisruptionbudgets"),
    kind("Ingress", "networking.k8s.io", "ingresses"),
];

/// Kinds whose pods are a service.
pub(super) const WORKLOADS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

impl Kind {
    pub(super) fn of(kind: &str) -> Option<&'static Self> {
        KINDS.iter().find(|one| one.kind == kind)
    }

    /// Place in the order of applying.
    pub(super) fn rank(&self) -> usize {
        KINDS
            .iter()
            .position(|one| one == self)
            .unwrap_or(KINDS.len())
    }

    pub(super) fn is_workload(&self) -> bool {
        WORKLOADS.contains(&self.kind)
    }
}

/// Which object, in the namespace of the platform.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Reference {
    pub api_version: String,
    pub kind: String,
    pub name: String,
}

impl Reference {
    /// What an object says of itself; none where it is not whole, or of a kind that is not applied.
    pub(super) fn of(object: &Value) -> Option<Self> {
        let text = |path: &str| Some(object.pointer(path)?.as_str()?.to_owned());
        let kind = text("/kind")?;
        Kind::of(&kind)?;
        Some(Self {
            api_version: text("/apiVersion")?,
            kind,
            name: text("/metadata/name")?,
        })
    }

    pub(super) fn kind(&self) -> Option<&'static Kind> {
        Kind::of(&self.kind)
    }

    pub(super) fn rank(&self) -> usize {
        self.kind().map_or(KINDS.len(), Kind::rank)
    }

    /// `Deployment/api`.
    pub(super) fn words(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    /// One text, which [`Self::read`] reads.
    pub(super) fn written(&self) -> String {
        format!("{} {}/{}", self.api_version, self.kind, self.name)
    }

    pub(super) fn read(written: &str) -> Option<Self> {
        let (api_version, rest) = written.trim().split_once(' ')?;
        let (kind, name) = rest.split_once('/')?;
        Kind::of(kind)?;
        Some(Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Its place below the API server.
    pub(super) fn path(&self, namespace: &str) -> String {
        let kind = self.kind();
        let plural = kind.map_or("", |kind| kind.plural);
        let group = group_path(&self.api_version);
        let name = &self.name;
        match kind.is_none_or(|kind| kind.is_namespaced) {
            true => format!("{group}/namespaces/{namespace}/{plural}/{name}"),
            false => format!("{group}/{plural}/{name}"),
        }
    }

    /// The least that an object says of itself.
    pub(super) fn bare(&self, namespace: &str) -> Value {
        let mut metadata = serde_json::json!({ "name": self.name });
        if self.kind().is_none_or(|kind| kind.is_namespaced)
            && let Some(metadata) = metadata.as_object_mut()
        {
            metadata.insert("namespace".into(), namespace.into());
        }
        serde_json::json!({
            "apiVersion": self.api_version,
            "kind": self.kind,
            "metadata": metadata,
        })
    }
}

/// `/api/v1`, `/apis/apps/v1`.
pub(super) fn group_path(api_version: &str) -> String {
    match api_version.contains('/') {
        true => format!("/apis/{api_version}"),
        false => format!("/api/{api_version}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_its_place() {
        let of = |written: &str| Reference::read(written).expect("a reference");
        assert_eq!(
            of("apps/v1 Deployment/api").path("p"),
            "/apis/apps/v1/namespaces/p/deployments/api"
        );
        assert_eq!(of("v1 Namespace/p").path("p"), "/api/v1/namespaces/p");
        assert_eq!(
            of("v1 Namespace/p").bare("p")["metadata"].get("namespace"),
            None
        );
        assert_eq!(Reference::read("v1 Node/a"), None);
        let service = of("v1 Service/api");
        assert_eq!(Reference::read(&service.written()), Some(service.clone()));
        assert!(of("v1 ConfigMap/a").rank() < of("apps/v1 Deployment/a").rank());
    }
}
