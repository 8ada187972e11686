//! The platform of the demo: six local processes that carry the data of the demo's catalog.

use std::{
    fmt::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::{
    app,
    cli::{Failure, output},
    deploy::{DeployError, Deployments, Status, event::EndState},
    health::Watch,
    net::{Dialer, Reached, Request},
    platform::{self, Phase, TrustedDigests, Variables},
    runtime::{self, Runtime},
    settings::{CatalogSettings, PlatformSettings},
    store::StateFolder,
};

/// Name, what it needs, memory, what it carries.
const SERVICES: [(&str, &[&str], &str, &[&str]); 6] = [
    ("database", &[], "64Mi", &["openpolicy_pg"]),
    ("cache", &[], "32Mi", &[]),
    ("etl", &["database"], "64Mi", &["warehouse"]),
    ("api", &["database", "cache"], "64Mi", &[]),
    ("web", &["api"], "32Mi", &[]),
    ("dashboards", &["etl"], "64Mi", &["superset"]),
];

/// How the services come up. A gate that a service never passes takes its phase back.
const PHASES: &str = "\
phases:
  - { name: infrastructure, steps: [[database, cache]], status_word: BASE, expected: 3s-10s,
      gate: { healthy: all, memory_below: 60%, stable_for: 2s, timeout: 30s } }
  - { name: data, steps: [[etl], [dashboards]], status_word: FUNCTIONAL, expected: 4s-12s,
      gate: { healthy: all, memory_below: 70%, stable_for: 2s, timeout: 15s } }
  - { name: applications, steps: [[api], [web]], status_word: COMPLETE, expected: 4s-12s,
      gate: { healthy: all, memory_below: 80%, stable_for: 2s, timeout: 15s } }
rollback_when: { memory_above: 85%, unhealthy_above: 60% }
";

const PATIENCE: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(2);

/// The platform, for as long as the demo runs.
pub(super) struct Stage {
    folder: PathBuf,
    settings: PlatformSettings,
    watch: Arc<Watch>,
    runtime: Arc<dyn Runtime>,
    /// Where the service that is to break listens.
    broken: Option<(String, u16)>,
    is_over: CancellationToken,
}

impl Stage {
    /// Writes the platform file into a folder of its own. Nothing runs yet.
    pub(super) fn set(broken: Option<&str>, failing: Option<&str>) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::Error(format!(
                "the platform of the demo cannot be set up: {error}"
            ))
        };
        let folder = std::env::temp_dir().join(format!("openpolicy-demo-{}", std::process::id()));
        StateFolder::at(&folder).map_err(|error| failed(&error))?;
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let ports = free_ports(SERVICES.len()).map_err(|error| failed(&error))?;
        let named =
            |option, name: Option<&str>| name.map(|name| port_of(option, name, &ports)).transpose();
        let broken = named("--break", broken)?;
        let failing = named("--fail", failing)?.map(|(name, _)| name);
        let file = folder.join("platform.yaml");
        std::fs::write(&file, described(&program, &ports, failing.as_deref()))
            .map_err(|error| failed(&error))?;
        let trusted = TrustedDigests {
            everything: true,
            ..TrustedDigests::default()
        };
        let loaded = platform::load(&file, &Variables::default(), &trusted)
            .map_err(|problems| failed(&problems))?;
        let settings = PlatformSettings {
            file: Some(file),
            trusted: vec![loaded.digest.to_string()],
            ca_file: None,
            ends_with_client: false,
        };
        let watch = app::platform(&settings, &CatalogSettings::Demo, Some(&folder))
            .map_err(|error| failed(&error.message))?
            .ok_or_else(|| failed(&"no platform file"))?;
        let runtime = watch.runtime().map_err(|problem| failed(&problem))?;
        Ok(Self {
            folder,
            runtime: Arc::clone(runtime),
            settings,
            watch,
            broken,
            is_over: CancellationToken::new(),
        })
    }

    pub(super) fn settings(&self) -> PlatformSettings {
        self.settings.clone()
    }

    /// Where the server keeps its state, and the runtime its logs.
    pub(super) fn state(&self) -> &Path {
        &self.folder
    }

    /// Deploys the phases one after the other, breaks the service that was asked for, and waits
    /// for the end.
    pub(super) async fn perform(&self) {
        let act = async {
            if let Err(problem) = self.deploy().await {
                output::note(format!(
                    "the platform of the demo does not stand: {problem}"
                ));
                return;
            }
            if let Some((name, port)) = &self.broken
                && let Err(why) = break_at(*port).await
            {
                output::note(format!("{name} could not be broken: {why}"));
            }
        };
        tokio::select! {
            () = act => self.is_over.cancelled().await,
            () = self.is_over.cancelled() => {}
        }
    }

    /// Each phase is a run of its own, so that one that fails takes back itself alone.
    async fn deploy(&self) -> Result<(), String> {
        let told = |error: DeployError| error.to_string();
        let deployments = Deployments::of(&self.watch).await.map_err(told)?;
        for phase in &self.watch.platform().phases {
            let deadline = Instant::now() + PATIENCE;
            let plan = deployments.plan_phases(&[phase], deadline).await;
            let digest = plan.map_err(told)?.digest();
            let run = deployments.begin(&digest, "the demo", None, deadline).await;
            let run = run.map_err(told)?.id;
            loop {
                let seen = deployments.look(run).await.map_err(told)?;
                match seen.reading.state.status {
                    Status::Ended(EndState::Succeeded) => {
                        tell(phase);
                        break;
                    }
                    status if status.is_over() => {
                        return Err(format!(
                            "phase {} was {}: {}",
                            phase.name,
                            status.as_str().replace('_', " "),
                            seen.reading.state.reason.unwrap_or_default()
                        ));
                    }
                    _ => {}
                }
                let seq = seen.reading.state.last_seq;
                let until = Instant::now() + PATIENCE;
                deployments.wait(run, seq, until).await.map_err(told)?;
            }
        }
        Ok(())
    }

    /// The server ended.
    pub(super) fn close(&self) {
        self.is_over.cancel();
    }

    /// Ends every service and takes the folder away.
    pub(super) async fn strike(&self) {
        self.end_driver().await;
        if let Err(problem) = self.runtime.stop(&self.names(), GRACE).await {
            output::note(format!("the platform of the demo may still run: {problem}"));
            return;
        }
        // A folder in the temporary ones that stays is no harm.
        let _ = std::fs::remove_dir_all(&self.folder);
    }

    /// Who deploys would start again what is stopped.
    async fn end_driver(&self) {
        let Ok(deployments) = Deployments::of(&self.watch).await else {
            return;
        };
        let open = match deployments.target().await {
            Ok(target) => deployments.open_run(&target).await.ok().flatten(),
            Err(_) => None,
        };
        let seen = match open {
            Some(run) => deployments.look(run.id).await.ok(),
            None => None,
        };
        if let Some(driver) = seen.and_then(|seen| seen.reading.state.driver)
            && let Err(problem) = runtime::end_processes(&[driver]).await
        {
            output::note(format!("a deployment of the demo may go on: {problem}"));
        }
    }

    fn names(&self) -> Vec<platform::ServiceName> {
        let services = self.watch.platform().services.iter();
        services.map(|service| service.name.clone()).collect()
    }
}

/// Tells a person on a terminal how far it is.
fn tell(phase: &Phase) {
    use std::io::IsTerminal as _;
    if std::io::stderr().is_terminal() {
        let word = phase.status_word.as_deref().unwrap_or("DONE");
        output::note(format!(
            "phase {}: its gate passed, the platform is {word}",
            phase.name
        ));
    }
}

fn port_of(option: &str, name: &str, ports: &[u16]) -> Result<(String, u16), Failure> {
    let names = SERVICES.iter().map(|(name, ..)| *name);
    match names.clone().position(|known| known == name) {
        Some(position) => Ok((name.to_owned(), ports[position])),
        None => Err(Failure::Usage(format!(
            "{option}: the demo has no service `{name}`; its services are: {}",
            names.collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// The platform file. What is quoted is quoted as JSON, which YAML reads alike.
fn described(program: &Path, ports: &[u16], failing: Option<&str>) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut file = String::from(
        "platform: demo\nruntime: { process: {} }\ncapacity: { memory: 1Gi, cpu: 4 }\nobjectives: { uptime: 99.9%, p95: 200ms }\nservices:\n",
    );
    let port = |name: &str| {
        let position = SERVICES.iter().position(|(known, ..)| *known == name);
        position.map_or(0, |position| ports[position])
    };
    for (name, needs, memory, datasets) in SERVICES {
        let own = port(name);
        let mut command = vec![
            program.display().to_string(),
            "stand-in".into(),
            "--name".into(),
            name.into(),
            "--port".into(),
            own.to_string(),
        ];
        if failing == Some(name) {
            command.extend(["--fail".into(), "100%".into()]);
        }
        for need in needs {
            command.push("--needs".into());
            command.push(format!("http://127.0.0.1:{}/health", port(need)));
        }
        let command: Vec<String> = command.iter().map(|part| quoted(part)).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            file,
            "  {name}: {{ memory: {memory}, port: {own}, needs: [{}], datasets: [{}], command: [{}], \
             probe: {{ http: \"http://127.0.0.1:{own}/health\", interval: 2s, timeout: 3s, \
             retries: 2, start_period: 10s }} }}",
            needs.join(", "),
            datasets.join(", "),
            command.join(", "),
        );
    }
    file.push_str(PHASES);
    file.push_str("alerts:\n  - { name: ServiceDown, when: down, for: 30s, severity: critical }\n");
    file
}

fn free_ports(count: usize) -> std::io::Result<Vec<u16>> {
    // All are held until the last is found, so that no two are the same.
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()?;
    held.iter()
        .map(|listener| Ok(listener.local_addr()?.port()))
        .collect()
}

/// Tells a stand-in to fail from now on, as soon as it listens.
async fn break_at(port: u16) -> Result<(), String> {
    let url = format!("http://127.0.0.1:{port}/control");
    let url: url::Url = url.parse().map_err(|error| format!("{error}"))?;
    let dialer = Dialer::default();
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let request = Request {
            method: http::Method::POST,
            url: url.clone(),
            headers: http::HeaderMap::new(),
            body: Some(br#"{"fail": "100%"}"#.to_vec()),
        };
        match dialer.ask(request, &Reached::default()).await {
            Ok(answer) if answer.reply.status < 300 => return Ok(()),
            Ok(answer) => return Err(format!("it answers HTTP {}", answer.reply.status)),
            Err(_) if tokio::time::Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => return Err(format!("{error:?}")),
        }
    }
}
