//! Approvals: what a run waits for a person with, and writing down that one approved it.

use std::time::Instant;

use jiff::Timestamp;

use super::{DeployError, Deployments, LONGEST_START, LOOK, Seen};
use crate::{
    deploy::{
        event::{Event, Way},
        plan::PlannedPhase,
        requests::Verb,
        state::Status,
    },
    store::journal::Approval,
};

/// What a person is asked to approve. It is of one moment of one run: an answer to it is an answer
/// to nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub run: i64,
    /// Of the plan.
    pub digest: String,
    /// The entry that asks.
    pub entry: i64,
}

impl Seen {
    /// What it waits for a person with.
    pub fn question(&self) -> Option<Question> {
        let state = &self.reading.state;
        let entry = state.question?;
        (state.status == Status::AwaitingApproval).then(|| Question {
            run: self.row.id,
            digest: self.reading.plan.digest(),
            entry,
        })
    }

    /// The phase that is asked about; none where the whole run is.
    pub fn asked_phase(&self) -> Option<&PlannedPhase> {
        let state = &self.reading.state;
        let phase = self.reading.entries.iter().find_map(|entry| {
            let is_it = Some(entry.seq) == state.question;
            match entry.event {
                Event::ApprovalAsked { phase } if is_it => Some(phase),
                _ => None,
            }
        });
        self.reading.plan.phases.get(phase?)
    }

    /// Whether a person has to approve what it comes to next.
    pub fn next_phase_asks(&self) -> bool {
        let (plan, state) = (&self.reading.plan, &self.reading.state);
        let mut phases = plan.phases.iter().zip(&state.phases);
        let next = phases.find(|(_, progress)| progress.ended_at.is_none());
        state.status == Status::Running
            && next
                .is_some_and(|(planned, progress)| planned.needs_approval && !progress.is_approved)
    }

    /// Whether the run was in production when it began: a passphrase approves it.
    pub fn is_in_production(&self) -> bool {
        let begun = self.reading.entries.iter().map(|entry| &entry.event);
        begun.take(1).any(
            |event| matches!(event, Event::Created { awaits_approval, .. } if *awaits_approval),
        )
    }
}

impl Deployments {
    /// Writes down that a person approved what they were asked, and lets the run go on. Where the run
    /// does not wait with that question any more it changes nothing.
    pub async fn approve(
        &self,
        question: &Question,
        way: Way,
        by: &str,
        reason: Option<&str>,
    ) -> Result<(), DeployError> {
        let run = question.run;
        let seen = self.look(run).await?;
        let refused = |reason: String| DeployError::Refused {
            verb: Verb::Approve.as_str(),
            run,
            reason,
        };
        if let Some(reason) = Verb::Approve.refusal(seen.reading.state.status, seen.is_driven) {
            return Err(refused(reason));
        }
        if seen.question().as_ref() != Some(question) {
            return Err(refused("it waits with another question by now".into()));
        }
        let given = Approval {
            question: question.entry,
            way: way.as_str().to_owned(),
        };
        let now = Timestamp::now().as_millisecond();
        let verb = Verb::Approve.as_str();
        let (by, reason) = (by.to_owned(), reason.map(str::to_owned));
        self.with_journal(move |journal| {
            Ok(journal.ask_of(run, now, verb, &by, reason.as_deref(), Some(&given))?)
        })
        .await?;
        if !seen.is_driven {
            self.start_driver(run).await?;
        }
        // Its driver takes the run first, and then what is asked of it.
        let until = Instant::now() + LONGEST_START;
        while Instant::now() < until && self.look(run).await?.question().as_ref() == Some(question)
        {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}
