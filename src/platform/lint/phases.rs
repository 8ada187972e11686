//! Phases: budgets and capacity, gates that cannot pass or fail, traffic that never goes over,
//! triggers that cannot or always fire.

use super::{
    Linter,
    amounts::{self, Replicas, Sum},
};
use crate::platform::{
    model::{Condition, Phase, Service},
    problem::Place,
    quantity::{Bytes, MilliCpu, Percent},
    raw::RawPhase,
};

pub fn look(linter: &mut Linter<'_>) {
    for (number, phase, raw) in linter.phases() {
        let so_far = linter.services_through(number);
        budget(linter, phase, raw, &so_far);
        gate(linter, number, phase, raw, &so_far);
        traffic(linter, phase, raw);
        if phase.steps.is_empty() {
            linter.warn(
                "phase-without-services",
                raw.place,
                format!("phase `{}` deploys nothing", phase.name),
            );
        }
    }
    capacity(linter);
    triggers(linter);
}

/// `1.2Gi`, and that it may be more where services say nothing.
fn told(sum: Sum, shown: String) -> String {
    match sum.silent {
        0 => shown,
        1 => format!("at least {shown} (one service has no limit)"),
        silent => format!("at least {shown} ({silent} services have no limit)"),
    }
}

fn budget(linter: &mut Linter<'_>, phase: &Phase, raw: &RawPhase, so_far: &[&Service]) {
    let place = raw.budget.as_ref().map_or(raw.place, |budget| budget.place);
    let memory = amounts::memory(so_far, Replicas::Fewest);
    let cpu = amounts::cpu(so_far, Replicas::Fewest);
    let storage = amounts::storage(so_far, Replicas::Fewest);
    let cpu_budget = phase.budget.cpu.map(|budget| budget.0).or_else(|| {
        let (share, capacity) = phase.budget.cpu_share.zip(linter.platform.capacity.cpu)?;
        Some((share.0 / 100.0 * capacity.0 as f64).round() as u64)
    });
    let bytes = |amount: u64| Bytes(amount).to_string();
    let cores = |amount: u64| MilliCpu(amount).to_string();
    let sums = [
        (
            "memory",
            memory,
            phase.budget.memory.map(|budget| budget.0),
            bytes as fn(u64) -> String,
        ),
        ("CPU", cpu, cpu_budget, cores as fn(u64) -> String),
        (
            "storage",
            storage,
            phase.budget.storage.map(|budget| budget.0),
            bytes as fn(u64) -> String,
        ),
    ];
    for (what, sum, budget, show) in sums {
        if let Some(budget) = budget
            && sum.amount > budget
        {
            linter.warn(
                "budget-exceeded",
                place,
                format!(
                    "the limits through phase `{}` add up to {} {what}, more than its budget of {}",
                    phase.name,
                    told(sum, show(sum.amount)),
                    show(budget)
                ),
            );
        }
    }
}

fn capacity(linter: &mut Linter<'_>) {
    let Some(raw) = &linter.loaded.raw.capacity else {
        return;
    };
    let capacity = linter.platform.capacity;
    let all: Vec<&Service> = linter.platform.services.iter().collect();
    let mut memory = amounts::memory(&all, Replicas::Fewest);
    memory.amount += capacity.external_memory.map_or(0, |external| external.0);
    let cpu = amounts::cpu(&all, Replicas::Fewest);
    if let Some(limit) = capacity.memory
        && memory.amount > limit.0
    {
        let sum = told(memory, Bytes(memory.amount).to_string());
        linter.warn(
            "capacity-exceeded",
            raw.place,
            format!("all limits add up to {sum} memory, more than the capacity of {limit}"),
        );
    }
    if let Some(limit) = capacity.cpu
        && cpu.amount > limit.0
    {
        let sum = told(cpu, MilliCpu(cpu.amount).to_string());
        linter.warn(
            "capacity-exceeded",
            raw.place,
            format!("all limits add up to {sum} CPU, more than the capacity of {limit}"),
        );
    }
}

/// The most memory that these may use, as a share of the capacity; nothing where one has no limit.
fn most_memory(linter: &Linter<'_>, services: &[&Service]) -> Option<Percent> {
    let capacity = linter.platform.capacity;
    let sum = amounts::memory(services, Replicas::Most);
    let external = capacity.external_memory.map_or(0, |external| external.0);
    let whole = capacity.memory?.0 as f64;
    (sum.silent == 0).then(|| Percent::of((sum.amount + external) as f64, whole))
}

fn most_cpu(linter: &Linter<'_>, services: &[&Service]) -> Option<Percent> {
    let sum = amounts::cpu(services, Replicas::Most);
    let whole = linter.platform.capacity.cpu?.0 as f64;
    (sum.silent == 0).then(|| Percent::of(sum.amount as f64, whole))
}

fn gate(
    linter: &mut Linter<'_>,
    number: usize,
    phase: &Phase,
    raw: &RawPhase,
    so_far: &[&Service],
) {
    let place = raw.gate.as_ref().map_or(raw.place, |gate| gate.place);
    if raw.gate.is_none() {
        linter.note(
            "no-gate",
            raw.place,
            format!(
                "phase `{}` has no gate: all services healthy is enough",
                phase.name
            ),
        );
    }
    let name = &phase.name;
    let own = linter.services_of(phase);
    for condition in &phase.gate {
        let cannot_pass = match condition {
            Condition::Healthy(Some(least)) if *least as usize > so_far.len() => Some(format!(
                "it wants {least} healthy services, and there are {} by then",
                so_far.len()
            )),
            Condition::MemoryBelow(share)
            | Condition::CpuBelow(share)
            | Condition::ErrorsBelow(share)
                if share.0 <= 0.0 =>
            {
                Some("nothing is below 0%".to_owned())
            }
            Condition::IngestionSuccessAbove(share) | Condition::TestsPassingAbove(share)
                if share.0 >= 100.0 =>
            {
                Some("nothing is above 100%".to_owned())
            }
            Condition::IngestionSuccessAbove(_)
            | Condition::TestsPassingAbove(_)
            | Condition::FresherThan(_)
                if own.iter().all(|service| service.datasets.is_empty()) =>
            {
                Some("it looks at the catalog, and no service of the phase has datasets".to_owned())
            }
            Condition::MeanResponseBelow(limit) | Condition::P95Below(limit) if limit.is_zero() => {
                Some("no answer takes less than nothing".to_owned())
            }
            Condition::MemoryBelow(share) => {
                let capacity = linter.platform.capacity;
                let external = capacity
                    .external_memory
                    .zip(capacity.memory)
                    .map(|(used, all)| Percent::of(used.0 as f64, all.0 as f64));
                external.filter(|external| external.0 >= share.0).map(|external| {
                    format!("memory in use by others is {external} already, and it wants below {share}")
                })
            }
            _ => None,
        };
        if let Some(reason) = cannot_pass {
            linter.warn(
                "gate-cannot-pass",
                place,
                format!("the gate of phase `{name}` cannot pass: {reason}"),
            );
            continue;
        }
        gate_over_limits(linter, phase, condition, so_far, place);
    }
    if let Some(Condition::Healthy(Some(0))) = phase.gate.first()
        && phase.gate.len() == 1
    {
        linter.warn(
            "gate-cannot-fail",
            place,
            format!("the gate of phase `{name}` cannot fail: it wants no healthy service"),
        );
    }
    triggers_below_gate(linter, phase, place);
    let _ = number;
}

/// Traffic that never goes over whole, or goes otherwise than the words of its phase say.
fn traffic(linter: &mut Linter<'_>, phase: &Phase, raw: &RawPhase) {
    let (Some(traffic), Some(written)) = (&phase.traffic, &raw.traffic) else {
        return;
    };
    let name = &phase.name;
    let last = traffic.weights.last().copied().unwrap_or_default();
    if last < 100 {
        linter.warn(
            "canary-never-whole",
            written.place,
            format!(
                "the traffic of phase `{name}` ends at {last} %: {} never gets all of {}",
                traffic.to, traffic.virtual_service
            ),
        );
    }
    let words = [
        Some(name.as_str()),
        phase.title.as_deref(),
        phase.goal.as_deref(),
    ];
    let is_called = words.into_iter().flatten().any(|words| {
        let words = words.to_lowercase().replace([' ', '_'], "-");
        words.contains("blue-green") || words.contains("blue/green")
    });
    if is_called && traffic.weights != [100] {
        linter.note(
            "canary-called-blue-green",
            written.place,
            format!(
                "phase `{name}` is called blue-green, and its traffic goes over by {}: that is a canary",
                traffic.steps()
            ),
        );
    }
}

/// What limits alone decide.
fn gate_over_limits(
    linter: &mut Linter<'_>,
    phase: &Phase,
    condition: &Condition,
    so_far: &[&Service],
    place: Place,
) {
    let (what, most, share) = match condition {
        Condition::MemoryBelow(share) => ("memory", most_memory(linter, so_far), *share),
        Condition::CpuBelow(share) => ("CPU", most_cpu(linter, so_far), *share),
        _ => return,
    };
    let Some(most) = most else {
        return;
    };
    let name = &phase.name;
    if most.0 < share.0 {
        linter.note(
            "gate-cannot-fail",
            place,
            format!(
                "`{what}` below {share} in the gate of phase `{name}` cannot fail: the limits add up to {most}"
            ),
        );
    } else {
        linter.note(
            "gate-may-not-pass",
            place,
            format!(
                "the limits through phase `{name}` add up to {most} of {what}, and its gate wants below {share}"
            ),
        );
    }
}

/// A trigger that rolls back what a gate lets through.
fn triggers_below_gate(linter: &mut Linter<'_>, phase: &Phase, place: Place) {
    let mut found = Vec::new();
    for gate in &phase.gate {
        for trigger in &linter.platform.rollback_when {
            let pair = match (gate, trigger) {
                (Condition::MemoryBelow(gate), Condition::MemoryAbove(trigger))
                    if trigger < gate =>
                {
                    Some(("memory", gate.to_string(), trigger.to_string()))
                }
                (Condition::CpuBelow(gate), Condition::CpuAbove(trigger)) if trigger < gate => {
                    Some(("CPU", gate.to_string(), trigger.to_string()))
                }
                (Condition::ErrorsBelow(gate), Condition::ErrorsAbove(trigger))
                    if trigger < gate =>
                {
                    Some(("errors", gate.to_string(), trigger.to_string()))
                }
                (Condition::MeanResponseBelow(gate), Condition::MeanResponseAbove(trigger))
                | (Condition::P95Below(gate), Condition::P95Above(trigger))
                    if trigger < gate =>
                {
                    Some(("response time", format!("{gate:?}"), format!("{trigger:?}")))
                }
                _ => None,
            };
            found.extend(pair);
        }
    }
    for (what, gate, trigger) in found {
        linter.warn(
            "trigger-below-gate",
            place,
            format!(
                "the gate of phase `{}` lets {what} up to {gate} pass, and above {trigger} the run is rolled back",
                phase.name
            ),
        );
    }
}

fn triggers(linter: &mut Linter<'_>) {
    let Some(raw) = &linter.loaded.raw.rollback_when else {
        return;
    };
    let written = &raw.value;
    let all: Vec<&Service> = match linter.platform.phases.len() {
        0 => linter.platform.services.iter().collect(),
        phases => linter.services_through(phases - 1),
    };
    for trigger in &linter.platform.rollback_when {
        let (place, what, limit, most) = match trigger {
            Condition::MemoryAbove(share) => (
                written.memory_above.as_ref().map(|it| it.place),
                "memory",
                *share,
                most_memory(linter, &all),
            ),
            Condition::CpuAbove(share) => (
                written.cpu_above.as_ref().map(|it| it.place),
                "CPU",
                *share,
                most_cpu(linter, &all),
            ),
            Condition::UnhealthyAbove(share) => (
                written.unhealthy_above.as_ref().map(|it| it.place),
                "unhealthy services",
                *share,
                None,
            ),
            Condition::ErrorsAbove(share) => (
                written.errors_above.as_ref().map(|it| it.place),
                "errors",
                *share,
                None,
            ),
            _ => continue,
        };
        let place = place.unwrap_or(raw.place);
        if limit.0 >= 100.0 {
            linter.warn(
                "trigger-cannot-fire",
                place,
                format!("the trigger on {what} above {limit} cannot fire: all of it is 100%"),
            );
        } else if let Some(most) = most.filter(|most| most.0 <= limit.0) {
            linter.warn(
                "trigger-cannot-fire",
                place,
                format!(
                    "the trigger on {what} above {limit} cannot fire: the limits of all services add up to {most}"
                ),
            );
        }
        if let Condition::UnhealthyAbove(share) = trigger {
            of_one_service(linter, *share, place);
        }
    }
}

/// In small phases one service is a large share.
fn of_one_service(linter: &mut Linter<'_>, share: Percent, place: Place) {
    let mut phases = Vec::new();
    for (number, phase, _) in linter.phases() {
        let deployed = linter.services_through(number).len();
        let one = Percent::of(1.0, deployed as f64);
        if deployed > 0 && one.0 > share.0 {
            phases.push(format!("`{}` (1 of {deployed} is {one})", phase.name));
        }
    }
    if !phases.is_empty() {
        linter.warn(
            "trigger-of-one-service",
            place,
            format!(
                "one unhealthy service alone is above {share} and rolls back in phase {}",
                phases.join(", ")
            ),
        );
    }
}
