//! What was done to services beside runs: written before it is done, and what came of it after.

use rusqlite::params;

use super::{Journal, JournalError};
use crate::store::history::Millis;

/// Kept in this number.
const KEPT: i64 = 500;

/// Something that is about to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intervention {
    pub target: String,
    pub at: Millis,
    /// `stop`.
    pub what: String,
    pub by: String,
    pub reason: Option<String>,
    pub services: Vec<String>,
    /// What came of it, in words; none: nobody wrote it.
    pub outcome: Option<String>,
}

impl Journal {
    /// Writes down what is about to be done, and gives its number.
    pub fn intervene(&self, one: &Intervention) -> Result<i64, JournalError> {
        let services = serde_json::to_string(&one.services)?;
        let connection = self.connection()?;
        connection.execute(
            "INSERT INTO intervention (target, at, what, asked_by, reason, services)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![one.target, one.at, one.what, one.by, one.reason, services],
        )?;
        let id = connection.last_insert_rowid();
        connection.execute("DELETE FROM intervention WHERE id <= ?1", [id - KEPT])?;
        Ok(id)
    }

    /// Writes down what came of it.
    pub fn intervened(&self, id: i64, outcome: &str) -> Result<(), JournalError> {
        self.connection()?.execute(
            "UPDATE intervention SET outcome = ?2 WHERE id = ?1",
            params![id, outcome],
        )?;
        Ok(())
    }

    /// Those between two moments, newest first.
    pub fn interventions(
        &self,
        since: Millis,
        until: Millis,
    ) -> Result<Vec<Intervention>, JournalError> {
        let connection = self.connection()?;
        let mut select = connection.prepare_cached(
            "SELECT target, at, what, asked_by, reason, services, outcome FROM intervention
             WHERE at >= ?1 AND at <= ?2 ORDER BY id DESC",
        )?;
        let rows = select.query_map([since, until], |row| {
            let services: String = row.get(5)?;
            Ok(Intervention {
                target: row.get(0)?,
                at: row.get(1)?,
                what: row.get(2)?,
                by: row.get(3)?,
                reason: row.get(4)?,
                services: serde_json::from_str(&services).unwrap_or_default(),
                outcome: row.get(6)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_found_with_what_came_of_it() {
        let journal = Journal::in_memory().expect("a journal");
        let mut one = Intervention {
            target: "here".into(),
            at: 10,
            what: "stop".into(),
            by: "ada".into(),
            reason: None,
            services: vec!["kibana".into()],
            outcome: None,
        };
        let id = journal.intervene(&one).expect("written");
        assert_eq!(journal.interventions(10, 10).expect("read"), [one.clone()]);
        journal.intervened(id, "stopped").expect("written");
        one.outcome = Some("stopped".into());
        assert_eq!(journal.interventions(0, 99).expect("read"), [one]);
        assert!(journal.interventions(11, 99).expect("read").is_empty());
    }
}
