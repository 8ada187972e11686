//! Lets go of what was kept for ways back that are too old to be gone.

use super::{
    book::{self, BookError},
    engine::Engine,
};
use crate::{
    runtime::{Before, Problem},
    store::{Journal, JournalError, journal::RunRow},
};

/// So many runs of a target, newest first, can be taken back with everything that they need.
const KEPT: usize = 10;
/// Of older runs so many are looked at: those before them were let go of when they became old.
const LOOKED_AT: usize = 5;

/// Lets go of what only runs need that are older than the newest ten of this target. Where that
/// fails nothing is lost: more is kept than is needed.
pub(super) async fn release_old(engine: &Engine, target: &str) {
    let released = match no_longer_wanted(&engine.journal, target) {
        Ok((old, still)) => engine.runtime.release(&old, &still).await,
        Err(error) => Err(Problem::failed("reading what older runs need", error)),
    };
    if let Err(problem) = released {
        tracing::warn!(%problem, "What older runs kept was not let go of");
    }
}

/// Whether what a run kept is still wanted: it is not over, or one of the newest of its target. Where
/// that cannot be told it is.
pub(super) fn is_wanted(journal: &Journal, run: i64) -> bool {
    let looked = || -> Result<bool, JournalError> {
        let Some(row) = journal.run(run)? else {
            return Ok(false);
        };
        let (rows, _) = journal.runs(&row.target, None, KEPT)?;
        Ok(row.is_open || rows.iter().any(|one| one.id == run))
    };
    looked().unwrap_or(true)
}

/// What only old runs need, and what newer ones do.
fn no_longer_wanted(
    journal: &Journal,
    target: &str,
) -> Result<(Vec<Before>, Vec<Before>), BookError> {
    let (rows, _) = journal.runs(target, None, KEPT + LOOKED_AT)?;
    if rows.len() <= KEPT {
        return Ok(Default::default());
    }
    let (kept, old) = rows.split_at(KEPT);
    let of = |rows: &[RunRow]| -> Result<Vec<Before>, BookError> {
        let mut all = Vec::new();
        for row in rows {
            all.extend(needed(journal, row.id)?);
        }
        Ok(all)
    };
    Ok((of(old)?, of(kept)?))
}

/// What leads back to before a run.
fn needed(journal: &Journal, run: i64) -> Result<Vec<Before>, BookError> {
    let reading = book::read(journal, run)?;
    let touched = reading.state.touched.into_iter().map(|one| one.before);
    let restores = reading.plan.restores.iter().map(|one| one.before.clone());
    Ok(touched.chain(restores).collect())
}
