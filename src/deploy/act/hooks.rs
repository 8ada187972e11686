//! What a phase does beside starting services.

use super::Act;
use crate::deploy::{
    engine::DriveError,
    event::{Event, HookAt, HookOutcome, HookPlace},
    hooks,
    plan::PlannedHook,
};

impl Act<'_> {
    fn hook_at(&self, at: HookAt) -> Option<&PlannedHook> {
        let phase = self.phase(at.phase)?;
        match at.place {
            HookPlace::Before => phase.before.get(at.index),
            HookPlace::After => phase.after.get(at.index),
        }
    }

    pub(super) async fn hook(&self, at: HookAt) -> Result<(), DriveError> {
        let Some(hook) = self.hook_at(at) else {
            return Ok(());
        };
        let runtime = &self.engine.runtime;
        let has_begun = self.book.state().open_hook == Some(at);
        match hooks::is_done(runtime, hook).await {
            Some(Ok(true)) => {
                let outcome = match has_begun {
                    true => HookOutcome::Done,
                    false => HookOutcome::DoneBefore,
                };
                return Ok(self.book.write(Event::HookEnded { hook: at, outcome })?);
            }
            Some(Err(problem)) => {
                let reason = format!("the check of {} could not be made: {problem}", hook.name());
                return self.hook_failed(at, HookOutcome::Failed(reason));
            }
            Some(Ok(false)) | None => {}
        }
        self.book.write(Event::HookBegun { hook: at })?;
        let outcome = hooks::run(runtime, hook).await;
        let outcome = match outcome {
            // A check tells what nobody else knows.
            HookOutcome::Unknown(reason) => match hooks::is_done(runtime, hook).await {
                Some(Ok(true)) => HookOutcome::Done,
                Some(Ok(false)) => HookOutcome::Failed(reason),
                Some(Err(_)) | None => HookOutcome::Unknown(reason),
            },
            outcome => outcome,
        };
        self.hook_failed(at, outcome)
    }

    /// Writes how a hook ended, and that its phase failed where it did.
    fn hook_failed(&self, at: HookAt, outcome: HookOutcome) -> Result<(), DriveError> {
        let failed = match &outcome {
            HookOutcome::Failed(reason) => Some(reason.clone()),
            _ => None,
        };
        self.book.write(Event::HookEnded { hook: at, outcome })?;
        if let Some(reason) = failed {
            self.fail(at.phase, reason)?;
        }
        Ok(())
    }

    pub(super) fn hook_is_unknown(&self, at: HookAt) -> Result<(), DriveError> {
        let name = self.hook_at(at).map(PlannedHook::name).unwrap_or_default();
        let reason = format!(
            "{name} had begun when its driver was lost and has no `check`: it may have run or not. \
             `promote` takes it as done, `resume` runs it again"
        );
        self.book.write(Event::HookEnded {
            hook: at,
            outcome: HookOutcome::Unknown(reason),
        })?;
        Ok(())
    }
}
