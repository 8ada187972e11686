//! What the machine that carries the services has, where the platform file does not say.

use std::sync::Arc;

use crate::{
    platform::{
        Bytes, MilliCpu, Platform,
        model::{Capacity, RuntimeKind},
    },
    runtime::{Host, Runtime},
};

/// Capacity as the platform file gives it, the rest measured.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Machine {
    /// The name of a machine that is not the one of this process.
    pub another: Option<String>,
    pub memory: Option<Bytes>,
    pub cpu: Option<MilliCpu>,
    pub is_memory_measured: bool,
    pub is_cpu_measured: bool,
    /// What everything on the machine leaves.
    pub available: Option<Bytes>,
    /// How what is measured came about, and what it does not say.
    pub notes: Vec<String>,
    /// Why what the platform file does not give is not known.
    pub unknown: Option<String>,
}

impl Machine {
    /// What the runtime tells; without a runtime this machine. Of this one `/proc/meminfo` is read, and
    /// the share of processors that this process may use. A cluster is not asked for what the platform
    /// file gives.
    pub async fn of(platform: &Platform, runtime: Option<&Arc<dyn Runtime>>) -> Self {
        let capacity = &platform.capacity;
        let given = Self {
            memory: capacity.memory,
            cpu: capacity.cpu,
            ..Self::default()
        };
        let is_cluster = matches!(platform.runtime, RuntimeKind::Kubernetes { .. });
        if is_cluster && given.memory.is_some() && given.cpu.is_some() {
            return given;
        }
        let host = match runtime {
            // Of a cluster that may not be asked nothing is known.
            None if is_cluster => return given,
            None => Ok(Host::Here),
            Some(runtime) => runtime.host().await,
        };
        match host {
            Ok(Host::Here) => Self::here(capacity),
            Ok(Host::Another { name, memory, cpu }) => Self {
                another: Some(name),
                memory: given.memory.or(memory),
                cpu: given.cpu.or(cpu),
                is_memory_measured: given.memory.is_none(),
                is_cpu_measured: given.cpu.is_none(),
                // An engine does not say what is free.
                ..given
            },
            Ok(Host::Cluster { memory, cpu, notes }) => Self {
                memory: given.memory.or(memory),
                cpu: given.cpu.or(cpu),
                is_memory_measured: given.memory.is_none() && memory.is_some(),
                is_cpu_measured: given.cpu.is_none() && cpu.is_some(),
                notes,
                ..given
            },
            // Whose it is nobody knows: what this machine has would be a guess.
            Err(problem) => Self {
                unknown: Some(problem.to_string()),
                ..given
            },
        }
    }

    fn here(capacity: &Capacity) -> Self {
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let cores = std::thread::available_parallelism().ok();
        Self::from(
            capacity,
            &meminfo,
            cores.map(|cores| MilliCpu(cores.get() as u64 * 1_000)),
        )
    }

    fn from(capacity: &Capacity, meminfo: &str, cores: Option<MilliCpu>) -> Self {
        let field = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
            let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(Bytes(kibibytes * 1024))
        };
        Self {
            another: None,
            memory: capacity.memory.or_else(|| field("MemTotal:")),
            cpu: capacity.cpu.or(cores),
            is_memory_measured: capacity.memory.is_none(),
            is_cpu_measured: capacity.cpu.is_none(),
            available: field("MemAvailable:"),
            ..Self::default()
        }
    }

    /// How it was measured, or why it is not known, where there is something to say.
    pub fn provenance(&self) -> Option<String> {
        match (&self.unknown, self.notes.is_empty()) {
            (Some(problem), _) => Some(problem.clone()),
            (None, false) => Some(self.notes.join("; ")),
            (None, true) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_file_wins_and_the_rest_is_measured() {
        let meminfo = "MemTotal:       16384 kB\nMemFree: 1 kB\nMemAvailable:    8192 kB\n";
        let capacity = Capacity {
            cpu: Some(MilliCpu(500)),
            ..Capacity::default()
        };
        let machine = Machine::from(&capacity, meminfo, Some(MilliCpu(2_000)));
        let expected = Machine {
            another: None,
            memory: Some(Bytes(16 << 20)),
            cpu: Some(MilliCpu(500)),
            is_memory_measured: true,
            is_cpu_measured: false,
            available: Some(Bytes(8 << 20)),
            ..Machine::default()
        };
        assert_eq!(machine, expected);
    }
}
