//! Finds the one entity that a reference names, or says why there is none.
//!
//! Upper and lower case differ: OpenMetadata's search does not see that, so what it returns is
//! compared here.

mod index;
mod stored;

use futures::future::join_all;
use serde_json::{Value, json};

use super::{
    Catalog, Client,
    error::CatalogError,
    fqn,
    model::{EntitySummary, EntityType, Name, Reference},
    reading,
    snapshot::Kind,
    wire,
};

use index::{near_live, search, search_exact, words_of};
use stored::{find_in_snapshot, near_in_snapshot};

/// An entity as OpenMetadata writes it, with the type that it does not write.
pub(super) struct Found {
    pub entity_type: EntityType,
    pub document: Value,
}

/// How much of the entity is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// What `EntitySummary` holds: a search document will do.
    Summary,
    /// The whole entity.
    Whole,
}

impl Catalog {
    /// The entity that this names, exact to the letter.
    ///
    /// Errors: `NotFound` with near matches, `Deleted`, `Ambiguous` where two types share the
    /// name, and what else keeps us from looking (`Unavailable`, `Unauthorized`, …).
    pub async fn resolve(&self, reference: &Reference) -> Result<EntitySummary, CatalogError> {
        let found = self.find(reference, Depth::Summary).await?;
        wire::summary(&found.document, Some(&found.entity_type)).ok_or_else(|| {
            CatalogError::BadUpstream {
                message: format!("what OpenMetadata has as {} has no name", reference.written),
            }
        })
    }

    /// Names that the caller may have meant; none where that cannot be told.
    pub(super) async fn near(&self, reference: &Reference) -> Vec<String> {
        match self {
            Self::Live(client) => near_live(client, reference).await,
            Self::Snapshot(snapshot) => near_in_snapshot(snapshot, reference).unwrap_or_default(),
        }
    }

    /// Entities of these types with this display name, whatever the case.
    pub(super) async fn with_display_name(
        &self,
        display_name: &str,
        types: &[&str],
    ) -> Result<Vec<Found>, CatalogError> {
        let mut found = match self {
            Self::Live(client) => {
                let clause = json!({"terms": {"entityType": types}});
                let words = words_of(display_name);
                if words.is_empty() {
                    return Ok(Vec::new());
                }
                match search(client, &words, Some(clause), false).await {
                    Ok(hits) => hits,
                    Err(error) if error.is_search_trouble() => Vec::new(),
                    Err(error) => return Err(error),
                }
            }
            Self::Snapshot(snapshot) => {
                let mut found = Vec::new();
                for name in snapshot.names(Kind::Entity)? {
                    for (entity_type, document) in snapshot.documents_named(Kind::Entity, &name)? {
                        if types.contains(&entity_type.as_str()) {
                            found.push(Found {
                                entity_type: EntityType::new(entity_type),
                                document,
                            });
                        }
                    }
                }
                found
            }
        };
        let wanted = display_name.to_lowercase();
        found.retain(|hit| {
            types.contains(&hit.entity_type.as_str())
                && text_of(&hit.document, "displayName")
                    .is_some_and(|display| display.to_lowercase() == wanted)
        });
        Ok(found)
    }

    /// The summary of an entity whose type is known, read from the database and not the search
    /// index.
    pub(super) async fn read_summary(
        &self,
        reference: &Reference,
    ) -> Result<EntitySummary, CatalogError> {
        let (Self::Live(client), Some(entity_type)) = (self, &reference.entity_type) else {
            return self.resolve(reference).await;
        };
        let found = reading::read(client, entity_type, &reference.name, Depth::Summary).await?;
        wire::summary(&found.document, Some(entity_type)).ok_or_else(|| CatalogError::BadUpstream {
            message: format!("what OpenMetadata has as {} has no name", reference.written),
        })
    }

    pub(super) async fn find(
        &self,
        reference: &Reference,
        depth: Depth,
    ) -> Result<Found, CatalogError> {
        match self {
            Self::Live(client) => find_live(client, reference, depth).await,
            Self::Snapshot(snapshot) => find_in_snapshot(snapshot, reference),
        }
    }
}

/// Summaries come out of the search index: one small call whatever the type, and the only one that
/// sees two types under one name. Whole entities come from the database. What the index does not
/// have (yet) the database is asked for, before it is called missing.
async fn find_live(
    client: &Client,
    reference: &Reference,
    depth: Depth,
) -> Result<Found, CatalogError> {
    // Four parts are a table more often than not: one call instead of two.
    let likely = reference.entity_type.clone().or_else(|| {
        matches!(&reference.name, Name::Fqn(name) if fqn::parts(name).len() == 4)
            .then(|| EntityType::new("table"))
    });
    let mut has_searched = false;
    if depth == Depth::Summary {
        match search_exact(client, &reference.name, false).await {
            Ok(hits) => {
                has_searched = true;
                if let Some(hit) = only_one(hits, reference)? {
                    return Ok(hit);
                }
            }
            Err(error) if error.is_search_trouble() && likely.is_none() => {
                return without_search(client, reference, depth, None).await;
            }
            Err(error) if error.is_search_trouble() => {}
            Err(error) => return Err(error),
        }
    }
    if let Some(entity_type) = &likely {
        match reading::read(client, entity_type, &reference.name, depth).await {
            Err(CatalogError::NotFound { .. }) if has_searched => {
                return Err(missing_live(client, reference, likely.as_ref()).await);
            }
            Err(CatalogError::NotFound { .. }) if reference.entity_type.is_some() => {
                return Err(missing_live(client, reference, likely.as_ref()).await);
            }
            Err(CatalogError::NotFound { .. }) => {}
            read => return read,
        }
    } else if depth == Depth::Summary {
        return not_in_index(client, reference, depth, None).await;
    }
    let hits = match search_exact(client, &reference.name, false).await {
        Ok(hits) => hits,
        Err(error) if error.is_search_trouble() => {
            return without_search(client, reference, depth, likely.as_ref()).await;
        }
        Err(error) => return Err(error),
    };
    let Some(hit) = only_one(hits, reference)? else {
        return not_in_index(client, reference, depth, likely.as_ref()).await;
    };
    let name = text_of(&hit.document, "fullyQualifiedName")
        .map_or_else(|| reference.name.clone(), Name::Fqn);
    match reading::read(client, &hit.entity_type, &name, depth).await {
        // The index can be behind: deleted, but found.
        Err(CatalogError::NotFound { .. }) => {
            Err(missing_live(client, reference, Some(&hit.entity_type)).await)
        }
        read => read,
    }
}

/// Old servers do not index every type (1.2.0: no services, no domains): there the database is
/// asked. Newer ones index all, soon after it is made.
async fn not_in_index(
    client: &Client,
    reference: &Reference,
    depth: Depth,
    already_asked: Option<&EntityType>,
) -> Result<Found, CatalogError> {
    let indexes_all = reading::owner_field(client.version().await?) == "owners";
    if !indexes_all
        && already_asked.is_none()
        && let Some(found) = find_by_shape(client, reference, depth, already_asked).await?
    {
        return Ok(found);
    }
    Err(missing_live(client, reference, already_asked).await)
}

/// The one hit of the type that was asked for; none; or `Ambiguous`.
fn only_one(hits: Vec<Found>, reference: &Reference) -> Result<Option<Found>, CatalogError> {
    let mut hits: Vec<Found> = hits
        .into_iter()
        .filter(|hit| {
            reference
                .entity_type
                .as_ref()
                .is_none_or(|wanted| *wanted == hit.entity_type)
        })
        .collect();
    if let [hit] = hits.as_slice()
        && wire::is_deleted(&hit.document)
    {
        return Err(gone(reference, hit));
    }
    if hits.len() > 1 {
        return Err(ambiguous(
            reference,
            hits.iter().map(|hit| &hit.entity_type),
        ));
    }
    Ok(hits.pop())
}

/// Search does not answer: what the database says of names of this shape, and what that leaves
/// open.
async fn without_search(
    client: &Client,
    reference: &Reference,
    depth: Depth,
    already_asked: Option<&EntityType>,
) -> Result<Found, CatalogError> {
    if let Some(found) = find_by_shape(client, reference, depth, already_asked).await? {
        return Ok(found);
    }
    let asked: Vec<&str> = already_asked
        .map(EntityType::as_str)
        .into_iter()
        .chain(
            types_of_shape(&reference.name)
                .iter()
                .copied()
                .filter(|name| already_asked.is_none_or(|asked| asked.as_str() != *name)),
        )
        .collect();
    Err(CatalogError::Unavailable {
        message: format!(
            "could not look for {} everywhere: the search of OpenMetadata does not answer. It is \
             none of: {}. Where its type is known, name it as type:fqn",
            reference.written,
            asked.join(", ")
        ),
    })
}

fn types_of_shape(name: &Name) -> &'static [&'static str] {
    match name {
        Name::Fqn(name) => Reference::likely_types(name),
        // Ids say nothing of the type: those that most entities have.
        Name::Id(_) => &[
            "table",
            "dashboard",
            "pipeline",
            "topic",
            "container",
            "chart",
            "mlmodel",
            "searchIndex",
            "databaseSchema",
            "database",
            "user",
            "team",
        ],
    }
}

/// Asks the collections whose names have this shape.
async fn find_by_shape(
    client: &Client,
    reference: &Reference,
    depth: Depth,
    already_asked: Option<&EntityType>,
) -> Result<Option<Found>, CatalogError> {
    let types: Vec<EntityType> = types_of_shape(&reference.name)
        .iter()
        .map(|name| EntityType::new(*name))
        .filter(|name| Some(name) != already_asked)
        .collect();
    let reads = join_all(
        types
            .iter()
            .map(|entity_type| reading::read(client, entity_type, &reference.name, depth)),
    )
    .await;
    let mut found = Vec::new();
    let mut failure = None;
    for read in reads {
        match read {
            Ok(hit) => found.push(hit),
            Err(CatalogError::NotFound { .. } | CatalogError::Unsupported { .. }) => {}
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    if let (true, Some(error)) = (found.is_empty(), failure) {
        return Err(error);
    }
    if found.len() > 1 {
        return Err(ambiguous(
            reference,
            found.iter().map(|hit| &hit.entity_type),
        ));
    }
    Ok(found.pop())
}

/// Why nothing of this name is there: deleted, or misspelt.
async fn missing_live(
    client: &Client,
    reference: &Reference,
    read_as: Option<&EntityType>,
) -> CatalogError {
    let deleted = match read_as {
        Some(entity_type) => reading::read_deleted(client, entity_type, &reference.name)
            .await
            .ok(),
        None => search_exact(client, &reference.name, true)
            .await
            .ok()
            .and_then(|hits| hits.into_iter().next()),
    };
    if let Some(deleted) = deleted {
        return gone(reference, &deleted);
    }
    not_found(reference, near_live(client, reference).await)
}

fn not_found(reference: &Reference, did_you_mean: Vec<String>) -> CatalogError {
    let what = match &reference.entity_type {
        Some(entity_type) => format!("{entity_type} {}", bare(reference)),
        None => reference.written.clone(),
    };
    CatalogError::NotFound { what, did_you_mean }
}

fn gone(reference: &Reference, hit: &Found) -> CatalogError {
    CatalogError::Deleted {
        what: format!("{} {}", hit.entity_type, bare(reference)),
    }
}

fn ambiguous<'a>(
    reference: &Reference,
    types: impl Iterator<Item = &'a EntityType>,
) -> CatalogError {
    let mut candidates: Vec<String> = types
        .map(|entity_type| format!("{entity_type}:{}", bare(reference)))
        .collect();
    candidates.sort();
    CatalogError::Ambiguous {
        what: reference.written.clone(),
        candidates,
    }
}

fn bare(reference: &Reference) -> &str {
    match &reference.name {
        Name::Fqn(name) => name,
        Name::Id(id) => id,
    }
}

fn text_of(document: &Value, field: &str) -> Option<String> {
    wire::text(document, field)
}
