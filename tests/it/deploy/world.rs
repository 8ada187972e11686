//! A world in which services are names with a version: a runtime for the deploy engine whose every
//! operation can fail, hang, or be the last that its driver does.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::FutureExt as _;
use jiff::Timestamp;
use openpolicy_mcp::{
    deploy::{
        engine::{DriveError, Driven, Engine, Leased, Tuning},
        look::{Look, Metered, Order, Seen, ServiceSeen},
    },
    health::{Verdict, Watch},
    platform::{self, ServiceName, TrustedDigests, Variables, model::Traffic},
    runtime::{
        Applied, Before, Change, Desired, Divided, Exit, LogPage, LogQuery, Observed, Output,
        Problem, RunningCommand, Runtime, ServiceState, Stopped, Streams, Usage, Weights, Work,
        values::AppliedOutcome,
    },
    store::{History, Journal, Site},
};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What is there.
#[derive(Debug, Default)]
pub struct Things {
    /// Version by service; who is not in here is absent.
    pub services: BTreeMap<String, u64>,
    /// Services that never become healthy in a version.
    pub ill: BTreeSet<(String, u64)>,
    /// Services that cannot be made so.
    pub refused: BTreeSet<String>,
    /// Services that wait for what they need, for ever.
    pub waiting: BTreeSet<String>,
    /// Services that cannot be taken back.
    pub held: BTreeSet<String>,
    /// How requests are divided, by route.
    pub routes: BTreeMap<String, Weights>,
    /// How the next shifts go; as they should, where nothing is said.
    pub shifts: VecDeque<Shifting>,
    /// So many looks at routes do not get an answer.
    pub routes_away: u32,
    /// Versions of services as each shift found them.
    pub shifted_at: Vec<(Weights, BTreeMap<String, u64>)>,
    /// Percent; none: it cannot be read.
    pub memory: Option<f64>,
    pub tests_passing: Option<f64>,
    pub metered: Metered,
    /// How often each command of a hook ran.
    pub ran: BTreeMap<String, u32>,
    /// How a command ends; 0 where nothing is said.
    pub exits: BTreeMap<String, i32>,
    /// How often something was changed.
    pub changes: u64,
    /// Images that were let go of, and what they were of.
    pub released: Vec<String>,
}

/// How a shift goes wrong.
#[derive(Debug, Clone, Copy)]
pub enum Shifting {
    /// It is done, and the answer is lost.
    Unheard,
    /// It is not done, and the answer is lost.
    Lost,
    Refused,
    /// Somebody else was quicker.
    Overtaken(Weights),
}

/// The world and what becomes of its drivers.
pub struct World {
    pub things: Mutex<Things>,
    operations: AtomicU64,
    /// At this operation the driver is killed.
    pub last_operation: AtomicU64,
    /// From this operation on somebody else has the lease.
    pub lease_ends: AtomicU64,
    killed: watch::Sender<bool>,
}

impl World {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            things: Mutex::new(Things {
                memory: Some(30.0),
                ..Things::default()
            }),
            operations: AtomicU64::new(0),
            last_operation: AtomicU64::new(u64::MAX),
            lease_ends: AtomicU64::new(u64::MAX),
            killed: watch::Sender::new(false),
        })
    }

    pub fn things(&self) -> MutexGuard<'_, Things> {
        self.things.lock().expect("the world")
    }

    pub fn versions(&self) -> BTreeMap<String, u64> {
        self.things().services.clone()
    }

    /// Operations so far.
    pub fn count(&self) -> u64 {
        self.operations.load(Ordering::SeqCst)
    }

    /// The driver is killed at the operation after so many more.
    pub fn kill_after(&self, operations: u64) {
        self.last_operation
            .store(self.count() + operations, Ordering::SeqCst);
    }

    pub fn spare(&self) {
        self.last_operation.store(u64::MAX, Ordering::SeqCst);
    }

    /// Counts an operation; at the last one nothing comes back any more.
    async fn operation(&self) {
        let count = self.operations.fetch_add(1, Ordering::SeqCst);
        if count >= self.last_operation.load(Ordering::SeqCst) {
            self.killed.send_replace(true);
            std::future::pending::<()>().await;
        }
    }

    pub fn look(self: &Arc<Self>) -> Look {
        let world = Arc::clone(self);
        Arc::new(move |order: Order| {
            let world = Arc::clone(&world);
            async move {
                world.operation().await;
                world.seen(order)
            }
            .boxed()
        })
    }

    fn seen(&self, order: Order) -> Seen {
        let things = self.things();
        let services = order.services.into_iter().map(|service| {
            let version = things.services.get(&service.0);
            let is_well =
                version.is_some_and(|version| !things.ill.contains(&(service.0.clone(), *version)));
            let verdict = if is_well { Verdict::Up } else { Verdict::Down };
            ServiceSeen {
                service,
                verdict,
                reason: (!is_well).then(|| "as scripted".to_owned()),
                response: Some(Duration::from_millis(10)),
                looks: 1,
                failed: u32::from(!is_well),
            }
        });
        let unread = || "as scripted".to_owned();
        Seen {
            services: services.collect(),
            memory: things.memory.ok_or_else(unread),
            cpu: Err(unread()),
            metered: things.metered.clone(),
            memory_bytes: None,
            ingestion_success: Err(unread()),
            tests_passing: things.tests_passing.ok_or_else(unread),
            age: Err(unread()),
        }
    }

    fn lease(self: &Arc<Self>) -> Leased {
        let world = Arc::clone(self);
        Leased {
            is_held: Arc::new(move || world.count() < world.lease_ends.load(Ordering::SeqCst)),
            taken_from: None,
        }
    }

    pub fn engine(self: &Arc<Self>, journal: &Arc<Journal>) -> Engine {
        Engine {
            journal: Arc::clone(journal),
            runtime: Arc::clone(self) as Arc<dyn Runtime>,
            look: self.look(),
            backups: std::env::temp_dir(),
            backups_kept: 10,
            lease: self.lease(),
            tuning: Tuning {
                look_every: Duration::from_secs(1),
                ask_every: Duration::from_millis(100),
                restored_within: Duration::from_secs(30),
            },
        }
    }

    /// Drives until the run is over, waits for somebody, or its driver is killed (none).
    pub async fn drive(
        self: &Arc<Self>,
        journal: &Arc<Journal>,
        run: i64,
    ) -> Option<Result<Driven, DriveError>> {
        let engine = self.engine(journal);
        let shutdown = CancellationToken::new();
        self.killed.send_replace(false);
        let mut killed = self.killed.subscribe();
        tokio::select! {
            biased;
            _ = killed.wait_for(|is_killed| *is_killed) => None,
            driven = engine.drive(run, driver(), &shutdown) => Some(driven),
        }
    }
}

pub fn driver() -> RunningCommand {
    RunningCommand {
        what: "driver".into(),
        pid: 1,
        started: 1,
        boot: "this".into(),
    }
}

/// A service in a version.
pub fn desired(service: &str, version: u64) -> Desired {
    Desired {
        service: ServiceName(service.to_owned()),
        configuration: json!(version),
        digest: version.to_string(),
        image: Some(format!("{service}:{version}")),
        image_id: None,
        problem: None,
        is_image_absent: false,
        not_restored: Vec::new(),
    }
}

/// A platform file, trusted, whose services are those of a world.
pub fn watch_over(file: &Path, world: &Arc<World>, folder: &Path) -> Arc<Watch> {
    let trusted = TrustedDigests {
        everything: true,
        ..TrustedDigests::default()
    };
    let loaded = platform::load(file, &Variables::default(), &trusted).expect("a valid file");
    let look: openpolicy_mcp::health::watch::Check =
        Arc::new(|_, _| Box::pin(async { Vec::new() }));
    let history = Arc::new(History::in_memory().expect("a history"));
    let runtime = Arc::clone(world) as Arc<dyn Runtime>;
    let watch = Watch::new(Arc::new(loaded.platform), history, look)
        .with_runtime(Ok(runtime))
        .with_site(Some(Site {
            folder: folder.to_owned(),
            order: String::new().into(),
            ends_with_client: false,
        }));
    Arc::new(watch)
}

impl Runtime for World {
    fn name(&self) -> &'static str {
        "world"
    }

    fn target<'a>(&'a self) -> Work<'a, String> {
        Box::pin(async { Ok("world".into()) })
    }

    fn resolve<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Desired>> {
        Box::pin(async move { Ok(services.iter().map(|one| desired(&one.0, 1)).collect()) })
    }

    fn capture<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Before>> {
        Box::pin(async move {
            self.operation().await;
            let things = self.things();
            let before = services.iter().map(|service| {
                let version = things.services.get(&service.0);
                Before {
                    service: service.clone(),
                    configuration: version.map(|version| json!(version)),
                    was_running: version.is_some(),
                    image: version.map(|version| format!("{service}:{version}")),
                    around: None,
                }
            });
            Ok(before.collect())
        })
    }

    fn observe<'a>(&'a self, services: &'a [ServiceName]) -> Work<'a, Vec<Observed>> {
        Box::pin(async move {
            self.operation().await;
            let things = self.things();
            let observed = services.iter().map(|service| {
                let version = things.services.get(&service.0);
                let state = match version {
                    Some(_) => ServiceState::Running,
                    None => ServiceState::Absent,
                };
                Observed {
                    configuration: version.map(ToString::to_string),
                    live: version.map(ToString::to_string),
                    image: version.map(|version| format!("{service}:{version}")),
                    ..Observed::new(service.clone(), state)
                }
            });
            Ok(observed.collect())
        })
    }

    fn apply<'a>(&'a self, change: Change<'a>) -> Work<'a, Vec<Applied>> {
        Box::pin(async move {
            if let Some(on_command) = change.on_command {
                on_command(&RunningCommand {
                    what: "up".into(),
                    ..driver()
                })?;
            }
            let mut applied = Vec::new();
            for desired in change.desired {
                // Killed between two services of a step.
                self.operation().await;
                let waits = || self.things().waiting.contains(&desired.service.0);
                let begun = tokio::time::Instant::now();
                let is_cut_short = || change.is_cut_short.is_some_and(|is_cut| is_cut());
                while waits() && !is_cut_short() && begun.elapsed() < change.patience {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                let waits = waits();
                let mut things = self.things();
                let name = desired.service.0.clone();
                let version = desired.configuration.as_u64().expect("a version");
                let outcome = if waits {
                    AppliedOutcome::Waits("it needs what is not up".into())
                } else if things.refused.contains(&name) {
                    AppliedOutcome::Failed(Problem::failed("starting it", "refused"))
                } else {
                    match things.services.insert(name, version) {
                        Some(before) if before == version => AppliedOutcome::Unchanged,
                        Some(_) => AppliedOutcome::Replaced,
                        None => AppliedOutcome::Started,
                    }
                };
                if !matches!(outcome, AppliedOutcome::Unchanged) {
                    things.changes += 1;
                }
                applied.push(Applied {
                    service: desired.service.clone(),
                    outcome,
                    before: Before {
                        service: desired.service.clone(),
                        configuration: None,
                        was_running: false,
                        image: None,
                        around: None,
                    },
                });
            }
            Ok(applied)
        })
    }

    fn restore<'a>(&'a self, before: &'a Before) -> Work<'a, Applied> {
        Box::pin(async move {
            self.operation().await;
            let name = before.service.0.clone();
            let outcome = {
                let mut things = self.things();
                if things.held.contains(&name) {
                    return Err(Problem::failed("taking it back", "held"));
                }
                let version = before.configuration.as_ref().and_then(|one| one.as_u64());
                let former = match version {
                    Some(version) => things.services.insert(name, version),
                    None => things.services.remove(&name),
                };
                match former == version {
                    true => AppliedOutcome::Unchanged,
                    false => AppliedOutcome::Replaced,
                }
            };
            // Killed when it is done and nobody has written it down.
            self.operation().await;
            Ok(Applied {
                service: before.service.clone(),
                outcome,
                before: before.clone(),
            })
        })
    }

    fn release<'a>(&'a self, before: &'a [Before], still: &'a [Before]) -> Work<'a, ()> {
        let images = |all: &[Before]| -> BTreeSet<String> {
            all.iter().filter_map(|one| one.image.clone()).collect()
        };
        let gone = images(before)
            .difference(&images(still))
            .cloned()
            .collect::<Vec<_>>();
        self.things().released.extend(gone);
        Box::pin(async { Ok(()) })
    }

    fn stop<'a>(&'a self, _: &'a [ServiceName], _: Duration) -> Work<'a, Vec<Stopped>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn logs<'a>(&'a self, _: &'a LogQuery) -> Work<'a, LogPage> {
        Box::pin(async { Ok(LogPage::default()) })
    }

    fn usage<'a>(&'a self, _: &'a [ServiceName]) -> Work<'a, Vec<Usage>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn traffic<'a>(&'a self, traffic: &'a Traffic, _: bool) -> Work<'a, Divided> {
        Box::pin(async move {
            self.operation().await;
            let mut things = self.things();
            if things.routes_away > 0 {
                things.routes_away -= 1;
                return Err(away());
            }
            match things.routes.get(&traffic.virtual_service) {
                Some(weights) => Ok(Divided {
                    weights: *weights,
                    holder: Some("\"somebody\"".into()),
                }),
                None => Err(Problem::failed("looking at it", "there is no such route")),
            }
        })
    }

    fn shift<'a>(&'a self, traffic: &'a Traffic, was: Weights, then: Weights) -> Work<'a, ()> {
        Box::pin(async move {
            self.operation().await;
            let outcome = {
                let mut things = self.things();
                let how = things.shifts.pop_front();
                let services = things.services.clone();
                let route = things
                    .routes
                    .get_mut(&traffic.virtual_service)
                    .expect("a route");
                if let Some(Shifting::Overtaken(theirs)) = how {
                    *route = theirs;
                }
                let is_as_it_was = *route == was;
                let is_done = is_as_it_was && matches!(how, None | Some(Shifting::Unheard));
                if is_done {
                    *route = then;
                    things.shifted_at.push((then, services));
                }
                match how {
                    Some(Shifting::Unheard | Shifting::Lost) => Err(away()),
                    _ if is_done => Ok(()),
                    _ => Err(Problem::failed("shifting it", "refused")),
                }
            };
            // Killed when it is done and nobody has written it down.
            self.operation().await;
            outcome
        })
    }

    fn exec<'a>(
        &'a self,
        _: &'a ServiceName,
        command: &'a [String],
        _: Streams<'a>,
        _: Duration,
    ) -> Work<'a, Output> {
        Box::pin(async move {
            self.operation().await;
            let line = command.join(" ");
            let code = {
                let mut things = self.things();
                match line.strip_prefix("check ") {
                    // Whether the command ran.
                    Some(of) => i32::from(!things.ran.contains_key(of)),
                    None => {
                        *things.ran.entry(line.clone()).or_default() += 1;
                        things.exits.get(&line).copied().unwrap_or(0)
                    }
                }
            };
            // Killed when it ran and nobody has written it down.
            self.operation().await;
            Ok(Output {
                exit: Exit {
                    code: Some(code),
                    signal: None,
                    at: Timestamp::now(),
                    reason: None,
                },
                text: "said this".into(),
                is_cut: false,
            })
        })
    }
}

fn away() -> Problem {
    Problem::NotReached {
        what: "asking".into(),
        place: "the world".into(),
        reason: "as scripted".into(),
    }
}
