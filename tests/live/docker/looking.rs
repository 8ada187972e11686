//! Logs, usage, commands inside, and an engine that is away.

use std::{fs, time::Duration};

use openpolicy_mcp::{
    platform::Bytes,
    runtime::{
        Change, LogQuery, Problem, Runtime as _, RuntimeHealth, ServiceState, Stream, Streams,
        compose::Address,
        values::{AppliedOutcome, StoppedOutcome},
    },
};

use super::{
    engine::{BINARY, Docker, compose_2},
    world::{World, failure, runtime, service},
};
use crate::{engines::PATIENCE, local::Authority};

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
    // Forty, and two of its start and end.
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
    let is_whole = texts[0].contains("3f2a0000") && texts[41].ends_with("done");
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
        async move {
            runtime
                .exec(&service("api"), &command, Streams::default(), longest)
                .await
        }
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
        docker.make_stand_in();
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
    let change = openpolicy_mcp::runtime::Change::of(&desired, PATIENCE);
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

/// An engine on another machine, as far as one machine can show it.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_behind_tls_is_reached_with_its_certificates() {
    let port = crate::engines::free_port();
    let (docker, folder) = tokio::task::spawn_blocking(move || {
        let authority = Authority::new();
        let docker = Docker::start_with(2, |folder| {
            let (certificate, key) = authority.certificate("127.0.0.1");
            let write = |name: &str, text: &str| {
                fs::write(folder.join(name), text).expect("a file");
                folder.join(name).display().to_string()
            };
            let server = [write("cert.pem", &certificate), write("key.pem", &key)];
            let root = write("ca.pem", &authority.pem());
            [
                "--tlsverify",
                "--tlscacert",
                &root,
                "--tlscert",
                &server[0],
                "--tlskey",
                &server[1],
                "--host",
                &format!("tcp://127.0.0.1:{port}"),
            ]
            .map(str::to_owned)
            .to_vec()
        });
        docker.make_stand_in();
        let folder = docker.folder.clone();
        (docker, folder)
    })
    .await
    .expect("an engine");
    let compose =
        "services: { api: { image: 'openpolicy/stand-in:1', environment: { PORT: '80' } } }";
    let world = World::alone(compose, "  api: {}", docker).await;
    let at = |certificates| Address {
        host: format!("tcp://127.0.0.1:{port}"),
        certificates,
    };
    let runtime = |address| async {
        let program = compose_2().await;
        let runtime = runtime(
            &world.platform,
            world.folder.path(),
            world.docker(),
            program,
        );
        runtime.with_engine(address)
    };
    let far = runtime(at(Some(folder))).await;
    let names = [service("api")];
    let desired = far.resolve(&names).await.expect("resolved");
    let change = Change::of(&desired, PATIENCE);
    let applied = far.apply(change).await.expect("applied");
    assert_eq!(applied[0].outcome, AppliedOutcome::Started);
    let seen = far.observe(&names).await.expect("observed");
    assert_eq!(seen[0].state, ServiceState::Running);
    let plain = runtime(at(None)).await;
    assert!(plain.target().await.is_err());
}

/// As a client asks, through the whole server.
#[tokio::test(flavor = "multi_thread")]
async fn tools_show_containers_and_their_health() {
    let compose = "
services:
  api:
    image: openpolicy/stand-in:1
    environment: { PORT: '8000', PASSWORD: 'hunter2hunter2' }
    mem_limit: 64m
    healthcheck: { test: ['CMD', 'curl', '-fsS', 'http://localhost:8000/health'], interval: 1s, retries: 1 }
  broken:
    image: openpolicy/stand-in:1
    environment: { PORT: '8000' }
    healthcheck: { test: ['CMD', 'curl', '-fsS', 'http://localhost:1/'], interval: 1s, retries: 1 }
";
    let world = World::of(compose, "  api: {}\n  broken: {}").await;
    world.apply(&["api", "broken"]).await;
    for (name, health) in [
        ("api", RuntimeHealth::Healthy),
        ("broken", RuntimeHealth::Unhealthy),
    ] {
        world
            .wait_for(name, |seen| seen.health == Some(health))
            .await;
    }
    let file = world.folder.path().join("platform.yaml");
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(BINARY)
            .args(arguments)
            .env("DOCKER_HOST", world.docker().host())
            .env("OPENPOLICY_STATE", world.folder.path().join("own"))
            .env("OPENPOLICY_PLATFORM", &file)
            .output()
            .expect("our binary");
        let both = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&both).into_owned()
    };
    let call = |tool: &str, arguments: &str| run(&["tools", "call", "--demo", tool, arguments]);
    let refused = call("get_resources", "{}");
    assert!(refused.contains("openpolicy-mcp trust"), "{refused}");
    let path = file.display().to_string();
    let shown = run(&["trust", "--show", &path]);
    let digest = shown.lines().find_map(|line| line.strip_prefix("digest: "));
    run(&["trust", "--digest", digest.expect("a digest"), &path]);

    let resources = call("get_resources", "{}");
    assert!(resources.contains("services=2"), "{resources}");
    assert!(resources.contains("|64Mi|"), "{resources}");
    let service = call("get_service", r#"{"service": "broken"}"#);
    for part in [
        "kind=compose",
        "state=running",
        "health=unhealthy",
        "openpolicy/stand-in:1 (sha256:",
        "its health check says",
    ] {
        assert!(service.contains(part), "{part}: {service}");
    }
    let health = call("check_health", "{}");
    assert!(health.contains("its own health check fails"), "{health}");
    assert!(health.contains("api|up"), "{health}");
    let logs = call("get_logs", r#"{"services": ["api"]}"#);
    assert!(logs.contains("listening on"), "{logs}");
    for answer in [resources, service, health, logs] {
        assert!(!answer.contains("hunter2"), "{answer}");
    }
}
