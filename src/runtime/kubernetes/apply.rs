//! Makes services run as was resolved, wave by wave, by server-side apply under our own name.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, future::join_all, stream};
use serde_json::{Value, json};

use super::{
    KubernetesRuntime, MOST_AT_ONCE, capture,
    kinds::Reference,
    resolve::Configuration,
    workloads::{REPLICAS_BEFORE, STOPPED_AT, Workload},
};
use crate::{
    platform::ServiceName,
    runtime::{Applied, Before, Change, Desired, Problem, needs, order, values::AppliedOutcome},
};

/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(500);

impl KubernetesRuntime {
    pub(super) async fn apply_all(&self, change: Change<'_>) -> Result<Vec<Applied>, Problem> {
        let mut done: Vec<Applied> = Vec::new();
        for wave in order::waves_of(&self.platform, change.desired)? {
            let wave: Vec<Desired> = wave.into_iter().cloned().collect();
            done.extend(self.apply_wave(&wave, change).await?);
        }
        done.sort_by_key(|applied| change.position(&applied.service));
        Ok(done)
    }

    /// Services that do not need each other.
    async fn apply_wave(
        &self,
        wave: &[Desired],
        change: Change<'_>,
    ) -> Result<Vec<Applied>, Problem> {
        let waited = wave
            .iter()
            .map(|desired| needs::wait(self, &self.platform, &desired.service, change, LOOK));
        let waited = join_all(waited).await;
        let before = self.capture_before(wave).await?;
        let mut outcomes: HashMap<&ServiceName, AppliedOutcome> = HashMap::new();
        let mut due: Vec<(&Desired, Configuration)> = Vec::new();
        for (desired, waited) in wave.iter().zip(waited) {
            match (waited, ready(desired)) {
                (Err(reason), _) => {
                    outcomes.insert(&desired.service, AppliedOutcome::Waits(reason));
                }
                (Ok(()), Err(problem)) => {
                    outcomes.insert(&desired.service, AppliedOutcome::Failed(problem));
                }
                (Ok(()), Ok(configuration)) => due.push((desired, configuration)),
            }
        }
        let (now, faults) = self.apply_objects(&due).await;
        for (desired, configuration) in &due {
            let fault = configuration
                .references()
                .find_map(|reference| faults.get(&reference).cloned());
            let outcome = match (fault, now.get(&configuration.workload)) {
                (Some(problem), _) => AppliedOutcome::Failed(problem),
                (None, Some(now)) => {
                    let own = before.iter().find(|one| one.service == desired.service);
                    self.started(configuration, own, now)
                        .await
                        .unwrap_or_else(AppliedOutcome::Failed)
                }
                (None, None) => AppliedOutcome::Failed(Problem::failed(
                    format!("starting {}", desired.service),
                    "its workload was not applied",
                )),
            };
            outcomes.insert(&desired.service, outcome);
        }
        Ok(before
            .into_iter()
            .filter_map(|before| {
                Some(Applied {
                    outcome: outcomes.remove(&before.service)?,
                    service: before.service.clone(),
                    before,
                })
            })
            .collect())
    }

    /// Each object once, though several services share it; what others refer to first. A workload
    /// whose surroundings failed is left as it is.
    async fn apply_objects(
        &self,
        due: &[(&Desired, Configuration)],
    ) -> (HashMap<Reference, Value>, HashMap<Reference, Problem>) {
        let mut by_rank: BTreeMap<usize, BTreeMap<Reference, &Value>> = BTreeMap::new();
        for object in due
            .iter()
            .flat_map(|(_, configuration)| &configuration.objects)
        {
            if let Some(reference) = Reference::of(object) {
                let of_rank = by_rank.entry(reference.rank()).or_default();
                of_rank.insert(reference, object);
            }
        }
        let mut now = HashMap::new();
        let mut faults: HashMap<Reference, Problem> = HashMap::new();
        for objects in by_rank.into_values() {
            let is_blocked = |reference: &Reference| {
                let mut owners = due.iter().filter(|(_, one)| one.workload == *reference);
                owners.any(|(_, one)| one.references().any(|other| faults.contains_key(&other)))
            };
            let possible: Vec<(Reference, &Value)> = objects
                .into_iter()
                .filter(|(reference, _)| !is_blocked(reference))
                .collect();
            let mut applying = Vec::with_capacity(possible.len());
            for (reference, object) in possible {
                let one = async move {
                    let applied = self.apply_one(&reference, object).await;
                    (reference, applied)
                };
                applying.push(one.boxed());
            }
            let applied = stream::iter(applying).buffered(MOST_AT_ONCE);
            let applied: Vec<_> = applied.collect().await;
            for (reference, applied) in applied {
                match applied {
                    Ok(object) => drop(now.insert(reference, object)),
                    Err(problem) => drop(faults.insert(reference, problem)),
                }
            }
        }
        (now, faults)
    }

    /// A namespace that is there is left as it is.
    async fn apply_one(&self, reference: &Reference, object: &Value) -> Result<Value, Problem> {
        if reference.kind == "Namespace" {
            match self.cluster.object(reference, &self.namespace).await {
                Ok(Some(there)) => return Ok(there),
                Err(Problem::NotAllowed { .. }) => return Ok(object.clone()),
                Ok(None) => {}
                Err(problem) => return Err(problem),
            }
        }
        self.cluster
            .apply(object, reference, &self.namespace, false)
            .await
    }

    /// Takes a stop back, and says what was done.
    async fn started(
        &self,
        configuration: &Configuration,
        before: Option<&Before>,
        now: &Value,
    ) -> Result<AppliedOutcome, Problem> {
        let reference = &configuration.workload;
        let workload = Workload(now);
        let was = before.and_then(|before| capture::was(before, reference));
        let was = was.as_ref().map(Workload);
        let is_scaled_here = configuration.objects.iter().any(|one| {
            Reference::of(one).as_ref() == Some(reference)
                && one.pointer("/spec/replicas").is_some()
        });
        let earlier = workload.annotation(REPLICAS_BEFORE);
        if earlier.is_some() || workload.is_stopped() && !is_scaled_here {
            let mut change =
                json!({"metadata": {"annotations": {REPLICAS_BEFORE: null, STOPPED_AT: null}}});
            if workload.is_stopped() && !is_scaled_here {
                let replicas: u64 = earlier.and_then(|text| text.parse().ok()).unwrap_or(1);
                change["spec"] = json!({"replicas": replicas.max(1)});
            }
            self.cluster
                .merge(reference, &self.namespace, &change)
                .await?;
        }
        Ok(match was {
            None => AppliedOutcome::Started,
            Some(was) if was.is_stopped() => AppliedOutcome::Started,
            Some(was) if was.generation() != workload.generation() => AppliedOutcome::Replaced,
            Some(_) => AppliedOutcome::Unchanged,
        })
    }
}

fn ready(desired: &Desired) -> Result<Configuration, Problem> {
    match &desired.problem {
        Some(problem) => Err(Problem::NotDescribed {
            service: desired.service.0.clone(),
            reason: problem.clone(),
        }),
        None => Configuration::of(desired),
    }
}
