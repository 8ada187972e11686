//! What the READMEs of the platforms point to exists.

use std::fs;

use openpolicy_mcp::platform::{
    problem::FileId,
    yaml::{self, Node, Value},
};

use super::path;

/// Platforms; their READMEs speak of `platform.yaml`.
const PLATFORMS: [&str; 5] = ["metadata", "kubernetes", "environments", "v4", "planned"];

/// Tools of the platform and of the catalog.
const TOOLS: &[&str] = &[
    "analyze_impact",
    "check_health",
    "deploy_phase",
    "find_root_cause",
    "get_alerts",
    "get_deployment",
    "get_ingestion",
    "get_lineage",
    "get_logs",
    "get_platform",
    "get_resources",
    "get_service",
    "plan_deployment",
    "query_metrics",
    "read_openmetadata",
    "roll_back",
    "search_entities",
    "stop_services",
];

/// What has a part that is still to come, and is marked so there.
const TO_COME: &[&str] = &["openpolicy-mcp backup", "openpolicy-mcp restore"];

/// Cells of the column `where`, with the line in which they stand.
fn cells(text: &str) -> Vec<(usize, &str)> {
    let mut cells = Vec::new();
    let mut is_table = false;
    for (at, line) in text.lines().enumerate() {
        if !line.starts_with('|') {
            is_table = false;
        } else if line.trim_end().ends_with("| where |") {
            is_table = true;
        } else if is_table && !line.starts_with("|---") {
            let cell = line.trim_end().trim_end_matches('|').rsplit('|').next();
            cells.push((at + 1, cell.unwrap_or_default().trim()));
        }
    }
    cells
}

/// What stands in backquotes, and whether a mark follows.
fn pointers(cell: &str) -> Vec<(&str, bool)> {
    let parts: Vec<&str> = cell.split('`').collect();
    parts
        .iter()
        .enumerate()
        .filter(|(at, _)| at % 2 == 1)
        .map(|(at, part)| {
            (
                *part,
                parts.get(at + 1).is_some_and(|next| next.starts_with('†')),
            )
        })
        .collect()
}

/// A YAML file below `platforms/`.
pub fn tree(file: &str) -> Node {
    let text = fs::read_to_string(path(file)).expect(file);
    let (documents, problems) = yaml::documents(&text, FileId::PLATFORM).expect(file);
    assert!(problems.is_empty(), "{file}");
    documents.into_iter().next().expect(file)
}

/// Whether something stands at the end of these keys. An item of a list is found by its name or by
/// a key that it has; `*` is any of them.
fn exists(node: &Node, keys: &[&str]) -> bool {
    let Some((key, rest)) = keys.split_first() else {
        return true;
    };
    match &node.value {
        Value::Map(entries) => entries
            .iter()
            .any(|entry| (*key == "*" || entry.key == *key) && exists(&entry.value, rest)),
        Value::List(items) => items.iter().any(|item| {
            let is_named = *key == "*" || item.get("name").and_then(Node::text) == Some(key);
            (is_named && exists(item, rest)) || exists(item, keys)
        }),
        _ => false,
    }
}

#[test]
fn every_key_file_and_tool_of_the_tables_exists() {
    let mut wrong = Vec::new();
    for platform in PLATFORMS {
        let text = fs::read_to_string(path(&format!("{platform}/README.md"))).expect(platform);
        let file = tree(&format!("{platform}/platform.yaml"));
        let compose = tree(&format!("{platform}/compose.yaml"));
        let cells = cells(&text);
        assert!(cells.len() > 30, "{platform}: {} statements", cells.len());
        for (line, cell) in cells {
            let pointers = pointers(cell);
            let says_so = [
                "absent",
                "prose, nothing to hold",
                "mesh‡",
                "GitOps‡",
                "for a person",
                "not named",
            ]
            .iter()
            .any(|words| cell.contains(words));
            if pointers.is_empty() && !says_so {
                wrong.push(format!(
                    "{platform} line {line}: says neither where nor why not"
                ));
            }
            for (pointer, is_marked) in pointers {
                let keys: Vec<&str> = pointer.split('.').collect();
                let is_variable = pointer
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte == b'_');
                let is_there = if is_marked {
                    TO_COME.contains(&pointer)
                } else {
                    TOOLS.contains(&pointer)
                        || pointer.starts_with("openpolicy-mcp ")
                        || is_variable
                        || path(&format!("{platform}/{pointer}")).exists()
                        || exists(&file, &keys)
                        || pointer.strip_prefix("compose:").is_some_and(|keys| {
                            exists(&compose, &keys.split('.').collect::<Vec<_>>())
                        })
                };
                if !is_there {
                    wrong.push(format!("{platform} line {line}: there is no {pointer}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Every service and every phase, rule and group of the files is named by a table.
#[test]
fn every_service_of_the_files_stands_in_a_table() {
    for platform in PLATFORMS {
        let text = fs::read_to_string(path(&format!("{platform}/README.md"))).expect(platform);
        let tree = tree(&format!("{platform}/platform.yaml"));
        let services = tree.get("services").map(Node::entries).unwrap_or_default();
        for service in services {
            assert!(
                text.contains(&format!("`services.{}", service.key)),
                "{platform}: {} stands in no table",
                service.key
            );
        }
        let alerts = tree.get("alerts").map(Node::items).unwrap_or_default();
        for name in alerts.iter().filter_map(|alert| alert.get("name")?.text()) {
            assert!(
                text.contains(&format!("`alerts.{name}`")),
                "{platform}: {name}"
            );
        }
    }
}
