//! Collects what happened from everything in a catalog that remembers.

use std::time::Instant;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::Value;

use super::{Change, ChangeKind, copies};
use crate::{
    answer::time,
    catalog::{
        Catalog, CatalogError, EntityType,
        client::Client,
        fqn, listing,
        quality::{Incidents, TestCase},
        scope::{Scope, Target},
        snapshot::{Difference, Kind, Of, Snapshot},
    },
};

/// What is asked for.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub scope: &'a Scope,
    pub kinds: &'a [ChangeKind],
    /// Milliseconds since 1970.
    pub since: i64,
    pub until: i64,
    /// A copy of this catalog that may be shown to who asks: it knows what changed between copies.
    pub copy: Option<&'a Snapshot>,
}

/// What happened, what was looked at, and what could not be.
#[derive(Debug, Default)]
pub struct Timeline {
    /// Newest first.
    pub changes: Vec<Change>,
    pub looked_at: Vec<String>,
    pub missed: Vec<String>,
    /// What this catalog does not have at all.
    pub absent: Vec<String>,
}

impl Timeline {
    /// Two timelines as one: each thing once, the newest first.
    pub fn add(&mut self, other: Timeline) {
        self.changes.extend(other.changes);
        self.changes
            .sort_by_key(|change| std::cmp::Reverse(change.at));
        for (all, more) in [
            (&mut self.looked_at, other.looked_at),
            (&mut self.missed, other.missed),
            (&mut self.absent, other.absent),
        ] {
            for one in more {
                if !all.contains(&one) {
                    all.push(one);
                }
            }
        }
    }
}

/// Change events have no pages and 3 KB each: no window is longer.
const LONGEST_EVENTS: i64 = 7 * time::DAY;
/// Tests whose results are read, each by a request.
const MOST_TESTS: usize = 60;
/// Ingestion pipelines whose runs are read.
const MOST_PIPELINES: usize = 60;
/// Differences between copies that are read.
const MOST_DIFFERENCES: usize = 2_000;
const AT_ONCE: usize = 6;

impl Catalog {
    /// Everything that happened in a scope, as far as the deadline allows.
    pub async fn changes(&self, asked: Asked<'_>, deadline: Instant) -> Timeline {
        let wants = |kinds: &[ChangeKind]| kinds.iter().any(|kind| asked.kinds.contains(kind));
        let wants_events = wants(&[ChangeKind::Schema, ChangeKind::Entity]);
        let (events, versions, tests, incidents, runs) = futures::join!(
            only_if(wants_events, self.events(asked, deadline)),
            only_if(wants_events, self.version_changes(asked, deadline)),
            only_if(
                wants(&[ChangeKind::Test]),
                self.test_changes(asked, deadline)
            ),
            only_if(
                wants(&[ChangeKind::Incident]),
                self.incident_changes(asked, deadline)
            ),
            only_if(
                wants(&[ChangeKind::Ingestion]),
                self.failed_ingestion(asked, deadline)
            ),
        );
        let mut all = Timeline::default();
        let told: Vec<Change> = [&events, &versions]
            .into_iter()
            .flat_map(|part| part.changes.iter().cloned())
            .collect();
        let copies = if wants_events || wants(&[ChangeKind::Lineage]) {
            self.between_copies(asked, &told)
        } else {
            Timeline::default()
        };
        for part in [events, versions, tests, incidents, runs, copies] {
            all.changes.extend(part.changes);
            all.looked_at.extend(part.looked_at);
            all.missed.extend(part.missed);
            all.absent.extend(part.absent);
        }
        all.changes
            .retain(|change| asked.kinds.contains(&change.kind));
        all.changes = super::merged(all.changes, asked.since, asked.until);
        all
    }

    async fn events(&self, asked: Asked<'_>, deadline: Instant) -> Timeline {
        let mut part = Timeline::default();
        let since = asked.since.max(asked.until - LONGEST_EVENTS);
        let events = match self {
            Self::Live(client) => live_events(client, since, deadline).await,
            Self::Snapshot(snapshot) => snapshot
                .documents(Kind::Event)
                .map(|events| events.into_iter().map(|(_, event)| event).collect()),
        };
        match events {
            Ok(events) => {
                part.looked_at.push(match self {
                    Self::Live(_) => format!("change events back to {}", time::text(since)),
                    Self::Snapshot(_) => format!("the {} change events in this copy", events.len()),
                });
                if since > asked.since {
                    part.missed.push(format!(
                        "change events before {} (the window of events is 7 days at most)",
                        time::text(since)
                    ));
                }
                part.changes = events
                    .iter()
                    .flat_map(super::of_event)
                    // The status of tests is read from their results.
                    .filter(|change| change.kind != ChangeKind::Test)
                    .filter(|change| asked.scope.holds(&change.subject))
                    .collect();
            }
            Err(error) => part.missed.push(format!("change events: {error}")),
        }
        part
    }

    /// What changed between copies, as far as events and versions did not tell it.
    fn between_copies(&self, asked: Asked<'_>, told: &[Change]) -> Timeline {
        let mut part = Timeline::default();
        let copy = match self {
            Self::Snapshot(snapshot) => Some(&**snapshot),
            Self::Live(_) => asked.copy,
        };
        let Some((copy, known_since)) =
            copy.and_then(|copy| Some((copy, copy.head().changes_since?)))
        else {
            if asked.kinds.contains(&ChangeKind::Lineage) {
                part.absent.push(match copy {
                    None => "lineage that came or went is known from copies alone, and none was \
                             taken (`openpolicy-mcp sync`) that this call may see"
                        .into(),
                    Some(_) => "lineage that came or went is known from the comparison of copies, \
                                and this is the only one so far"
                        .into(),
                });
            }
            return part;
        };
        let known_since = known_since.as_millisecond();
        part.looked_at.push(format!(
            "copies compared from {} to {}",
            time::text(known_since),
            time::text(copy.as_of().as_millisecond())
        ));
        let wants_lineage = asked.kinds.contains(&ChangeKind::Lineage);
        if known_since > asked.since && wants_lineage {
            part.missed.push(format!(
                "lineage that came or went before {}: no copies were compared",
                time::text(known_since)
            ));
        }
        match differences(copy, asked) {
            Ok((found, left)) => {
                if left > 0 {
                    part.missed.push(format!(
                        "{left} older differences between copies: name an entity or a shorter time"
                    ));
                }
                part.changes = copies::of_differences(&found, told, asked.until);
            }
            Err(error) => part
                .missed
                .push(format!("differences between copies: {error}")),
        }
        part
    }

    async fn version_changes(&self, asked: Asked<'_>, deadline: Instant) -> Timeline {
        let mut part = Timeline::default();
        // Versions are read entity by entity; of a service its events tell.
        let Some(target) = asked.scope.target().filter(|target| !target.is_service()) else {
            return part;
        };
        match self.versions(target, deadline).await {
            Ok(Some(versions)) => {
                part.looked_at.push(format!(
                    "{} versions of the {}",
                    versions.len(),
                    target.entity_type
                ));
                part.changes = versions
                    .iter()
                    .flat_map(|version| super::of_version(version, target.entity_type.as_str()))
                    .filter(|change| change.kind != ChangeKind::Test)
                    .collect();
            }
            Ok(None) => part.missed.push("versions: not in this copy".into()),
            Err(error) => part.missed.push(format!("versions: {error}")),
        }
        part
    }

    /// The versions of an entity, newest first. None where this copy has none of it.
    pub async fn versions(
        &self,
        target: &Target,
        deadline: Instant,
    ) -> Result<Option<Vec<Value>>, CatalogError> {
        match self {
            Self::Live(client) => {
                let collection = collection(&target.entity_type)?;
                let path = format!("{collection}/{}/versions", fqn::path_segment(&target.id));
                let answer = client.get(&path, &[]);
                let answer = listing::within(deadline, "versions", answer).await?;
                match answer {
                    Value::Object(mut fields) => match fields.remove("versions") {
                        Some(Value::Array(versions)) => Ok(Some(versions)),
                        _ => Err(listing::no_list("the versions")),
                    },
                    _ => Err(listing::no_list("the versions")),
                }
            }
            Self::Snapshot(snapshot) => Ok(snapshot
                .document(Kind::Versions, &target.fqn)?
                .map(listing::entries)),
        }
    }

    async fn test_changes(&self, asked: Asked<'_>, deadline: Instant) -> Timeline {
        let mut part = Timeline::default();
        let cases = match self.test_cases(asked.scope, deadline).await {
            Ok(found) => {
                part.missed
                    .extend(found.cut.map(|cut| format!("some tests: {cut}")));
                found.cases
            }
            Err(error) => {
                part.missed.push(format!("tests: {error}"));
                return part;
            }
        };
        let ran: Vec<TestCase> = cases
            .into_iter()
            .filter(|case| case.status.is_some())
            .collect();
        if ran.len() > MOST_TESTS {
            part.missed.push(format!(
                "the results of {} of {} tests: name an entity",
                ran.len() - MOST_TESTS,
                ran.len()
            ));
        }
        // A result before the window tells what the first one in it changed.
        let since = asked.since - 7 * time::DAY;
        let mut read = 0;
        let mut answers = stream::iter(ran.into_iter().take(MOST_TESTS))
            .map(|case| async move {
                let results = self
                    .test_results(&case.fqn, since, asked.until, deadline)
                    .await;
                (case.fqn, results)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((test, results)) = answers.next().await {
            match results {
                Ok(results) => {
                    read += 1;
                    part.changes.extend(super::of_results(&test, &results));
                }
                Err(error) => part.missed.push(format!("results of {test}: {error}")),
            }
        }
        drop(answers);
        part.looked_at.push(format!("results of {read} tests"));
        part
    }

    async fn incident_changes(&self, asked: Asked<'_>, deadline: Instant) -> Timeline {
        let mut part = Timeline::default();
        match self
            .incidents(asked.scope, asked.since, asked.until, deadline)
            .await
        {
            Ok(Incidents::Known { states, cut }) => {
                let is_table = asked
                    .scope
                    .target()
                    .is_some_and(|target| target.entity_type.as_str() == "table");
                part.looked_at.push(if is_table {
                    "incidents".into()
                } else {
                    // All states are asked for of one table only.
                    "the newest state of each incident".into()
                });
                part.missed
                    .extend(cut.map(|cut| format!("some incidents: {cut}")));
                part.changes = states.iter().map(super::of_incident).collect();
            }
            Ok(Incidents::Unsupported) => {
                part.absent.push(match self {
                    Self::Live(_) => "this version of OpenMetadata has no incidents".into(),
                    Self::Snapshot(_) => "this copy holds no incidents".into(),
                });
            }
            Err(error) => part.missed.push(format!("incidents: {error}")),
        }
        part
    }

    /// Failed runs of the ingestion pipelines of the scope, or of the service that it lies in.
    async fn failed_ingestion(&self, asked: Asked<'_>, deadline: Instant) -> Timeline {
        let mut part = Timeline::default();
        let service = asked.scope.target().and_then(|target| {
            let service = fqn::parts(&target.fqn).into_iter().next()?;
            Some(fqn::joined(&[service]))
        });
        let pipelines = match self.ingestion_pipelines(&Scope::Everything, deadline).await {
            Ok((pipelines, cut)) => {
                part.missed
                    .extend(cut.map(|cut| format!("some ingestion pipelines: {cut}")));
                pipelines
            }
            Err(error) => {
                part.missed.push(format!("ingestion pipelines: {error}"));
                return part;
            }
        };
        let of_service: Vec<_> = pipelines
            .into_iter()
            .filter(|pipeline| {
                service
                    .as_ref()
                    .is_none_or(|name| pipeline.service == *name)
            })
            .collect();
        if of_service.len() > MOST_PIPELINES {
            part.missed.push(format!(
                "the runs of {} of {} ingestion pipelines: name a service",
                of_service.len() - MOST_PIPELINES,
                of_service.len()
            ));
        }
        let mut read = 0;
        let mut answers = stream::iter(of_service.into_iter().take(MOST_PIPELINES))
            .map(|pipeline| async move {
                let runs = self
                    .ingestion_runs(&pipeline.fqn, asked.since, asked.until, deadline)
                    .await;
                (pipeline.fqn, runs)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((pipeline, runs)) = answers.next().await {
            match runs {
                Ok(runs) => {
                    read += 1;
                    part.changes.extend(super::of_runs(&pipeline, &runs));
                }
                Err(error) => part.missed.push(format!("runs of {pipeline}: {error}")),
            }
        }
        drop(answers);
        part.looked_at
            .push(format!("runs of {read} ingestion pipelines"));
        part
    }
}

/// The differences of the scope in this time, and how many older ones are left.
fn differences(
    copy: &Snapshot,
    asked: Asked<'_>,
) -> Result<(Vec<Difference>, usize), CatalogError> {
    let time = |moment| Timestamp::from_millisecond(moment).unwrap_or_default();
    let (since, until) = (time(asked.since), time(asked.until));
    let Some(target) = asked.scope.target() else {
        let found = copy.differences(Of::Everything, since, until, MOST_DIFFERENCES)?;
        let left = found.total - found.rows.len();
        return Ok((found.rows, left));
    };
    // What lies below it, and the edges that begin at it.
    let below = copy.differences(Of::Below(&target.fqn), since, until, MOST_DIFFERENCES)?;
    let mut left = below.total - below.rows.len();
    let mut all = below.rows;
    let own = copy.differences(Of::Entity(&target.fqn), since, until, MOST_DIFFERENCES)?;
    left += own.total - own.rows.len();
    all.extend(
        own.rows
            .into_iter()
            .filter(|difference| !asked.scope.holds(&difference.fqn)),
    );
    Ok((all, left))
}

/// Boxed: five of them side by side would not fit a thread's stack.
async fn only_if(wanted: bool, part: impl Future<Output = Timeline> + Send) -> Timeline {
    if wanted {
        Box::pin(part).await
    } else {
        Timeline::default()
    }
}

/// Created, updated, deleted; what was restored is asked for apart, as recorded.
async fn live_events(
    client: &Client,
    since: i64,
    deadline: Instant,
) -> Result<Vec<Value>, CatalogError> {
    let since = since.to_string();
    let changed = [
        ("entityCreated", "*"),
        ("entityUpdated", "*"),
        ("entityDeleted", "*"),
        ("timestamp", since.as_str()),
    ];
    let restored = [("entityRestored", "*"), ("timestamp", since.as_str())];
    let (changed, restored) = futures::join!(
        listing::within(deadline, "events", client.get("events", &changed)),
        listing::within(deadline, "events", client.get("events", &restored)),
    );
    let mut events = listing::read(changed?, "the events")?;
    events.extend(listing::read(restored?, "the events of what was restored")?);
    Ok(events)
}

fn collection(entity_type: &EntityType) -> Result<&'static str, CatalogError> {
    entity_type
        .collection()
        .ok_or_else(|| CatalogError::Unsupported {
            message: format!("a {entity_type} has no versions"),
        })
}
