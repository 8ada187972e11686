//! Which images have passed: those of a run that succeeded and that nothing has touched since.

use jiff::Timestamp;
use openpolicy_mcp::{
    deploy::{
        Plan,
        passed::{Newest, Passed, passed},
        plan::ChangeAction,
    },
    runtime::{Observed, ServiceState},
};

use super::plans::{name, phase, plan};

fn newest(state: &str, is_open: bool) -> Newest {
    Newest {
        run: 7,
        state: state.into(),
        is_open,
        ended: Timestamp::UNIX_EPOCH,
    }
}

/// What would be done where nothing has changed: nothing.
fn unchanged() -> Plan {
    let mut plan = plan(vec![phase("one", &[&["db", "api"]])], 1);
    for change in &mut plan.phases[0].changes {
        change.action = ChangeAction::Keep;
    }
    plan
}

fn running(service: &str, image: &str, digest: Option<&str>) -> Observed {
    Observed {
        image_id: Some(image.into()),
        image_digest: digest.map(str::to_owned),
        ..Observed::new(name(service), ServiceState::Running)
    }
}

fn both() -> Vec<Observed> {
    vec![
        running("db", "postgres:15", Some("sha256:aa")),
        running("api", "api@sha256:old", Some("sha256:bb")),
        running("other", "other:1", None),
    ]
}

fn why_not(newest: Option<&Newest>, plan: &Plan, observed: &[Observed]) -> String {
    let told = passed(newest, plan, observed);
    told.expect_err("it has not passed").join("\n")
}

#[test]
fn what_a_run_left_has_passed_by_its_digests() {
    let run = newest("succeeded", false);
    let found = passed(Some(&run), &unchanged(), &both()).expect("it passed");
    let images = vec![
        (name("db"), "postgres:15@sha256:aa".to_owned()),
        (name("api"), "api@sha256:bb".to_owned()),
    ];
    let expected = Passed {
        run: 7,
        ended: Timestamp::UNIX_EPOCH,
        target: "world".into(),
        images,
    };
    assert_eq!(found, expected);
}

#[test]
fn without_a_run_that_succeeded_nothing_has() {
    let said = why_not(None, &unchanged(), &both());
    assert!(said.contains("there was no run"), "{said}");
    for (state, is_open) in [("rolled_back", false), ("stuck", false), ("running", true)] {
        let said = why_not(Some(&newest(state, is_open)), &unchanged(), &both());
        assert!(said.contains("run, 7,") && said.contains(state), "{said}");
    }
}

#[test]
fn what_has_changed_since_is_named_all_of_it() {
    let run = newest("succeeded", false);
    let mut plan = unchanged();
    plan.phases[0].changes[0].action = ChangeAction::Replace;
    plan.phases[0].changes[1].drift = Some("somebody changed it".into());
    let said = why_not(Some(&run), &plan, &both());
    assert!(
        said.contains("`db` is not what the files say: a run would replace it"),
        "{said}"
    );
    assert!(said.contains("`api`: somebody changed it"), "{said}");

    let seen = vec![running("db", "postgres:15", None)];
    let said = why_not(Some(&run), &unchanged(), &seen);
    assert!(said.contains("`db`: the runtime tells no digest"), "{said}");
    assert!(said.contains("`api`: the runtime told nothing"), "{said}");
    let mut seen = both();
    seen[0].state = ServiceState::Unknown("the API server is away".into());
    let said = why_not(Some(&run), &unchanged(), &seen);
    assert!(said.contains("`db`: it does not run"), "{said}");
}
