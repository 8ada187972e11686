//! Answers searches that were not recorded, from the documents that were.
//!
//! The evaluator is proven against the recordings: `tests/it/evaluator.rs` runs each recorded search
//! through it. Where it cannot know the answer it gives none.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::documents::{Document, Documents};
use super::filters::{self, Unusable};
use super::matching::{LARGEST_WINDOW, projected};
use super::recordings::{Recording, Version};
use super::wire::{Answer, Seen};
use super::words::{self, Query};
use super::{absent, collections, entities, legacy_lineage, lists};

/// Whatever can be worked out, by the kind of request.
pub fn answer(version: Version, seen: &Seen) -> Option<Answer> {
    if seen.method != "GET" {
        return None;
    }
    if absent::is_absent(version, &seen.path) {
        let recording = version.recording("system/unknown-api-route");
        return Some(Answer::json(recording.status, &recording.response));
    }
    match seen.path.strip_prefix("/api/v1/")? {
        "search/query" => search(version, seen),
        path if path.starts_with("lineage/") => legacy_lineage::answer(version, path, seen),
        path => lists::answer(version, path, seen)
            .or_else(|| entities::answer(version, path, seen))
            .or_else(|| collections::answer(version, path, seen)),
    }
}

/// A sorted or scored hit.
struct Hit<'a> {
    document: &'a Document,
    score: f64,
    sort: Vec<Value>,
}

/// A search by anything else is not imitated.
const KNOWN_PARAMETERS: [&str; 12] = [
    "q",
    "index",
    "from",
    "size",
    "sort_field",
    "sort_order",
    "search_after",
    "query_filter",
    "deleted",
    "include_source_fields",
    "include_aggregations",
    "track_total_hits",
];

pub fn search(version: Version, seen: &Seen) -> Option<Answer> {
    let number = |name: &str, default: usize| {
        seen.parameter(name)
            .map_or(Some(default), |text| text.parse().ok())
    };
    let (from, size) = (number("from", 0)?, number("size", 10)?);
    let is_known = |(name, _): &(String, String)| KNOWN_PARAMETERS.contains(&name.as_str());
    if !seen.query.iter().all(is_known) {
        return None;
    }
    let documents = Documents::of(version);
    let index = seen.parameter("index").unwrap_or("table_search_index");
    if index.contains('*') || index.starts_with('_') {
        return None;
    }
    let Some(indexes) = documents.indexes(index) else {
        return unknown_index(version, index);
    };
    if from + size > LARGEST_WINDOW {
        return Some(recorded(
            version,
            ["search/from-9990", "search/from-9990-old"],
        ));
    }
    let query = words::parsed(version, seen.parameter("q").unwrap_or("*"));
    // The old server asks a list of indexes in another way, which finds what no word explains.
    let is_list =
        version == Version::V1_2_0 && index != "table" && !index.ends_with("_search_index")
            || index.contains(',');
    match query {
        Query::Malformed => {
            return Some(recorded(
                version,
                ["search/unbalanced-quote", "search/unbalanced-quote-old"],
            ));
        }
        Query::Everything => {}
        // How words find tests is not known.
        _ if indexes.contains("test_suite_search_index") => return None,
        _ if is_list || version == Version::V1_2_0 && index == "table" => return None,
        _ => {}
    }
    let filter = match seen
        .parameter("query_filter")
        .map(|text| filters::parsed(version, text))
    {
        None | Some(Ok(None)) => None,
        Some(Ok(Some(filter))) => Some(filter),
        Some(Err(Unusable::UnknownClause)) => {
            return Some(recorded(
                version,
                [
                    "search/filter-unknown-clause",
                    "search/filter-unknown-clause",
                ],
            ));
        }
        Some(Err(Unusable::NotImitated)) => return None,
    };
    let sort = Sort::of(version, seen, &query)?;
    if matches!(sort, Sort::Impossible) && is_list {
        return None;
    }
    if let Some(failure) = sort.failure(version) {
        return Some(failure);
    }
    // How the engine reads a time to continue after was not recorded.
    let is_by_time = matches!(&sort, Sort::Field { name, .. } if name == "updatedAt");
    if is_by_time && seen.parameter("search_after").is_some() {
        return None;
    }
    // The old server leaves deleted documents out by default, the new one shows them.
    let deleted = match (seen.parameter("deleted"), version) {
        (Some(text), _) => Some(text == "true"),
        (None, Version::V1_12_6) => None,
        (None, Version::V1_2_0) => Some(false),
    };
    let fails_in = sort
        .failing_index(version)
        .filter(|index| indexes.contains(*index));
    // What a document lacks cannot be told where only its names are known. (What it has can: the
    // recorded filters by owner, tier, tag, domain and name agree over all indexes.)
    let is_judged = |document: &Document| document.is_whole || !indexes.contains(&document.index);
    let negates = filter
        .as_ref()
        .is_some_and(|filter| filter.to_string().contains("must_not"));
    if negates && !documents.all.iter().all(is_judged) {
        return None;
    }
    let mut hits: Vec<Hit> = documents
        .all
        .iter()
        .filter(|document| {
            indexes.contains(&document.index)
                && fails_in.is_none_or(|index| document.index != index)
        })
        .filter(|document| deleted.is_none_or(|deleted| document.is_deleted() == deleted))
        .filter(|document| {
            filter
                .as_ref()
                .is_none_or(|filter| filters::lets_through(version, filter, document))
        })
        .filter_map(|document| {
            let score = words::score(version, &query, document)?;
            Some(Hit {
                document,
                score,
                sort: sort.key(version, document, score),
            })
        })
        .collect();
    let total = hits.len();
    if hits.iter().any(|hit| hit.sort.is_empty()) {
        return None;
    }
    let by_name = |one: &Hit, other: &Hit| one.document.name().cmp(other.document.name());
    hits.sort_by(|one, other| {
        sort.compare(&one.sort, &other.sort)
            .then_with(|| by_name(one, other))
    });
    if let Some(after) = sort.after(version, seen) {
        hits.retain(|hit| sort.compare(&hit.sort, &after) == Ordering::Greater);
    }
    let page: Vec<Hit> = hits.into_iter().skip(from).take(size).collect();
    let fields: BTreeSet<String> = seen
        .parameters("include_source_fields")
        .into_iter()
        .map(str::to_owned)
        .collect();
    // A document known by its names alone must not pass for one without owner or tags.
    let is_named = |field: &String| {
        ["fullyQualifiedName", "entityType", "id", "name"].contains(&field.as_str())
    };
    if !fields.iter().all(is_named) && page.iter().any(|hit| !hit.document.is_whole) {
        return None;
    }
    let mut body = page_of(version, &sort, &page, total, &fields, seen);
    if fails_in.is_some() {
        let failed = version.recording("sync/page-all-alias-sort-fqn-old");
        body["_shards"] = failed.response["_shards"].clone();
    }
    Some(Answer::json(200, &body))
}

fn page_of(
    version: Version,
    sort: &Sort,
    page: &[Hit],
    total: usize,
    fields: &BTreeSet<String>,
    seen: &Seen,
) -> Value {
    let hits: Vec<Value> = page
        .iter()
        .map(|hit| {
            let source = &hit.document.source;
            let source = if fields.is_empty() {
                source.clone()
            } else {
                projected(source, fields)
            };
            let mut shown = json!({ "_id": hit.document.id, "_index": hit.document.engine_index });
            if sort.is_by_score() {
                shown["_score"] = hit.score.into();
            }
            shown["sort"] = hit.sort.clone().into();
            shown["_source"] = source;
            shown
        })
        .collect();
    let mut body = json!({
        "took": 1,
        "timed_out": false,
        "_shards": { "failed": 0, "skipped": 0, "successful": 22, "total": 22 },
        "hits": { "hits": hits, "total": { "relation": "eq", "value": total } },
    });
    let wants_facets =
        version == Version::V1_2_0 || seen.parameter("include_aggregations") != Some("false");
    if wants_facets {
        // Facets are not counted here; the clients of these tests never read them.
        body["aggregations"] = json!({});
    }
    body
}

fn unknown_index(version: Version, index: &str) -> Option<Answer> {
    let recording = version.recording("search/index-unknown");
    let text = recording
        .response
        .to_string()
        .replace("no_such_index", index);
    Some(Answer::json(
        recording.status,
        &serde_json::from_str(&text).ok()?,
    ))
}

/// The recording of the version at hand: the new one's name, the old one's name.
fn recorded(version: Version, names: [&str; 2]) -> Answer {
    let name = match version {
        Version::V1_12_6 => names[0],
        Version::V1_2_0 => names[1],
    };
    let recording: &Recording = version.recording(name);
    Answer::json(recording.status, &recording.response)
}

/// The order of hits.
enum Sort {
    Score,
    Field {
        name: String,
        is_descending: bool,
    },
    /// The server fails on a field that cannot be sorted by.
    Impossible,
}

impl Sort {
    fn of(version: Version, seen: &Seen, query: &Query) -> Option<Sort> {
        let name = seen.parameter("sort_field").unwrap_or("_score");
        let is_descending = seen.parameter("sort_order") != Some("asc");
        match name {
            // Nothing tells how the engine orders hits of equal score.
            "_score" if matches!(query, Query::Everything) => Some(Sort::Score),
            "_score" => is_descending.then_some(Sort::Score),
            "fullyQualifiedName" | "name.keyword" | "updatedAt" => Some(Sort::Field {
                name: name.to_owned(),
                is_descending,
            }),
            "id.keyword" if version == Version::V1_12_6 => Some(Sort::Field {
                name: name.to_owned(),
                is_descending,
            }),
            "id" | "id.keyword" | "fullyQualifiedName.keyword" => Some(Sort::Impossible),
            _ => None,
        }
    }

    fn is_by_score(&self) -> bool {
        matches!(self, Sort::Score)
    }

    fn failure(&self, version: Version) -> Option<Answer> {
        let names = ["sync/sort-id", "sync/sort-id-table_search_index-old"];
        matches!(self, Sort::Impossible).then(|| recorded(version, names))
    }

    /// The old server's terms have no field to sort by, and are missing from what is sorted.
    fn failing_index(&self, version: Version) -> Option<&'static str> {
        let is_failing = matches!(self, Sort::Field { name, .. } if name != "name.keyword");
        (version == Version::V1_2_0 && is_failing).then_some("glossary_term_search_index")
    }

    /// What a document is sorted by; empty where that is not known.
    fn key(&self, version: Version, document: &Document, score: f64) -> Vec<Value> {
        match self {
            Sort::Score => vec![score.into(), document.text("name").to_lowercase().into()],
            Sort::Field { name, .. } => {
                let path = name.strip_suffix(".keyword").unwrap_or(name);
                let keeps_case = version == Version::V1_2_0 && name == "name.keyword";
                match document.source.get(path) {
                    None => Vec::new(),
                    Some(Value::String(text)) if !keeps_case => vec![text.to_lowercase().into()],
                    // The engine takes the milliseconds for seconds.
                    Some(Value::Number(time)) if name == "updatedAt" => {
                        vec![time.as_i64().map(|time| time * 1000).into()]
                    }
                    Some(value) => vec![value.clone()],
                }
            }
            Sort::Impossible => Vec::new(),
        }
    }

    fn compare(&self, one: &[Value], other: &[Value]) -> Ordering {
        let parts = one.iter().zip(other).enumerate();
        parts
            .map(|(at, (one, other))| {
                let order = match (one.as_f64(), other.as_f64()) {
                    (Some(one), Some(other)) => one.total_cmp(&other),
                    _ => one.as_str().cmp(&other.as_str()),
                };
                let is_descending = match self {
                    Sort::Field { is_descending, .. } => *is_descending,
                    _ => at == 0,
                };
                if is_descending {
                    order.reverse()
                } else {
                    order
                }
            })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    /// Where the page begins. The old server ignores it.
    fn after(&self, version: Version, seen: &Seen) -> Option<Vec<Value>> {
        let given = seen.parameters("search_after");
        if given.is_empty() || version == Version::V1_2_0 {
            return None;
        }
        Some(vec![given.join(",").into()])
    }
}
