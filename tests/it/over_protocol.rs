//! A platform of real ports and real processes as a client of the real binary meets it: budgets,
//! restart loops, logs that are followed, names without an address.

use std::{
    fmt::Write as _,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{
    bin,
    server::{Server, command, http, post, request},
    tokens,
};

const PATIENCE: Duration = Duration::from_secs(40);

/// A folder with a platform file and a state folder.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new(file: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("platform.yaml"), file).expect("a file");
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        path.display().to_string()
    }

    /// The digest of the file, as `trust --show` says it.
    fn digest(&self) -> String {
        let (file, state) = (self.path("platform.yaml"), self.path("state"));
        let show = ["trust", &file, "--show", "--state", &state];
        let shown = command(&show, &[]).output().expect("an end");
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        let digest = shown.lines().find_map(|line| line.strip_prefix("digest: "));
        digest.unwrap_or_else(|| panic!("a digest: {shown}")).into()
    }

    fn arguments(&self, verb: &str) -> Vec<String> {
        let (file, state) = (self.path("platform.yaml"), self.path("state"));
        let all = [verb, "--platform", &file, "--state", &state];
        all.map(str::to_owned).to_vec()
    }

    /// The demo's catalog beside the platform, over stdio, trusted, with everything listed.
    fn demo(&self) -> Server {
        let mut all = self.arguments("demo");
        all.extend(["--toolsets", "all", "--trust"].map(str::to_owned));
        all.push(self.digest());
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let mut server = Server::start(&all, &[]);
        server.handshake("2025-06-18");
        server
    }

    fn serve(&self) -> Server {
        let all = self.arguments("serve");
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let mut server = Server::start(&all, &[]);
        server.handshake("2025-06-18");
        server
    }
}

/// Both forms of an answer.
struct Told {
    text: String,
    fields: Value,
}

fn call(server: &mut Server, tool: &str, arguments: Value) -> Told {
    told(&server.call(1, tool, arguments))
}

fn told(answer: &Value) -> Told {
    let result = &answer["result"];
    assert_eq!(result["isError"], false, "{answer}");
    let text = result["content"][0]["text"].as_str().expect("a text");
    Told {
        text: text.to_owned(),
        fields: result["structuredContent"].clone(),
    }
}

impl Told {
    fn within(&self, text: usize, structured: usize) {
        let found = (tokens(&self.text), tokens(&self.fields.to_string()));
        assert!(
            found.0 <= text && found.1 <= structured,
            "{found:?} tokens of {text} / {structured}: {}",
            self.text
        );
    }

    fn rows(&self, table: &str) -> &[Value] {
        self.fields[table]["rows"]
            .as_array()
            .map_or(&[], |rows| rows)
    }
}

/// Calls until the answer is wanted.
fn until(
    server: &mut Server,
    tool: &str,
    arguments: &Value,
    wanted: impl Fn(&Told) -> bool,
) -> Told {
    let begun = Instant::now();
    loop {
        let told = call(server, tool, arguments.clone());
        if wanted(&told) {
            return told;
        }
        assert!(begun.elapsed() < PATIENCE, "not in time: {}", told.text);
    }
}

/// A port that takes every connection until this is dropped.
struct Open {
    port: u16,
    ends: Arc<AtomicBool>,
    taking: Option<JoinHandle<()>>,
}

impl Open {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let ends = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ends);
        let taking = std::thread::spawn(move || {
            while !is_over.load(Ordering::SeqCst) {
                let _ = listener.accept();
            }
        });
        Self {
            port,
            ends,
            taking: Some(taking),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        // One more connection ends the wait for one.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(taking) = self.taking.take() {
            let _ = taking.join();
        }
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// A platform of so many services, of which `failing` do not listen; names as in the documents.
fn many(count: usize, failing: &[usize]) -> (Site, Open) {
    const NAMES: [&str; 8] = [
        "auth-service",
        "error-reporting-service",
        "monitoring-service",
        "legacy-django",
        "openmetadata-ingestion",
        "analytics-service",
        "notification-service",
        "mobile-api",
    ];
    let open = Open::new();
    let mut file = String::from("platform: many\nservices:\n");
    for number in 0..count {
        let name = NAMES[number % NAMES.len()];
        let port = if failing.contains(&number) {
            1
        } else {
            open.port
        };
        writeln!(
            file,
            "  {name}-{number}: {{ probe: {{ tcp: \"127.0.0.1:{port}\", retries: 1 }} }}"
        )
        .expect("a text");
    }
    (Site::new(&file), open)
}

#[test]
fn thirty_two_services_and_five_hundred_are_told_within_their_budgets() {
    let (site, _open) = many(32, &[]);
    let told = call(&mut site.serve(), "check_health", json!({}));
    assert_eq!(told.fields["counts"], json!({"up": 32}));
    assert_eq!(
        (told.rows("services").len(), &told.fields["complete"]),
        (32, &json!(true))
    );
    told.within(600, 1_000);

    let (site, _open) = many(32, &[3, 11, 30]);
    let told = call(&mut site.serve(), "check_health", json!({}));
    assert_eq!(told.fields["counts"], json!({"up": 29, "down": 3}));
    assert_eq!(told.rows("services").len(), 32);
    assert_eq!(told.fields["causes"].as_array().map(Vec::len), Some(3));
    told.within(900, 1_300);

    // Half of 500 down: more causes than an answer holds, each of them told page by page.
    let failing: Vec<usize> = (0..500).filter(|number| number % 2 == 1).collect();
    let (site, _open) = many(500, &failing);
    let mut server = site.serve();
    let told = call(&mut server, "check_health", json!({}));
    assert_eq!(told.fields["counts"], json!({"up": 250, "down": 250}));
    assert_eq!(
        (&told.fields["total"], &told.fields["complete"]),
        (&json!(500), &json!(false))
    );
    told.within(2_000, 2_000);
    let mut seen = told.rows("services").len();
    let mut next = told.fields["next"].clone();
    while let Value::String(cursor) = next {
        let page = call(&mut server, "check_health", json!({"cursor": cursor}));
        page.within(2_000, 2_000);
        seen += page.rows("services").len();
        next = page.fields["next"].clone();
    }
    assert_eq!(seen, 500);
}

#[test]
fn a_name_without_an_address_is_unknown_and_fires_no_alert() {
    // RFC 6761: `.invalid` never has an address.
    let site = Site::new(
        "platform: p\nservices:\n  db: { probe: { tcp: \"openpolicy.invalid:5432\", retries: 1 } }\n  \
         api: { needs: [db], probe: { http: \"http://127.0.0.1:1/health\", retries: 1 } }\n\
         alerts:\n  - { name: ServiceDown, when: down, for: 0s, severity: critical }\n",
    );
    let mut server = site.serve();
    let told = call(&mut server, "check_health", json!({}));
    // What could not be looked at explains nothing: who needs it is down by itself.
    assert_eq!(told.fields["counts"], json!({"down": 1, "unknown": 1}));
    assert!(
        told.text.contains("no address is known here"),
        "{}",
        told.text
    );
    let alerts = call(&mut server, "get_alerts", json!({}));
    assert_eq!(alerts.rows("alerts").len(), 1, "{}", alerts.text);
    assert_eq!(alerts.rows("alerts")[0][1], "api");
    let lacks = alerts.rows("not_evaluated");
    assert_eq!(lacks[0][0], "ServiceDown", "{}", alerts.text);
    let cause = call(&mut server, "find_root_cause", json!({"service": "api"}));
    assert!(cause.text.contains("unknown_service"), "{}", cause.text);
}

/// Stand-ins that end with the test, however it ends.
struct Deployed {
    server: Server,
    services: Vec<&'static str>,
}

impl Deployed {
    /// Starts the one phase of the site's file by its tools, and waits until the run is over.
    fn of(site: &Site, services: &[&'static str]) -> Self {
        let mut deployed = Self {
            server: site.demo(),
            services: services.to_vec(),
        };
        let server = &mut deployed.server;
        let plan = call(server, "plan_deployment", json!({"phases": ["all"]}));
        let begin = json!({"digest": plan.fields["digest"]});
        let run = call(server, "deploy_phase", begin);
        let asked = json!({"run": run.fields["run"], "wait": 5});
        until(server, "get_deployment", &asked, |told| {
            ["succeeded", "failed"].contains(&told.fields["state"].as_str().unwrap_or_default())
        });
        deployed
    }
}

impl Drop for Deployed {
    fn drop(&mut self) {
        let stop = json!({"services": self.services, "reason": "the test ends", "dry_run": false});
        if !std::thread::panicking() {
            call(&mut self.server, "stop_services", stop);
        } else {
            let parameters = json!({"name": "stop_services", "arguments": stop});
            self.server.send(&request(9, "tools/call", parameters));
            let _ = self.server.receive();
        }
    }
}

/// Its database is there at first and goes later; the ingestion ends by itself, always.
#[cfg(target_os = "linux")]
#[test]
fn a_restart_loop_is_told_with_its_database_its_environment_and_its_last_lines() {
    let database = Open::new();
    let (at, port) = (database.port, free_port());
    let program = bin().display().to_string();
    let site = Site::new(&format!(
        "platform: loops\nruntime: {{ process: {{}} }}\nservices:\n  \
         airflow-db: {{ probe: {{ tcp: \"127.0.0.1:{at}\", retries: 1 }} }}\n  \
         ingestion:\n    needs: [airflow-db]\n    datasets: [openpolicy_pg]\n    \
         command: [\"{program}\", stand-in, --name, ingestion, --ends-in, 50ms, --exit-code, \"3\", \
         --show, AIRFLOW_DB]\n    \
         env: {{ AIRFLOW_DB: \"postgresql://airflow:hunter2canary@db/airflow\", API_KEY: hunter2canary }}\n    \
         probe: {{ http: \"http://127.0.0.1:{port}/health\", retries: 3, interval: 1s, start_period: 1h }}\n\
         phases:\n  - {{ name: all, steps: [[ingestion]], on_failure: stop, \
         gate: {{ healthy: all, stable_for: 1s, timeout: 2s }} }}\n\
         alerts:\n  - {{ name: ServiceDown, when: down, for: 0s, severity: critical }}\n"
    ));
    let mut deployed = Deployed::of(&site, &["ingestion"]);
    let server = &mut deployed.server;
    // What ends again and again does not start for ever, however long it may take to start.
    let refresh = json!({"refresh": true});
    let told = until(server, "check_health", &refresh, |told| {
        told.fields["counts"] == json!({"up": 1, "down": 1})
    });
    assert_eq!(told.fields["causes"][0]["service"], "ingestion");
    let alerts = call(server, "get_alerts", json!({}));
    assert_eq!(alerts.rows("alerts")[0][1], "ingestion", "{}", alerts.text);

    let of_service = json!({"service": "ingestion"});
    let told = until(server, "find_root_cause", &of_service, |told| {
        told.fields["runtime"]["state"] == "restarting"
    });
    let kinds: Vec<&Value> = told.rows("causes").iter().map(|row| &row[0]).collect();
    assert_eq!(
        kinds,
        ["restarting_service", "down_service", "deployment"],
        "{}",
        told.text
    );
    let evidence = told.rows("causes")[0][4].as_str().expect("a text");
    assert!(evidence.contains("the last time with code 3"), "{evidence}");
    assert!(told.fields["runtime"]["restarts"].as_u64() > Some(2));
    let looked_at = &told.fields["looked_at"];
    assert_eq!(
        looked_at["needs"],
        json!([{"service": "airflow-db", "verdict": "up"}])
    );
    assert_eq!(looked_at["environment"], json!(["AIRFLOW_DB", "API_KEY"]));
    let lines = told.fields["last_lines"].to_string();
    assert!(lines.contains("cannot go on, code 3"), "{lines}");
    assert!(lines.contains("postgresql://airflow:<masked>@db/airflow"));
    for text in [&told.text, &told.fields.to_string()] {
        assert!(!text.contains("hunter2canary"), "{text}");
    }

    // Its data: down to the service, and to the run that acted on it before it failed.
    let bills = json!({"entity": "openpolicy_pg.openpolicy.core.bills"});
    let told = call(server, "find_root_cause", bills.clone());
    let causes = told.rows("causes");
    assert_eq!(
        (&causes[0][0], &causes[0][1]),
        (&json!("down_service"), &json!("ingestion"))
    );
    assert_eq!(
        (&causes[1][0], &causes[1][1], &causes[1][2]),
        (&json!("deployment"), &json!("run 1"), &json!(0)),
        "{}",
        told.text
    );

    // The database goes too: it is the one cause, of the service and of the data.
    drop(database);
    until(server, "check_health", &refresh, |told| {
        told.fields["counts"] == json!({"down": 1, "blocked": 1})
    });
    let told = call(server, "find_root_cause", of_service);
    let row = &told.rows("causes")[1];
    assert_eq!(
        (&row[0], &row[1], &row[2]),
        (&json!("down_service"), &json!("airflow-db"), &json!(1)),
        "{}",
        told.text
    );
    let told = call(server, "find_root_cause", bills);
    assert_eq!(told.rows("causes")[0][1], "airflow-db", "{}", told.text);
}

/// Over stdio and over HTTP, by two servers of one state folder.
#[cfg(target_os = "linux")]
#[test]
fn logs_are_folded_paged_and_waited_for_over_both_transports() {
    let port = free_port();
    let program = bin().display().to_string();
    let site = Site::new(&format!(
        "platform: noise\nruntime: {{ process: {{}} }}\nservices:\n  \
         noisy: {{ command: [\"{program}\", stand-in, --name, noisy, --port, \"{port}\", --log-lines, \
         \"10000\"], probe: {{ http: \"http://127.0.0.1:{port}/health\", retries: 1, interval: 1s }} }}\n\
         phases:\n  - {{ name: all, steps: [[noisy]], \
         gate: {{ healthy: all, stable_for: 1s, timeout: 30s }} }}\n"
    ));
    let mut deployed = Deployed::of(&site, &["noisy"]);
    let server = &mut deployed.server;
    let folded = call(server, "get_logs", json!({"services": ["noisy"]}));
    folded.within(800, 800);
    let read = folded.fields["read"]["lines"].as_u64().expect("a number");
    let counts = folded
        .rows("lines")
        .iter()
        .filter_map(|row| row[3].as_u64());
    assert!(
        read > 10_000 && counts.sum::<u64>() == read,
        "{}",
        folded.text
    );
    assert_eq!(folded.fields["complete"], true);

    // Page by page to `follow`.
    let mut asked = json!({"services": ["noisy"], "level": "error", "raw": true, "limit": 150});
    let mut page = call(server, "get_logs", asked.clone());
    let mut seen = page.rows("lines").len();
    assert_eq!(page.fields["complete"], false, "{}", page.text);
    while let Value::String(next) = &page.fields["next"] {
        asked["cursor"] = json!(next);
        page = call(server, "get_logs", asked.clone());
        seen += page.rows("lines").len();
    }
    assert_eq!((seen, &page.fields["total"]), (200, &json!(200)));
    asked["cursor"] = page.fields["follow"].clone();
    assert!(asked["cursor"].is_string(), "{}", page.text);
    assert_eq!(call(server, "get_logs", asked.clone()).fields["total"], 0);

    // Waited for over HTTP, by a server that did not start it.
    let mut all = site.arguments("serve");
    all.extend(["--http", "127.0.0.1:0", "--trust"].map(str::to_owned));
    all.push(site.digest());
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let mut other = Server::start(&all, &[]);
    let address = other.listens();
    asked["wait"] = json!(30);
    let begun = Instant::now();
    let waiting = std::thread::spawn(move || {
        let parameters = json!({"name": "get_logs", "arguments": asked});
        post(address, &[], &request(1, "tools/call", parameters)).json()
    });
    // Of the lines that the stand-in writes some are errors: it writes until the call is over.
    let service = ([127, 0, 0, 1], port).into();
    while !waiting.is_finished() {
        let sent = http(service, "POST", "/control", &[], r#"{"log": 100}"#);
        assert_eq!(sent.status, 200);
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(50));
    }
    let answer = told(&waiting.join().expect("an answer"));
    assert!(begun.elapsed() < Duration::from_secs(30), "not the end");
    assert!(!answer.rows("lines").is_empty(), "{}", answer.text);
    let is_error = |row: &Value| row[2] == "error";
    assert!(answer.rows("lines").iter().all(is_error), "{}", answer.text);
}
