//! Keeps what a service is, as `restore` takes it back: its workload and what stands around it.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    KubernetesRuntime, MOST_AT_ONCE, kinds::Reference, resolve::Configuration, workloads::Workload,
};
use crate::{
    platform::ServiceName,
    runtime::{Before, Desired, Problem},
};

/// What `Before::around` holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Captured {
    pub namespace: String,
    pub objects: Vec<Kept>,
}

/// One object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    pub reference: Reference,
    /// As the API server had it; none where it was not there.
    pub was: Option<Value>,
}

impl KubernetesRuntime {
    pub(super) async fn capture_all(
        &self,
        services: &[ServiceName],
    ) -> Result<Vec<Before>, Problem> {
        let found = self.found().await?;
        let mut captured = Vec::with_capacity(services.len());
        for name in services {
            let workload = found.workload(self.workload_name(name)?);
            let own = workload.and_then(Reference::of);
            let listed = workload
                .map(|one| Workload(one).objects())
                .unwrap_or_default();
            captured.push(self.captured(name, own, listed).await?);
        }
        Ok(captured)
    }

    /// Also what would be made or changed that was not applied with the service so far.
    pub(super) async fn capture_before(&self, desired: &[Desired]) -> Result<Vec<Before>, Problem> {
        let names: Vec<ServiceName> = desired.iter().map(|one| one.service.clone()).collect();
        let found = self.found().await?;
        let mut captured = Vec::with_capacity(desired.len());
        for (name, desired) in names.iter().zip(desired) {
            let workload = found.workload(self.workload_name(name)?);
            let mut all = workload
                .map(|one| Workload(one).objects())
                .unwrap_or_default();
            let mut own = workload.and_then(Reference::of);
            if !desired.configuration.is_null() {
                let configuration = Configuration::of(desired)?;
                all.extend(configuration.references());
                own = own.or(Some(configuration.workload));
            }
            captured.push(self.captured(name, own, all).await?);
        }
        Ok(captured)
    }

    async fn captured(
        &self,
        name: &ServiceName,
        workload: Option<Reference>,
        others: Vec<Reference>,
    ) -> Result<Before, Problem> {
        let mut all: BTreeSet<Reference> = others.into_iter().collect();
        all.extend(workload.clone());
        let mut all: Vec<Reference> = all.into_iter().collect();
        all.sort_by_key(Reference::rank);
        let objects: Vec<Kept> = stream::iter(all)
            .map(|reference| async move {
                let was = match self.cluster.object(&reference, &self.namespace).await {
                    // A namespace that may not be looked at is left as it is.
                    Err(Problem::NotAllowed { .. }) if reference.kind == "Namespace" => {
                        return Ok(None);
                    }
                    other => other?,
                };
                let was = was.map(without_status);
                Ok::<_, Problem>(Some(Kept { reference, was }))
            })
            .buffered(MOST_AT_ONCE)
            .try_filter_map(|kept| async { Ok(kept) })
            .try_collect()
            .await?;
        let of_workload = |kept: &&Kept| Some(&kept.reference) == workload.as_ref();
        let was = objects
            .iter()
            .find(of_workload)
            .and_then(|kept| kept.was.as_ref());
        let before = Before {
            service: name.clone(),
            configuration: was
                .map(|_| json!({"workload": workload.as_ref().map(Reference::written)})),
            was_running: was.is_some_and(|was| !Workload(was).is_stopped()),
            image: was.and_then(|was| Workload(was).image()).map(str::to_owned),
            around: None,
        };
        let captured = Captured {
            namespace: self.namespace.clone(),
            objects,
        };
        let around = serde_json::to_value(captured)
            .map_err(|error| Problem::failed(format!("keeping what {name} is"), error))?;
        Ok(Before {
            around: Some(around),
            ..before
        })
    }
}

/// What an object was; none where it was not there.
pub(super) fn was(before: &Before, reference: &Reference) -> Option<Value> {
    let captured: Captured = serde_json::from_value(before.around.clone()?).ok()?;
    let mut objects = captured.objects.into_iter();
    objects.find(|kept| kept.reference == *reference)?.was
}

fn without_status(mut object: Value) -> Value {
    // How many pods a DaemonSet should have stands there; nothing that is put back does.
    if let Some(top) = object.as_object_mut() {
        top.remove("status");
    }
    object
}
