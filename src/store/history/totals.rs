//! How long a service was what, and how fast it answered: counts in buckets of time.
//!
//! Buckets are 5 minutes wide, and an hour once they are two days old. Response times are counted
//! in bins that grow by a tenth, so that a percentile is right within a twentieth.

use std::{collections::BTreeMap, time::Duration};

use rusqlite::{Connection, Transaction, params};

use super::{HistoryError, Look, Millis, Span};

const BUCKET: Millis = 5 * 60_000;
const HOUR: Millis = 3_600_000;
/// How long buckets stay fine.
const FINE: Millis = 48 * HOUR;
/// The longest window that is asked for, and a little.
const KEPT: Millis = 31 * 24 * HOUR;
const BIN_GROWTH: f64 = 1.1;

/// What a service was within a window.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    pub up: Duration,
    pub degraded: Duration,
    pub starting: Duration,
    pub down: Duration,
    pub blocked: Duration,
    pub looks: u64,
    pub failed: u64,
    /// Answers by bin.
    responses: BTreeMap<i64, u64>,
}

impl Totals {
    /// How long it was observed.
    pub fn observed(&self) -> Duration {
        self.up + self.degraded + self.starting + self.down + self.blocked
    }

    /// Share of the observed time in which it did its work, 0 to 1; none where it was not
    /// observed. Degraded counts as working, starting and blocked do not.
    pub fn uptime(&self) -> Option<f64> {
        let observed = self.observed().as_secs_f64();
        (observed > 0.0).then(|| (self.up + self.degraded).as_secs_f64() / observed)
    }

    /// Share of failed looks, 0 to 1.
    pub fn failed_share(&self) -> Option<f64> {
        (self.looks > 0).then(|| self.failed as f64 / self.looks as f64)
    }

    /// Answers whose time is known.
    pub fn answers(&self) -> u64 {
        self.responses.values().sum()
    }

    /// The time within which this share (0 to 1) of the answers came.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let rank = (self.answers() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        self.responses.iter().find_map(|(bin, count)| {
            seen += count;
            (seen >= rank).then(|| time_of(*bin))
        })
    }

    /// Mean of the answers' times.
    pub fn mean(&self) -> Option<Duration> {
        let count = self.answers();
        let sum: f64 = self
            .responses
            .iter()
            .map(|(bin, count)| time_of(*bin).as_secs_f64() * *count as f64)
            .sum();
        (count > 0).then(|| Duration::from_secs_f64(sum / count as f64))
    }

    /// Two windows, or two services, as one.
    pub fn add(&mut self, other: &Totals) {
        self.up += other.up;
        self.degraded += other.degraded;
        self.starting += other.starting;
        self.down += other.down;
        self.blocked += other.blocked;
        self.looks += other.looks;
        self.failed += other.failed;
        for (bin, count) in &other.responses {
            *self.responses.entry(*bin).or_default() += count;
        }
    }
}

fn bin_of(microseconds: u64) -> i64 {
    ((microseconds.max(1) as f64).ln() / BIN_GROWTH.ln()).floor() as i64
}

/// The middle of a bin.
fn time_of(bin: i64) -> Duration {
    Duration::from_secs_f64(BIN_GROWTH.powf(bin as f64 + 0.5) / 1e6)
}

fn bucket_of(at: Millis) -> Millis {
    at - at.rem_euclid(BUCKET)
}

/// Counts a span into the buckets that it touches.
pub(super) fn add_span(transaction: &Transaction<'_>, span: &Span) -> Result<(), HistoryError> {
    let column = match span.verdict.as_str() {
        "up" => "up_ms",
        "degraded" => "degraded_ms",
        "starting" => "starting_ms",
        "down" => "down_ms",
        "blocked" => "blocked_ms",
        // Not observed.
        _ => return Ok(()),
    };
    let mut add = transaction.prepare_cached(&format!(
        "INSERT INTO span (service, start, {column}) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET {column} = {column} + excluded.{column}"
    ))?;
    let mut from = span.from;
    while from < span.until {
        let start = bucket_of(from);
        let until = span.until.min(start + BUCKET);
        add.execute(params![span.service, start, until - from])?;
        from = until;
    }
    Ok(())
}

/// Counts one look.
pub(super) fn add_look(transaction: &Transaction<'_>, look: &Look) -> Result<(), HistoryError> {
    let start = bucket_of(look.at);
    if let Some(has_passed) = look.has_passed {
        transaction
            .prepare_cached(
                "INSERT INTO span (service, start, looks, failed) VALUES (?1, ?2, 1, ?3)
                 ON CONFLICT DO UPDATE SET looks = looks + 1, failed = failed + excluded.failed",
            )?
            .execute(params![look.service, start, !has_passed])?;
    }
    if let Some(response) = look.response_us {
        transaction
            .prepare_cached(
                "INSERT INTO response (service, start, bin, count) VALUES (?1, ?2, ?3, 1)
                 ON CONFLICT DO UPDATE SET count = count + 1",
            )?
            .execute(params![look.service, start, bin_of(response)])?;
    }
    Ok(())
}

/// Sums since a time, by service.
pub(super) fn since(
    connection: &Connection,
    service: Option<&str>,
    since: Millis,
) -> Result<BTreeMap<String, Totals>, HistoryError> {
    let since = bucket_of(since);
    let mut all: BTreeMap<String, Totals> = BTreeMap::new();
    let mut select = connection.prepare_cached(
        "SELECT service, sum(up_ms), sum(degraded_ms), sum(starting_ms), sum(down_ms),
                sum(blocked_ms), sum(looks), sum(failed)
         FROM span WHERE start >= ?1 AND (?2 IS NULL OR service = ?2) GROUP BY service",
    )?;
    let mut rows = select.query(params![since, service])?;
    while let Some(row) = rows.next()? {
        let count = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
        let time = |column| count(column).map(Duration::from_millis);
        all.insert(
            row.get(0)?,
            Totals {
                up: time(1)?,
                degraded: time(2)?,
                starting: time(3)?,
                down: time(4)?,
                blocked: time(5)?,
                looks: count(6)?,
                failed: count(7)?,
                responses: BTreeMap::new(),
            },
        );
    }
    let mut select = connection.prepare_cached(
        "SELECT service, bin, sum(count) FROM response
         WHERE start >= ?1 AND (?2 IS NULL OR service = ?2) GROUP BY service, bin",
    )?;
    let mut rows = select.query(params![since, service])?;
    while let Some(row) = rows.next()? {
        let totals = all.entry(row.get(0)?).or_default();
        let count: i64 = row.get(2)?;
        totals.responses.insert(row.get(1)?, count.unsigned_abs());
    }
    Ok(all)
}

/// Makes old buckets an hour wide, and drops those that nobody asks for any more.
pub(super) fn compact(transaction: &Transaction<'_>, now: Millis) -> Result<(), HistoryError> {
    for table in ["span", "response"] {
        transaction
            .prepare_cached(&format!("DELETE FROM {table} WHERE start < ?1"))?
            .execute([now - KEPT])?;
    }
    // Whole hours only, so that each bucket is moved once.
    let border = now - FINE;
    let border = border - border.rem_euclid(HOUR);
    let is_due = transaction
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM span WHERE start < ?1 AND start % ?2 <> 0)")?
        .query_row([border, HOUR], |row| row.get::<_, bool>(0))?;
    if !is_due {
        return Ok(());
    }
    transaction.execute(
        "INSERT INTO span (service, start, up_ms, degraded_ms, starting_ms, down_ms, blocked_ms,
                looks, failed)
         SELECT service, start - start % ?2, sum(up_ms), sum(degraded_ms), sum(starting_ms),
                sum(down_ms), sum(blocked_ms), sum(looks), sum(failed)
         FROM span WHERE start < ?1 AND start % ?2 <> 0 GROUP BY 1, 2
         ON CONFLICT DO UPDATE SET up_ms = up_ms + excluded.up_ms,
            degraded_ms = degraded_ms + excluded.degraded_ms,
            starting_ms = starting_ms + excluded.starting_ms, down_ms = down_ms + excluded.down_ms,
            blocked_ms = blocked_ms + excluded.blocked_ms, looks = looks + excluded.looks,
            failed = failed + excluded.failed",
        [border, HOUR],
    )?;
    transaction.execute(
        "INSERT INTO response (service, start, bin, count)
         SELECT service, start - start % ?2, bin, sum(count)
         FROM response WHERE start < ?1 AND start % ?2 <> 0 GROUP BY 1, 2, 3
         ON CONFLICT DO UPDATE SET count = count + excluded.count",
        [border, HOUR],
    )?;
    for table in ["span", "response"] {
        transaction.execute(
            &format!("DELETE FROM {table} WHERE start < ?1 AND start % ?2 <> 0"),
            [border, HOUR],
        )?;
    }
    Ok(())
}
