//! What can be done with deployments: plan, begin, look, ask. Every process that shares the state
//! folder sees the same.

mod approvals;
mod plans;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

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

use crate::{
    health::Watch,
    platform::model::{Database, Environment},
    runtime::{Problem, Runtime},
    store::{
        Journal, JournalError, Site,
        journal::{Begun, Intervention, RunRow},
        lease::{Held, Lease, Sign},
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
    #[error("run {run}: {reason}")]
    NothingToDo { run: i64, reason: String },
    /// Production.
    #[error("{0}")]
    NeedsPerson(String),
    #[error(
        "this server is process 1 of its container and speaks over stdio: a run would end with this \
         client, half done"
    )]
    EndsWithClient,
    #[error("no driver could be started: {0}")]
    NoDriver(String),
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
    pub fn of(watch: &Arc<Watch>) -> Result<Self, DeployError> {
        let site = watch.site().cloned().ok_or(DeployError::NoState)?;
        let journal = Journal::open(&site.folder.join("journal.sqlite"))?;
        Ok(Self {
            watch: Arc::clone(watch),
            journal: Arc::new(journal),
            site,
        })
    }

    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
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
    pub fn needs_person(&self, target: &str) -> Result<bool, DeployError> {
        let said = match self.watch.platform().environment {
            Environment::Development => "development",
            Environment::Production => "production",
        };
        Ok(self.journal.environment(target, said)? == "production")
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
        let plan = self.kept(digest)?;
        let used = self.journal.plan(plan.id)?.and_then(|row| row.run);
        if let Some(run) = used {
            return Ok(Run {
                id: run,
                is_earlier: true,
            });
        }
        self.is_fresh(&plan, digest, deadline).await?;
        if let Some(open) = self.taken_back_by_itself(&plan)? {
            self.ask(open, Verb::Abort, by, reason).await?;
            return Ok(Run {
                id: open,
                is_earlier: true,
            });
        }
        let awaits_approval = self.needs_person(&plan.target)?;
        let created = Event::Created {
            by: by.to_owned(),
            reason: reason.map(str::to_owned),
            awaits_approval,
        };
        let body = serde_json::to_string(&created)
            .map_err(|error| JournalError::Other(error.to_string()))?;
        let state = match (awaits_approval, plan.kind) {
            (true, _) => Status::AwaitingApproval,
            (false, Kind::Deploy) => Status::Running,
            (false, Kind::RollBack) => Status::RollingBack,
        };
        let now = Timestamp::now().as_millisecond();
        let begun = self
            .journal
            .begin(plan.id, &plan.target, now, &body, state.as_str())?;
        match begun {
            Begun::Same(id) => Ok(Run {
                id,
                is_earlier: true,
            }),
            Begun::Other(run) => Err(self.busy(run)?),
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
    fn taken_back_by_itself(&self, plan: &Plan) -> Result<Option<i64>, DeployError> {
        if plan.kind != Kind::RollBack {
            return Ok(None);
        }
        let Some(open) = self.journal.open_run(&plan.target)? else {
            return Ok(None);
        };
        let reading = book::read(&self.journal, open.id)?;
        let touched = &reading.state.touched;
        let is_all = touched.len() == plan.restores.len()
            && plan.restores.iter().all(|restore| restore.run == open.id);
        Ok(is_all.then_some(open.id))
    }

    fn outlives_client(&self) -> Result<(), DeployError> {
        match self.site.ends_with_client {
            true => Err(DeployError::EndsWithClient),
            false => Ok(()),
        }
    }

    fn busy(&self, run: i64) -> Result<DeployError, DeployError> {
        let row = self.journal.run(run)?.ok_or(DeployError::NoRun(run))?;
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
        let before = self.journal.last_entry(run)?;
        let mut driver = launch::start(&self.site, run).map_err(DeployError::NoDriver)?;
        let begun = Instant::now();
        while begun.elapsed() < LONGEST_START {
            if self.journal.last_entry(run)? > before {
                return Ok(());
            }
            if let Some(ended) = driver.ended() {
                // It may have come to an end in the meantime.
                if self.journal.last_entry(run)? > before {
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
    pub fn look(&self, run: i64) -> Result<Seen, DeployError> {
        let row = self.journal.run(run)?.ok_or(DeployError::NoRun(run))?;
        let lease = self.lease(&row.target);
        let held = Lease::held(&lease)
            .map_err(|error| Problem::failed("looking whether the run is driven", error))?;
        let reading = book::read(&self.journal, run)?;
        // One target has one run that is not over.
        let is_driven = held == Held::Alive && !reading.state.status.is_over();
        let silent = match held {
            Held::Silent(sign) if reading.state.status.is_active() => Some(sign),
            _ => None,
        };
        let shown = match is_driven {
            true => self.journal.shown(run)?,
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
        let id = self.journal.intervene(&Intervention {
            target: self.target().await?,
            at: Timestamp::now().as_millisecond(),
            what: "restore".into(),
            by: by.to_owned(),
            reason: Some(made.name.clone()),
            services: vec![made.database.service.0.clone()],
            outcome: None,
        })?;
        let restored = backup::restore(runtime, &self.site.backups(), made).await;
        let outcome = match &restored {
            Ok(()) => "restored".to_owned(),
            Err(reason) => format!("not restored: {reason}"),
        };
        self.journal.intervened(id, &outcome)?;
        Ok(restored)
    }

    /// The newest run on the target; one that is not over comes first.
    pub fn newest(&self, target: &str) -> Result<Option<i64>, DeployError> {
        if let Some(open) = self.journal.open_run(target)? {
            return Ok(Some(open.id));
        }
        Ok(self
            .journal
            .runs(target, None, 1)?
            .0
            .first()
            .map(|row| row.id))
    }

    /// Waits until something is written to a run, its driver is lost, or the time has come.
    pub async fn wait(&self, run: i64, seq: i64, until: Instant) -> Result<(), DeployError> {
        while Instant::now() < until {
            if self.journal.last_entry(run)? > seq {
                return Ok(());
            }
            let seen = self.look(run)?;
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
        let seen = self.look(run)?;
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
        self.journal.ask(run, now, verb.as_str(), by, reason)?;
        if !seen.is_driven {
            self.start_driver(run).await?;
        }
        self.wait(run, seq, Instant::now() + LONGEST_START).await
    }
}

/// The lock file of a target.
pub fn lease_path(site: &Site, target: &str) -> PathBuf {
    let hash = Sha256::digest(target.as_bytes());
    let short: String = hash[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    site.folder.join(format!("lease-{short}"))
}
