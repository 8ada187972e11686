//! The tables of the history, and how an older file comes to have them.

use crate::store::sqlite::Tables;

/// Counts up with each migration; a file of a higher number is not opened.
pub const TABLES: Tables = Tables {
    version: 1,
    new: NEW,
    beside: "",
};

const NEW: &str = "
CREATE TABLE service (
    service TEXT PRIMARY KEY, own TEXT NOT NULL, verdict TEXT NOT NULL, blocked_by TEXT NOT NULL,
    since INTEGER NOT NULL, failures INTEGER NOT NULL, passes INTEGER NOT NULL,
    has_passed INTEGER NOT NULL, looked_at INTEGER NOT NULL, outcome TEXT NOT NULL, reason TEXT,
    response_us INTEGER, facts TEXT NOT NULL, started_at INTEGER) WITHOUT ROWID;
CREATE TABLE alert (
    rule TEXT NOT NULL, service TEXT NOT NULL, state TEXT NOT NULL, since INTEGER NOT NULL,
    changed_at INTEGER NOT NULL, seen_at INTEGER NOT NULL, value REAL,
    PRIMARY KEY (rule, service)) WITHOUT ROWID;
CREATE TABLE transition (
    id INTEGER PRIMARY KEY, service TEXT NOT NULL, at INTEGER NOT NULL,
    verdict_before TEXT NOT NULL, verdict TEXT NOT NULL, reason TEXT, blocked_by TEXT NOT NULL);
CREATE INDEX transition_at ON transition (at);
CREATE TABLE span (
    service TEXT NOT NULL, start INTEGER NOT NULL, up_ms INTEGER NOT NULL DEFAULT 0,
    degraded_ms INTEGER NOT NULL DEFAULT 0, starting_ms INTEGER NOT NULL DEFAULT 0,
    down_ms INTEGER NOT NULL DEFAULT 0, blocked_ms INTEGER NOT NULL DEFAULT 0,
    looks INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (service, start)) WITHOUT ROWID;
CREATE INDEX span_start ON span (start);
CREATE TABLE response (
    service TEXT NOT NULL, start INTEGER NOT NULL, bin INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (service, start, bin)) WITHOUT ROWID;
CREATE INDEX response_start ON response (start);
";
