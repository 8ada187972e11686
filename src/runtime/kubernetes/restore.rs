//! Makes a service again what it was: the fields that we had applied before, and nothing of others.
//!
//! Each step may have been done already by an attempt that was cut off. Namespaces and claims are
//! never removed.

use serde_json::{Value, json};

use super::{
    KubernetesRuntime,
    capture::{Captured, Kept},
    cluster::MANAGER,
    fields,
    kinds::{Kind, Reference},
    workloads::{Pod, REPLICAS_BEFORE, STOPPED_AT, WORKLOADS, Workload},
};
use crate::runtime::{Applied, Before, Problem, values::AppliedOutcome};

impl KubernetesRuntime {
    pub(super) async fn take_back(&self, before: &Before) -> Result<Applied, Problem> {
        let name = &before.service;
        let own = self.workload_name(name)?.to_owned();
        let around = before.around.clone().unwrap_or_default();
        let captured: Captured = serde_json::from_value(around)
            .map_err(|error| Problem::failed(format!("restoring {name}"), error))?;
        if captured.namespace != self.namespace {
            return Err(Problem::failed(
                format!("restoring {name}"),
                format!(
                    "it was written down in the namespace {}, and this is {}",
                    captured.namespace, self.namespace
                ),
            ));
        }
        let now = self.capture_all(std::slice::from_ref(name)).await?;
        let outcome = self.put_all_back(&own, &captured).await;
        Ok(Applied {
            service: name.clone(),
            outcome: outcome.unwrap_or_else(AppliedOutcome::Failed),
            before: now.into_iter().next().unwrap_or_else(|| before.clone()),
        })
    }

    async fn put_all_back(
        &self,
        own: &str,
        captured: &Captured,
    ) -> Result<AppliedOutcome, Problem> {
        let mut outcome = AppliedOutcome::Unchanged;
        // What others refer to comes first.
        for kept in &captured.objects {
            if let Some(was) = &kept.was
                && kept.reference.kind != "Namespace"
            {
                let done = self.put_back(&kept.reference, was).await?;
                if is_workload(&kept.reference, own) {
                    outcome = done;
                }
            }
        }
        // What refers to others goes first.
        for Kept { reference, was } in captured.objects.iter().rev() {
            if was.is_some() || !reference.kind().is_some_and(|kind| kind.is_removed) {
                continue;
            }
            if self.remove(reference, own).await? && is_workload(reference, own) {
                outcome = AppliedOutcome::Removed;
            }
        }
        Ok(outcome)
    }

    async fn put_back(
        &self,
        reference: &Reference,
        was: &Value,
    ) -> Result<AppliedOutcome, Problem> {
        let namespace = &self.namespace;
        let Some(now) = self.cluster.object(reference, namespace).await? else {
            let anew = fields::anew(was);
            self.cluster
                .apply(&anew, reference, namespace, false)
                .await?;
            return Ok(AppliedOutcome::Started);
        };
        // Where nothing was ours, what we own by now is let go of: others' values are what is left.
        let ours = fields::applied_by(was, MANAGER).unwrap_or_else(|| reference.bare(namespace));
        let is_ours_now = fields::applied_by(&now, MANAGER);
        let mut then = now.clone();
        if is_ours_now.as_ref() != Some(&ours)
            && !(is_ours_now.is_none() && ours == reference.bare(namespace))
        {
            then = self
                .cluster
                .apply(&ours, reference, namespace, false)
                .await?;
        }
        if reference.kind().is_some_and(Kind::is_workload) {
            let scaled = self
                .scale_back(reference, Workload(was), Workload(&then))
                .await?;
            if let Some(scaled) = scaled {
                then = scaled;
            }
            if reference.kind == "StatefulSet"
                && Workload(&then).generation() != Workload(&now).generation()
            {
                self.clear_the_way(&then).await?;
            }
        }
        let generation = |object: &Value| Workload(object).generation();
        Ok(match generation(&then) == generation(&now) {
            true => AppliedOutcome::Unchanged,
            false if Workload(&now).is_stopped() => AppliedOutcome::Started,
            false => AppliedOutcome::Replaced,
        })
    }

    /// A stopped workload is stopped again, and one that ran is no longer. How many replicas an
    /// autoscaler or a person chose meanwhile is left to them.
    async fn scale_back(
        &self,
        reference: &Reference,
        was: Workload<'_>,
        now: Workload<'_>,
    ) -> Result<Option<Value>, Problem> {
        if was.is_stopped() == now.is_stopped() || reference.kind == "DaemonSet" {
            return Ok(None);
        }
        let change = match was.is_stopped() {
            true => json!({
                "metadata": {"annotations": {
                    REPLICAS_BEFORE: was.annotation(REPLICAS_BEFORE),
                    STOPPED_AT: was.annotation(STOPPED_AT),
                }},
                "spec": {"replicas": 0},
            }),
            false => json!({
                "metadata": {"annotations": {REPLICAS_BEFORE: null, STOPPED_AT: null}},
                "spec": {"replicas": was.desired().max(1)},
            }),
        };
        let scaled = self
            .cluster
            .merge(reference, &self.namespace, &change)
            .await?;
        Ok(Some(scaled))
    }

    /// A StatefulSet waits for a pod of the broken revision for ever; the documentation of
    /// Kubernetes ('forced rollback') says to remove it by hand. Its claims stay.
    async fn clear_the_way(&self, workload: &Value) -> Result<(), Problem> {
        let pods = self.pods().await?;
        for pod in pods.iter().filter(|pod| Workload(workload).has_pod(pod)) {
            if !Pod(pod).is_ready() && !Pod(pod).is_going() {
                self.cluster
                    .delete_pod(&self.namespace, Pod(pod).name())
                    .await?;
            }
        }
        Ok(())
    }

    /// Whether it was there. What another workload that is there shares stays.
    async fn remove(&self, reference: &Reference, own: &str) -> Result<bool, Problem> {
        let Some(there) = self.cluster.object(reference, &self.namespace).await? else {
            return Ok(false);
        };
        for other in shared_with(&there, own) {
            if self
                .cluster
                .object(&other, &self.namespace)
                .await?
                .is_some()
            {
                return Ok(false);
            }
        }
        self.cluster.delete(reference, &self.namespace).await?;
        Ok(true)
    }
}

fn is_workload(reference: &Reference, own: &str) -> bool {
    reference.kind().is_some_and(Kind::is_workload) && reference.name == own
}

/// The other workloads that an object belongs to.
fn shared_with(object: &Value, own: &str) -> Vec<Reference> {
    let listed = object
        .pointer("/metadata/annotations")
        .and_then(|all| all.get(WORKLOADS)?.as_str());
    let all = listed
        .unwrap_or_default()
        .split(',')
        .filter_map(Reference::read);
    all.filter(|one| one.name != own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_names_its_workloads() {
        let object = json!({"metadata": {"annotations": {
            WORKLOADS: "apps/v1 Deployment/api,apps/v1 StatefulSet/db",
        }}});
        let others = shared_with(&object, "api");
        assert_eq!(others.len(), 1);
        assert_eq!(others[0].words(), "StatefulSet/db");
        assert_eq!(shared_with(&json!({}), "api"), []);
    }
}
