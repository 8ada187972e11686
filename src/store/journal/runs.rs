//! Runs and their entries, as they are read.

use rusqlite::{OptionalExtension as _, params};

use super::{Journal, JournalError};
use crate::store::history::Millis;

const RUN: &str = "id, plan, target, state, is_open, created, updated";

/// A run as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    pub id: i64,
    pub plan: i64,
    pub target: String,
    /// As `Status::as_str` writes it.
    pub state: String,
    pub is_open: bool,
    pub created: Millis,
    pub updated: Millis,
}

impl Journal {
    pub fn run(&self, id: i64) -> Result<Option<RunRow>, JournalError> {
        let connection = self.connection()?;
        let row = connection
            .query_row(
                &format!("SELECT {RUN} FROM run WHERE id = ?1"),
                [id],
                run_row,
            )
            .optional()?;
        Ok(row)
    }

    /// The run on this target that is not over.
    pub fn open_run(&self, target: &str) -> Result<Option<RunRow>, JournalError> {
        let connection = self.connection()?;
        let row = connection
            .query_row(
                &format!("SELECT {RUN} FROM run WHERE target = ?1 AND is_open"),
                [target],
                run_row,
            )
            .optional()?;
        Ok(row)
    }

    /// Runs on a target, newest first, from a number down; and how many there are in all.
    pub fn runs(
        &self,
        target: &str,
        until: Option<i64>,
        most: usize,
    ) -> Result<(Vec<RunRow>, u64), JournalError> {
        let connection = self.connection()?;
        let total: i64 = connection.query_row(
            "SELECT count(*) FROM run WHERE target = ?1",
            [target],
            |row| row.get(0),
        )?;
        let mut select = connection.prepare_cached(&format!(
            "SELECT {RUN} FROM run WHERE target = ?1 AND id <= ?2 ORDER BY id DESC LIMIT ?3"
        ))?;
        let rows = select.query_map(
            params![
                target,
                until.unwrap_or(i64::MAX),
                i64::try_from(most).unwrap_or(i64::MAX)
            ],
            run_row,
        )?;
        Ok((rows.collect::<Result<_, _>>()?, total.unsigned_abs()))
    }

    /// Runs on any target that were at work between two moments, newest first; and how many there
    /// are in all.
    pub fn runs_between(
        &self,
        since: Millis,
        until: Millis,
        most: usize,
    ) -> Result<(Vec<RunRow>, u64), JournalError> {
        const BETWEEN: &str = "FROM run WHERE updated >= ?1 AND created <= ?2";
        let connection = self.connection()?;
        let total: i64 = connection.query_row(
            &format!("SELECT count(*) {BETWEEN}"),
            [since, until],
            |row| row.get(0),
        )?;
        let mut select = connection
            .prepare_cached(&format!("SELECT {RUN} {BETWEEN} ORDER BY id DESC LIMIT ?3"))?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = select.query_map(params![since, until, most], run_row)?;
        Ok((rows.collect::<Result<_, _>>()?, total.unsigned_abs()))
    }

    /// Entries of a run after a number: number, time, body.
    pub fn entries(
        &self,
        run: i64,
        after: i64,
    ) -> Result<Vec<(i64, Millis, String)>, JournalError> {
        let connection = self.connection()?;
        let mut select = connection.prepare_cached(
            "SELECT seq, at, body FROM event WHERE run = ?1 AND seq > ?2 ORDER BY seq",
        )?;
        let rows = select.query_map([run, after], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The number of the last entry of a run.
    pub fn last_entry(&self, run: i64) -> Result<i64, JournalError> {
        Ok(self.connection()?.query_row(
            "SELECT coalesce(max(seq), 0) FROM event WHERE run = ?1",
            [run],
            |row| row.get(0),
        )?)
    }
}

fn run_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        id: row.get(0)?,
        plan: row.get(1)?,
        target: row.get(2)?,
        state: row.get(3)?,
        is_open: row.get(4)?,
        created: row.get(5)?,
        updated: row.get(6)?,
    })
}
