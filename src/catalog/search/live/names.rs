//! Looks names up in the search index of a running OpenMetadata: exact ones, and those alike.

use super::{Ask, page};
use crate::catalog::{
    CatalogError, Client, EntitySummary, EntityType,
    search::filter::{Dialect, called_or_alike},
    search::text::{folded, nearest},
    search::{FilterName, Filters, Named, Question},
};

/// Everything whose name is this one, whatever its case: the engine does not mind it. And how many
/// parts of the index failed.
pub(super) async fn called_exactly(
    client: &Client,
    question: &Question,
    fqn: &str,
) -> Result<(Vec<EntitySummary>, u64), CatalogError> {
    let mut must = vec![serde_json::json!({"term": {"fullyQualifiedName": fqn}})];
    if !question.types.is_empty() {
        let types: Vec<&str> = question.types.iter().map(EntityType::as_str).collect();
        must.push(serde_json::json!({"terms": {"entityType": types}}));
    }
    let filter = serde_json::json!({"query": {"bool": {"must": must}}}).to_string();
    summaries(client, &filter, 10, question.deleted).await
}

/// Entities of these types whose names begin alike, and how many parts of the index failed.
pub(super) async fn alike(
    client: &Client,
    types: &[&str],
    name: &str,
) -> Result<(Vec<EntitySummary>, u64), CatalogError> {
    summaries(client, &called_or_alike(types, name), 100, false).await
}

/// `all` and no words: a filter means the same on every version there.
async fn summaries(
    client: &Client,
    filter: &str,
    size: u64,
    deleted: bool,
) -> Result<(Vec<EntitySummary>, u64), CatalogError> {
    let dialect = Dialect::of(client.version().await?);
    let question = Question {
        filters: Filters::default(),
        deleted,
        ..Question::default()
    };
    let ask = Ask {
        index: "all",
        words: "*",
        filter: Some(filter),
        sort: None,
        from: 0,
        size,
    };
    let page = page(client, &question, &dialect, &ask).await?;
    let entities = page.hits.into_iter().map(|(_, hit)| hit.entity).collect();
    Ok((entities, page.failed_shards))
}

/// Whether the thing that a filter names exists. One call, made only where nothing was found.
pub async fn named(client: &Client, filter: &FilterName) -> Named {
    const SERVICES: &[&str] = &[
        "databaseService",
        "dashboardService",
        "messagingService",
        "pipelineService",
        "mlmodelService",
        "storageService",
        "searchService",
        "apiService",
        "metadataService",
    ];
    let types: &[&str] = match filter.argument {
        "owner" => &["user", "team"],
        "domain" => &["domain"],
        "term" => &["glossaryTerm"],
        "tags" => &["tag", "glossaryTerm"],
        "tier" => &["tag"],
        "service" => SERVICES,
        _ => return Named::Unclear,
    };
    let last = crate::catalog::fqn::parts(&filter.name)
        .pop()
        .unwrap_or_default();
    // A user's name holds dots, a tag's FQN does.
    let name = match filter.argument {
        "owner" | "service" => filter.name.as_str(),
        _ => &last,
    };
    let Ok((found, failed_shards)) = alike(client, types, name).await else {
        return Named::Unclear;
    };
    let wanted = folded(&filter.name);
    let is_called_so = |entity: &EntitySummary| {
        [
            Some(&entity.name),
            Some(&entity.fqn),
            entity.display_name.as_ref(),
        ]
        .into_iter()
        .flatten()
        .any(|name| folded(name) == wanted)
    };
    if found.iter().any(is_called_so) {
        return Named::Known;
    }
    // It may be in what failed.
    if failed_shards > 0 {
        return Named::Unclear;
    }
    let pairs = found.iter().flat_map(|entity| {
        let shown = match filter.argument {
            "owner" | "service" => entity.name.as_str(),
            _ => entity.fqn.as_str(),
        };
        [
            Some((entity.name.as_str(), shown)),
            entity.display_name.as_deref().map(|name| (name, shown)),
        ]
        .into_iter()
        .flatten()
    });
    Named::Unknown(nearest(name, pairs, 3))
}
