//! The evaluator gives the answers that the real OpenMetadata gave.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::documents::{Documents, name_hash};
use crate::support::evaluator;
use crate::support::recordings::{Recording, Version};
use crate::support::wire::{Answer, Seen};

const VERSIONS: [Version; 2] = [Version::V1_12_6, Version::V1_2_0];

/// Recordings that the evaluator answers otherwise, and why that may be.
const NOT_REPRODUCED: [(&str, &str); 6] = [
    (
        "1.12.6 lineage-by-search/too-many-hashes",
        "the length of the address is judged before",
    ),
    (
        "1.12.6 search/column-name",
        "the engine's tolerance finds `bill` in fields, two hits of no weight",
    ),
    (
        "1.2.0 entities/fields-empty-old",
        "recorded after the scan, at a later version of the table",
    ),
    (
        "1.2.0 entities/fields-star-old",
        "recorded after the scan, at a later version of the table",
    ),
    (
        "1.2.0 entities/fields-with-space-old",
        "recorded after the scan, at a later version of the table",
    ),
    (
        "1.2.0 entities/table-bills-all-fields",
        "which of several unknown fields is named is the server's choice",
    ),
];

/// Searches that the evaluator leaves to their recordings: what it would need was not recorded.
const UNANSWERED: [&str; 28] = [
    // How words find tests.
    "1.12.6 search/all-index",
    // Words on a list or an alias of the old server, which find what no word explains.
    "1.2.0 search/alias-bills-vs-index",
    "1.2.0 search/all-index",
    "1.2.0 search/bills-alias-all-old",
    "1.2.0 search/bills-many-indexes-old",
    // A parameter that no client here sends.
    "1.2.0 search/fetch-source-false-old",
    // Words on an alias, as above, by a field or not.
    "1.2.0 search/field-syntax",
    // Fields of documents that are known by their names alone.
    "1.2.0 search/filter-deleted-false-old",
    "1.2.0 search/filter-entity-type-old",
    "1.2.0 search/filter-service-old",
    "1.2.0 search/filter-service-type-case-old",
    // Requests that are wrong in themselves, wildcards, other filters, more words on lists.
    "1.2.0 search/from-negative-old",
    "1.2.0 search/index-system-old",
    "1.2.0 search/index-wildcard-old",
    "1.2.0 search/no-hit-old",
    "1.2.0 search/nonsense-alias-old",
    "1.2.0 search/nonsense-qqq-alias-old",
    "1.2.0 search/post-filter-old",
    "1.2.0 search/q-tier-old",
    "1.2.0 search/size-not-a-number-old",
    "1.2.0 search/sort-unknown-field-old",
    "1.2.0 search/table-index",
    "1.2.0 search/users",
    // The time of documents that are known by their names alone.
    "1.2.0 sync/changed-since-old",
    // Sorting a list by a field that some of its indexes lack.
    "1.2.0 sync/sort-id-all-old",
    "1.2.0 sync/sort-id.keyword-all-old",
    "1.2.0 sync/sort-name.keyword-all-old",
    "1.2.0 sync/sort-updatedAt-all-old",
];

fn seen(recording: &Recording) -> Seen {
    Seen {
        method: recording.method.clone(),
        path: recording.path.clone(),
        target: recording.path.clone(),
        query: recording.query.clone(),
        headers: Vec::new(),
        body: Vec::new(),
    }
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
}

/// Every recording of a kind beside what the evaluator makes of its request.
fn evaluated(path: &str) -> Vec<(String, &'static Recording, Option<Answer>)> {
    let of = |version: Version| {
        version
            .recordings()
            .iter()
            .filter(move |recording| {
                let folder = recording.folder();
                recording.path.starts_with(path)
                    && recording.method == "GET"
                    && !["search-down", "rights", "bot-token", "writes"].contains(&folder)
            })
            .map(move |recording| {
                let answer = evaluator::answer(version, &seen(recording));
                (
                    format!("{} {}", version.text(), recording.name),
                    recording,
                    answer,
                )
            })
    };
    VERSIONS.into_iter().flat_map(of).collect()
}

fn names(body: &Value) -> Vec<String> {
    let hits = body.pointer("/hits/hits").and_then(Value::as_array);
    let name = |hit: &Value| {
        hit.pointer("/_source/fullyQualifiedName")
            .unwrap_or(&hit["_id"])
            .to_string()
    };
    hits.into_iter().flatten().map(name).collect()
}

fn sort_values(body: &Value) -> Vec<Value> {
    let hits = body.pointer("/hits/hits").and_then(Value::as_array);
    hits.into_iter()
        .flatten()
        .map(|hit| hit["sort"].clone())
        .collect()
}

#[test]
fn searches_find_what_was_found() {
    let mut different = Vec::new();
    let (mut same, mut unanswered) = (0, Vec::new());
    for (name, recording, answer) in evaluated("/api/v1/search/query") {
        let Some(answer) = answer else {
            unanswered.push(name);
            continue;
        };
        let body = body(&answer);
        let total = body.pointer("/hits/total/value").and_then(Value::as_u64);
        if NOT_REPRODUCED.iter().any(|(other, _)| *other == name) {
            continue;
        }
        let is_page_whole = recording
            .hits()
            .is_some_and(|hits| recording.total() == Some(hits.len() as u64));
        let is_sorted = recording
            .parameter("sort_field")
            .is_some_and(|field| field != "_score");
        // Hits of equal sort value come in any order, so those values are compared as well.
        let is_in_order = !is_sorted || sort_values(&body) == sort_values(&recording.response);
        let (mut found, mut wanted) = (names(&body), names(&recording.response));
        found.sort();
        wanted.sort();
        if answer.status != recording.status
            || total != recording.total()
            || !is_in_order
            || is_page_whole && found != wanted
        {
            different.push(format!(
                "{name}: {} {total:?} for {} {:?}",
                answer.status,
                recording.status,
                recording.total()
            ));
        } else {
            same += 1;
        }
    }
    assert_eq!(unanswered, UNANSWERED);
    assert!(same > 230);
    assert!(different.is_empty(), "{different:#?}");
}

#[test]
fn entities_read_by_name_hold_what_was_recorded() {
    let mut different = Vec::new();
    for (name, recording, answer) in evaluated("/api/v1/") {
        let Some(answer) = answer.filter(|_| recording.folder() == "entities") else {
            continue;
        };
        let body = body(&answer);
        let facts = [
            "id",
            "name",
            "fullyQualifiedName",
            "displayName",
            "description",
            "version",
            "message",
            "deleted",
        ];
        if NOT_REPRODUCED.iter().any(|(other, _)| *other == name) {
            continue;
        }
        for fact in facts {
            if answer.status != recording.status || body.get(fact) != recording.response.get(fact) {
                different.push(format!(
                    "{name} {fact}: {} {:?} for {:?}",
                    answer.status,
                    body.get(fact),
                    recording.response.get(fact)
                ));
            }
        }
    }
    assert!(different.is_empty(), "{different:#?}");
}

#[test]
fn legacy_lineage_holds_what_was_recorded() {
    let mut different = Vec::new();
    let mut compared = 0;
    for (name, recording, answer) in evaluated("/api/v1/lineage/") {
        let Some(answer) = answer else { continue };
        let body = body(&answer);
        compared += 1;
        if answer.status != recording.status {
            different.push(format!(
                "{name}: {} for {}",
                answer.status, recording.status
            ));
            continue;
        }
        let ids = |body: &Value| -> BTreeSet<String> {
            let nodes = body["nodes"].as_array().into_iter().flatten();
            nodes.map(|node| node.to_string()).collect()
        };
        let edges = |body: &Value, side: &str| -> Vec<String> {
            let edges = body[side].as_array().into_iter().flatten();
            let mut edges: Vec<String> = edges.map(|edge| edge.to_string()).collect();
            edges.sort();
            edges
        };
        if ids(&body) != ids(&recording.response) {
            let (found, wanted) = (ids(&body), ids(&recording.response));
            different.push(format!(
                "{name}: nodes {} for {} {:?}",
                found.len(),
                wanted.len(),
                found.symmetric_difference(&wanted).next()
            ));
        }
        for side in ["upstreamEdges", "downstreamEdges"] {
            let (found, wanted) = (edges(&body, side), edges(&recording.response, side));
            if found != wanted {
                let odd = found
                    .iter()
                    .zip(&wanted)
                    .find(|(found, wanted)| found != wanted);
                different.push(format!(
                    "{name}: {side} {} for {} {odd:?}",
                    found.len(),
                    wanted.len()
                ));
            }
        }
    }
    assert!(compared > 20);
    assert!(different.is_empty(), "{different:#?}");
}

#[test]
fn filtered_lists_hold_what_was_recorded() {
    let mut compared = 0;
    for path in [
        "/api/v1/dataQuality/testCases",
        "/api/v1/services/ingestionPipelines",
    ] {
        for (name, recording, answer) in evaluated(path) {
            let Some(answer) = answer.filter(|_| recording.path == path) else {
                continue;
            };
            let ids = |body: &Value| -> Vec<(String, BTreeSet<String>)> {
                let entries = body["data"].as_array().into_iter().flatten();
                let keys = |entry: &Value| {
                    entry
                        .as_object()
                        .into_iter()
                        .flatten()
                        .map(|(key, _)| key.clone())
                        .collect()
                };
                entries
                    .map(|entry| (entry["id"].to_string(), keys(entry)))
                    .collect()
            };
            assert_eq!(ids(&body(&answer)), ids(&recording.response), "{name}");
            compared += 1;
        }
    }
    assert!(compared >= 10, "{compared}");
}

#[test]
fn the_hash_of_a_name_is_the_recorded_one() {
    let mut compared = 0;
    for document in &Documents::of(Version::V1_12_6).all {
        for edge in document.source["upstreamLineage"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let from = &edge["fromEntity"];
            let name = from["fullyQualifiedName"].as_str().unwrap();
            assert_eq!(from["fqnHash"], name_hash(name), "{name}");
            compared += 1;
        }
    }
    assert!(compared > 300);
}

#[test]
fn both_meshes_have_the_same_edges_where_both_were_recorded() {
    let names = |version: Version, recording: &str| -> BTreeMap<String, BTreeSet<String>> {
        let documents = Documents::of(version);
        let name = |id: &Value| {
            documents
                .by_id(id.as_str().unwrap())
                .unwrap()
                .name()
                .to_owned()
        };
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let recording = version.recording(recording);
        for edge in recording.response["downstreamEdges"].as_array().unwrap() {
            let from = edges.entry(name(&edge["fromEntity"])).or_default();
            from.insert(name(&edge["toEntity"]));
        }
        edges
    };
    let old = names(Version::V1_2_0, "lineage/legacy-mesh");
    let mut new = names(Version::V1_12_6, "lineage/legacy-mesh");
    // The old mesh stops at m119; a name is the only thing that tells.
    let is_in_old = |name: &String| name.as_str() < "warehouse.DW.MESH.m120";
    new.values_mut()
        .for_each(|targets| targets.retain(is_in_old));
    new.retain(|from, targets| is_in_old(from) && !targets.is_empty());
    assert_eq!(old, new);
}
