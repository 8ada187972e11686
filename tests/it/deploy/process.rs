//! Deployments of real processes by the real binary, over MCP: clients that go, drivers that are
//! killed, files that change, two who want the same.

use std::{
    fmt::Write as _,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{
    runs::{self, begun, driver, planned, signal},
    server::{Server, trust},
    waiting,
};

/// A platform of stand-ins in a folder of its own, whose processes end with it.
pub(super) struct Place {
    folder: tempfile::TempDir,
    ports: Vec<u16>,
}

const SERVICES: [&str; 4] = ["db", "cache", "api", "web"];

impl Place {
    /// `arguments`: more arguments of stand-ins, by service.
    pub(super) fn new(arguments: &[(&str, &str)], more: &str) -> Self {
        let held: Vec<TcpListener> = SERVICES
            .iter()
            .map(|_| TcpListener::bind("127.0.0.1:0").expect("a port"))
            .collect();
        let ports = held
            .iter()
            .map(|one| one.local_addr().expect("bound").port())
            .collect();
        let place = Self {
            folder: tempfile::tempdir().expect("a folder"),
            ports,
        };
        place.write(arguments, more);
        place
    }

    fn write(&self, arguments: &[(&str, &str)], more: &str) {
        let mut file = String::from(
            "platform: tiny\ncapacity: { memory: 4Gi, cpu: 4 }\nruntime: { process: {} }\nservices:\n",
        );
        let needs = |name: &str| match name {
            "api" => "[db, cache]",
            "web" => "[api]",
            _ => "[]",
        };
        for (name, port) in SERVICES.iter().zip(&self.ports) {
            let more: String = arguments
                .iter()
                .filter(|(service, _)| service == name)
                .map(|(_, argument)| format!(", {argument}"))
                .collect();
            writeln!(
                file,
                "  {name}: {{ needs: {}, command: [openpolicy-mcp, stand-in, --name, {name}, \
                 --port, \"{port}\"{more}], probe: {{ http: \"http://127.0.0.1:{port}/health\", \
                 interval: 1s, timeout: 2s, retries: 2, start_period: 20s }} }}",
                needs(name)
            )
            .expect("a text");
        }
        file.push_str(
            "phases:\n\
             \x20 - { name: base, steps: [[db, cache]], gate: { healthy: all, stable_for: 2s, timeout: 30s } }\n\
             \x20 - { name: apps, steps: [[api], [web]], gate: { healthy: all, stable_for: 1s, timeout: 15s } }\n",
        );
        file.push_str(more);
        std::fs::write(self.file(), file).expect("a file");
        self.trust();
    }

    pub(super) fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("platform.yaml")
    }

    pub(super) fn state(&self) -> String {
        self.folder.path().join("state").display().to_string()
    }

    fn trust(&self) {
        let file = self.file().display().to_string();
        let state = self.state();
        trust(&file, &[("OPENPOLICY_STATE", &state)]);
    }

    /// Changes the file as it was written, and trusts it.
    pub(super) fn change(&self, change: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(self.file()).expect("a file");
        std::fs::write(self.file(), change(text)).expect("a file");
        self.trust();
    }

    pub(super) fn server(&self) -> Server {
        let mut server = self.unmet();
        server.handshake("2025-06-18");
        server
    }

    /// One over stdio that no client has shaken hands with.
    pub(super) fn unmet(&self) -> Server {
        self.served(&[])
    }

    /// One over HTTP, and where it listens.
    pub(super) fn http(&self, more: &[&str]) -> (Server, SocketAddr) {
        let mut server = self.served(&[&["--http", "127.0.0.1:0"], more].concat());
        let address = server.listens();
        (server, address)
    }

    fn served(&self, more: &[&str]) -> Server {
        let (file, state) = (self.file().display().to_string(), self.state());
        let all = [
            &[
                "serve",
                "--platform",
                &file,
                "--state",
                &state,
                "--toolsets",
                "all",
            ],
            more,
        ];
        Server::start(&all.concat(), &[])
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Drivers first, then keepers, then what they keep: each has this folder in its command
        // line, its environment or its log.
        let folder = self.folder.path().display().to_string();
        for process in processes() {
            if process.holds(&folder) {
                kill(process.pid);
            }
        }
        for process in processes() {
            let ports = self.ports.iter();
            let is_ours = ports
                .map(|port| format!("--port {port}"))
                .any(|argument| process.line.contains(&argument));
            if is_ours {
                kill(process.pid);
            }
        }
    }
}

struct Process {
    pid: u32,
    line: String,
}

impl Process {
    /// Whether one of its open files lies in a folder.
    fn holds(&self, folder: &str) -> bool {
        let Ok(open) = std::fs::read_dir(format!("/proc/{}/fd", self.pid)) else {
            return false;
        };
        self.pid != std::process::id()
            && open.flatten().any(|entry| {
                std::fs::read_link(entry.path())
                    .is_ok_and(|path| path.starts_with(Path::new(folder)))
            })
    }
}

fn processes() -> Vec<Process> {
    let all = std::fs::read_dir("/proc").expect("/proc");
    all.flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            Some(Process { pid, line })
        })
        .collect()
}

fn kill(pid: u32) {
    // It may be gone by now.
    let _ = Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .output();
}

/// Longer than any run here takes.
const PATIENCE: Duration = Duration::from_secs(90);

fn until(server: &mut Server, run: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
    runs::until(server, run, PATIENCE, wanted)
}

fn is(state: &'static str) -> impl Fn(&Value) -> bool {
    move |seen| seen["state"] == state
}

/// A run of the whole platform that waits for a slow database, its cache started.
fn in_the_middle(server: &mut Server) -> (Value, Value) {
    let digest = planned(server, json!({}));
    let run = begun(server, &digest);
    let seen = until(server, &run, |seen| {
        seen["timeline"].to_string().contains("cache started")
    });
    (run, seen)
}

#[test]
fn a_run_goes_on_when_its_client_and_its_server_are_gone() {
    let place = Place::new(&[], "");
    let mut first = place.server();
    let digest = planned(&mut first, json!({}));
    let run = begun(&mut first, &digest);
    first.signal("-KILL");
    drop(first);
    let mut second = place.server();
    let seen = until(&mut second, &run, is("succeeded"));
    assert_eq!(
        seen["checks_passed"].as_u64().map(|passed| passed >= 4),
        Some(true)
    );
    let health = second.told("check_health", json!({}));
    assert_eq!(health["counts"], json!({"up": 4}), "{health}");
    // The same digest is the same run, also when it is over; a new plan is a new run.
    let again = second.told("deploy_phase", json!({"digest": digest}));
    assert_eq!(
        (&again["run"], &again["is_earlier"]),
        (&run, &json!(true)),
        "{again}"
    );
    let plan = second.told("plan_deployment", json!({}));
    assert_eq!(plan["phases"]["rows"][0][2], "keep all 2", "{plan}");
    let next = begun(&mut second, plan["digest"].as_str().expect("a digest"));
    assert_ne!(next, run);
    until(&mut second, &next, is("succeeded"));
    // What was not there goes back to not being there.
    let back = second.told("roll_back", json!({"run": run}));
    assert_eq!(
        back["would_take_back"]["rows"].as_array().map(Vec::len),
        Some(4),
        "{back}"
    );
    let rows = back["would_take_back"]["rows"].to_string();
    assert!(rows.contains("not there"), "{rows}");
    let back = begun(&mut second, back["digest"].as_str().expect("a digest"));
    until(&mut second, &back, is("rolled_back"));
    let health = second.told("check_health", json!({"refresh": true}));
    assert_eq!(health["counts"]["up"], Value::Null, "{health}");
    let prompts = second.ask(7, "prompts/list", json!({})).to_string();
    assert!(prompts.contains("deploy_next_phase") && prompts.contains("onboard_to_platform"));
    for (uri, holds) in [
        (format!("openpolicy://run/{run}"), "succeeded"),
        ("openpolicy://service/db".to_owned(), "needed_by"),
        ("openpolicy://platform".to_owned(), "phases"),
    ] {
        let read = second.ask(8, "resources/read", json!({"uri": uri}));
        let text = read["result"]["contents"][0]["text"].as_str();
        assert!(text.is_some_and(|text| text.contains(holds)), "{read}");
    }
    let reference = json!({"type": "ref/resource", "uri": "openpolicy://service/{service}"});
    let typed = json!({"ref": reference, "argument": {"name": "service", "value": "d"}});
    let completed = second.ask(9, "completion/complete", typed);
    assert_eq!(
        completed["result"]["completion"]["values"],
        json!(["db"]),
        "{completed}"
    );
    let history = second.told("get_deployment", json!({"history": true}));
    assert_eq!(history["total"], 3, "{history}");
}

#[test]
fn a_driver_that_is_killed_leaves_an_interrupted_run_that_goes_on_when_told() {
    let place = Place::new(&[("db", "--starts-in, 4s")], "");
    let mut server = place.server();
    let (run, seen) = in_the_middle(&mut server);
    signal(driver(&seen), "KILL");
    let seen = until(&mut server, &run, is("interrupted"));
    let next = seen["next_step"].as_str().expect("a next step");
    assert!(next.contains("resume") && next.contains("accept"), "{next}");
    // Nobody else begins meanwhile.
    let other = planned(&mut server, json!({"phases": ["base"]}));
    let refused = server.told("deploy_phase", json!({"digest": other}));
    assert_eq!(refused["code"], "conflict", "{refused}");
    assert!(
        refused["message"]
            .to_string()
            .contains(&format!("run {run}")),
        "{refused}"
    );
    let decided = json!({"run": run, "action": "resume", "reason": "the machine is back"});
    let decided = server.told("control_deployment", decided);
    assert_eq!(decided["state"], "running", "{decided}");
    let seen = until(&mut server, &run, is("succeeded"));
    assert!(
        seen["timeline"].to_string().contains("the machine is back"),
        "{seen}"
    );
    // What had been started was not started again.
    let service = server.told("get_service", json!({"service": "cache"}));
    assert!(!service.to_string().contains("restarts"), "{service}");
}

#[test]
fn a_service_that_never_becomes_healthy_is_taken_back_to_what_ran_before() {
    let place = Place::new(&[], "");
    let mut server = place.server();
    let digest = planned(&mut server, json!({}));
    let run = begun(&mut server, &digest);
    until(&mut server, &run, is("succeeded"));
    drop(server);
    place.write(&[("api", "--fail, 100%")], "");
    let mut server = place.server();
    let plan = server.told("plan_deployment", json!({"phases": ["apps"]}));
    assert_eq!(
        plan["phases"]["rows"][0][2], "replace api; keep 1",
        "{plan}"
    );
    let run = begun(&mut server, plan["digest"].as_str().expect("a digest"));
    let seen = until(&mut server, &run, is("rolled_back"));
    let reason = seen["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("api is") && reason.contains("15s"),
        "{reason}"
    );
    let health = server.told("check_health", json!({"refresh": true}));
    assert_eq!(health["counts"], json!({"up": 4}), "{health}");
}

#[test]
fn a_plan_that_does_not_fit_any_more_is_refused_and_changes_nothing() {
    let place = Place::new(&[], "");
    let mut server = place.server();
    let digest = planned(&mut server, json!({}));
    place.write(&[("db", "--log-lines, \"3\"")], "");
    drop(server);
    let mut server = place.server();
    let refused = server.told("deploy_phase", json!({"digest": digest}));
    assert_eq!(refused["code"], "stale_plan", "{refused}");
    assert!(
        refused["message"]
            .to_string()
            .contains("db has another configuration"),
        "{refused}"
    );
    for (digest, code) in [("7", "invalid_argument"), ("99-0123456789ab", "not_found")] {
        let refused = server.told("deploy_phase", json!({"digest": digest}));
        assert_eq!(
            (&refused["code"], &refused["argument"]),
            (&json!(code), &json!("digest"))
        );
    }
    let none = server.told("get_deployment", json!({}));
    assert_eq!(none["code"], "not_found", "{none}");
    let health = server.told("check_health", json!({"refresh": true}));
    assert_eq!(health["counts"]["up"], Value::Null, "{health}");
}

#[test]
fn a_file_that_is_not_trusted_deploys_nothing() {
    let place = Place::new(&[], "");
    let file = place.file();
    let text = std::fs::read_to_string(&file).expect("a file");
    std::fs::write(&file, format!("{text}# another\n")).expect("a file");
    let mut server = place.server();
    let refused = server.told("plan_deployment", json!({}));
    assert_eq!(refused["code"], "forbidden", "{refused}");
    assert!(
        refused.to_string().contains("openpolicy-mcp trust"),
        "{refused}"
    );
}

#[test]
fn a_driver_that_is_asked_to_end_finishes_its_action_and_says_so() {
    let place = Place::new(&[("db", "--starts-in, 5s")], "");
    let mut server = place.server();
    let (run, seen) = in_the_middle(&mut server);
    signal(driver(&seen), "TERM");
    let seen = until(&mut server, &run, is("interrupted"));
    assert!(
        seen["timeline"].to_string().contains("asked to end"),
        "{seen}"
    );
    let aborted = json!({"run": run, "action": "abort", "reason": "not today"});
    server.call(1, "control_deployment", aborted);
    let seen = until(&mut server, &run, is("rolled_back"));
    assert_eq!(seen["taken_back"], "2 of 2", "{seen}");
}

#[test]
fn in_production_no_tool_begins_or_goes_on_with_anything() {
    let place = Place::new(&[], "environment: production\n");
    let mut server = place.server();
    let plan = server.told("plan_deployment", json!({}));
    assert_eq!(plan["needs_approval"], true, "{plan}");
    let run = begun(&mut server, plan["digest"].as_str().expect("a digest"));
    let seen = server.told("get_deployment", json!({"run": run}));
    assert_eq!(seen["state"], "awaiting_approval", "{seen}");
    assert!(
        seen["next_step"]
            .to_string()
            .contains("openpolicy-mcp approve"),
        "{seen}"
    );
    for action in ["resume", "promote", "accept"] {
        let refused = json!({"run": run, "action": action});
        let refused = server.told("control_deployment", refused);
        assert_eq!(refused["code"], "needs_approval", "{action}: {refused}");
    }
    // Lowering the environment in the file does not help.
    drop(server);
    place.write(&[], "");
    let mut server = place.server();
    let plan = server.told("plan_deployment", json!({}));
    assert_eq!(plan["needs_approval"], true, "{plan}");
}

/// The demo's catalog has failing tests on its tables, and no other tool can hold a deployment for
/// that.
#[test]
fn bad_data_holds_a_gate_until_a_person_decides() {
    let place = Place::new(&[], "");
    place.change(|text| {
        text.replace("  db: { ", "  db: { datasets: [openpolicy_pg], ")
            .replace(
                "gate: { healthy: all, stable_for: 2s, timeout: 30s } }",
                "on_failure: pause, gate: { healthy: all, stable_for: 1s, timeout: 8s, \
                 catalog: { tests_passing_above: 99% } } }",
            )
    });
    let (file, state) = (place.file().display().to_string(), place.state());
    let arguments = ["demo", "--platform", &file, "--state", &state];
    let mut server = Server::start(&arguments, &[]);
    server.handshake("2025-06-18");
    let digest = planned(&mut server, json!({"phases": ["base"]}));
    let run = begun(&mut server, &digest);
    let seen = until(&mut server, &run, is("paused"));
    let reason = seen["reason"].as_str().expect("a reason");
    assert!(reason.contains("tests passing > 99% (is "), "{reason}");
    let decided = json!({"run": run, "action": "promote", "reason": "known, and being mended"});
    server.call(1, "control_deployment", decided);
    let seen = until(&mut server, &run, is("succeeded"));
    assert!(
        seen["timeline"].to_string().contains("being mended"),
        "{seen}"
    );
}

#[test]
fn a_run_whose_driver_is_lost_is_taken_back_where_its_phase_says_so() {
    let place = Place::new(&[("db", "--starts-in, 5s")], "");
    place.change(|text| text.replace("name: base,", "name: base, on_driver_loss: rollback,"));
    let (file, state) = (place.file().display().to_string(), place.state());
    let mut server = place.server();
    let (run, seen) = in_the_middle(&mut server);
    signal(driver(&seen), "KILL");
    // Any server that watches the platform notices.
    let arguments = ["--platform", file.as_str(), "--state", &state];
    let (_watching, _) = Server::http(&arguments, &[]);
    let seen = until(&mut server, &run, is("rolled_back"));
    let reason = seen["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("its driver was lost"), "{reason}");
}

/// Whether a process is there and no zombie.
fn is_there(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}

/// A frozen driver's gates go on ageing: here they have time for that.
fn patient(text: String) -> String {
    text.replace("timeout: 30s", "timeout: 300s")
        .replace("timeout: 15s", "timeout: 300s")
}

#[test]
fn a_driver_that_is_frozen_loses_its_run_and_leaves_it_when_it_goes_on() {
    let slow = [("db", "--starts-in, 4s"), ("web", "--starts-in, 8s")];
    let place = Place::new(&slow, "");
    place.change(patient);
    let mut server = place.server();
    let (run, seen) = in_the_middle(&mut server);
    let frozen = driver(&seen);
    signal(frozen, "STOP");
    let seen = until(&mut server, &run, is("interrupted"));
    let next = seen["next_step"].as_str().expect("a next step");
    assert!(
        next.contains(&format!("process {frozen}")) && next.contains("no sign of life"),
        "{next}"
    );
    let decided = json!({"run": run, "action": "resume", "reason": "it hangs"});
    let decided = server.told("control_deployment", decided);
    assert_eq!(decided["state"], "running", "{decided}");
    let seen = until(&mut server, &run, |seen| {
        seen["timeline"].to_string().contains("api started")
    });
    let other = driver(&seen);
    assert_ne!(other, frozen);
    let timeline = seen["timeline"].to_string();
    assert!(
        timeline.contains(&format!("process {frozen} had given no sign of life")),
        "{timeline}"
    );
    // It goes on while the other is at work.
    assert_eq!(seen["state"], "running", "{seen}");
    signal(frozen, "CONT");
    waiting::until(
        "its end",
        PATIENCE,
        || is_there(frozen),
        |is_there| !is_there,
    );
    let deploy = std::path::PathBuf::from(place.state()).join("deploy");
    let sites = std::fs::read_dir(deploy).expect("a folder");
    let log: String = sites
        .flatten()
        .filter_map(|site| std::fs::read_to_string(site.path().join("run-1.log")).ok())
        .collect();
    assert!(log.contains("it is left to that one"), "{log}");
    let seen = until(&mut server, &run, is("succeeded"));
    assert_eq!(driver(&seen), other, "{seen}");
    for service in ["db", "cache"] {
        let told = server.told("get_service", json!({"service": service}));
        assert!(!told.to_string().contains("restarts"), "{told}");
    }
}

#[test]
fn a_driver_that_is_frozen_for_a_while_goes_on_where_nobody_took_its_run() {
    let place = Place::new(&[("db", "--starts-in, 4s")], "");
    place.change(patient);
    let mut server = place.server();
    let (run, seen) = in_the_middle(&mut server);
    let frozen = driver(&seen);
    signal(frozen, "STOP");
    until(&mut server, &run, is("interrupted"));
    signal(frozen, "CONT");
    let seen = until(&mut server, &run, is("succeeded"));
    assert_eq!(driver(&seen), frozen, "{seen}");
}

#[test]
fn a_full_disk_under_the_journal_ends_the_driver_and_the_run_goes_on_when_there_is_room() {
    let place = Place::new(&[("db", "--starts-in, 4s")], "");
    let (file, state) = (place.file().display().to_string(), place.state());
    let binary = crate::support::bin().display().to_string();
    // Who writes beyond the bound is told so, as on a disk that is full, and not ended.
    let script = "trap '' XFSZ; exec \"$@\"";
    let arguments = [
        "-c",
        script,
        "sh",
        &binary,
        "serve",
        "--platform",
        &file,
        "--state",
        &state,
        "--toolsets",
        "all",
    ];
    let mut server = Server::start_program("/bin/sh", &arguments, &[]);
    server.handshake("2025-06-18");
    let (run, seen) = in_the_middle(&mut server);
    let full = driver(&seen);
    let site = std::fs::read_dir(std::path::PathBuf::from(&state).join("deploy"));
    let mut sites = site.expect("a folder").flatten().map(|site| site.path());
    let site = sites
        .find(|site| site.join("run-1.log").exists())
        .expect("the run's");
    // No room for another entry; what it says to its log is shorter.
    let written = std::fs::metadata(site.join("journal.sqlite-wal")).expect("its log");
    let bounded = Command::new("prlimit")
        .args(["--pid", &full.to_string()])
        .arg(format!("--fsize={}", written.len()))
        .status();
    assert!(bounded.expect("prlimit").success());
    let seen = until(&mut server, &run, is("interrupted"));
    assert!(seen["next_step"].to_string().contains("resume"), "{seen}");
    waiting::until("its end", PATIENCE, || is_there(full), |is_there| !is_there);
    let said = std::fs::read_to_string(site.join("run-1.log")).expect("its log");
    assert!(said.contains("disk") && said.contains("is whole"), "{said}");
    let decided = json!({"run": run, "action": "resume", "reason": "there is room again"});
    server.told("control_deployment", decided);
    until(&mut server, &run, is("succeeded"));
}
