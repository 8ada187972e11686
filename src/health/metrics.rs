//! Names of what `/metrics` says of the platform; `docs/metrics.md` explains them.
//!
//! Every metric has the label `platform`, so that rules of one platform do not look at another
//! which the same Prometheus watches. What is not known is absent or NaN, never zero: no rule holds for either.

use std::time::Duration;

use jiff::Timestamp;

use super::observation::{Outcome, Verdict};
use crate::{platform::Platform, runtime::Usage};

/// 1 where up or degraded, 0 where down or blocked; NaN where unknown or starting.
pub const UP: &str = "openpolicy_service_up";
/// 1 for the verdict in the label `verdict`, 0 for the others.
pub const VERDICT: &str = "openpolicy_service_verdict";
/// How long the last answer took.
pub const RESPONSE: &str = "openpolicy_service_response_seconds";
/// Looks, by the label `outcome`: passed, impaired, failed, could_not_look.
pub const CHECKS: &str = "openpolicy_service_checks_total";
/// Memory in use.
pub const MEMORY: &str = "openpolicy_service_memory_bytes";
pub const MEMORY_LIMIT: &str = "openpolicy_service_memory_limit_bytes";
/// Processors in use; 1 is one core.
pub const CPU: &str = "openpolicy_service_cpu_cores";
pub const CPU_LIMIT: &str = "openpolicy_service_cpu_limit_cores";
/// Share of ingestion runs of the service's datasets that failed, 0 to 1.
pub const INGESTION_FAILURES: &str = "openpolicy_service_ingestion_failure_ratio";
/// Unix time of the newest successful ingestion.
pub const INGESTED: &str = "openpolicy_service_ingestion_success_timestamp_seconds";

/// The same of the platform as a whole, without the label `service`.
pub const PLATFORM_MEMORY: &str = "openpolicy_platform_memory_bytes";
pub const PLATFORM_MEMORY_CAPACITY: &str = "openpolicy_platform_memory_capacity_bytes";
pub const PLATFORM_CPU: &str = "openpolicy_platform_cpu_cores";
pub const PLATFORM_CPU_CAPACITY: &str = "openpolicy_platform_cpu_capacity_cores";

/// Of everything: each name with its kind, as the documentation lists them.
pub const ALL: [(&str, &str); 14] = [
    (UP, "gauge"),
    (VERDICT, "gauge"),
    (RESPONSE, "gauge"),
    (CHECKS, "counter"),
    (MEMORY, "gauge"),
    (MEMORY_LIMIT, "gauge"),
    (CPU, "gauge"),
    (CPU_LIMIT, "gauge"),
    (INGESTION_FAILURES, "gauge"),
    (INGESTED, "gauge"),
    (PLATFORM_MEMORY, "gauge"),
    (PLATFORM_MEMORY_CAPACITY, "gauge"),
    (PLATFORM_CPU, "gauge"),
    (PLATFORM_CPU_CAPACITY, "gauge"),
];

const VERDICTS: [Verdict; 6] = [
    Verdict::Up,
    Verdict::Degraded,
    Verdict::Starting,
    Verdict::Down,
    Verdict::Blocked,
    Verdict::Unknown,
];

/// Counts one look.
pub fn count_look(platform: &str, service: &str, outcome: &Outcome) {
    let outcome = match outcome {
        Outcome::Passed => "passed",
        Outcome::Impaired(_) => "impaired",
        Outcome::Failed(_) => "failed",
        Outcome::CouldNotLook(_) => "could_not_look",
    };
    let labels = [
        ("platform", platform.to_owned()),
        ("service", service.to_owned()),
        ("outcome", outcome.to_owned()),
    ];
    metrics::counter!(CHECKS, &labels).increment(1);
}

/// Says what a service is now. `response` is that of the last answer. What is not known is NaN,
/// for which no rule holds: the exporter cannot take a gauge back.
pub fn say(platform: &str, service: &str, verdict: Verdict, response: Option<Duration>) {
    let labels = [
        ("platform", platform.to_owned()),
        ("service", service.to_owned()),
    ];
    metrics::gauge!(UP, &labels).set(match verdict {
        Verdict::Up | Verdict::Degraded => 1.0,
        Verdict::Down | Verdict::Blocked => 0.0,
        Verdict::Starting | Verdict::Unknown => f64::NAN,
    });
    let seconds = response.map_or(f64::NAN, |response| response.as_secs_f64());
    metrics::gauge!(RESPONSE, &labels).set(seconds);
    for known in VERDICTS {
        let labels = [
            ("platform", platform.to_owned()),
            ("service", service.to_owned()),
            ("verdict", known.as_str().to_owned()),
        ];
        let is_it = if known == verdict { 1.0 } else { 0.0 };
        metrics::gauge!(VERDICT, &labels).set(is_it);
    }
}

/// Says what each service uses of what it may, and the whole of its capacity; of a service of
/// which nothing is known, that. The limits are those that the rules hold it against: the
/// runtime's, else those of the platform file.
pub fn say_usage(platform: &Platform, usages: &[Usage]) {
    let (mut memory_sum, mut cpu_sum) = (None, None);
    for service in &platform.services {
        let usage = usages.iter().find(|usage| usage.service == service.name);
        let memory = usage.and_then(|usage| usage.memory).map(|used| used.0);
        let cpu = usage.and_then(|usage| usage.cpu).map(|used| used.0);
        for (sum, used) in [(&mut memory_sum, memory), (&mut cpu_sum, cpu)] {
            *sum = sum.map_or(used, |sum: u64| Some(sum + used.unwrap_or(0)));
        }
        let memory_limit = usage.and_then(|usage| usage.memory_limit);
        let cpu_limit = usage.and_then(|usage| usage.cpu_limit);
        let labels = of_service(&platform.name, &service.name.0);
        for (name, value) in [
            (MEMORY, known(memory)),
            (
                MEMORY_LIMIT,
                known(memory_limit.or(service.memory).map(|limit| limit.0)),
            ),
            (CPU, cores(cpu)),
            (
                CPU_LIMIT,
                cores(cpu_limit.or(service.cpu).map(|limit| limit.0)),
            ),
        ] {
            metrics::gauge!(name, &labels).set(value);
        }
    }
    let capacity = &platform.capacity;
    let outside = capacity.external_memory.map_or(0, |memory| memory.0);
    let labels = [("platform", platform.name.clone())];
    for (name, value) in [
        (PLATFORM_MEMORY, known(memory_sum.map(|sum| sum + outside))),
        (
            PLATFORM_MEMORY_CAPACITY,
            known(capacity.memory.map(|memory| memory.0)),
        ),
        (PLATFORM_CPU, cores(cpu_sum)),
        (PLATFORM_CPU_CAPACITY, cores(capacity.cpu.map(|cpu| cpu.0))),
    ] {
        metrics::gauge!(name, &labels).set(value);
    }
}

/// Says what became of the ingestion of a service's datasets: the share of runs that failed, from
/// 0 to 1, and when one last succeeded.
pub fn say_ingestion(
    platform: &str,
    service: &str,
    failures: Option<f64>,
    succeeded: Option<Timestamp>,
) {
    let labels = of_service(platform, service);
    metrics::gauge!(INGESTION_FAILURES, &labels).set(failures.unwrap_or(f64::NAN));
    let seconds = succeeded.map_or(f64::NAN, |at| at.as_millisecond() as f64 / 1_000.0);
    metrics::gauge!(INGESTED, &labels).set(seconds);
}

/// A service that is no part of the platform any more: nothing is known of it.
pub fn forget(platform: &str, service: &str) {
    let labels = of_service(platform, service);
    for name in [
        UP,
        RESPONSE,
        MEMORY,
        MEMORY_LIMIT,
        CPU,
        CPU_LIMIT,
        INGESTION_FAILURES,
        INGESTED,
    ] {
        metrics::gauge!(name, &labels).set(f64::NAN);
    }
    for known in VERDICTS {
        let [platform, service] = labels.clone();
        let labels = [platform, service, ("verdict", known.as_str().to_owned())];
        metrics::gauge!(VERDICT, &labels).set(f64::NAN);
    }
}

fn of_service(platform: &str, service: &str) -> [(&'static str, String); 2] {
    [
        ("platform", platform.to_owned()),
        ("service", service.to_owned()),
    ]
}

fn known(bytes: Option<u64>) -> f64 {
    bytes.map_or(f64::NAN, |bytes| bytes as f64)
}

/// Thousandths of a processor, as processors.
fn cores(milli: Option<u64>) -> f64 {
    known(milli) / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_each_and_no_other() {
        let documented = include_str!("../../docs/metrics.md");
        let rows = documented
            .lines()
            .filter(|line| line.starts_with("| `openpolicy_"));
        let listed: Vec<String> = rows
            .map(|row| {
                row.split('|')
                    .take(3)
                    .map(str::trim)
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect();
        let expected: Vec<String> = ALL
            .iter()
            .map(|(name, kind)| format!(" `{name}` {kind}"))
            .collect();
        assert_eq!(listed, expected);
    }
}
