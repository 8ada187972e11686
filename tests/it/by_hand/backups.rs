//! Dumps are made by hand and before runs, and older ones go. Scripts stand for PostgreSQL's programs.

use serde_json::Value;

use super::{Hands, PHASES};
use crate::support;

const PROGRAMS: [(&str, &str); 2] = [
    ("pg_dump", "#!/bin/sh\necho a dump of this moment\n"),
    (
        "pg_restore",
        "#!/bin/sh\ncat > /dev/null\necho '; TOC Entries: 1'\necho '1; TABLE bills'\n",
    ),
];

/// A platform whose database is dumped; `backup` are further fields of it.
fn hands(backup: &str) -> Hands {
    let hands = Hands::new("", None);
    let folder = hands.person.path("bin");
    std::fs::create_dir(&folder).expect("a folder");
    for (name, text) in PROGRAMS {
        use std::os::unix::fs::PermissionsExt as _;
        let path = std::path::Path::new(&folder).join(name);
        std::fs::write(&path, text).expect("a file");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("a mode");
    }
    let phases = PHASES.replace(
        "steps: [[api]]",
        "before: [{ exec: { service: db, command: [\"true\"] } }], steps: [[api]]",
    );
    let program = support::bin();
    let beside = program.parent().expect("a folder").display().to_string();
    let path = format!(
        "{}:{beside}:/usr/bin:/bin",
        std::path::Path::new(&folder).display()
    );
    let databases = "databases: [{ service: db, database: core, user: reader }]";
    hands.write(
        &format!("env: {{ PATH: \"{path}\" }}\nbackup: {{ {databases}{backup} }}\n{phases}"),
        None,
    );
    hands
}

/// Names of the dumps that there are, newest first.
fn listed(hands: &Hands) -> Vec<String> {
    let all = hands.say("backup --list --json").code(0).json();
    let all = all.as_array().expect("a list").iter();
    all.map(|one| one["name"].as_str().expect("a name").to_owned())
        .collect()
}

fn made(hands: &Hands) -> Value {
    hands.say("backup --json").code(0).json()
}

#[test]
fn of_each_database_the_newest_stay_and_those_of_runs_that_can_be_taken_back() {
    let hands = hands(", before_run: true, keep: 2");
    hands.say("deploy infrastructure --yes").code(0);
    let first = made(&hands);
    assert_eq!(first["removed"], Value::Null, "{first}");
    // The run has a hook in the database: it is dumped first.
    let ended = hands.say("deploy apps --yes").code(0);
    assert!(
        ended.out().contains("made and read back"),
        "{}",
        ended.out()
    );
    let of_run = listed(&hands).remove(0);
    let second = made(&hands);
    assert_eq!(
        second["removed"],
        serde_json::json!([first["name"]]),
        "{second}"
    );
    let third = made(&hands);
    // Two are newer than that of the run, which can be taken back.
    assert_eq!(third["removed"], Value::Null, "{third}");
    let fourth = hands.say("backup").code(0).out();
    let gone = second["name"].as_str().expect("a name");
    assert!(
        fourth.contains(&format!("{gone}  removed: the newest 2 stay")),
        "{fourth}"
    );
    let left = listed(&hands);
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(left.contains(&of_run), "{left:?}");
    let said = hands.say("backup --list").code(0).err();
    assert!(said.contains("the newest 2 stay"), "{said}");

    // A dump that fails costs none of the older ones.
    let program = hands.person.path("bin/pg_dump");
    std::fs::write(program, "#!/bin/sh\necho no space left >&2\nexit 1\n").expect("a file");
    let failed = hands.say("backup").code(1).err();
    assert!(failed.contains("no space left"), "{failed}");
    assert_eq!(listed(&hands), left);
}

#[test]
fn a_file_that_keeps_none_is_refused() {
    let hands = hands("");
    let text = hands.person.read("platform.yaml");
    hands.person.write(
        "platform.yaml",
        &text.replace("backup: {", "backup: { keep: 0,"),
    );
    let refused = hands.say("lint platform.yaml").code(1);
    let said = format!("{}{}", refused.out(), refused.err());
    assert!(said.contains("no dump would stay"), "{said}");
}
