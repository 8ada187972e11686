//! The one that deploys: does what comes next, and writes down what it does before and after.
//!
//! It decides nothing itself: `next` does. It ends where a person has to decide, where a signal
//! asks it to, and where the journal cannot be written; the run is then what its journal says.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    act::Act,
    book::{Book, BookError},
    event::Event,
    look::Look,
    next::{self, Action},
    requests,
    watching::Watching,
    ways_back,
};
use crate::{
    runtime::{RunningCommand, Runtime},
    store::{Journal, JournalError},
};

/// Times that tests make short.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// Between two looks at the platform.
    pub look_every: Duration,
    /// Between two looks at what is asked of the run; and the shortest time between two looks at the
    /// platform, where something waits for them.
    pub ask_every: Duration,
    /// How long what was taken back may take to be up, where no phase says.
    pub restored_within: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            look_every: Duration::from_secs(2),
            ask_every: Duration::from_millis(250),
            restored_within: Duration::from_secs(300),
        }
    }
}

/// What a driver works with.
#[derive(Clone)]
pub struct Engine {
    pub journal: Arc<Journal>,
    pub runtime: Arc<dyn Runtime>,
    pub look: Look,
    /// Where dumps of databases are kept.
    pub backups: PathBuf,
    /// So many of each database stay.
    pub backups_kept: usize,
    pub lease: Leased,
    pub tuning: Tuning,
}

/// The lease that a driver holds.
#[derive(Clone)]
pub struct Leased {
    /// Whether it still does.
    pub is_held: Arc<dyn Fn() -> bool + Send + Sync>,
    /// From whom it was taken over, in words.
    pub taken_from: Option<String>,
}

/// How driving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driven {
    /// The run is over.
    Over,
    /// A person decides.
    Waits,
    /// A signal came.
    Stopped,
    /// An earlier driver was lost, and nobody has decided what becomes of the run.
    NotDecided,
    /// Another driver took the run over, while this one gave no sign of life.
    LostLease,
}

/// Why driving broke off.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("what an earlier driver had at work could not be ended: {0}")]
    Leftovers(crate::runtime::Problem),
    /// A plan is for one machine or cluster.
    #[error("the run is for {planned}, this is {found}")]
    OtherTarget { planned: String, found: String },
}

impl Engine {
    /// Drives a run until it is over or a person has to decide. The caller holds its lease.
    pub async fn drive(
        &self,
        run: i64,
        own: RunningCommand,
        shutdown: &CancellationToken,
    ) -> Result<Driven, DriveError> {
        let book = Book::open(Arc::clone(&self.journal), run)?;
        if book.state().status.is_over() {
            return Ok(Driven::Over);
        }
        let is_lost = {
            let state = book.state();
            state.status.is_active() && state.driver.is_some() && !state.is_released
        };
        if is_lost && book.asked()?.is_empty() {
            return Ok(Driven::NotDecided);
        }
        // Before anything is looked at: what an earlier driver had at work must not go on.
        let leftovers = book.state().commands.clone();
        self.runtime
            .end_commands(&leftovers)
            .await
            .map_err(DriveError::Leftovers)?;
        if let Ok(found) = self.runtime.target().await
            && found != book.plan.target
        {
            return Err(DriveError::OtherTarget {
                planned: book.plan.target.clone(),
                found,
            });
        }
        book.write(Event::Driving {
            process: own,
            version: env!("CARGO_PKG_VERSION").into(),
        })?;
        if let Some(text) = self.lease.taken_from.clone() {
            book.write(Event::Note { text })?;
        }
        let watching = Watching::new(&book, self.tuning);
        let act = Act {
            engine: self,
            book: &book,
            watching: &watching,
            shutdown,
        };
        let driven = tokio::select! {
            driven = self.steps(&act) => driven,
            never = watching.run(&self.look) => match never {},
        };
        let driven = match driven {
            // What the one writes that has the lease now is in the way of what this one would write.
            Err(DriveError::Journal(JournalError::Conflict { .. })) if !(self.lease.is_held)() => {
                Driven::LostLease
            }
            driven => driven?,
        };
        if driven == Driven::Over {
            ways_back::release_old(self, &book.plan.target).await;
        }
        Ok(driven)
    }

    async fn steps(&self, act: &Act<'_>) -> Result<Driven, DriveError> {
        let book = act.book;
        loop {
            if !(self.lease.is_held)() {
                return Ok(Driven::LostLease);
            }
            for request in book.asked()? {
                requests::take(book, &request)?;
            }
            if act.shutdown.is_cancelled() {
                if book.state().status.is_active() {
                    book.write(Event::Note {
                        text: "the driver was asked to end".into(),
                    })?;
                }
                return Ok(Driven::Stopped);
            }
            if let Some(reason) = act.watching.fired()
                && book.state().status == super::Status::Running
                && book.state().failure.is_none()
            {
                book.write(Event::Triggered { reason })?;
                continue;
            }
            let action = next::next(&book.plan, book.run, &book.state());
            match action {
                None => return Ok(Driven::Over),
                Some(Action::Wait(_)) => return Ok(Driven::Waits),
                Some(action) => act.perform(action).await?,
            }
        }
    }
}
