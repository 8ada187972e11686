//! What the API server lets this server do: asked before anything is done, right by right.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use super::{
    KubernetesRuntime, MOST_AT_ONCE,
    kinds::{Kind, Reference, WORKLOADS},
};
use crate::runtime::Problem;

/// One verb on one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Right {
    pub verb: &'static str,
    group: &'static str,
    plural: &'static str,
    subresource: &'static str,
}

impl Right {
    fn to(verb: &'static str, kind: &Kind) -> Self {
        Self {
            verb,
            group: kind.group,
            plural: kind.plural,
            subresource: "",
        }
    }

    /// Of a kind that is no manifest's.
    pub(super) const fn on(verb: &'static str, group: &'static str, plural: &'static str) -> Self {
        Self {
            verb,
            group,
            plural,
            subresource: "",
        }
    }

    const fn on_pods(verb: &'static str, subresource: &'static str) -> Self {
        Self {
            verb,
            group: "",
            plural: "pods",
            subresource,
        }
    }

    fn is_of(self, kind: &Kind) -> bool {
        self.group == kind.group && self.plural == kind.plural
    }

    /// `patch deployments.apps`, `get pods/log`.
    pub(super) fn words(self) -> String {
        let group = match self.group {
            "" => String::new(),
            group => format!(".{group}"),
        };
        let below = match self.subresource {
            "" => String::new(),
            below => format!("/{below}"),
        };
        format!("{} {}{group}{below}", self.verb, self.plural)
    }

    fn review(self, namespace: &str) -> Value {
        json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": {
                "namespace": namespace,
                "verb": self.verb,
                "group": self.group,
                "resource": self.plural,
                "subresource": self.subresource,
            }},
        })
    }
}

/// What looking needs.
fn to_look() -> Vec<Right> {
    let mut rights: Vec<Right> = WORKLOADS
        .iter()
        .filter_map(|kind| Kind::of(kind))
        .map(|kind| Right::to("list", kind))
        .collect();
    rights.push(Right::on_pods("list", ""));
    rights.push(Right::on_pods("get", "log"));
    rights
}

/// What applying these, and taking them back, needs. An existing namespace is left as it is.
fn to_apply(objects: &BTreeSet<&Reference>) -> Vec<Right> {
    let kinds = objects
        .iter()
        .filter_map(|one| one.kind())
        .filter(|kind| kind.is_namespaced);
    kinds
        .flat_map(|kind| {
            let verbs: &[&'static str] = match kind.is_removed {
                true => &["get", "create", "patch", "delete"],
                false => &["get", "create", "patch"],
            };
            verbs.iter().map(|verb| Right::to(verb, kind))
        })
        .collect()
}

/// Rights that are missing.
#[derive(Debug, Clone, Default)]
pub(super) struct Missing(BTreeMap<Right, String>);

impl Missing {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn words(&self) -> String {
        let all: Vec<String> = self.0.keys().map(|right| right.words()).collect();
        all.join(", ")
    }

    /// Those without which this cannot be applied.
    pub(super) fn for_kind(&self, kind: &Kind) -> Vec<String> {
        let missing = self.0.keys().filter(|right| right.is_of(kind));
        missing.map(|right| right.words()).collect()
    }
}

impl KubernetesRuntime {
    /// Which rights are missing to look, to apply these and to take them back.
    pub(super) async fn missing_rights(
        &self,
        objects: &BTreeSet<&Reference>,
    ) -> Result<Missing, Problem> {
        let mut rights: BTreeSet<Right> = to_look().into_iter().collect();
        rights.extend(to_apply(objects));
        self.missing_of(rights).await
    }

    /// Which of these are missing.
    pub(super) async fn missing_of(&self, rights: BTreeSet<Right>) -> Result<Missing, Problem> {
        let asked = stream::iter(rights).map(|right| async move {
            let answer = self
                .cluster
                .create(
                    "authorization.k8s.io/v1",
                    "selfsubjectaccessreviews",
                    &right.review(&self.namespace),
                )
                .await?;
            let is_allowed = answer.pointer("/status/allowed") == Some(&Value::Bool(true));
            let why = answer.pointer("/status/reason").and_then(Value::as_str);
            let missing = (!is_allowed).then(|| (right, why.unwrap_or_default().to_owned()));
            Ok::<_, Problem>(missing)
        });
        let answered: Vec<Option<(Right, String)>> =
            asked.buffered(MOST_AT_ONCE).try_collect().await?;
        Ok(Missing(answered.into_iter().flatten().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_never_removed_needs_no_right_to() {
        let of = |written: &str| Reference::read(written).expect("a reference");
        let (claim, service) = (of("v1 PersistentVolumeClaim/a"), of("apps/v1 Deployment/a"));
        let objects = BTreeSet::from([&claim, &service]);
        let words: Vec<String> = to_apply(&objects).into_iter().map(Right::words).collect();
        assert!(
            words.contains(&"delete deployments.apps".to_owned()),
            "{words:?}"
        );
        assert!(
            !words
                .iter()
                .any(|one| one == "delete persistentvolumeclaims"),
            "{words:?}"
        );
        let look: Vec<String> = to_look().into_iter().map(Right::words).collect();
        assert!(look.contains(&"get pods/log".to_owned()), "{look:?}");
    }
}
