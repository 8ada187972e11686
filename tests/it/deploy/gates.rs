//! Gates hold, pass and give up; triggers roll back; people decide.

use std::time::Duration;

use openpolicy_mcp::{
    deploy::{Event, engine::Driven, event::EndState},
    platform::{
        Percent,
        model::{Condition, OnFailure},
    },
};

use super::{
    plans::{ask, begin, journal, phase, plan, read, status, until},
    world::World,
};

#[tokio::test(start_paused = true)]
async fn a_gate_holds_until_its_conditions_do() {
    let (world, journal) = (World::new(), journal());
    world.things().memory = Some(90.0);
    let mut one = phase("core", &[&["api"]]);
    one.gate_timeout = Duration::from_secs(600);
    let mut plan = plan(vec![one], 1);
    plan.triggers.clear();
    let run = begin(&journal, plan);
    let mending = async {
        until(&journal, run, |event| {
            matches!(event, Event::GateBegun { .. })
        })
        .await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(status(&journal, run), "running");
        world.things().memory = Some(50.0);
    };
    let (driven, ()) = tokio::join!(world.drive(&journal, run), mending);
    assert!(matches!(driven, Some(Ok(Driven::Over))), "{driven:?}");
    let state = read(&journal, run).state;
    let shown: Vec<&str> = state.phases[0]
        .readings
        .iter()
        .map(|one| one.reading.as_str())
        .collect();
    assert_eq!(shown, ["1 of 1", "50%"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_holds_a_gate_and_fires_no_trigger() {
    let (world, journal) = (World::new(), journal());
    world.things().memory = None;
    let run = begin(&journal, plan(vec![phase("core", &[&["api"]])], 1));
    let driven = world.drive(&journal, run).await;
    assert!(matches!(driven, Some(Ok(Driven::Over))), "{driven:?}");
    let state = read(&journal, run).state;
    assert_eq!(state.status.as_str(), "rolled_back");
    let reason = state.rollback.expect("a reason");
    assert!(
        reason.contains("the gate of core did not pass within 60s"),
        "{reason}"
    );
    assert!(reason.contains("memory < 80% (is as scripted)"), "{reason}");
    assert!(world.versions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_does_not_pass_does_what_its_phase_says() {
    for (on_failure, end, is_left) in [
        (OnFailure::Rollback, "rolled_back", false),
        (OnFailure::Pause, "paused", true),
        (OnFailure::Stop, "failed", true),
    ] {
        let (world, journal) = (World::new(), journal());
        world.things().ill.insert(("api".into(), 1));
        let mut one = phase("core", &[&["api"]]);
        one.on_failure = on_failure;
        let run = begin(&journal, plan(vec![one], 1));
        world.drive(&journal, run).await;
        let state = read(&journal, run).state;
        assert_eq!(state.status.as_str(), end);
        assert!(state.reason.expect("why").contains("api is down"));
        assert_eq!(world.versions().contains_key("api"), is_left);
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_lets_a_gate_pass_and_it_is_written_down() {
    let (world, journal) = (World::new(), journal());
    world.things().memory = Some(82.0);
    let mut one = phase("core", &[&["api"]]);
    one.on_failure = OnFailure::Pause;
    let run = begin(&journal, plan(vec![one, phase("web", &[&["web"]])], 1));
    world.drive(&journal, run).await;
    assert_eq!(status(&journal, run), "paused");
    ask(&journal, run, "promote");
    world.things().memory = Some(20.0);
    world.drive(&journal, run).await;
    let state = read(&journal, run).state;
    assert_eq!(state.status.as_str(), "succeeded");
    assert_eq!(state.phases[0].promoted.as_deref(), Some("by a test"));
    assert_eq!(state.phases[1].promoted, None);
}

#[tokio::test(start_paused = true)]
async fn a_trigger_that_holds_takes_everything_back() {
    let (world, journal) = (World::new(), journal());
    let mut slow = phase("core", &[&["api"]]);
    slow.gate = vec![
        Condition::Healthy(None),
        Condition::MemoryBelow(Percent(20.0)),
    ];
    slow.gate_timeout = Duration::from_secs(3_600);
    let run = begin(&journal, plan(vec![phase("base", &[&["db"]]), slow], 1));
    let hogging = async {
        until(&journal, run, |event| {
            matches!(event, Event::GateBegun { phase: 1 })
        })
        .await;
        // Above it for a moment is not enough.
        world.things().memory = Some(95.0);
        tokio::time::sleep(Duration::from_secs(6)).await;
        world.things().memory = Some(50.0);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(status(&journal, run), "running");
        world.things().memory = Some(96.0);
    };
    let (driven, ()) = tokio::join!(world.drive(&journal, run), hogging);
    assert!(matches!(driven, Some(Ok(Driven::Over))), "{driven:?}");
    let state = read(&journal, run).state;
    assert_eq!(state.status.as_str(), "rolled_back");
    assert_eq!(
        state.rollback.as_deref(),
        Some("trigger memory > 85% for 10s (is 96%)")
    );
    assert!(world.versions().is_empty(), "the first phase too");
}

#[tokio::test(start_paused = true)]
async fn bad_data_holds_a_gate() {
    let (world, journal) = (World::new(), journal());
    world.things().tests_passing = Some(80.0);
    let mut one = phase("data", &[&["etl"]]);
    one.gate.push(Condition::TestsPassingAbove(Percent(95.0)));
    one.on_failure = OnFailure::Pause;
    let run = begin(&journal, plan(vec![one], 1));
    world.drive(&journal, run).await;
    let state = read(&journal, run).state;
    assert_eq!(state.status.as_str(), "paused");
    assert!(
        state
            .reason
            .expect("why")
            .contains("tests passing > 95% (is 80%)")
    );
    world.things().tests_passing = Some(99.0);
    ask(&journal, run, "resume");
    world.drive(&journal, run).await;
    assert_eq!(status(&journal, run), "succeeded");
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_waits_and_an_accepted_one_is_over() {
    let (world, journal) = (World::new(), journal());
    let mut one = phase("core", &[&["api"]]);
    one.stable_for = Duration::from_secs(600);
    one.gate_timeout = Duration::from_secs(3_600);
    let run = begin(&journal, plan(vec![one, phase("web", &[&["web"]])], 1));
    let pausing = async {
        until(&journal, run, |event| {
            matches!(event, Event::GateBegun { .. })
        })
        .await;
        ask(&journal, run, "pause");
    };
    let (driven, ()) = tokio::join!(world.drive(&journal, run), pausing);
    assert!(matches!(driven, Some(Ok(Driven::Waits))), "{driven:?}");
    assert_eq!(status(&journal, run), "paused");
    ask(&journal, run, "accept");
    world.drive(&journal, run).await;
    let state = read(&journal, run).state;
    assert_eq!(
        state.status,
        openpolicy_mcp::deploy::Status::Ended(EndState::Accepted)
    );
    assert!(world.versions().contains_key("api") && !world.versions().contains_key("web"));
}

#[tokio::test(start_paused = true)]
async fn what_no_rollback_takes_back_makes_a_person_decide() {
    let (world, journal) = (World::new(), journal());
    world.things().services.insert("db".into(), 1);
    world.things().ill.insert(("db".into(), 2));
    let mut one = phase("base", &[&["db"]]);
    one.changes[0].irreversible = Some("db keeps data and gets another image".into());
    let run = begin(&journal, plan(vec![one], 2));
    world.drive(&journal, run).await;
    let state = read(&journal, run).state;
    assert_eq!(state.status.as_str(), "paused");
    let reason = state.reason.expect("why");
    assert!(
        reason.contains("not rolled back by itself, as db keeps data"),
        "{reason}"
    );
    assert_eq!(world.versions()["db"], 2);
    // A person may all the same.
    ask(&journal, run, "abort");
    world.drive(&journal, run).await;
    assert_eq!(world.versions()["db"], 1);
    assert_eq!(status(&journal, run), "rolled_back");
}

#[tokio::test(start_paused = true)]
async fn a_phase_that_a_person_has_to_approve_waits_before_it_touches_anything() {
    let (world, journal) = (World::new(), journal());
    let mut second = phase("web", &[&["web"]]);
    second.needs_approval = true;
    let run = begin(&journal, plan(vec![phase("core", &[&["api"]]), second], 1));
    let driven = world.drive(&journal, run).await;
    assert!(matches!(driven, Some(Ok(Driven::Waits))), "{driven:?}");
    assert_eq!(status(&journal, run), "awaiting_approval");
    assert!(!world.versions().contains_key("web"));
    ask(&journal, run, "approve");
    world.drive(&journal, run).await;
    assert_eq!(status(&journal, run), "succeeded");
}

#[tokio::test(start_paused = true)]
async fn what_a_rollback_left_is_no_drift() {
    let (world, journal) = (World::new(), journal());
    world.things().services.insert("api".into(), 1);
    world.things().ill.insert(("api".into(), 2));
    let run = begin(&journal, plan(vec![phase("core", &[&["api"]])], 2));
    world.drive(&journal, run).await;
    assert_eq!(status(&journal, run), "rolled_back");
    let left = journal.left("world").expect("what is left");
    assert_eq!(left["api"].live.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn what_prometheus_says_goes_before_what_probes_saw() {
    let (world, journal) = (World::new(), journal());
    // Probes see 10 ms and no errors.
    world.things().metered.errors = Some(Ok(12.0));
    world.things().metered.p95 = Some(Err("Prometheus has no value for it now".into()));
    let mut one = phase("core", &[&["api"]]);
    one.on_failure = OnFailure::Pause;
    one.gate = vec![
        Condition::MeanResponseBelow(Duration::from_millis(200)),
        Condition::P95Below(Duration::from_millis(200)),
        Condition::ErrorsBelow(Percent(5.0)),
    ];
    let run = begin(&journal, plan(vec![one], 1));
    world.drive(&journal, run).await;
    let reason = read(&journal, run).state.reason.expect("why");
    assert!(reason.contains("errors < 5% (is 12%)"), "{reason}");
    assert!(
        reason.contains("p95 < 200ms (is Prometheus has no value"),
        "{reason}"
    );
    assert!(!reason.contains("mean response"), "{reason}");
    world.things().metered.errors = Some(Ok(1.0));
    world.things().metered.p95 = Some(Ok(Duration::from_millis(80)));
    ask(&journal, run, "resume");
    world.drive(&journal, run).await;
    assert_eq!(status(&journal, run), "succeeded");
}

#[tokio::test(start_paused = true)]
async fn who_aborts_or_pauses_does_not_wait_for_what_a_step_waits_for() {
    for (verb, word) in [("abort", "rolled_back"), ("pause", "paused")] {
        let (world, journal) = (World::new(), journal());
        world.things().services.insert("db".into(), 1);
        world.things().waiting.insert("api".into());
        let mut one = phase("core", &[&["db", "api"]]);
        one.gate_timeout = Duration::from_secs(3_600);
        let run = begin(&journal, plan(vec![one], 2));
        let begun = tokio::time::Instant::now();
        let asking = async {
            until(&journal, run, |event| {
                matches!(event, Event::StepBegun { .. })
            })
            .await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            ask(&journal, run, verb);
        };
        tokio::join!(world.drive(&journal, run), asking);
        assert_eq!(status(&journal, run), word);
        let waited = begun.elapsed();
        assert!(waited < Duration::from_secs(60), "{verb}: {waited:?}");
        if verb == "abort" {
            assert_eq!(world.versions()["db"], 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_still_being_started_fires_no_trigger() {
    let (world, journal) = (World::new(), journal());
    world.things().services.insert("db".into(), 1);
    // Not up for longer than a trigger has to hold, while `api` waits for it.
    world.things().ill.insert(("db".into(), 2));
    world.things().waiting.insert("api".into());
    let mut one = phase("core", &[&["db", "api"]]);
    one.gate_timeout = Duration::from_secs(120);
    let mut plan = plan(vec![one], 2);
    plan.triggers = vec![Condition::UnhealthyAbove(Percent(20.0))];
    let run = begin(&journal, plan);
    let mending = async {
        until(&journal, run, |event| {
            matches!(event, Event::StepBegun { .. })
        })
        .await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let mut things = world.things();
        things.ill.clear();
        things.waiting.clear();
    };
    tokio::join!(world.drive(&journal, run), mending);
    assert_eq!(status(&journal, run), "succeeded");
}
