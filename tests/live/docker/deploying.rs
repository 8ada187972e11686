//! Deployments of containers through the MCP tools: from nothing to the end, and back.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
};

use serde_json::json;

use super::{
    client::{Site, ask, begin, driver, ends, signal, until, waiting::until as wait_until},
    engine::{self, BINARY, Docker},
    world::World,
};
use crate::engines::PATIENCE;

/// Takes a project away when its test ends, however it ends.
struct Project<'a> {
    docker: &'a Docker,
    name: &'static str,
}

impl Project<'_> {
    fn container(&self, service: &str) -> String {
        let filters = [
            format!("label=com.docker.compose.project={}", self.name),
            format!("label=com.docker.compose.service={service}"),
        ];
        self.docker.run(&[
            "ps",
            "-aq",
            "--no-trunc",
            "--filter",
            &filters[0],
            "--filter",
            &filters[1],
        ])
    }

    fn image(&self, service: &str) -> String {
        let container = self.container(service);
        self.docker
            .run(&["inspect", "--format", "{{.Image}}", &container])
    }
}

impl Drop for Project<'_> {
    fn drop(&mut self) {
        World::clear(self.docker, self.name);
    }
}

/// A stand-in image that answers 500 to everything.
fn broken_image(docker: &Docker) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/platforms/stand-in.sh");
    let made = Command::new(script)
        .args([
            BINARY,
            "openpolicy/stand-in:broken",
            "CMD [\"--fail\",\"100%\"]",
        ])
        .env("DOCKER_HOST", docker.host())
        .output()
        .expect("bash");
    assert!(made.status.success(), "{made:?}");
}

/// Tells a stand-in what to do.
fn control(address: &str, order: &str) {
    let mut stream = TcpStream::connect(address).expect("a stand-in");
    let request = format!(
        "POST /control HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{order}",
        order.len()
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn planned_from_nothing_then_a_broken_image_and_a_memory_hog_are_taken_back() {
    let docker = engine::shared();
    broken_image(docker);
    let project = Project {
        docker,
        name: "openpolicy-planned",
    };
    let address = "127.77.1.1";
    let site = Site::reference("planned", address, docker);
    let mut server = site.server();
    let plan = ask(&mut server, "plan_deployment", json!({}));
    let rows = plan["phases"]["rows"].as_array().expect("phases").clone();
    assert_eq!(rows.len(), 5, "{plan}");
    assert!(
        rows.iter().all(|row| row[2].to_string().contains("create")),
        "{plan}"
    );
    let run = begin(&mut server, json!({}));
    let seen = ends(&mut server, &run, "succeeded");
    let timeline = seen["timeline"].to_string();
    assert!(
        timeline.contains("gate passed (all healthy: 26 of 26; memory < 80%:"),
        "{seen:#}"
    );
    assert!(timeline.contains("FULLY OPERATIONAL"), "{seen:#}");

    // Phase 3 with a broken image of one service: it goes back by image id, nothing else moves.
    let before = project.image("monitoring-service");
    let untouched = project.container("postgresql");
    site.variables(&[
        ("PUBLISH_ADDRESS", address),
        ("MONITORING_SERVICE_IMAGE", "openpolicy/stand-in:broken"),
    ]);
    site.change("platform.yaml", |text| {
        text.replace("memory_below: 70% }", "memory_below: 70%, timeout: 40s }")
    });
    let mut server = site.server();
    let plan = ask(
        &mut server,
        "plan_deployment",
        json!({"phases": ["operational"]}),
    );
    let row = plan["phases"]["rows"][0][2].as_str().expect("changes");
    assert_eq!(row, "replace monitoring-service; keep 5", "{plan:#}");
    assert!(
        plan["notes"]
            .to_string()
            .contains("openpolicy/stand-in:broken"),
        "{plan:#}"
    );
    let run = begin(&mut server, json!({"phases": ["operational"]}));
    let seen = ends(&mut server, &run, "rolled_back");
    assert!(
        seen["reason"].to_string().contains("monitoring-service is"),
        "{seen:#}"
    );
    assert_eq!(project.image("monitoring-service"), before);
    assert_eq!(project.container("postgresql"), untouched);
    let health = ask(&mut server, "check_health", json!({"refresh": true}));
    assert_eq!(health["counts"], json!({"up": 26}), "{health:#}");

    // What no rollback takes back, and what is not here, is told before anything is done.
    site.variables(&[
        ("PUBLISH_ADDRESS", address),
        ("POSTGRES_IMAGE", "redis:7"),
        ("WEB_IMAGE", "openpolicy/stand-in:gone"),
    ]);
    let mut server = site.server();
    let plan = ask(&mut server, "plan_deployment", json!({}));
    let notes = plan["notes"].to_string();
    // What a rollback of ours left is no work of somebody's hands.
    assert!(!notes.contains("changed by hand"), "{plan:#}");
    assert!(
        notes.contains("postgresql keeps data and gets another image"),
        "{plan:#}"
    );
    let checks = plan["checks"].to_string();
    assert!(checks.contains("not on this machine yet: web"), "{plan:#}");
    assert!(checks.contains("rollback ready"), "{plan:#}");

    // A hog outside the phase. The capacity is scaled down for this test: the services use about
    // 110Mi, and the hog 500Mi more.
    site.variables(&[("PUBLISH_ADDRESS", address)]);
    site.change("platform.yaml", |text| {
        text.replace("capacity: { memory: 8Gi", "capacity: { memory: 640Mi")
            .replace(
                "memory_below: 80% }",
                "memory_below: 80%, stable_for: 5m, timeout: 8m }",
            )
    });
    site.change("compose.yaml", |text| {
        text.replace("PORT: \"8000\"", "PORT: \"8000\", EDITION: \"2\"")
    });
    let before = project.container("mobile-api");
    let mut server = site.server();
    let run = begin(&mut server, json!({"phases": ["utility"]}));
    until(&mut server, &run, |seen| {
        seen["phases"]["rows"][0][1] == "at its gate"
    });
    assert_ne!(project.container("mobile-api"), before);
    control(&format!("{address}:9016"), r#"{"memory": "500Mi"}"#);
    let seen = ends(&mut server, &run, "rolled_back");
    let reason = seen["reason"].as_str().expect("a reason");
    assert!(
        reason.starts_with("trigger memory > 85% for 30s (is "),
        "{reason}"
    );
    control(&format!("{address}:9016"), r#"{"memory": "0Mi"}"#);
}

#[test]
fn v4_from_nothing_to_the_end() {
    let docker = engine::shared();
    let _project = Project {
        docker,
        name: "openpolicy-v4",
    };
    let site = Site::reference("v4", "127.77.1.2", docker);
    let mut server = site.server();
    let run = begin(&mut server, json!({}));
    let seen = ends(&mut server, &run, "succeeded");
    assert!(
        seen["timeline"].to_string().contains("32 of 32"),
        "{seen:#}"
    );
}

#[test]
fn the_sql_of_metadata_is_not_run_twice() {
    let docker = engine::shared();
    let _project = Project {
        docker,
        name: "mergev2",
    };
    let site = Site::reference("metadata", "127.77.1.3", docker);
    let mut server = site.server();
    let plan = ask(
        &mut server,
        "plan_deployment",
        json!({"through": "metadata"}),
    );
    let way_back = plan["checks"].to_string();
    assert!(
        way_back.contains("hooks, which are not taken back"),
        "{plan:#}"
    );
    let run = begin(&mut server, json!({"through": "metadata"}));
    let seen = ends(&mut server, &run, "succeeded");
    let timeline = seen["timeline"].to_string();
    assert!(
        timeline.contains("psql in db had been done before"),
        "{seen:#}"
    );
}

const TWO: &str = "services:\n  \
    db: { image: 'openpolicy/stand-in:1', command: [--starts-in, 3s], environment: { PORT: '80' }, ports: ['ADDRESS:18001:80'] }\n  \
    api: { image: 'openpolicy/stand-in:1', environment: { PORT: '80' }, ports: ['ADDRESS:18002:80'] }\n";

/// Two services in two phases.
fn two(project: &str, address: &str, docker: &Docker, more: &str) -> Site {
    let folder = tempfile::tempdir().expect("a folder");
    let compose = TWO.replace("ADDRESS", address);
    std::fs::write(folder.path().join("compose.yaml"), compose).expect("a file");
    let probe = |port: u16| {
        format!(
            "{{ probe: {{ http: \"http://{address}:{port}/health\", interval: 1s, timeout: 2s, \
             retries: 2, start_period: 20s }} }}"
        )
    };
    let text = format!(
        "platform: two\nruntime: {{ compose: {{ files: [compose.yaml], project: {project} }} }}\n\
         services:\n  db: {}\n  api: {}\nphases:\n\
         \x20 - {{ name: base, steps: [[db]], gate: {{ healthy: all, stable_for: 2s, timeout: 60s }} }}\n\
         \x20 - {{ name: apps, steps: [[api]], gate: {{ healthy: all, stable_for: 5s, timeout: 90s }} }}\n{more}",
        probe(18001),
        probe(18002),
    );
    std::fs::write(folder.path().join("platform.yaml"), text).expect("a file");
    Site::at(folder, docker)
}

#[test]
fn nothing_of_a_killed_driver_goes_on_and_the_run_is_gone_on_with() {
    let docker = engine::shared();
    let project = Project {
        docker,
        name: "two-killed",
    };
    let site = two(project.name, "127.77.1.4", docker, "");
    let mut server = site.server();
    let run = begin(&mut server, json!({}));
    let seen = until(&mut server, &run, |seen| {
        seen["timeline"].to_string().contains("base: begun")
    });
    signal(driver(&seen), "KILL");
    until(&mut server, &run, |seen| seen["state"] == "interrupted");
    let ups = || {
        let listed = Command::new("ps")
            .args(["-eo", "args"])
            .output()
            .expect("ps");
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        listed
            .lines()
            .filter(|line| line.contains("two-killed") && line.contains(" up "))
            .count()
    };
    wait_until("the command ends", PATIENCE, ups, |ups| *ups == 0);
    ask(
        &mut server,
        "control_deployment",
        json!({"run": run, "action": "resume"}),
    );
    ends(&mut server, &run, "succeeded");
    // By hand, past the deployment: the next plan says so.
    let container = project.container("api");
    docker.run(&[
        "update",
        "--memory",
        "200m",
        "--memory-swap",
        "400m",
        &container,
    ]);
    let plan = ask(&mut server, "plan_deployment", json!({}));
    assert!(plan.to_string().contains("changed by hand"), "{plan:#}");
}

#[test]
fn an_engine_that_goes_and_comes_back_holds_a_run_and_does_not_end_it() {
    let mut docker = Docker::start(7);
    docker.make_stand_in();
    let site = two("two-away", "127.77.1.5", &docker, "");
    // The engine is gone before the gate has held.
    site.change("platform.yaml", |text| {
        text.replace("stable_for: 5s", "stable_for: 30s")
    });
    let mut server = site.server();
    let run = begin(&mut server, json!({}));
    until(&mut server, &run, |seen| {
        seen["phases"]["rows"][1][1] == "at its gate"
    });
    docker.stop();
    let plan = ask(&mut server, "plan_deployment", json!({}));
    assert_eq!(plan["code"], "unavailable", "{plan:#}");
    let seen = ask(&mut server, "get_deployment", json!({"run": run}));
    assert_eq!(seen["state"], "running", "{seen:#}");
    docker.start_again(7);
    // Containers without a restart policy stay down with their engine: the gate says so, and what
    // was there before comes back.
    let seen = ends(&mut server, &run, "rolled_back");
    assert!(seen["reason"].to_string().contains("db is"), "{seen:#}");
}

#[test]
fn over_stdio_as_process_1_of_a_container_nothing_is_begun() {
    let docker = engine::shared();
    let site = two("two-of-one", "127.77.1.6", docker, "");
    let mut server = site.server_as_process_1();
    let plan = ask(&mut server, "plan_deployment", json!({}));
    let refused = ask(
        &mut server,
        "deploy_phase",
        json!({"digest": plan["digest"]}),
    );
    assert_eq!(refused["code"], "unavailable", "{plan:#} {refused:#}");
    assert!(
        refused["next_step"].to_string().contains("serve --http"),
        "{refused:#}"
    );
    let history = ask(&mut server, "get_deployment", json!({"history": true}));
    assert_eq!(history["total"], 0, "{history:#}");
}

#[test]
fn a_database_is_dumped_before_its_service_is_replaced_and_can_be_put_back() {
    let docker = engine::shared();
    let project = Project {
        docker,
        name: "one-database",
    };
    let folder = tempfile::tempdir().expect("a folder");
    let compose = "services:\n  db: { image: 'postgres:15', volumes: ['data:/var/lib/postgresql/data'], \
         environment: { POSTGRES_USER: openpolicy, POSTGRES_PASSWORD: a, POSTGRES_DB: openpolicy }, \
         healthcheck: { test: [CMD, pg_isready, -U, openpolicy], interval: 1s } }\nvolumes: { data: {} }\n";
    std::fs::write(folder.path().join("compose.yaml"), compose).expect("a file");
    std::fs::write(
        folder.path().join("platform.yaml"),
        "platform: one\nruntime: { compose: { files: [compose.yaml], project: one-database } }\n\
         services: { db: {} }\n\
         backup: { before_run: true, databases: [{ service: db, database: openpolicy, user: openpolicy }] }\n\
         phases: [{ name: base, steps: [[db]], gate: { healthy: all, stable_for: 1s, timeout: 60s } }]\n",
    )
    .expect("a file");
    let site = Site::at(folder, docker);
    let mut server = site.server();
    let run = begin(&mut server, json!({}));
    ends(&mut server, &run, "succeeded");
    let sql = |text: &str| {
        let container = project.container("db");
        docker.run(&["exec", &container, "psql", "-U", "openpolicy", "-tAc", text])
    };
    sql("CREATE TABLE bills AS SELECT generate_series(1, 1000) AS number");
    site.change("compose.yaml", |text| {
        text.replace("POSTGRES_DB:", "EDITION: '2', POSTGRES_DB:")
    });
    let mut server = site.server();
    let run = begin(&mut server, json!({}));
    let seen = ends(&mut server, &run, "succeeded");
    let timeline = seen["timeline"].to_string();
    assert!(timeline.contains("made and read back ("), "{seen:#}");
    sql("DROP TABLE bills");

    let (is_fine, listed) = site.command(&["backup", "--list"]);
    assert!(is_fine && listed.contains("before run 2"), "{listed}");
    let name = listed.split_whitespace().next().expect("a name").to_owned();
    let (is_fine, said) = site.command(&["restore", &name, "--yes"]);
    assert!(is_fine, "{said}");
    assert_eq!(sql("SELECT count(*) FROM bills"), "1000");
    // By hand, too; and a file that was changed is not put back.
    let (is_fine, said) = site.command(&["backup"]);
    assert!(is_fine && said.contains("openpolicy in db"), "{said}");
    let file = walk(site.folder.path(), &name).expect("the dump");
    let mut bytes = std::fs::read(&file).expect("a dump");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&file, bytes).expect("a file");
    let (is_fine, said) = site.command(&["restore", &name, "--yes"]);
    assert!(
        !is_fine && said.contains("is not what was verified"),
        "{said}"
    );
    assert_eq!(sql("SELECT count(*) FROM bills"), "1000");
}

/// The file of this name somewhere below a folder.
fn walk(folder: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = walk(&path, name) {
                return Some(found);
            }
        } else if path.file_name().is_some_and(|own| own == name) {
            return Some(path);
        }
    }
    None
}
