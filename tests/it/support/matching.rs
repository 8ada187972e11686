//! Decides whether a recording answers a request, possibly after cutting it to what was asked.
//!
//! Only ever cuts: an answer made of a recording holds nothing that was not recorded.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::recordings::{Recording, Version, parameter};
use super::wire::Seen;

type Pairs = [(String, String)];

/// Parameters that change how much of an answer is shown, handled one by one in `fitting`.
const SHOWN: [&str; 7] = [
    "include_source_fields",
    "include_aggregations",
    "track_total_hits",
    "size",
    "limit",
    "fields",
    "include_deleted",
];

/// The search engine refuses `from + size` above this.
pub const LARGEST_WINDOW: usize = 10_000;

/// What a server assumes when a parameter is missing.
const DEFAULTS: [(&str, &str); 9] = [
    ("from", "0"),
    ("sort_field", "_score"),
    ("sort_order", "desc"),
    ("includeDeleted", "false"),
    ("include", "non-deleted"),
    ("preserve_paths", "true"),
    ("q", "*"),
    ("index", "table_search_index"),
    ("fetch_source", "true"),
];

/// Entity fields that come only when asked for.
pub const OPTIONAL: [&str; 37] = [
    "owner",
    "owners",
    "tags",
    "usageSummary",
    "followers",
    "joins",
    "testSuite",
    "domain",
    "domains",
    "dataProducts",
    "votes",
    "customMetrics",
    "extension",
    "lifeCycle",
    "profile",
    "sampleData",
    "certification",
    "charts",
    "tasks",
    "pipelineStatus",
    "tables",
    "users",
    "owns",
    "follows",
    "teams",
    "roles",
    "relatedTerms",
    "children",
    "dashboards",
    "pipelines",
    "termCount",
    "tests",
    "summary",
    "testDefinition",
    "testCaseResult",
    "pipelineStatuses",
    "viewDefinition",
];

/// The recorded answer cut to what the request asks for, or nothing if it cannot be.
pub fn fitting(version: Version, recording: &Recording, seen: &Seen) -> Option<Fit> {
    if recording.method != seen.method || recording.path != seen.path {
        return None;
    }
    if deciding(version, &recording.query) != deciding(version, &seen.query)
        || !same_write(version, recording, seen)
    {
        return None;
    }
    let mut body = recording.response.clone();
    let (mut recorded, mut asked) = (recording.query.clone(), seen.query.clone());
    recorded.sort();
    asked.sort();
    if recorded == asked {
        return Some(Fit { body, cuts: 0 });
    }
    let mut cuts = 1;
    let mut cut = |happened: bool| cuts += usize::from(happened);
    if body.pointer("/hits/hits").is_some() {
        cut(keep_size(&mut body, recording, seen)?);
        cut(keep_source_fields(&mut body, recording, seen)?);
        if version == Version::V1_12_6 {
            cut(keep_aggregations(&mut body, recording, seen)?);
        }
    } else {
        let sizes = [parameter(&recording.query, "size"), seen.parameter("size")];
        if sizes[0] != sizes[1] {
            // getLineage cuts by size, and an error may be about the size.
            let assumed = sizes.map(|size| size.unwrap_or("1000"));
            if assumed[0] != assumed[1] {
                return None;
            }
        }
        cut(keep_time_range(&mut body, recording, seen));
        cut(keep_limit(version, &mut body, recording, seen)?);
        cut(keep_fields(&mut body, version, recording, seen)?);
    }
    Some(Fit { body, cuts })
}

/// A recorded answer as far as it answers a request.
pub struct Fit {
    pub body: Value,
    /// How many ways it was cut; the fewer, the closer to what a server would say.
    pub cuts: usize,
}

/// The parts of a query that decide what is found.
fn deciding(version: Version, query: &Pairs) -> BTreeMap<String, String> {
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in query {
        if SHOWN.contains(&name.as_str()) {
            continue;
        }
        let value = match name.as_str() {
            "query_filter" | "post_filter" => canonical_text(value),
            // The server filters by these, and so does `keep_time_range`.
            "startTs" | "endTs" | "timestamp" => "set".to_owned(),
            _ => value.clone(),
        };
        parts
            .entry(name.clone())
            .and_modify(|before| {
                before.push(',');
                before.push_str(&value);
            })
            .or_insert(value);
    }
    // Only the old server leaves out what is deleted without being told to.
    let old_default = (version == Version::V1_2_0).then_some(("deleted", "false"));
    for (name, value) in DEFAULTS.into_iter().chain(old_default) {
        if parts.get(name).is_some_and(|given| given == value) {
            parts.remove(name);
        }
    }
    parts
}

/// JSON with its keys in order; other text as it is.
pub fn canonical_text(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => canonical(&value).to_string(),
        Err(_) => text.to_owned(),
    }
}

fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<&String, Value> = members
                .iter()
                .map(|(name, inner)| (name, canonical(inner)))
                .collect();
            let sorted = sorted
                .into_iter()
                .map(|(name, inner)| (name.clone(), inner));
            Value::Object(sorted.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(canonical).collect(),
        other => other.clone(),
    }
}

fn same_write(version: Version, recording: &Recording, seen: &Seen) -> bool {
    if seen.method == "GET" {
        return true;
    }
    // The old server reads no If-Match; the new one decides by it.
    let guarded = version == Version::V1_12_6;
    let kind = |text: Option<&str>| {
        text.map(|text| text.split(';').next().unwrap_or_default().trim().to_owned())
    };
    recording.body == seen.body_value()
        && (!guarded || recording.if_match.as_deref() == seen.header("if-match"))
        && (seen.method != "PATCH"
            || kind(recording.content_type.as_deref()) == kind(seen.header("content-type")))
}

fn keep_size(body: &mut Value, recording: &Recording, seen: &Seen) -> Option<bool> {
    let size = |text: Option<&str>| text.map_or(Some(10), |text| text.parse::<usize>().ok());
    let (recorded, asked) = (
        size(recording.parameter("size"))?,
        size(seen.parameter("size"))?,
    );
    if recorded == asked {
        return Some(false);
    }
    let from: usize = seen
        .parameter("from")
        .map_or(Some(0), |text| text.parse().ok())?;
    let total = usize::try_from(recording.total()?).ok()?;
    let hits = body.pointer_mut("/hits/hits")?.as_array_mut()?;
    let is_whole = from + hits.len() >= total && from + asked <= LARGEST_WINDOW;
    if asked > recorded && !is_whole {
        return None;
    }
    let before = hits.len();
    hits.truncate(asked);
    Some(hits.len() < before)
}

fn keep_source_fields(body: &mut Value, recording: &Recording, seen: &Seen) -> Option<bool> {
    let named = |query: &Pairs| -> BTreeSet<String> {
        let same = query
            .iter()
            .filter(|(name, _)| name == "include_source_fields");
        same.map(|(_, value)| value.clone()).collect()
    };
    let (recorded, asked) = (named(&recording.query), named(&seen.query));
    if recorded == asked {
        return Some(false);
    }
    let is_covered = |field: &String| {
        recorded.is_empty()
            || recorded
                .iter()
                .any(|wider| field == wider || field.starts_with(&format!("{wider}.")))
    };
    if asked.is_empty() || !asked.iter().all(is_covered) {
        return None;
    }
    for hit in body.pointer_mut("/hits/hits")?.as_array_mut()? {
        hit["_source"] = projected(&hit["_source"], &asked);
    }
    Some(true)
}

/// A document cut to the named fields; dotted names reach into objects and lists.
pub fn projected(source: &Value, fields: &BTreeSet<String>) -> Value {
    let mut inner: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut whole: BTreeSet<&str> = BTreeSet::new();
    for field in fields {
        match field.split_once('.') {
            Some((first, rest)) => {
                inner.entry(first).or_default().insert(rest.to_owned());
            }
            None => {
                whole.insert(field);
            }
        }
    }
    match source {
        Value::Object(members) => {
            let kept = members.iter().filter_map(|(name, value)| {
                if whole.contains(name.as_str()) {
                    return Some((name.clone(), value.clone()));
                }
                let deeper = inner.get(name.as_str())?;
                value
                    .is_object()
                    .then_some(())
                    .or(value.is_array().then_some(()))?;
                Some((name.clone(), projected(value, deeper)))
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) => items.iter().map(|item| projected(item, fields)).collect(),
        other => other.clone(),
    }
}

fn keep_aggregations(body: &mut Value, recording: &Recording, seen: &Seen) -> Option<bool> {
    let wanted = |text: Option<&str>| text != Some("false");
    let name = "include_aggregations";
    match (
        wanted(recording.parameter(name)),
        wanted(seen.parameter(name)),
    ) {
        (true, false) => {
            body.as_object_mut()?.shift_remove("aggregations");
            Some(true)
        }
        (false, true) => None,
        _ => Some(false),
    }
}

fn keep_limit(
    version: Version,
    body: &mut Value,
    recording: &Recording,
    seen: &Seen,
) -> Option<bool> {
    let (recorded, asked) = (recording.parameter("limit"), seen.parameter("limit"));
    if recorded == asked {
        return Some(false);
    }
    if recorded.is_none() && recording.path.ends_with("/pipelineStatus") {
        // Runs have no pages; the old server ignores the limit.
        let limit: usize = asked.and_then(|text| text.parse().ok())?;
        if version == Version::V1_12_6 {
            let runs = body.get_mut("data")?.as_array_mut()?;
            runs.truncate(limit);
            let left = runs.len();
            body["paging"]["total"] = left.into();
        }
        return Some(true);
    }
    // A list that was recorded to its end answers every limit that does not cut it.
    let is_whole = body.pointer("/paging/after").is_none();
    let entries = body.get("data")?.as_array()?.len();
    let asked: usize = asked.map_or(Some(10), |text| text.parse().ok())?;
    let fits = is_whole && asked >= entries && asked > 0 && recorded != Some("0");
    fits.then_some(false)
}

fn keep_fields(
    body: &mut Value,
    version: Version,
    recording: &Recording,
    seen: &Seen,
) -> Option<bool> {
    let named = |text: Option<&str>| -> BTreeSet<String> {
        let names = text.unwrap_or_default().split(',').map(str::trim);
        names
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (recorded, asked) = (
        named(recording.parameter("fields")),
        named(seen.parameter("fields")),
    );
    if recorded == asked {
        return Some(false);
    }
    if recording.path.contains("/lineage/") {
        return Some(keep_node_fields(body, &asked));
    }
    let everything = recorded.contains("*");
    // `*` holds every field but those that fail the whole read.
    let is_known = asked
        .iter()
        .all(|field| !super::entities::is_unknown(version, field));
    if recording.status != 200 || !(everything && is_known || asked.is_subset(&recorded)) {
        return None;
    }
    let unasked: Vec<&str> = OPTIONAL
        .into_iter()
        .filter(|name| (everything || recorded.contains(*name)) && !asked.contains(*name))
        .collect();
    let remove = |entity: &mut Value| {
        if let Some(members) = entity.as_object_mut() {
            members.retain(|name, _| !unasked.contains(&name.as_str()));
        }
    };
    match body.get_mut("data").and_then(Value::as_array_mut) {
        Some(entities) => entities.iter_mut().for_each(remove),
        None => remove(body),
    }
    Some(true)
}

/// `fields` of getLineage names the parts of each node's document.
fn keep_node_fields(body: &mut Value, asked: &BTreeSet<String>) -> bool {
    let Some(nodes) = body.get_mut("nodes").and_then(Value::as_object_mut) else {
        return false;
    };
    for (_, node) in nodes.iter_mut() {
        node["entity"] = projected(&node["entity"], asked);
    }
    true
}

fn keep_time_range(body: &mut Value, recording: &Recording, seen: &Seen) -> bool {
    let at = |query: &Pairs, name: &str| parameter(query, name)?.parse::<i64>().ok();
    let is_same = |name: &str| at(&recording.query, name) == at(&seen.query, name);
    if ["startTs", "endTs", "timestamp"].into_iter().all(is_same) {
        return false;
    }
    let start = at(&seen.query, "startTs").or(at(&seen.query, "timestamp"));
    let end = at(&seen.query, "endTs").unwrap_or(i64::MAX);
    let Some(entries) = body.get_mut("data").and_then(Value::as_array_mut) else {
        return false;
    };
    entries.retain(|entry| {
        let time = entry["timestamp"].as_i64();
        time.is_none_or(|time| (start.unwrap_or(i64::MIN)..=end).contains(&time))
    });
    let left = entries.len();
    if let Some(total) = body.pointer_mut("/paging/total") {
        *total = left.into();
    }
    true
}
