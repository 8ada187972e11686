//! Answers filtered lists of tests and ingestion pipelines from the recorded whole lists.

use std::collections::BTreeSet;

use serde_json::Value;

use super::matching::OPTIONAL;
use super::recordings::Version;
use super::wire::{Answer, Seen};

/// `path` is what follows `/api/v1/`.
pub fn answer(version: Version, path: &str, seen: &Seen) -> Option<Answer> {
    let (names, filters): ([&str; 2], &[&str]) = match path {
        "dataQuality/testCases" => (
            ["quality/testcases", "quality/testcases-old"],
            &[
                "entityLink",
                "includeAllTests",
                "entityFQN",
                "testCaseStatus",
            ],
        ),
        "services/ingestionPipelines" => (
            ["ingestion/list", "ingestion/list-old"],
            &["service", "pipelineType"],
        ),
        _ => return None,
    };
    let is_known = |name: &str| filters.contains(&name) || ["limit", "fields"].contains(&name);
    if !seen.query.iter().all(|(name, _)| is_known(name)) {
        return None;
    }
    let recording = version.recording(names[usize::from(version == Version::V1_2_0)]);
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
    // Tests tell about their incident without being asked.
    if !asked
        .iter()
        .all(|field| recorded.contains(field) || field == "incidentId")
        || version == Version::V1_2_0 && asked.contains("incidentId")
    {
        return None;
    }
    let mut body = recording.response.clone();
    let entries = body["data"].as_array_mut()?;
    entries.retain(|entry| passes(version, entry, seen));
    for entry in entries.iter_mut() {
        let members = entry.as_object_mut()?;
        members.retain(|name, _| !OPTIONAL.contains(&name.as_str()) || asked.contains(name));
    }
    let limit = seen
        .parameter("limit")
        .map_or(Some(10), |text| text.parse::<usize>().ok())?;
    if limit == 0 || entries.len() > limit {
        return None;
    }
    body["paging"]["total"] = entries.len().into();
    Some(Answer::json(200, &body))
}

fn passes(version: Version, entry: &Value, seen: &Seen) -> bool {
    let agrees =
        |name: &str, value: &Value| seen.parameter(name).is_none_or(|wanted| value == wanted);
    // The old server ignores these two.
    let is_new = version == Version::V1_12_6;
    agrees("pipelineType", &entry["pipelineType"])
        && agrees("service", &entry["service"]["fullyQualifiedName"])
        && (!is_new || agrees("testCaseStatus", &entry["testCaseStatus"]))
        && (!is_new
            || seen
                .parameter("entityFQN")
                .is_none_or(|name| is_of(entry, &format!("<#E::table::{name}>"), true)))
        && seen.parameter("entityLink").is_none_or(|link| {
            is_of(
                entry,
                link,
                seen.parameter("includeAllTests") == Some("true"),
            )
        })
}

/// Whether a test is of the linked entity, or of one of its columns where those count.
fn is_of(test: &Value, link: &str, with_columns: bool) -> bool {
    let of = test["entityLink"].as_str().unwrap_or_default();
    let columns = format!("{}::columns::", link.trim_end_matches('>'));
    of == link || with_columns && of.starts_with(&columns)
}
