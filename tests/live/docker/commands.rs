//! Commands do not outlive who started them, and nothing runs that nobody wrote down.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::Mutex,
    time::{Duration, Instant},
};

use openpolicy_mcp::{
    platform::ServiceName,
    runtime::{
        Change, Problem, RunningCommand, Runtime as _, ServiceState, compose::Program, shim,
        values::AppliedOutcome,
    },
};

use super::{
    engine::{BINARY, compose_1, compose_2},
    world::{World, outcomes, service},
};
use crate::engines::PATIENCE;

/// Of this process: which command is done, is written here.
const CHILD: &str = "OPENPOLICY_TEST_CHILD";

fn is_there(command: &RunningCommand) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", command.pid)).unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().collect())
        .unwrap_or_default();
    fields.get(19) == Some(&command.started.to_string().as_str()) && fields[0] != "Z"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_written_down_before_it_acts() {
    let compose =
        "services: { api: { image: 'openpolicy/stand-in:1', environment: { PORT: '80' } } }";
    let world = World::of(compose, "  api: {}").await;
    let desired = world.resolved(&["api"]).await;
    let apply = async |on_command: openpolicy_mcp::runtime::OnCommand<'_>| {
        let change = Change {
            on_command: Some(on_command),
            ..Change::of(&desired, PATIENCE)
        };
        world.runtime.apply(change).await.expect("applied")
    };
    let refused = apply(&|_| Err(Problem::failed("journaling", "the disk is full"))).await;
    assert!(
        matches!(&refused[0].outcome, AppliedOutcome::Failed(why)
            if why.to_string().contains("the disk is full")),
        "{refused:?}"
    );
    assert_eq!(world.seen("api").await.state, ServiceState::Absent);

    let told = Mutex::new(Vec::new());
    let applied = apply(&|command| {
        assert!(is_there(command), "it waits");
        told.lock().expect("a lock").push(command.clone());
        Ok(())
    })
    .await;
    assert_eq!(outcomes(&applied), [&AppliedOutcome::Started]);
    let told = told.into_inner().expect("a lock");
    assert_eq!(told.len(), 1);
    assert!(told[0].what.contains("api"), "{told:?}");
    assert!(!is_there(&told[0]));
}

/// What `a_command_ends_with_who_started_it` starts once more, to be killed.
#[tokio::test(flavor = "multi_thread")]
async fn child_that_applies() {
    let Ok(place) = std::env::var(CHILD) else {
        return;
    };
    let place = Path::new(&place);
    let read = |name: &str| fs::read_to_string(place.join(name)).expect("a file");
    let desired = serde_json::from_str(&read("desired")).expect("JSON");
    let trusted = openpolicy_mcp::platform::TrustedDigests {
        everything: true,
        ..Default::default()
    };
    let variables = openpolicy_mcp::platform::Variables::of_process();
    let loaded = openpolicy_mcp::platform::load(&place.join("platform.yaml"), &variables, &trusted);
    let platform = std::sync::Arc::new(loaded.expect("a platform").platform);
    let state = openpolicy_mcp::store::StateFolder::at(&place.join("state")).expect("a folder");
    let runtime = openpolicy_mcp::runtime::compose::ComposeRuntime::of(platform, &state)
        .expect("a runtime")
        .with_engine(openpolicy_mcp::runtime::compose::Address {
            host: read("host"),
            certificates: None,
        })
        .with_compose(Program::at(read("compose").into()).await.expect("Compose"))
        .with_shim(Path::new(BINARY));
    let desired: Vec<openpolicy_mcp::runtime::Desired> = desired;
    let change = Change {
        on_command: Some(&|command| {
            fs::write(
                place.join("command.new"),
                serde_json::to_string(command).expect("JSON"),
            )
            .expect("a file");
            fs::rename(place.join("command.new"), place.join("command")).expect("a file");
            Ok(())
        }),
        ..Change::of(&desired, PATIENCE)
    };
    let _ = runtime.apply(change).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_with_who_started_it() {
    killed_in_the_middle(compose_2().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_compose_1_ends_with_who_started_it() {
    killed_in_the_middle(compose_1().await).await;
}

async fn killed_in_the_middle(program: Program) {
    let mut compose = "services:\n".to_owned();
    let names: Vec<String> = (0..12).map(|number| format!("s{number}")).collect();
    for name in &names {
        compose.push_str(&format!(
            "  {name}: {{ image: 'openpolicy/stand-in:1', environment: {{ PORT: '80', AS: '${{AS:-1}}' }} }}\n"
        ));
    }
    let services: Vec<String> = names.iter().map(|name| format!("  {name}: {{}}")).collect();
    let compose_path = program.path.display().to_string();
    let world = World::with(&compose, &services.join("\n"), "", program).await;
    world.write("compose", &compose_path);
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let every: Vec<ServiceName> = all.iter().map(|name| service(name)).collect();
    world.write("host", &world.docker().host());
    let count = |what: &str| {
        let filter = format!("label=com.docker.compose.project={}", world.project);
        let found = world
            .docker()
            .run(&["ps", "-a", "--filter", &filter, "--format", what]);
        let mut lines: Vec<String> = found.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    // From nothing, and while containers are being replaced; killed earlier and later.
    for (round, pause) in [0, 300, 800, 0, 150, 500].into_iter().enumerate() {
        world.write(".env", &format!("AS={}\n", round.saturating_sub(2)));
        let desired = world.resolved(&all).await;
        world.write("desired", &serde_json::to_string(&desired).expect("JSON"));
        let _ = fs::remove_file(world.folder.path().join("command"));
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "docker::commands::child_that_applies"])
            .env(CHILD, world.folder.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("this binary");
        let place = world.folder.path().join("command");
        let begun = Instant::now();
        while !place.exists() {
            assert!(begun.elapsed() < PATIENCE, "no command in round {round}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let command = fs::read_to_string(&place).expect("a file");
        let command: RunningCommand = serde_json::from_str(&command).expect("JSON");
        tokio::time::sleep(Duration::from_millis(pause)).await;
        child.kill().expect("killed");
        child.wait().expect("reaped");
        world
            .runtime
            .end_commands(std::slice::from_ref(&command))
            .await
            .expect("ended");
        assert!(!is_there(&command), "round {round}");
        // Nothing goes on behind the back of whoever looks now.
        let shape = count("{{.ID}} {{.Names}} {{.State}}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(
            count("{{.ID}} {{.Names}} {{.State}}"),
            shape,
            "round {round}"
        );
        // What was captured, and what is planned, both come out right from here.
        let applied = world.apply_these(&desired).await;
        for one in &applied {
            assert!(
                !matches!(
                    one.outcome,
                    AppliedOutcome::Failed(_) | AppliedOutcome::Waits(_)
                ),
                "round {round}: {one:?}"
            );
        }
        let names: Vec<String> = count("{{.Names}}");
        assert_eq!(names.len(), all.len(), "round {round}: {names:?}");
        let again = world.apply_these(&desired).await;
        assert!(
            again
                .iter()
                .all(|one| one.outcome == AppliedOutcome::Unchanged),
            "round {round}: {again:?}"
        );
        if round < 2 {
            let gone = world.runtime.stop(&every, Duration::from_secs(1)).await;
            gone.expect("stopped");
            for name in &all {
                world.docker().run(&["rm", "-f", &world.container(name)]);
            }
        }
    }
}

#[tokio::test]
async fn a_command_that_was_ended_takes_its_session_along_and_another_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let pid_file = folder.path().join("pid");
    let ordered = shim::Ordered {
        what: "a test".into(),
        program: "/bin/sh".into(),
        arguments: vec![
            "-c".into(),
            format!("sleep 600 & echo $! > {}; wait", pid_file.display()),
        ],
        folder: folder.path().to_owned(),
        environment: Vec::new(),
        longest: PATIENCE,
    };
    let told = Mutex::new(None);
    let on_command = |command: &RunningCommand| {
        *told.lock().expect("a lock") = Some(command.clone());
        Ok(())
    };
    let running = shim::run(Path::new(BINARY), ordered.clone(), Some(&on_command));
    let ending = async {
        let begun = Instant::now();
        let inner = loop {
            let pid = fs::read_to_string(&pid_file).unwrap_or_default();
            if let Ok(pid) = pid.trim().parse::<u32>() {
                break pid;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not run");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let command = told.lock().expect("a lock").clone().expect("told");
        // Another start, another boot: another process, which is left alone.
        for other in [
            RunningCommand {
                started: command.started - 1,
                ..command.clone()
            },
            RunningCommand {
                boot: "another".into(),
                ..command.clone()
            },
        ] {
            shim::end(&[other]).await.expect("nothing to do");
            assert!(is_there(&command));
        }
        shim::end(std::slice::from_ref(&command))
            .await
            .expect("ended");
        assert!(!Path::new(&format!("/proc/{inner}/exe")).exists());
        shim::end(&[command]).await.expect("nothing is left");
    };
    let (ended, ()) = tokio::join!(running, ending);
    assert!(!ended.expect("it ended").status.success());

    // A caller that waits no more.
    let quick = shim::Ordered {
        arguments: vec!["-c".into(), "sleep 600".into()],
        ..ordered
    };
    let on_command = |command: &RunningCommand| {
        *told.lock().expect("a lock") = Some(command.clone());
        Ok(())
    };
    let left = tokio::time::timeout(
        Duration::from_millis(300),
        shim::run(Path::new(BINARY), quick, Some(&on_command)),
    );
    assert!(left.await.is_err());
    let command = told.lock().expect("a lock").clone().expect("told");
    let begun = Instant::now();
    while is_there(&command) {
        assert!(begun.elapsed() < PATIENCE, "it goes on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
