//! Phases: order, gates, hooks, budgets, and the triggers that roll a run back.

use std::{collections::HashMap, time::Duration};

use secrecy::SecretString;

use super::{
    NAME_EXPECTED, Names, endpoints, is_name, positive, services::words, text, traffic, value,
};
use crate::platform::{
    model::{Budget, Condition, Hook, HookAction, Phase, ServiceName},
    problem::quoted,
    raw::{CpuBudget, Healthy, Method, RawBudget, RawGate, RawHook, RawPhase, RawPlatform},
    read::{Placed, Reader},
};

/// DESIGN: `stable_for` 10 s, as document 004 checks; a gate may take 20 minutes, the longest
/// phase of document 004 but one.
const STABLE_FOR: Duration = Duration::from_secs(10);
const GATE_TIMEOUT: Duration = Duration::from_secs(20 * 60);
/// Of response times and errors.
const WINDOW: Duration = Duration::from_secs(5 * 60);
const HOOK_TIMEOUT: Duration = Duration::from_secs(5 * 60);
const TRIGGER_HOLD: Duration = Duration::from_secs(30);

/// All phases in order.
pub fn phases(raw: &RawPlatform, names: &Names, reader: &mut Reader<'_>) -> Vec<Phase> {
    let mut phases: Vec<Phase> = Vec::new();
    let mut deployed: HashMap<ServiceName, String> = HashMap::new();
    for written in raw.phases.iter().flat_map(|phases| &phases.value) {
        let name = phase_name(written, &phases, reader);
        let steps = steps(written, &name, names, &mut deployed, reader);
        let mut phase = phase(written, name, steps, names, reader);
        phase.traffic = traffic::traffic(written, raw, reader);
        phases.push(phase);
    }
    phases
}

fn phase_name(raw: &RawPhase, before: &[Phase], reader: &mut Reader<'_>) -> String {
    let Some(name) = &raw.name else {
        reader.problem(raw.place, "the phase has no `name`", "write `name: …`");
        return String::new();
    };
    if !is_name(&name.value) {
        reader.problem(
            name.place,
            format!("{} is no name of a phase", quoted(&name.value)),
            NAME_EXPECTED,
        );
    } else if name.value.parse::<u32>().is_ok() {
        reader.problem(
            name.place,
            format!(
                "{} is a number, and phases are also named by their number",
                quoted(&name.value)
            ),
            "give it a word",
        );
    } else if before
        .iter()
        .any(|other| other.name.eq_ignore_ascii_case(&name.value))
    {
        reader.problem(
            name.place,
            format!("there is a phase {} before this one", quoted(&name.value)),
            "give it another name",
        );
    }
    name.value.clone()
}

fn steps(
    raw: &RawPhase,
    phase: &str,
    names: &Names,
    deployed: &mut HashMap<ServiceName, String>,
    reader: &mut Reader<'_>,
) -> Vec<Vec<ServiceName>> {
    if let (Some(_), Some(services)) = (&raw.steps, &raw.services) {
        reader.problem(
            services.place,
            "`steps` and `services` both stand here",
            "keep `steps`; `services` is short for a single one",
        );
    }
    let written: Vec<&Vec<Placed<String>>> = match (&raw.steps, &raw.services) {
        (Some(steps), _) => steps.value.iter().collect(),
        (None, Some(services)) => vec![&services.value],
        (None, None) => Vec::new(),
    };
    let mut steps = Vec::new();
    for written in written {
        let mut step: Vec<ServiceName> = Vec::new();
        for written in written {
            let Some(name) = names.resolve(written, reader) else {
                continue;
            };
            if let Some(other) = deployed.insert(name.clone(), phase.to_owned()) {
                reader.problem(
                    written.place,
                    format!("`{name}` is deployed in phase `{other}` already"),
                    "a service stands in one step of one phase",
                );
                continue;
            }
            step.push(name);
        }
        if !step.is_empty() {
            steps.push(step);
        }
    }
    steps
}

fn phase(
    raw: &RawPhase,
    name: String,
    steps: Vec<Vec<ServiceName>>,
    names: &Names,
    reader: &mut Reader<'_>,
) -> Phase {
    let nothing = RawGate::default();
    let gate = raw.gate.as_ref().map_or(&nothing, |gate| &gate.value);
    let stable_for = value(&gate.stable_for).unwrap_or(STABLE_FOR);
    let gate_timeout = positive(&gate.timeout, GATE_TIMEOUT, reader);
    if stable_for >= gate_timeout {
        let place = super::place_of(&gate.stable_for, super::place_of(&gate.timeout, raw.place));
        reader.problem(
            place,
            "the gate has to hold for longer than it may take",
            "make `stable_for` shorter than `timeout`",
        );
    }
    Phase {
        name,
        title: text(&raw.title),
        goal: text(&raw.goal),
        steps,
        gate: conditions(gate),
        stable_for,
        gate_timeout,
        window: positive(&gate.window, WINDOW, reader),
        before: hooks(raw.before.as_ref(), names, reader),
        after: hooks(raw.after.as_ref(), names, reader),
        traffic: None,
        on_failure: value(&raw.on_failure).unwrap_or_default(),
        on_driver_loss: value(&raw.on_driver_loss).unwrap_or_default(),
        needs_approval: raw.approve.as_ref().is_some_and(|approve| approve.value),
        budget: raw
            .budget
            .as_ref()
            .map(|budget| budget_of(&budget.value))
            .unwrap_or_default(),
        expected: raw
            .expected
            .as_ref()
            .map(|range| (range.value.from, range.value.to)),
        priority: value(&raw.priority),
        priority_word: text(&raw.priority_word),
        risk: text(&raw.risk),
        network: text(&raw.network),
        status_word: text(&raw.status_word),
        line: raw.place.line as usize,
    }
}

/// A gate that says nothing wants all services healthy: one that wants nothing would pass always.
fn conditions(raw: &RawGate) -> Vec<Condition> {
    let mut conditions = Vec::new();
    conditions.push(match value(&raw.healthy) {
        None | Some(Healthy::All) => Condition::Healthy(None),
        Some(Healthy::AtLeast(least)) => Condition::Healthy(Some(least)),
    });
    conditions.extend(value(&raw.memory_below).map(Condition::MemoryBelow));
    conditions.extend(value(&raw.cpu_below).map(Condition::CpuBelow));
    conditions.extend(value(&raw.mean_response_below).map(Condition::MeanResponseBelow));
    conditions.extend(value(&raw.p95_below).map(Condition::P95Below));
    conditions.extend(value(&raw.errors_below).map(Condition::ErrorsBelow));
    if let Some(catalog) = raw.catalog.as_ref().map(|catalog| &catalog.value) {
        conditions
            .extend(value(&catalog.ingestion_success_above).map(Condition::IngestionSuccessAbove));
        conditions.extend(value(&catalog.tests_passing_above).map(Condition::TestsPassingAbove));
        conditions.extend(value(&catalog.fresher_than).map(Condition::FresherThan));
    }
    conditions
}

fn budget_of(raw: &RawBudget) -> Budget {
    let (cpu, cpu_share) = match value(&raw.cpu) {
        Some(CpuBudget::Amount(amount)) => (Some(amount), None),
        Some(CpuBudget::Share(share)) => (None, Some(share)),
        None => (None, None),
    };
    Budget {
        memory: value(&raw.memory),
        cpu,
        cpu_share,
        storage: value(&raw.storage),
    }
}

fn hooks(raw: Option<&Placed<Vec<RawHook>>>, names: &Names, reader: &mut Reader<'_>) -> Vec<Hook> {
    raw.iter()
        .flat_map(|hooks| &hooks.value)
        .filter_map(|hook| {
            let action = action(hook, names, reader)?;
            let check = hook.check.as_ref().filter(|_| reader.is_trusted);
            Some(Hook {
                action,
                check: check.map(|check| words(check, reader)),
                timeout: positive(&hook.timeout, HOOK_TIMEOUT, reader),
                line: hook.place.line as usize,
            })
        })
        .collect()
}

fn action(raw: &RawHook, names: &Names, reader: &mut Reader<'_>) -> Option<HookAction> {
    match (&raw.exec, &raw.http) {
        (Some(exec), None) => {
            let Placed { place, value: exec } = exec;
            let service = match &exec.service {
                Some(service) => names.resolve(&service.value, reader)?,
                None => {
                    reader.problem(
                        *place,
                        "`service` is missing",
                        "say in which service it runs",
                    );
                    return None;
                }
            };
            let Some(command) = exec
                .command
                .as_ref()
                .filter(|words| !words.value.is_empty())
            else {
                reader.problem(
                    *place,
                    "`command` is missing",
                    "write program and arguments as a list: `command: [psql, --version]`",
                );
                return None;
            };
            if !reader.is_trusted {
                return Some(HookAction::Withheld);
            }
            Some(HookAction::Exec {
                service,
                command: words(command, reader),
            })
        }
        (None, Some(call)) => {
            let Placed { place, value: call } = call;
            let Some(written) = &call.url else {
                reader.problem(*place, "`url` is missing", "write where it is sent");
                return None;
            };
            if !reader.is_trusted {
                return Some(HookAction::Withheld);
            }
            endpoints::check_no_literal_password(written, reader);
            let url = reader.value_of(written)?;
            endpoints::check_url(written, &url, &["http", "https"], reader)?;
            Some(HookAction::Http {
                method: match value(&call.method).unwrap_or(Method::Post) {
                    Method::Get => "GET",
                    Method::Post => "POST",
                    Method::Put => "PUT",
                },
                url: SecretString::from(url),
            })
        }
        _ => {
            reader.problem(
                raw.place,
                "a hook does one thing",
                "write `exec: {service, command}` or `http: {url}`",
            );
            None
        }
    }
}

/// The triggers of a platform.
pub struct Triggers {
    pub conditions: Vec<Condition>,
    pub hold: Duration,
    pub window: Duration,
}

/// What rolls a run back.
pub fn triggers(raw: &RawPlatform, reader: &mut Reader<'_>) -> Triggers {
    let mut conditions = Vec::new();
    let Some(raw) = raw.rollback_when.as_ref().map(|triggers| &triggers.value) else {
        return Triggers {
            conditions,
            hold: TRIGGER_HOLD,
            window: WINDOW,
        };
    };
    conditions.extend(value(&raw.memory_above).map(Condition::MemoryAbove));
    conditions.extend(value(&raw.cpu_above).map(Condition::CpuAbove));
    conditions.extend(value(&raw.unhealthy_above).map(Condition::UnhealthyAbove));
    conditions.extend(value(&raw.mean_response_above).map(Condition::MeanResponseAbove));
    conditions.extend(value(&raw.p95_above).map(Condition::P95Above));
    conditions.extend(value(&raw.errors_above).map(Condition::ErrorsAbove));
    Triggers {
        conditions,
        hold: value(&raw.hold).unwrap_or(TRIGGER_HOLD),
        window: positive(&raw.window, WINDOW, reader),
    }
}
