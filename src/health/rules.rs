//! The platform file's alert rules as a file of Prometheus rules. Pure.
//!
//! A rule here and its twin there look at the same numbers: those that `/metrics` gives
//! (`metrics.rs`). Text in YAML is written in double quotes as JSON writes it, which YAML reads
//! alike.

use std::{fmt::Write as _, time::Duration};

use super::metrics;
use crate::platform::{AlertCondition, AlertRule, AlertScope, Platform};

/// The file. Without alerts it has one group without rules, which Prometheus takes.
pub fn prometheus_rules(platform: &Platform) -> String {
    let mut file = format!(
        "# Written by `openpolicy-mcp export prometheus-rules`; the platform file is its source.\n\
         groups:\n  - name: {}\n",
        quoted(&format!("openpolicy {}", platform.name))
    );
    if platform.alerts.is_empty() {
        file.push_str("    rules: []\n");
        return file;
    }
    file.push_str("    rules:\n");
    for rule in &platform.alerts {
        // Writing to a string cannot fail.
        let _ = write_rule(&mut file, rule, platform);
    }
    file
}

fn write_rule(file: &mut String, rule: &AlertRule, platform: &Platform) -> std::fmt::Result {
    let (expression, summary) = expression(rule, platform);
    writeln!(file, "      - alert: {}", quoted(&rule.name))?;
    writeln!(file, "        expr: {}", quoted(&expression))?;
    if !rule.hold.is_zero() {
        writeln!(file, "        for: {}", duration(rule.hold))?;
    }
    writeln!(file, "        labels:")?;
    writeln!(file, "          severity: {}", rule.severity.as_str())?;
    writeln!(
        file,
        "          platform: {}",
        quoted(&untemplated(&platform.name))
    )?;
    writeln!(file, "        annotations:")?;
    writeln!(file, "          summary: {}", quoted(&summary))
}

/// The condition in PromQL, and what it says when it holds.
fn expression(rule: &AlertRule, platform: &Platform) -> (String, String) {
    let is_platform = rule.scope == AlertScope::Platform;
    let who = if is_platform {
        "the platform"
    } else {
        "{{ $labels.service }}"
    };
    let which = selector(&rule.scope, &platform.name);
    let share = |used: &str, of: &str, bound: f64| format!("100 * {used} / {of} > {bound}");
    match &rule.when {
        AlertCondition::Down => {
            let down = format!("{}{{{which},verdict=\"down\"}} == 1", metrics::VERDICT);
            let whole = format!("count({down}) > 0");
            let summary = format!("{who} is down");
            if is_platform {
                (whole, "a service of the platform is down".into())
            } else {
                (down, summary)
            }
        }
        AlertCondition::ResponseAbove(bound) => {
            let last = format!("{}{{{which}}}", metrics::RESPONSE);
            // Services that never answered are NaN.
            let mean = format!("avg({last} >= 0)");
            let seconds = bound.as_secs_f64();
            let value = if is_platform { mean } else { last };
            (
                format!("{value} > {seconds}"),
                format!(
                    "{who} answers after {{{{ $value | humanizeDuration }}}}, above {seconds} s"
                ),
            )
        }
        AlertCondition::ErrorsAbove {
            share: bound,
            window,
        } => {
            let window = duration(*window);
            let by = if is_platform {
                ""
            } else {
                " by (platform, service) "
            };
            let looks = |outcome: &str| {
                let checks = metrics::CHECKS;
                format!("sum{by}(increase({checks}{{{which},outcome{outcome}}}[{window}]))")
            };
            let failed = looks("=\"failed\"");
            let all = looks("=~\"passed|impaired|failed\"");
            (
                share(&failed, &all, bound.0),
                format!(
                    "{{{{ $value | humanize }}}}% of the looks at {who} failed within {window}, \
                     above {bound}"
                ),
            )
        }
        AlertCondition::MemoryAbove(bound) => {
            let (used, of) = if is_platform {
                (metrics::PLATFORM_MEMORY, metrics::PLATFORM_MEMORY_CAPACITY)
            } else {
                (metrics::MEMORY, metrics::MEMORY_LIMIT)
            };
            (
                share(
                    &format!("{used}{{{which}}}"),
                    &format!("{of}{{{which}}}"),
                    bound.0,
                ),
                format!("{who} uses {{{{ $value | humanize }}}}% of its memory, above {bound}"),
            )
        }
        AlertCondition::CpuAbove(bound) => {
            let (used, of) = if is_platform {
                (metrics::PLATFORM_CPU, metrics::PLATFORM_CPU_CAPACITY)
            } else {
                (metrics::CPU, metrics::CPU_LIMIT)
            };
            (
                share(
                    &format!("{used}{{{which}}}"),
                    &format!("{of}{{{which}}}"),
                    bound.0,
                ),
                format!("{who} uses {{{{ $value | humanize }}}}% of its CPU, above {bound}"),
            )
        }
        AlertCondition::IngestionFailuresAbove(bound) => {
            let ratio = format!("{}{{{which}}}", metrics::INGESTION_FAILURES);
            let whole = format!("max({ratio})");
            let value = if is_platform { whole } else { ratio };
            (
                format!("100 * {value} > {}", bound.0),
                format!(
                    "{{{{ $value | humanize }}}}% of the ingestion runs of {who} failed, above \
                     {bound}"
                ),
            )
        }
        AlertCondition::OlderThan(bound) => {
            let newest = format!("{}{{{which}}}", metrics::INGESTED);
            let whole = format!("min({newest})");
            let value = if is_platform { whole } else { newest };
            (
                format!("time() - {value} > {}", bound.as_secs_f64()),
                format!(
                    "the newest successful ingestion of {who} was \
                     {{{{ $value | humanizeDuration }}}} ago"
                ),
            )
        }
    }
}

/// Labels that the metrics of a rule have.
fn selector(scope: &AlertScope, platform: &str) -> String {
    let platform = format!("platform={}", quoted(platform));
    match scope {
        AlertScope::AllServices | AlertScope::Platform => platform,
        AlertScope::Services(names) => {
            let names: Vec<String> = names.iter().map(|name| regex::escape(&name.0)).collect();
            format!("{platform},service=~{}", quoted(&names.join("|")))
        }
    }
}

/// In the largest unit that is whole: `5m`, `90s`, `1500ms`.
fn duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    for (unit, length) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if milliseconds > 0 && milliseconds.is_multiple_of(length) {
            return format!("{}{unit}", milliseconds / length);
        }
    }
    format!("{milliseconds}ms")
}

/// In double quotes, as JSON, YAML and PromQL read them alike.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Label values are templates: braces of a name are none.
fn untemplated(text: &str) -> String {
    text.replace("{{", "{{\"{{\"}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{Percent, ServiceName, Severity};

    fn rule(when: AlertCondition, scope: AlertScope) -> AlertRule {
        AlertRule {
            name: "R".into(),
            when,
            hold: Duration::from_secs(300),
            severity: Severity::Critical,
            scope,
        }
    }

    #[test]
    fn a_rule_names_its_services_exactly() {
        let names = ["db.main", "api"].map(|name| ServiceName(name.into()));
        let scope = AlertScope::Services(names.into());
        let platform = Platform {
            name: "planned".into(),
            alerts: vec![rule(AlertCondition::MemoryAbove(Percent(80.0)), scope)],
            ..Platform::default()
        };
        let file = prometheus_rules(&platform);
        // Twice escaped: for PromQL, and for YAML.
        let selector = r#"{platform=\"planned\",service=~\"db\\\\.main|api\"}"#;
        let expected = format!(
            "expr: \"100 * openpolicy_service_memory_bytes{selector} / \
             openpolicy_service_memory_limit_bytes{selector} > 80\""
        );
        assert!(file.contains(&expected), "{file}");
        assert!(file.contains("for: 5m\n"), "{file}");
    }

    #[test]
    fn durations_are_written_as_prometheus_reads_them() {
        for (milliseconds, written) in [
            (300_000, "5m"),
            (90_000, "90s"),
            (7_200_000, "2h"),
            (1_500, "1500ms"),
        ] {
            assert_eq!(duration(Duration::from_millis(milliseconds)), written);
        }
    }
}
