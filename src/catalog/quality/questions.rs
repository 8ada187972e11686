//! Asks a catalog for test cases, results and incidents, and changes incidents.

use std::{collections::HashMap, time::Instant};

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use crate::answer::time;
use crate::catalog::{
    Catalog, CatalogError,
    client::{Client, Method, Version, Write},
    fqn,
    listing::{self, Listing, Paging},
    scope::Scope,
    snapshot::{Kind, Part, Snapshot},
};

use super::{Incident, IncidentState, TestCase, TestResult, TestStatus};

/// Requests at the same time where one is needed for each test.
const AT_ONCE: usize = 6;

/// The test cases of a scope.
#[derive(Debug, Default)]
pub struct TestCases {
    /// Failing first, then by name.
    pub cases: Vec<TestCase>,
    /// Why these are not all; none if they are.
    pub cut: Option<String>,
}

/// The incidents of a scope.
#[derive(Debug)]
pub enum Incidents {
    /// Every state in the range, newest first. `cut`: why these are not all.
    Known {
        states: Vec<Incident>,
        cut: Option<String>,
    },
    /// This version (or this snapshot) has no incidents.
    Unsupported,
}

/// What becomes of an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    Acknowledged,
    Assigned {
        /// Id of the user.
        assignee: String,
    },
    Resolved {
        /// A `testCaseFailureReason`.
        reason: String,
        comment: String,
    },
}

impl Resolution {
    pub fn state(&self) -> IncidentState {
        match self {
            Self::Acknowledged => IncidentState::Ack,
            Self::Assigned { .. } => IncidentState::Assigned,
            Self::Resolved { .. } => IncidentState::Resolved,
        }
    }
}

impl Catalog {
    /// The test cases of a scope, failing first. On a live server of today the last result is not
    /// in the list: `last_results` adds it.
    pub async fn test_cases(
        &self,
        scope: &Scope,
        deadline: Instant,
    ) -> Result<TestCases, CatalogError> {
        let listing = match self {
            Self::Live(client) => live_cases(client, scope, deadline).await?,
            Self::Snapshot(snapshot) => snapshot_cases(snapshot)?,
        };
        let (mut cases, cut) = listing.parsed(super::test_case);
        // Also on live servers: old ones ignore filters.
        cases.retain(|case| scope.target().is_none_or(|target| case.is_of(&target.fqn)));
        cases.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.fqn.cmp(&b.fqn)));
        Ok(TestCases { cases, cut })
    }

    /// Adds the last result where it is not known yet. What could not be read is said.
    pub async fn last_results(
        &self,
        cases: &mut [TestCase],
        now: i64,
        deadline: Instant,
    ) -> Vec<String> {
        let lacking = |case: &TestCase| case.status.is_some() && case.last.is_none();
        // One search answers for all that fail.
        if let Self::Live(client) = self
            && cases
                .iter()
                .filter(|case| lacking(case) && case.status == Some(TestStatus::Failed))
                .count()
                > 1
            && let Ok(found) = failed_by_search(client, deadline).await
        {
            for case in cases.iter_mut().filter(|case| lacking(case)) {
                // The index may lag behind the list: only a result of the same status is taken.
                case.last = found
                    .get(&case.fqn)
                    .filter(|result| Some(result.status) == case.status)
                    .cloned();
            }
        }
        let names: Vec<String> = cases
            .iter()
            .filter(|case| lacking(case))
            .map(|case| case.fqn.clone())
            .collect();
        let mut missed = Vec::new();
        let mut results = HashMap::new();
        let mut answers = stream::iter(names)
            .map(|name| async move {
                let last = self.last_result(&name, now, deadline).await;
                (name, last)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((name, answer)) = answers.next().await {
            match answer {
                Ok(last) => results.extend(last.map(|last| (name, last))),
                Err(error) => missed.push(format!("the results of {name}: {error}")),
            }
        }
        drop(answers);
        for case in cases.iter_mut().filter(|case| case.last.is_none()) {
            case.last = results.remove(&case.fqn);
        }
        missed
    }

    /// The newest result. The answer has no limit, so the last days are asked for first: a year of
    /// an hourly test is 3 MB.
    async fn last_result(
        &self,
        test: &str,
        now: i64,
        deadline: Instant,
    ) -> Result<Option<TestResult>, CatalogError> {
        for start in [now - 3 * time::DAY, 0] {
            let results = self.test_results(test, start, now, deadline).await?;
            if let Some(last) = results.into_iter().next() {
                return Ok(Some(last));
            }
        }
        Ok(None)
    }

    /// The results of a test case between two moments, newest first.
    pub async fn test_results(
        &self,
        test: &str,
        since: i64,
        until: i64,
        deadline: Instant,
    ) -> Result<Vec<TestResult>, CatalogError> {
        let entries = match self {
            Self::Live(client) => {
                let what = format!("the results of {test}");
                let name = fqn::path_segment(test);
                let (start, end) = (since.to_string(), until.to_string());
                let range = [("startTs", start.as_str()), ("endTs", end.as_str())];
                let path = format!("dataQuality/testCases/testCaseResults/{name}");
                let answer = listing::within(deadline, "results", client.get(&path, &range)).await;
                let answer = match answer {
                    // Before 1.6 or so.
                    Err(CatalogError::Unsupported { .. }) => {
                        let path = format!("dataQuality/testCases/{name}/testCaseResult");
                        listing::within(deadline, "results", client.get(&path, &range)).await?
                    }
                    answer => answer?,
                };
                listing::read(answer, &what)?
            }
            Self::Snapshot(snapshot) => listing::entries(
                snapshot
                    .document(Kind::TestResults, test)?
                    .unwrap_or_default(),
            ),
        };
        let mut results: Vec<TestResult> = entries
            .iter()
            .filter_map(super::test_result)
            .filter(|result| (since..=until).contains(&result.at))
            .collect();
        results.sort_by_key(|result| std::cmp::Reverse(result.at));
        Ok(results)
    }

    /// The states of the incidents of a scope between two moments.
    ///
    /// Filtering by state is an error on 1.12.6, so all are read and the caller picks.
    pub async fn incidents(
        &self,
        scope: &Scope,
        since: i64,
        until: i64,
        deadline: Instant,
    ) -> Result<Incidents, CatalogError> {
        let listing = match self {
            Self::Live(client) => {
                let (start, end) = (since.to_string(), until.to_string());
                let range = [("startTs", start.as_str()), ("endTs", end.as_str())];
                let of_table = scope
                    .target()
                    .filter(|target| target.entity_type.as_str() == "table");
                let mut query = match of_table {
                    Some(table) => vec![("originEntityFQN", table.fqn.as_str())],
                    None => vec![("latest", "true")],
                };
                query.extend(range);
                let path = "dataQuality/testCases/testCaseIncidentStatus";
                match listing::all(client, path, &query, Paging::Offset, deadline).await {
                    // Before 1.3 or so.
                    Err(CatalogError::Unsupported { .. }) => return Ok(Incidents::Unsupported),
                    listing => listing?,
                }
            }
            Self::Snapshot(snapshot) => {
                let documents = snapshot.documents(Kind::Incidents)?;
                // A copy of a server says whether it looked; none then is an answer.
                let has_looked = snapshot.head().part(Part::Incidents).at().is_some();
                if documents.is_empty() && !has_looked {
                    return Ok(Incidents::Unsupported);
                }
                Listing {
                    items: documents
                        .into_iter()
                        .flat_map(|(_, states)| listing::entries(states))
                        .collect(),
                    cut: None,
                }
            }
        };
        let (mut states, cut) = listing.parsed(super::incident);
        states.retain(|incident| {
            scope.holds(&incident.test) && (since..=until).contains(&incident.at)
        });
        states.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.test.cmp(&b.test)));
        Ok(Incidents::Known { states, cut })
    }

    /// Brings the incident of a test into another state. `now`: what is read back ends there.
    pub async fn update_incident(
        &self,
        test: &str,
        resolution: &Resolution,
    ) -> Result<Incident, CatalogError> {
        let Self::Live(client) = self else {
            return Err(super::super::changes::read_only());
        };
        let mut body = json!({
            "testCaseReference": test,
            "testCaseResolutionStatusType": resolution.state().wire_name(),
        });
        let details = match resolution {
            Resolution::Acknowledged => None,
            Resolution::Assigned { assignee } => {
                Some(json!({"assignee": {"id": assignee, "type": "user"}}))
            }
            Resolution::Resolved { reason, comment } => Some(json!({
                "testCaseFailureReason": reason,
                "testCaseFailureComment": comment,
            })),
        };
        if let Some(details) = details {
            body["testCaseResolutionStatusDetails"] = details;
        }
        let answer = client
            .write(Write {
                method: Method::Post,
                path: "dataQuality/testCases/testCaseIncidentStatus",
                query: &[],
                body: Some(&body),
                content_type: None,
                if_match: None,
            })
            .await?;
        super::incident(&answer).ok_or_else(|| CatalogError::BadUpstream {
            message: "OpenMetadata did not answer with the state of the incident".into(),
        })
    }
}

/// Failing first, never run before success.
fn order(case: &TestCase) -> u8 {
    match case.status {
        Some(TestStatus::Failed) => 0,
        Some(TestStatus::Aborted) => 1,
        Some(TestStatus::Queued) => 2,
        None => 3,
        Some(TestStatus::Success) => 4,
    }
}

async fn live_cases(
    client: &Client,
    scope: &Scope,
    deadline: Instant,
) -> Result<Listing, CatalogError> {
    let path = "dataQuality/testCases";
    // The field of the incident exists since incidents do; the status stood in the result alone
    // before (1.2.0 has it so, 1.12.6 the other way).
    let is_old = client.version().await? < Version::new(1, 4, 0);
    let fields = (
        "fields",
        if is_old {
            "testCaseResult"
        } else {
            "incidentId"
        },
    );
    match scope.target() {
        Some(target) if target.entity_type.as_str() == "testCase" => {
            let path = format!("{path}/name/{}", fqn::path_segment(&target.fqn));
            let query = [fields];
            let case = listing::within(deadline, "the test case", client.get(&path, &query));
            Ok(Listing {
                items: vec![case.await?],
                cut: None,
            })
        }
        Some(target) if target.entity_type.as_str() == "table" => {
            let link = format!("<#E::table::{}>", target.fqn);
            let query = [
                ("entityLink", link.as_str()),
                ("includeAllTests", "true"),
                fields,
            ];
            listing::all(client, path, &query, Paging::After, deadline).await
        }
        _ => listing::all(client, path, &[fields], Paging::After, deadline).await,
    }
}

fn snapshot_cases(snapshot: &Snapshot) -> Result<Listing, CatalogError> {
    let mut items = Vec::new();
    for (key, mut case) in snapshot.documents(Kind::TestCase)? {
        if case.get("testCaseResult").is_none_or(Value::is_null)
            && let Some(results) = snapshot.document(Kind::TestResults, &key)?
            && let Some(last) = listing::entries(results).into_iter().next()
        {
            case["testCaseResult"] = last;
        }
        items.push(case);
    }
    Ok(Listing { items, cut: None })
}

/// Results of all failing tests, by FQN of the test.
async fn failed_by_search(
    client: &Client,
    deadline: Instant,
) -> Result<HashMap<String, TestResult>, CatalogError> {
    let query = [
        ("testCaseStatus", "Failed"),
        ("limit", "500"),
        ("offset", "0"),
        ("fields", "testDefinition"),
    ];
    let path = "dataQuality/testCases/search/list";
    let answer = listing::within(deadline, "failing tests", client.get(path, &query)).await?;
    Ok(listing::entries(answer)
        .iter()
        .filter_map(super::test_case)
        .filter_map(|case| Some((case.fqn, case.last?)))
        .collect())
}
