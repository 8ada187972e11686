//! A driver that is lost anywhere: the journal tells what is known, and resume and rollback come
//! to the same end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

use openpolicy_mcp::{
    deploy::{
        Event,
        book::Book,
        engine::{DriveError, Driven},
    },
    store::{Journal, JournalError},
};

use super::{
    plans::{ask, begin, five_phases, journal, phase, plan, read, status},
    world::{World, desired},
};

fn versions(all: &[(&str, u64)]) -> BTreeMap<String, u64> {
    all.iter()
        .map(|(name, version)| ((*name).to_owned(), *version))
        .collect()
}

/// A world in which some services run in an older version, and one that no run touches.
fn older_world() -> Arc<World> {
    let world = World::new();
    world.things().services = versions(&[("db", 1), ("api", 1), ("web", 1), ("other", 7)]);
    world
}

/// How many operations a whole run has.
async fn operations() -> u64 {
    let (world, journal) = (older_world(), journal());
    let run = begin(&journal, plan(five_phases(), 2));
    let driven = world.drive(&journal, run).await;
    assert!(matches!(driven, Some(Ok(Driven::Over))), "{driven:?}");
    assert_eq!(status(&journal, run), "succeeded");
    world.count()
}

#[tokio::test(start_paused = true)]
async fn a_run_of_five_phases_comes_to_its_end_and_touches_nothing_else() {
    let (world, journal) = (older_world(), journal());
    let run = begin(&journal, plan(five_phases(), 2));
    let driven = world.drive(&journal, run).await;
    assert!(matches!(driven, Some(Ok(Driven::Over))), "{driven:?}");
    let state = read(&journal, run).state;
    assert!(state.phases.iter().all(|phase| phase.is_gate_passed));
    assert_eq!(state.phases[0].baseline.memory, Some(30.0));
    let all = world.versions();
    assert_eq!(all["other"], 7);
    assert!(
        all.iter()
            .all(|(name, version)| name == "other" || *version == 2)
    );
    assert_eq!(all.len(), 12);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_killed_anywhere_leaves_a_run_that_can_be_resumed() {
    for at in 0..operations().await {
        let (world, journal) = (older_world(), journal());
        let run = begin(&journal, plan(five_phases(), 2));
        world.kill_after(at);
        assert!(world.drive(&journal, run).await.is_none(), "killed at {at}");
        world.spare();
        // Nothing goes on by itself.
        let undecided = world.drive(&journal, run).await;
        assert!(
            matches!(undecided, Some(Ok(Driven::NotDecided))),
            "{at}: {undecided:?}"
        );
        ask(&journal, run, "resume");
        let driven = world.drive(&journal, run).await;
        assert!(matches!(driven, Some(Ok(Driven::Over))), "{at}: {driven:?}");
        assert_eq!(status(&journal, run), "succeeded", "killed at {at}");
        let changes = world.things().changes;
        assert_eq!(changes, 11, "killed at {at}: each service is changed once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_killed_anywhere_leaves_a_run_that_can_be_taken_back() {
    for at in 0..operations().await {
        let (world, journal) = (older_world(), journal());
        let before = world.versions();
        let run = begin(&journal, plan(five_phases(), 2));
        world.kill_after(at);
        assert!(world.drive(&journal, run).await.is_none(), "killed at {at}");
        world.spare();
        ask(&journal, run, "abort");
        let driven = world.drive(&journal, run).await;
        assert!(matches!(driven, Some(Ok(Driven::Over))), "{at}: {driven:?}");
        let end = status(&journal, run);
        assert!(["rolled_back", "cancelled"].contains(&end), "{at}: {end}");
        assert_eq!(world.versions(), before, "killed at {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_is_killed_anywhere_is_gone_on_with() {
    let before = older_world().versions();
    let mut killed_in_rollback = 0;
    for at in 1.. {
        let (world, journal) = (older_world(), journal());
        // The last phase never becomes healthy.
        world.things().ill.insert(("proxy".into(), 2));
        let run = begin(&journal, plan(five_phases(), 2));
        world.kill_after(at);
        if world.drive(&journal, run).await.is_some() {
            break;
        }
        world.spare();
        if read(&journal, run).state.rollback.is_none() {
            continue;
        }
        killed_in_rollback += 1;
        ask(&journal, run, if at % 2 == 0 { "abort" } else { "resume" });
        world.drive(&journal, run).await;
        assert_eq!(status(&journal, run), "rolled_back", "killed at {at}");
        assert_eq!(world.versions(), before, "killed at {at}");
    }
    assert!(killed_in_rollback > 11, "{killed_in_rollback}");
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_written_stops_the_run_before_it_acts() {
    let folder = tempfile::tempdir().expect("a folder");
    for at in 2..40 {
        let path = folder.path().join(format!("{at}.sqlite"));
        let journal = Arc::new(Journal::open(&path).expect("a journal"));
        let world = older_world();
        let before = world.versions();
        let run = begin(&journal, plan(five_phases(), 2));
        let fault = rusqlite::Connection::open(&path).expect("the same file");
        fault
            .execute_batch(&format!(
                "CREATE TRIGGER full BEFORE INSERT ON event WHEN NEW.seq = {at}
                 BEGIN SELECT RAISE(FAIL, 'no room'); END;"
            ))
            .expect("a trigger");
        let driven = world.drive(&journal, run).await;
        assert!(
            matches!(
                driven,
                Some(Err(DriveError::Journal(JournalError::Fault(_))))
            ),
            "{at}: {driven:?}"
        );
        let reading = read(&journal, run);
        assert_eq!(reading.state.last_seq, at - 1, "what is written is whole");
        // What was changed is written down as begun.
        for (name, version) in world.versions() {
            let is_touched = reading
                .state
                .touched
                .iter()
                .any(|one| one.service.0 == name);
            let is_as_before = before.get(&name) == Some(&version);
            assert!(
                is_touched || is_as_before,
                "{at}: {name} was changed unseen"
            );
        }
        fault.execute_batch("DROP TRIGGER full").expect("it goes");
        ask(&journal, run, "abort");
        world.drive(&journal, run).await;
        assert_eq!(world.versions(), before, "{at}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_drivers_one_is_refused() {
    let (world, journal) = (older_world(), journal());
    let run = begin(&journal, plan(five_phases(), 2));
    let (first, second) = tokio::join!(world.drive(&journal, run), world.drive(&journal, run));
    assert!(matches!(first, Some(Ok(Driven::Over))), "{first:?}");
    assert!(matches!(second, Some(Ok(Driven::NotDecided))), "{second:?}");
    assert_eq!(status(&journal, run), "succeeded");
    assert_eq!(read(&journal, run).state.drivers, 1);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_was_thought_dead_writes_nothing_more() {
    let (world, journal) = (older_world(), journal());
    let run = begin(&journal, plan(five_phases(), 2));
    let other = async {
        while read(&journal, run).state.phases[0].gate_began_at.is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        // Without the lease nothing but the journal stands between the two.
        let book = Book::open(Arc::clone(&journal), run).expect("a book");
        let event = Event::Note {
            text: "another driver".into(),
        };
        book.write(event).expect("it is written");
    };
    let (driven, ()) = tokio::join!(world.drive(&journal, run), other);
    assert!(
        matches!(
            driven,
            Some(Err(DriveError::Journal(JournalError::Conflict { .. })))
        ),
        "{driven:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_loses_its_lease_anywhere_begins_nothing_more_and_leaves_the_run() {
    let begun = |journal: &Journal, run| {
        let entries = read(journal, run).entries;
        let steps = entries.iter().filter(|entry| {
            matches!(
                entry.event,
                Event::StepBegun { .. } | Event::RestoreBegun { .. } | Event::HookBegun { .. }
            )
        });
        steps.count()
    };
    for ends in 0..operations().await {
        // As far as a driver came whose last operation that was.
        let (killed, kept) = (older_world(), journal());
        let run = begin(&kept, plan(five_phases(), 2));
        killed.kill_after(ends);
        killed.drive(&kept, run).await;
        let before = begun(&kept, run);

        let (world, journal) = (older_world(), journal());
        let run = begin(&journal, plan(five_phases(), 2));
        world.lease_ends.store(ends, Ordering::SeqCst);
        let driven = world.drive(&journal, run).await;
        assert!(
            matches!(driven, Some(Ok(Driven::LostLease))),
            "{ends}: {driven:?}"
        );
        assert!(begun(&journal, run) <= before + 1, "{ends}");
        // The other comes to the end.
        world.lease_ends.store(u64::MAX, Ordering::SeqCst);
        ask(&journal, run, "resume");
        let driven = world.drive(&journal, run).await;
        assert!(
            matches!(driven, Some(Ok(Driven::Over))),
            "{ends}: {driven:?}"
        );
        assert_eq!(status(&journal, run), "succeeded", "{ends}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_taken_back_is_stuck_and_tells_what_is_left() {
    let (world, journal) = (older_world(), journal());
    let before = world.versions();
    world.things().ill.insert(("bills".into(), 2));
    world.things().held.insert("api".into());
    let run = begin(&journal, plan(five_phases(), 2));
    let driven = world.drive(&journal, run).await;
    assert!(matches!(driven, Some(Ok(Driven::Waits))), "{driven:?}");
    let state = read(&journal, run).state;
    assert_eq!(state.status.as_str(), "stuck");
    let reason = state.reason.expect("a reason");
    assert!(
        reason.contains("api") && !reason.contains("etl"),
        "{reason}"
    );
    // Everything else went back.
    let mut left = before.clone();
    left.insert("api".into(), 2);
    assert_eq!(world.versions(), left);
    world.things().held.clear();
    ask(&journal, run, "resume");
    world.drive(&journal, run).await;
    assert_eq!(status(&journal, run), "rolled_back");
    assert_eq!(world.versions(), before);
}

/// A small generator with a seed, so that a schedule can be had again.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        // Of Steele and others, SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_random_schedules_end_in_one_of_two_worlds() {
    const NAMES: [&str; 11] = [
        "db", "cache", "queue", "api", "worker", "etl", "lake", "bills", "votes", "web", "proxy",
    ];
    let mut ends: BTreeMap<&'static str, u32> = BTreeMap::new();
    for seed in 0..1_000 {
        let mut dice = Dice(seed);
        let (world, journal) = (older_world(), journal());
        let before = world.versions();
        let pick = |dice: &mut Dice| NAMES[dice.roll(11) as usize].to_owned();
        if dice.roll(3) == 0 {
            let name = pick(&mut dice);
            world.things().ill.insert((name, 2));
        }
        if dice.roll(6) == 0 {
            let name = pick(&mut dice);
            world.things().refused.insert(name);
        }
        if dice.roll(6) == 0 {
            let name = pick(&mut dice);
            world.things().held.insert(name);
        }
        let run = begin(&journal, plan(five_phases(), 2));
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
                world.things().refused.clear();
                world.spare();
            } else {
                world.kill_after(dice.roll(60));
            }
            let driven = world.drive(&journal, run).await;
            if let Some(Err(error)) = &driven {
                panic!("seed {seed}: {error}");
            }
            let verbs = ["resume", "resume", "abort", "pause", "promote"];
            ask(&journal, run, verbs[dice.roll(5) as usize]);
        }
        let end = status(&journal, run);
        *ends.entry(end).or_default() += 1;
        match end {
            "succeeded" => {
                let after = world.versions();
                let is_new = NAMES.iter().all(|name| after.get(*name) == Some(&2));
                assert!(is_new, "seed {seed}: {after:?}");
            }
            "rolled_back" | "cancelled" => assert_eq!(world.versions(), before, "seed {seed}"),
            other => panic!("seed {seed} ended as {other}"),
        }
    }
    assert!(
        ends["succeeded"] > 100 && ends["rolled_back"] > 100,
        "{ends:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_last_ten_runs_need_is_kept_and_older_images_are_let_go_of() {
    let (world, journal) = (World::new(), journal());
    // `db` stays what it is, so every run can go back to that.
    world.things().services.insert("db".into(), 1);
    for version in 1..=13 {
        let mut plan = plan(vec![phase("core", &[&["api"], &["db"]])], version);
        plan.desired[1] = desired("db", 1);
        let run = begin(&journal, plan);
        world.drive(&journal, run).await;
        assert_eq!(status(&journal, run), "succeeded");
    }
    let released: BTreeSet<String> = world.things().released.iter().cloned().collect();
    // Runs 4 to 13 go back to versions 3 to 12; the first run found nothing.
    let expected = ["api:1", "api:2"].map(str::to_owned);
    assert_eq!(released, BTreeSet::from(expected));
}
