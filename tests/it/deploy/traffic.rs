//! Requests go over weight by weight and come back before services do, under every fault that can be
//! scripted.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use openpolicy_mcp::{
    deploy::{
        Deployments, Event, Plan,
        book::Book,
        engine::Driven,
        passed::{Newest, passed},
        plan::{ChangeAction, Kind, PlannedTraffic, ShiftBack},
        state::ShiftProgress,
    },
    health::Watch,
    platform::model::{OnFailure, Promote, Traffic},
    runtime::Weights,
    store::Journal,
};
use serde_json::json;

use super::{
    faults::Dice,
    plans::{ask, begin, journal, phase, plan, read, status, until},
    world::{Shifting, World, watch_over},
};
use crate::support::{
    calls::{call, try_call},
    scripted_platform, tokens,
};

const ROUTE: &str = "api-vs";

fn weights(from: u32, to: u32) -> Weights {
    Weights { from, to }
}

fn traffic(steps: &[u8], promote: Promote) -> PlannedTraffic {
    PlannedTraffic {
        traffic: Traffic {
            virtual_service: ROUTE.into(),
            from: "v1".into(),
            to: "v2".into(),
            weights: steps.to_vec(),
            promote,
        },
        was: weights(95, 5),
    }
}

/// `api` in version 1, whose route gives the next one a little.
fn world() -> Arc<World> {
    let world = World::new();
    world.things().services.insert("api".into(), 1);
    world.things().routes.insert(ROUTE.into(), weights(95, 5));
    world
}

fn route(world: &World) -> Weights {
    world.things().routes[ROUTE]
}

/// A service, then a canary of `api` beside it.
fn canary(promote: Promote) -> Plan {
    let mut second = phase("canary", &[&["api-v2"]]);
    second.traffic = Some(traffic(&[10, 50, 100], promote));
    plan(vec![phase("base", &[&["db"]]), second], 2)
}

fn lines(journal: &Journal, run: i64) -> Vec<String> {
    let reading = read(journal, run);
    let entries = reading.entries.iter();
    entries
        .filter_map(|entry| openpolicy_mcp::deploy::story::line(&reading.plan, entry))
        .collect()
}

fn is_shifted(step: usize) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::ShiftEnded { step: of, .. } if *of == step)
}

#[tokio::test(start_paused = true)]
async fn requests_go_over_weight_by_weight_with_the_gate_after_each() {
    let (world, journal) = (world(), journal());
    let run = begin(&journal, canary(Promote::Gate));
    let driven = world.drive(&journal, run).await;
    assert!(matches!(driven, Some(Ok(Driven::Over))), "{driven:?}");
    assert_eq!(status(&journal, run), "succeeded");
    let all: Vec<Weights> = world.things().shifted_at.iter().map(|one| one.0).collect();
    assert_eq!(all, [weights(90, 10), weights(50, 50), weights(0, 100)]);
    let told: Vec<String> = lines(&journal, run)
        .into_iter()
        .filter(|line| {
            line.starts_with("canary") && (line.contains('%') && !line.contains("memory: "))
        })
        .map(|line| line.split(" (").next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        told,
        [
            "canary: 10 % of api-vs to v2",
            "canary: gate passed at 10 % of api-vs to v2",
            "canary: 50 % of api-vs to v2",
            "canary: gate passed at 50 % of api-vs to v2",
            "canary: 100 % of api-vs to v2",
            "canary: gate passed",
        ]
    );
    // What the newer version needs is up before anything goes over.
    let first = world.things().shifted_at[0].1.clone();
    assert_eq!(first.get("api-v2"), Some(&2));
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_fails_at_a_weight_brings_the_requests_back_before_the_services() {
    let (world, journal) = (world(), journal());
    let before = world.versions();
    let run = begin(&journal, canary(Promote::Gate));
    let worse = async {
        until(&journal, run, is_shifted(1)).await;
        world.things().memory = Some(82.0);
    };
    let (driven, ()) = tokio::join!(world.drive(&journal, run), worse);
    assert!(matches!(driven, Some(Ok(Driven::Over))), "{driven:?}");
    let state = read(&journal, run).state;
    assert_eq!(state.status.as_str(), "rolled_back");
    let reason = state.rollback.clone().expect("a reason");
    assert!(
        reason.contains("the gate of canary at 50 % did not pass"),
        "{reason}"
    );
    assert_eq!(route(&world), weights(95, 5));
    assert_eq!(world.versions(), before);
    // The services were all there when the requests went back.
    let (last, services) = world.things().shifted_at.last().cloned().expect("a shift");
    assert_eq!(last, weights(95, 5));
    assert_eq!(services.get("api-v2"), Some(&2));
    assert_eq!(state.share(&read(&journal, run).plan, 1), Some(5));
}

#[tokio::test(start_paused = true)]
async fn a_trigger_and_an_abort_bring_the_requests_back_too() {
    for is_trigger in [true, false] {
        let (world, journal) = (world(), journal());
        let before = world.versions();
        let mut plan = canary(Promote::Gate);
        // Longer than the trigger holds.
        plan.phases[1].stable_for = Duration::from_secs(30);
        let run = begin(&journal, plan);
        let worse = async {
            until(&journal, run, is_shifted(0)).await;
            match is_trigger {
                true => world.things().memory = Some(90.0),
                false => ask(&journal, run, "abort"),
            }
        };
        let (driven, ()) = tokio::join!(world.drive(&journal, run), worse);
        assert!(matches!(driven, Some(Ok(Driven::Over))), "{driven:?}");
        assert_eq!(status(&journal, run), "rolled_back");
        assert_eq!(route(&world), weights(95, 5));
        assert_eq!(world.versions(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_person_promotes_the_run_waits_at_each_weight() {
    let (world, journal) = (world(), journal());
    let run = begin(&journal, canary(Promote::Person));
    for (percent, next) in [(10, 50), (50, 100)] {
        let driven = world.drive(&journal, run).await;
        assert!(matches!(driven, Some(Ok(Driven::Waits))), "{driven:?}");
        let state = read(&journal, run).state;
        assert_eq!(state.status.as_str(), "paused");
        assert_eq!(
            state.reason,
            Some(format!(
                "v2 has {percent} % of api-vs: `promote` goes on to {next} %"
            ))
        );
        assert!(state.held_shift().is_some());
        assert_eq!(route(&world).percent(), percent);
        if percent == 10 {
            // Again from the gate, which is no word of a person.
            ask(&journal, run, "resume");
            world.drive(&journal, run).await;
            assert_eq!(status(&journal, run), "paused");
            assert_eq!(route(&world).percent(), percent);
        }
        ask(&journal, run, "promote");
    }
    let driven = world.drive(&journal, run).await;
    assert!(matches!(driven, Some(Ok(Driven::Over))), "{driven:?}");
    let state = read(&journal, run).state;
    assert_eq!(state.status.as_str(), "succeeded");
    assert_eq!(state.reason, None, "nobody waits any more");
    assert_eq!(route(&world).percent(), 100);
    let told = lines(&journal, run).join("\n");
    assert!(
        told.contains("canary: past 10 % of api-vs to v2, let pass by a test"),
        "{told}"
    );
    let shifts = &state.phases[1].shifts;
    assert_eq!(
        shifts[..],
        [
            ShiftProgress::Passed,
            ShiftProgress::Passed,
            ShiftProgress::Ended
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_person_lets_a_gate_that_holds_a_weight_pass() {
    let (world, journal) = (world(), journal());
    let mut plan = canary(Promote::Gate);
    plan.phases[1].on_failure = OnFailure::Pause;
    let run = begin(&journal, plan);
    let worse = async {
        until(&journal, run, is_shifted(0)).await;
        world.things().memory = Some(82.0);
    };
    let (driven, ()) = tokio::join!(world.drive(&journal, run), worse);
    assert!(matches!(driven, Some(Ok(Driven::Waits))), "{driven:?}");
    assert_eq!(route(&world).percent(), 10);
    // One weight is let pass, and not the next.
    ask(&journal, run, "promote");
    world.drive(&journal, run).await;
    assert_eq!(status(&journal, run), "paused");
    assert_eq!(route(&world).percent(), 50);
    world.things().memory = Some(20.0);
    ask(&journal, run, "resume");
    world.drive(&journal, run).await;
    assert_eq!(status(&journal, run), "succeeded");
}

/// How many operations a whole run has.
async fn operations() -> u64 {
    let (world, journal) = (world(), journal());
    let run = begin(&journal, canary(Promote::Gate));
    world.drive(&journal, run).await;
    assert_eq!(status(&journal, run), "succeeded");
    world.count()
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_killed_anywhere_is_gone_on_with_or_taken_back() {
    let mut killed_in_mid_shift = 0;
    for at in 0..operations().await {
        for verb in ["resume", "abort"] {
            let (world, journal) = (world(), journal());
            let before = world.versions();
            let run = begin(&journal, canary(Promote::Gate));
            world.kill_after(at);
            assert!(world.drive(&journal, run).await.is_none(), "killed at {at}");
            world.spare();
            let state = read(&journal, run).state;
            let is_open = state.phases[1].shifts.contains(&ShiftProgress::Begun);
            killed_in_mid_shift += u32::from(is_open);
            // What was set is written down as begun.
            let set: Vec<Weights> = world.things().shifted_at.iter().map(|one| one.0).collect();
            let known: Vec<Weights> = state
                .shifted
                .iter()
                .flat_map(|one| one.ours.clone())
                .collect();
            assert!(set.iter().all(|one| known.contains(one)), "{at}: {set:?}");
            ask(&journal, run, verb);
            let driven = world.drive(&journal, run).await;
            assert!(matches!(driven, Some(Ok(Driven::Over))), "{at}: {driven:?}");
            if verb == "resume" {
                assert_eq!(status(&journal, run), "succeeded", "killed at {at}");
                assert_eq!(route(&world), weights(0, 100));
                let shifts = world.things().shifted_at.len();
                assert_eq!(shifts, 3, "killed at {at}: each weight is set once");
            } else {
                let end = status(&journal, run);
                assert!(["rolled_back", "cancelled"].contains(&end), "{at}: {end}");
                assert_eq!(route(&world), weights(95, 5), "killed at {at}");
                assert_eq!(world.versions(), before, "killed at {at}");
            }
        }
    }
    assert!(killed_in_mid_shift >= 6, "{killed_in_mid_shift}");
}

#[tokio::test(start_paused = true)]
async fn a_way_back_that_is_killed_anywhere_is_gone_on_with() {
    let mut killed_on_the_way = 0;
    for at in 1.. {
        let (world, journal) = (world(), journal());
        let before = world.versions();
        let mut plan = canary(Promote::Gate);
        // No gate after the first weight passes: `api-v2` is there, and ill once it has requests.
        plan.phases[1].gate_timeout = Duration::from_secs(10);
        let run = begin(&journal, plan);
        world.kill_after(at);
        let worse = async {
            until(&journal, run, is_shifted(0)).await;
            world.things().memory = Some(82.0);
            std::future::pending::<()>().await;
        };
        let driven = tokio::select! {
            driven = world.drive(&journal, run) => driven,
            () = worse => None,
        };
        if driven.is_some() {
            break;
        }
        world.spare();
        if read(&journal, run).state.rollback.is_none() {
            continue;
        }
        killed_on_the_way += 1;
        ask(&journal, run, "resume");
        world.drive(&journal, run).await;
        assert_eq!(status(&journal, run), "rolled_back", "killed at {at}");
        assert_eq!(route(&world), weights(95, 5), "killed at {at}");
        assert_eq!(world.versions(), before, "killed at {at}");
    }
    assert!(killed_on_the_way >= 6, "{killed_on_the_way}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_is_looked_for_at_the_route() {
    // Each of the three shifts; and the one back.
    for at in 0..3 {
        let (world, journal) = (world(), journal());
        let run = begin(&journal, canary(Promote::Gate));
        let faults = async {
            if at > 0 {
                until(&journal, run, is_shifted(at - 1)).await;
            }
            world.things().shifts.push_back(Shifting::Unheard);
            // And the look after it has to be made more than once.
            until(
                &journal,
                run,
                |event| matches!(event, Event::ShiftBegun { step, .. } if *step == at),
            )
            .await;
        };
        let (driven, ()) = tokio::join!(world.drive(&journal, run), faults);
        assert!(matches!(driven, Some(Ok(Driven::Over))), "{driven:?}");
        assert_eq!(status(&journal, run), "succeeded");
        assert_eq!(world.things().shifted_at.len(), 3);
    }
    for (fault, reason) in [
        (
            Shifting::Lost,
            "api-vs was not shifted and is still 95 to 5",
        ),
        (Shifting::Refused, "shifting it failed: refused"),
    ] {
        let (world, journal) = (world(), journal());
        let before = world.versions();
        world.things().shifts.push_back(fault);
        let run = begin(&journal, canary(Promote::Gate));
        world.drive(&journal, run).await;
        let state = read(&journal, run).state;
        assert_eq!(state.status.as_str(), "rolled_back");
        let told = state.rollback.expect("a reason");
        assert!(told.contains(reason), "{told}");
        assert_eq!(route(&world), weights(95, 5));
        assert_eq!(world.versions(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_route_that_cannot_be_looked_at_for_a_moment_ends_nothing() {
    let (world, journal) = (world(), journal());
    world.things().routes_away = 50;
    let run = begin(&journal, canary(Promote::Gate));
    world.drive(&journal, run).await;
    assert_eq!(status(&journal, run), "succeeded");

    // For longer than the gate may take: nothing was shifted, and that is known.
    let (world, journal) = (self::world(), self::journal());
    world.things().routes_away = u32::MAX;
    let before = world.versions();
    let run = begin(&journal, canary(Promote::Gate));
    world.drive(&journal, run).await;
    let state = read(&journal, run).state;
    assert_eq!(state.status.as_str(), "rolled_back");
    let reason = state.rollback.expect("a reason");
    assert!(
        reason.contains("how api-vs divides requests is not known"),
        "{reason}"
    );
    assert_eq!(world.versions(), before);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_set_is_told_and_not_written_over() {
    let (world, journal) = (world(), journal());
    let run = begin(&journal, canary(Promote::Gate));
    let somebody = async {
        until(&journal, run, is_shifted(0)).await;
        world.things().routes.insert(ROUTE.into(), weights(70, 30));
    };
    let (driven, ()) = tokio::join!(world.drive(&journal, run), somebody);
    assert!(matches!(driven, Some(Ok(Driven::Waits))), "{driven:?}");
    let state = read(&journal, run).state;
    assert_eq!(state.status.as_str(), "stuck");
    let reason = state.reason.expect("a reason");
    for words in [
        "and so no service was",
        "\"somebody\"",
        "70 to 30",
        "90 to 10 was expected",
    ] {
        assert!(reason.contains(words), "{words}: {reason}");
    }
    // What gets requests stays where it is.
    assert_eq!(route(&world), weights(70, 30));
    assert_eq!(world.versions().get("api-v2"), Some(&2));
    ask(&journal, run, "resume");
    world.drive(&journal, run).await;
    assert_eq!(status(&journal, run), "stuck");
    // They take the requests away: then services can go, and what they set stays.
    world.things().routes.insert(ROUTE.into(), weights(100, 0));
    ask(&journal, run, "resume");
    world.drive(&journal, run).await;
    assert_eq!(status(&journal, run), "rolled_back");
    assert_eq!(route(&world), weights(100, 0));
    assert_eq!(world.versions().get("api-v2"), None);
}

#[tokio::test(start_paused = true)]
async fn who_was_quicker_or_came_since_the_plan_is_not_written_over() {
    for is_since_the_plan in [true, false] {
        let (world, journal) = (world(), journal());
        let mut plan = canary(Promote::Gate);
        plan.phases[1].on_failure = OnFailure::Pause;
        let theirs = weights(80, 20);
        match is_since_the_plan {
            true => drop(world.things().routes.insert(ROUTE.into(), theirs)),
            false => world.things().shifts.push_back(Shifting::Overtaken(theirs)),
        }
        let run = begin(&journal, plan);
        world.drive(&journal, run).await;
        let state = read(&journal, run).state;
        assert_eq!(state.status.as_str(), "paused");
        let reason = state.reason.expect("a reason");
        assert!(
            reason.contains("80 to 20") && reason.contains("95 to 5 was expected"),
            "{reason}"
        );
        assert_eq!(route(&world), theirs);
        // They put it back.
        world.things().routes.insert(ROUTE.into(), weights(95, 5));
        ask(&journal, run, "resume");
        world.drive(&journal, run).await;
        assert_eq!(status(&journal, run), "succeeded");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_by_hand_takes_the_requests_back_first_and_can_be_taken_back() {
    let (world, journal) = (world(), journal());
    let run = begin(&journal, canary(Promote::Gate));
    world.drive(&journal, run).await;
    let done = read(&journal, run);
    let mut back = plan(Vec::new(), 0);
    back.kind = Kind::RollBack;
    back.restores = done.state.to_restore(&done.plan, run);
    back.shifts = done.state.to_unshift(&done.plan, run);
    assert_eq!(back.shifts.len(), 1);
    let second = begin(&journal, back.clone());
    world.drive(&journal, second).await;
    assert_eq!(status(&journal, second), "rolled_back");
    assert_eq!(route(&world), weights(95, 5));
    assert_eq!(world.versions().get("api-v2"), None);
    let (_, services) = world.things().shifted_at.last().cloned().expect("a shift");
    assert_eq!(services.get("api-v2"), Some(&2));
    // What it found is in its journal.
    let entries = read(&journal, second).entries;
    let found = entries.iter().find_map(|entry| match entry.event {
        Event::UnshiftBegun { now, .. } => now,
        _ => None,
    });
    assert_eq!(found, Some(weights(0, 100)));

    // Nothing but traffic is a way back too.
    let third = Plan {
        restores: Vec::new(),
        shifts: vec![ShiftBack {
            before: weights(0, 100),
            ours: vec![weights(95, 5)],
            ..back.shifts[0].clone()
        }],
        ..back
    };
    let third = begin(&journal, third);
    world.drive(&journal, third).await;
    assert_eq!(status(&journal, third), "rolled_back");
    assert_eq!(route(&world), weights(0, 100));
}

#[test]
fn a_plan_without_traffic_is_as_it_was_and_older_plans_open() {
    let without = plan(vec![phase("base", &[&["db"]])], 1);
    let written = serde_json::to_string(&without).expect("JSON");
    assert!(
        !written.contains("traffic") && !written.contains("shifts"),
        "{written}"
    );
    let read: Plan = serde_json::from_str(&written).expect("a plan");
    assert_eq!(read.digest(), without.digest());
    let mut with = without.clone();
    with.phases[0].traffic = Some(traffic(&[100], Promote::Gate));
    assert_ne!(with.digest(), without.digest());
}

/// A platform of one phase with traffic and more phases, in the scripted world.
fn served(folder: &std::path::Path, world: &Arc<World>, more: &str) -> Arc<Watch> {
    let file = folder.join("platform.yaml");
    let text = "platform: p\nruntime: { kubernetes: {} }\nservices: { api-v2: { probe: { process: true } }, web: { probe: { process: true } } }\n\
                phases:\n  - name: canary\n    steps: [[api-v2]]\n    gate: { healthy: all, errors_below: 5% }\n    \
                traffic: { virtual_service: api-vs, from: v1, to: v2, weights: [10, 50, 100], promote: person }\n";
    std::fs::write(&file, format!("{text}{more}")).expect("a file");
    watch_over(&file, world, folder)
}

#[tokio::test]
async fn plan_status_and_way_back_tell_the_weights_shortly() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = world();
    let watch = served(folder.path(), &world, "");
    let context = scripted_platform::context(&watch);
    let plan = call(&context, "plan_deployment", json!({})).await;
    assert_eq!(
        plan.rows("phases")[0]["steps"],
        "api-v2 > 10 %, 50 %, 100 % of api-vs from v1 to v2 (now 5 %), gate and promote between"
    );
    let digest = plan.fields["digest"].as_str().expect("a digest");
    let deployments = Deployments::of(&watch).await.expect("deployments");
    let kept = deployments.kept(digest).await.expect("a plan").plan;
    let journal = Journal::open(&folder.path().join("journal.sqlite")).expect("a journal");
    let journal = Arc::new(journal);
    let created = Event::Created {
        by: "an MCP client".into(),
        reason: None,
        awaits_approval: false,
    };
    let body = serde_json::to_string(&created).expect("JSON");
    let begun = journal.begin(kept.id, &kept.target, 0, &body, "running");
    begun.expect("a run");
    let book = Book::open(Arc::clone(&journal), 1).expect("a book");
    let write = |event| book.write(event).expect("it is written");
    write(Event::PhaseBegun { phase: 0 });
    write(Event::ShiftBegun {
        phase: 0,
        step: 0,
        was: weights(95, 5),
        then: weights(90, 10),
    });
    let begun = call(&context, "get_deployment", json!({"run": 1})).await;
    assert_eq!(begun.rows("phases")[0]["gate"], "v2 has 5 % of api-vs");
    write(Event::ShiftEnded { phase: 0, step: 0 });
    write(Event::ShiftPassed {
        phase: 0,
        step: 0,
        readings: Vec::new(),
        promoted: None,
    });
    write(Event::Paused {
        by: openpolicy_mcp::deploy::BY_THE_FILE.into(),
        reason: "as it waits".into(),
    });
    let held = call(&context, "get_deployment", json!({"run": 1})).await;
    assert_eq!(held.rows("phases")[0]["gate"], "v2 has 10 % of api-vs");
    let next = held.fields["next_step"].as_str().expect("a next step");
    assert!(
        next.contains("`promote` goes on to the next weight"),
        "{next}"
    );
    let back = call(&context, "roll_back", json!({"run": 1})).await;
    let rows = back.rows("would_take_back");
    assert_eq!(rows[0]["service"], "traffic of api-vs");
    assert_eq!(rows[0]["goes_back_to"], "v1 to v2 as 95 to 5");
    let other = json!({"run": 1, "phases": ["canary"]});
    assert_eq!(
        call(&context, "roll_back", other)
            .await
            .rows("would_take_back"),
        rows
    );
    for (told, bound) in [(&plan, 500), (&held, 400), (&back, 200)] {
        let structured = serde_json::to_string(&told.fields).expect("JSON");
        let (text, structured) = (tokens(&told.text), tokens(&structured));
        assert!(
            text <= bound && structured <= bound,
            "{text}, {structured}: {}",
            told.text
        );
    }
    // A route that is not there is told with the phase, and there is no plan.
    world.things().routes.clear();
    let refused = try_call(&context, "plan_deployment", json!({})).await;
    let refused = refused.expect_err("no plan").text();
    assert!(
        refused.contains("phase canary cannot be planned") && refused.contains("no such route"),
        "{refused}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_written_shifts_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut shifted = 0;
    for at in 2..40 {
        let path = folder.path().join(format!("{at}.sqlite"));
        let journal = Arc::new(Journal::open(&path).expect("a journal"));
        let world = world();
        let run = begin(&journal, canary(Promote::Gate));
        let fault = rusqlite::Connection::open(&path).expect("the same file");
        fault
            .execute_batch(&format!(
                "CREATE TRIGGER full BEFORE INSERT ON event WHEN NEW.seq = {at}
                 BEGIN SELECT RAISE(FAIL, 'no room'); END;"
            ))
            .expect("a trigger");
        let driven = world.drive(&journal, run).await;
        if matches!(driven, Some(Ok(Driven::Over))) {
            break;
        }
        let known: Vec<Weights> = read(&journal, run)
            .state
            .shifted
            .iter()
            .flat_map(|one| one.ours.clone())
            .collect();
        let now = route(&world);
        assert!(now == weights(95, 5) || known.contains(&now), "{at}: {now}");
        shifted += u32::from(now != weights(95, 5));
        fault.execute_batch("DROP TRIGGER full").expect("it goes");
        ask(&journal, run, "abort");
        world.drive(&journal, run).await;
        assert_eq!(route(&world), weights(95, 5), "{at}");
        assert_eq!(world.versions().get("api-v2"), None, "{at}");
    }
    assert!(shifted >= 6, "{shifted}");
}

#[tokio::test(start_paused = true)]
async fn random_schedules_leave_the_requests_where_the_services_are() {
    let mut ends: BTreeMap<&'static str, u32> = BTreeMap::new();
    for seed in 0..250 {
        let mut dice = Dice(seed);
        let (world, journal) = (world(), journal());
        let before = world.versions();
        if dice.roll(5) == 0 {
            world.things().ill.insert(("api-v2".into(), 2));
        }
        if dice.roll(6) == 0 {
            world.things().held.insert("api-v2".into());
        }
        let promote = [Promote::Gate, Promote::Person][dice.roll(2) as usize];
        let run = begin(&journal, canary(promote));
        let mut rounds = 0;
        while !read(&journal, run).state.status.is_over() {
            rounds += 1;
            assert!(
                rounds < 60,
                "seed {seed} does not end: {}",
                status(&journal, run)
            );
            if rounds > 8 {
                // The world is mended in the end.
                world.things().held.clear();
                world.things().shifts.clear();
                world.spare();
                let theirs = route(&world);
                let is_theirs = theirs == weights(70, 30);
                if is_theirs {
                    world.things().routes.insert(ROUTE.into(), weights(95, 5));
                }
            } else {
                world.kill_after(dice.roll(40));
                match dice.roll(8) {
                    0 => world.things().shifts.push_back(Shifting::Lost),
                    1 => world.things().shifts.push_back(Shifting::Unheard),
                    2 => world.things().shifts.push_back(Shifting::Refused),
                    3 => world.things().routes_away = 5,
                    4 if dice.roll(3) == 0 => {
                        let theirs = Shifting::Overtaken(weights(70, 30));
                        world.things().shifts.push_back(theirs);
                    }
                    _ => {}
                }
            }
            let driven = world.drive(&journal, run).await;
            if let Some(Err(error)) = &driven {
                panic!("seed {seed}: {error}");
            }
            let state = read(&journal, run).state;
            // Requests never go to what is not there.
            let is_there = world.versions().contains_key("api-v2");
            let is_known = route(&world) == weights(95, 5) || is_there;
            assert!(
                is_known,
                "seed {seed}: {} {:?}",
                route(&world),
                state.status
            );
            let verbs = ["resume", "resume", "promote", "promote", "abort", "pause"];
            ask(&journal, run, verbs[dice.roll(6) as usize]);
        }
        let end = status(&journal, run);
        *ends.entry(end).or_default() += 1;
        match end {
            "succeeded" => {
                assert_eq!(route(&world), weights(0, 100), "seed {seed}");
                assert_eq!(world.versions().get("api-v2"), Some(&2), "seed {seed}");
            }
            "rolled_back" | "cancelled" => {
                assert_eq!(route(&world), weights(95, 5), "seed {seed}");
                assert_eq!(world.versions(), before, "seed {seed}");
            }
            other => panic!("seed {seed} ended as {other}"),
        }
    }
    assert!(
        ends["succeeded"] > 30 && ends["rolled_back"] > 30,
        "{ends:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn two_phases_of_one_route_come_back_one_after_the_other() {
    let (world, journal) = (world(), journal());
    let mut first = phase("little", &[&["api-v2"]]);
    first.traffic = Some(traffic(&[10], Promote::Gate));
    let mut second = phase("all", &[&["web"]]);
    second.traffic = Some(PlannedTraffic {
        was: weights(90, 10),
        ..traffic(&[100], Promote::Gate)
    });
    let mut plan = plan(vec![first, second], 2);
    plan.triggers.clear();
    let run = begin(&journal, plan);
    let worse = async {
        until(&journal, run, |event| {
            matches!(event, Event::ShiftEnded { phase: 1, .. })
        })
        .await;
        assert_eq!(route(&world), weights(0, 100));
        world.things().memory = Some(82.0);
    };
    let (driven, ()) = tokio::join!(world.drive(&journal, run), worse);
    assert!(matches!(driven, Some(Ok(Driven::Over))), "{driven:?}");
    assert_eq!(status(&journal, run), "rolled_back");
    let all: Vec<Weights> = world.things().shifted_at.iter().map(|one| one.0).collect();
    let expected = [(90, 10), (0, 100), (90, 10), (95, 5)];
    assert_eq!(all, expected.map(|(from, to)| weights(from, to)));
}

#[tokio::test]
async fn a_later_phase_finds_the_route_as_the_earlier_one_leaves_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = world();
    let more = "  - { name: back, steps: [[web]], \
                traffic: { virtual_service: api-vs, from: v2, to: v1, weights: [40, 100] } }\n";
    let context = scripted_platform::context(&served(folder.path(), &world, more));
    let plan = call(&context, "plan_deployment", json!({})).await;
    assert_eq!(
        plan.rows("phases")[1]["steps"],
        "web > 40 %, 100 % of api-vs from v2 to v1 (now 0 %), gate between"
    );
    // By itself it finds what is there.
    let alone = call(&context, "plan_deployment", json!({"phases": ["back"]})).await;
    assert_eq!(
        alone.rows("phases")[0]["steps"],
        "web > 40 %, 100 % of api-vs from v2 to v1 (now 5 %), gate between"
    );
}

#[test]
fn images_whose_requests_went_elsewhere_since_have_not_passed() {
    let newest = Newest {
        run: 7,
        state: "succeeded".into(),
        is_open: false,
        ended: jiff::Timestamp::UNIX_EPOCH,
    };
    let mut plan = canary(Promote::Gate);
    for change in plan.phases.iter_mut().flat_map(|phase| &mut phase.changes) {
        change.action = ChangeAction::Keep;
    }
    let told = |plan: &Plan| {
        passed(Some(&newest), plan, &[])
            .expect_err("no images")
            .join("\n")
    };
    let expected = "`api-vs` gives v2 5 %, and what passed had 100 %";
    assert!(told(&plan).contains(expected), "{}", told(&plan));
    let traffic = plan.phases[1].traffic.as_mut().expect("traffic");
    traffic.was = weights(0, 100);
    assert!(!told(&plan).contains("api-vs"), "{}", told(&plan));
}
