//! Ingestion pipelines and runs, parsed from what every version sends, and how fresh they are.
//!
//! Never asks anything: `questions` does. Never reads the clock.

mod questions;
pub mod schedule;

use serde_json::Value;

use self::schedule::Schedule;
use super::wire;
use crate::answer::time;

pub use questions::{ControlAction, ControlOutcome};

/// What brings metadata of a service into the catalog.
#[derive(Debug, Clone, PartialEq)]
pub struct IngestionPipeline {
    pub id: String,
    pub name: String,
    pub fqn: String,
    /// `metadata`, `profiler`, `lineage`, `usage`, `TestSuite`, …
    pub kind: String,
    /// FQN of the service (or test suite) that it serves.
    pub service: String,
    /// Cron as written; none: started by hand.
    pub schedule: Option<String>,
    /// None: UTC.
    pub timezone: Option<String>,
    pub is_enabled: bool,
    /// Newest run that the list carries; none where it never ran.
    pub last: Option<Run>,
}

/// One run of an ingestion pipeline or of a pipeline entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub id: Option<String>,
    pub state: RunState,
    /// Milliseconds since 1970.
    pub started: i64,
    pub ended: Option<i64>,
    /// What went wrong, one entry an error.
    pub errors: Vec<RunError>,
}

/// How a run ended, in the words of both kinds: an ingestion says `success`, a pipeline entity
/// `Successful`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunState {
    Queued,
    Running,
    Success,
    PartialSuccess,
    Failed,
    Stopped,
    /// Skipped by the orchestrator, or a word that is newer than this.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunError {
    /// The step, and what failed in it.
    pub what: String,
    pub error: String,
    pub stack_trace: Option<String>,
}

/// The service that runs ingestion pipelines, as OpenMetadata sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PipelineClient {
    Healthy,
    /// OpenMetadata has none configured.
    Disabled {
        said: String,
    },
    Unhealthy {
        said: String,
    },
    /// It is not known how it is.
    NotLooked {
        why: String,
    },
}

/// How long ago a pipeline last did its work, against its schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// Milliseconds since the start of the last success; none without one in what was looked at.
    pub age: Option<i64>,
    /// None: there is no schedule to hold it against, or it cannot be read.
    pub is_fresh: Option<bool>,
}

impl RunState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Success => "success",
            Self::PartialSuccess => "partial_success",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Other => "other",
        }
    }

    fn parse(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "queued" | "pending" => Self::Queued,
            "running" => Self::Running,
            "success" | "successful" => Self::Success,
            "partialsuccess" => Self::PartialSuccess,
            "failed" => Self::Failed,
            "stopped" => Self::Stopped,
            _ => Self::Other,
        }
    }

    /// It has come to its end, well or not.
    pub fn is_finished(self) -> bool {
        matches!(
            self,
            Self::Success | Self::PartialSuccess | Self::Failed | Self::Stopped
        )
    }

    /// Data came in, if not all of it.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Success | Self::PartialSuccess)
    }
}

/// A pipeline; its last run is an object (1.x), a list (2.0) or absent (it never ran).
pub fn pipeline(document: &Value) -> Option<IngestionPipeline> {
    let fqn = wire::text(document, "fullyQualifiedName")?;
    let airflow = document.get("airflowConfig");
    let of_airflow = |field| airflow.and_then(|config| wire::text(config, field));
    let last = match document.get("pipelineStatuses") {
        Some(Value::Array(runs)) => runs.iter().filter_map(run).max_by_key(|run| run.started),
        Some(one) => run(one),
        None => None,
    };
    Some(IngestionPipeline {
        id: wire::text(document, "id").unwrap_or_default(),
        name: wire::text(document, "name").unwrap_or_else(|| fqn.clone()),
        kind: wire::text(document, "pipelineType").unwrap_or_default(),
        service: document
            .get("service")
            .and_then(|service| {
                wire::text(service, "fullyQualifiedName").or_else(|| wire::text(service, "name"))
            })
            .or_else(|| super::fqn::parent(&fqn))
            .unwrap_or_default(),
        schedule: of_airflow("scheduleInterval"),
        timezone: of_airflow("pipelineTimezone").filter(|zone| zone != "UTC"),
        is_enabled: document
            .get("enabled")
            .and_then(Value::as_bool)
            .unwrap_or(true),
        last,
        fqn,
    })
}

/// A run of an ingestion pipeline (`pipelineState`) or of a pipeline entity (`executionStatus`).
pub fn run(document: &Value) -> Option<Run> {
    let state = wire::text(document, "pipelineState")
        .or_else(|| wire::text(document, "executionStatus"))?;
    let time = |field| document.get(field).and_then(Value::as_i64);
    Some(Run {
        id: wire::text(document, "runId"),
        state: RunState::parse(&state),
        started: time("startDate").or_else(|| time("timestamp"))?,
        ended: time("endDate").or_else(|| time("endTime")),
        errors: step_errors(document).chain(task_errors(document)).collect(),
    })
}

/// `status[].failures[]` of an ingestion run; 1.2.0 has no `status`.
fn step_errors(document: &Value) -> impl Iterator<Item = RunError> {
    let steps = document.get("status").and_then(Value::as_array);
    steps.into_iter().flatten().flat_map(|step| {
        let name = wire::text(step, "name").unwrap_or_default();
        let failures = step.get("failures").and_then(Value::as_array);
        failures.into_iter().flatten().filter_map(move |failure| {
            Some(RunError {
                what: match wire::text(failure, "name") {
                    Some(what) => format!("{name}: {what}"),
                    None => name.clone(),
                },
                error: wire::text(failure, "error")?,
                stack_trace: wire::text(failure, "stackTrace"),
            })
        })
    })
}

/// Failed tasks of a run of a pipeline entity; nothing is recorded of why.
fn task_errors(document: &Value) -> impl Iterator<Item = RunError> {
    let tasks = document.get("taskStatus").and_then(Value::as_array);
    tasks.into_iter().flatten().filter_map(|task| {
        let state = RunState::parse(&wire::text(task, "executionStatus")?);
        (state == RunState::Failed).then(|| RunError {
            what: format!("task {}", wire::text(task, "name").unwrap_or_default()),
            error: "failed".into(),
            stack_trace: None,
        })
    })
}

/// What the answer to a look at (or an order to) the pipeline service means: HTTP 200 says
/// nothing, the text does.
pub fn client_state(answer: &Value) -> PipelineClient {
    let said = match answer {
        Value::String(text) => text.clone(),
        _ => wire::text(answer, "reason").unwrap_or_default(),
    };
    // 1.2.0 says it in the field `platform`.
    let is_disabled = said.to_lowercase().contains("disabled")
        || wire::text(answer, "platform").is_some_and(|name| name.eq_ignore_ascii_case("disabled"));
    if is_disabled {
        let said = if said.is_empty() {
            "Pipeline Client Disabled".into()
        } else {
            said
        };
        return PipelineClient::Disabled { said };
    }
    match answer.get("code").and_then(Value::as_i64) {
        Some(200) => PipelineClient::Healthy,
        Some(code) => PipelineClient::Unhealthy {
            said: format!("code {code}: {said}"),
        },
        None if said.is_empty() => PipelineClient::NotLooked {
            why: "OpenMetadata's answer says nothing of it".into(),
        },
        None => PipelineClient::Unhealthy { said },
    }
}

/// How fresh a pipeline is at `now`, by the newest success among `runs` and the newest run.
///
/// Fresh: what is due after the last success (the next firing, and at least the shortest time
/// between two firings) is not overdue by more than half of that time (six hours at most), which
/// leaves time to run.
pub fn freshness(pipeline: &IngestionPipeline, runs: &[Run], now: i64) -> Freshness {
    let success = runs
        .iter()
        .chain(&pipeline.last)
        .filter(|run| run.state.is_success())
        .map(|run| run.started)
        .max();
    let schedule = pipeline.schedule.as_deref().and_then(Schedule::parse);
    let is_fresh = schedule.and_then(|schedule| {
        let Some(success) = success else {
            return Some(false);
        };
        let (shortest, longest) = schedule.gaps(success)?;
        let due = match pipeline.timezone {
            // A run that started late has its whole time.
            None => schedule.next_after(success)?.max(success + shortest),
            // Firings are known in UTC only; the time between them is the same.
            Some(_) => success + longest,
        };
        Some(now <= due + (shortest / 2).min(6 * time::HOUR))
    });
    Freshness {
        age: success.map(|success| now - success),
        is_fresh,
    }
}

/// Share of finished runs that succeeded, 0 to 1; none where none finished.
pub fn success_rate(runs: &[Run]) -> Option<f64> {
    let finished = runs.iter().filter(|run| run.state.is_finished()).count();
    let succeeded = runs.iter().filter(|run| run.state.is_success()).count();
    (finished > 0).then(|| succeeded as f64 / finished as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// 2026-11-20T10:30:00Z, a Friday.
    const NOW: i64 = 1_795_170_600_000;

    fn ran(state: RunState, ago: i64) -> Run {
        Run {
            id: None,
            state,
            started: NOW - ago,
            ended: None,
            errors: Vec::new(),
        }
    }

    fn scheduled(schedule: Option<&str>) -> IngestionPipeline {
        pipeline(
            &json!({"fullyQualifiedName": "pg.metadata", "airflowConfig":
            {"scheduleInterval": schedule, "pipelineTimezone": "UTC"}}),
        )
        .unwrap()
    }

    #[test]
    fn fresh_is_a_success_since_the_last_firing_or_a_short_while_ago() {
        for (schedule, success_ago, fresh) in [
            (Some("0 * * * *"), Some(29 * time::MINUTE), Some(true)),
            // An hour, and half an hour to run.
            (Some("0 * * * *"), Some(80 * time::MINUTE), Some(true)),
            (Some("0 * * * *"), Some(2 * time::HOUR), Some(false)),
            (
                Some("0 3 * * *"),
                Some(31 * time::HOUR + 20 * time::MINUTE),
                Some(false),
            ),
            (Some("0 3 * * *"), Some(7 * time::HOUR), Some(true)),
            (Some("0 6 * * 1-5"), Some(28 * time::HOUR), Some(true)),
            (Some("0 3 * * *"), None, Some(false)),
            (None, Some(time::HOUR), None),
            (Some("now and then"), Some(time::HOUR), None),
        ] {
            let runs: Vec<Run> = success_ago
                .map(|ago| ran(RunState::Success, ago))
                .into_iter()
                .chain([ran(RunState::Failed, 60_000)])
                .collect();
            let freshness = freshness(&scheduled(schedule), &runs, NOW);
            assert_eq!(freshness.is_fresh, fresh, "{schedule:?}, {success_ago:?}");
            assert_eq!(freshness.age, success_ago);
        }
    }

    #[test]
    fn runs_still_going_do_not_count_for_the_rate() {
        let runs = [
            ran(RunState::Running, 1),
            ran(RunState::Success, 2),
            ran(RunState::PartialSuccess, 3),
            ran(RunState::Failed, 4),
            ran(RunState::Stopped, 5),
        ];
        assert_eq!(success_rate(&runs), Some(0.5));
        assert_eq!(success_rate(&runs[..1]), None);
    }

    #[test]
    fn the_last_run_is_an_object_a_list_or_absent() {
        let run = |at: i64| json!({"pipelineState": "success", "startDate": at});
        for (statuses, last) in [
            (run(5), Some(5)),
            (json!([run(3), run(7)]), Some(7)),
            (json!([]), None),
            (Value::Null, None),
        ] {
            let document = json!({"fullyQualifiedName": "pg.m", "pipelineStatuses": statuses});
            let found = pipeline(&document).unwrap().last.map(|run| run.started);
            assert_eq!(found, last);
        }
    }

    #[test]
    fn disabled_is_read_out_of_every_form() {
        for answer in [
            json!({"code": 200, "reason": "Pipeline Client Disabled"}),
            json!("Pipeline Client Disabled"),
            json!({"code": 200, "platform": "disabled", "version": "disabled"}),
        ] {
            let state = client_state(&answer);
            assert!(matches!(state, PipelineClient::Disabled { .. }), "{answer}");
        }
        assert_eq!(
            client_state(&json!({"code": 200, "platform": "Airflow"})),
            PipelineClient::Healthy
        );
        assert!(matches!(
            client_state(&json!({"code": 500, "reason": "down"})),
            PipelineClient::Unhealthy { .. }
        ));
    }
}
