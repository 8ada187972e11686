//! Asks a catalog for ingestion pipelines and runs, and controls them.

use std::time::Instant;

use serde_json::Value;

use crate::catalog::{
    Catalog, CatalogError, changes,
    client::{Method, Write},
    fqn,
    listing::{self, Listing, Paging},
    scope::Scope,
    snapshot::Kind,
};

use super::{IngestionPipeline, PipelineClient, Run};

/// What can be done to an ingestion pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlAction {
    Run,
    Stop,
    /// Enable a disabled one, disable an enabled one.
    Toggle,
}

/// What OpenMetadata made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlOutcome {
    Done,
    /// There is no pipeline client: nothing happened, though the answer was HTTP 200.
    Disabled {
        said: String,
    },
    /// The client answered with a fault.
    Refused {
        said: String,
    },
}

const COLLECTION: &str = "services/ingestionPipelines";

impl Catalog {
    /// The ingestion pipelines of a scope (a service, one pipeline, everything), by name, with
    /// their last runs. `cut`: why these are not all.
    pub async fn ingestion_pipelines(
        &self,
        scope: &Scope,
        deadline: Instant,
    ) -> Result<(Vec<IngestionPipeline>, Option<String>), CatalogError> {
        let listing = match self {
            Self::Live(client) => {
                let fields = ("fields", "pipelineStatuses");
                match scope.target() {
                    Some(target) if target.entity_type.as_str() == "ingestionPipeline" => {
                        let path = format!("{COLLECTION}/name/{}", fqn::path_segment(&target.fqn));
                        let query = [fields];
                        let one = client.get(&path, &query);
                        Listing {
                            items: vec![listing::within(deadline, "the pipeline", one).await?],
                            cut: None,
                        }
                    }
                    Some(target) if target.is_service() => {
                        let query = [("service", target.fqn.as_str()), fields];
                        listing::all(client, COLLECTION, &query, Paging::After, deadline).await?
                    }
                    _ => {
                        listing::all(client, COLLECTION, &[fields], Paging::After, deadline).await?
                    }
                }
            }
            Self::Snapshot(snapshot) => Listing {
                items: snapshot
                    .documents(Kind::IngestionPipeline)?
                    .into_iter()
                    .map(|(_, pipeline)| pipeline)
                    .collect(),
                cut: None,
            },
        };
        let (mut pipelines, cut) = listing.parsed(super::pipeline);
        pipelines.retain(|pipeline| scope.holds(&pipeline.fqn) || scope.holds(&pipeline.service));
        pipelines.sort_by(|a, b| a.fqn.cmp(&b.fqn));
        Ok((pipelines, cut))
    }

    /// Runs of an ingestion pipeline that began between two moments, newest first.
    pub async fn ingestion_runs(
        &self,
        pipeline: &str,
        since: i64,
        until: i64,
        deadline: Instant,
    ) -> Result<Vec<Run>, CatalogError> {
        let path = format!(
            "{COLLECTION}/{}/pipelineStatus",
            fqn::path_segment(pipeline)
        );
        self.runs(
            Kind::IngestionRuns,
            pipeline,
            &path,
            (since, until),
            deadline,
        )
        .await
    }

    /// Runs of a pipeline entity (a DAG, a job) that began between two moments, newest first.
    pub async fn pipeline_runs(
        &self,
        pipeline: &str,
        since: i64,
        until: i64,
        deadline: Instant,
    ) -> Result<Vec<Run>, CatalogError> {
        let path = format!("pipelines/{}/status", fqn::path_segment(pipeline));
        self.runs(
            Kind::PipelineRuns,
            pipeline,
            &path,
            (since, until),
            deadline,
        )
        .await
    }

    async fn runs(
        &self,
        kind: Kind,
        name: &str,
        path: &str,
        (since, until): (i64, i64),
        deadline: Instant,
    ) -> Result<Vec<Run>, CatalogError> {
        let entries = match self {
            Self::Live(client) => {
                // Without a range 1.2.0 fails and 1.12.6 gives the newest five.
                let (start, end) = (since.to_string(), until.to_string());
                let range = [("startTs", start.as_str()), ("endTs", end.as_str())];
                let answer = listing::within(deadline, "runs", client.get(path, &range)).await?;
                listing::read(answer, &format!("the runs of {name}"))?
            }
            Self::Snapshot(snapshot) => {
                listing::entries(snapshot.document(kind, name)?.unwrap_or_default())
            }
        };
        let mut runs: Vec<Run> = entries
            .iter()
            .filter_map(super::run)
            .filter(|run| (since..=until).contains(&run.started))
            .collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.started));
        Ok(runs)
    }

    /// How the service is that runs ingestion pipelines.
    pub async fn pipeline_client(&self, deadline: Instant) -> PipelineClient {
        match self {
            Self::Live(client) => {
                let path = format!("{COLLECTION}/status");
                let answer = client.get(&path, &[]);
                match listing::within(deadline, "the pipeline client", answer).await {
                    Ok(answer) => super::client_state(&answer),
                    Err(error) => PipelineClient::NotLooked {
                        why: error.to_string(),
                    },
                }
            }
            Self::Snapshot(_) => PipelineClient::NotLooked {
                why: "a local copy runs nothing".into(),
            },
        }
    }

    /// Runs, stops or toggles an ingestion pipeline. `id`: of the pipeline.
    pub async fn control_ingestion(
        &self,
        id: &str,
        action: ControlAction,
    ) -> Result<ControlOutcome, CatalogError> {
        let Self::Live(client) = self else {
            return Err(changes::read_only());
        };
        let verb = match action {
            ControlAction::Run => "trigger",
            ControlAction::Stop => "kill",
            ControlAction::Toggle => "toggleIngestion",
        };
        let path = format!("{COLLECTION}/{verb}/{}", fqn::path_segment(id));
        let answer = client
            .write(Write {
                method: Method::Post,
                path: &path,
                query: &[],
                body: None,
                content_type: None,
                if_match: None,
            })
            .await?;
        Ok(outcome(&answer))
    }
}

/// What the answer to an order means. A toggle that worked answers with the pipeline.
fn outcome(answer: &Value) -> ControlOutcome {
    if answer.get("fullyQualifiedName").is_some() || answer.is_null() {
        return ControlOutcome::Done;
    }
    match super::client_state(answer) {
        PipelineClient::Healthy => ControlOutcome::Done,
        PipelineClient::Disabled { said } => ControlOutcome::Disabled { said },
        PipelineClient::Unhealthy { said } | PipelineClient::NotLooked { why: said } => {
            ControlOutcome::Refused { said }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn http_200_is_not_yet_done() {
        let disabled = json!({"code": 200, "reason": "Pipeline Client Disabled"});
        assert!(matches!(
            outcome(&disabled),
            ControlOutcome::Disabled { .. }
        ));
        assert!(matches!(
            outcome(&json!("Pipeline Client Disabled")),
            ControlOutcome::Disabled { .. }
        ));
        assert!(matches!(
            outcome(&json!({"code": 500, "reason": "no"})),
            ControlOutcome::Refused { .. }
        ));
        assert_eq!(
            outcome(&json!({"code": 200, "platform": "Airflow"})),
            ControlOutcome::Done
        );
        assert_eq!(
            outcome(&json!({"fullyQualifiedName": "pg.m"})),
            ControlOutcome::Done
        );
    }
}
