//! Collects what is wrong on and upstream of an entity.

use std::time::Instant;

use futures::{StreamExt, stream};

use super::{
    Cause, CauseKind,
    surroundings::{Around, Placed},
};
use crate::{
    answer::time,
    catalog::{
        Catalog, CatalogError,
        changes::{self, Asked, ChangeKind},
        quality::{TestCase, TestStatus},
        scope::{Scope, Target, is_at_or_below},
    },
};

/// What was found, what was looked at, and what could not be.
#[derive(Debug, Default)]
pub struct Investigation {
    /// The likeliest first.
    pub causes: Vec<Cause>,
    /// What is known to be wrong with what was asked about.
    pub symptom: Option<Symptom>,
    pub looked_at: LookedAt,
    pub missed: Vec<String>,
    /// What the reader has to know besides.
    pub notes: Vec<String>,
}

/// The failing test that was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symptom {
    pub test: String,
    pub since: Option<i64>,
    pub evidence: String,
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LookedAt {
    /// Entities upstream, the one that was asked about with them.
    pub entities: usize,
    /// Tests on them.
    pub tests: usize,
    /// Ingestion pipelines of their services.
    pub ingestion_pipelines: usize,
    /// Pipelines that write them.
    pub pipelines: usize,
    /// Entities whose versions were read; change events tell of the others.
    pub versions: usize,
    /// Hops upstream.
    pub hops: u32,
}

const AT_ONCE: usize = 6;
const MOST_TESTS: usize = 40;
const MOST_PIPELINES: usize = 40;
const MOST_VERSIONS: usize = 10;
/// How far back runs and results are read.
const LOOK_BACK: i64 = 14 * time::DAY;

impl Catalog {
    /// Looks for what may be wrong on and upstream of the target. `since`: from when on schema
    /// changes count. Errors only where the target itself could not be looked at.
    pub async fn root_cause(
        &self,
        target: &Target,
        since: i64,
        now: i64,
        deadline: Instant,
    ) -> Result<Investigation, CatalogError> {
        let mut found = Investigation::default();
        let tests = match self.test_cases(&Scope::Everything, deadline).await {
            Ok(listed) => {
                found
                    .missed
                    .extend(listed.cut.map(|cut| format!("some tests: {cut}")));
                Some(listed.cases)
            }
            Err(error) => {
                found.missed.push(format!("tests: {error}"));
                None
            }
        };
        let cases = tests.unwrap_or_default();
        let starts = Box::pin(self.starts(target, &cases, &mut found, deadline)).await?;
        let around = Box::pin(self.around(target, &starts, &mut found, deadline)).await;
        found.looked_at.entities = around.entities.len();

        let (tests, pipelines, ingestion, schema) = futures::join!(
            Box::pin(self.failing_tests(target, &around, &cases, now, deadline)),
            Box::pin(self.failed_pipelines(&around, now, deadline)),
            Box::pin(self.troubled_ingestion(&around, now, deadline)),
            Box::pin(self.schema_changes(&around, since, now, deadline)),
        );
        let mut causes: Vec<Cause> = deleted(&around, target);
        for part in [tests, pipelines, ingestion, schema] {
            causes.extend(part.causes);
            found.missed.extend(part.missed);
            found.notes.extend(part.notes);
            found.looked_at.tests += part.looked_at.tests;
            found.looked_at.pipelines += part.looked_at.pipelines;
            found.looked_at.ingestion_pipelines += part.looked_at.ingestion_pipelines;
            found.looked_at.versions += part.looked_at.versions;
        }
        // A test that was asked about is what is to be explained, not why.
        let is_asked = |cause: &Cause| {
            cause.kind == CauseKind::FailingTest
                && target.entity_type.as_str() == "testCase"
                && cause.subject == target.fqn
        };
        let first_failure = causes
            .iter()
            .filter(|cause| cause.kind == CauseKind::FailingTest && cause.distance == 0)
            .filter(|cause| target.entity_type.as_str() != "testCase" || is_asked(cause))
            .filter_map(|cause| cause.since)
            .min();
        found.symptom = causes
            .iter()
            .find(|cause| is_asked(cause))
            .map(|cause| Symptom {
                test: cause.subject.clone(),
                since: cause.since,
                evidence: cause.evidence.clone(),
            });
        causes.retain(|cause| !is_asked(cause));
        found.causes = super::ranked(causes, first_failure);
        Ok(found)
    }

    async fn failing_tests(
        &self,
        target: &Target,
        around: &Around,
        cases: &[TestCase],
        now: i64,
        deadline: Instant,
    ) -> Investigation {
        let mut part = Investigation::default();
        let mut failing = Vec::new();
        for case in cases {
            let distance = match around.entities.get(&case.entity) {
                Some(placed) => placed.distance,
                None if target.is_service() && is_at_or_below(&case.entity, &target.fqn) => 0,
                None => continue,
            };
            part.looked_at.tests += 1;
            if matches!(case.status, Some(TestStatus::Failed | TestStatus::Aborted)) {
                failing.push((distance, case.clone()));
            }
        }
        // What was asked about first: it is cut never.
        failing.sort_by_key(|(distance, case)| (case.fqn != target.fqn, *distance));
        if failing.len() > MOST_TESTS {
            part.missed.push(format!(
                "the results of {} of {} failing tests, the farthest",
                failing.len() - MOST_TESTS,
                failing.len()
            ));
        }
        let mut answers = stream::iter(failing.into_iter().take(MOST_TESTS))
            .map(|(distance, case)| async move {
                let results = self
                    .test_results(&case.fqn, now - LOOK_BACK, now, deadline)
                    .await;
                (distance, case, results)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((distance, case, results)) = answers.next().await {
            let cause = match results {
                Ok(results) => super::of_test(&case.fqn, distance, &results),
                Err(error) => {
                    part.missed
                        .push(format!("results of {}: {error}", case.fqn));
                    None
                }
            };
            // It fails, even if its results were not read or are older.
            part.causes.push(cause.unwrap_or_else(|| Cause {
                kind: CauseKind::FailingTest,
                subject: case.fqn.clone(),
                distance,
                since: case.last.as_ref().map(|last| last.at),
                evidence: match case.last.as_ref().and_then(|last| last.text.clone()) {
                    Some(text) => text,
                    None => case.status.map_or("fails", |status| status.as_str()).into(),
                },
            }));
        }
        drop(answers);
        part
    }

    async fn failed_pipelines(
        &self,
        around: &Around,
        now: i64,
        deadline: Instant,
    ) -> Investigation {
        let mut part = Investigation::default();
        let mut pipelines: Vec<(u32, String)> = around
            .pipelines
            .iter()
            .map(|(name, distance)| (*distance, name.clone()))
            .collect();
        pipelines.sort_unstable();
        if pipelines.len() > MOST_PIPELINES {
            part.missed.push(format!(
                "the runs of {} of {} pipelines, the farthest",
                pipelines.len() - MOST_PIPELINES,
                pipelines.len()
            ));
        }
        let mut answers = stream::iter(pipelines.into_iter().take(MOST_PIPELINES))
            .map(|(distance, name)| async move {
                let runs = self
                    .pipeline_runs(&name, now - LOOK_BACK, now, deadline)
                    .await;
                (name, distance, runs)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((name, distance, runs)) = answers.next().await {
            match runs {
                Ok(runs) => {
                    part.looked_at.pipelines += 1;
                    part.causes
                        .extend(super::of_pipeline(&name, distance, &runs));
                }
                Err(error) => part.missed.push(format!("runs of {name}: {error}")),
            }
        }
        drop(answers);
        part
    }

    async fn troubled_ingestion(
        &self,
        around: &Around,
        now: i64,
        deadline: Instant,
    ) -> Investigation {
        let mut part = Investigation::default();
        let listed = match self.ingestion_pipelines(&Scope::Everything, deadline).await {
            Ok((listed, cut)) => {
                part.missed
                    .extend(cut.map(|cut| format!("some ingestion pipelines: {cut}")));
                listed
            }
            Err(error) => {
                part.missed.push(format!("ingestion pipelines: {error}"));
                return part;
            }
        };
        let concerned: Vec<_> = listed
            .into_iter()
            .filter_map(|pipeline| Some((*around.services.get(&pipeline.service)?, pipeline)))
            .collect();
        if concerned.len() > MOST_PIPELINES {
            part.missed.push(format!(
                "the runs of {} of {} ingestion pipelines",
                concerned.len() - MOST_PIPELINES,
                concerned.len()
            ));
        }
        let mut answers = stream::iter(concerned.into_iter().take(MOST_PIPELINES))
            .map(|(distance, pipeline)| async move {
                let runs = self
                    .ingestion_runs(&pipeline.fqn, now - LOOK_BACK, now, deadline)
                    .await;
                (distance, pipeline, runs)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((distance, pipeline, runs)) = answers.next().await {
            match runs {
                // One that never ran brings nothing that could have become wrong.
                Ok(runs) if runs.is_empty() && pipeline.last.is_none() => {
                    part.looked_at.ingestion_pipelines += 1;
                }
                Ok(runs) => {
                    part.looked_at.ingestion_pipelines += 1;
                    part.causes
                        .extend(super::of_ingestion(&pipeline, distance, &runs, now));
                }
                Err(error) => part
                    .missed
                    .push(format!("runs of {}: {error}", pipeline.fqn)),
            }
        }
        drop(answers);
        part
    }

    /// Change events tell of all at once, for a week at most; versions of the nearest reach back
    /// farther.
    async fn schema_changes(
        &self,
        around: &Around,
        since: i64,
        now: i64,
        deadline: Instant,
    ) -> Investigation {
        let mut part = Investigation::default();
        let asked = Asked {
            scope: &Scope::Everything,
            kinds: &[ChangeKind::Schema],
            since,
            until: now,
            copy: None,
        };
        let timeline = Box::pin(self.changes(asked, deadline)).await;
        part.missed.extend(timeline.missed);
        let mut changed = timeline.changes;

        let mut nearest: Vec<(&String, &Placed)> = around.entities.iter().collect();
        nearest.sort_by_key(|(name, placed)| (placed.distance, *name));
        let targets: Vec<Target> = nearest
            .into_iter()
            .filter(|(_, placed)| {
                !placed.id.is_empty() && placed.entity_type.collection().is_some()
            })
            .take(MOST_VERSIONS)
            .map(|(name, placed)| Target {
                entity_type: placed.entity_type.clone(),
                fqn: name.clone(),
                id: placed.id.clone(),
            })
            .collect();
        let mut answers = stream::iter(targets)
            .map(|target| async move {
                let versions = self.versions(&target, deadline).await;
                (target, versions)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((target, versions)) = answers.next().await {
            match versions {
                Ok(Some(versions)) => {
                    part.looked_at.versions += 1;
                    let entity_type = target.entity_type.as_str();
                    changed.extend(
                        versions
                            .iter()
                            .flat_map(|version| changes::of_version(version, entity_type)),
                    );
                }
                // A copy has versions of few.
                Ok(None) => {}
                Err(error) => part
                    .missed
                    .push(format!("versions of {}: {error}", target.fqn)),
            }
        }
        drop(answers);
        part.causes = changes::merged(changed, since, now)
            .into_iter()
            .filter(|change| change.kind == ChangeKind::Schema)
            .filter_map(|change| {
                let placed = around.entities.get(&change.subject)?;
                let by = change.by.map(|by| format!(" by {by}")).unwrap_or_default();
                Some(Cause {
                    kind: CauseKind::SchemaChange,
                    subject: change.subject,
                    distance: placed.distance,
                    since: Some(change.at),
                    evidence: format!("{}{by}", change.what),
                })
            })
            .collect();
        part
    }
}

/// What is deleted and still has something downstream.
fn deleted(around: &Around, target: &Target) -> Vec<Cause> {
    around
        .entities
        .iter()
        .filter(|(name, placed)| placed.is_deleted && **name != target.fqn)
        .map(|(name, placed)| Cause {
            kind: CauseKind::DeletedEntity,
            subject: name.clone(),
            distance: placed.distance,
            since: None,
            evidence: format!("the {} is deleted in the catalog", placed.entity_type),
        })
        .collect()
}
