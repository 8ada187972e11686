//! Finds entities among the documents of a snapshot.

use serde_json::Value;

use super::{Found, ambiguous, gone, not_found};
use crate::catalog::{
    Snapshot,
    error::CatalogError,
    model::{EntityType, Name, Reference},
    near::near_names,
    snapshot::Kind,
    wire,
};

pub(super) fn find_in_snapshot(
    snapshot: &Snapshot,
    reference: &Reference,
) -> Result<Found, CatalogError> {
    let mut found: Vec<Found> = Vec::new();
    for (kind, type_of_kind) in SNAPSHOT_KINDS {
        for (document_type, document) in documents_of(snapshot, *kind, &reference.name)? {
            let entity_type = EntityType::new(
                wire::text(&document, "entityType")
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
        .partition(|hit| !wire::is_deleted(&hit.document));
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

pub(super) fn near_in_snapshot(
    snapshot: &Snapshot,
    reference: &Reference,
) -> Result<Vec<String>, CatalogError> {
    let Name::Fqn(written) = &reference.name else {
        return Ok(Vec::new());
    };
    // The right name, but of another type.
    if reference.entity_type.is_some() {
        let untyped = Reference {
            entity_type: None,
            ..reference.clone()
        };
        match find_in_snapshot(snapshot, &untyped) {
            Ok(found) => return Ok(vec![format!("{}:{written}", found.entity_type)]),
            Err(CatalogError::Ambiguous { candidates, .. }) => return Ok(candidates),
            Err(_) => {}
        }
    }
    let mut names = Vec::new();
    for (kind, _) in SNAPSHOT_KINDS {
        names.extend(snapshot.names(*kind)?);
    }
    names.sort();
    names.dedup();
    Ok(near_names(written, names.iter().map(String::as_str)))
}
