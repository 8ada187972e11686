//! What pods use, as the metrics API of the cluster tells; limits from the manifests that run.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    KubernetesRuntime,
    workloads::{Pod, Workload},
};
use crate::{
    platform::{Bytes, MilliCpu, ServiceName},
    runtime::{Problem, Usage},
};

pub(super) const WITHOUT_METRICS: &str = "the cluster has no metrics.k8s.io (metrics-server)";

impl KubernetesRuntime {
    pub(super) async fn usage_of(&self, services: &[ServiceName]) -> Result<Vec<Usage>, Problem> {
        let mut names = Vec::with_capacity(services.len());
        for name in services {
            names.push(self.workload_name(name)?);
        }
        let found = self.looked().await?;
        let path = format!(
            "/apis/metrics.k8s.io/v1beta1/namespaces/{}/pods",
            self.namespace
        );
        let metrics = match self.cluster.list(&path).await {
            Ok(Some(metrics)) => Ok(by_name(metrics)),
            Ok(None) => Err(WITHOUT_METRICS.to_owned()),
            Err(problem) => Err(problem.to_string()),
        };
        let now = Timestamp::now();
        Ok(services
            .iter()
            .zip(names)
            .map(|(name, own)| {
                let pods = found.pods_of(own);
                of_service(name, found.workload(own), &pods, metrics.as_ref(), now)
            })
            .collect())
    }
}

pub(super) fn by_name(metrics: Vec<Value>) -> HashMap<String, Value> {
    let named = metrics.into_iter().filter_map(|one| {
        let name = one.pointer("/metadata/name")?.as_str()?.to_owned();
        Some((name, one))
    });
    named.collect()
}

fn of_service(
    name: &ServiceName,
    workload: Option<&Value>,
    pods: &[&Value],
    metrics: Result<&HashMap<String, Value>, &String>,
    now: Timestamp,
) -> Usage {
    let mut usage = Usage::none(name.clone(), now);
    if workload.is_none_or(|one| Workload(one).is_stopped()) {
        return usage;
    }
    let living: Vec<&Value> = pods
        .iter()
        .copied()
        .filter(|pod| !Pod(pod).is_going())
        .collect();
    for pod in &living {
        let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
        for container in containers.into_iter().flatten() {
            let limit = |key: &str| container.pointer("/resources/limits")?.get(key)?.as_str();
            usage.memory_limit = sum(
                usage.memory_limit,
                limit("memory").and_then(bytes),
                Bytes::plus,
            );
            usage.cpu_limit = sum(usage.cpu_limit, limit("cpu").and_then(cpu), MilliCpu::plus);
        }
    }
    let metrics = match metrics {
        Ok(metrics) => metrics,
        Err(reason) => {
            usage.is_unknown = true;
            usage.notes.push(reason.clone());
            return usage;
        }
    };
    for pod in &living {
        let Some(measured) = metrics.get(Pod(pod).name()) else {
            // A pod that does not run yet uses nothing that anybody counts.
            if Pod(pod).is_ready() {
                usage.is_unknown = true;
                usage
                    .notes
                    .push(format!("nothing is measured of {} yet", Pod(pod).name()));
            }
            continue;
        };
        let window = measured
            .get("window")
            .and_then(Value::as_str)
            .and_then(seconds);
        usage.cpu_window = usage.cpu_window.max(window.unwrap_or_default());
        let containers = measured.get("containers").and_then(Value::as_array);
        for container in containers.into_iter().flatten() {
            let used = |key: &str| container.get("usage")?.get(key)?.as_str();
            usage.memory = sum(usage.memory, used("memory").and_then(bytes), Bytes::plus);
            usage.cpu = sum(usage.cpu, used("cpu").and_then(cpu), MilliCpu::plus);
        }
    }
    usage
}

fn sum<T>(one: Option<T>, other: Option<T>, add: impl Fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(add(one, other)),
        (one, other) => one.or(other),
    }
}

pub(super) trait Plus {
    fn plus(self, other: Self) -> Self;
}

impl Plus for Bytes {
    fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Plus for MilliCpu {
    fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// A quantity as the API writes it: `123456Ki`, `1G`, `500m`, `1500000n`.
fn quantity(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 14] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("", 1.0),
    ];
    let value = UNITS.iter().find_map(|(unit, factor)| {
        let number: f64 = text.trim().strip_suffix(unit)?.parse().ok()?;
        Some(number * factor)
    })?;
    (value.is_finite() && value >= 0.0).then_some(value)
}

pub(super) fn bytes(text: &str) -> Option<Bytes> {
    Some(Bytes(quantity(text)?.round() as u64))
}

/// Rounded up, as Kubernetes does it.
pub(super) fn cpu(text: &str) -> Option<MilliCpu> {
    Some(MilliCpu(
        (quantity(text)? * 1_000.0 - 1e-6).ceil().max(0.0) as u64
    ))
}

/// `10.5s`, `1m0s`.
fn seconds(text: &str) -> Option<Duration> {
    let (minutes, rest) = match text.split_once('m') {
        Some((minutes, rest)) if !rest.starts_with('s') => (minutes.parse::<f64>().ok()?, rest),
        _ => (0.0, text),
    };
    let seconds: f64 = match rest {
        "" => 0.0,
        rest => rest.strip_suffix('s')?.parse().ok()?,
    };
    Duration::try_from_secs_f64(minutes * 60.0 + seconds).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_read_as_the_api_writes_them() {
        assert_eq!(bytes("256Mi"), Some(Bytes(256 << 20)));
        assert_eq!(bytes("128974848"), Some(Bytes(128_974_848)));
        assert_eq!(bytes("1G"), Some(Bytes(1_000_000_000)));
        assert_eq!(cpu("1500000n"), Some(MilliCpu(2)));
        assert_eq!(cpu("250m"), Some(MilliCpu(250)));
        assert_eq!(cpu("2"), Some(MilliCpu(2_000)));
        assert_eq!(bytes("many"), None);
        assert_eq!(seconds("1m0s"), Some(Duration::from_secs(60)));
        assert_eq!(seconds("15s"), Some(Duration::from_secs(15)));
    }

    #[test]
    fn what_nobody_measures_is_unknown_and_not_nothing() {
        let name = ServiceName("api".into());
        let workload = json!({"kind": "Deployment", "spec": {"replicas": 1}});
        let pod = json!({
            "metadata": {"name": "api-1"},
            "spec": {"containers": [{"resources": {"limits": {"memory": "64Mi", "cpu": "500m"}}}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        });
        let at = Timestamp::UNIX_EPOCH;
        let without = Err(&WITHOUT_METRICS.to_owned());
        let told = of_service(&name, Some(&workload), &[&pod], without, at);
        assert!(told.is_unknown && told.memory.is_none());
        assert_eq!(told.memory_limit, Some(Bytes(64 << 20)));
        let metrics = by_name(vec![json!({
            "metadata": {"name": "api-1"}, "window": "15s",
            "containers": [{"usage": {"memory": "1024Ki", "cpu": "7m"}}],
        })]);
        let told = of_service(&name, Some(&workload), &[&pod], Ok(&metrics), at);
        assert!(!told.is_unknown);
        assert_eq!(
            (told.memory, told.cpu),
            (Some(Bytes(1 << 20)), Some(MilliCpu(7)))
        );
        let told = of_service(&name, Some(&workload), &[&pod], Ok(&HashMap::new()), at);
        assert!(told.is_unknown, "{told:?}");
        let told = of_service(&name, None, &[], Ok(&metrics), at);
        assert!(!told.is_unknown && told.memory.is_none());
    }
}
