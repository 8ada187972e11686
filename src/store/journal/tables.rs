//! The tables of the journal, and how an older file comes to have them.

use crate::store::sqlite::Tables;

/// Counts up with each migration. Migrations only add, so that an older program goes on with a
/// file that a newer one opened; a file that is not of this line is not opened.
pub const TABLES: Tables = Tables {
    version: 1,
    new: NEW,
    beside: BESIDE,
};

const NEW: &str = "
CREATE TABLE plan (
    id INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL, digest TEXT NOT NULL,
    expires INTEGER NOT NULL, body TEXT NOT NULL, run INTEGER);
CREATE TABLE run (
    id INTEGER PRIMARY KEY AUTOINCREMENT, plan INTEGER NOT NULL, target TEXT NOT NULL,
    state TEXT NOT NULL, is_open INTEGER NOT NULL, created INTEGER NOT NULL,
    updated INTEGER NOT NULL);
CREATE UNIQUE INDEX run_open ON run (target) WHERE is_open;
CREATE INDEX run_target ON run (target, id);
CREATE TABLE event (
    run INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (run, seq)) WITHOUT ROWID;
CREATE TABLE request (
    id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, at INTEGER NOT NULL,
    verb TEXT NOT NULL, asked_by TEXT NOT NULL, reason TEXT, is_taken INTEGER NOT NULL DEFAULT 0);
CREATE TABLE left_by (
    target TEXT NOT NULL, service TEXT NOT NULL, run INTEGER NOT NULL, at INTEGER NOT NULL,
    live TEXT, image TEXT, PRIMARY KEY (target, service)) WITHOUT ROWID;
CREATE TABLE target (
    name TEXT PRIMARY KEY, environment TEXT NOT NULL) WITHOUT ROWID;
";

/// What no run rests on: added to a file of any age, and unknown to an older program.
const BESIDE: &str = "
CREATE TABLE IF NOT EXISTS progress (
    run INTEGER PRIMARY KEY, at INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS intervention (
    id INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL, at INTEGER NOT NULL,
    what TEXT NOT NULL, asked_by TEXT NOT NULL, reason TEXT, services TEXT NOT NULL, outcome TEXT);
CREATE TABLE IF NOT EXISTS approval (
    request INTEGER PRIMARY KEY, question INTEGER NOT NULL, way TEXT NOT NULL);
";
