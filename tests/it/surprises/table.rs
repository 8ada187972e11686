//! Holds `tests/SURPRISES.md` against what is there: every test and recording that it names exists.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Endpoints and fields that no code of ours names, since their answers mislead.
const NEVER_NAMED: [&str; 15] = [
    "getPaginationInfo",
    "getPlatformLineage",
    "lineage/getLineage?",
    "lineage/getLineage\"",
    "search/vector",
    "search/nlq",
    "search/aggregate",
    "columns/search",
    "testCaseIncidentStatus/search",
    "fullyQualifiedName.keyword",
    "\"search_after\"",
    "includeDeleted",
    "nodeDepth",
    "column_filter",
    "preserve_paths",
];

struct Row {
    recordings: Vec<String>,
    tests: Vec<String>,
}

/// Cells between backticks, of the second and the third column.
fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/SURPRISES.md");
    let text = fs::read_to_string(path).expect("the table");
    let quoted = |cell: &str| {
        let parts = cell.split('`').skip(1).step_by(2);
        parts.map(str::to_owned).collect::<Vec<_>>()
    };
    let lines = text.lines().filter(|line| line.starts_with("| "));
    lines
        .map(|line| line.trim_matches('|').split(" | ").collect::<Vec<_>>())
        .filter(|cells| cells[0].trim() != "Surprise")
        .map(|cells| {
            assert_eq!(cells.len(), 3, "three columns: {cells:?}");
            Row {
                recordings: quoted(cells[1]),
                tests: quoted(cells[2]),
            }
        })
        .collect()
}

fn files(folder: PathBuf, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(path, all);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            all.push(path);
        }
    }
}

/// `surprises::search::name` for every function below `folder` that is a test.
fn tests_below(folder: &str) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut all = Vec::new();
    files(root.clone(), &mut all);
    let mut names = BTreeSet::new();
    for path in all {
        let text = fs::read_to_string(&path).expect("a text");
        let below = path.strip_prefix(&root).unwrap().with_extension("");
        let module: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            is_test |= line == "#[test]" || line == "#[tokio::test]";
            let name = line
                .split_once("fn ")
                .and_then(|(_, rest)| rest.split_once('('));
            if let (true, Some((name, _))) = (is_test, name) {
                names.insert(format!("{}::{name}", module.join("::")));
                is_test = false;
            }
        }
    }
    names
}

#[test]
fn every_test_and_recording_of_the_table_exists() {
    let mut tests = tests_below("tests/it");
    let units = tests_below("src");
    tests.extend(units.into_iter().map(|name| format!("src/{name}")));
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/openmetadata");
    let rows = rows();
    assert!(rows.len() > 80, "{} rows", rows.len());
    for row in &rows {
        assert!(!row.tests.is_empty(), "{:?} has no test", row.recordings);
        for test in &row.tests {
            assert!(tests.contains(test), "no test {test}");
        }
        for name in &row.recordings {
            let path = fixtures.join(format!("{name}.json"));
            assert!(path.exists(), "no recording {name}");
        }
    }
}

/// Every test of this folder is in the table.
#[test]
fn the_table_knows_the_tests_that_are_here_for_it() {
    let named: BTreeSet<String> = rows().into_iter().flat_map(|row| row.tests).collect();
    for test in tests_below("tests/it") {
        let is_here = test.starts_with("surprises::") && !test.starts_with("surprises::table::");
        assert!(!is_here || named.contains(&test), "{test} is in no row");
    }
}

#[test]
fn endpoints_that_mislead_are_named_nowhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(root, &mut all);
    assert!(all.len() > 40);
    // One file names them in order to warn; another scans by `id.keyword`, where no two are alike.
    let is_asking = |path: &PathBuf| {
        !path.ends_with("read_openmetadata/traps.rs") && !path.ends_with("catalog/sync/source.rs")
    };
    for path in all.into_iter().filter(is_asking) {
        let text = fs::read_to_string(&path).expect("a text");
        let code = text
            .lines()
            .take_while(|line| !line.starts_with("#[cfg(test)]"));
        for line in code.filter(|line| !line.trim_start().starts_with("//")) {
            for name in NEVER_NAMED {
                assert!(!line.contains(name), "{}: {line}", path.display());
            }
        }
    }
}
