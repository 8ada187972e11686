//! What can be done with deployments: plan, begin, look, ask. Every process that shares the state
//! folder sees the same.

mod approvals;
mod images;
mod plans;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{
    backup::{self, Made},
    book::{self, BookError, Reading},
    event::Event,
    launch,
    plan::{Kind, Plan},
    progress::Progress,
    requests::Verb,
    state::Status,
    ways_back,
};
pub use approvals::Question;
pub use plans::Kept;

use crate::{
    digest,
    health::Watch,
    platform::{
        ServiceName,
        model::{Database, Environment},
    },
    runtime::{Problem, Runtime},
    store::{
        Fault, Journal, JournalError, Site,
        journal::{Begun, Intervention, RunRow},
        lease::{Held, Lease, Sign},
        sqlite,
    },
};

/// How long a driver may take to take its run.
const LONGEST_START: Duration = Duration::from_secs(20);
/// Between two looks at the journal while something is waited for.
const LOOK: Duration = Duration::from_millis(100);

/// Why something cannot be planned, begun or told.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Book(#[from] BookError),
    #[error(transparent)]
    Runtime(#[from] Problem),
    #[error("{0}")]
    NotTrusted(String),
    #[error("there is no state folder for deployments (OPENPOLICY_STATE names one)")]
    NoState,
    #[error("`{0}` is not the digest of a plan: plan_deployment gives one")]
    NotADigest(String),
    #[error("plan {0} is not known here: it was made with another state folder, or is forgotten")]
    NoPlan(i64),
    /// Something is not as it was when the plan was made.
    #[error("the plan does not fit any more: {0}")]
    Stale(String),
    #[error(
        "run {run} on the same target is not over ({state}, since {since}): get_deployment shows it"
    )]
    Busy {
        run: i64,
        state: String,
        since: String,
    },
    #[error("there is no run {0}")]
    NoRun(i64),
    /// What was asked makes no sense for what the run is.
    #[error("{verb} of run {run} is not possible: {reason}")]
    Refused {
        verb: &'static str,
        run: i64,
        reason: String,
    },
    /// The traffic of a phase cannot be shifted.
    #[error("phase {phase} cannot be planned: {problem}")]
    NoTraffic { phase: String, problem: Problem },
    #[error("run {run}: {reason}")]
    NothingToDo { run: i64, reason: String },
    #[error(
        "this server is process 1 of its container and speaks over stdio: a run would end with this \
         client, half done"
    )]
    EndsWithClient,
    #[error("no driver could be started: {0}")]
    NoDriver(String),
}

impl From<Fault> for DeployError {
    fn from(fault: Fault) -> Self {
        Self::Journal(fault.into())
    }
}

/// Deployments of one platform.
pub struct Deployments {
    pub(super) watch: Arc<Watch>,
    journal: Arc<Journal>,
    site: Site,
}

/// A run, and whether somebody drives it.
pub struct Seen {
    pub row: RunRow,
    pub reading: Reading,
    pub is_driven: bool,
    /// The last sign of life of a driver that has given none for too long.
    pub silent: Option<Sign>,
    /// What its driver saw last, while one is at work.
    pub progress: Option<Progress>,
}

impl Seen {
    /// Its driver was lost, and nobody has decided what becomes of it.
    pub fn is_interrupted(&self) -> bool {
        self.reading.state.status.is_active() && !self.is_driven
    }

    /// What is read at the gate of this phase, where the run is at it.
    pub fn at_gate(&self, phase: &str) -> Option<&Progress> {
        let progress = self.progress.as_ref()?;
        let at = self.reading.plan.phases.get(progress.gate_of?)?;
        let state = self.reading.state.phases.get(progress.gate_of?)?;
        let is_at_gate = state.gate_began_at.is_some() && !state.is_gate_passed;
        // What is left of a gate that was tried before is not of now.
        let is_of_now = state
            .gate_began_at
            .is_some_and(|began| progress.at >= began);
        (at.name == phase && is_at_gate && is_of_now).then_some(progress)
    }

    /// One word.
    pub fn status(&self) -> &'static str {
        match self.is_interrupted() {
            true => "interrupted",
            false => self.reading.state.status.as_str(),
        }
    }
}

/// A dump that was made, and older ones that it put away.
pub struct BackedUp {
    pub made: Made,
    /// Names; or why they could not be removed.
    pub removed: Result<Vec<String>, String>,
}

/// What a run has become of a plan.
pub struct Run {
    pub id: i64,
    /// The plan had been used before: this is the run that used it.
    pub is_earlier: bool,
}

impl Deployments {
    pub async fn of(watch: &Arc<Watch>) -> Result<Self, DeployError> {
        let site = watch.site().cloned().ok_or(DeployError::NoState)?;
        let path = Arc::new(site.folder.join("journal.sqlite"));
        let journal = sqlite::off_thread(&path, |path| Journal::open(path)).await?;
        Ok(Self {
            watch: Arc::clone(watch),
            journal: Arc::new(journal),
            site,
        })
    }

    /// Reads or writes the journal on a thread that may wait.
    pub async fn with_journal<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Journal) -> Result<T, DeployError> + Send + 'static,
    ) -> Result<T, DeployError> {
        sqlite::off_thread(&self.journal, work).await
    }

    /// A run, where there is one of this number.
    async fn run(&self, run: i64) -> Result<RunRow, DeployError> {
        self.with_journal(move |journal| journal.run(run)?.ok_or(DeployError::NoRun(run)))
            .await
    }

    /// Whether something is asked of it that its driver has not taken yet.
    pub async fn is_asked(&self, run: i64) -> Result<bool, DeployError> {
        self.with_journal(move |journal| Ok(!journal.asked(run)?.is_empty()))
            .await
    }

    async fn last_entry(&self, run: i64) -> Result<i64, DeployError> {
        self.with_journal(move |journal| Ok(journal.last_entry(run)?))
            .await
    }

    /// The run on a target that is not over.
    pub async fn open_run(&self, target: &str) -> Result<Option<RunRow>, DeployError> {
        let target = target.to_owned();
        self.with_journal(move |journal| Ok(journal.open_run(&target)?))
            .await
    }

    /// Runs on a target, newest first, from a number down; and how many there are in all.
    pub async fn runs(
        &self,
        target: &str,
        until: Option<i64>,
        most: usize,
    ) -> Result<(Vec<RunRow>, u64), DeployError> {
        let target = target.to_owned();
        self.with_journal(move |journal| Ok(journal.runs(&target, until, most)?))
            .await
    }

    async fn reading(&self, run: i64) -> Result<Reading, DeployError> {
        self.with_journal(move |journal| Ok(book::read(journal, run)?))
            .await
    }

    pub(super) fn runtime(&self) -> Result<&Arc<dyn Runtime>, DeployError> {
        let platform = self.watch.platform();
        if let Err(untrusted) = platform.trust.permit() {
            return Err(DeployError::NotTrusted(untrusted.to_string()));
        }
        Ok(self.watch.runtime()?)
    }

    pub async fn target(&self) -> Result<String, DeployError> {
        Ok(self.runtime()?.target().await?)
    }

    /// Whether a person has to approve what is done to this target.
    pub async fn needs_person(&self, target: &str) -> Result<bool, DeployError> {
        let said = match self.watch.platform().environment {
            Environment::Development => "development",
            Environment::Production => "production",
        };
        let target = target.to_owned();
        self.with_journal(move |journal| Ok(journal.environment(&target, said)? == "production"))
            .await
    }

    /// The file whose lock the driver of a target holds.
    pub fn lease(&self, target: &str) -> PathBuf {
        lease_path(&self.site, target)
    }

    /// Begins the run of a plan, unless it began before. Who asks again gets the same run.
    pub async fn begin(
        &self,
        digest: &str,
        by: &str,
        reason: Option<&str>,
        deadline: Instant,
    ) -> Result<Run, DeployError> {
        self.outlives_client()?;
        let Kept { plan, run } = self.kept(digest).await?;
        if let Some(run) = run {
            return Ok(Run {
                id: run,
                is_earlier: true,
            });
        }
        self.is_fresh(&plan, digest, deadline).await?;
        if let Some(open) = self.taken_back_by_itself(&plan).await? {
            self.ask(open, Verb::Abort, by, reason).await?;
            return Ok(Run {
                id: open,
                is_earlier: true,
            });
        }
        let awaits_approval = self.needs_person(&plan.target).await?;
        let created = Event::Created {
            by: by.to_owned(),
            reason: reason.map(str::to_owned),
            awaits_approval,
        };
        let body = serde_json::to_string(&created).map_err(JournalError::from)?;
        let state = match (awaits_approval, plan.kind) {
            (true, _) => Status::AwaitingApproval,
            (false, Kind::Deploy) => Status::Running,
            (false, Kind::RollBack) => Status::RollingBack,
        };
        let now = Timestamp::now().as_millisecond();
        let begun = self
            .with_journal(move |journal| {
                Ok(journal.begin(plan.id, &plan.target, now, &body, state.as_str())?)
            })
            .await?;
        match begun {
            Begun::Same(id) => Ok(Run {
                id,
                is_earlier: true,
            }),
            Begun::Other(run) => Err(self.busy(run).await?),
            Begun::New(id) => {
                if !awaits_approval {
                    self.start_driver(id).await?;
                }
                Ok(Run {
                    id,
                    is_earlier: false,
                })
            }
        }
    }

    /// The run that is not over, where this plan takes back all of it and nothing else: it does that
    /// itself.
    async fn taken_back_by_itself(&self, plan: &Plan) -> Result<Option<i64>, DeployError> {
        if plan.kind != Kind::RollBack {
            return Ok(None);
        }
        let Some(open) = self.open_run(&plan.target).await? else {
            return Ok(None);
        };
        let reading = self.reading(open.id).await?;
        let state = &reading.state;
        let is_all = state.touched.len() == plan.restores.len()
            && state.shifted.len() == plan.shifts.len()
            && plan.restores.iter().all(|restore| restore.run == open.id)
            && plan.shifts.iter().all(|shift| shift.run == open.id);
        Ok(is_all.then_some(open.id))
    }

    fn outlives_client(&self) -> Result<(), DeployError> {
        match self.site.ends_with_client {
            true => Err(DeployError::EndsWithClient),
            false => Ok(()),
        }
    }

    async fn busy(&self, run: i64) -> Result<DeployError, DeployError> {
        let row = self.run(run).await?;
        let since = Timestamp::from_millisecond(row.created).unwrap_or_default();
        Ok(DeployError::Busy {
            run,
            state: row.state,
            since: since.to_string(),
        })
    }

    /// Starts the process that drives a run, and waits until it has it.
    pub async fn start_driver(&self, run: i64) -> Result<(), DeployError> {
        self.outlives_client()?;
        let before = self.last_entry(run).await?;
        let mut driver = launch::start(&self.site, run).map_err(DeployError::NoDriver)?;
        let begun = Instant::now();
        while begun.elapsed() < LONGEST_START {
            if self.last_entry(run).await? > before {
                return Ok(());
            }
            if let Some(ended) = driver.ended() {
                // It may have come to an end in the meantime.
                if self.last_entry(run).await? > before {
                    return Ok(());
                }
                return Err(DeployError::NoDriver(ended));
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(DeployError::NoDriver(format!(
            "it did not take the run within {} s; {}",
            LONGEST_START.as_secs(),
            launch::log_of(&self.site, run).display()
        )))
    }

    /// A run with everything that is known of it.
    pub async fn look(&self, run: i64) -> Result<Seen, DeployError> {
        let row = self.run(run).await?;
        let lease = self.lease(&row.target);
        let held = Lease::held(&lease)
            .map_err(|error| Problem::failed("looking whether the run is driven", error))?;
        let reading = self.reading(run).await?;
        // One target has one run that is not over.
        let is_driven = held == Held::Alive && !reading.state.status.is_over();
        let silent = match held {
            Held::Silent(sign) if reading.state.status.is_active() => Some(sign),
            _ => None,
        };
        let shown = match is_driven {
            true => {
                self.with_journal(move |journal| Ok(journal.shown(run)?))
                    .await?
            }
            false => None,
        };
        Ok(Seen {
            // A newer version may show more than this one can read.
            progress: shown.and_then(|body| serde_json::from_str(&body).ok()),
            is_driven,
            silent,
            row,
            reading,
        })
    }

    /// Dumps these databases now, each as far as it goes.
    pub async fn back_up(
        &self,
        databases: &[Database],
    ) -> Result<Vec<Result<BackedUp, String>>, DeployError> {
        let runtime = self.runtime()?;
        let folder = self.site.backups();
        let keep = self.watch.platform().backup.keep;
        let mut all = Vec::new();
        for database in databases {
            let made = backup::make(runtime, &folder, database, None).await;
            all.push(made.map(|made| {
                let wanted = |run| ways_back::is_wanted(&self.journal, run);
                let removed = backup::retire(&folder, &made, keep, wanted);
                BackedUp {
                    removed: removed.map_err(|error| error.to_string()),
                    made,
                }
            }));
        }
        Ok(all)
    }

    /// Dumps that were verified, newest first.
    pub fn backups(&self) -> Result<Vec<Made>, DeployError> {
        let kept = backup::kept(&self.site.backups());
        Ok(kept.map_err(|error| Problem::failed("reading the backups", error))?)
    }

    /// Puts a dump back over its database. It is in the journal before anything is done.
    pub async fn restore(&self, made: &Made, by: &str) -> Result<Result<(), String>, DeployError> {
        let runtime = self.runtime()?;
        let services = std::slice::from_ref(&made.database.service);
        let id = self
            .intervene("restore", services, by, Some(&made.name))
            .await?;
        let restored = backup::restore(runtime, &self.site.backups(), made).await;
        let outcome = match &restored {
            Ok(()) => "restored".to_owned(),
            Err(reason) => format!("not restored: {reason}"),
        };
        self.intervened(id, outcome).await?;
        Ok(restored)
    }

    /// Writes down what is about to be done beside runs, and gives its number.
    pub(super) async fn intervene(
        &self,
        what: &str,
        services: &[ServiceName],
        by: &str,
        reason: Option<&str>,
    ) -> Result<i64, DeployError> {
        let intervention = Intervention {
            target: self.target().await?,
            at: Timestamp::now().as_millisecond(),
            what: what.to_owned(),
            by: by.to_owned(),
            reason: reason.map(str::to_owned),
            services: services.iter().map(|name| name.0.clone()).collect(),
            outcome: None,
        };
        self.with_journal(move |journal| Ok(journal.intervene(&intervention)?))
            .await
    }

    /// Writes down what came of it.
    pub(super) async fn intervened(&self, id: i64, outcome: String) -> Result<(), DeployError> {
        self.with_journal(move |journal| Ok(journal.intervened(id, &outcome)?))
            .await
    }

    /// The newest run on the target; one that is not over comes first.
    pub async fn newest(&self, target: &str) -> Result<Option<i64>, DeployError> {
        if let Some(open) = self.open_run(target).await? {
            return Ok(Some(open.id));
        }
        let (newest, _) = self.runs(target, None, 1).await?;
        Ok(newest.first().map(|row| row.id))
    }

    /// Waits until something is written to a run, its driver is lost, or the time has come.
    pub async fn wait(&self, run: i64, seq: i64, until: Instant) -> Result<(), DeployError> {
        while Instant::now() < until {
            if self.last_entry(run).await? > seq {
                return Ok(());
            }
            let seen = self.look(run).await?;
            if seen.is_interrupted() || !seen.reading.state.status.is_active() {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Asks something of a run, and starts a driver where none is at work.
    pub async fn ask(
        &self,
        run: i64,
        verb: Verb,
        by: &str,
        reason: Option<&str>,
    ) -> Result<(), DeployError> {
        let seen = self.look(run).await?;
        let status = seen.reading.state.status;
        if let Some(reason) = verb.refusal(status, seen.is_driven) {
            return Err(DeployError::Refused {
                verb: verb.as_str(),
                run,
                reason,
            });
        }
        let seq = seen.reading.state.last_seq;
        let now = Timestamp::now().as_millisecond();
        let (by, reason) = (by.to_owned(), reason.map(str::to_owned));
        self.with_journal(move |journal| {
            Ok(journal.ask(run, now, verb.as_str(), &by, reason.as_deref())?)
        })
        .await?;
        if !seen.is_driven {
            self.start_driver(run).await?;
        }
        self.wait(run, seq, Instant::now() + LONGEST_START).await
    }
}

/// The lock file of a target.
pub fn lease_path(site: &Site, target: &str) -> PathBuf {
    let short = digest::short(target, 12);
    site.folder.join(format!("lease-{short}"))
}
