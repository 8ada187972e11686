//! Logs, usage, commands inside, and an engine that is away.

use std::time::Duration;

use openpolicy_mcp::{
    platform::Bytes,
    runtime::{LogQuery, Problem, Runtime as _, ServiceState, Stream, values::StoppedOutcome},
};

use super::{
    engine::Docker,
    world::{World, failure, service},
};
use crate::engines::PATIENCE;

fn query(limit: usize, cursor: Option<String>) -> LogQuery {
    LogQuery {
        service: service("api"),
        since: None,
        cursor,
        limit,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_paged_and_count_what_they_leave() {
    let compose = "services: { api: { image: 'openpolicy/stand-in:1', command: ['--one-shot', '--log-lines', '40'] } }";
    let world = World::of(compose, "  api: {}").await;
    let none = world.runtime.logs(&query(5, None)).await.expect("a page");
    assert!(none.lines.is_empty());
    world.apply(&["api"]).await;
    world
        .wait_for("api", |seen| matches!(seen.state, ServiceState::Exited(_)))
        .await;
    let page = world.runtime.logs(&query(10, None)).await.expect("a page");
    // A first line, forty, a last one.
    assert_eq!((page.lines.len(), page.older), (10, 32), "{page:?}");
    assert!(page.lines[9].text.ends_with("done"), "{page:?}");
    assert_eq!(page.lines[9].stream, Stream::Out);
    let cursor = page.cursor.clone();
    let next = world
        .runtime
        .logs(&query(10, cursor))
        .await
        .expect("a page");
    assert!(next.lines.is_empty() && !next.has_newer, "{next:?}");

    // More of the same container: read on from there, in pages.
    world.docker().run(&["start", &world.container("api")]);
    world
        .wait_for("api", |seen| matches!(seen.state, ServiceState::Exited(_)))
        .await;
    let mut texts = Vec::new();
    let mut cursor = page.cursor;
    loop {
        let next = world
            .runtime
            .logs(&query(15, cursor))
            .await
            .expect("a page");
        texts.extend(next.lines.into_iter().map(|line| line.text));
        cursor = next.cursor;
        if !next.has_newer {
            break;
        }
    }
    assert_eq!(texts.len(), 42, "{texts:?}");
    let is_whole = texts[0].ends_with("starts") && texts[41].ends_with("done");
    assert!(is_whole, "{texts:?}");
    // Another container in its place: said, and read from its beginning.
    world.docker().run(&["rm", "-f", &world.container("api")]);
    world.apply(&["api"]).await;
    let other = world
        .runtime
        .logs(&query(100, cursor))
        .await
        .expect("a page");
    assert_eq!(other.missing.len(), 1, "{other:?}");
    let foreign = world.runtime.logs(&query(5, Some("x".into()))).await;
    assert!(foreign.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_what_docker_stats_counts() {
    let compose = "
services:
  api: { image: 'openpolicy/stand-in:1', command: ['--memory', '100Mi', '--cpu', '30%'], mem_limit: 200m, cpus: 0.5 }
  free: { image: 'openpolicy/stand-in:1', environment: { PORT: '80' } }
  none: { image: 'openpolicy/stand-in:1' }
";
    let world = World::of(compose, "  api: {}\n  free: {}\n  none: {}").await;
    world.apply(&["api", "free"]).await;
    let names = ["api", "free", "none"].map(service);
    let begun = std::time::Instant::now();
    let used = loop {
        let used = world.runtime.usage(&names).await.expect("usage");
        // It takes its memory in its first moments.
        if used[0].memory > Some(Bytes(100 << 20)) && used[0].cpu.is_some() {
            break used;
        }
        assert!(begun.elapsed() < PATIENCE, "{used:?}");
    };
    assert_eq!(used[0].memory_limit, Some(Bytes(200 << 20)));
    assert_eq!(used[0].cpu_limit.map(|limit| limit.0), Some(500));
    assert!(used[0].memory < Some(Bytes(200 << 20)), "{used:?}");
    let cpu = used[0].cpu.expect("a figure").0;
    assert!((1..=900).contains(&cpu), "{cpu}");
    assert!(used[0].cpu_window > Duration::from_millis(500));
    assert!(used[0].network.is_some());
    assert_eq!((used[1].memory_limit, used[1].cpu_limit), (None, None));
    assert_eq!((used[2].memory, used[2].notes.len()), (None, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_inside_with_a_bounded_answer() {
    let compose = "services: { api: { image: 'redis:7', environment: { NAME: 'it' } } }";
    let world = World::of(compose, "  api: {}").await;
    let run = |command: &[&str], longest| {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        let runtime = &world.runtime;
        async move { runtime.exec(&service("api"), &command, longest).await }
    };
    let refused = run(&["sh"], PATIENCE).await.expect_err("nothing runs");
    assert!(refused.to_string().contains("no container"), "{refused}");
    world.apply(&["api"]).await;
    let ran = run(
        &["sh", "-c", "echo $NAME; echo aside >&2; exit 7"],
        PATIENCE,
    )
    .await;
    let ran = ran.expect("it runs");
    assert_eq!(ran.exit.code, Some(7));
    assert!(
        ran.text.contains("it\n") && ran.text.contains("aside\n"),
        "{ran:?}"
    );
    let much = "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done";
    let ran = run(&["sh", "-c", much], PATIENCE).await.expect("it runs");
    assert!(ran.is_cut);
    assert_eq!(ran.text.len(), 64 * 1024);
    let slow = run(&["sleep", "60"], Duration::from_millis(300)).await;
    assert!(matches!(slow, Err(Problem::TimedOut { .. })), "{slow:?}");
    let unknown = run(&["no-such-program"], PATIENCE).await;
    let told = match unknown {
        Err(problem) => problem.to_string(),
        Ok(output) => {
            assert_ne!(output.exit.code, Some(0));
            output.text
        }
    };
    assert!(told.contains("no-such-program"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_asked_to_end_and_ended() {
    let compose = "
services:
  db: { image: 'openpolicy/stand-in:1', environment: { PORT: '80' }, restart: always, volumes: ['data:/data'] }
  api: { image: 'openpolicy/stand-in:1', command: ['--ignore-sigterm'], environment: { PORT: '80' } }
volumes: { data: {} }
";
    let world = World::of(compose, "  db: {}\n  api: { needs: [db] }\n  gone: {}").await;
    world.apply(&["db", "api"]).await;
    let names = ["db", "api", "gone"].map(service);
    let stopped = world.runtime.stop(&names, Duration::from_secs(1)).await;
    let stopped = stopped.expect("stopped");
    assert!(
        matches!(&stopped[0].outcome, StoppedOutcome::Ended(exit) if exit.code == Some(0)),
        "{stopped:?}"
    );
    assert_eq!(stopped[1].outcome, StoppedOutcome::Killed);
    assert_eq!(stopped[2].outcome, StoppedOutcome::NotRunning);
    assert!(stopped[0].freed > Some(Bytes(0)), "{stopped:?}");
    let seen = world.seen("db").await;
    assert!(matches!(seen.state, ServiceState::Exited(_)), "{seen:?}");
    let again = world.runtime.stop(&names, Duration::from_secs(1)).await;
    assert_eq!(
        again.expect("nothing to do")[0].outcome,
        StoppedOutcome::NotRunning
    );
    let volumes = world.docker().run(&["volume", "ls", "-q"]);
    assert!(volumes.contains(&format!("{}_data", world.project)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_away_is_told_and_found_again() {
    let docker = tokio::task::spawn_blocking(|| {
        let docker = Docker::start(1);
        let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("platforms/stand-in.sh");
        let made = std::process::Command::new(script)
            .arg(super::engine::BINARY)
            .env("DOCKER_HOST", docker.host())
            .output();
        assert!(made.expect("bash").status.success());
        docker
    })
    .await
    .expect("an engine");
    let compose = "services: { api: { image: 'openpolicy/stand-in:1', environment: { PORT: '80' }, restart: always } }";
    let mut world = World::alone(compose, "  api: {}", docker).await;
    let target = world.runtime.target().await.expect("it answers");
    assert!(target.contains(&world.project), "{target}");
    world.apply(&["api"]).await;
    let desired = world.resolved(&["api"]).await;
    let before = world.captured("api").await;
    tokio::task::block_in_place(|| world.own_docker().stop());
    let seen = world.seen("api").await;
    assert!(
        matches!(&seen.state, ServiceState::Unknown(why) if why.contains("docker.sock")),
        "{seen:?}"
    );
    assert!(world.runtime.target().await.is_err());
    assert!(world.runtime.capture(&[service("api")]).await.is_err());
    let change = openpolicy_mcp::runtime::Change {
        desired: &desired,
        is_up: None,
        patience: PATIENCE,
        on_command: None,
    };
    assert!(world.runtime.apply(change).await.is_err());
    let back = world.runtime.restore(&before).await;
    assert!(back.map_or(true, |back| failure(&back).contains("docker.sock")));

    tokio::task::block_in_place(|| world.own_docker().start_again(1));
    let seen = world
        .wait_for("api", |seen| seen.state == ServiceState::Running)
        .await;
    assert_eq!(seen.configuration.as_ref(), Some(&desired[0].digest));
    assert_eq!(world.runtime.target().await.expect("it answers"), target);
}
