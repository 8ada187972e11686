//! The rules of the source that a compiler does not check: rooms, openings, words left out.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The rooms from left to right; those of one row do not use each other. A room may use any room
/// left of it.
const ROWS: &[&[&str]] = &[
    &["settings", "digest"],
    &["answer", "net", "logs", "platform"],
    &["store"],
    &["runtime", "catalog"],
    &["health", "observe"],
    &["deploy"],
    &["bridge"],
    &["tools"],
    &["mcp"],
    &["web"],
    &["app"],
    &["cli"],
];

/// Crates that only their owners use: a path that begins so, below `src/`.
const OWNERS: &[(&str, &[&str])] = &[
    ("rmcp", &["mcp/", "tools/"]),
    ("axum", &["mcp/", "web/"]),
    ("reqwest", &["net/"]),
    ("rusqlite", &["catalog/snapshot", "store/"]),
    ("clap", &["cli/"]),
    ("console", &["cli/"]),
    ("rustix", &["runtime/process/", "runtime/shim"]),
    ("bollard", &["runtime/compose/"]),
    ("kube", &["runtime/kubernetes/"]),
    ("tokio_postgres", &["health/probe/", "store/"]),
    ("tokio_rustls", &["net/"]),
];

struct Source {
    /// Below `src/`, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// The code before its unit tests.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        lines
            .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
            .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or_default()))
    }

    fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }
}

fn sources() -> Vec<Source> {
    fn walk(folder: &Path, root: &Path, all: &mut Vec<Source>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, root, all);
            } else if path.extension().is_some_and(|ending| ending == "rs")
                // Unit tests in a file of their own.
                && !path.ends_with("tests.rs")
            {
                let name = path.strip_prefix(root).expect("below src");
                all.push(Source {
                    path: name.to_string_lossy().replace('\\', "/"),
                    text: fs::read_to_string(&path).expect("a text"),
                });
            }
        }
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    walk(&root, &root, &mut all);
    assert!(all.len() > 40, "the sources are found");
    all
}

fn row(room: &str) -> Option<usize> {
    ROWS.iter().position(|rooms| rooms.contains(&room))
}

/// The rooms that a piece of code names by `crate::…`, also in `use crate::{a, b::c}` groups.
fn rooms_named(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for part in code.split("crate::").skip(1) {
        if let Some(group) = part.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            let mut is_head = true;
            for character in group.chars() {
                match character {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        named.push(std::mem::take(&mut name));
                        is_head = true;
                    }
                    ':' if depth == 0 => is_head = false,
                    other if depth == 0 && is_head && !other.is_whitespace() => name.push(other),
                    _ => {}
                }
            }
            named.push(name);
        } else {
            let is_word = |character: char| character.is_alphanumeric() || character == '_';
            named.push(
                part.chars()
                    .take_while(|&character| is_word(character))
                    .collect(),
            );
        }
    }
    named.retain(|name| !name.is_empty());
    named
}

#[test]
fn groups_of_imports_are_read() {
    let code =
        "use crate::{\n answer::{Answer, Table},\n catalog,\n};\nlet x = crate::tools::all();";
    assert_eq!(rooms_named(code), ["answer", "catalog", "tools"]);
}

#[test]
fn rooms_use_only_rooms_left_of_them() {
    let mut faults = Vec::new();
    for source in sources() {
        let room = source.room();
        if matches!(room, "main" | "lib") {
            continue;
        }
        let Some(own) = row(room) else {
            faults.push(format!("src/{} is in no room: add it to ROWS", source.path));
            continue;
        };
        let code: String = source.code().map(|(_, line)| format!("{line}\n")).collect();
        for named in rooms_named(&code) {
            match row(&named) {
                _ if named == room => {}
                Some(other) if other < own => {}
                Some(_) => faults.push(format!("src/{} uses crate::{named}", source.path)),
                None => faults.push(format!("src/{} uses no room: crate::{named}", source.path)),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn vendor_crates_have_owners() {
    let mut faults = Vec::new();
    for source in sources() {
        for (number, line) in source.code() {
            for (vendor, owners) in OWNERS {
                let is_named = line.contains(&format!("{vendor}::"))
                    || line.contains(&format!("use {vendor};"));
                // `my_rmcp::` is another word.
                let is_word = line
                    .split(vendor)
                    .next()
                    .and_then(|before| before.chars().last())
                    .is_none_or(|last| !last.is_alphanumeric() && last != '_');
                if is_named && is_word && !owners.iter().any(|owner| source.path.starts_with(owner))
                {
                    faults.push(format!("src/{}:{number} uses {vendor}", source.path));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_file_opens_with_its_one_job() {
    for source in sources() {
        let first = source.text.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("//! ") && first.len() > 8,
            "src/{} does not open with `//!` and its job",
            source.path
        );
    }
}

#[test]
fn the_server_neither_panics_nor_prints() {
    let mut faults = Vec::new();
    for source in sources() {
        for (number, line) in source.code() {
            let banned = [
                ".unwrap()",
                ".expect(",
                "panic!(",
                "todo!(",
                "unimplemented!(",
                "dbg!(",
                "unsafe ",
                // stdout carries protocol only, and a closed stdout or stderr is no panic.
                "println!(",
                "print!(",
            ];
            for word in banned.iter().filter(|word| line.contains(**word)) {
                faults.push(format!("src/{}:{number} has {word}", source.path));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What production asks a person for comes from the command line alone.
#[test]
fn only_the_command_line_makes_a_person() {
    for source in sources() {
        let makes = source.code().any(|(_, line)| line.contains("Person {"));
        let is_allowed = source.path == "tools/context.rs" || source.path.starts_with("cli/");
        assert!(!makes || is_allowed, "src/{} makes a Person", source.path);
    }
}

/// The fuzz targets are a workspace of their own, which no other step builds: it takes the parts of the
/// tests' support one by one.
#[test]
fn the_fuzz_targets_name_every_part_of_the_support_that_they_use() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &Path| fs::read_to_string(path).expect("a text");
    let names = |folder: &str| -> Vec<(String, PathBuf)> {
        let entries = fs::read_dir(root.join(folder)).expect("a folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let stem = |path: &PathBuf| path.file_stem().expect("a name").display().to_string();
        paths.map(|path| (stem(&path), path)).collect()
    };
    let taken = read(&root.join("fuzz/src/support.rs"));
    let is_taken = |name: &str| taken.contains(&format!("pub mod {name};"));
    let (mut used, mut left_out) = (names("tests/it/fuzz"), Vec::new());
    for (name, path) in names("tests/it/support") {
        match is_taken(&name) {
            true => used.push((name, path)),
            false => left_out.push(name),
        }
    }
    assert!(used.len() > 15, "the parts are found: {used:?}");
    let mut faults = Vec::new();
    for (name, path) in &used {
        let text = read(path);
        for part in &left_out {
            let is_named = ["super::", "support::"]
                .iter()
                .any(|above| text.contains(&format!("{above}{part}")));
            let is_in_group = text
                .lines()
                .any(|line| line.trim_start().starts_with(&format!("{part}::")));
            if is_named || is_in_group {
                faults.push(format!(
                    "{name} uses {part}, which fuzz/src/support.rs does not name"
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let chart = root.join("charts/openpolicy-mcp/Chart.yaml");
    let chart = fs::read_to_string(chart).expect("a chart");
    for key in ["version", "appVersion"] {
        let line = format!("\n{key}: {}\n", env!("CARGO_PKG_VERSION"));
        assert!(chart.contains(&line), "{key} of the chart");
    }
}
