//! Keepers are killed, pids are used again: what is told stays true, and no other process is hit.

use std::{fs, process::Command, time::Duration};

use openpolicy_mcp::runtime::{
    Runtime as _, ServiceState,
    values::{AppliedOutcome, StoppedOutcome},
};
use serde_json::json;

use super::{GRACE, Place, apply, is_alive, kill, name, observe, outcomes, stand_in, until};
use crate::support::server::http;

#[tokio::test]
async fn a_service_outlives_its_killed_keeper_and_loses_no_line() {
    let services = || vec![stand_in("api", &["--port", "0"])];
    let place = Place::new(services());
    place.apply().await;
    let port = place.port("api").await;
    let (keeper, child) = (place.keeper("api"), place.child("api"));
    kill(keeper);
    until("the keeper is gone", async || !is_alive(keeper)).await;

    // Another process of the same binary.
    let other = place.anew(services());
    let seen = observe(&other, "api").await;
    assert_eq!(seen.state, ServiceState::Running);
    assert_eq!(seen.instance, Some(format!("pid {child}")));
    assert!(seen.note.expect("a note").contains("keeper"));
    let sent = tokio::task::spawn_blocking(move || {
        http(
            ([127, 0, 0, 1], port).into(),
            "POST",
            "/control",
            &[],
            r#"{"log": 500}"#,
        )
    });
    assert_eq!(sent.await.expect("an answer").status, 200, "it still works");

    let applied = apply(&other, &[name("api")]).await;
    assert_eq!(outcomes(applied), [AppliedOutcome::Unchanged]);
    assert_eq!(place.child("api"), child, "it was not started anew");
    assert_ne!(place.keeper("api"), keeper);
    until("what it wrote meanwhile is read", async || {
        let lines = place.logs("api").await.lines;
        lines
            .iter()
            .filter(|line| line.text.contains("[api]"))
            .count()
            >= 502
    })
    .await;

    // The new keeper starts it again when it crashes.
    kill(child);
    until("it runs again", async || {
        let seen = place.observe("api").await;
        seen.state == ServiceState::Running && seen.restarts == 1
    })
    .await;
    place.end().await;
}

#[tokio::test]
async fn a_service_without_keeper_is_stopped_with_all_its_processes() {
    let place = Place::new(vec![stand_in("api", &["--with-child", "--ignore-sigterm"])]);
    place.apply().await;
    until("its worker runs", async || {
        place.has_logged("api", "[worker] worker starts").await
    })
    .await;
    kill(place.keeper("api"));
    let child = place.child("api");
    let services = [name("api")];
    let stopped = place
        .runtime
        .stop(&services, Duration::from_millis(100))
        .await;
    assert_eq!(stopped.expect("known")[0].outcome, StoppedOutcome::Killed);
    assert!(!is_alive(child));
    assert_eq!(place.observe("api").await.state.as_str(), "exited");
    place.end().await;
}

#[tokio::test]
async fn a_service_that_ended_unseen_is_not_said_to_run() {
    let place = Place::new(vec![stand_in("api", &[])]);
    place.apply().await;
    kill(place.keeper("api"));
    kill(place.child("api"));
    until("it is said to have ended", async || {
        match place.observe("api").await.state {
            ServiceState::Exited(exit) => exit.code.is_none() && exit.reason.is_some(),
            _ => false,
        }
    })
    .await;
    assert_eq!(outcomes(place.apply().await), [AppliedOutcome::Started]);
    place.end().await;
}

#[tokio::test]
async fn a_pid_that_was_taken_by_another_is_left_alone() {
    let place = Place::new(vec![stand_in("api", &[])]);
    place.apply().await;
    let mut record = place.record("api");
    place.stop().await;
    // As after a long time: the pids of both are those of others now.
    let mut stranger = Command::new("sleep").arg("1000").spawn().expect("sleep");
    let pid = i64::from(stranger.id());
    record["stage"] = json!("running");
    record["child"]["pid"] = json!(pid);
    record["keeper"]["pid"] = json!(pid);
    record["session"] = json!(pid);
    fs::write(place.state("api"), record.to_string()).expect("its state");

    assert_eq!(place.observe("api").await.state.as_str(), "exited");
    let usage = place.runtime.usage(&[name("api")]).await.expect("a look");
    assert_eq!(usage[0].memory, None, "it uses nothing");
    let stopped = place
        .runtime
        .stop(&[name("api")], GRACE)
        .await
        .expect("known");
    assert_eq!(stopped[0].outcome, StoppedOutcome::NotRunning);
    assert_eq!(outcomes(place.apply().await), [AppliedOutcome::Started]);
    assert!(is_alive(pid), "the stranger lives");
    stranger.kill().expect("it lives");
    stranger.wait().expect("an end");
    place.end().await;
}

#[tokio::test]
async fn another_boot_or_container_is_told_apart() {
    let place = Place::new(vec![stand_in("api", &[])]);
    place.apply().await;
    let record = place.record("api");
    let state = place.state("api");
    let with = |field: &str, value: &str| {
        let mut record = record.clone();
        record["child"]["place"][field] = json!(value);
        record["keeper"]["place"][field] = json!(value);
        fs::write(&state, record.to_string()).expect("its state");
    };
    with("boot", "another boot");
    assert_eq!(place.observe("api").await.state.as_str(), "exited");
    with("namespace", "pid:[1]");
    let ServiceState::Unknown(why) = place.observe("api").await.state else {
        panic!("it cannot be seen from here");
    };
    assert!(why.contains("container"));
    fs::write(&state, "{ torn").expect("its state");
    assert_eq!(place.observe("api").await.state.as_str(), "unknown");
    fs::write(&state, record.to_string()).expect("its state");
    place.end().await;
}

#[tokio::test]
async fn two_callers_at_once_start_a_service_once() {
    let services = || vec![stand_in("api", &[])];
    let place = Place::new(services());
    let (other, third) = (place.anew(services()), place.anew(services()));
    let (one, two, three) = tokio::join!(
        apply(&place.runtime, &place.names),
        apply(&other, &place.names),
        apply(&third, &place.names),
    );
    let mut all = [outcomes(one), outcomes(two), outcomes(three)].concat();
    all.sort_by_key(|outcome| *outcome != AppliedOutcome::Started);
    assert_eq!(
        all,
        [
            AppliedOutcome::Started,
            AppliedOutcome::Unchanged,
            AppliedOutcome::Unchanged
        ]
    );
    place.end().await;
}
