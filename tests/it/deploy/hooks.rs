//! Hooks run once, also across a crash; where nothing can tell, a person is asked.

use openpolicy_mcp::{deploy::engine::Driven, platform::model::OnFailure};

use super::{
    plans::{ask, begin, hook, journal, phase, plan, read, status},
    world::World,
};

fn with_hook(has_check: bool) -> openpolicy_mcp::deploy::Plan {
    let mut one = phase("base", &[&["db"]]);
    one.after.push(hook("init sql", has_check));
    plan(vec![one], 1)
}

#[tokio::test(start_paused = true)]
async fn a_hook_with_a_check_runs_once_also_across_a_crash() {
    let whole = {
        let (world, journal) = (World::new(), journal());
        let run = begin(&journal, with_hook(true));
        world.drive(&journal, run).await;
        assert_eq!(status(&journal, run), "succeeded");
        world.count()
    };
    for at in 0..whole {
        let (world, journal) = (World::new(), journal());
        let run = begin(&journal, with_hook(true));
        world.kill_after(at);
        assert!(world.drive(&journal, run).await.is_none(), "{at}");
        world.spare();
        ask(&journal, run, "resume");
        world.drive(&journal, run).await;
        assert_eq!(status(&journal, run), "succeeded", "{at}");
        assert_eq!(world.things().ran["init sql"], 1, "killed at {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_was_done_before_is_not_done_again() {
    let (world, journal) = (World::new(), journal());
    world.things().ran.insert("init sql".into(), 1);
    let run = begin(&journal, with_hook(true));
    world.drive(&journal, run).await;
    assert_eq!(status(&journal, run), "succeeded");
    assert_eq!(world.things().ran["init sql"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_hook_without_a_check_asks_when_nobody_knows() {
    for (verb, times) in [("promote", 1), ("resume", 2)] {
        let (world, journal) = (World::new(), journal());
        let run = begin(&journal, with_hook(false));
        // The last but one operation of the hook.
        let mut at = 0;
        loop {
            let (fresh, other) = (World::new(), self::journal());
            let trial = begin(&other, with_hook(false));
            fresh.kill_after(at);
            fresh.drive(&other, trial).await;
            if fresh.things().ran.contains_key("init sql") {
                break;
            }
            at += 1;
        }
        world.kill_after(at);
        assert!(world.drive(&journal, run).await.is_none());
        world.spare();
        assert_eq!(world.things().ran["init sql"], 1);
        ask(&journal, run, "resume");
        let driven = world.drive(&journal, run).await;
        assert!(matches!(driven, Some(Ok(Driven::Waits))), "{driven:?}");
        let state = read(&journal, run).state;
        assert_eq!(state.status.as_str(), "unknown");
        assert!(state.reason.expect("why").contains("may have run or not"));
        ask(&journal, run, verb);
        let driven = world.drive(&journal, run).await;
        assert!(
            matches!(driven, Some(Ok(Driven::Over))),
            "{verb}: {driven:?}"
        );
        assert_eq!(status(&journal, run), "succeeded", "{verb}");
        assert_eq!(world.things().ran["init sql"], times, "{verb}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_failed_fails_its_phase_and_says_what_it_wrote() {
    let (world, journal) = (World::new(), journal());
    world.things().exits.insert("init sql".into(), 3);
    let mut plan = with_hook(false);
    plan.phases[0].on_failure = OnFailure::Pause;
    let run = begin(&journal, plan);
    world.drive(&journal, run).await;
    let reason = read(&journal, run).state.reason.expect("why");
    assert!(
        reason.contains("init in db ended with code 3: said this"),
        "{reason}"
    );
    // Mended, it is run again.
    world.things().exits.clear();
    ask(&journal, run, "resume");
    world.drive(&journal, run).await;
    assert_eq!(status(&journal, run), "succeeded");
    assert_eq!(world.things().ran["init sql"], 2);
}
