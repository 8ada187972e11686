//! What is asked of runs: written by whoever asks, taken by the driver.

use rusqlite::{TransactionBehavior, params};

use super::{Journal, JournalError};
use crate::store::history::Millis;

/// Something that was asked of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub id: i64,
    pub verb: String,
    pub by: String,
    pub reason: Option<String>,
    pub approval: Option<Approval>,
}

/// What an approval was given to, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The entry that asked for it.
    pub question: i64,
    /// As `Way::as_str` writes it.
    pub way: String,
}

impl Journal {
    /// Asks something of a run; its driver takes it.
    pub fn ask(
        &self,
        run: i64,
        now: Millis,
        verb: &str,
        by: &str,
        reason: Option<&str>,
    ) -> Result<i64, JournalError> {
        self.ask_of(run, now, verb, by, reason, None)
    }

    /// The same, with what an approval was given to.
    pub fn ask_of(
        &self,
        run: i64,
        now: Millis,
        verb: &str,
        by: &str,
        reason: Option<&str>,
        approval: Option<&Approval>,
    ) -> Result<i64, JournalError> {
        let mut connection = self.connection()?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            "INSERT INTO request (run, at, verb, asked_by, reason) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![run, now, verb, by, reason],
        )?;
        let request = transaction.last_insert_rowid();
        if let Some(approval) = approval {
            transaction.execute(
                "INSERT OR REPLACE INTO approval (request, question, way) VALUES (?1, ?2, ?3)",
                params![request, approval.question, approval.way],
            )?;
        }
        transaction.commit()?;
        Ok(request)
    }

    /// What is asked of a run and was not taken yet, oldest first.
    pub fn asked(&self, run: i64) -> Result<Vec<Request>, JournalError> {
        let connection = self.connection()?;
        let mut select = connection.prepare_cached(
            "SELECT id, verb, asked_by, reason, question, way
             FROM request LEFT JOIN approval ON approval.request = request.id
             WHERE run = ?1 AND NOT is_taken ORDER BY id",
        )?;
        let rows = select.query_map([run], |row| {
            let approval = match (row.get(4)?, row.get(5)?) {
                (Some(question), Some(way)) => Some(Approval { question, way }),
                _ => None,
            };
            Ok(Request {
                approval,
                id: row.get(0)?,
                verb: row.get(1)?,
                by: row.get(2)?,
                reason: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub fn take(&self, request: i64) -> Result<(), JournalError> {
        self.connection()?
            .execute("UPDATE request SET is_taken = 1 WHERE id = ?1", [request])?;
        Ok(())
    }
}
