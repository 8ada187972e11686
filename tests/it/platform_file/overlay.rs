//! A platform file that is laid over another: one environment over what all share.

use openpolicy_mcp::platform::{TrustedDigests, model::Environment};

use super::Folder;

const SHARED: &str = "platform: p
title: All
environment: development
runtime: { process: {} }
services:
  db: { command: [db], memory: 1Gi, port: 5432 }
  api: { command: [api], memory: 512Mi, needs: [db] }
phases: [{ name: all, steps: [[db], [api]] }]
";

fn over(text: &str) -> Folder {
    Folder::with(text).file("shared.yaml", SHARED)
}

#[test]
fn an_environment_says_what_is_its_own() {
    let platform = over(
        "extends: shared.yaml
environment: production
services:
  db: { memory: 4Gi, port: !reset null }
  cache: { command: [cache] }
phases: [{ name: all, steps: [[db, cache], [api]] }]
",
    )
    .load()
    .platform;
    assert_eq!(
        (platform.name.as_str(), platform.title.as_deref()),
        ("p", Some("All"))
    );
    assert_eq!(platform.environment, Environment::Production);
    let names: Vec<&str> = platform
        .services
        .iter()
        .map(|one| one.name.0.as_str())
        .collect();
    assert_eq!(names, ["db", "api", "cache"]);
    let db = platform.service("db").expect("db");
    assert_eq!(db.memory.map(|memory| memory.0), Some(4 << 30));
    assert_eq!((db.ports.len(), db.command.len()), (0, 1));
    assert_eq!(platform.phases[0].steps[0].len(), 2);
}

#[test]
fn layers_lie_over_each_other() {
    let platform = Folder::with("extends: production.yaml\ntitle: Region\n")
        .file(
            "production.yaml",
            "extends: shared.yaml\ntitle: Production\nenvironment: production\n",
        )
        .file("shared.yaml", SHARED)
        .load()
        .platform;
    assert_eq!(platform.title.as_deref(), Some("Region"));
    assert_eq!(platform.environment, Environment::Production);
}

#[test]
fn a_fault_is_told_in_the_file_that_has_it() {
    let folder = over("extends: shared.yaml\nservices: { api: { memory: lots } }\n");
    let faults = folder.faults();
    assert!(
        faults.len() == 1 && faults[0].starts_with("2:"),
        "{faults:?}"
    );
    let folder = Folder::with("extends: shared.yaml\n")
        .file("shared.yaml", &SHARED.replace("needs: [db]", "needs: [bd]"));
    let faults = folder.faults();
    assert!(
        faults.len() == 1 && faults[0].starts_with("shared.yaml:7:") && faults[0].contains("`bd`"),
        "{faults:?}"
    );
}

#[test]
fn what_it_extends_is_a_file_beside_it() {
    for (text, word) in [
        ("extends: ../shared.yaml\n", "same folder"),
        ("extends: /etc/shared.yaml\n", "same folder"),
        ("extends: ..\n", "same folder"),
        ("extends: [shared.yaml]\n", "same folder"),
        ("extends: shared.yml\n", "cannot be read"),
        ("extends: platform.yaml\n", "extends itself"),
        ("extends: loop.yaml\n", "extends itself"),
    ] {
        let folder = over(text).file("loop.yaml", "extends: platform.yaml\n");
        let faults = folder.faults();
        assert!(
            faults.len() == 1 && faults[0].contains(word),
            "{text}: {faults:?}"
        );
    }
}

#[test]
fn trust_is_of_all_layers() {
    let text = "extends: shared.yaml\nenvironment: production\n";
    let digest = over(text).load().digest;
    let trusted = TrustedDigests {
        given: vec![digest],
        ..TrustedDigests::default()
    };
    let trusting = |shared: &str| {
        let folder = Folder::with(text).file("shared.yaml", shared);
        folder
            .trusting(trusted.clone())
            .load()
            .platform
            .trust
            .is_trusted()
    };
    assert!(trusting(SHARED));
    assert!(!trusting(
        &SHARED.replace("command: [db]", "command: [evil]")
    ));
}
