//! Names of what `/metrics` says of the platform; `docs/metrics.md` explains them.
//!
//! Every metric has the label `platform`, so that rules of one platform do not look at another
//! which the same Prometheus watches. What is not known is absent or NaN, never zero: no rule holds for either.

use std::time::Duration;

use super::observation::{Outcome, Verdict};

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
