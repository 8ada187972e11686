//! What a service was is made again, also where much happened meanwhile.

use std::fs;

use openpolicy_mcp::runtime::{Before, Runtime as _, ServiceState, values::AppliedOutcome};

use super::{
    engine,
    world::{World, failure, outcomes},
};

const COMPOSE: &str = "
services:
  api:
    image: 'IMAGE'
    environment: { PORT: '80', LEVEL: '${LEVEL:-1}' }
    mem_limit: 64m
    volumes: ['data:/data', '/cache', './settings.ini:/settings.ini:ro']
    networks: { default: { aliases: [front] }, back: {} }
volumes: { data: {} }
networks: { back: {} }
";

/// An image of its own, as tests move its name.
async fn world(image: &str) -> World {
    let compose = COMPOSE.replace("IMAGE", image);
    let files = [("settings.ini", "one")];
    let world = World::with_files(&compose, "  api: {}", "", &files).await;
    world.docker().run(&["tag", "openpolicy/stand-in:1", image]);
    world
}

fn inspected(world: &World, format: &str) -> String {
    let container = world.container("api");
    world
        .docker()
        .run(&["inspect", "--format", format, &container])
}

/// What of it has to be the same again, in an order of its own: the engine lists mounts in any.
fn shape(world: &World) -> Vec<String> {
    let mut words: Vec<String> = inspected(world, SHAPE).lines().map(str::to_owned).collect();
    words.sort();
    words
}

const SHAPE: &str = "{{.Name}} {{.Image}} {{json .Config.Env}} {{json .Config.Labels}} \
    {{.HostConfig.Memory}} {{.State.Running}}\n\
    {{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.RW}}\n{{end}}\
    {{range $name, $one := .NetworkSettings.Networks}}{{$name}}\n{{end}}";

async fn restored_in_full(world: World, image: &str) {
    world.apply(&["api"]).await;
    let was_shape = shape(&world);
    let was = world.seen("api").await;
    let before = world.captured("api").await;
    assert!(before.was_running);
    let shown = format!("{before:?}");
    assert!(!shown.contains("LEVEL"), "{shown}");
    // As the journal keeps it.
    let before: Before =
        serde_json::from_str(&serde_json::to_string(&before).expect("JSON")).expect("the same");

    // The name moves to another image, the file changes, a volume holds data of the new one.
    let docker = world.docker();
    docker.run(&["tag", "openpolicy/stand-in:2", image]);
    world.write(".env", "LEVEL=2\n");
    fs::write(world.folder.path().join("settings.ini"), "two").expect("a file");
    let applied = world.apply(&["api"]).await;
    assert_eq!(outcomes(&applied), [&AppliedOutcome::Replaced]);
    assert_ne!(shape(&world), was_shape);
    // A prune of everything without a container takes nothing that is kept.
    docker.run(&["image", "prune", "-f"]);

    let back = world.runtime.restore(&before).await.expect("asked");
    assert_eq!(back.outcome, AppliedOutcome::Replaced);
    assert_eq!(shape(&world), was_shape);
    let seen = world.seen("api").await;
    assert_eq!(seen.state, ServiceState::Running);
    assert_eq!(
        (&seen.live, &seen.configuration),
        (&was.live, &was.configuration)
    );
    let file = fs::read_to_string(world.folder.path().join("settings.ini"));
    assert_eq!(file.expect("a file"), "one");
    let container = world.container("api");
    let again = world.runtime.restore(&before).await.expect("asked");
    assert_eq!(again.outcome, AppliedOutcome::Unchanged);
    assert_eq!(world.container("api"), container);
    // Both names of the service on its networks are there again.
    let aliases = inspected(
        &world,
        "{{range .NetworkSettings.Networks}}{{json .Aliases}}{{end}}",
    );
    assert!(
        aliases.contains("front") && aliases.contains("api"),
        "{aliases}"
    );
    world
        .runtime
        .release(&[before], &[])
        .await
        .expect("released");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_let_go_of_when_no_way_back_needs_it() {
    let image = "letgo:1";
    let world = world(image).await;
    let docker = world.docker();
    world.apply(&["api"]).await;
    // Images that no other test has.
    let of_its_own = async |label: &str| {
        let change = format!("LABEL of={label}");
        docker.run(&[
            "commit",
            "--change",
            &change,
            &world.container("api"),
            image,
        ]);
        world.apply(&["api"]).await;
        (world.captured("api").await, inspected(&world, "{{.Image}}"))
    };
    let (first, of_first) = of_its_own("first").await;
    let (second, of_second) = of_its_own("second").await;
    let is_there = |id: &str| {
        let all = docker.run(&["images", "--no-trunc", "--quiet"]);
        all.lines().any(|line| line == id.trim())
    };
    let release = async |gone: &[Before], still: &[Before]| {
        world.runtime.release(gone, still).await.expect("released");
    };
    // Another way back needs it too.
    release(
        std::slice::from_ref(&first),
        &[first.clone(), second.clone()],
    )
    .await;
    assert!(is_there(&of_first) && is_there(&of_second));
    release(&[first], std::slice::from_ref(&second)).await;
    assert!(!is_there(&of_first), "nothing else names it");
    // What runs stays, whatever is let go of.
    release(&[second], &[]).await;
    assert!(is_there(&of_second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_service_is_made_again_by_the_image_it_had() {
    restored_in_full(world("back:1").await, "back:1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_compose_1_is_made_again_too() {
    let compose = COMPOSE.replace("IMAGE", "older:1");
    let program = engine::compose_1().await;
    let world = World::with(&compose, "  api: {}", "", program).await;
    world.write("settings.ini", "one");
    world
        .docker()
        .run(&["tag", "openpolicy/stand-in:1", "older:1"]);
    restored_in_full(world, "older:1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_there_is_removed_and_its_volume_stays() {
    let world = world("new:1").await;
    let before = world.captured("api").await;
    assert!(before.configuration.is_none());
    world.apply(&["api"]).await;
    let back = world.runtime.restore(&before).await.expect("asked");
    assert_eq!(back.outcome, AppliedOutcome::Removed);
    assert_eq!(world.seen("api").await.state, ServiceState::Absent);
    let volumes = world.docker().run(&["volume", "ls", "-q"]);
    let wanted = format!("{}_data", world.project);
    assert!(volumes.lines().any(|name| name == wanted), "{volumes}");
    let again = world.runtime.restore(&before).await.expect("asked");
    assert_eq!(again.outcome, AppliedOutcome::Unchanged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_service_is_left_stopped() {
    let world = world("still:1").await;
    world.apply(&["api"]).await;
    world
        .docker()
        .run(&["stop", "-t", "5", &world.container("api")]);
    let before = world.captured("api").await;
    assert!(!before.was_running);
    world.write(".env", "LEVEL=2\n");
    world.apply(&["api"]).await;
    assert_eq!(world.seen("api").await.state, ServiceState::Running);
    world.runtime.restore(&before).await.expect("asked");
    assert_eq!(inspected(&world, "{{.State.Running}}"), "false");
    let level = inspected(&world, "{{json .Config.Env}}");
    assert!(level.contains("LEVEL=1"), "{level}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_off_at_any_step_it_is_finished_by_the_next_attempt() {
    let world = world("cut:1").await;
    world.apply(&["api"]).await;
    let was_shape = shape(&world);
    let before = world.captured("api").await;
    world.write(".env", "LEVEL=2\n");
    world.apply(&["api"]).await;
    let docker = world.docker();
    // Between the removal of the new one and the making of the old one.
    docker.run(&["rm", "-f", &world.container("api")]);
    let made = world.runtime.restore(&before).await.expect("asked");
    assert_eq!(made.outcome, AppliedOutcome::Started);
    assert_eq!(shape(&world), was_shape);
    // Made and not started.
    docker.run(&["stop", "-t", "5", &world.container("api")]);
    let made = world.runtime.restore(&before).await.expect("asked");
    assert_eq!(made.outcome, AppliedOutcome::Started);
    assert_eq!(shape(&world), was_shape);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_by_hand_is_seen_and_put_right() {
    let world = world("drift:1").await;
    world.apply(&["api"]).await;
    let was = world.seen("api").await;
    let before = world.captured("api").await;
    let container = world.container("api");
    world.docker().run(&[
        "update",
        "--memory",
        "96m",
        "--memory-swap",
        "192m",
        &container,
    ]);
    let seen = world.seen("api").await;
    assert_eq!(seen.configuration, was.configuration);
    assert_ne!(seen.live, was.live);
    world.runtime.restore(&before).await.expect("asked");
    assert_eq!(world.seen("api").await.live, was.live);
    assert_eq!(world.container("api"), container);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_gone_is_told() {
    let world = world("lost:1").await;
    let docker = world.docker();
    // An image that nothing else keeps.
    docker.run(&[
        "commit",
        &docker.run(&["create", "openpolicy/stand-in:1"]),
        "lost:1",
    ]);
    world.apply(&["api"]).await;
    let before = world.captured("api").await;
    let image = inspected(&world, "{{.Image}}");
    docker.run(&["rm", "-f", &world.container("api")]);
    // What is kept by a tag of ours outlives a prune, and not somebody who insists.
    docker.run(&["rmi", "-f", &image]);
    let back = world.runtime.restore(&before).await.expect("asked");
    let why = failure(&back);
    assert!(why.contains("gone from the engine"), "{why}");
    assert!(why.contains("lost:1"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_edited_is_put_back_and_a_folder_is_told() {
    let world = world("file:1").await;
    world.apply(&["api"]).await;
    let before = world.captured("api").await;
    let path = world.folder.path().join("settings.ini");
    fs::write(&path, "edited").expect("a file");
    let back = world.runtime.restore(&before).await.expect("asked");
    // It may have read the file at its start.
    assert_eq!(back.outcome, AppliedOutcome::Started);
    assert_eq!(fs::read_to_string(&path).expect("a file"), "one");

    let compose =
        "services: { api: { image: 'openpolicy/stand-in:1', volumes: ['./data:/data'] } }";
    let world = World::of(compose, "  api: {}").await;
    fs::create_dir(world.folder.path().join("data")).expect("a folder");
    let desired = world.resolved(&["api"]).await;
    let told = &desired[0].not_restored;
    assert!(
        matches!(told.as_slice(), [one] if one.contains("/data") && one.contains("folder")),
        "{told:?}"
    );
}
