//! What a process holds, as Linux tells it.

use std::fs;

/// A look at one process.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// KiB in memory.
    pub resident: usize,
    pub threads: usize,
    pub descriptors: usize,
}

impl Held {
    pub fn by(process: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
        let number = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
            number.unwrap_or_else(|| panic!("no {name} of process {process}"))
        };
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).expect("descriptors");
        Self {
            resident: number("VmRSS:"),
            threads: number("Threads:"),
            descriptors: descriptors.count(),
        }
    }
}
