//! The gate at the end of a phase: what is read, until it has held for long enough or its time is
//! over.

use tokio::time::Instant;

use super::Act;
use crate::deploy::{
    engine::DriveError,
    event::{Baseline, Event},
    gate::{self, Holding},
    progress::Progress,
};

impl Act<'_> {
    pub(super) async fn gate(&self, phase: usize) -> Result<(), DriveError> {
        let Some(planned) = self.phase(phase) else {
            return Ok(());
        };
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
                return Ok(());
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
                let baseline = Baseline {
                    memory: readings.memory.ok(),
                    cpu: readings.cpu.ok(),
                    mean_response: readings.mean_response.ok(),
                    p95: readings.p95.ok(),
                };
                self.book.write(Event::GatePassed {
                    phase,
                    readings: read,
                    baseline,
                    promoted: None,
                })?;
                return Ok(());
            }
            if Instant::now() >= until {
                let why = match is_met {
                    true => format!("not stable for {}", gate::length(planned.stable_for)),
                    false => gate::unmet(&read),
                };
                self.book.write(Event::PhaseFailed {
                    phase,
                    reason: format!(
                        "the gate of {} did not pass within {}: {why}",
                        planned.name,
                        gate::length(planned.gate_timeout)
                    ),
                    readings: read,
                })?;
                return Ok(());
            }
        }
    }
}
