//! What the deployment tools say, and that they say it shortly.

use std::{path::Path, sync::Arc};

use openpolicy_mcp::{
    deploy::{
        Deployments, Event, Progress,
        book::Book,
        checks,
        event::ServiceEnd,
        gate::{ConditionReading, Met},
    },
    health::Watch,
    store::{Journal, Lock},
};
use serde_json::json;

use super::world::{World, watch_over};
use crate::support::{
    calls::{Told, call, try_call},
    scripted_platform, tokens,
};

/// A reference platform in the scripted world.
fn reference(name: &str, folder: &Path) -> (Arc<Watch>, Arc<World>) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("platforms")
        .join(name)
        .join("platform.yaml");
    let world = World::new();
    (watch_over(&file, &world, folder), world)
}

fn within(told: &Told, bound: usize) {
    let structured = serde_json::to_string(&told.fields).expect("JSON");
    let (text, structured) = (tokens(&told.text), tokens(&structured));
    assert!(
        text <= bound && structured <= bound,
        "{text} and {structured} of {bound}:\n{}",
        told.text
    );
}

#[tokio::test]
async fn the_plan_of_26_services_and_the_state_of_a_run_are_short() {
    let folder = tempfile::tempdir().expect("a folder");
    let (watch, _world) = reference("planned", folder.path());
    let context = scripted_platform::context(&watch);
    let plan = call(&context, "plan_deployment", json!({})).await;
    within(&plan, 1_500);
    let rows = plan.rows("phases");
    assert_eq!(rows.len(), 5, "{}", plan.text);
    let services: usize = rows
        .iter()
        .map(|row| {
            row["steps"]
                .as_str()
                .expect("steps")
                .split([',', '+', '>'])
                .count()
        })
        .sum();
    assert_eq!(services, 26, "{}", plan.text);
    for row in &rows {
        assert!(
            row["gate"]
                .as_str()
                .is_some_and(|gate| gate.contains("memory <")),
            "{row:?}"
        );
    }

    // A run in its second phase, as its journal has it.
    let deployments = Deployments::of(&watch).await.expect("deployments");
    let journal = Journal::open(&folder.path().join("journal.sqlite")).expect("a journal");
    let journal = Arc::new(journal);
    let digest = plan.fields["digest"].as_str().expect("a digest");
    let kept = deployments.kept(digest).await.expect("a plan").plan;
    checks_are_those_of_the_documents(&kept);
    let created = Event::Created {
        by: "an MCP client".into(),
        reason: None,
        awaits_approval: false,
    };
    let body = serde_json::to_string(&created).expect("JSON");
    journal
        .begin(kept.id, &kept.target, 0, &body, "running")
        .expect("a run");
    let book = Book::open(Arc::clone(&journal), 1).expect("a book");
    let write = |event| book.write(event).expect("it is written");
    write(Event::Driving {
        process: super::world::driver(),
        version: "0".into(),
    });
    for phase in 0..2 {
        write(Event::PhaseBegun { phase });
        for (step, services) in kept.phases[phase].steps.iter().enumerate() {
            let services = services.iter().map(|service| ServiceEnd {
                service: service.clone(),
                outcome: "started".into(),
                problem: None,
                live: None,
                image: None,
            });
            write(Event::StepEnded {
                phase,
                step,
                services: services.collect(),
            });
            write(Event::StepReady { phase, step });
        }
        write(Event::GateBegun { phase });
        if phase == 0 {
            write(Event::GatePassed {
                phase,
                readings: Vec::new(),
                baseline: Default::default(),
                promoted: None,
            });
            write(Event::PhaseEnded { phase });
        }
    }
    // What its driver sees at the gate.
    let waits = |condition: &str, reading: &str| ConditionReading {
        condition: condition.into(),
        met: Met::No,
        reading: reading.into(),
    };
    book.show(&Progress {
        at: jiff::Timestamp::now(),
        gate_of: Some(1),
        gate: vec![
            waits("all healthy", "13 of 14 (reporting-service down)"),
            waits("memory < 60%", "61.4%"),
            waits("mean response < 500ms", "612ms"),
        ],
        held: Some(std::time::Duration::from_secs(70)),
        healthy: 13,
        deployed: 14,
        memory: Some(61.4),
        ..Progress::default()
    });
    let lease = deployments.lease(&kept.target);
    let held = Lock::take(&lease, &lease.with_extension("json")).expect("the lease");
    let running = call(&context, "get_deployment", json!({"limit": 4})).await;
    assert_eq!(running.fields["state"], "running", "{}", running.text);
    assert!(running.text.contains("61.4%"), "{}", running.text);
    within(&running, 400);
    drop(held);
    let lost = call(&context, "get_deployment", json!({})).await;
    let mut found = Vec::new();
    for (name, told) in [
        ("plan_deployment", &plan),
        ("get_deployment", &running),
        ("get_deployment", &lost),
    ] {
        crate::answers::holds(name, &json!({}), told, 2_000, &mut found);
    }
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(lost.fields["state"], "interrupted");
}

#[tokio::test]
async fn what_is_asked_wrongly_is_answered_with_what_would_be_right() {
    let folder = tempfile::tempdir().expect("a folder");
    let (watch, world) = reference("planned", folder.path());
    let context = scripted_platform::context(&watch);
    for (tool, arguments, argument, code) in [
        (
            "plan_deployment",
            json!({"phases": ["infrastructur"]}),
            "phase",
            "not_found",
        ),
        (
            "plan_deployment",
            json!({"services": ["postgre"]}),
            "services",
            "not_found",
        ),
        (
            "plan_deployment",
            json!({"phases": ["1"], "through": "2"}),
            "through",
            "invalid_argument",
        ),
        (
            "get_deployment",
            json!({"run": "last"}),
            "run",
            "invalid_argument",
        ),
        ("get_deployment", json!({"run": 77}), "run", "not_found"),
        (
            "control_deployment",
            json!({"run": "77", "action": "pause"}),
            "run",
            "not_found",
        ),
        (
            "control_deployment",
            json!({"run": "1", "action": "explode"}),
            "action",
            "invalid_argument",
        ),
        (
            "roll_back",
            json!({"run": "1", "to": "2"}),
            "to",
            "invalid_argument",
        ),
        (
            "deploy_phase",
            json!({"digest": "latest"}),
            "digest",
            "invalid_argument",
        ),
    ] {
        let error = try_call(&context, tool, arguments.clone())
            .await
            .expect_err("it is wrong");
        let told = error.structured();
        assert_eq!(told["code"], code, "{tool} {arguments}: {told:?}");
        assert_eq!(told["argument"], argument, "{tool} {arguments}: {told:?}");
    }
    let near = try_call(
        &context,
        "plan_deployment",
        json!({"services": ["postgre"]}),
    )
    .await;
    assert!(
        near.expect_err("wrong")
            .did_you_mean
            .contains(&"postgresql".to_owned())
    );
    let nothing = try_call(&context, "roll_back", json!({}))
        .await
        .expect_err("nothing");
    assert_eq!(nothing.code.as_str(), "conflict");
    assert_eq!(world.things().changes, 0);
}

/// `platforms/README.md` says which line of a document is which check.
fn checks_are_those_of_the_documents(plan: &openpolicy_mcp::deploy::Plan) {
    let state = openpolicy_mcp::deploy::RunState::of(plan, &[]);
    let after = checks::postflight(plan, &state, &checks::Facts::default());
    let mut made: Vec<String> = plan
        .preflight
        .iter()
        .chain(&after)
        .map(|check| check.name.clone())
        .collect();
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/platforms/README.md");
    let text = std::fs::read_to_string(readme).expect("the README");
    let (_, list) = text.split_once("## Checklists").expect("its table");
    let (list, _) = list.split_once("\n## ").expect("the next heading");
    let mut told: Vec<String> = list
        .lines()
        .filter_map(|line| line.strip_suffix("` |")?.rsplit_once('`'))
        .map(|(_, check)| check.to_owned())
        .collect();
    made.sort();
    told.sort();
    assert_eq!(made, told);
}
