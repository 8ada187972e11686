//! Stops services by scaling them to nothing, and remembers what they had.

use std::time::{Duration, Instant};

use futures::FutureExt as _;
use jiff::Timestamp;
use serde_json::json;

use super::{
    KubernetesRuntime,
    kinds::Reference,
    workloads::{Pod, REPLICAS_BEFORE, STOPPED_AT, Workload},
};
use crate::{
    platform::ServiceName,
    runtime::{Exit, Problem, Stopped, stopping, values::StoppedOutcome},
};

/// Between two looks whether the pods are gone.
const LOOK: Duration = Duration::from_millis(500);

/// Pods have a grace of their own, which the cluster keeps: 30 s unless they say otherwise.
const LONGEST: Duration = Duration::from_secs(40);

impl KubernetesRuntime {
    pub(super) async fn stop_all(
        &self,
        services: &[ServiceName],
        grace: Duration,
    ) -> Result<Vec<Stopped>, Problem> {
        let usages = self.usage_of(services).await?;
        stopping::in_waves_after(&self.platform, services, usages, |name| {
            self.stop_one(name, grace.max(LONGEST)).boxed()
        })
        .await
    }

    async fn stop_one(
        &self,
        name: &ServiceName,
        longest: Duration,
    ) -> Result<StoppedOutcome, Problem> {
        let own = self.workload_name(name)?;
        let found = self.found().await?;
        let Some(object) = found.workload(own) else {
            return Ok(StoppedOutcome::NotRunning);
        };
        let workload = Workload(object);
        if workload.is_stopped() {
            return Ok(StoppedOutcome::NotRunning);
        }
        let Some(reference) = Reference::of(object).filter(|one| one.kind != "DaemonSet") else {
            return Err(Problem::NotSupported {
                what: "stopping a DaemonSet",
                runtime: "the kubernetes runtime: it has no number of replicas",
            });
        };
        let change = json!({
            "metadata": {"annotations": {
                REPLICAS_BEFORE: workload.desired().to_string(),
                STOPPED_AT: Timestamp::now().to_string(),
            }},
            "spec": {"replicas": 0},
        });
        self.cluster
            .merge(&reference, &self.namespace, &change)
            .await?;
        let begun = Instant::now();
        loop {
            let pods = self.pods().await?;
            let left: Vec<&str> = pods
                .iter()
                .filter(|pod| workload.has_pod(pod))
                .map(|pod| Pod(pod).name())
                .collect();
            if left.is_empty() {
                return Ok(StoppedOutcome::Ended(Exit {
                    code: Some(0),
                    signal: None,
                    at: Timestamp::now(),
                    reason: Some("scaled to 0".into()),
                }));
            }
            if begun.elapsed() > longest {
                return Err(Problem::TimedOut {
                    what: format!("ending {}", left.join(", ")),
                    waited: longest,
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
