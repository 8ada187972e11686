//! What a run waits for at this moment, as its driver sees it. No part of what a run is: each look
//! replaces the one before, and none is ever read to decide something.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::gate::{ConditionReading, Readings};

/// One moment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    pub at: Timestamp,
    /// Services that have to be up before it goes on, and what they are.
    pub waits_for: Vec<String>,
    /// The phase at whose gate it is.
    pub gate_of: Option<usize>,
    pub gate: Vec<ConditionReading>,
    /// For how long the gate has held.
    pub held: Option<Duration>,
    /// Services that are up, of those that are deployed so far.
    pub healthy: usize,
    pub deployed: usize,
    /// Percent of capacity; none where no condition asks for it.
    pub memory: Option<f64>,
    pub cpu: Option<f64>,
}

impl Progress {
    pub fn of(readings: &Readings) -> Self {
        Self {
            at: Timestamp::now(),
            healthy: readings.healthy,
            deployed: readings.deployed,
            memory: readings.memory.as_ref().ok().copied(),
            cpu: readings.cpu.as_ref().ok().copied(),
            ..Self::default()
        }
    }
}
