//! Asks the catalog what lies below the datasets that services carry.

use std::time::Instant;

use super::{Carried, Hurt};
use crate::catalog::{
    Catalog, CatalogError, Reference,
    graph::{Direction, NodeIndex, walk::walk},
    lineage::{Lineage, Reach},
};

/// What is hurt where these datasets are. A dataset that the catalog cannot tell of is missed,
/// and said to be; the error is that of a catalog which is away.
pub async fn hurt_by(
    catalog: &Catalog,
    carried: Vec<Carried>,
    deadline: Instant,
) -> Result<Hurt, CatalogError> {
    let (lineages, missed) = lineages_of(catalog, &carried, deadline).await?;
    Ok(Hurt::of(carried, &lineages, missed))
}

/// What lies in and below these datasets, one lineage each; and what could not be looked at.
pub async fn lineages_of(
    catalog: &Catalog,
    carried: &[Carried],
    deadline: Instant,
) -> Result<(Vec<Lineage>, Vec<String>), CatalogError> {
    let mut lineages = Vec::new();
    let mut missed = Vec::new();
    let mut datasets: Vec<&str> = carried
        .iter()
        .map(|carried| carried.dataset.as_str())
        .collect();
    datasets.dedup();
    for dataset in datasets {
        match below(catalog, dataset, deadline).await {
            Ok(lineage) => lineages.push(lineage),
            Err(error @ (CatalogError::Unavailable { .. } | CatalogError::Timeout { .. })) => {
                return Err(error);
            }
            Err(error) => missed.push(format!("{dataset}: {error}")),
        }
    }
    Ok((lineages, missed))
}

/// Everything in and below a dataset, with owners.
async fn below(
    catalog: &Catalog,
    dataset: &str,
    deadline: Instant,
) -> Result<Lineage, CatalogError> {
    let reference = Reference::parse(dataset)?;
    let entity = catalog.resolve(&reference).await?;
    let mut lineage = catalog.all_downstream_of(&entity, deadline).await?;
    let reached: Vec<NodeIndex> = walk(
        &lineage.graph,
        &lineage.origin,
        Direction::Downstream,
        Reach::EVERYTHING,
    )
    .visits
    .iter()
    .map(|visit| visit.node)
    .collect();
    // Those that stay unread are counted as such.
    catalog.add_owners(&mut lineage, &reached, deadline).await;
    Ok(lineage)
}
