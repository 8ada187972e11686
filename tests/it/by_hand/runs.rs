//! Plan, deploy, look, take back; exit codes and both forms of the answers.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use serde_json::Value;

use super::{Hands, PHASES, is_of, is_open};
use crate::support::runs::{driver, signal};

#[test]
fn what_is_planned_is_deployed_seen_and_taken_back() {
    let objectives = "objectives: { change_failure_rate: 20% }\n";
    let hands = Hands::new(&format!("{objectives}{PHASES}"), None);
    let plan = hands.say("plan --json").code(0).json();
    is_of("plan_deployment", &plan);
    let digest = plan["digest"].as_str().expect("a digest").to_owned();
    assert_eq!(plan["phases"]["rows"][0][0], "infrastructure");
    let refused = hands.say("deploy").code(2);
    assert!(refused.err().contains("--yes"), "{}", refused.err());
    assert!(!is_open(hands.ports[0]), "nothing was begun");

    let ended = hands.say(&format!("deploy --digest {digest} --reason monday"));
    let ended = ended.code(0);
    for told in [
        "begun by ada at the command line",
        "infrastructure: gate passed",
        "the platform is FUNCTIONAL",
        "state: succeeded",
    ] {
        assert!(ended.out().contains(told), "{told}: {}", ended.out());
    }
    assert!(!ended.out().contains('\u{1b}'), "no colours in a pipe");
    assert!(hands.ports.iter().all(|port| is_open(*port)));

    // The same digest is the same run.
    let again = hands.say(&format!("deploy --digest {digest} --json"));
    let again = again.code(0).json();
    assert_eq!(again["run"], 1);
    is_of("get_deployment", &again);
    let history = hands.say("status --history --json").code(0).json();
    assert_eq!(history["total"], 1);
    assert_eq!(history["runs"]["rows"][0][5], "ada at the command line");
    hands.say("resume 1").code(1);
    hands.say("pause nonsense").code(2);
    hands.say("status 77").code(1);
    let unknown = hands.say("backup cashe").code(1).err();
    assert!(unknown.contains("did_you_mean: cache"), "{unknown}");
    let unknown = hands.say("restore 1.dump --yes").code(1).err();
    assert!(unknown.contains("backup --list"), "{unknown}");

    // What the scripts of a platform do.
    hands.say("health").code(0);
    hands.say("validate").code(0);
    let measured = hands.say("performance --requests 5 --concurrency 2 --json");
    let measured = measured.code(0).json();
    assert_eq!(measured["services"]["rows"][3][0], "all");
    assert_eq!(measured["services"]["rows"][3][1], 15);
    let used = hands.say("resources --json").code(0).json();
    assert_eq!(used["total_used"]["services"], 3);
    hands.say("performance kibana").code(1);

    // An emergency: shown first, essential services only by name.
    hands.say("stop").code(2);
    let short = hands.say("stop --memory-below 1Mi --yes --json").code(1);
    assert_eq!(short.json()["state"], "nothing_to_stop");
    is_of("stop_services", &short.json());
    hands.say("stop cache --dry-run").code(0);
    hands.say("stop cache").code(2);
    assert!(is_open(hands.ports[1]), "only shown");
    let stopped = hands.say("stop cache --yes --reason drill --json").code(0);
    assert_eq!(stopped.json()["state"], "stopped");
    is_of("stop_services", &stopped.json());
    assert!(!is_open(hands.ports[1]));
    hands.say("validate").code(1);
    hands.say("performance --requests 3").code(1);

    // Both sides know it.
    let call = |tool: &str, arguments: &str| {
        let words = ["tools", "call", "--demo", "--json", tool, arguments];
        hands.person.run(&words).code(0).json()
    };
    let changes = call(
        "get_changes",
        r#"{"kinds": ["deployment"], "service": "cache"}"#,
    );
    let told: Vec<&str> = changes["changes"]["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .filter_map(|row| row[3].as_str())
        .collect();
    assert!(told[0].starts_with("stop: stopped (drill)"), "{told:?}");
    assert!(
        told[1].starts_with("run 1: infrastructure, apps: succeeded"),
        "{told:?}"
    );
    let causes = call("find_root_cause", r#"{"service": "cache"}"#);
    let kinds: Vec<&str> = causes["causes"]["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .filter_map(|row| row[1].as_str())
        .collect();
    assert_eq!(kinds, ["cache", "stop_services", "run 1"]);
    let scorecard = call("get_platform", r#"{"view": "scorecard"}"#);
    let rate = scorecard["scorecard"]["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .find(|row| row[1] == "change_failure_rate")
        .expect("a row");
    assert_eq!((&rate[3], &rate[4]), (&"0%".into(), &"yes".into()));

    let shown = hands.say("rollback --dry-run --json").code(0).json();
    is_of("roll_back", &shown);
    assert_eq!(
        shown["would_take_back"]["rows"].as_array().map(Vec::len),
        Some(3)
    );
    assert!(is_open(hands.ports[2]), "only shown");
    let back = hands.say("rollback --yes --json").code(0).json();
    assert_eq!(back["state"], "rolled_back");
    assert!(!hands.ports.iter().any(|port| is_open(*port)));
}

#[test]
fn a_run_that_fails_or_waits_says_so_with_its_exit_code() {
    let phases = PHASES.replace("timeout: 20s", "timeout: 4s");
    let hands = Hands::new(&phases, Some("api"));
    let failed = hands.say("deploy --yes --json").code(1);
    assert_eq!(failed.json()["state"], "rolled_back");
    assert!(failed.err().contains("taken back"), "{}", failed.err());
    hands.say("status").code(1);
    assert!(!hands.ports.iter().any(|port| is_open(*port)));

    let paused = phases.replace("timeout: 4s }", "timeout: 4s }, on_failure: pause");
    hands.write(&paused, Some("api"));
    hands.say("deploy --yes").code(3);
    hands.say("status").code(3);
    assert!(is_open(hands.ports[0]), "it stands as it is");
    hands.say("abort 2 --follow").code(0);
    assert_eq!(hands.status(2)["state"], "rolled_back");
    assert!(!hands.ports.iter().any(|port| is_open(*port)));
}

/// A platform whose first gate holds for longer than a test waits.
fn held() -> Hands {
    let held = PHASES.replace(
        "stable_for: 1s, timeout: 30s",
        "stable_for: 60s, timeout: 90s",
    );
    Hands::new(&held, None)
}

/// What the gate of the first phase reads.
fn gate(seen: &Value) -> &str {
    seen["phases"]["rows"][0][3].as_str().unwrap_or_default()
}

#[test]
fn who_leaves_the_terminal_leaves_the_run_going_and_a_gate_at_work_tells_what_it_reads() {
    let hands = held();
    let mut child = hands
        .person
        .command()
        .args(["deploy", "--yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
    let begun = lines.find(|line| {
        let line = line.as_ref().expect("a line");
        line.contains("infrastructure: begun")
    });
    assert!(begun.is_some());
    signal(child.id(), "INT");
    let ended = child.wait_with_output().expect("an end");
    assert_eq!(ended.status.code(), Some(130));
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("run 1 goes on"), "{said}");

    let seen = hands.until(1, |seen| {
        assert_eq!(seen["state"], "running", "{seen}");
        gate(seen).contains("held")
    });
    let gate = gate(&seen);
    assert!(gate.starts_with("all healthy (is 2 of 2); held "), "{gate}");
    assert!(gate.ends_with(" of 60s"), "{gate}");
    // Exactly one run at a time, and a person may let it pass.
    let other = hands.say("deploy --yes").code(1);
    assert!(other.err().contains("run 1"), "{}", other.err());
    hands.say("promote 1 --follow --reason drill").code(0);
    assert!(is_open(hands.ports[2]));
    hands.say("rollback --yes").code(0);
    assert!(!hands.ports.iter().any(|port| is_open(*port)));
}

#[test]
fn a_run_whose_driver_was_killed_waits_for_a_person_and_goes_on_when_told() {
    let hands = held();
    let begun = hands.say("deploy --yes --detach --json").code(0).json();
    signal(driver(&begun), "KILL");
    hands.until(1, |seen| seen["state"] == "interrupted");
    // Nothing goes on by itself, and each way to look says that somebody has to decide.
    hands.say("status").code(3);
    let followed = hands.say("status --follow").code(3);
    assert!(followed.out().contains("interrupted"), "{}", followed.out());
    hands.say("pause 1").code(1);
    hands.say("resume 1 --reason back").code(0);
    assert_eq!(hands.status(1)["state"], "running");
    hands.until(1, |seen| seen["phases"]["rows"][0][1] == "at its gate");
    hands.say("promote 1 --follow").code(0);
    assert!(is_open(hands.ports[2]));
    hands.say("rollback --yes").code(0);
    assert!(!hands.ports.iter().any(|port| is_open(*port)));
}
