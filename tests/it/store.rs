//! A health history that cannot be written or read, or that a clock jumped over: what is told, and
//! that nothing of it is lost.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{
    bin,
    server::{Server, command},
};

const PATIENCE: Duration = Duration::from_secs(40);

/// A platform of one service that is down, and a state folder.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        let text =
            "platform: p\nservices: { db: { probe: { tcp: \"127.0.0.1:1\", retries: 1 } } }\n";
        fs::write(site.folder.path().join("platform.yaml"), text).expect("a file");
        site
    }

    fn arguments(&self) -> [String; 5] {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        [
            "serve".into(),
            "--platform".into(),
            path("platform.yaml"),
            "--state".into(),
            path("state"),
        ]
    }

    fn serve(&self) -> Server {
        let arguments = self.arguments();
        let mut server = Server::start(&arguments.each_ref().map(String::as_str), &[]);
        server.handshake("2025-06-18");
        server
    }

    /// Looks once, so that there is a history; the server ends well.
    fn with_history() -> Self {
        let site = Self::new();
        let mut server = site.serve();
        let told = check(&mut server);
        assert_eq!(told["warnings"], Value::Null, "{told}");
        server.close_stdin();
        assert!(server.ended().0.success());
        site
    }

    fn history(&self) -> PathBuf {
        let folder = fs::read_dir(self.folder.path().join("state/health")).expect("a folder");
        let mut files = folder.map(|entry| entry.expect("an entry").path());
        let is_history = |path: &PathBuf| path.extension().is_some_and(|end| end == "sqlite");
        files.find(is_history).expect("a history")
    }
}

impl Site {
    /// What `doctor` finds: name and state of a check, with all that it says.
    fn doctor(&self, name: &str) -> (String, String) {
        let [_, platform @ ..] = self.arguments();
        let arguments: Vec<&str> = ["doctor", "--json"]
            .into_iter()
            .chain(platform.iter().map(String::as_str))
            .collect();
        let ended = command(&arguments, &[]).output().expect("an end");
        let told: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
        let checks = told["checks"].as_array().expect("checks");
        let check = checks.iter().find(|check| check["name"] == name);
        let check = check.unwrap_or_else(|| panic!("no {name}: {told}"));
        let state = check["state"].as_str().expect("a state").to_owned();
        assert_eq!(ended.status.success(), told["ok"] == true, "{told}");
        (state, check.to_string())
    }
}

fn check(server: &mut Server) -> Value {
    let answer = server.call(1, "check_health", json!({"refresh": true}));
    let told = answer["result"]["structuredContent"].clone();
    assert_eq!(
        told["counts"],
        json!({"down": 1}),
        "what was seen is told: {answer}"
    );
    told
}

/// Checks until a warning says so, or none does.
fn until(server: &mut Server, warned: Option<&str>) -> Value {
    let begun = Instant::now();
    loop {
        let told = check(server);
        let is_so = match warned {
            Some(words) => told["warnings"].to_string().contains(words),
            None => told["warnings"].is_null(),
        };
        if is_so {
            return told;
        }
        assert!(begun.elapsed() < PATIENCE, "not in time: {told}");
    }
}

/// A file may not grow beyond a bound, as on a disk that is full.
#[cfg(unix)]
#[test]
fn on_a_full_disk_what_is_seen_is_told_and_what_was_kept_stays() {
    let site = Site::with_history();
    // Blocks of 512 bytes: the log beside the history grows with each look until it may not.
    let script = "trap '' XFSZ; ulimit -f 160; exec \"$@\"";
    let arguments = site.arguments();
    let binary = bin().display().to_string();
    let mut all = vec!["-c", script, "sh", binary.as_str()];
    all.extend(arguments.iter().map(String::as_str));
    let mut server = Server::start_program("/bin/sh", &all, &[]);
    server.handshake("2025-06-18");
    let told = until(&mut server, Some("is not kept"));
    let warnings = told["warnings"].to_string();
    assert!(
        warnings.contains("is the disk full?") && warnings.contains("is whole"),
        "{warnings}"
    );
    server.close_stdin();
    server.ended();
    let mut server = site.serve();
    let told = until(&mut server, None);
    let since = told["services"].to_string();
    assert!(!since.contains("unknown"), "{told}");
}

#[test]
fn a_history_that_another_process_does_not_let_go_is_told_and_used_again_later() {
    let site = Site::with_history();
    let mut server = site.serve();
    check(&mut server);
    let other = Connection::open(site.history()).expect("the history");
    other.execute_batch("BEGIN IMMEDIATE").expect("it is held");
    let told = until(&mut server, Some("is not kept"));
    assert!(
        told["warnings"]
            .to_string()
            .contains("written by another process"),
        "{told}"
    );
    other.execute_batch("ROLLBACK").expect("it is let go");
    until(&mut server, None);

    // From the beginning, and so that nobody may even read.
    server.close_stdin();
    server.ended();
    other
        .execute_batch("PRAGMA locking_mode = exclusive; BEGIN EXCLUSIVE; COMMIT")
        .expect("it is held");
    let mut server = site.serve();
    let told = until(&mut server, Some("history is not kept"));
    assert!(
        told["warnings"]
            .to_string()
            .contains("written by another process"),
        "{told}"
    );
    assert_eq!(site.doctor("history").0, "failed");
    drop(other);
    until(&mut server, None);
    assert_eq!(site.doctor("history").0, "ok");
}

#[test]
fn a_history_of_a_newer_version_is_left_alone() {
    let site = Site::with_history();
    let history = site.history();
    let newer = Connection::open(&history).expect("the history");
    newer
        .pragma_update(None, "user_version", 99)
        .expect("it is newer");
    drop(newer);
    let before = fs::read(&history).expect("a file");
    let mut server = site.serve();
    let told = until(&mut server, Some("newer version"));
    let (state, said) = site.doctor("history");
    assert!(
        state == "failed" && said.contains("newer version"),
        "{said}"
    );
    assert!(
        told["warnings"].to_string().contains("OPENPOLICY_STATE"),
        "{told}"
    );
    server.close_stdin();
    server.ended();
    assert!(
        fs::read(&history).expect("a file") == before,
        "not a byte has changed"
    );
}

#[test]
fn a_damaged_history_is_told_and_left_for_a_person() {
    let site = Site::with_history();
    let history = site.history();
    // What stands in the log beside it would repair it.
    let log = Connection::open(&history).expect("the history");
    log.pragma_update(None, "journal_mode", "delete")
        .expect("it is put in");
    drop(log);
    fs::write(&history, "this is no history\n".repeat(1_000)).expect("a file");
    let mut server = site.serve();
    let told = until(&mut server, Some("damaged"));
    let (state, said) = site.doctor("history");
    assert!(
        state == "failed" && said.contains("move the file away"),
        "{said}"
    );
    assert!(
        told["warnings"].to_string().contains("move the file away"),
        "{told}"
    );
    fs::remove_file(&history).expect("it is moved away");
    until(&mut server, None);
}

#[test]
fn doctor_looks_at_what_is_on_this_machine() {
    let site = Site::new();
    assert_eq!(site.doctor("history").0, "skipped");
    let (state, said) = site.doctor("platform");
    assert!(
        state == "ok" && said.contains("nothing needs trust"),
        "{said}"
    );
    assert_eq!(site.doctor("state").0, "ok");
    assert_eq!(site.doctor("runtime").0, "skipped");
    let file = site.folder.path().join("platform.yaml");
    let text = "platform: p\nruntime: { process: {} }\nservices: { db: { command: [db] } }\n";
    fs::write(&file, text).expect("a file");
    let (state, said) = site.doctor("platform");
    assert!(
        state == "warning" && said.contains("openpolicy-mcp trust"),
        "{said}"
    );
    assert_eq!(site.doctor("runtime").0, "ok");
    fs::write(&file, "platform: p\nservises: {}\n").expect("a file");
    let (state, said) = site.doctor("platform");
    assert!(state == "failed" && said.contains("servises"), "{said}");
    // A file stands where the folder is to be.
    let state = site.folder.path().join("state");
    fs::remove_dir_all(&state).expect("it was there");
    fs::write(&state, "").expect("a file");
    assert_eq!(site.doctor("state").0, "failed");
}

/// As if the clock had been moved by this between the last look and the next.
fn moved(site: &Site, milliseconds: i64) {
    let history = Connection::open(site.history()).expect("the history");
    let moved = history.execute(
        "UPDATE service SET looked_at = looked_at - ?1, since = since - ?1",
        [milliseconds],
    );
    assert_eq!(moved.expect("it is moved"), 1);
}

const DAY: i64 = 24 * 3_600_000;

#[test]
fn a_clock_that_was_set_back_is_believed_from_then_on() {
    let site = Site::with_history();
    moved(&site, -DAY);
    let mut server = site.serve();
    // Nothing was seen in the future: it is looked again, unasked.
    let answer = server.call(1, "check_health", json!({}));
    let told = &answer["result"]["structuredContent"];
    assert_eq!(told["counts"], json!({"down": 1}), "{answer}");
    assert_eq!(told["looked_at"], Value::Null, "{answer}");
    let since: jiff::Timestamp = told["causes"][0]["since"]
        .as_str()
        .and_then(|since| since.parse().ok())
        .expect("a time");
    assert!(since <= jiff::Timestamp::now(), "{answer}");
}

#[test]
fn a_clock_that_jumped_ahead_claims_no_time_that_nobody_looked() {
    let site = Site::with_history();
    moved(&site, DAY);
    let mut server = site.serve();
    let answer = server.call(1, "check_health", json!({"history": true, "refresh": true}));
    let told = &answer["result"]["structuredContent"];
    assert_eq!(told["counts"], json!({"down": 1}), "{answer}");
    // Two intervals and a time-out: for so long a look stands.
    let row = &told["uptime"]["rows"][0];
    assert_eq!((&row[0], &row[4]), (&json!("db"), &json!("1m")), "{answer}");
}
