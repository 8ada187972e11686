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
}

impl Machine {
    /// The machine that the runtime tells; without a runtime this one. Of this one `/proc/meminfo` is
    /// read, and the share of processors that this process may use. What carries a cluster's services
    /// is no one machine: there only what the platform file gives is known.
    pub async fn of(platform: &Platform, runtime: Option<&Arc<dyn Runtime>>) -> Self {
        let capacity = &platform.capacity;
        let given = Self {
            memory: capacity.memory,
            cpu: capacity.cpu,
            ..Self::default()
        };
        if matches!(platform.runtime, RuntimeKind::Kubernetes { .. }) {
            return given;
        }
        let host = match runtime {
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
                available: None,
            },
            // Whose it is nobody knows: what this machine has would be a guess.
            Err(_) => given,
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
        };
        assert_eq!(machine, expected);
    }
}
