//! What containers use, counted as `docker stats` counts it.

use std::time::Duration;

use bollard::{models::ContainerStatsResponse, query_parameters::StatsOptions};
use futures::{StreamExt as _, future::join_all};
use jiff::Timestamp;

use super::{ComposeRuntime, containers::Container};
use crate::{
    platform::{Bytes, MilliCpu, ServiceName},
    runtime::{Problem, Usage},
};

/// The engine looks twice, a second apart.
const LONGEST_LOOK: Duration = Duration::from_secs(8);

impl ComposeRuntime {
    pub(super) async fn usage_of(&self, services: &[ServiceName]) -> Result<Vec<Usage>, Problem> {
        let mut names = Vec::with_capacity(services.len());
        for name in services {
            names.push(self.compose_name(name)?);
        }
        let found = self.containers().await?;
        let looks = services.iter().zip(names).map(|(name, compose_name)| {
            let containers = found.of(compose_name);
            self.usage_of_one(name, containers)
        });
        Ok(join_all(looks).await)
    }

    async fn usage_of_one(&self, name: &ServiceName, containers: &[Container]) -> Usage {
        let mut usage = Usage::none(name.clone(), Timestamp::now());
        let running: Vec<&Container> = containers.iter().filter(|one| one.is_running()).collect();
        for container in containers {
            let (memory, cpu) = limits(container);
            usage.memory_limit = sum(usage.memory_limit, memory, |a: Bytes, b| Bytes(a.0 + b.0));
            usage.cpu_limit = sum(usage.cpu_limit, cpu, |a: MilliCpu, b| MilliCpu(a.0 + b.0));
        }
        let stats = join_all(running.iter().map(|container| self.stats(container))).await;
        for stats in stats {
            let stats = match stats {
                Ok(stats) => stats,
                Err(problem) => {
                    usage.is_unknown = true;
                    usage.notes.push(problem.to_string());
                    continue;
                }
            };
            usage.memory = sum(usage.memory, memory(&stats), |a, b| Bytes(a.0 + b.0));
            if let Some((cpu, window)) = cpu(&stats) {
                usage.cpu = sum(usage.cpu, Some(cpu), |a, b| MilliCpu(a.0 + b.0));
                usage.cpu_window = usage.cpu_window.max(window);
            }
            let pair = |(a, b): (Bytes, Bytes), (c, d): (Bytes, Bytes)| {
                (Bytes(a.0 + c.0), Bytes(b.0 + d.0))
            };
            usage.disk = sum(usage.disk, disk(&stats), pair);
            usage.network = sum(usage.network, network(&stats), pair);
        }
        usage
    }

    async fn stats(&self, container: &Container) -> Result<ContainerStatsResponse, Problem> {
        let client = self.engine.client().await?;
        let what = || format!("asking what {} uses", container.name());
        let options = StatsOptions {
            stream: false,
            one_shot: false,
        };
        let mut stream = std::pin::pin!(client.stats(container.id(), Some(options)));
        match tokio::time::timeout(LONGEST_LOOK, stream.next()).await {
            Ok(Some(Ok(stats))) => Ok(stats),
            Ok(Some(Err(error))) => Err(self.engine.failed(what(), &error)),
            Ok(None) => Err(Problem::failed(what(), "the engine said nothing")),
            Err(_) => Err(Problem::TimedOut {
                what: what(),
                waited: LONGEST_LOOK,
            }),
        }
    }
}

fn sum<T>(one: Option<T>, other: Option<T>, add: impl Fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(add(one, other)),
        (one, other) => one.or(other),
    }
}

/// Memory and CPU that a container may use; none where it is not bound.
fn limits(container: &Container) -> (Option<Bytes>, Option<MilliCpu>) {
    let Some(host) = &container.0.host_config else {
        return (None, None);
    };
    let positive = |value: Option<i64>| {
        value
            .and_then(|value| u64::try_from(value).ok())
            .filter(|value| *value > 0)
    };
    let memory = positive(host.memory).map(Bytes);
    let of_quota = || {
        let (quota, period) = (
            positive(host.cpu_quota)?,
            positive(host.cpu_period).unwrap_or(100_000),
        );
        Some(MilliCpu(quota * 1_000 / period))
    };
    let cpu = positive(host.nano_cpus)
        .map(|nano| MilliCpu(nano / 1_000_000))
        .or_else(of_quota);
    (memory, cpu)
}

/// Without what the system can take back at once: pages of files that nobody touched lately
/// (`inactive_file` of cgroup version 2, `total_inactive_file` of version 1), as docker/cli does in
/// `calculateMemUsageUnixNoCache`.
fn memory(stats: &ContainerStatsResponse) -> Option<Bytes> {
    let memory = stats.memory_stats.as_ref()?;
    let used = memory.usage?;
    let of = |name: &str| memory.stats.as_ref()?.get(name).copied();
    let inactive = of("total_inactive_file").or_else(|| of("inactive_file"));
    let inactive = inactive
        .filter(|inactive| *inactive < used)
        .unwrap_or_default();
    Some(Bytes(used - inactive))
}

/// Processor time over the time between the engine's two looks.
fn cpu(stats: &ContainerStatsResponse) -> Option<(MilliCpu, Duration)> {
    let (now, before) = (stats.cpu_stats.as_ref()?, stats.precpu_stats.as_ref()?);
    let total = |cpu: &bollard::models::ContainerCpuStats| cpu.cpu_usage.as_ref()?.total_usage;
    let used = total(now)?.saturating_sub(total(before)?);
    let at = |text: &Option<String>| text.as_ref()?.parse::<Timestamp>().ok();
    let window = at(&stats.read)?.duration_since(at(&stats.preread)?);
    let window = Duration::try_from(window).ok()?;
    // The first look of a container has nothing before it: year 1.
    if window.is_zero() || window > Duration::from_secs(60) {
        return None;
    }
    let cores = used as f64 / window.as_nanos() as f64;
    Some((MilliCpu((cores * 1_000.0).round() as u64), window))
}

fn disk(stats: &ContainerStatsResponse) -> Option<(Bytes, Bytes)> {
    let entries = stats
        .blkio_stats
        .as_ref()?
        .io_service_bytes_recursive
        .as_ref()?;
    let of = |wanted: &str| {
        let matching = entries.iter().filter(|entry| {
            entry
                .op
                .as_deref()
                .is_some_and(|op| op.eq_ignore_ascii_case(wanted))
        });
        Bytes(matching.filter_map(|entry| entry.value).sum())
    };
    Some((of("read"), of("write")))
}

fn network(stats: &ContainerStatsResponse) -> Option<(Bytes, Bytes)> {
    let networks = stats.networks.as_ref()?;
    let received = networks.values().filter_map(|one| one.rx_bytes).sum();
    let sent = networks.values().filter_map(|one| one.tx_bytes).sum();
    Some((Bytes(received), Bytes(sent)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stats(value: serde_json::Value) -> ContainerStatsResponse {
        serde_json::from_value(value).expect("stats")
    }

    #[test]
    fn memory_is_what_docker_stats_shows_on_both_versions_of_cgroups() {
        for name in ["total_inactive_file", "inactive_file"] {
            let told = stats(json!({"memory_stats": {"usage": 100, "stats": {name: 40}}}));
            assert_eq!(memory(&told), Some(Bytes(60)), "{name}");
        }
        let nothing = stats(json!({"memory_stats": {}}));
        assert_eq!(memory(&nothing), None);
    }

    #[test]
    fn processor_use_is_time_over_time() {
        let told = stats(json!({
            "read": "2026-01-02T03:04:06Z", "preread": "2026-01-02T03:04:05Z",
            "cpu_stats": {"cpu_usage": {"total_usage": 1_500_000_000_u64}},
            "precpu_stats": {"cpu_usage": {"total_usage": 1_000_000_000_u64}},
        }));
        let expected = Some((MilliCpu(500), Duration::from_secs(1)));
        assert_eq!(cpu(&told), expected);
        let first = stats(json!({
            "read": "2026-01-02T03:04:06Z", "preread": "0001-01-01T00:00:00Z",
            "cpu_stats": {"cpu_usage": {"total_usage": 5}},
            "precpu_stats": {"cpu_usage": {"total_usage": 0}},
        }));
        assert_eq!(cpu(&first), None);
    }
}
