//! What happened in a catalog, as one timeline.
//!
//! Never asks anything: `questions` does. Never reads the clock.

mod copies;
mod questions;
mod words;

use std::collections::HashSet;

use serde_json::Value;

use super::{
    error::CatalogError,
    ingestion::{Run, RunState},
    quality::{Incident, TestResult},
    wire,
};

pub use questions::{Asked, Timeline};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Milliseconds since 1970.
    pub at: i64,
    pub kind: ChangeKind,
    /// FQN of what changed.
    pub subject: String,
    /// What happened, in words.
    pub what: String,
    /// Name of the user or bot.
    pub by: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChangeKind {
    /// Columns came, went or changed.
    Schema,
    /// An edge came, went or changed. Known from the comparison of copies alone.
    Lineage,
    /// Anything else of an entity: created, deleted, description, owners, tags, …
    Entity,
    /// A test changed its status.
    Test,
    /// An incident changed its state.
    Incident,
    /// A run of an ingestion pipeline failed.
    Ingestion,
}

impl ChangeKind {
    pub const ALL: [Self; 6] = [
        Self::Schema,
        Self::Lineage,
        Self::Entity,
        Self::Test,
        Self::Incident,
        Self::Ingestion,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Lineage => "lineage",
            Self::Entity => "entity",
            Self::Test => "test",
            Self::Incident => "incident",
            Self::Ingestion => "ingestion",
        }
    }
}

/// One timeline out of many: newest first, what two sources tell only once, only this window.
pub fn merged(changes: Vec<Change>, since: i64, until: i64) -> Vec<Change> {
    let mut seen = HashSet::new();
    let mut changes: Vec<Change> = changes
        .into_iter()
        .filter(|change| (since..=until).contains(&change.at))
        // An event and a version tell of the same moment in the same words.
        .filter(|change| seen.insert((change.at, change.subject.clone(), change.what.clone())))
        .collect();
    changes.sort_by(|a, b| {
        b.at.cmp(&a.at)
            .then_with(|| a.kind.cmp(&b.kind))
            .then_with(|| a.subject.cmp(&b.subject))
    });
    changes
}

/// What a change event tells; 1.2.0 names its entity only inside the entity's own JSON.
pub fn of_event(event: &Value) -> Vec<Change> {
    let entity_type = wire::text(event, "entityType").unwrap_or_default();
    let entity = match event.get("entity") {
        Some(Value::String(json)) => serde_json::from_str(json).unwrap_or_default(),
        Some(other) => other.clone(),
        None => Value::Null,
    };
    let subject = wire::text(event, "entityFullyQualifiedName")
        .or_else(|| wire::text(&entity, "fullyQualifiedName"))
        .or_else(|| Some(format!("{entity_type} {}", wire::text(event, "entityId")?)));
    let (Some(subject), Some(at)) = (subject, event.get("timestamp").and_then(Value::as_i64))
    else {
        return Vec::new();
    };
    let by = wire::text(event, "userName");
    let happened = wire::text(event, "eventType").unwrap_or_default();
    let plain = |what: String| {
        vec![Change {
            at,
            kind: ChangeKind::Entity,
            subject: subject.clone(),
            what,
            by: by.clone(),
        }]
    };
    match happened.as_str() {
        "entityCreated" => plain(format!("{entity_type} created")),
        "entityDeleted" => plain(format!("{entity_type} deleted")),
        "entitySoftDeleted" => plain(format!("{entity_type} deleted (can be restored)")),
        "entityRestored" => plain(format!("{entity_type} restored")),
        _ => of_description(event.get("changeDescription"), at, &subject, by.as_deref()),
    }
}

/// What a version of an entity of this type tells; its JSON may stand in a string.
pub fn of_version(version: &Value, entity_type: &str) -> Vec<Change> {
    let parsed;
    let version = match version {
        Value::String(json) => {
            parsed = serde_json::from_str(json).unwrap_or_default();
            &parsed
        }
        other => other,
    };
    let (Some(subject), Some(at)) = (
        wire::text(version, "fullyQualifiedName"),
        version.get("updatedAt").and_then(Value::as_i64),
    ) else {
        return Vec::new();
    };
    let by = wire::text(version, "updatedBy");
    let description = version
        .get("changeDescription")
        .filter(|description| description.is_object());
    let number = version.get("version").and_then(Value::as_f64);
    if description.is_none() && number.is_some_and(|number| number <= 0.1) {
        return vec![Change {
            at,
            kind: ChangeKind::Entity,
            subject,
            what: format!("{entity_type} created"),
            by,
        }];
    }
    of_description(description, at, &subject, by.as_deref())
}

/// The changes that a `changeDescription` names, one for each kind.
fn of_description(
    description: Option<&Value>,
    at: i64,
    subject: &str,
    by: Option<&str>,
) -> Vec<Change> {
    let told = description.map(words::of_description).unwrap_or_default();
    [ChangeKind::Schema, ChangeKind::Test, ChangeKind::Entity]
        .into_iter()
        .filter_map(|kind| {
            let of_kind: Vec<&str> = told
                .iter()
                .filter(|(told_kind, _)| *told_kind == kind)
                .map(|(_, words)| words.as_str())
                .collect();
            (!of_kind.is_empty()).then(|| Change {
                at,
                kind,
                subject: subject.to_owned(),
                what: words::listed(&of_kind),
                by: by.map(str::to_owned),
            })
        })
        .collect()
}

/// Where the results of a test (newest first) change their status. The oldest has nothing before
/// it and tells nothing.
pub fn of_results(test: &str, results: &[TestResult]) -> Vec<Change> {
    results
        .windows(2)
        .filter(|pair| pair[0].status != pair[1].status)
        .map(|pair| Change {
            at: pair[0].at,
            kind: ChangeKind::Test,
            subject: test.to_owned(),
            what: match &pair[0].text {
                Some(text) => format!(
                    "{} -> {}: {}",
                    pair[1].status.as_str(),
                    pair[0].status.as_str(),
                    words::short(text)
                ),
                None => format!("{} -> {}", pair[1].status.as_str(), pair[0].status.as_str()),
            },
            by: None,
        })
        .collect()
}

/// Each state that an incident came into.
pub fn of_incident(state: &Incident) -> Change {
    let mut what = format!("incident {}", state.state.as_str());
    for (word, detail) in [
        (" to ", &state.assignee),
        (": ", &state.reason),
        (", ", &state.comment),
    ] {
        if let Some(detail) = detail {
            what.push_str(word);
            what.push_str(&words::short(detail));
        }
    }
    Change {
        at: state.at,
        kind: ChangeKind::Incident,
        subject: state.test.clone(),
        what,
        by: state.by.clone(),
    }
}

/// The failed runs of an ingestion pipeline.
pub fn of_runs(pipeline: &str, runs: &[Run]) -> Vec<Change> {
    runs.iter()
        .filter(|run| run.state == RunState::Failed)
        .map(|run| Change {
            at: run.ended.unwrap_or(run.started),
            kind: ChangeKind::Ingestion,
            subject: pipeline.to_owned(),
            what: match run.errors.first() {
                Some(error) => format!("run failed: {}", words::short(&error.error)),
                None => "run failed".into(),
            },
            by: None,
        })
        .collect()
}

/// Why a snapshot takes no change.
pub fn read_only() -> CatalogError {
    CatalogError::Unsupported {
        message: "this catalog is a local copy, which cannot be changed".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::quality::TestStatus;
    use serde_json::json;

    fn change(at: i64, kind: ChangeKind, subject: &str, what: &str) -> Change {
        Change {
            at,
            kind,
            subject: subject.into(),
            what: what.into(),
            by: None,
        }
    }

    #[test]
    fn one_timeline_tells_each_thing_once_newest_first() {
        let merged = merged(
            vec![
                change(3, ChangeKind::Entity, "a", "event"),
                change(5, ChangeKind::Test, "t", "x"),
                change(3, ChangeKind::Entity, "a", "event"),
                change(3, ChangeKind::Schema, "a", "columns"),
                change(1, ChangeKind::Entity, "a", "too old"),
                change(9, ChangeKind::Entity, "a", "too new"),
            ],
            2,
            8,
        );
        let told: Vec<&str> = merged.iter().map(|change| change.what.as_str()).collect();
        assert_eq!(told, ["x", "columns", "event"]);
    }

    #[test]
    fn an_event_of_1_2_0_is_named_by_the_entity_inside() {
        let event = json!({"eventType": "entitySoftDeleted", "entityType": "table", "timestamp": 7,
            "userName": "admin", "entityId": "1", "entity": "{\"fullyQualifiedName\": \"a.b.c.d\"}"});
        assert_eq!(
            of_event(&event),
            [Change {
                by: Some("admin".into()),
                ..change(
                    7,
                    ChangeKind::Entity,
                    "a.b.c.d",
                    "table deleted (can be restored)"
                )
            }]
        );
    }

    #[test]
    fn a_test_changes_where_two_results_differ() {
        let result = |at, status| TestResult {
            at,
            status,
            text: None,
        };
        use TestStatus::{Failed, Success};
        let results = [
            result(4, Failed),
            result(3, Failed),
            result(2, Success),
            result(1, Success),
        ];
        assert_eq!(
            of_results("t", &results),
            [change(3, ChangeKind::Test, "t", "success -> failed")]
        );
    }

    #[test]
    fn a_version_in_a_string_is_read_and_the_first_is_the_creation() {
        let first = json!({"fullyQualifiedName": "a", "version": 0.1, "updatedAt": 5}).to_string();
        assert_eq!(
            of_version(&Value::String(first), "table"),
            [change(5, ChangeKind::Entity, "a", "table created")]
        );
    }
}
