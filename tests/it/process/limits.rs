//! What services use is seen, limits are held, and stopping ends everything.

use std::time::Duration;

use openpolicy_mcp::{
    platform::Bytes,
    runtime::{Runtime as _, ServiceState, values::StoppedOutcome},
};

use super::{Place, name, quick, stand_in, until};
use crate::support::server::http;

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn memory_on_demand_is_seen() {
    let place = Place::new(vec![stand_in("api", &["--port", "0"])]);
    place.apply().await;
    let port = place.port("api").await;
    let services = [name("api")];
    let before = place.runtime.usage(&services).await.expect("a look");
    let before = before[0].memory.expect("it runs").0;
    assert!(before < 20 * MIB, "{before}");
    let sent = tokio::task::spawn_blocking(move || {
        http(
            ([127, 0, 0, 1], port).into(),
            "POST",
            "/control",
            &[],
            r#"{"memory": "64Mi"}"#,
        )
    });
    assert_eq!(sent.await.expect("an answer").status, 200);
    let after = place.runtime.usage(&services).await.expect("a look");
    let grown = after[0].memory.expect("it runs").0 - before;
    assert!((63 * MIB..70 * MIB).contains(&grown), "{grown}");
    place.end().await;
}

#[tokio::test]
async fn processor_use_is_seen_with_that_of_all_its_processes() {
    let place = Place::new(vec![
        stand_in("busy", &["--cpu", "80%"]),
        stand_in("idle", &[]),
    ]);
    place.apply().await;
    // It has to have used some: how much a loaded machine gives it is not asked.
    until("the busy one uses more", async || {
        let used = place.runtime.usage(&place.names).await.expect("a look");
        let [busy, idle] = used.as_slice() else {
            panic!("one for each")
        };
        assert!(busy.cpu_window >= Duration::from_millis(200));
        busy.cpu.expect("two looks").0 > 100 && idle.cpu.expect("two looks").0 < 100
    })
    .await;
    place.end().await;
}

#[tokio::test]
async fn a_service_above_its_memory_limit_is_ended_and_says_why() {
    let mut service = stand_in("etl", &["--memory", "64Mi"]);
    service.memory = Some(Bytes(32 * MIB));
    let mut tuning = quick();
    tuning.first_pause_ms = 600_000;
    tuning.longest_pause_ms = 600_000;
    let place = Place::tuned(vec![service], tuning);
    place.apply().await;
    until("it was ended", async || {
        matches!(
            place.observe("etl").await.state,
            ServiceState::Restarting { .. }
        )
    })
    .await;
    let ServiceState::Restarting { last, .. } = place.observe("etl").await.state else {
        panic!("it waits ten minutes");
    };
    let told = last.to_string();
    assert!(
        told.contains("above its memory limit") && told.contains("of 32Mi"),
        "{told}"
    );
    assert_eq!(last.signal, Some(9));
    // A service that waits for its restart is stopped at once.
    place.end().await;
}

#[tokio::test]
async fn a_stubborn_service_and_its_children_are_ended_after_their_grace() {
    let place = Place::new(vec![
        stand_in("stubborn", &["--ignore-sigterm", "--with-child"]),
        stand_in("polite", &["--with-child"]),
    ]);
    place.apply().await;
    for service in ["stubborn", "polite"] {
        until("its worker runs", async || {
            place.has_logged(service, "[worker] worker starts").await
        })
        .await;
    }
    let grace = Duration::from_millis(300);
    let stopped = place
        .runtime
        .stop(&place.names, grace)
        .await
        .expect("known");
    assert_eq!(stopped[0].outcome, StoppedOutcome::Killed);
    assert!(stopped[0].freed.expect("it ran").0 > 0);
    // The worker of the polite one is not polite.
    assert_eq!(stopped[1].outcome, StoppedOutcome::Killed);
    assert!(
        place
            .has_logged("stubborn", "asked to end, and goes on")
            .await
    );
    assert!(place.has_logged("polite", "asked to end, bye").await);

    let again = place
        .runtime
        .stop(&place.names, grace)
        .await
        .expect("known");
    assert_eq!(again[0].outcome, StoppedOutcome::NotRunning);
    place.end().await;
}

#[tokio::test]
async fn a_service_that_ends_when_asked_tells_its_code() {
    let place = Place::new(vec![stand_in("api", &[])]);
    place.apply().await;
    until("it runs", async || {
        place.has_logged("api", "api starts").await
    })
    .await;
    let stopped = place.stop().await;
    let StoppedOutcome::Ended(exit) = &stopped[0].outcome else {
        panic!("{stopped:?}");
    };
    assert_eq!(exit.code, Some(0));
    let seen = place.observe("api").await;
    assert_eq!(seen.note.as_deref(), Some("stopped on request"));
    place.end().await;
}

#[tokio::test]
async fn what_a_crashed_service_leaves_behind_is_ended() {
    let place = Place::new(vec![stand_in(
        "api",
        &["--with-child", "--ends-in", "300ms"],
    )]);
    place.apply().await;
    until("it was started three times", async || {
        place.observe("api").await.restarts >= 2
    })
    .await;
    let workers = super::holding(place.folder.path()).len();
    // Keeper, service, its worker, and perhaps one that is being ended.
    assert!(workers <= 4, "{workers} processes");
    place.end().await;
}
