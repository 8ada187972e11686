//! Knows which raw answers of OpenMetadata are not what they look like, and says so.
//!
//! Never waits. Each of these was recorded; the tools with a form of their own avoid them.

use serde_json::Value;

use super::path::Request;
use crate::catalog::client::Version;

/// Parameters of lists that 1.2.0 was seen to heed; it ignores those that it does not know, and
/// returns everything (recorded: entities/table-list-service, table-list-unknown-param).
const HEEDED: [&str; 5] = ["limit", "after", "before", "fields", "include"];

/// The first version that is not taken for an old one.
const NEWER: Version = Version::new(1, 3, 0);

/// What has to be said of an answer.
#[derive(Debug, Default, PartialEq)]
pub struct Trap {
    pub warnings: Vec<String>,
    /// The server may have left something out without a word.
    pub is_cut_silently: bool,
}

pub fn of(request: &Request, version: Option<Version>, answer: &Value) -> Trap {
    let mut trap = Trap::default();
    let path = request.path.trim_end_matches('/');
    let mut warn = |text: String| trap.warnings.push(text);
    let mut is_cut_silently = false;
    if path.starts_with("lineage/getPaginationInfo") {
        warn("this counts an entity once for each path to it: get_lineage counts it once".into());
    } else if path.starts_with("lineage/getLineage") && !path.contains("getLineageEdge") {
        is_cut_silently = true;
        warn(
            "OpenMetadata cuts each hop to `size` and does not say so: get_lineage counts and \
             returns all"
                .into(),
        );
    }
    if path == "search/query" {
        for name in ["query_filter", "post_filter"] {
            let filter = request.query.get(name);
            if filter.is_some_and(|text| serde_json::from_str::<Value>(text).is_err()) {
                warn(format!(
                    "{name} is no JSON: OpenMetadata drops it without a word and returns everything"
                ));
            }
        }
    }
    let failed = answer.pointer("/_shards/failed").and_then(Value::as_u64);
    if let Some(failed @ 1..) = failed {
        is_cut_silently = true;
        warn(format!(
            "{failed} parts of OpenMetadata's search index failed: hits may be missing"
        ));
    }
    let is_list = answer.get("data").is_some_and(Value::is_array);
    if let Some(version) = version
        && version < NEWER
        && is_list
    {
        let names = request.query.keys().map(String::as_str);
        let unsure: Vec<&str> = names.filter(|name| !HEEDED.contains(name)).collect();
        if !unsure.is_empty() {
            warn(format!(
                "this OpenMetadata ({version}) ignores parameters that it does not know and then \
                 returns everything: see whether the items fit {}",
                unsure.join(", ")
            ));
        }
    }
    trap.is_cut_silently = is_cut_silently;
    trap
}
