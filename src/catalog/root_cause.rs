//! What may have broken something: facts upstream of it, ranked.
//!
//! Never asks anything: `questions` does. Never reads the clock.

mod questions;
mod surroundings;

use super::{
    ingestion::{self, IngestionPipeline, Run, RunState},
    quality::{TestResult, TestStatus},
};
use crate::answer::{clean, time};

pub use questions::{Investigation, LookedAt, Symptom};

/// Something that may be why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    pub kind: CauseKind,
    /// FQN of the test, pipeline or entity.
    pub subject: String,
    /// Hops upstream of what was asked about; 0: on it.
    pub distance: u32,
    /// Since when it is so, milliseconds since 1970, where that is known.
    pub since: Option<i64>,
    /// What was seen.
    pub evidence: String,
}

/// The surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CauseKind {
    /// The last run of a pipeline that writes the data failed.
    FailedPipeline,
    FailingTest,
    DeletedEntity,
    SchemaChange,
    /// The catalog knows less than there is; data itself may be fine.
    FailedIngestion,
    LateIngestion,
}

impl CauseKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FailedPipeline => "failed_pipeline",
            Self::FailingTest => "failing_test",
            Self::DeletedEntity => "deleted_entity",
            Self::SchemaChange => "schema_change",
            Self::FailedIngestion => "failed_ingestion",
            Self::LateIngestion => "late_ingestion",
        }
    }
}

/// The likeliest first: what began after the trouble last; nearer before farther; surer kinds
/// first; then what began last before the trouble.
///
/// `symptom`: since when the trouble is known, where it is.
pub fn ranked(mut causes: Vec<Cause>, symptom: Option<i64>) -> Vec<Cause> {
    // Tests run on a schedule: what began shortly after the first failed run may still be why.
    const SLACK: i64 = time::HOUR;
    let is_after = |cause: &Cause| match (cause.since, symptom) {
        (Some(since), Some(symptom)) => since > symptom + SLACK,
        _ => false,
    };
    causes.sort_by(|a, b| {
        is_after(a)
            .cmp(&is_after(b))
            .then(a.distance.cmp(&b.distance))
            .then(a.kind.cmp(&b.kind))
            .then(b.since.cmp(&a.since))
            .then_with(|| a.subject.cmp(&b.subject))
    });
    causes.dedup();
    causes
}

/// A test that fails now, by its results (newest first): since when without a break.
pub fn of_test(test: &str, distance: u32, results: &[TestResult]) -> Option<Cause> {
    let newest = results.first()?;
    if !matches!(newest.status, TestStatus::Failed | TestStatus::Aborted) {
        return None;
    }
    let broken = results
        .iter()
        .take_while(|result| result.status != TestStatus::Success)
        .count();
    let mut evidence = match &newest.text {
        Some(text) => clean::text(text, 160),
        None => newest.status.as_str().to_owned(),
    };
    if broken > 1 {
        evidence.push_str(&format!(" ({broken} runs in a row)"));
    }
    Some(Cause {
        kind: CauseKind::FailingTest,
        subject: test.to_owned(),
        distance,
        since: results.get(broken - 1).map(|result| result.at),
        evidence,
    })
}

/// A pipeline whose newest finished run failed, by its runs (newest first).
pub fn of_pipeline(pipeline: &str, distance: u32, runs: &[Run]) -> Option<Cause> {
    let (since, count, newest) = failing(runs)?;
    let failed: Vec<&str> = newest
        .errors
        .iter()
        .take(3)
        .map(|error| error.what.as_str())
        .collect();
    let mut evidence = format!("run of {} failed", time::text(newest.started));
    if !failed.is_empty() {
        evidence.push_str(&format!(": {}", clean::text(&failed.join(", "), 120)));
    }
    if count > 1 {
        evidence.push_str(&format!(" ({count} runs in a row)"));
    }
    Some(Cause {
        kind: CauseKind::FailedPipeline,
        subject: pipeline.to_owned(),
        distance,
        since: Some(since),
        evidence,
    })
}

/// An ingestion pipeline whose newest finished run failed, or that is late.
pub fn of_ingestion(
    pipeline: &IngestionPipeline,
    distance: u32,
    runs: &[Run],
    now: i64,
) -> Option<Cause> {
    let freshness = ingestion::freshness(pipeline, runs, now);
    let age = match freshness.age {
        Some(age) => format!("last success {} ago", time::length(age)),
        None => "no success in what was looked at".into(),
    };
    if let Some((since, count, newest)) = failing(runs) {
        let error = newest
            .errors
            .first()
            .map_or("", |error| error.error.as_str());
        let mut evidence = match error {
            "" => format!("{} ingestion failed", pipeline.kind),
            error => format!(
                "{} ingestion failed: {}",
                pipeline.kind,
                clean::text(error, 120)
            ),
        };
        if count > 1 {
            evidence.push_str(&format!(" ({count} runs in a row)"));
        }
        return Some(Cause {
            kind: CauseKind::FailedIngestion,
            subject: pipeline.fqn.clone(),
            distance,
            since: Some(since),
            evidence: format!("{evidence}; {age}"),
        });
    }
    (freshness.is_fresh == Some(false)).then(|| Cause {
        kind: CauseKind::LateIngestion,
        subject: pipeline.fqn.clone(),
        distance,
        since: freshness.age.map(|age| now - age),
        evidence: format!(
            "{} ingestion is late: {age}, schedule {}",
            pipeline.kind,
            pipeline.schedule.as_deref().unwrap_or_default()
        ),
    })
}

/// Since when, how often in a row and by which run a pipeline fails now. Runs that go on do not
/// count.
fn failing(runs: &[Run]) -> Option<(i64, usize, &Run)> {
    let finished: Vec<&Run> = runs.iter().filter(|run| run.state.is_finished()).collect();
    let broken = finished
        .iter()
        .take_while(|run| run.state == RunState::Failed)
        .count();
    let first = finished.get(broken.checked_sub(1)?)?;
    Some((first.started, broken, finished.first()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cause(kind: CauseKind, subject: &str, distance: u32, since: i64) -> Cause {
        Cause {
            kind,
            subject: subject.into(),
            distance,
            since: Some(since),
            evidence: String::new(),
        }
    }

    #[test]
    fn near_and_sure_causes_come_first_and_what_began_later_last() {
        use CauseKind::{FailedIngestion, FailedPipeline, FailingTest, SchemaChange};
        let day = time::DAY;
        for (causes, symptom, expected) in [
            (
                vec![
                    cause(FailingTest, "far", 3, day),
                    cause(FailingTest, "near", 1, day),
                ],
                Some(2 * day),
                vec!["near", "far"],
            ),
            (
                vec![
                    cause(FailedPipeline, "later", 1, 5 * day),
                    cause(FailingTest, "far", 3, day),
                ],
                Some(2 * day),
                vec!["far", "later"],
            ),
            (
                vec![
                    cause(FailedIngestion, "ingestion", 1, day),
                    cause(SchemaChange, "schema", 1, day),
                    cause(FailedPipeline, "pipeline", 1, day),
                ],
                None,
                vec!["pipeline", "schema", "ingestion"],
            ),
            (
                vec![
                    cause(SchemaChange, "old", 1, day),
                    cause(SchemaChange, "new", 1, 2 * day),
                ],
                Some(2 * day),
                vec!["new", "old"],
            ),
            (
                vec![cause(FailedPipeline, "just after", 1, 2 * day + 1_000)],
                Some(2 * day),
                vec!["just after"],
            ),
        ] {
            let ranked = ranked(causes, symptom);
            let subjects: Vec<&str> = ranked.iter().map(|cause| cause.subject.as_str()).collect();
            assert_eq!(subjects, expected);
        }
    }

    #[test]
    fn a_test_fails_since_its_first_failure_in_a_row() {
        let result = |at, status| TestResult {
            at,
            status,
            text: Some("7 nulls".into()),
        };
        use TestStatus::{Failed, Success};
        let results = [
            result(4, Failed),
            result(3, Failed),
            result(2, Success),
            result(1, Failed),
        ];
        let cause = of_test("t", 2, &results).unwrap();
        assert_eq!((cause.since, cause.distance), (Some(3), 2));
        assert_eq!(cause.evidence, "7 nulls (2 runs in a row)");
        assert_eq!(of_test("t", 0, &results[2..]), None);
        assert_eq!(of_test("t", 0, &[]), None);
    }

    #[test]
    fn a_run_that_goes_on_hides_no_failure() {
        let run = |at: i64, state: &str| {
            ingestion::run(&json!({"startDate": at, "pipelineState": state})).unwrap()
        };
        let runs = [
            run(5, "running"),
            run(4, "failed"),
            run(3, "failed"),
            run(2, "success"),
        ];
        let cause = of_pipeline("airflow.build", 1, &runs).unwrap();
        assert_eq!(cause.since, Some(3));
        assert!(
            cause.evidence.contains("2 runs in a row"),
            "{}",
            cause.evidence
        );
        assert_eq!(of_pipeline("p", 1, &runs[3..]), None);
        assert_eq!(of_pipeline("p", 1, &runs[..1]), None);
    }

    #[test]
    fn ingestion_is_failed_late_or_no_cause() {
        let pipeline = |schedule: &str| {
            ingestion::pipeline(
                &json!({"fullyQualifiedName": "pg.m", "pipelineType": "metadata",
                "airflowConfig": {"scheduleInterval": schedule}}),
            )
            .unwrap()
        };
        let now = 100 * time::DAY;
        let run = |ago: i64, state: &str| {
            ingestion::run(&json!({"startDate": now - ago, "pipelineState": state})).unwrap()
        };
        let kind = |runs: &[Run]| {
            of_ingestion(&pipeline("0 * * * *"), 0, runs, now).map(|cause| cause.kind)
        };
        assert_eq!(
            kind(&[run(60_000, "failed")]),
            Some(CauseKind::FailedIngestion)
        );
        assert_eq!(
            kind(&[run(5 * time::HOUR, "success")]),
            Some(CauseKind::LateIngestion)
        );
        assert_eq!(kind(&[run(60_000, "success")]), None);
    }
}
