//! Usage held against limits, budgets and capacity, and what to stop first. Pure.

use crate::{
    observe::machine::Machine,
    platform::{Bytes, MilliCpu, Percent, Platform, ServiceName},
    runtime::Usage,
};

/// Above this share of its limit a service is near it, where no objective says otherwise.
const NEAR: Percent = Percent(80.0);

/// The platform as a whole.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Standing {
    /// Services of which usage is known.
    pub measured: usize,
    /// Services that run nothing, or of which it is not known.
    pub unmeasured: usize,
    pub memory: Bytes,
    /// What stands outside the platform and counts with it.
    pub external_memory: Bytes,
    pub cpu: MilliCpu,
    /// Sums of the limits of what is measured; services without a limit are counted apart.
    pub memory_limits: Bytes,
    pub without_memory_limit: usize,
    /// Of capacity, external memory included.
    pub memory_share: Option<Percent>,
    pub cpu_share: Option<Percent>,
    /// Services above the share of a limit that the objectives allow, worst first.
    pub near_limits: Vec<NearLimit>,
    pub phases: Vec<PhaseStanding>,
    pub stop_first: Vec<StopFirst>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NearLimit {
    pub service: ServiceName,
    /// `memory` or `cpu`.
    pub what: &'static str,
    pub share: Percent,
}

/// A phase with everything deployed before it, against its budget.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseStanding {
    pub name: String,
    pub memory: Bytes,
    pub memory_budget: Option<Bytes>,
    pub cpu: MilliCpu,
    pub cpu_budget: Option<MilliCpu>,
    /// Services of it and of earlier phases that are not measured: the sums are lower bounds.
    pub unmeasured: usize,
}

impl PhaseStanding {
    pub fn is_over(&self) -> bool {
        self.memory_budget
            .is_some_and(|budget| self.memory > budget)
            || self.cpu_budget.is_some_and(|budget| self.cpu > budget)
    }
}

/// A service that an emergency stops, and what that frees with all before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopFirst {
    pub service: ServiceName,
    pub memory: Bytes,
    pub freed: Bytes,
}

/// Where the platform stands. `usages` holds at most one for each service.
pub fn standing(platform: &Platform, usages: &[Usage], machine: &Machine) -> Standing {
    let of = |name: &ServiceName| usages.iter().find(|usage| usage.service == *name);
    let measured: Vec<&Usage> = usages
        .iter()
        .filter(|usage| usage.memory.is_some())
        .collect();
    let external_memory = platform.capacity.external_memory.unwrap_or_default();
    let memory = Bytes(
        measured
            .iter()
            .filter_map(|usage| usage.memory)
            .map(|one| one.0)
            .sum(),
    );
    let cpu = MilliCpu(
        measured
            .iter()
            .filter_map(|usage| usage.cpu)
            .map(|one| one.0)
            .sum(),
    );
    let limits = measured.iter().filter_map(|usage| usage.memory_limit);
    Standing {
        measured: measured.len(),
        unmeasured: usages.len() - measured.len(),
        memory,
        external_memory,
        cpu,
        memory_limits: Bytes(limits.map(|one| one.0).sum()),
        without_memory_limit: measured
            .iter()
            .filter(|usage| usage.memory_limit.is_none())
            .count(),
        memory_share: machine
            .memory
            .map(|all| Percent::of((memory.0 + external_memory.0) as f64, all.0 as f64)),
        cpu_share: machine
            .cpu
            .map(|all| Percent::of(cpu.0 as f64, all.0 as f64)),
        near_limits: near_limits(platform, &measured),
        phases: phases(platform, of, machine),
        stop_first: stop_first(platform, &measured),
    }
}

fn near_limits(platform: &Platform, measured: &[&Usage]) -> Vec<NearLimit> {
    let bound = platform.objectives.utilisation.unwrap_or(NEAR);
    let mut near = Vec::new();
    for usage in measured {
        let shares = [
            (
                "memory",
                usage.memory.map(|one| one.0),
                usage.memory_limit.map(|one| one.0),
            ),
            (
                "cpu",
                usage.cpu.map(|one| one.0),
                usage.cpu_limit.map(|one| one.0),
            ),
        ];
        for (what, used, limit) in shares {
            if let (Some(used), Some(limit)) = (used, limit) {
                let share = Percent::of(used as f64, limit as f64);
                if share > bound {
                    near.push(NearLimit {
                        service: usage.service.clone(),
                        what,
                        share,
                    });
                }
            }
        }
    }
    near.sort_by(|one, other| {
        let by_share = other.share.0.total_cmp(&one.share.0);
        by_share.then_with(|| one.service.cmp(&other.service))
    });
    near
}

fn phases<'a>(
    platform: &Platform,
    of: impl Fn(&ServiceName) -> Option<&'a Usage>,
    machine: &Machine,
) -> Vec<PhaseStanding> {
    let (mut memory, mut cpu, mut unmeasured) = (0, 0, 0);
    platform
        .phases
        .iter()
        .map(|phase| {
            for name in phase.steps.iter().flatten() {
                match of(name) {
                    Some(usage) if usage.memory.is_some() => {
                        memory += usage.memory.unwrap_or_default().0;
                        cpu += usage.cpu.unwrap_or_default().0;
                    }
                    _ => unmeasured += 1,
                }
            }
            let by_share = phase.budget.cpu_share.zip(machine.cpu);
            let by_share =
                by_share.map(|(share, all)| MilliCpu((share.0 / 100.0 * all.0 as f64) as u64));
            PhaseStanding {
                name: phase.name.clone(),
                memory: Bytes(memory),
                memory_budget: phase.budget.memory,
                cpu: MilliCpu(cpu),
                cpu_budget: phase.budget.cpu.or(by_share),
                unmeasured,
            }
        })
        .collect()
}

/// What is not essential and runs, most memory first.
fn stop_first(platform: &Platform, measured: &[&Usage]) -> Vec<StopFirst> {
    let mut order: Vec<(&ServiceName, Bytes)> = measured
        .iter()
        .filter(|usage| {
            platform
                .services
                .iter()
                .any(|service| service.name == usage.service && !service.is_essential)
        })
        .filter_map(|usage| Some((&usage.service, usage.memory?)))
        .collect();
    order.sort_by(|(one, less), (other, more)| more.cmp(less).then_with(|| one.cmp(other)));
    let mut freed = 0;
    order
        .into_iter()
        .map(|(service, memory)| {
            freed += memory.0;
            StopFirst {
                service: service.clone(),
                memory,
                freed: Bytes(freed),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{
        Service,
        model::{Budget, OnDriverLoss, OnFailure, Phase},
    };
    use jiff::Timestamp;
    use std::time::Duration;

    const MIB: u64 = 1 << 20;

    fn phase(name: &str, services: &[&str], memory: u64) -> Phase {
        Phase {
            name: name.into(),
            title: None,
            goal: None,
            steps: vec![
                services
                    .iter()
                    .map(|one| ServiceName((*one).into()))
                    .collect(),
            ],
            gate: Vec::new(),
            stable_for: Duration::ZERO,
            gate_timeout: Duration::ZERO,
            window: Duration::ZERO,
            before: Vec::new(),
            after: Vec::new(),
            traffic: None,
            on_driver_loss: OnDriverLoss::Wait,
            needs_approval: false,
            priority_word: None,
            on_failure: OnFailure::Stop,
            budget: Budget {
                memory: Some(Bytes(memory * MIB)),
                ..Budget::default()
            },
            expected: None,
            priority: None,
            risk: None,
            network: None,
            status_word: None,
            line: 0,
        }
    }

    #[test]
    fn what_is_used_is_held_against_limits_budgets_and_capacity() {
        let mut platform = Platform {
            phases: vec![
                phase("first", &["db"], 512),
                phase("second", &["kibana", "page", "gone"], 512),
            ],
            ..Platform::default()
        };
        platform.capacity.external_memory = Some(Bytes(100 * MIB));
        for (name, is_essential) in [
            ("db", true),
            ("kibana", false),
            ("page", false),
            ("gone", false),
        ] {
            let mut service = Service::named(name);
            service.is_essential = is_essential;
            platform.services.push(service);
        }
        let used = |name: &str, memory: Option<u64>, limit: Option<u64>| Usage {
            memory: memory.map(|one| Bytes(one * MIB)),
            memory_limit: limit.map(|one| Bytes(one * MIB)),
            cpu: memory.map(|_| MilliCpu(100)),
            ..Usage::none(ServiceName(name.into()), Timestamp::UNIX_EPOCH)
        };
        let usages = [
            used("db", Some(400), Some(410)),
            used("kibana", Some(50), Some(500)),
            used("page", Some(150), None),
            used("gone", None, Some(10)),
        ];
        let machine = Machine {
            memory: Some(Bytes(1_000 * MIB)),
            cpu: Some(MilliCpu(2_000)),
            ..Machine::default()
        };
        let standing = standing(&platform, &usages, &machine);
        assert_eq!((standing.measured, standing.unmeasured), (3, 1));
        assert_eq!(standing.memory, Bytes(600 * MIB));
        assert_eq!(standing.memory_share, Some(Percent(70.0)));
        assert_eq!(standing.cpu_share, Some(Percent(15.0)));
        assert_eq!(
            (standing.memory_limits, standing.without_memory_limit),
            (Bytes(910 * MIB), 1)
        );
        let near: Vec<_> = standing
            .near_limits
            .iter()
            .map(|one| one.service.0.as_str())
            .collect();
        assert_eq!(near, ["db"]);
        let over: Vec<_> = standing.phases.iter().map(PhaseStanding::is_over).collect();
        assert_eq!(over, [false, true]);
        assert_eq!(standing.phases[1].unmeasured, 1);
        let order: Vec<_> = standing
            .stop_first
            .iter()
            .map(|one| (one.service.0.as_str(), one.freed.0 / MIB))
            .collect();
        assert_eq!(order, [("page", 150), ("kibana", 200)]);
    }
}
