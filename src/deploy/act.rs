//! Does one thing that comes next: written down before, done, written down after.

mod gates;
mod hooks;
mod traffic;
mod way_back;

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    backup,
    book::Book,
    engine::{DriveError, Engine},
    event::{Event, ServiceEnd},
    gate,
    look::Seen,
    next::Action,
    plan::PlannedPhase,
    progress::Progress,
    watching::Watching,
    ways_back,
};
use crate::{
    health::Verdict,
    platform::ServiceName,
    runtime::{
        Applied, Change, Desired, Observed, Problem, RunningCommand, ServiceState,
        values::AppliedOutcome,
    },
    store::JournalError,
};

/// What is at hand while one thing is done.
pub struct Act<'a> {
    pub engine: &'a Engine,
    pub book: &'a Book,
    pub watching: &'a Watching,
    pub shutdown: &'a CancellationToken,
}

/// How waiting ended.
enum Waited {
    Done,
    TimedOut(String),
    /// It cannot come to a good end any more.
    Hopeless(String),
    /// Something else comes first: a request, a trigger, a signal.
    Interrupted,
}

impl Act<'_> {
    pub async fn perform(&self, action: Action) -> Result<(), DriveError> {
        match action {
            Action::Wait(_) => {}
            Action::AskApproval { phase } => self.book.write(Event::ApprovalAsked { phase })?,
            Action::Backup { index } => self.back_up(index).await?,
            Action::BeginPhase { phase } => self.book.write(Event::PhaseBegun { phase })?,
            Action::Hook { hook } => self.hook(hook).await?,
            Action::HookIsUnknown { hook } => self.hook_is_unknown(hook)?,
            Action::Apply { phase, step } => self.apply(phase, step).await?,
            Action::AwaitReady { phase, step } => self.await_ready(phase, step).await?,
            Action::Shift { phase, step } => self.shift(phase, step).await?,
            Action::ShiftGate { phase, step } => self.shift_gate(phase, step).await?,
            Action::Gate { phase } => self.gate(phase).await?,
            Action::EndPhase { phase } => self.book.write(Event::PhaseEnded { phase })?,
            Action::RollBack { reason } => self.book.write(Event::RollbackBegun {
                by: super::BY_THE_FILE.into(),
                reason,
            })?,
            Action::Pause { reason } => self.book.write(Event::Paused {
                by: super::BY_THE_FILE.into(),
                reason,
            })?,
            Action::Unshift { index } => self.unshift(index).await?,
            Action::Restore(restore) => self.restore(&restore).await?,
            Action::AwaitRestored => self.await_restored().await?,
            Action::Stuck { reason } => self.book.write(Event::Stuck { reason })?,
            Action::End { state, reason } => self.book.write(Event::Ended {
                state,
                reason,
                by: None,
            })?,
        }
        Ok(())
    }

    fn phase(&self, phase: usize) -> Option<&PlannedPhase> {
        self.book.plan.phases.get(phase)
    }

    fn fail(&self, phase: usize, reason: String) -> Result<(), JournalError> {
        self.book.write(Event::PhaseFailed {
            phase,
            reason,
            readings: Vec::new(),
        })
    }

    async fn back_up(&self, index: usize) -> Result<(), DriveError> {
        let Some(database) = self.book.plan.backups.get(index) else {
            return Ok(());
        };
        let engine = self.engine;
        let run = Some(self.book.run);
        let made = match backup::make(&engine.runtime, &engine.backups, database, run).await {
            Ok(made) => made,
            Err(reason) => {
                let reason = format!(
                    "no backup of {} in {}: {reason}",
                    database.name, database.service
                );
                return Ok(self.book.write(Event::BackupFailed { index, reason })?);
            }
        };
        self.book.write(Event::BackupMade {
            index,
            name: made.name.clone(),
            objects: made.objects,
        })?;
        let wanted = |run| ways_back::is_wanted(&engine.journal, run);
        let text = match backup::retire(&engine.backups, &made, engine.backups_kept, wanted) {
            Ok(removed) if removed.is_empty() => return Ok(()),
            Ok(removed) => format!(
                "older backups of {} in {} were removed ({}): {}",
                database.name,
                database.service,
                backup::kept_words(engine.backups_kept),
                removed.join(", ")
            ),
            // More is kept than is needed.
            Err(error) => format!("older backups could not be removed: {error}"),
        };
        Ok(self.book.write(Event::Note { text })?)
    }

    async fn apply(&self, phase: usize, step: usize) -> Result<(), DriveError> {
        let Some(planned) = self.phase(phase) else {
            return Ok(());
        };
        let services = planned.steps.get(step).cloned().unwrap_or_default();
        let desired: Vec<Desired> = services
            .iter()
            .filter_map(|service| self.book.plan.desired(service).cloned())
            .collect();
        let runtime = &self.engine.runtime;
        let before = match runtime.capture_for(&desired).await {
            Ok(before) => before,
            // Nothing was touched yet.
            Err(problem) => {
                let reason = format!("what runs now could not be written down: {problem}");
                return Ok(self.fail(phase, reason)?);
            }
        };
        self.book.write(Event::StepBegun {
            phase,
            step,
            before,
        })?;
        self.watching.watch(&services);
        let on_command = |command: &RunningCommand| self.command_begins(command);
        let is_up = |service: ServiceName| self.is_up(service).boxed();
        let is_cut_short = || self.is_interrupted();
        let applied = runtime
            .apply(Change {
                is_up: Some(&is_up),
                is_cut_short: Some(&is_cut_short),
                on_command: Some(&on_command),
                ..Change::of(&desired, planned.gate_timeout)
            })
            .await;
        let (applied, problem) = match applied {
            Ok(applied) => (applied, None),
            Err(problem) => (Vec::new(), Some(problem.to_string())),
        };
        let observed = runtime.observe(&services).await.unwrap_or_default();
        let ends = ends(&services, &applied, &observed, problem.as_deref());
        let failed: Vec<String> = ends
            .iter()
            .filter_map(|end| Some(format!("{}: {}", end.service, end.problem.as_ref()?)))
            .collect();
        self.book.write(Event::StepEnded {
            phase,
            step,
            services: ends,
        })?;
        if let Some(problem) = problem {
            self.fail(phase, problem)?;
        } else if !failed.is_empty() {
            self.fail(phase, failed.join("; "))?;
        }
        Ok(())
    }

    fn command_begins(&self, command: &RunningCommand) -> Result<(), Problem> {
        let event = Event::CommandBegun {
            command: command.clone(),
        };
        self.book
            .write(event)
            .map_err(|error| Problem::failed(format!("starting {}", command.what), error))
    }

    /// Whether a service is up, by a look that begins now; not, where something else comes first.
    async fn is_up(&self, service: ServiceName) -> bool {
        let asked = self.watching.ask();
        let Some(seen) = self.look_after(asked, None).await else {
            return false;
        };
        let mut of_service = seen.services.iter().filter(|one| one.service == service);
        of_service.any(|one| is_well(one.verdict))
    }

    async fn await_ready(&self, phase: usize, step: usize) -> Result<(), DriveError> {
        let Some(planned) = self.phase(phase) else {
            return Ok(());
        };
        let services = planned.steps.get(step).cloned().unwrap_or_default();
        self.watching.deploy(&services);
        match self.await_up(&services, planned.gate_timeout).await {
            Waited::Done => self.book.write(Event::StepReady { phase, step })?,
            Waited::TimedOut(reason) | Waited::Hopeless(reason) => self.fail(phase, reason)?,
            Waited::Interrupted => {}
        }
        Ok(())
    }

    /// Waits until all of these are up.
    async fn await_up(&self, services: &[ServiceName], longest: Duration) -> Waited {
        if services.is_empty() {
            return Waited::Done;
        }
        self.watching.watch(services);
        let until = Instant::now() + longest;
        let mut last = self.watching.ask();
        let mut not_up: Vec<String> = Vec::new();
        loop {
            if let Some(seen) = self.look_after(last, Some(until)).await {
                let observed = self.engine.runtime.observe(services).await;
                let observed = observed.unwrap_or_default();
                not_up = services
                    .iter()
                    .filter_map(|service| not_up_yet(service, &seen, &observed))
                    .collect();
                if not_up.is_empty() {
                    return Waited::Done;
                }
                self.book.show(&Progress {
                    waits_for: not_up.clone(),
                    ..self.progress()
                });
                if let Some(reason) = hopeless(&observed) {
                    return Waited::Hopeless(reason);
                }
            }
            if self.is_interrupted() {
                return Waited::Interrupted;
            }
            if Instant::now() >= until {
                return Waited::TimedOut(format!(
                    "not up within {}: {}",
                    gate::length(longest),
                    match not_up.is_empty() {
                        true => "nobody could look in that time".into(),
                        false => not_up.join("; "),
                    }
                ));
            }
            last = self.watching.looks();
        }
    }

    /// What a look saw that began after this one; none where something else comes first or the time
    /// is over.
    async fn look_after(&self, look: u64, until: Option<Instant>) -> Option<Arc<Seen>> {
        let tick = self.engine.tuning.ask_every;
        loop {
            let seen = self.watching.seen_since(look);
            if seen.is_some() {
                return seen;
            }
            if self.is_interrupted() || until.is_some_and(|until| Instant::now() >= until) {
                return None;
            }
            self.watching.news(tick).await;
        }
    }

    /// What was seen last of the whole platform.
    fn progress(&self) -> Progress {
        Progress::of(&self.watching.last_readings())
    }

    /// Whether something else comes first. A journal that cannot be read is told by the next write.
    fn is_interrupted(&self) -> bool {
        let is_deploying = self.book.state().status == super::Status::Running;
        self.shutdown.is_cancelled()
            || !(self.engine.lease.is_held)()
            || (is_deploying && self.watching.fired().is_some())
            || self.book.asked().is_ok_and(|asked| !asked.is_empty())
    }
}

/// Why a service is not up: what looks say, or that its runtime has not brought it to its end, as
/// what answers so far may be what was there before.
fn not_up_yet(service: &ServiceName, seen: &Seen, observed: &[Observed]) -> Option<String> {
    let mut looks = seen.services.iter().filter(|one| one.service == *service);
    if let Some(one) = looks.find(|one| !is_well(one.verdict)) {
        return Some(one.words());
    }
    let unfinished = observed.iter().find(|one| one.service == *service)?;
    let unfinished = unfinished.unfinished.as_ref()?;
    Some(format!("{service} is not finished: {}", unfinished.reason))
}

/// What ended by itself and is not started again never comes up, nor does what its runtime gave up.
fn hopeless(observed: &[Observed]) -> Option<String> {
    observed
        .iter()
        .find_map(|one| match (&one.state, &one.unfinished) {
            (ServiceState::Exited(exit), _) if !exit.is_success() => {
                Some(format!("{} ended with {exit}", one.service))
            }
            (_, Some(unfinished)) if unfinished.is_given_up => {
                Some(format!("{}: {}", one.service, unfinished.reason))
            }
            _ => None,
        })
}

fn is_well(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Up | Verdict::Degraded)
}

fn ends(
    services: &[ServiceName],
    applied: &[Applied],
    observed: &[Observed],
    problem: Option<&str>,
) -> Vec<ServiceEnd> {
    services
        .iter()
        .map(|service| {
            let one = applied.iter().find(|one| one.service == *service);
            let seen = observed.iter().find(|one| one.service == *service);
            let (outcome, own) = match one {
                Some(applied) => said(&applied.outcome),
                None => ("failed".into(), problem.map(str::to_owned)),
            };
            ServiceEnd {
                service: service.clone(),
                outcome,
                problem: own,
                live: seen.and_then(|seen| seen.live.clone()),
                image: seen.and_then(|seen| seen.image.clone()),
            }
        })
        .collect()
}

/// One word, and what went wrong.
fn said(outcome: &AppliedOutcome) -> (String, Option<String>) {
    let (word, problem) = match outcome {
        AppliedOutcome::Started => ("started", None),
        AppliedOutcome::Unchanged => ("unchanged", None),
        AppliedOutcome::Replaced => ("replaced", None),
        AppliedOutcome::Removed => ("removed", None),
        AppliedOutcome::Waits(reason) => ("waits", Some(reason.clone())),
        AppliedOutcome::Failed(problem) => ("failed", Some(problem.to_string())),
    };
    (word.to_owned(), problem)
}
