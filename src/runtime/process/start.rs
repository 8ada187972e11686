//! Starts services: what they need first, each under a keeper.

use std::{process::Stdio, time::Duration};

use futures::future::join_all;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::{
    ProcessRuntime,
    identity::Place,
    keeper::{Order, Reply},
    record::{Folder, Record, Stage},
    spec::Spec,
    variable,
};
use crate::{
    platform::ServiceName,
    runtime::{
        Applied, Before, Change, Desired, Problem, ServiceState, needs, order,
        values::AppliedOutcome,
    },
};

/// How long a keeper may take to say that its service runs.
const LONGEST_START: Duration = Duration::from_secs(20);

/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(25);

/// How long a service has to end when another configuration replaces it.
const GRACE: Duration = Duration::from_secs(10);

impl ProcessRuntime {
    /// How a service should run, as the platform file and the variables have it now.
    pub(super) fn desired(&self, name: &ServiceName) -> Result<Desired, Problem> {
        let program = self.service(name)?.command.first().cloned();
        let (spec, problem) = match self.spec_of(name) {
            Ok(spec) => (Some(spec), None),
            Err(Problem::NotDescribed { reason, .. }) => (None, Some(reason)),
            Err(problem) => (None, Some(problem.to_string())),
        };
        // What a variable holds is asked again when it is applied and never stands on disk.
        let configuration = spec
            .as_ref()
            .and_then(|spec| serde_json::to_value(spec.without_passed()).ok());
        Ok(Desired {
            service: name.clone(),
            configuration: configuration.unwrap_or_default(),
            digest: spec.as_ref().map(Spec::digest).unwrap_or_default(),
            image: spec
                .and_then(|spec| spec.command.into_iter().next())
                .or(program),
            image_id: None,
            problem,
            is_image_absent: false,
            not_restored: Vec::new(),
        })
    }

    pub(super) async fn start_all(&self, change: Change<'_>) -> Result<Vec<Applied>, Problem> {
        let mut done: Vec<Applied> = Vec::new();
        for wave in order::waves_of(&self.platform, change.desired)? {
            let started = wave
                .into_iter()
                .map(|desired| self.start_when_ready(desired, change));
            done.extend(join_all(started).await);
        }
        done.sort_by_key(|applied| change.position(&applied.service));
        Ok(done)
    }

    /// Starts a service once what it needs (of what is applied with it) is up.
    async fn start_when_ready(&self, desired: &Desired, change: Change<'_>) -> Applied {
        let name = &desired.service;
        if let Err(reason) = needs::wait(self, &self.platform, name, change, LOOK).await {
            return Applied {
                service: name.clone(),
                outcome: AppliedOutcome::Waits(reason),
                before: self.before(name),
            };
        }
        self.start_one(desired).await
    }

    async fn start_one(&self, desired: &Desired) -> Applied {
        let name = &desired.service;
        let before = self.before(name);
        let outcome = match spec_in(desired) {
            Ok(spec) => self.run(name, spec.with_passed(variable)).await,
            Err(problem) => Err(problem),
        };
        Applied {
            service: name.clone(),
            outcome: outcome.unwrap_or_else(AppliedOutcome::Failed),
            before,
        }
    }

    pub(super) fn spec_of(&self, name: &ServiceName) -> Result<Spec, Problem> {
        let service = self.service(name)?;
        if service.command.is_empty()
            && let Err(untrusted) = self.platform.trust.permit()
        {
            return Err(Problem::NotDescribed {
                service: name.0.clone(),
                reason: untrusted.to_string(),
            });
        }
        let whole = &self.platform.folder;
        let folder = service
            .folder
            .clone()
            .or_else(|| (!whole.as_os_str().is_empty()).then(|| whole.clone()));
        Spec::of(service, folder, self.tuning.clone(), variable)
    }

    /// Makes a service run by this spec.
    async fn run(&self, name: &ServiceName, spec: Spec) -> Result<AppliedOutcome, Problem> {
        let (folder, _lock) = self.change(name).await?;
        let failed = |error: std::io::Error| Problem::failed(format!("starting {name}"), error);
        let here = Place::here().map_err(failed)?;
        let record = folder.read().map_err(failed)?;
        let Some(record) = record else {
            self.keep(name, &folder, spec, false).await?;
            return Ok(AppliedOutcome::Started);
        };
        let is_kept = record.keeper.is_alive(&here);
        let runs = record.stage == Stage::Running
            && record
                .child
                .as_ref()
                .is_some_and(|child| child.is_alive(&here));
        // A keeper that is about to end holds its lock for another moment.
        let has_keeper = is_kept && matches!(record.stage, Stage::Running | Stage::Waiting);
        if record.digest == spec.digest() && has_keeper {
            return Ok(AppliedOutcome::Unchanged);
        }
        if record.digest == spec.digest() && runs {
            self.keep(name, &folder, spec, true).await?;
            return Ok(AppliedOutcome::Unchanged);
        }
        let was_there = runs || has_keeper;
        self.end(name, &folder, &record, GRACE).await?;
        self.keep(name, &folder, spec, false).await?;
        Ok(if was_there {
            AppliedOutcome::Replaced
        } else {
            AppliedOutcome::Started
        })
    }

    /// Starts a keeper and waits until it says that the service runs.
    async fn keep(
        &self,
        name: &ServiceName,
        folder: &Folder,
        spec: Spec,
        adopt: bool,
    ) -> Result<(), Problem> {
        let what = || format!("starting {name}");
        let failed = |error: std::io::Error| Problem::failed(what(), error);
        let order = Order {
            folder: folder.0.clone(),
            spec,
            adopt,
        };
        let order = serde_json::to_vec(&order).map_err(|error| Problem::failed(what(), error))?;
        let mut keeper = tokio::process::Command::new(&self.program)
            .arg("keep")
            // It has what it needs in its order; nothing of ours is in its environment.
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let (stdin, stdout) = (keeper.stdin.take(), keeper.stdout.take());
        // Reaped when it ends, if this process is there then.
        tokio::spawn(async move { keeper.wait().await });
        let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(Problem::failed(what(), "its keeper has no pipes"));
        };
        let talk = async {
            stdin.write_all(&order).await?;
            drop(stdin);
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).await?;
            Ok::<_, std::io::Error>(line)
        };
        let line = tokio::time::timeout(LONGEST_START, talk)
            .await
            .map_err(|_| Problem::TimedOut {
                what: what(),
                waited: LONGEST_START,
            })?
            .map_err(failed)?;
        let reply: Reply = serde_json::from_str(&line)
            .map_err(|_| Problem::failed(what(), "its keeper ended without a word"))?;
        match reply.error {
            None => Ok(()),
            Some(error) => Err(Problem::failed(what(), error)),
        }
    }

    /// What a service is now, for `restore`.
    pub(super) fn before(&self, name: &ServiceName) -> Before {
        let record = self.folder_of(name).read().ok().flatten();
        let state = self.observed(name).state;
        let was_running = matches!(
            state,
            ServiceState::Running | ServiceState::Starting | ServiceState::Restarting { .. }
        );
        Before {
            service: name.clone(),
            configuration: record
                .as_ref()
                .and_then(|record: &Record| serde_json::to_value(&record.spec).ok()),
            was_running,
            image: record.and_then(|record| record.spec.command.first().cloned()),
            around: None,
        }
    }

    pub(super) async fn take_back(&self, before: &Before) -> Result<Applied, Problem> {
        let name = &before.service;
        self.service(name)?;
        let now = self.before(name);
        let outcome = match (&before.configuration, before.was_running) {
            (Some(configuration), true) => {
                let spec: Spec = serde_json::from_value(configuration.clone())
                    .map_err(|error| Problem::failed(format!("restoring {name}"), error))?;
                self.run(name, spec.with_passed(variable)).await
            }
            // It did not run: what runs now is ended, its logs stay.
            (Some(_), false) | (None, _) => {
                let stopped = self
                    .stop_all(std::slice::from_ref(name), GRACE)
                    .await?
                    .into_iter()
                    .next();
                match stopped.map(|stopped| stopped.outcome) {
                    Some(crate::runtime::values::StoppedOutcome::Failed(problem)) => Err(problem),
                    _ => Ok(AppliedOutcome::Removed),
                }
            }
        };
        Ok(Applied {
            service: name.clone(),
            outcome: outcome.unwrap_or_else(AppliedOutcome::Failed),
            before: now,
        })
    }
}

/// The spec that `resolve` wrote down.
fn spec_in(desired: &Desired) -> Result<Spec, Problem> {
    if let Some(problem) = &desired.problem {
        return Err(Problem::NotDescribed {
            service: desired.service.0.clone(),
            reason: problem.clone(),
        });
    }
    serde_json::from_value(desired.configuration.clone())
        .map_err(|error| Problem::failed(format!("starting {}", desired.service), error))
}
