//! Alert rules: one condition each, over services that exist.

use std::time::Duration;

use super::{Names, value};
use crate::platform::{
    model::{AlertCondition, AlertRule, AlertScope, Service, Severity},
    near::nearest,
    problem::quoted,
    raw::{RawAlert, RawPlatform, RawWhen, Watched, When},
    read::{Placed, Reader},
};

/// Of `errors_above`, where the rule names none.
const WINDOW: Duration = Duration::from_secs(5 * 60);

/// All rules in the order of the file.
pub fn alerts(
    raw: &RawPlatform,
    names: &Names,
    services: &[Service],
    reader: &mut Reader<'_>,
) -> Vec<AlertRule> {
    let mut rules: Vec<AlertRule> = Vec::new();
    for written in raw.alerts.iter().flat_map(|alerts| &alerts.value) {
        let Some(name) = &written.name else {
            reader.problem(written.place, "the rule has no `name`", "write `name: …`");
            continue;
        };
        let severity = value(&written.severity).unwrap_or(Severity::Warning);
        let is_taken = rules
            .iter()
            .any(|rule| rule.name == name.value && rule.severity == severity);
        if is_taken {
            reader.problem(
                name.place,
                format!(
                    "there is a rule {} of this severity before",
                    quoted(&name.value)
                ),
                "give one of them another name",
            );
        }
        let scope = scope(written, names, services, reader);
        let when = match &written.when {
            Some(when) => condition(when, reader),
            None => {
                reader.problem(
                    written.place,
                    "the rule does not say when it fires",
                    "write `when: down`, or `when: { response_above: 2s }`",
                );
                None
            }
        };
        if let (Some(when), Some(scope)) = (when, scope) {
            rules.push(AlertRule {
                name: name.value.clone(),
                when,
                hold: value(&written.hold).unwrap_or_default(),
                severity,
                scope,
            });
        }
    }
    rules
}

fn condition(when: &Placed<When>, reader: &mut Reader<'_>) -> Option<AlertCondition> {
    let raw = match &when.value {
        When::Down => return Some(AlertCondition::Down),
        When::Measured(raw) => raw,
    };
    let RawWhen { window, .. } = raw.as_ref();
    let window_place = window.as_ref().map(|window| window.place);
    let window = value(window).unwrap_or(WINDOW);
    let conditions: Vec<AlertCondition> = [
        value(&raw.response_above).map(AlertCondition::ResponseAbove),
        value(&raw.errors_above).map(|share| AlertCondition::ErrorsAbove { share, window }),
        value(&raw.memory_above).map(AlertCondition::MemoryAbove),
        value(&raw.cpu_above).map(AlertCondition::CpuAbove),
        value(&raw.ingestion_failures_above).map(AlertCondition::IngestionFailuresAbove),
        value(&raw.older_than).map(AlertCondition::OlderThan),
    ]
    .into_iter()
    .flatten()
    .collect();
    if let (Some(place), None) = (window_place, &raw.errors_above) {
        reader.problem(place, "`window` belongs to `errors_above`", "leave it away");
    }
    match conditions.as_slice() {
        [condition] => Some(condition.clone()),
        _ => {
            reader.problem(
                when.place,
                "a rule has one condition",
                format!(
                    "write one of {}; another condition is another rule",
                    RawWhen::KEYS.join(", ")
                ),
            );
            None
        }
    }
}

fn scope(
    raw: &RawAlert,
    names: &Names,
    services: &[Service],
    reader: &mut Reader<'_>,
) -> Option<AlertScope> {
    match (&raw.services, &raw.group) {
        (Some(_), Some(group)) => {
            reader.problem(
                group.place,
                "`services` and `group` both stand here",
                "keep one of them",
            );
            None
        }
        (None, None) => Some(AlertScope::AllServices),
        (Some(watched), None) => Some(match &watched.value {
            Watched::All => AlertScope::AllServices,
            Watched::Platform => AlertScope::Platform,
            Watched::Services(list) => {
                let list = Placed {
                    place: watched.place,
                    value: list.clone(),
                };
                AlertScope::Services(names.resolve_all(Some(&list), reader))
            }
        }),
        (None, Some(group)) => {
            let wanted = &group.value.value;
            let members: Vec<_> = services
                .iter()
                .filter(|service| service.group.as_deref() == Some(wanted))
                .map(|service| service.name.clone())
                .collect();
            if members.is_empty() {
                let groups = services
                    .iter()
                    .filter_map(|service| service.group.as_deref());
                let right = nearest(wanted, groups)
                    .map(|name| format!("did you mean `{name}`?"))
                    .unwrap_or_default();
                reader.problem(
                    group.place,
                    format!("no service is of the group {}", quoted(wanted)),
                    right,
                );
            }
            Some(AlertScope::Services(members))
        }
    }
}
