//! Reads what happened: results of tests, incidents, runs.

use futures::{StreamExt, stream};
use jiff::ToSpan;
use serde_json::Value;

use super::{
    Mode, SyncError,
    copy::Copy,
    lists::{AT_ONCE, End},
    plan,
    trim::trimmed,
};
use crate::catalog::{
    CatalogError, fqn, listing,
    model::EntityType,
    snapshot::{
        Kind,
        draft::{Batch, Document},
    },
    wire,
};

/// A list for each entity of a type.
struct Series {
    /// As what the lists are kept.
    kind: Kind,
    /// Whose they are: kind and type of their documents.
    of: (Kind, &'static str),
    /// What in that document changes when something new came.
    tells: &'static [&'static str],
    stage: &'static str,
    /// Below `/api/v1`, `{}` for the FQN; the second where the first is not known.
    paths: &'static [&'static str],
}

const RESULTS: Series = Series {
    kind: Kind::TestResults,
    of: (Kind::TestCase, "testCase"),
    tells: &[
        "$.testCaseStatus",
        "$.testCaseResult",
        "$.version",
        "$.updatedAt",
    ],
    stage: "results of tests",
    paths: &[
        "dataQuality/testCases/testCaseResults/{}",
        // Before 1.6 or so.
        "dataQuality/testCases/{}/testCaseResult",
    ],
};

const INGESTION_RUNS: Series = Series {
    kind: Kind::IngestionRuns,
    of: (Kind::IngestionPipeline, "ingestionPipeline"),
    tells: &["$.pipelineStatuses"],
    stage: "runs of ingestion pipelines",
    paths: &["services/ingestionPipelines/{}/pipelineStatus"],
};

const PIPELINE_RUNS: Series = Series {
    kind: Kind::PipelineRuns,
    of: (Kind::Entity, "pipeline"),
    tells: &["$.pipelineStatus"],
    stage: "runs of pipelines",
    paths: &["pipelines/{}/status"],
};

const INCIDENTS: &str = "incidents";
const INCIDENT_PATH: &str = "dataQuality/testCases/testCaseIncidentStatus";

impl Copy<'_> {
    /// Test cases with their results. False where this server has none to tell of.
    pub async fn tests(&mut self) -> Result<bool, SyncError> {
        if self.entities(&EntityType::new("testCase")).await? != End::Whole {
            return Ok(false);
        }
        self.series(&RESULTS).await?;
        Ok(true)
    }

    /// Ingestion pipelines with their runs, and runs of pipelines.
    pub async fn runs(&mut self) -> Result<bool, SyncError> {
        let end = self.entities(&EntityType::new("ingestionPipeline")).await?;
        if end == End::Whole {
            self.series(&INGESTION_RUNS).await?;
        }
        self.series(&PIPELINE_RUNS).await?;
        Ok(end == End::Whole)
    }

    async fn series(&mut self, series: &'static Series) -> Result<(), SyncError> {
        if self.mode == Mode::Incremental {
            self.writer
                .run(|draft| draft.carry_lists(series.kind, series.of, series.tells))
                .await?;
        }
        let (mut done, total) = self
            .writer
            .run(|draft| {
                Ok((
                    draft.count_all(series.kind)?,
                    draft.count(series.of.0, series.of.1)?,
                ))
            })
            .await?;
        let since = self
            .as_of
            .checked_sub((plan::SERIES_DAYS * 24).hours())
            .unwrap_or(self.as_of)
            .as_millisecond()
            .to_string();
        let until = jiff::Timestamp::now().as_millisecond().to_string();
        let mut after = String::new();
        loop {
            let from = after.clone();
            let some = self
                .writer
                .run(move |draft| {
                    let (kind, name) = series.of;
                    draft.lacking(kind, series.kind, name, &from, AT_ONCE * 8)
                })
                .await?;
            let Some(last) = some.last() else {
                return Ok(());
            };
            after.clone_from(&last.fqn);
            let read = some.len() as u64;
            let mut documents = Vec::new();
            let source = &self.source;
            let (since, until) = (since.as_str(), until.as_str());
            let mut answers = stream::iter(some.into_iter().map(|entity| async move {
                let name = fqn::path_segment(&entity.fqn);
                let query = [("startTs", since), ("endTs", until)];
                let mut answer = Err(CatalogError::Unsupported {
                    message: String::new(),
                });
                for path in series.paths {
                    if matches!(answer, Err(CatalogError::Unsupported { .. })) {
                        answer = source.ask(&path.replace("{}", &name), &query).await;
                    }
                }
                let entries = answer.and_then(|answer| listing::read(answer, series.stage));
                (entity.fqn, entries)
            }))
            .buffer_unordered(AT_ONCE);
            let mut refused = None;
            while let Some((key, answer)) = answers.next().await {
                match answer {
                    Ok(entries) => documents.push(Document {
                        kind: series.kind,
                        key,
                        entity_type: String::new(),
                        body: entries.into_iter().map(trimmed).collect::<Vec<_>>().into(),
                    }),
                    // Deleted since it was listed.
                    Err(CatalogError::NotFound { .. }) => {}
                    Err(
                        error @ (CatalogError::Forbidden { .. } | CatalogError::Unsupported { .. }),
                    ) => {
                        refused = Some(error);
                    }
                    Err(error) => {
                        return Err(SyncError::Catalog {
                            stage: format!("{} ({key})", series.stage),
                            error,
                        });
                    }
                }
            }
            drop(answers);
            done += read;
            self.tell(series.stage, done, Some(total));
            self.writer
                .write(Batch {
                    documents,
                    ..Batch::default()
                })
                .await?;
            if let Some(error) = refused {
                let what = format!("{} could not be read: {error}", series.stage);
                return self.odd(series.stage, what).await;
            }
        }
    }

    /// The newest state of each incident. False where this server has none to tell of.
    pub async fn incidents(&mut self) -> Result<bool, SyncError> {
        if !self.source.version.has_incidents() {
            return Ok(false);
        }
        let note = self.writer.note(INCIDENTS).await?;
        if let Some(end) = note.as_deref().and_then(|note| note.strip_prefix("done ")) {
            return Ok(end == "true");
        }
        let mut cursor = note;
        let until = jiff::Timestamp::now().as_millisecond().to_string();
        let size = self.options.page.to_string();
        let mut read = 0;
        let is_known = loop {
            let mut query = vec![
                ("latest", "true"),
                ("startTs", "0"),
                ("endTs", until.as_str()),
                ("limit", size.as_str()),
            ];
            // Time series take the cursor of the next page as `offset` (OpenAPI of 1.12.6).
            query.extend(cursor.as_deref().map(|cursor| ("offset", cursor)));
            let answer = match self.source.ask(INCIDENT_PATH, &query).await {
                Ok(answer) => answer,
                Err(CatalogError::Unsupported { .. }) => break false,
                Err(CatalogError::Forbidden { message }) => {
                    self.odd(INCIDENTS, format!("incidents could not be read: {message}"))
                        .await?;
                    break false;
                }
                Err(error) => {
                    return Err(SyncError::Catalog {
                        stage: INCIDENTS.into(),
                        error,
                    });
                }
            };
            let total = answer.pointer("/paging/total").and_then(Value::as_u64);
            let next = answer
                .get("paging")
                .and_then(|paging| wire::text(paging, "after"));
            let entries = listing::read(answer, INCIDENTS).map_err(|error| SyncError::Catalog {
                stage: INCIDENTS.into(),
                error,
            })?;
            let is_empty = entries.is_empty();
            read += entries.len() as u64;
            self.tell(INCIDENTS, read, total);
            let is_last = is_empty
                || next.is_none()
                || next == cursor
                || total.is_some_and(|total| read >= total);
            let mut batch = by_test(entries);
            batch
                .notes
                .extend(next.clone().map(|next| (INCIDENTS.to_owned(), next)));
            self.writer.write(batch).await?;
            if is_last {
                break true;
            }
            cursor = next;
        };
        self.writer
            .set_note(INCIDENTS, &format!("done {is_known}"))
            .await?;
        Ok(is_known)
    }
}

fn by_test(entries: Vec<Value>) -> Batch {
    let mut batch = Batch::default();
    for entry in entries {
        let Some(test) = entry
            .get("testCaseReference")
            .and_then(|test| wire::text(test, "fullyQualifiedName"))
        else {
            continue;
        };
        let entry = trimmed(entry);
        match batch
            .appended
            .iter_mut()
            .find(|(_, known, _)| *known == test)
        {
            Some((_, _, entries)) => entries.push(entry),
            None => batch.appended.push((Kind::Incidents, test, vec![entry])),
        }
    }
    batch
}
