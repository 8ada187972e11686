//! The history against its promises: all or nothing, buckets that keep their sums, clear refusals.

use super::*;
use crate::store::Fault;

const NOW: Millis = 1_800_000_000_000;
const MINUTE: Millis = 60_000;

fn span(verdict: &str, from: Millis, until: Millis) -> Span {
    Span {
        service: "db".into(),
        verdict: verdict.into(),
        from,
        until,
    }
}

fn with_spans(history: &History, now: Millis, spans: Vec<Span>) {
    history
        .update(now, |records| records.spans = spans)
        .expect("written");
}

#[test]
fn uptime_is_of_the_time_that_was_observed() {
    let history = History::in_memory().expect("a history");
    with_spans(
        &history,
        NOW,
        vec![
            span("up", NOW - 30 * MINUTE, NOW - 12 * MINUTE),
            span("unknown", NOW - 12 * MINUTE, NOW - 8 * MINUTE),
            span("blocked", NOW - 8 * MINUTE, NOW - 2 * MINUTE),
        ],
    );
    let totals = &history.totals(None, NOW - 60 * MINUTE).expect("read")["db"];
    assert_eq!(totals.observed(), Duration::from_secs(24 * 60));
    assert_eq!(totals.uptime(), Some(0.75));
    // Before the window began nothing counts.
    let totals = &history.totals(None, NOW - 5 * MINUTE).expect("read")["db"];
    assert_eq!(totals.uptime(), Some(0.0));
}

#[test]
fn percentiles_are_right_within_a_twentieth() {
    let history = History::in_memory().expect("a history");
    history
        .update(NOW, |records| {
            records.looks = (1..=1_000)
                .map(|number| Look {
                    service: "api".into(),
                    at: NOW,
                    has_passed: Some(number % 10 != 0),
                    response_us: Some(number * 1_000),
                })
                .collect();
        })
        .expect("written");
    let totals = &history.totals(Some("api"), NOW - MINUTE).expect("read")["api"];
    for (share, milliseconds) in [(0.5, 500.0), (0.95, 950.0), (1.0, 1_000.0)] {
        let found = totals.percentile(share).expect("answers").as_secs_f64() * 1_000.0;
        assert!(
            (found / milliseconds - 1.0).abs() < 0.06,
            "{share}: {found}"
        );
    }
    assert_eq!(totals.failed_share(), Some(0.1));
    let mean = totals.mean().expect("answers").as_secs_f64() * 1_000.0;
    assert!((mean / 500.5 - 1.0).abs() < 0.03, "{mean}");
}

#[test]
fn old_buckets_become_hours_and_keep_their_sums() {
    let history = History::in_memory().expect("a history");
    let begin = NOW - 60 * 60 * MINUTE;
    let spans = vec![
        span("up", begin, begin + 7 * 60 * MINUTE),
        span("down", begin + 7 * 60 * MINUTE, begin + 8 * 60 * MINUTE),
    ];
    with_spans(&history, begin + 8 * 60 * MINUTE, spans);
    let before = history.totals(None, begin - 60 * MINUTE).expect("read");
    let rows = |history: &History| -> i64 {
        let connection = history.connection().expect("a connection");
        connection
            .query_row("SELECT count(*) FROM span", [], |row| row.get(0))
            .expect("a count")
    };
    let fine = rows(&history);
    for _ in 0..2 {
        with_spans(&history, NOW, Vec::new());
        assert_eq!(
            history.totals(None, begin - 60 * MINUTE).expect("read"),
            before
        );
    }
    assert!(rows(&history) * 8 < fine, "{} of {fine}", rows(&history));
    with_spans(&history, NOW + 40 * 24 * 60 * MINUTE, Vec::new());
    assert_eq!(rows(&history), 0);
}

#[test]
fn a_clock_that_was_set_back_writes_no_time() {
    let history = History::in_memory().expect("a history");
    with_spans(&history, NOW, vec![span("up", NOW, NOW - 5 * MINUTE)]);
    assert!(history.totals(None, 0).expect("read").is_empty());
}

#[test]
fn what_two_processes_write_is_all_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.sqlite");
    let transition = |number: Millis| Transition {
        service: "db".into(),
        at: NOW + number,
        from: "up".into(),
        to: "down".into(),
        reason: None,
        blocked_by: Vec::new(),
    };
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let path = &path;
            scope.spawn(move || {
                let history = History::open(path).expect("a history");
                for number in 0..25 {
                    let add = |records: &mut Records| {
                        let record = records.services.entry("db".into()).or_default();
                        record.passes += 1;
                        records.transitions.push(transition(writer * 100 + number));
                    };
                    history.update(NOW, add).expect("written");
                }
            });
        }
    });
    let history = History::open(&path).expect("a history");
    assert_eq!(history.services().expect("read")["db"].passes, 100);
    let (newest, total) = history
        .transitions(Some("db"), 0, i64::MAX, 3)
        .expect("read");
    assert_eq!((newest.len(), total), (3, 100));
    assert_eq!(newest[0].at, NOW + 324);
}

#[test]
fn a_file_that_cannot_be_used_is_told_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let newer = folder.path().join("newer.sqlite");
    let connection = Connection::open(&newer).expect("a file");
    connection
        .pragma_update(None, "user_version", 99)
        .expect("set");
    drop(connection);
    assert!(matches!(
        History::open(&newer),
        Err(HistoryError(Fault::Newer { found: 99, .. }))
    ));
    let noise = folder.path().join("noise.sqlite");
    std::fs::write(&noise, [7; 4096]).expect("a file");
    assert!(matches!(
        History::open(&noise),
        Err(HistoryError(Fault::Damaged(_)))
    ));
    assert_eq!(std::fs::read(&noise).expect("still there"), [7; 4096]);
}
