//! Finds the ingestion pipeline that an argument names.

use std::{collections::BTreeSet, time::Instant};

use super::{ErrorCode, ToolError, arguments};
use crate::catalog::{Catalog, ingestion::IngestionPipeline, scope::Scope};

/// The pipeline of this FQN, id or name (a name alone where only one service has it).
pub async fn named(
    catalog: &Catalog,
    written: &str,
    deadline: Instant,
) -> Result<IngestionPipeline, ToolError> {
    let (all, cut) = catalog
        .ingestion_pipelines(&Scope::Everything, deadline)
        .await?;
    pick(&all, written, cut.as_deref())
}

fn pick(
    all: &[IngestionPipeline],
    written: &str,
    cut: Option<&str>,
) -> Result<IngestionPipeline, ToolError> {
    let name = written.trim();
    let name = name
        .strip_prefix("ingestionPipeline:")
        .unwrap_or(name)
        .trim();
    let exact = |pipeline: &&IngestionPipeline| pipeline.fqn == name || pipeline.id == name;
    if let Some(found) = all.iter().find(exact) {
        return Ok(found.clone());
    }
    let of_name: Vec<&IngestionPipeline> = all.iter().filter(|one| one.name == name).collect();
    match of_name[..] {
        [one] => Ok(one.clone()),
        [] => {
            let by_fqn = arguments::near(name, all.iter().map(|one| one.fqn.as_str()));
            // Few people write the service before it.
            let by_name = arguments::near(name, all.iter().map(|one| one.name.as_str()));
            let mut near_ones: Vec<String> = all
                .iter()
                .filter(|one| by_name.contains(&one.name))
                .map(|one| one.fqn.clone())
                .chain(by_fqn)
                .collect();
            let mut seen = BTreeSet::new();
            near_ones.retain(|fqn| seen.insert(fqn.clone()));
            near_ones.truncate(5);
            let error = ToolError::new(
                ErrorCode::NotFound,
                match cut {
                    None => format!("there is no ingestion pipeline {}", arguments::quoted(name)),
                    Some(cut) => format!(
                        "no ingestion pipeline {} was found among those looked at: {cut}",
                        arguments::quoted(name)
                    ),
                },
            );
            Err(error
                .about("pipeline")
                .did_you_mean(near_ones)
                .then("get_ingestion without arguments lists them"))
        }
        _ => Err(ToolError::new(
            ErrorCode::Ambiguous,
            format!(
                "{} ingestion pipelines are named {}",
                of_name.len(),
                arguments::quoted(name)
            ),
        )
        .about("pipeline")
        .did_you_mean(of_name.iter().map(|one| one.fqn.clone()).collect())
        .then("name one of them by its FQN")),
    }
}
