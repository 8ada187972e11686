//! Test cases, their results and their incidents, parsed from what every version sends.
//!
//! Never asks anything: `questions` does.

mod questions;

use serde_json::Value;

use super::{scope, wire};

pub use questions::{Incidents, Resolution, TestCases};

/// A test case with its last result.
#[derive(Debug, Clone, PartialEq)]
pub struct TestCase {
    pub id: String,
    pub name: String,
    pub fqn: String,
    /// FQN of the table (or other entity) that it tests.
    pub entity: String,
    /// Name of the column that it tests, below the entity.
    pub column: Option<String>,
    /// None: it never ran.
    pub status: Option<TestStatus>,
    /// None: it never ran, or the catalog did not say.
    pub last: Option<TestResult>,
}

/// How a run of a test ended, as OpenMetadata spells it: `Success`, `Failed`, `Aborted`, `Queued`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TestStatus {
    Failed,
    Aborted,
    Queued,
    Success,
}

/// One result of a test.
#[derive(Debug, Clone, PartialEq)]
pub struct TestResult {
    /// Milliseconds since 1970.
    pub at: i64,
    pub status: TestStatus,
    /// `Found nullCount=7. It should be 0`.
    pub text: Option<String>,
}

/// One state of an incident.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// The same for all states of one incident.
    pub id: String,
    /// FQN of the test case.
    pub test: String,
    pub state: IncidentState,
    /// `Severity1` (worst) to `Severity5`.
    pub severity: Option<String>,
    /// When it came into this state, milliseconds since 1970.
    pub at: i64,
    /// Display name of the user it is assigned to, or their id where no name is recorded.
    pub assignee: Option<String>,
    pub by: Option<String>,
    /// Why it was resolved.
    pub reason: Option<String>,
    pub comment: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IncidentState {
    New,
    Ack,
    Assigned,
    Resolved,
}

impl TestStatus {
    /// As answers and arguments write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Aborted => "aborted",
            Self::Queued => "queued",
            Self::Success => "success",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Failed, Self::Aborted, Self::Queued, Self::Success]
            .into_iter()
            .find(|status| status.as_str().eq_ignore_ascii_case(text))
    }
}

impl IncidentState {
    /// As answers write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Ack => "acknowledged",
            Self::Assigned => "assigned",
            Self::Resolved => "resolved",
        }
    }

    /// As OpenMetadata spells it (`testCaseResolutionStatusType`).
    pub fn wire_name(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::Ack => "Ack",
            Self::Assigned => "Assigned",
            Self::Resolved => "Resolved",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::New, Self::Ack, Self::Assigned, Self::Resolved]
            .into_iter()
            .find(|state| state.wire_name() == text)
    }
}

/// A test case of either version: 1.12.6 has `testCaseStatus`, 1.2.0 only the last result.
pub fn test_case(document: &Value) -> Option<TestCase> {
    let fqn = wire::text(document, "fullyQualifiedName")?;
    let (entity, column) = wire::text(document, "entityLink")
        .and_then(|link| entity_link(&link))
        .or_else(|| Some((wire::text(document, "entityFQN")?, None)))?;
    let last = document.get("testCaseResult").and_then(test_result);
    let status = wire::text(document, "testCaseStatus")
        .and_then(|status| TestStatus::parse(&status))
        .or(last.as_ref().map(|result| result.status));
    Some(TestCase {
        id: wire::text(document, "id").unwrap_or_default(),
        name: wire::text(document, "name").unwrap_or_else(|| fqn.clone()),
        fqn,
        entity,
        column,
        status,
        last,
    })
}

/// `<#E::table::a.b.c.d::columns::number>` is `a.b.c.d` and `number`.
fn entity_link(link: &str) -> Option<(String, Option<String>)> {
    let inside = link.strip_prefix("<#E::")?.strip_suffix('>')?;
    let (_, rest) = inside.split_once("::")?;
    Some(match rest.split_once("::columns::") {
        Some((entity, column)) => (entity.to_owned(), Some(column.to_owned())),
        None => (rest.to_owned(), None),
    })
}

pub fn test_result(document: &Value) -> Option<TestResult> {
    Some(TestResult {
        at: document.get("timestamp")?.as_i64()?,
        status: TestStatus::parse(&wire::text(document, "testCaseStatus")?)?,
        text: wire::text(document, "result"),
    })
}

pub fn incident(document: &Value) -> Option<Incident> {
    let details = document.get("testCaseResolutionStatusDetails");
    let detail = |field| details.and_then(|details| wire::text(details, field));
    let assignee = details.and_then(|details| details.get("assignee"));
    Some(Incident {
        id: wire::text(document, "stateId").or_else(|| wire::text(document, "id"))?,
        test: wire::text(document.get("testCaseReference")?, "fullyQualifiedName")?,
        state: IncidentState::parse(&wire::text(document, "testCaseResolutionStatusType")?)?,
        severity: wire::text(document, "severity"),
        at: document.get("timestamp")?.as_i64()?,
        // By name, as owners are: what is shown can be given back as an argument.
        assignee: assignee
            .and_then(|user| wire::text(user, "name").or_else(|| wire::text(user, "id"))),
        by: document
            .get("updatedBy")
            .and_then(|user| wire::text(user, "name")),
        reason: detail("testCaseFailureReason"),
        comment: detail("testCaseFailureComment"),
    })
}

/// The newest state of each incident, newest first.
pub fn latest_states(mut states: Vec<Incident>) -> Vec<Incident> {
    states.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.test.cmp(&b.test)));
    let mut seen = std::collections::HashSet::new();
    states.retain(|incident| seen.insert(incident.id.clone()));
    states
}

impl TestCase {
    /// Whether this test looks at the entity or at something below it.
    pub fn is_of(&self, fqn: &str) -> bool {
        self.fqn == fqn || scope::is_at_or_below(&self.entity, fqn)
    }

    /// The FQN of what is tested: the column's where a column is.
    pub fn subject(&self) -> String {
        match &self.column {
            Some(column) => format!("{}.{column}", self.entity),
            None => self.entity.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_link_names_entity_and_column() {
        for (link, entity, column) in [
            ("<#E::table::a.b.c.d>", "a.b.c.d", None),
            (
                "<#E::table::a.b.c.d::columns::number>",
                "a.b.c.d",
                Some("number"),
            ),
            (
                "<#E::table::a.b.c.\"v.1\"::columns::\"x.y\">",
                "a.b.c.\"v.1\"",
                Some("\"x.y\""),
            ),
        ] {
            let expected = (entity.to_owned(), column.map(str::to_owned));
            assert_eq!(entity_link(link), Some(expected));
        }
        assert_eq!(entity_link("table a.b"), None);
    }

    #[test]
    fn never_run_is_no_status_and_an_unknown_status_is_none() {
        let case = |status: Value| {
            let document = json!({"fullyQualifiedName": "a.b.c.d.t", "entityFQN": "a.b.c.d",
                "testCaseStatus": status});
            test_case(&document).unwrap().status
        };
        assert_eq!(case(Value::Null), None);
        assert_eq!(case(json!("Aborted")), Some(TestStatus::Aborted));
        assert_eq!(case(json!("Melted")), None);
    }

    #[test]
    fn an_incident_is_its_newest_state() {
        let state = |id: &str, at, state| Incident {
            id: id.into(),
            test: "t".into(),
            state,
            severity: None,
            at,
            assignee: None,
            by: None,
            reason: None,
            comment: None,
        };
        let latest = latest_states(vec![
            state("a", 1, IncidentState::New),
            state("b", 2, IncidentState::New),
            state("a", 3, IncidentState::Ack),
        ]);
        assert_eq!(latest.len(), 2);
        assert_eq!(
            (latest[0].id.as_str(), latest[0].state),
            ("a", IncidentState::Ack)
        );
    }
}
