//! Services start in order, crash and come again, and are what the platform file says.

use std::{sync::Mutex, time::Duration};

use openpolicy_mcp::{
    platform::{Bytes, ServiceName},
    runtime::{
        Change, LogQuery, Runtime as _, ServiceState, Stream, Streams, values::AppliedOutcome,
    },
};

use super::{PATIENCE, Place, apply, name, needs, observe, outcomes, quick, stand_in, until};
use crate::support::server::http;

#[tokio::test]
async fn what_is_needed_is_up_before_its_dependents_start() {
    let place = Place::new(vec![
        needs(stand_in("page", &[]), &["api"]),
        needs(stand_in("api", &["--port", "0"]), &["db"]),
        stand_in("db", &["--port", "0", "--starts-in", "200ms"]),
    ]);
    // What was up when it was asked, in this order.
    let asked = Mutex::new(Vec::new());
    let is_up = |service: ServiceName| -> futures::future::BoxFuture<'_, bool> {
        let (place, asked) = (&place, &asked);
        Box::pin(async move {
            let port = place.port(&service.0).await;
            let health = tokio::task::spawn_blocking(move || {
                http(([127, 0, 0, 1], port).into(), "GET", "/health", &[], "")
            });
            let is_up = health.await.expect("an answer").status == 200;
            let dependents = [
                observe(&place.runtime, "api").await,
                observe(&place.runtime, "page").await,
            ];
            let running = dependents
                .iter()
                .filter(|one| one.state == ServiceState::Running);
            asked
                .lock()
                .expect("a list")
                .push((service.0, is_up, running.count()));
            is_up
        })
    };
    let desired = place.runtime.resolve(&place.names).await;
    let desired = desired.expect("known services");
    let change = Change {
        is_up: Some(&is_up),
        ..Change::of(&desired, PATIENCE)
    };
    let applied = place.runtime.apply(change).await.expect("known services");
    assert_eq!(
        outcomes(applied),
        [
            AppliedOutcome::Started,
            AppliedOutcome::Started,
            AppliedOutcome::Started
        ]
    );
    let asked = asked.into_inner().expect("a list");
    let (last, before) = asked.split_last().expect("it was asked");
    assert_eq!(*last, ("api".to_owned(), true, 1));
    let refused = before.iter().filter(|(_, is_up, _)| !is_up).count();
    assert!(refused >= 1, "db was not up at once: {asked:?}");
    // Nothing ran that needs db while db was not up.
    for (service, _, running) in before {
        assert!(service != "db" || *running == 0, "{asked:?}");
    }
    place.end().await;
}

#[tokio::test]
async fn what_waits_says_for_what() {
    let place = Place::new(vec![
        stand_in("migration", &["--one-shot", "--ends-in", "10ms"]),
        stand_in("broken", &["--ends-in", "10ms", "--exit-code", "3"]),
        needs(stand_in("api", &[]), &["migration"]),
        needs(stand_in("page", &[]), &["failed-job"]),
        {
            let mut job = stand_in("failed-job", &["--ends-in", "10ms", "--exit-code", "4"]);
            job.is_one_shot = true;
            job
        },
    ]);
    // The first one is a one-shot service to the platform too.
    let mut services: Vec<_> = vec![
        stand_in("migration", &["--one-shot", "--ends-in", "10ms"]),
        needs(stand_in("api", &[]), &["migration"]),
        stand_in("failed-job", &["--ends-in", "10ms", "--exit-code", "4"]),
        needs(stand_in("page", &[]), &["failed-job"]),
    ];
    services[0].is_one_shot = true;
    services[2].is_one_shot = true;
    let names: Vec<_> = services.iter().map(|one| one.name.clone()).collect();
    let runtime = place.anew(services);
    let applied = outcomes(apply(&runtime, &names).await);
    assert_eq!(
        applied[..3],
        [
            AppliedOutcome::Started,
            AppliedOutcome::Started,
            AppliedOutcome::Started
        ]
    );
    assert_eq!(
        applied[3],
        AppliedOutcome::Waits("it needs failed-job, which is exited".into())
    );
    let ServiceState::Exited(exit) = observe(&runtime, "failed-job").await.state else {
        panic!("a one-shot service is not started again");
    };
    assert_eq!(exit.code, Some(4));
    assert!(observe(&runtime, "migration").await.state.as_str() == "exited");
    assert_eq!(observe(&runtime, "page").await.state, ServiceState::Absent);
    place.end().await;
}

#[tokio::test]
async fn a_crash_loop_is_told_with_its_count_and_code() {
    let place = Place::new(vec![stand_in(
        "api",
        &["--ends-in", "10ms", "--exit-code", "7"],
    )]);
    place.apply().await;
    until("it crashed three times", async || {
        place.observe("api").await.restarts >= 3
    })
    .await;
    until("it waits for its next start", async || {
        matches!(
            place.observe("api").await.state,
            ServiceState::Restarting { count, last, .. } if count >= 3 && last.code == Some(7)
        )
    })
    .await;
    let lines = place.logs("api").await.lines;
    let of_keeper: Vec<&str> = lines
        .iter()
        .filter(|line| line.stream == Stream::Runtime)
        .map(|line| line.text.as_str())
        .collect();
    let again = |pause| format!("starts again in {pause} ms");
    for pause in [20, 40, 80] {
        assert!(of_keeper.contains(&again(pause).as_str()), "{of_keeper:?}");
    }
    assert!(of_keeper.contains(&"ended: code 7"), "{of_keeper:?}");
    assert!(
        lines
            .iter()
            .any(|line| line.text.contains("fatal: cannot go on"))
    );
    place.end().await;
}

#[tokio::test]
async fn applying_again_changes_only_what_changed_and_can_be_taken_back() {
    let services = || vec![stand_in("api", &[]), stand_in("db", &[])];
    let place = Place::new(services());
    place.apply().await;
    let (api, db) = (place.child("api"), place.child("db"));
    assert_eq!(
        outcomes(place.apply().await),
        [AppliedOutcome::Unchanged, AppliedOutcome::Unchanged]
    );

    let mut changed = services();
    changed[0].environment = vec![("GREETING".into(), Some("hello".into()))];
    let runtime = place.anew(changed);
    let applied = apply(&runtime, &place.names).await;
    assert_eq!(
        outcomes(applied.clone()),
        [AppliedOutcome::Replaced, AppliedOutcome::Unchanged]
    );
    assert_eq!(place.child("db"), db);
    assert_ne!(place.child("api"), api);

    let restored = runtime.restore(&applied[0].before).await.expect("known");
    assert_eq!(restored.outcome, AppliedOutcome::Replaced);
    assert_eq!(
        outcomes(place.apply().await),
        [AppliedOutcome::Unchanged, AppliedOutcome::Unchanged]
    );
    place.end().await;
}

#[tokio::test]
async fn what_was_absent_is_restored_by_stopping_it() {
    let place = Place::new(vec![stand_in("api", &[])]);
    assert_eq!(place.observe("api").await.state, ServiceState::Absent);
    let applied = place.apply().await;
    until("it runs", async || {
        place.has_logged("api", "api starts").await
    })
    .await;
    let restored = place
        .runtime
        .restore(&applied[0].before)
        .await
        .expect("known");
    assert_eq!(restored.outcome, AppliedOutcome::Removed);
    assert_eq!(place.observe("api").await.state.as_str(), "exited");
    assert!(
        place.has_logged("api", "asked to end").await,
        "its logs stay"
    );
    place.end().await;
}

#[tokio::test]
async fn what_cannot_be_started_is_told_and_holds_nobody_up() {
    let mut wrong = stand_in("wrong", &[]);
    wrong.command = vec!["/no/such/program".into()];
    let mut silent = stand_in("silent", &[]);
    silent.command.clear();
    let place = Place::new(vec![wrong, silent, stand_in("db", &[])]);
    let outcomes = outcomes(place.apply().await);
    let AppliedOutcome::Failed(problem) = &outcomes[0] else {
        panic!("{outcomes:?}");
    };
    let told = problem.to_string();
    assert!(
        told.contains("/no/such/program") && told.contains("No such file"),
        "{told}"
    );
    let AppliedOutcome::Failed(problem) = &outcomes[1] else {
        panic!("{outcomes:?}");
    };
    // This platform was never trusted, so its file may hold a command that is not in here.
    assert!(problem.to_string().contains("openpolicy-mcp trust"));
    assert_eq!(outcomes[2], AppliedOutcome::Started);
    let ServiceState::Exited(exit) = place.observe("wrong").await.state else {
        panic!("it was tried");
    };
    assert!(exit.reason.expect("why").contains("could not be started"));
    place.end().await;
}

#[tokio::test]
async fn the_environment_is_that_of_the_platform_file() {
    // Something of our own environment that is none of what every program gets.
    let usual = [
        "PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "TERM",
    ];
    let ours = std::env::vars()
        .map(|(name, _)| name)
        .find(|name| !usual.contains(&name.as_str()))
        .expect("a test has more in its environment");
    let mut service = stand_in(
        "api",
        &["--show", "GREETING", "--show", &ours, "--show", "PATH"],
    );
    service.environment = vec![("GREETING".into(), Some("hello".into()))];
    let place = Place::new(vec![service]);
    place.apply().await;
    until("it shows its environment", async || {
        place.has_logged("api", "environment PATH=").await
    })
    .await;
    assert!(place.has_logged("api", "environment GREETING=hello").await);
    let not_set = format!("environment {ours}=not set");
    assert!(place.has_logged("api", &not_set).await, "{not_set}");
    place.end().await;
}

#[tokio::test]
async fn logs_are_followed_and_their_files_are_bounded() {
    let mut tuning = quick();
    tuning.log_file_bytes = 20_000;
    tuning.log_files = 3;
    let place = Place::tuned(vec![stand_in("api", &["--port", "0"])], tuning);
    place.apply().await;
    let port = place.port("api").await;
    let page = place.logs("api").await;
    assert!(page.missing.is_empty());
    let control = |body: &'static str| async move {
        let sent = tokio::task::spawn_blocking(move || {
            http(([127, 0, 0, 1], port).into(), "POST", "/control", &[], body)
        });
        assert_eq!(sent.await.expect("an answer").status, 200);
    };
    control(r#"{"log": 5}"#).await;
    let mut followed = Vec::new();
    let mut cursor = page.cursor;
    until("five more lines", async || {
        let query = LogQuery {
            service: name("api"),
            since: None,
            cursor: cursor.take(),
            limit: 2,
        };
        let page = place.runtime.logs(&query).await.expect("logs");
        assert!(page.missing.is_empty());
        followed.extend(page.lines);
        cursor = page.cursor;
        followed.len() >= 5
    })
    .await;
    assert_eq!(followed.len(), 5, "each line once: {followed:?}");

    control(r#"{"log": 5000}"#).await;
    until("the first lines are dropped", async || {
        !place.logs("api").await.missing.is_empty()
    })
    .await;
    let folder = place.state("api").with_file_name("logs");
    until("all is written", async || {
        place.has_logged("api", "finished").await
    })
    .await;
    // While a file is begun, the oldest may still be there for a moment.
    until("no more than three files", async || {
        let entries = std::fs::read_dir(&folder).expect("a folder");
        let sizes: Vec<u64> = entries
            .filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()))
            .collect();
        sizes.len() <= 3 && sizes.iter().sum::<u64>() <= 3 * 60_000
    })
    .await;
    let query = LogQuery {
        service: name("api"),
        since: None,
        cursor,
        limit: 10,
    };
    let page = place.runtime.logs(&query).await.expect("logs");
    assert_eq!(page.missing.len(), 1, "what the reader missed is told");
    place.end().await;
}

#[tokio::test]
async fn a_command_runs_where_the_service_runs() {
    let mut service = stand_in("api", &[]);
    service.environment = vec![("GREETING".into(), Some("hello".into()))];
    service.memory = Some(Bytes(1 << 30));
    let place = Place::new(vec![service]);
    let run = |script: &str| vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()];
    let api = name("api");
    let script = run("echo $GREETING $CARGO_MANIFEST_DIR; echo bad >&2; exit 3");
    let output = place
        .runtime
        .exec(&api, &script, Streams::default(), PATIENCE)
        .await
        .expect("it runs");
    assert_eq!(
        (output.exit.code, output.text.as_str()),
        (Some(3), "hello\nbad\n")
    );
    let script = run("sleep 1000");
    let late = place
        .runtime
        .exec(&api, &script, Streams::default(), Duration::from_millis(50))
        .await;
    assert!(
        late.expect_err("too long")
            .to_string()
            .contains("did not end")
    );
    place.end().await;
}
