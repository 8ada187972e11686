//! The history of a platform's health: what each service was last, what changed, how long it was
//! what, how fast it answered.
//!
//! One SQLite file, which several processes may write: every change is one transaction that reads
//! what is there first. Times are milliseconds since 1970.

mod tables;
mod totals;

use std::{collections::BTreeMap, path::Path, sync::MutexGuard, time::Duration};

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::sqlite::{Durability, Fault, Shared};

pub use totals::Totals;

/// Milliseconds since 1970.
pub type Millis = i64;

/// How long it is waited for another process when the file is opened: it is tried again later.
const BUSY_AT_FIRST: Duration = Duration::from_millis(500);

/// Transitions and resolved alerts are kept for this long.
const KEPT: Millis = 90 * 24 * 3_600_000;

/// An open history.
pub struct History {
    shared: Shared,
    is_kept: bool,
}

/// Why the history could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the health history {0}")]
pub struct HistoryError(pub Fault);

impl<E: Into<Fault>> From<E> for HistoryError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// What is remembered of one service between looks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServiceRecord {
    /// By itself, as `Verdict::as_str` writes it.
    pub own: String,
    /// With its dependencies.
    pub verdict: String,
    /// Who blocks it, sorted.
    pub blocked_by: Vec<String>,
    /// Since when `verdict` is what it is.
    pub since: Millis,
    pub failures: u32,
    pub passes: u32,
    pub has_passed: bool,
    /// Of the last look.
    pub looked_at: Millis,
    pub outcome: String,
    pub reason: Option<String>,
    pub response_us: Option<u64>,
    /// Of the last look, as JSON: a list of `[name, value]`.
    pub facts: String,
    /// When the service was started, where that is known.
    pub started_at: Option<Millis>,
}

/// One alert rule on one service (empty: on the platform).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlertRecord {
    /// `pending`, `firing` or `resolved`.
    pub state: String,
    /// When the condition began to hold, as far as it was observed.
    pub since: Millis,
    /// When `state` became what it is.
    pub changed_at: Millis,
    /// When the rule was last evaluated.
    pub seen_at: Millis,
    pub value: Option<f64>,
}

/// A service became something else.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    pub service: String,
    pub at: Millis,
    pub from: String,
    pub to: String,
    pub reason: Option<String>,
    pub blocked_by: Vec<String>,
}

/// A service was this for so long, up to a look.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub service: String,
    pub verdict: String,
    pub from: Millis,
    pub until: Millis,
}

/// One look, for the counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    pub service: String,
    pub at: Millis,
    /// None: it could not be looked, which counts for nothing.
    pub has_passed: Option<bool>,
    pub response_us: Option<u64>,
}

/// Everything that one change may read and write.
#[derive(Debug, Default)]
pub struct Records {
    pub services: BTreeMap<String, ServiceRecord>,
    /// By rule and service.
    pub alerts: BTreeMap<(String, String), AlertRecord>,
    /// New ones.
    pub transitions: Vec<Transition>,
    pub spans: Vec<Span>,
    pub looks: Vec<Look>,
}

impl History {
    /// Opens or makes the file.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        // A look lost in a power cut is no loss.
        let shared = Shared::open(path, Durability::Normal, &tables::TABLES, BUSY_AT_FIRST)?;
        Ok(Self {
            shared,
            is_kept: true,
        })
    }

    /// Whether a history that is there can be read and written; changes nothing in it. How much
    /// it holds: the services, and the time of the first look.
    pub fn examine(path: &Path) -> Result<(usize, Option<Millis>), HistoryError> {
        let history = Self::open(path)?;
        {
            let mut connection = history.connection()?;
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let sound: String =
                transaction.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
            if sound != "ok" {
                return Err(Fault::Damaged(sound).into());
            }
            transaction.rollback()?;
        }
        Ok((history.services()?.len(), history.begins()?))
    }

    /// A history that ends with the process, where no file can be kept.
    pub fn in_memory() -> Result<Self, HistoryError> {
        Ok(Self {
            shared: Shared::in_memory(&tables::TABLES)?,
            is_kept: false,
        })
    }

    /// Whether it outlives this process.
    pub fn is_kept(&self) -> bool {
        self.is_kept
    }

    fn connection(&self) -> Result<MutexGuard<'_, Connection>, HistoryError> {
        Ok(self.shared.connection()?)
    }

    /// What each service was at its last look.
    pub fn services(&self) -> Result<BTreeMap<String, ServiceRecord>, HistoryError> {
        services(&*self.connection()?)
    }

    /// Every alert that was ever pending and is not forgotten yet.
    pub fn alerts(&self) -> Result<BTreeMap<(String, String), AlertRecord>, HistoryError> {
        alerts(&*self.connection()?)
    }

    /// Reads everything, lets `change` alter it, and writes what it altered: all or nothing.
    pub fn update<T>(
        &self,
        now: Millis,
        change: impl FnOnce(&mut Records) -> T,
    ) -> Result<T, HistoryError> {
        let mut connection = self.connection()?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let before = Records {
            services: services(&transaction)?,
            alerts: alerts(&transaction)?,
            ..Records::default()
        };
        let mut records = Records {
            services: before.services.clone(),
            alerts: before.alerts.clone(),
            ..Records::default()
        };
        let result = change(&mut records);
        for (name, record) in &records.services {
            if before.services.get(name) != Some(record) {
                write_service(&transaction, name, record)?;
            }
        }
        for (key, record) in &records.alerts {
            if before.alerts.get(key) != Some(record) {
                write_alert(&transaction, key, record)?;
            }
        }
        for transition in &records.transitions {
            write_transition(&transaction, transition)?;
        }
        for span in &records.spans {
            totals::add_span(&transaction, span)?;
        }
        for look in &records.looks {
            totals::add_look(&transaction, look)?;
        }
        forget(&transaction, now)?;
        transaction.commit()?;
        Ok(result)
    }

    /// What became something else between two times, newest first; of one service or of all.
    /// The second number is how many there are in all.
    pub fn transitions(
        &self,
        service: Option<&str>,
        since: Millis,
        until: Millis,
        most: usize,
    ) -> Result<(Vec<Transition>, u64), HistoryError> {
        let connection = self.connection()?;
        let bounds = params![service, since, until];
        let total: i64 = connection
            .prepare_cached(
                "SELECT count(*) FROM transition
                 WHERE (?1 IS NULL OR service = ?1) AND at >= ?2 AND at <= ?3",
            )?
            .query_row(bounds, |row| row.get(0))?;
        let mut select = connection.prepare_cached(
            "SELECT service, at, verdict_before, verdict, reason, blocked_by FROM transition
             WHERE (?1 IS NULL OR service = ?1) AND at >= ?2 AND at <= ?3
             ORDER BY at DESC, id DESC LIMIT ?4",
        )?;
        let rows = select.query_map(params![service, since, until, most as i64], |row| {
            Ok(Transition {
                service: row.get(0)?,
                at: row.get(1)?,
                from: row.get(2)?,
                to: row.get(3)?,
                reason: row.get(4)?,
                blocked_by: names(&row.get::<_, String>(5)?),
            })
        })?;
        let found = rows.collect::<Result<_, _>>()?;
        Ok((found, total.unsigned_abs()))
    }

    /// What a service (or each, where none is named) was how long since a time.
    pub fn totals(
        &self,
        service: Option<&str>,
        since: Millis,
    ) -> Result<BTreeMap<String, Totals>, HistoryError> {
        totals::since(&*self.connection()?, service, since)
    }

    /// When the first look was made that is remembered.
    pub fn begins(&self) -> Result<Option<Millis>, HistoryError> {
        Ok(self
            .connection()?
            .query_row("SELECT min(start) FROM span", [], |row| row.get(0))
            .optional()?
            .flatten())
    }
}

fn services(connection: &Connection) -> Result<BTreeMap<String, ServiceRecord>, HistoryError> {
    let mut select = connection.prepare_cached(
        "SELECT service, own, verdict, blocked_by, since, failures, passes, has_passed, looked_at,
                outcome, reason, response_us, facts, started_at
         FROM service",
    )?;
    let rows = select.query_map([], |row| {
        Ok((
            row.get::<_, String>(0)?,
            ServiceRecord {
                own: row.get(1)?,
                verdict: row.get(2)?,
                blocked_by: names(&row.get::<_, String>(3)?),
                since: row.get(4)?,
                failures: row.get(5)?,
                passes: row.get(6)?,
                has_passed: row.get(7)?,
                looked_at: row.get(8)?,
                outcome: row.get(9)?,
                reason: row.get(10)?,
                response_us: row.get::<_, Option<i64>>(11)?.map(i64::unsigned_abs),
                facts: row.get(12)?,
                started_at: row.get(13)?,
            },
        ))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn alerts(
    connection: &Connection,
) -> Result<BTreeMap<(String, String), AlertRecord>, HistoryError> {
    let mut select = connection.prepare_cached(
        "SELECT rule, service, state, since, changed_at, seen_at, value FROM alert",
    )?;
    let rows = select.query_map([], |row| {
        Ok((
            (row.get(0)?, row.get(1)?),
            AlertRecord {
                state: row.get(2)?,
                since: row.get(3)?,
                changed_at: row.get(4)?,
                seen_at: row.get(5)?,
                value: row.get(6)?,
            },
        ))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn write_service(
    transaction: &Transaction<'_>,
    name: &str,
    record: &ServiceRecord,
) -> Result<(), HistoryError> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO service (service, own, verdict, blocked_by, since, failures,
                passes, has_passed, looked_at, outcome, reason, response_us, facts, started_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            name,
            record.own,
            record.verdict,
            record.blocked_by.join("\n"),
            record.since,
            record.failures,
            record.passes,
            record.has_passed,
            record.looked_at,
            record.outcome,
            record.reason,
            record.response_us.map(as_integer),
            record.facts,
            record.started_at,
        ])?;
    Ok(())
}

fn write_alert(
    transaction: &Transaction<'_>,
    (rule, service): &(String, String),
    record: &AlertRecord,
) -> Result<(), HistoryError> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO alert (rule, service, state, since, changed_at, seen_at, value)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            rule,
            service,
            record.state,
            record.since,
            record.changed_at,
            record.seen_at,
            record.value,
        ])?;
    Ok(())
}

fn write_transition(
    transaction: &Transaction<'_>,
    transition: &Transition,
) -> Result<(), HistoryError> {
    transaction
        .prepare_cached(
            "INSERT INTO transition (service, at, verdict_before, verdict, reason, blocked_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            transition.service,
            transition.at,
            transition.from,
            transition.to,
            transition.reason,
            transition.blocked_by.join("\n"),
        ])?;
    Ok(())
}

/// Drops what is older than anyone asks for; cheap where there is nothing to drop.
fn forget(transaction: &Transaction<'_>, now: Millis) -> Result<(), HistoryError> {
    transaction
        .prepare_cached("DELETE FROM transition WHERE at < ?1")?
        .execute([now - KEPT])?;
    transaction
        .prepare_cached("DELETE FROM alert WHERE state = 'resolved' AND changed_at < ?1")?
        .execute([now - KEPT])?;
    totals::compact(transaction, now)
}

/// Names never hold a line end: they are keys of a YAML file that were checked.
fn names(joined: &str) -> Vec<String> {
    joined
        .split('\n')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn as_integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
