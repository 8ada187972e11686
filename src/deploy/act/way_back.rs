//! Taking back, service by service, and waiting until what was well before is well again.

use super::{Act, Waited, said};
use crate::{
    deploy::{
        engine::DriveError,
        event::{EndState, Event},
        plan::{Kind, Restore},
    },
    platform::ServiceName,
};

impl Act<'_> {
    pub(super) async fn restore(&self, restore: &Restore) -> Result<(), DriveError> {
        self.watching.disarm();
        let service = &restore.service;
        let runtime = &self.engine.runtime;
        // A run that takes back can be taken back itself.
        let now = match self.book.plan.kind {
            Kind::Deploy => None,
            Kind::RollBack => {
                let captured = runtime.capture(std::slice::from_ref(service)).await;
                captured.ok().and_then(|all| all.into_iter().next())
            }
        };
        self.book.write(Event::RestoreBegun {
            service: service.clone(),
            now,
        })?;
        let restored = runtime.restore(&restore.before).await;
        let (outcome, problem) = match restored {
            Ok(applied) => said(&applied.outcome),
            Err(problem) => ("failed".into(), Some(problem.to_string())),
        };
        let observed = runtime.observe(std::slice::from_ref(service)).await;
        let seen = observed.ok().and_then(|all| all.into_iter().next());
        let (live, image) = seen.map_or((None, None), |seen| (seen.live, seen.image));
        self.book.write(Event::RestoreEnded {
            service: service.clone(),
            outcome,
            problem,
            live,
            image,
        })?;
        Ok(())
    }

    pub(super) async fn await_restored(&self) -> Result<(), DriveError> {
        self.watching.disarm();
        let plan = &self.book.plan;
        let restores = self.book.state().to_restore(plan, self.book.run);
        // What was not well before is not made well by going back.
        let services: Vec<ServiceName> = restores
            .iter()
            .filter(|restore| restore.before.was_running && !plan.unwell.contains(&restore.service))
            .map(|restore| restore.service.clone())
            .collect();
        let longest = plan
            .phases
            .iter()
            .map(|phase| phase.gate_timeout)
            .max()
            .unwrap_or(self.engine.tuning.restored_within);
        match self.await_up(&services, longest).await {
            Waited::Done => self.book.write(Event::Ended {
                state: EndState::RolledBack,
                reason: None,
                by: None,
            })?,
            Waited::TimedOut(reason) | Waited::Hopeless(reason) => {
                self.book.write(Event::Stuck {
                    reason: format!("everything was taken back, but {reason}"),
                })?;
            }
            Waited::Interrupted => {}
        }
        Ok(())
    }
}
