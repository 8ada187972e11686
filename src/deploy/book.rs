//! The journal of one run as its driver holds it: what it says, and the next entry.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::{
    event::{Entry, Event},
    plan::Plan,
    progress::Progress,
    state::RunState,
};
use crate::{
    platform::ServiceName,
    store::journal::{Append, Journal, JournalError, Left, Request},
};

/// Why a run cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("there is no run {0}")]
    NoRun(i64),
    /// A newer version wrote something that this one does not know.
    #[error(
        "entry {seq} of run {run} cannot be read ({reason}): a newer version may have written it"
    )]
    Unreadable { run: i64, seq: i64, reason: String },
}

/// One run, read and written.
pub struct Book {
    journal: Arc<Journal>,
    pub run: i64,
    pub plan: Arc<Plan>,
    state: Mutex<RunState>,
}

/// A run as it was read once.
pub struct Reading {
    pub plan: Arc<Plan>,
    pub entries: Vec<Entry>,
    pub state: RunState,
}

/// Reads a run with everything that belongs to it.
pub fn read(journal: &Journal, run: i64) -> Result<Reading, BookError> {
    let row = journal.run(run)?.ok_or(BookError::NoRun(run))?;
    let plan = journal.plan(row.plan)?.ok_or(BookError::NoRun(run))?;
    let plan: Plan = serde_json::from_str(&plan.body).map_err(|error| BookError::Unreadable {
        run,
        seq: 0,
        reason: error.to_string(),
    })?;
    let mut entries = Vec::new();
    for (seq, at, body) in journal.entries(run, 0)? {
        entries.push(entry(run, seq, at, &body)?);
    }
    let state = RunState::of(&plan, &entries);
    Ok(Reading {
        plan: Arc::new(plan),
        entries,
        state,
    })
}

fn entry(run: i64, seq: i64, at: i64, body: &str) -> Result<Entry, BookError> {
    let event = serde_json::from_str(body).map_err(|error| BookError::Unreadable {
        run,
        seq,
        reason: error.to_string(),
    })?;
    Ok(Entry {
        seq,
        at: Timestamp::from_millisecond(at).unwrap_or_default(),
        event,
    })
}

impl Book {
    pub fn open(journal: Arc<Journal>, run: i64) -> Result<Self, BookError> {
        let reading = read(&journal, run)?;
        Ok(Self {
            journal,
            run,
            plan: reading.plan,
            state: Mutex::new(reading.state),
        })
    }

    pub fn state(&self) -> MutexGuard<'_, RunState> {
        // A state is replaced whole: what a panic left is what was there before.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes one entry; when this answers it is on the disk.
    pub fn write(&self, event: Event) -> Result<(), JournalError> {
        let mut state = self.state();
        let at = Timestamp::now();
        let body = serde_json::to_string(&event)?;
        let left = match &event {
            Event::StepEnded { services, .. } => services
                .iter()
                .map(|end| left(&end.service, &end.live, &end.image, self.run, at))
                .collect(),
            // Also what went back is as we left it.
            Event::RestoreEnded {
                service,
                live,
                image,
                ..
            } => vec![left(service, live, image, self.run, at)],
            _ => Vec::new(),
        };
        let mut after = state.clone();
        after.take(&Entry {
            seq: state.last_seq + 1,
            at,
            event,
        });
        self.journal.append(&Append {
            run: self.run,
            after: state.last_seq,
            at: at.as_millisecond(),
            body: &body,
            state: after.status.as_str(),
            is_open: !after.status.is_over(),
            left: &left,
        })?;
        *state = after;
        Ok(())
    }

    /// Tells what is seen at this moment. It is no entry: where it cannot be written, the next entry
    /// finds that out.
    pub fn show(&self, progress: &Progress) {
        let at = progress.at.as_millisecond();
        let shown = serde_json::to_string(progress)
            .map_err(JournalError::from)
            .and_then(|body| self.journal.show(self.run, at, &body));
        if let Err(error) = shown {
            tracing::debug!(run = self.run, %error, "progress was not written");
        }
    }

    pub fn asked(&self) -> Result<Vec<Request>, JournalError> {
        self.journal.asked(self.run)
    }

    pub fn take(&self, request: &Request) -> Result<(), JournalError> {
        self.journal.take(request.id)
    }
}

fn left(
    service: &ServiceName,
    live: &Option<String>,
    image: &Option<String>,
    run: i64,
    at: Timestamp,
) -> (String, Left) {
    let left = Left {
        run,
        at: at.as_millisecond(),
        live: live.clone(),
        image: image.clone(),
    };
    (service.0.clone(), left)
}
