//! Plan, deploy, look, take back; exit codes and both forms of the answers.

use super::{Hands, PHASES, is_open};

#[test]
fn what_is_planned_is_deployed_seen_and_taken_back() {
    let hands = Hands::new(PHASES, None);
    let plan = hands.say("plan --json").code(0).json();
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
    assert_eq!(again.code(0).json()["run"], 1);
    let history = hands.say("status --history --json").code(0).json();
    assert_eq!(history["total"], 1);
    assert_eq!(history["runs"]["rows"][0][5], "ada at the command line");
    hands.say("resume 1").code(1);
    hands.say("pause nonsense").code(2);
    hands.say("status 77").code(1);

    let shown = hands.say("rollback --dry-run --json").code(0).json();
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
