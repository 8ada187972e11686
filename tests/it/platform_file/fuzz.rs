//! No text makes the reading of a platform file panic, and every refusal says why.

use std::{fs, path::Path};

use openpolicy_mcp::platform::{self, TrustedDigests, Variables};
use proptest::prelude::*;

/// The reference platforms: every key of the format stands in one of them.
fn reference_files() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("platforms");
    let mut texts: Vec<String> = fs::read_dir(root)
        .expect("the reference platforms")
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("platform.yaml")).ok())
        .collect();
    texts.sort();
    assert!(texts.len() >= 5, "the reference platforms are found");
    texts
}

fn read(text: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("platform.yaml");
    fs::write(&path, text).expect("a file");
    for everything in [true, false] {
        let trusted = TrustedDigests {
            everything,
            ..TrustedDigests::default()
        };
        match platform::load(&path, &Variables::default(), &trusted) {
            Ok(loaded) => {
                platform::lint(&loaded);
                platform::trust::wishes(&loaded);
            }
            Err(problems) => assert!(!problems.problems.is_empty(), "{text}"),
        }
    }
}

/// One change somewhere in a text.
fn changed(text: &str, at: prop::sample::Index, kind: u8, scrap: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let line = at.index(lines.len());
    let owned;
    match kind {
        0 => {
            lines.remove(line);
        }
        1 => lines.insert(line, lines[line]),
        2 => lines.insert(line, scrap),
        3 => lines.truncate(line),
        4 => {
            owned = lines[line].replace(": ", &format!(": {scrap} "));
            lines[line] = &owned;
        }
        5 => {
            owned = format!("  {}", lines[line]);
            lines[line] = &owned;
        }
        _ => {
            owned = lines[line].replacen(|character: char| character.is_alphanumeric(), scrap, 1);
            lines[line] = &owned;
        }
    }
    lines.join("\n")
}

const SCRAPS: [&str; 22] = [
    "{",
    "}",
    "[",
    "]",
    "- ",
    ":",
    "&a",
    "*a",
    "<<: *a",
    "!!str",
    "|",
    "> x",
    "${",
    "${A:-${B}}",
    "$$",
    "null",
    "-1",
    "99999999999999999999",
    "1e309",
    "\u{202e}",
    "é\u{0}",
    "\t",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn changed_reference_files_are_read_or_refused(
        file in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..7, prop::sample::select(&SCRAPS[..])), 1..4),
    ) {
        let files = reference_files();
        let mut text = files[file.index(files.len())].clone();
        for (at, kind, scrap) in changes {
            if !text.is_empty() {
                text = changed(&text, at, kind, scrap);
            }
        }
        read(&text);
    }

    #[test]
    fn texts_of_scraps_are_read_or_refused(
        parts in prop::collection::vec(
            prop_oneof![
                prop::sample::select(&SCRAPS[..]).prop_map(str::to_owned),
                prop::sample::select(&["platform", "services", "phases", "probe", "needs", "all", "\n", "\n  ", " "][..])
                    .prop_map(str::to_owned),
                "[ -~]{0,6}",
            ],
            0..40,
        ),
    ) {
        read(&parts.concat());
    }
}

#[test]
fn a_platform_of_five_hundred_services_in_a_chain_is_read() {
    let mut text = "platform: large\nservices:\n".to_owned();
    for number in 0..500 {
        let needs = if number == 0 {
            String::new()
        } else {
            format!("needs: [service-{}], ", number - 1)
        };
        text.push_str(&format!(
            "  service-{number}: {{ {needs}memory: 128Mi, cpu: 50m, port: {}, probe: {{ tcp: \"localhost:{}\" }} }}\n",
            10_000 + number,
            10_000 + number
        ));
    }
    let loaded = super::Folder::with(&text).load();
    assert_eq!(loaded.platform.services.len(), 500);
    assert_eq!(platform::lint(&loaded), []);
}
