//! The journal of deployments: plans, runs, what happened in them, what is asked of them.
//!
//! One SQLite file with `synchronous = full`: what was written before an action is there after a
//! power cut. It may hold secrets of the services and is readable by its owner alone. Times are
//! milliseconds since 1970; bodies are JSON that `deploy` knows.

pub mod interventions;
mod requests;
mod runs;
mod tables;

use std::{collections::BTreeMap, path::Path, sync::MutexGuard, time::Duration};

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

pub use interventions::Intervention;
pub use requests::{Approval, Request};
pub use runs::RunRow;

use super::{
    filesystem,
    history::Millis,
    private,
    sqlite::{Durability, Fault, Shared},
};

/// How long it is waited for another process when the file is opened.
const BUSY_AT_FIRST: Duration = Duration::from_secs(5);
/// Runs that are over are kept in this number, and what belongs to them.
const RUNS_KEPT: i64 = 500;
/// Plans that were never run are kept for this long after they expired.
const PLANS_KEPT: Millis = 24 * 3_600_000;

/// An open journal.
pub struct Journal(Shared);

/// Why the journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("the journal {0}")]
    Fault(Fault),
    /// Somebody else wrote to the run meanwhile.
    #[error("run {run} was written to by another driver: it has {found} entries, not {expected}")]
    Conflict { run: i64, expected: i64, found: i64 },
}

impl<E: Into<Fault>> From<E> for JournalError {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

/// A plan as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRow {
    pub id: i64,
    pub digest: String,
    pub body: String,
    /// The run that used it.
    pub run: Option<i64>,
}

/// What beginning a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    New(i64),
    /// The plan was used before, by this run.
    Same(i64),
    /// Another run on the same target is not over.
    Other(i64),
}

/// What a run left of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    pub run: i64,
    pub at: Millis,
    pub live: Option<String>,
    pub image: Option<String>,
}

/// An entry to write.
#[derive(Debug, Clone)]
pub struct Append<'a> {
    pub run: i64,
    /// The number of the entry before; another number there is a conflict.
    pub after: i64,
    pub at: Millis,
    pub body: &'a str,
    /// What the run is with it.
    pub state: &'a str,
    pub is_open: bool,
    /// What it leaves of services.
    pub left: &'a [(String, Left)],
}

impl Journal {
    /// Opens or makes the file.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        // Before anything is in it. On a network file system it is not made.
        if path.parent().and_then(filesystem::network_of).is_none() {
            private::file_to_append(path).map_err(|error| Fault::Unwritable(error.to_string()))?;
        }
        Ok(Self(Shared::open(
            path,
            Durability::Full,
            &tables::TABLES,
            BUSY_AT_FIRST,
        )?))
    }

    /// One that ends with the process.
    pub fn in_memory() -> Result<Self, JournalError> {
        Ok(Self(Shared::in_memory(&tables::TABLES)?))
    }

    fn connection(&self) -> Result<MutexGuard<'_, Connection>, JournalError> {
        Ok(self.0.connection()?)
    }

    /// Keeps a plan; `write` gets its number and answers digest and body.
    pub fn add_plan(
        &self,
        target: &str,
        expires: Millis,
        now: Millis,
        write: impl FnOnce(i64) -> Result<(String, String), serde_json::Error>,
    ) -> Result<i64, JournalError> {
        let mut connection = self.connection()?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            "DELETE FROM plan WHERE run IS NULL AND expires < ?1",
            [now - PLANS_KEPT],
        )?;
        transaction.execute(
            "INSERT INTO plan (target, digest, expires, body) VALUES (?1, '', ?2, '')",
            params![target, expires],
        )?;
        let id = transaction.last_insert_rowid();
        let (digest, body) = write(id)?;
        transaction.execute(
            "UPDATE plan SET digest = ?2, body = ?3 WHERE id = ?1",
            params![id, digest, body],
        )?;
        transaction.commit()?;
        Ok(id)
    }

    pub fn plan(&self, id: i64) -> Result<Option<PlanRow>, JournalError> {
        let connection = self.connection()?;
        let row = connection
            .query_row(
                "SELECT id, digest, body, run FROM plan WHERE id = ?1",
                [id],
                |row| {
                    Ok(PlanRow {
                        id: row.get(0)?,
                        digest: row.get(1)?,
                        body: row.get(2)?,
                        run: row.get(3)?,
                    })
                },
            )
            .optional()?;
        Ok(row)
    }

    /// Begins a run with its first entry, unless the plan was used or another run is not over.
    pub fn begin(
        &self,
        plan: i64,
        target: &str,
        now: Millis,
        body: &str,
        state: &str,
    ) -> Result<Begun, JournalError> {
        let mut connection = self.connection()?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let used: Option<i64> =
            transaction.query_row("SELECT run FROM plan WHERE id = ?1", [plan], |row| {
                row.get(0)
            })?;
        if let Some(run) = used {
            return Ok(Begun::Same(run));
        }
        let other: Option<i64> = transaction
            .query_row(
                "SELECT id FROM run WHERE target = ?1 AND is_open",
                [target],
                |row| row.get(0),
            )
            .optional()?;
        if let Some(run) = other {
            return Ok(Begun::Other(run));
        }
        transaction.execute(
            "INSERT INTO run (plan, target, state, is_open, created, updated)
             VALUES (?1, ?2, ?3, 1, ?4, ?4)",
            params![plan, target, state, now],
        )?;
        let run = transaction.last_insert_rowid();
        transaction.execute(
            "INSERT INTO event (run, seq, at, body) VALUES (?1, 1, ?2, ?3)",
            params![run, now, body],
        )?;
        transaction.execute("UPDATE plan SET run = ?2 WHERE id = ?1", params![plan, run])?;
        forget(&transaction)?;
        transaction.commit()?;
        Ok(Begun::New(run))
    }

    /// Writes an entry; it is on the disk when this answers.
    pub fn append(&self, entry: &Append<'_>) -> Result<(), JournalError> {
        let mut connection = self.connection()?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found: i64 = transaction.query_row(
            "SELECT coalesce(max(seq), 0) FROM event WHERE run = ?1",
            [entry.run],
            |row| row.get(0),
        )?;
        if found != entry.after {
            return Err(JournalError::Conflict {
                run: entry.run,
                expected: entry.after,
                found,
            });
        }
        transaction.execute(
            "INSERT INTO event (run, seq, at, body) VALUES (?1, ?2, ?3, ?4)",
            params![entry.run, entry.after + 1, entry.at, entry.body],
        )?;
        let (target,): (String,) = transaction.query_row(
            "UPDATE run SET state = ?2, is_open = ?3, updated = ?4 WHERE id = ?1 RETURNING target",
            params![entry.run, entry.state, entry.is_open, entry.at],
            |row| Ok((row.get(0)?,)),
        )?;
        for (service, left) in entry.left {
            transaction.execute(
                "INSERT OR REPLACE INTO left_by (target, service, run, at, live, image)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![target, service, left.run, left.at, left.live, left.image],
            )?;
        }
        Ok(transaction.commit()?)
    }

    /// Puts what the driver of a run sees now in the place of what it saw before.
    pub fn show(&self, run: i64, at: Millis, body: &str) -> Result<(), JournalError> {
        self.connection()?.execute(
            "INSERT OR REPLACE INTO progress (run, at, body) VALUES (?1, ?2, ?3)",
            params![run, at, body],
        )?;
        Ok(())
    }

    /// What the driver of a run saw last.
    pub fn shown(&self, run: i64) -> Result<Option<String>, JournalError> {
        let connection = self.connection()?;
        let body = connection
            .query_row("SELECT body FROM progress WHERE run = ?1", [run], |row| {
                row.get(0)
            })
            .optional()?;
        Ok(body)
    }

    /// What runs left of the services of a target.
    pub fn left(&self, target: &str) -> Result<BTreeMap<String, Left>, JournalError> {
        let connection = self.connection()?;
        let mut select = connection.prepare_cached(
            "SELECT service, run, at, live, image FROM left_by WHERE target = ?1",
        )?;
        let rows = select.query_map([target], |row| {
            Ok((
                row.get(0)?,
                Left {
                    run: row.get(1)?,
                    at: row.get(2)?,
                    live: row.get(3)?,
                    image: row.get(4)?,
                },
            ))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Which environment a target was the first time; a later word does not lower it.
    pub fn environment(&self, target: &str, now_said: &str) -> Result<String, JournalError> {
        let connection = self.connection()?;
        connection.execute(
            "INSERT INTO target (name, environment) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET environment = excluded.environment
             WHERE excluded.environment = 'production'",
            params![target, now_said],
        )?;
        Ok(connection.query_row(
            "SELECT environment FROM target WHERE name = ?1",
            [target],
            |row| row.get(0),
        )?)
    }
}

/// Of runs that are over the oldest go, with their plans.
fn forget(connection: &Connection) -> Result<(), JournalError> {
    let oldest: Option<i64> = connection
        .query_row(
            "SELECT id FROM run ORDER BY id DESC LIMIT 1 OFFSET ?1",
            [RUNS_KEPT],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(oldest) = oldest {
        for statement in [
            "DELETE FROM event WHERE run IN (SELECT id FROM run WHERE id <= ?1 AND NOT is_open)",
            "DELETE FROM progress WHERE run <= ?1",
            "DELETE FROM plan WHERE run IN (SELECT id FROM run WHERE id <= ?1 AND NOT is_open)",
            "DELETE FROM run WHERE id <= ?1 AND NOT is_open",
        ] {
            connection.execute(statement, [oldest])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> (Journal, i64) {
        let journal = Journal::in_memory().expect("a journal");
        let plan = journal.add_plan("here", 10, 0, |id| Ok((format!("{id}-a"), "{}".into())));
        let plan = plan.expect("a plan");
        (journal, plan)
    }

    fn entry(run: i64, after: i64) -> Append<'static> {
        Append {
            run,
            after,
            at: 1,
            body: "{}",
            state: "running",
            is_open: true,
            left: &[],
        }
    }

    #[test]
    fn a_plan_is_used_once_and_a_target_has_one_run_at_a_time() {
        let (journal, plan) = journal();
        let begin = |plan| {
            journal
                .begin(plan, "here", 0, "{}", "running")
                .expect("a run")
        };
        let Begun::New(run) = begin(plan) else {
            panic!("the first run");
        };
        assert_eq!(begin(plan), Begun::Same(run));
        let next = journal.add_plan("here", 10, 0, |_| Ok((String::new(), String::new())));
        let next = next.expect("a plan");
        assert_eq!(begin(next), Begun::Other(run));
        let over = Append {
            is_open: false,
            state: "succeeded",
            ..entry(run, 1)
        };
        journal.append(&over).expect("written");
        assert!(matches!(begin(next), Begun::New(_)));
        assert_eq!(begin(plan), Begun::Same(run), "also when it is over");
    }

    #[test]
    fn who_writes_after_another_is_refused() {
        let (journal, plan) = journal();
        let Ok(Begun::New(run)) = journal.begin(plan, "here", 0, "{}", "running") else {
            panic!("a run");
        };
        journal.append(&entry(run, 1)).expect("written");
        let refused = journal.append(&entry(run, 1)).expect_err("a conflict");
        assert!(matches!(refused, JournalError::Conflict { found: 2, .. }));
        assert_eq!(journal.entries(run, 0).expect("entries").len(), 2);
    }

    #[test]
    fn production_is_not_lowered_by_another_word() {
        let (journal, _) = journal();
        let said = |word| journal.environment("here", word).expect("an environment");
        assert_eq!(said("development"), "development");
        assert_eq!(said("production"), "production");
        assert_eq!(said("development"), "production");
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.sqlite");
        Journal::open(&path).expect("a journal");
        let mode = std::fs::metadata(&path).expect("it").permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
