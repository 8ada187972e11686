//! Services are made as the Compose files say, and told truthfully where that fails.

use openpolicy_mcp::runtime::{Runtime as _, RuntimeHealth, ServiceState, values::AppliedOutcome};

use super::{
    engine,
    world::{World, failure, outcomes},
};

const TWO: &str = "
services:
  db:
    image: openpolicy/stand-in:1
    environment: { PORT: '8000', SECRET: 'a$$b${C:-c}' }
    mem_limit: 64m
    cpus: 0.5
    restart: unless-stopped
    volumes: ['data:/data']
  api:
    image: ${API_IMAGE:-openpolicy/stand-in:1}
    environment: { PORT: '8001' }
    depends_on: [db]
volumes: { data: {} }
";

const TWO_SERVICES: &str = "  db: {}\n  api: { needs: [db] }";

async fn up_again_and_replaced(world: World) {
    let first = world.apply(&["api", "db"]).await;
    assert_eq!(
        outcomes(&first),
        [&AppliedOutcome::Started, &AppliedOutcome::Started]
    );
    assert!(first.iter().all(|one| one.before.configuration.is_none()));
    let seen = world.seen("db").await;
    assert_eq!(seen.state, ServiceState::Running);
    let desired = world.resolved(&["db"]).await;
    assert_eq!(seen.configuration.as_ref(), Some(&desired[0].digest));
    assert!(seen.image.expect("an image").contains("stand-in:1"));
    let environment = world.docker().run(&[
        "inspect",
        "--format",
        "{{.Config.Env}} {{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}",
        &world.container("db"),
    ]);
    assert!(environment.contains("SECRET=a$bc"), "{environment}");
    assert!(environment.ends_with("67108864 500000000"), "{environment}");

    let second = world.apply(&["api", "db"]).await;
    assert_eq!(
        outcomes(&second),
        [&AppliedOutcome::Unchanged, &AppliedOutcome::Unchanged]
    );
    let db = world.container("db");
    world.write(".env", "API_IMAGE=openpolicy/stand-in:2\n");
    let third = world.apply(&["api", "db"]).await;
    assert_eq!(
        outcomes(&third),
        [&AppliedOutcome::Replaced, &AppliedOutcome::Unchanged]
    );
    assert!(
        third[0]
            .before
            .image
            .as_ref()
            .expect("an image")
            .contains("stand-in:1")
    );
    assert_eq!(world.container("db"), db);
    let image = world.seen("api").await.image.expect("an image");
    assert!(image.contains("stand-in:2"), "{image}");
    // Nothing of the resolved project, which may hold secrets, is left.
    let left = std::fs::read_dir(world.folder.path().join("state/compose"));
    assert_eq!(left.expect("the folder").count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_applied_twice_changes_once_and_another_image_replaces() {
    up_again_and_replaced(World::of(TWO, TWO_SERVICES).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compose_1_does_the_same() {
    let program = engine::compose_1().await;
    up_again_and_replaced(World::with(TWO, TWO_SERVICES, "", program).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_image_under_the_same_name_is_a_change() {
    let compose = "services: { api: { image: 'moving:1', environment: { PORT: '80' } } }";
    let world = World::of(compose, "  api: {}").await;
    let docker = world.docker();
    docker.run(&["tag", "openpolicy/stand-in:1", "moving:1"]);
    world.apply(&["api"]).await;
    let planned = world.resolved(&["api"]).await;
    docker.run(&["tag", "openpolicy/stand-in:2", "moving:1"]);
    let seen = world.seen("api").await;
    let desired = world.resolved(&["api"]).await;
    assert_ne!(seen.configuration.as_ref(), Some(&desired[0].digest));
    // What was planned with the other image is not applied with this one.
    let refused = world.apply_these(&planned).await;
    let why = failure(&refused[0]);
    assert!(why.contains("plan again"), "{why}");
    let applied = world.apply_these(&desired).await;
    assert_eq!(outcomes(&applied), [&AppliedOutcome::Replaced]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_start_is_told_in_words_and_hides_nothing_else() {
    let compose = "
services:
  fine: { image: 'openpolicy/stand-in:1', environment: { PORT: '80' } }
  gone: { image: '127.0.0.1:9/nowhere:1' }
  ends: { image: 'openpolicy/stand-in:1', command: ['--ends-in', '1ms', '--exit-code', '3'] }
  wrong: { image: 'openpolicy/stand-in:1', entrypoint: ['/no/such/program'] }
  taken: { image: 'openpolicy/stand-in:1', environment: { PORT: '80' }, ports: ['127.0.0.1:${TAKEN}:80'] }
  page: { image: 'openpolicy/stand-in:1', environment: { PORT: '80' } }
";
    let services =
        "  fine: {}\n  gone: {}\n  ends: {}\n  wrong: {}\n  taken: {}\n  page: { needs: [gone] }";
    let world = World::of(compose, services).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    world.write(".env", &format!("TAKEN={port}\n"));
    let names = ["fine", "gone", "wrong", "taken", "page", "ends"];
    let desired = world.resolved(&names).await;
    assert!(desired[1].image_id.is_none());
    let applied = world.apply_these(&desired).await;
    assert_eq!(applied[0].outcome, AppliedOutcome::Started);
    for (place, part) in [
        (1, "not here"),
        (2, "no such program"),
        (3, "a port is taken"),
    ] {
        let why = failure(&applied[place]);
        assert!(why.contains(part) || why.contains("no such file"), "{why}");
    }
    assert!(
        matches!(&applied[4].outcome, AppliedOutcome::Waits(why) if why.contains("gone")),
        "{:?}",
        applied[4]
    );
    // It ends a moment after its start: told now, or by the next look.
    let seen = world
        .wait_for("ends", |seen| matches!(seen.state, ServiceState::Exited(_)))
        .await;
    assert!(
        matches!(&seen.state, ServiceState::Exited(exit) if exit.code == Some(3)),
        "{seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loop_and_memory_that_is_out_are_seen() {
    let compose = "
services:
  loops:
    image: openpolicy/stand-in:1
    command: ['--ends-in', '1ms', '--exit-code', '3']
    restart: always
  hungry:
    image: openpolicy/stand-in:1
    environment: { PORT: '8000' }
    mem_limit: 32m
    memswap_limit: 32m
";
    let world = World::of(compose, "  loops: {}\n  hungry: {}").await;
    world.apply(&["loops", "hungry"]).await;
    let loops = world
        .wait_for("loops", |seen| {
            seen.restarts >= 2 && matches!(seen.state, ServiceState::Restarting { .. })
        })
        .await;
    assert!(
        matches!(&loops.state, ServiceState::Restarting { count, last, .. }
            if *count >= 2 && last.code == Some(3)),
        "{loops:?}"
    );
    // Not from its start on: the engine does not hear of what happens in the first milliseconds.
    let gone = world.control("hungry", r#"{"memory": "200Mi"}"#).await;
    assert!(
        !matches!(&gone, Ok(ran) if ran.exit.is_success()),
        "{gone:?}"
    );
    let hungry = world
        .wait_for(
            "hungry",
            |seen| matches!(&seen.state, ServiceState::Exited(exit) if exit.reason.is_some()),
        )
        .await;
    assert!(
        matches!(&hungry.state, ServiceState::Exited(exit)
            if exit.reason.as_deref() == Some("out of memory: its limit is 32 MiB")),
        "{hungry:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_health_check_starts_passes_and_fails() {
    let compose = "
services:
  api:
    image: openpolicy/stand-in:1
    environment: { PORT: '8000' }
    healthcheck: { test: ['CMD', 'curl', '-fsS', 'http://localhost:8000/health'], interval: 1s, retries: 1, start_period: 1s }
";
    let world = World::of(compose, "  api: {}").await;
    world.apply(&["api"]).await;
    let seen = world.seen("api").await;
    assert_eq!(seen.health, Some(RuntimeHealth::Starting), "{seen:?}");
    world
        .wait_for("api", |seen| seen.health == Some(RuntimeHealth::Healthy))
        .await;
    let ran = world
        .control("api", r#"{"fail": "100%"}"#)
        .await
        .expect("it runs");
    assert_eq!(ran.exit.code, Some(0), "{ran:?}");
    let seen = world
        .wait_for("api", |seen| seen.health == Some(RuntimeHealth::Unhealthy))
        .await;
    assert!(seen.note.expect("its word").contains("500"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_by_itself_is_up_when_it_is_done() {
    let compose = "
services:
  migrate: { image: 'openpolicy/stand-in:1', command: ['--one-shot'] }
  breaks: { image: 'openpolicy/stand-in:1', command: ['--ends-in', '1ms', '--exit-code', '4'] }
  api:
    image: openpolicy/stand-in:1
    environment: { PORT: '80' }
    depends_on: { migrate: { condition: service_completed_successfully } }
  page:
    image: openpolicy/stand-in:1
    environment: { PORT: '80' }
    depends_on: { breaks: { condition: service_completed_successfully } }
";
    let services = "  migrate: {}\n  breaks: {}\n  api: {}\n  page: {}";
    let world = World::of(compose, services).await;
    let names = ["migrate", "breaks", "api", "page"];
    let applied = world.apply(&names).await;
    assert_eq!(applied[0].outcome, AppliedOutcome::Started);
    assert_eq!(applied[2].outcome, AppliedOutcome::Started);
    assert!(
        matches!(&applied[3].outcome, AppliedOutcome::Waits(why) if why.contains("breaks")),
        "{:?}",
        applied[3]
    );
    // It is done with this configuration: not once more.
    let ran = world.container("migrate");
    let began = world.seen("migrate").await.started_at;
    let again = world.apply(&["migrate", "api"]).await;
    assert_eq!(
        outcomes(&again),
        [&AppliedOutcome::Unchanged, &AppliedOutcome::Unchanged]
    );
    assert_eq!(world.container("migrate"), ran);
    assert_eq!(world.seen("migrate").await.started_at, began);
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_several_files_and_env_files_are_resolved_once() {
    let first = "
services:
  api: { image: 'openpolicy/stand-in:1', environment: { PORT: '80', WHO: '${WHO}' } }
  extra: { image: 'openpolicy/stand-in:1', profiles: [more] }
  other: { image: 'openpolicy/stand-in:1', profiles: [less] }
";
    let more = ", files: [compose.yaml, second.yaml], profiles: [more], env_files: [one.env]";
    let files = [
        (
            "second.yaml",
            "services: { api: { environment: { SECOND: 'yes' } } }\n",
        ),
        ("one.env", "WHO=one\n"),
    ];
    let world = World::with_files(first, "  api: {}\n  extra: {}", more, &files).await;
    let desired = world.resolved(&["api", "extra"]).await;
    assert!(
        desired.iter().all(|one| one.problem.is_none()),
        "{desired:?}"
    );
    // What is applied is what was resolved, whatever becomes of the files.
    world.write("one.env", "WHO=two\n");
    world.write("compose.yaml", "services: {}\n");
    let applied = world.apply_these(&desired).await;
    assert_eq!(
        outcomes(&applied),
        [&AppliedOutcome::Started, &AppliedOutcome::Started]
    );
    let environment = world.docker().run(&[
        "inspect",
        "--format",
        "{{.Config.Env}}",
        &world.container("api"),
    ]);
    assert!(
        environment.contains("WHO=one") && environment.contains("SECOND=yes"),
        "{environment}"
    );
    let shown = format!("{desired:?}");
    assert!(!shown.contains("WHO"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_built_once_and_several_containers_are_one_service() {
    let compose = "
services:
  built: { build: ., environment: { PORT: '80' } }
  many: { image: 'openpolicy/stand-in:1', environment: { PORT: '80' }, deploy: { replicas: 2 } }
";
    let files = [("Dockerfile", "FROM openpolicy/stand-in:1\nENV BUILT=1\n")];
    let world = World::with_files(compose, "  built: {}\n  many: {}", "", &files).await;
    let desired = world.resolved(&["built", "many"]).await;
    assert!(desired[0].image_id.is_none());
    let applied = world.apply_these(&desired).await;
    assert_eq!(
        outcomes(&applied),
        [&AppliedOutcome::Started, &AppliedOutcome::Started]
    );
    let seen = world.seen("many").await;
    assert!(seen.note.expect("a note").contains("2 containers"));
    let again = world.apply(&["built", "many"]).await;
    assert_eq!(
        outcomes(&again),
        [&AppliedOutcome::Unchanged, &AppliedOutcome::Unchanged]
    );
    // Both are made again.
    let before = world.captured("many").await;
    let live = world.seen("many").await.live;
    for id in world.container("many").lines() {
        world.docker().run(&["rm", "-f", id]);
    }
    world.runtime.restore(&before).await.expect("asked");
    assert_eq!(world.container("many").lines().count(), 2);
    assert_eq!(world.seen("many").await.live, live);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_started_by_hand_is_known() {
    let world = World::of(TWO, TWO_SERVICES).await;
    let program = engine::compose_2().await;
    let by_hand = std::process::Command::new(&program.path)
        .args(["-p", &world.project, "up", "-d"])
        .current_dir(world.folder.path())
        .env("DOCKER_HOST", world.docker().host())
        .output()
        .expect("Compose");
    let said = String::from_utf8_lossy(&by_hand.stderr);
    assert!(by_hand.status.success(), "{said}");
    let container = world.container("db");
    let applied = world.apply(&["db", "api"]).await;
    assert_eq!(
        outcomes(&applied),
        [&AppliedOutcome::Unchanged, &AppliedOutcome::Unchanged]
    );
    assert_eq!(world.container("db"), container);
}
