//! Finds the one entity that a reference names, or says why there is none.
//!
//! Upper and lower case differ: OpenMetadata's search does not see that, so what it returns is
//! compared here.

use futures::future::join_all;
use serde_json::{Value, json};

use super::{
    Catalog, Client, Snapshot,
    error::CatalogError,
    fqn,
    model::{EntitySummary, EntityType, Name, Reference},
    near::near_names,
    reading,
    snapshot::Kind,
    wire,
};

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
                    Err(error) if is_search_trouble(&error) => Vec::new(),
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
    if depth == Depth::Summary {
        match search_exact(client, &reference.name, false).await {
            Ok(hits) => {
                if let Some(hit) = only_one(hits, reference)? {
                    return Ok(hit);
                }
            }
            Err(error) if is_search_trouble(&error) && likely.is_none() => {
                return find_by_shape(client, reference, depth, None).await;
            }
            Err(error) if is_search_trouble(&error) => {}
            Err(error) => return Err(error),
        }
    }
    if let Some(entity_type) = &likely {
        match reading::read(client, entity_type, &reference.name, depth).await {
            Err(CatalogError::NotFound { .. }) if depth == Depth::Summary => {
                return Err(missing_live(client, reference, likely.as_ref()).await);
            }
            Err(CatalogError::NotFound { .. }) if reference.entity_type.is_some() => {
                return Err(missing_live(client, reference, likely.as_ref()).await);
            }
            Err(CatalogError::NotFound { .. }) => {}
            read => return read,
        }
    } else if depth == Depth::Summary {
        return Err(missing_live(client, reference, None).await);
    }
    let hits = match search_exact(client, &reference.name, false).await {
        Ok(hits) => hits,
        Err(error) if is_search_trouble(&error) => {
            return find_by_shape(client, reference, depth, likely.as_ref()).await;
        }
        Err(error) => return Err(error),
    };
    let Some(hit) = only_one(hits, reference)? else {
        return Err(missing_live(client, reference, likely.as_ref()).await);
    };
    let name = text_of(&hit.document, "fullyQualifiedName")
        .map_or_else(|| reference.name.clone(), Name::Fqn);
    reading::read(client, &hit.entity_type, &name, depth).await
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
    if hits.len() > 1 {
        return Err(ambiguous(
            reference,
            hits.iter().map(|hit| &hit.entity_type),
        ));
    }
    Ok(hits.pop())
}

/// Where search does not answer: asks the collections whose names have this shape.
async fn find_by_shape(
    client: &Client,
    reference: &Reference,
    depth: Depth,
    already_asked: Option<&EntityType>,
) -> Result<Found, CatalogError> {
    let types: Vec<EntityType> = match &reference.name {
        Name::Fqn(name) => Reference::likely_types(name).to_vec(),
        // Ids say nothing of the type: those that most entities have.
        Name::Id(_) => vec![
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
    .into_iter()
    .map(EntityType::new)
    .filter(|name| Some(name) != already_asked)
    .collect();
    let reads = join_all(
        types
            .iter()
            .map(|entity_type| reading::read(client, entity_type, &reference.name, depth)),
    )
    .await;
    let mut found = Vec::new();
    for read in reads {
        match read {
            Ok(hit) => found.push(hit),
            Err(CatalogError::NotFound { .. } | CatalogError::Unsupported { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    if found.len() > 1 {
        return Err(ambiguous(
            reference,
            found.iter().map(|hit| &hit.entity_type),
        ));
    }
    found.pop().ok_or_else(|| {
        let mut asked: Vec<&str> = already_asked.into_iter().map(EntityType::as_str).collect();
        asked.extend(types.iter().map(EntityType::as_str));
        CatalogError::Unavailable {
            message: format!(
                "could not look for {} everywhere: the search of OpenMetadata does not answer. \
                 It is no {}; where its type is known, name it as type:fqn",
                reference.written,
                asked.join(", ")
            ),
        }
    })
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

/// Search documents whose FQN or id is this one, letter by letter.
async fn search_exact(
    client: &Client,
    name: &Name,
    is_deleted: bool,
) -> Result<Vec<Found>, CatalogError> {
    let (clause, wanted) = match name {
        Name::Fqn(name) => (json!({"term": {"fullyQualifiedName": name}}), name),
        Name::Id(id) => (json!({"term": {"id.keyword": id}}), id),
    };
    let mut hits = search(client, "*", Some(clause), is_deleted).await?;
    let field = match name {
        Name::Fqn(_) => "fullyQualifiedName",
        Name::Id(_) => "id",
    };
    hits.retain(|hit| hit.document.get(field).and_then(Value::as_str) == Some(wanted.as_str()));
    Ok(hits)
}

/// Names that the caller may have meant. Best effort: no answer is no suggestion.
async fn near_live(client: &Client, reference: &Reference) -> Vec<String> {
    let Name::Fqn(written) = &reference.name else {
        return Vec::new();
    };
    // Other cases and forgotten quotes first: the index finds them by their whole name.
    let mut candidates = vec![written.clone()];
    candidates.extend(quoted_forms(written));
    let clause = json!({"terms": {"fullyQualifiedName": candidates}});
    let mut hits = search(client, "*", Some(clause), false)
        .await
        .unwrap_or_default();
    if hits.is_empty() {
        let words = words_of(fqn::parts(written).last().map_or("", String::as_str));
        if !words.is_empty() {
            hits = search(client, &words, None, false)
                .await
                .unwrap_or_default();
        }
    }
    let names: Vec<String> = hits
        .iter()
        .filter_map(|hit| text_of(&hit.document, "fullyQualifiedName"))
        .collect();
    near_names(written, names.iter().map(String::as_str))
}

async fn search(
    client: &Client,
    words: &str,
    clause: Option<Value>,
    is_deleted: bool,
) -> Result<Vec<Found>, CatalogError> {
    let filter = clause.map(|clause| json!({"query": {"bool": {"must": [clause]}}}).to_string());
    let mut query = vec![
        ("q", words),
        // Everything: `dataAsset` knows no services, users and teams, and old servers not it.
        ("index", "all"),
        ("from", "0"),
        ("size", "10"),
        ("include_aggregations", "false"),
        ("track_total_hits", "true"),
    ];
    if is_deleted {
        query.push(("deleted", "true"));
    }
    if let Some(filter) = &filter {
        query.push(("query_filter", filter));
    }
    let version = client.version().await?;
    let fields = [
        "fullyQualifiedName",
        "name",
        "displayName",
        "entityType",
        "description",
        "service",
        "tier",
        reading::owner_field(version),
        "tags",
        reading::domain_field(version),
        "deleted",
        "serviceType",
        "id",
    ];
    query.extend(fields.map(|field| ("include_source_fields", field)));
    let answer = client.get("search/query", &query).await?;
    let hits: Vec<Found> = answer
        .pointer("/hits/hits")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|hit| {
            let document = hit.get("_source")?.clone();
            let entity_type = EntityType::new(text_of(&document, "entityType")?);
            Some(Found {
                entity_type,
                document,
            })
        })
        .collect();
    let failed_shards = answer
        .pointer("/_shards/failed")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    if hits.is_empty() && failed_shards > 0 {
        return Err(CatalogError::Unavailable {
            message: format!("{failed_shards} parts of OpenMetadata's search index failed"),
        });
    }
    Ok(hits)
}

/// Search itself is the trouble, not the caller.
fn is_search_trouble(error: &CatalogError) -> bool {
    matches!(
        error,
        CatalogError::Unavailable { .. }
            | CatalogError::BadUpstream { .. }
            | CatalogError::Unsupported { .. }
            | CatalogError::Timeout { .. }
            | CatalogError::Invalid { .. }
    )
}

/// The name with neighbouring parts put into one quoted part: a dot that belongs to a name.
fn quoted_forms(written: &str) -> Vec<String> {
    const MOST: usize = 30;
    let parts = fqn::parts(written);
    let mut forms = Vec::new();
    for length in 2..=parts.len() {
        for start in (0..=parts.len() - length).rev() {
            let mut form: Vec<String> = parts[..start].to_vec();
            form.push(parts[start..start + length].join("."));
            form.extend_from_slice(&parts[start + length..]);
            forms.push(fqn::joined(&form));
            if forms.len() == MOST {
                return forms;
            }
        }
    }
    forms
}

/// Letters and digits alone: nothing that means something to a query parser.
fn words_of(text: &str) -> String {
    let spaced: String = text
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || c == '_' {
                c
            } else {
                ' '
            }
        })
        .collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn find_in_snapshot(snapshot: &Snapshot, reference: &Reference) -> Result<Found, CatalogError> {
    let mut found: Vec<Found> = Vec::new();
    for (kind, type_of_kind) in SNAPSHOT_KINDS {
        for (document_type, document) in documents_of(snapshot, *kind, &reference.name)? {
            let entity_type = EntityType::new(
                text_of(&document, "entityType")
                    .or_else(|| (!document_type.is_empty()).then_some(document_type))
                    .unwrap_or_else(|| (*type_of_kind).to_owned()),
            );
            let is_asked = reference
                .entity_type
                .as_ref()
                .is_none_or(|wanted| *wanted == entity_type);
            let is_new = found.iter().all(|hit| hit.entity_type != entity_type);
            if is_asked && is_new && !entity_type.as_str().is_empty() {
                found.push(Found {
                    entity_type,
                    document,
                });
            }
        }
    }
    let (mut alive, deleted): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|hit| !is_deleted(&hit.document));
    match (alive.len(), deleted.first()) {
        (0, Some(hit)) => Err(gone(reference, hit)),
        (0, None) => Err(not_found(reference, near_in_snapshot(snapshot, reference)?)),
        (1, _) => alive.pop().ok_or_else(|| not_found(reference, Vec::new())),
        _ => Err(ambiguous(
            reference,
            alive.iter().map(|hit| &hit.entity_type),
        )),
    }
}

/// Where entities stand in a snapshot, the fullest document first, with the type of those kinds
/// that hold one type alone.
const SNAPSHOT_KINDS: &[(Kind, &str)] = &[
    (Kind::Entity, ""),
    (Kind::SearchDocument, ""),
    (Kind::TestCase, "testCase"),
    (Kind::IngestionPipeline, "ingestionPipeline"),
];

fn documents_of(
    snapshot: &Snapshot,
    kind: Kind,
    name: &Name,
) -> Result<Vec<(String, Value)>, CatalogError> {
    match name {
        Name::Fqn(name) => snapshot.documents_named(kind, name),
        Name::Id(id) => snapshot.documents_with_id(kind, id),
    }
}

fn near_in_snapshot(
    snapshot: &Snapshot,
    reference: &Reference,
) -> Result<Vec<String>, CatalogError> {
    let Name::Fqn(written) = &reference.name else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    for (kind, _) in SNAPSHOT_KINDS {
        names.extend(snapshot.names(*kind)?);
    }
    names.sort();
    names.dedup();
    Ok(near_names(written, names.iter().map(String::as_str)))
}

fn is_deleted(document: &Value) -> bool {
    document.get("deleted").and_then(Value::as_bool) == Some(true)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_the_quotes_that_a_dot_in_a_name_needs() {
        let forms = quoted_forms("pg.db.core.votes.2025");
        assert_eq!(forms[0], "pg.db.core.\"votes.2025\"");
        assert_eq!(forms.len(), 10);
        assert!(quoted_forms("bills").is_empty());
        assert!(quoted_forms(&"a.".repeat(500)).len() <= 30);
    }

    #[test]
    fn nothing_that_a_query_parser_reads_is_left() {
        assert_eq!(words_of("motions/amend(ments:\"x"), "motions amend ments x");
    }
}
