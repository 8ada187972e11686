//! The gate at the end of a phase, and after each weight of its traffic: what is read, until it has
//! held for long enough or its time is over.

use tokio::time::Instant;

use super::Act;
use crate::deploy::{
    engine::DriveError,
    event::{Baseline, Event},
    gate::{self, ConditionReading, Holding},
    plan::PlannedPhase,
    progress::Progress,
};

/// What was read when a gate had held.
struct Held {
    readings: Vec<ConditionReading>,
    baseline: Baseline,
}

impl Act<'_> {
    pub(super) async fn gate(&self, phase: usize) -> Result<(), DriveError> {
        let Some(planned) = self.phase(phase) else {
            return Ok(());
        };
        let name = planned.name.clone();
        if let Some(held) = self.hold(phase, planned, &name).await? {
            self.book.write(Event::GatePassed {
                phase,
                readings: held.readings,
                baseline: held.baseline,
                promoted: None,
            })?;
        }
        Ok(())
    }

    /// The same between two weights.
    pub(super) async fn shift_gate(&self, phase: usize, step: usize) -> Result<(), DriveError> {
        let Some(planned) = self.phase(phase) else {
            return Ok(());
        };
        let weight = planned
            .traffic
            .as_ref()
            .map_or(0, |one| one.traffic.weight(step));
        let name = format!("{} at {weight} %", planned.name);
        if let Some(held) = self.hold(phase, planned, &name).await? {
            self.book.write(Event::ShiftPassed {
                phase,
                step,
                readings: held.readings,
                promoted: None,
            })?;
        }
        Ok(())
    }

    /// None where something else comes first, or where it is written down that it did not pass.
    async fn hold(
        &self,
        phase: usize,
        planned: &PlannedPhase,
        name: &str,
    ) -> Result<Option<Held>, DriveError> {
        self.watching.deploy(&self.book.plan.deployed_with(phase));
        if self
            .book
            .state()
            .phases
            .get(phase)
            .is_some_and(|one| one.gate_began_at.is_none())
        {
            self.book.write(Event::GateBegun { phase })?;
        }
        let until = Instant::now() + planned.gate_timeout;
        // What was seen before the last step was up is no answer.
        let mut last = self.watching.ask();
        let mut holding = Holding::default();
        loop {
            self.look_after(last, Some(until)).await;
            last = self.watching.looks();
            if self.is_interrupted() {
                return Ok(None);
            }
            let readings = self.watching.readings(planned.window);
            let read = gate::read(&planned.gate, &readings);
            let is_met = gate::all_met(&read);
            let has_held = holding.look(is_met, self.watching.now(), planned.stable_for, 1);
            self.book.show(&Progress {
                gate_of: Some(phase),
                gate: read.clone(),
                held: holding.held(),
                ..self.progress()
            });
            if has_held {
                return Ok(Some(Held {
                    readings: read,
                    baseline: Baseline {
                        memory: readings.memory.ok(),
                        cpu: readings.cpu.ok(),
                        mean_response: readings.mean_response.ok(),
                        p95: readings.p95.ok(),
                    },
                }));
            }
            if Instant::now() >= until {
                let why = match is_met {
                    true => format!("not stable for {}", gate::length(planned.stable_for)),
                    false => gate::unmet(&read),
                };
                self.book.write(Event::PhaseFailed {
                    phase,
                    reason: format!(
                        "the gate of {name} did not pass within {}: {why}",
                        gate::length(planned.gate_timeout)
                    ),
                    readings: read,
                })?;
                return Ok(None);
            }
        }
    }
}
