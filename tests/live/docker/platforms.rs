//! The reference platforms, deployed from nothing with images made here.

use std::{fs, path::Path, time::Instant};

use openpolicy_mcp::{
    platform::Bytes,
    runtime::{Change, Runtime as _, RuntimeHealth, ServiceState, values::AppliedOutcome},
};

use super::world::World;
use crate::engines::PATIENCE;

/// The platform in a folder of its own, published at an address where nobody else listens.
async fn world(name: &str, address: &str) -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("platforms")
        .join(name);
    copy(&from, folder.path());
    let variables = format!("PUBLISH_ADDRESS={address}\n");
    fs::write(folder.path().join(".env"), variables).expect("a file");
    let file = folder.path().join("platform.yaml");
    World::of_file(&file, folder).await
}

pub fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let place = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&place).expect("a folder");
            copy(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).expect("a file");
        }
    }
}

/// Phase by phase and step by step; then everything is well.
async fn deployed(world: World, services: usize) {
    let runtime = &world.runtime;
    let mut count = 0;
    for phase in &world.platform.phases {
        for step in &phase.steps {
            let desired = runtime.resolve(step).await.expect("resolved");
            let faults: Vec<_> = desired
                .iter()
                .filter_map(|one| one.problem.as_ref())
                .collect();
            assert!(faults.is_empty(), "{}: {faults:?}", phase.name);
            let change = Change::of(&desired, PATIENCE);
            let applied = runtime.apply(change).await.expect("applied");
            for one in &applied {
                assert_eq!(one.outcome, AppliedOutcome::Started, "{one:?}");
            }
            count += applied.len();
        }
    }
    assert_eq!(count, services);
    let names: Vec<_> = world
        .platform
        .services
        .iter()
        .map(|service| service.name.clone())
        .collect();
    assert_eq!(names.len(), services);
    let begun = Instant::now();
    loop {
        let seen = runtime.observe(&names).await.expect("observed");
        let unwell: Vec<_> = seen
            .iter()
            .filter(|one| {
                one.state != ServiceState::Running
                    || matches!(one.health, Some(health) if health != RuntimeHealth::Healthy)
            })
            .collect();
        if unwell.is_empty() {
            break;
        }
        // The first look of a health check comes after 30 s.
        assert!(begun.elapsed() < 2 * PATIENCE, "{unwell:?}");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    let used = runtime.usage(&names).await.expect("usage");
    let memory: u64 = used
        .iter()
        .filter_map(|one| one.memory)
        .map(|one| one.0)
        .sum();
    assert!(
        used.iter().all(|one| one.memory > Some(Bytes(0))),
        "{used:?}"
    );
    assert!(memory < 4 << 30, "{memory}");
    // All of it again: nothing to do.
    let desired = runtime.resolve(&names).await.expect("resolved");
    let applied = world.apply_these(&desired).await;
    for one in &applied {
        assert_eq!(one.outcome, AppliedOutcome::Unchanged, "{one:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn planned_comes_up_in_five_phases() {
    deployed(world("planned", "127.77.0.1").await, 26).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v4_comes_up_phase_by_phase() {
    deployed(world("v4", "127.77.0.2").await, 32).await;
}

/// With the services of its profile, and the SQL that PostgreSQL runs with a new data folder.
#[tokio::test(flavor = "multi_thread")]
async fn metadata_comes_up_with_openmetadata() {
    let world = world("metadata", "127.77.0.3").await;
    let db = world.resolved(&["db"]).await;
    assert!(db[0].not_restored[0].contains("folder"), "{db:?}");
    deployed(world, 11).await;
}
