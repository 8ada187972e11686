//! Answers lists of entities from the documents that were recorded, in the recorded order and with
//! the recorded form of cursors.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::documents::{Document, Documents, TYPES};
use super::entities;
use super::recordings::Version;
use super::wire::{Answer, Seen};

/// `path` is what follows `/api/v1/`.
pub fn answer(version: Version, path: &str, seen: &Seen) -> Option<Answer> {
    let is_known = |name: &str| ["limit", "fields", "after"].contains(&name);
    if !seen.query.iter().all(|(name, _)| is_known(name)) {
        return None;
    }
    let limit: usize = seen
        .parameter("limit")
        .map_or(Some(10), |text| text.parse().ok())?;
    // Refused, as it was recorded (`entities/table-list-limit-too-big`).
    if limit > 1_000_000 {
        return None;
    }
    let known = TYPES.iter().find(|(route, _, _)| *route == path);
    let Some((route, entity_type, _)) = known else {
        return empty(version, path);
    };
    let fields = entities::asked_fields(seen);
    if let Some(unknown) = fields
        .iter()
        .find(|field| entities::is_unknown(version, field))
    {
        let message = format!("Invalid field name {unknown}");
        return Some(Answer::json(
            400,
            &json!({ "code": 400, "message": message }),
        ));
    }
    let mut all: Vec<&Document> = Documents::of(version)
        .all
        .iter()
        .filter(|document| document.text("entityType") == *entity_type && !document.is_deleted())
        .collect();
    // Names alone are not an entity.
    if all.iter().any(|document| !document.is_whole) {
        return None;
    }
    let place = |document: &Document| (document.entity_name().to_owned(), document.id.clone());
    all.sort_by_key(|document| place(document));
    let total = all.len();
    if let Some(after) = seen.parameter("after") {
        let after = STANDARD.decode(after).ok()?;
        let after = String::from_utf8(after).ok()?;
        all.retain(|document| match version {
            // The old server's cursor is the name alone: what shares it is passed over.
            Version::V1_2_0 => document.entity_name() > after.as_str(),
            Version::V1_12_6 => {
                let after: Value = serde_json::from_str(&after).unwrap_or_default();
                let text = |name: &str| after[name].as_str().unwrap_or_default().to_owned();
                place(document) > (text("name"), text("id"))
            }
        });
    }
    let has_more = all.len() > limit;
    all.truncate(limit);
    let mut paging = json!({ "total": total });
    if let Some(last) = all.last().filter(|_| has_more) {
        let cursor = match version {
            Version::V1_2_0 => last.entity_name().to_owned(),
            Version::V1_12_6 => json!({ "id": last.id, "name": last.entity_name() }).to_string(),
        };
        paging["after"] = STANDARD.encode(cursor).into();
    }
    let entries: Vec<Value> = all
        .into_iter()
        .map(|document| entities::entity(version, route, entity_type, document, &fields))
        .collect();
    Some(Answer::json(
        200,
        &json!({ "data": entries, "paging": paging }),
    ))
}

/// A list that was recorded as empty is empty however it is asked for.
fn empty(version: Version, path: &str) -> Option<Answer> {
    let path = format!("/api/v1/{path}");
    let recording = version.recordings().iter().find(|recording| {
        recording.path == path
            && recording.status == 200
            && recording.response.pointer("/paging/total") == Some(&json!(0))
            && recording
                .query
                .iter()
                .all(|(name, _)| name == "limit" || name == "fields")
    })?;
    Some(Answer::json(200, &recording.response))
}
