//! The alert rules of the documents as conditions.

use std::time::Duration;

use openpolicy_mcp::platform::{AlertCondition, Percent, Platform, Severity};

use super::document::{Section, between, number};

/// What two documents say in the same words, with their severities.
pub fn are_those_of(section: &Section, platform: &Platform) {
    let mut severity = Severity::Critical;
    let mut expected = Vec::new();
    for line in section.lines() {
        if line.starts_with("# Warning") {
            severity = Severity::Warning;
        }
        let Some(rule) = line.strip_prefix("- ") else {
            continue;
        };
        for condition in conditions(rule) {
            let hold = rule.rsplit_once(" >").map(|(_, time)| duration(time));
            let hold = hold.expect("a time");
            expected.push((condition, hold, severity));
        }
    }
    assert_eq!(expected.len(), 10, "resource usage is memory and CPU");
    assert_eq!(platform.alerts.len(), expected.len());
    for (when, hold, severity) in expected {
        let found = platform
            .alerts
            .iter()
            .any(|rule| same(&rule.when, &when) && rule.hold == hold && rule.severity == severity);
        assert!(found, "no {severity:?} rule {when:?} for {hold:?}");
    }
}

/// The window within which errors are counted is the platform file's, not the documents'.
pub fn same(given: &AlertCondition, expected: &AlertCondition) -> bool {
    match (given, expected) {
        (
            AlertCondition::ErrorsAbove { share, .. },
            AlertCondition::ErrorsAbove { share: other, .. },
        ) => share == other,
        _ => given == expected,
    }
}

/// `Response time >2 seconds for >5 minutes`
fn conditions(rule: &str) -> Vec<AlertCondition> {
    let bound = || {
        let text = between(rule, ">", " for").expect(rule);
        (number(text), text)
    };
    if rule.starts_with("Service down") {
        vec![AlertCondition::Down]
    } else if rule.starts_with("Error rate") {
        let window = Duration::from_secs(300);
        let share = Percent(bound().0);
        vec![AlertCondition::ErrorsAbove { share, window }]
    } else if rule.starts_with("Response time") {
        vec![AlertCondition::ResponseAbove(duration(bound().1))]
    } else {
        assert!(rule.starts_with("Resource usage"), "{rule}");
        let share = Percent(bound().0);
        vec![
            AlertCondition::MemoryAbove(share),
            AlertCondition::CpuAbove(share),
        ]
    }
}

/// `5 minutes`, `2 seconds`
pub fn duration(text: &str) -> Duration {
    let unit = match text
        .split(' ')
        .nth(1)
        .map(|unit| unit.trim_end_matches('s'))
    {
        Some("minute") => 60.0,
        Some("second") => 1.0,
        Some("hour") => 3_600.0,
        _ => panic!("no unit in {text}"),
    };
    Duration::from_secs_f64(number(text) * unit)
}
