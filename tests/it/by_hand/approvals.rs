//! A person approves on a terminal: a pseudo-terminal stands for it. Pipes and flags do not.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::{Hands, PHASES, is_open};
use crate::support;

/// Runs the command on a pseudo-terminal and types each answer once its question shows and, for a
/// hidden one, the terminal has stopped to echo (what is typed before is thrown away).
const TERMINAL: &str = r#"
import json, os, pty, sys, termios, time
order = json.load(sys.stdin)
child, master = pty.fork()
if child == 0:
    os.execv(order["program"], [order["program"]] + order["arguments"])
said = b""
def read():
    global said
    try:
        more = os.read(master, 4096)
    except OSError:
        more = b""
    said += more
    return more
for question, is_hidden, answer in order["answers"]:
    while question.encode() not in said:
        if not read():
            break
    said = said.split(question.encode(), 1)[-1]
    end = time.monotonic() + 20
    while is_hidden and termios.tcgetattr(master)[3] & termios.ECHO:
        if time.monotonic() > end:
            sys.exit("the terminal goes on to echo")
        time.sleep(0.01)
    os.write(master, answer.encode() + b"\n")
while read():
    pass
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps({"code": status, "said": said.decode(errors="replace")}))
"#;

/// Question, whether the answer is hidden, answer.
type Answers<'a> = &'a [(&'a str, bool, &'a str)];

fn typed(hands: &Hands, line: &str, answers: Answers<'_>) -> (i64, String) {
    let order = json!({
        "program": support::bin(),
        "arguments": line.split(' ').collect::<Vec<_>>(),
        "answers": answers,
    });
    let mut child = Command::new("python3")
        .args(["-c", TERMINAL])
        .current_dir(hands.person.folder.path())
        .env_clear()
        .envs(hands.person.variables())
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut stdin = child.stdin.take().expect("stdin");
    stdin
        .write_all(order.to_string().as_bytes())
        .expect("an order");
    drop(stdin);
    let ended = child.wait_with_output().expect("an end");
    let told: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    let said = told["said"].as_str().expect("text").to_owned();
    (told["code"].as_i64().expect("a code"), said)
}

const PASSPHRASE: &str = "a plain long sentence";
const ASKED: &str = "(production): ";

#[test]
fn in_production_only_the_passphrase_typed_on_a_terminal_lets_a_run_go_on() {
    let hands = Hands::new(&format!("environment: production\n{PHASES}"), None);
    // Without a terminal the run waits.
    let waits = hands.say("deploy --yes --json").code(3);
    assert_eq!(waits.json()["state"], "awaiting_approval");
    let refused = hands.say("approve 1").code(1);
    assert!(
        refused.err().contains("--set-passphrase"),
        "{}",
        refused.err()
    );
    hands.say("approve --set-passphrase").code(2);
    assert!(!is_open(hands.ports[0]));

    let (code, said) = typed(
        &hands,
        "approve --set-passphrase",
        &[
            ("New passphrase: ", true, PASSPHRASE),
            ("The same again: ", true, PASSPHRASE),
        ],
    );
    assert_eq!(code, 0, "{said}");
    let kept = hands.person.read(".config/openpolicy-mcp/approval");
    assert!(!kept.contains("sentence"));
    // It is not changed by who does not know it.
    let (code, _) = typed(
        &hands,
        "approve --set-passphrase",
        &[("so far: ", true, "something else")],
    );
    assert_eq!(code, 1);
    assert_eq!(hands.person.read(".config/openpolicy-mcp/approval"), kept);

    // A pipe is not read, whatever it holds.
    let refused = hands.say("approve 1").code(2);
    assert!(refused.err().contains("terminal"), "{}", refused.err());
    let (code, said) = typed(&hands, "approve 1", &[(ASKED, true, "something else")]);
    assert_eq!(code, 1, "{said}");
    assert_eq!(hands.status(1)["state"], "awaiting_approval");
    let (code, said) = typed(&hands, "approve 1 --follow", &[(ASKED, true, PASSPHRASE)]);
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("sentence"), "it does not show");
    assert!(is_open(hands.ports[2]));

    // No tool and no flag goes past the person.
    let call = |tool: &str, arguments: &str| {
        hands
            .person
            .run(&["tools", "call", "--json", tool, arguments])
    };
    let refused = call("control_deployment", r#"{"run": "1", "action": "accept"}"#).code(1);
    assert_eq!(refused.json()["code"], "needs_approval");
    let refused = call("stop_services", r#"{"all": true, "dry_run": false}"#).code(1);
    assert_eq!(refused.json()["code"], "needs_approval");
    let refused = hands.say("stop --all --yes").code(2);
    assert!(refused.err().contains("terminal"), "{}", refused.err());
    assert!(is_open(hands.ports[2]), "nothing was stopped");
    let back = hands.say("rollback --yes --json").code(3);
    assert_eq!(back.json()["state"], "awaiting_approval");
    let refused = hands.say("accept 2").code(2);
    assert!(refused.err().contains("terminal"), "{}", refused.err());
    assert!(is_open(hands.ports[2]), "nothing was taken back");
    let (code, said) = typed(&hands, "approve 2 --follow", &[(ASKED, true, PASSPHRASE)]);
    assert_eq!(code, 0, "{said}");
    assert!(!hands.ports.iter().any(|port| is_open(*port)));
}

#[test]
fn in_development_a_phase_that_wants_a_person_asks_on_the_terminal() {
    let phases = PHASES.replace("steps: [[api]]", "approve: true, steps: [[api]]");
    let hands = Hands::new(&phases, None);
    hands.say("deploy --yes").code(3);
    let refused = hands.say("approve 1").code(2);
    assert!(refused.err().contains("terminal"), "{}", refused.err());
    let (code, said) = typed(&hands, "approve 1", &[("Type yes: ", false, "no")]);
    assert_eq!(code, 1, "{said}");
    let (code, said) = typed(
        &hands,
        "approve 1 --follow",
        &[("Type yes: ", false, "yes")],
    );
    assert_eq!(code, 0, "{said}");
    assert!(is_open(hands.ports[2]));
    hands.say("rollback --yes").code(0);
    assert!(!hands.ports.iter().any(|port| is_open(*port)));
}

#[test]
fn a_run_that_waited_longer_than_its_plan_is_valid_is_cancelled() {
    let hands = Hands::new(&format!("environment: production\n{PHASES}"), None);
    hands.say("deploy --yes").code(3);
    hands.let_plans_expire();
    let stale = hands.say("approve 1").code(1);
    assert!(stale.err().contains("was cancelled"), "{}", stale.err());
    assert_eq!(hands.status(1)["state"], "cancelled");
    assert!(!is_open(hands.ports[0]));
    // The next one can begin.
    hands.say("deploy --yes").code(3);
    hands.say("abort 2").code(0);
}
