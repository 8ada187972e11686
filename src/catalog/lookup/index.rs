//! Asks the search index for names: exact to the letter, or near.

use serde_json::{Value, json};

use super::Found;
use crate::catalog::{
    Client,
    error::CatalogError,
    fqn,
    model::{EntityType, Name, Reference},
    near::near_names,
    reading, wire,
};

/// Search documents whose FQN or id is this one, letter by letter. `Unavailable` where none is among
/// the hits and parts of the index failed: it may be in those.
pub(super) async fn search_exact(
    client: &Client,
    name: &Name,
    is_deleted: bool,
) -> Result<Vec<Found>, CatalogError> {
    let (clause, wanted) = match name {
        Name::Fqn(name) => (json!({"term": {"fullyQualifiedName": name}}), name),
        Name::Id(id) => (json!({"term": {"id.keyword": id}}), id),
    };
    let (mut hits, failed_shards) = hits_of(client, "*", Some(clause), is_deleted).await?;
    let field = match name {
        Name::Fqn(_) => "fullyQualifiedName",
        Name::Id(_) => "id",
    };
    hits.retain(|hit| hit.document.get(field).and_then(Value::as_str) == Some(wanted.as_str()));
    whole_or_some(hits, failed_shards)
}

/// Nothing found in an index of which parts failed is not 'nothing'.
fn whole_or_some(hits: Vec<Found>, failed_shards: u64) -> Result<Vec<Found>, CatalogError> {
    if hits.is_empty() && failed_shards > 0 {
        return Err(CatalogError::Unavailable {
            message: format!("{failed_shards} parts of OpenMetadata's search index failed"),
        });
    }
    Ok(hits)
}

/// Names that the caller may have meant. Best effort: no answer is no suggestion.
pub(super) async fn near_live(client: &Client, reference: &Reference) -> Vec<String> {
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
    // New servers show what is deleted unless they are told not to; nobody means that.
    hits.retain(|hit| !wire::is_deleted(&hit.document));
    // The right name, but of another type.
    let of_other_type: Vec<String> = hits
        .iter()
        .filter(|_| reference.entity_type.is_some())
        .filter(|hit| wire::text(&hit.document, "fullyQualifiedName").as_ref() == Some(written))
        .map(|hit| format!("{}:{written}", hit.entity_type))
        .collect();
    if !of_other_type.is_empty() {
        return of_other_type;
    }
    if hits.is_empty() {
        let words = words_of(fqn::parts(written).last().map_or("", String::as_str));
        if !words.is_empty() {
            hits = search(client, &words, None, false)
                .await
                .unwrap_or_default();
            hits.retain(|hit| !wire::is_deleted(&hit.document));
        }
    }
    let names: Vec<String> = hits
        .iter()
        .filter_map(|hit| wire::text(&hit.document, "fullyQualifiedName"))
        .collect();
    near_names(written, names.iter().map(String::as_str))
}

pub(super) async fn search(
    client: &Client,
    words: &str,
    clause: Option<Value>,
    is_deleted: bool,
) -> Result<Vec<Found>, CatalogError> {
    let (hits, failed_shards) = hits_of(client, words, clause, is_deleted).await?;
    whole_or_some(hits, failed_shards)
}

/// Hits, and how many parts of the index failed.
async fn hits_of(
    client: &Client,
    words: &str,
    clause: Option<Value>,
    is_deleted: bool,
) -> Result<(Vec<Found>, u64), CatalogError> {
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
    let Some(list) = answer.pointer("/hits/hits").and_then(Value::as_array) else {
        return Err(CatalogError::BadUpstream {
            message: "OpenMetadata answered a search with something else than hits".into(),
        });
    };
    let hits: Vec<Found> = list
        .iter()
        .filter_map(|hit| {
            let document = hit.get("_source")?.clone();
            let entity_type = EntityType::new(wire::text(&document, "entityType")?);
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
    Ok((hits, failed_shards))
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
pub(super) fn words_of(text: &str) -> String {
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
