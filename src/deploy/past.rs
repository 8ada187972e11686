//! What was done to a platform in a window of time, as its journal tells it.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    book,
    deployments::{DeployError, Deployments},
    event::EndState,
    plan::Kind,
    state::Status,
};
use crate::{
    health::Watch,
    platform::ServiceName,
    store::{
        Journal,
        journal::{Intervention, RunRow},
    },
};

/// One run, shortly.
#[derive(Debug, Clone, PartialEq)]
pub struct PastRun {
    pub run: i64,
    pub kind: Kind,
    pub status: Status,
    pub began: Timestamp,
    pub ended: Option<Timestamp>,
    pub by: String,
    pub reason: Option<String>,
    /// Names of its phases.
    pub phases: Vec<String>,
    /// Services that it acted on.
    pub touched: Vec<ServiceName>,
    /// When its plan was made.
    pub planned: Timestamp,
}

impl PastRun {
    /// `run 7: infrastructure, apps`.
    pub fn what(&self) -> String {
        let what = match self.kind {
            Kind::RollBack => format!("rollback of {} services", self.touched.len()),
            Kind::Deploy => self.phases.join(", "),
        };
        format!("run {}: {what}", self.run)
    }

    pub fn is_success(&self) -> bool {
        self.status == Status::Ended(EndState::Succeeded)
    }
}

/// Everything in a window.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Past {
    /// Newest first.
    pub runs: Vec<PastRun>,
    /// Runs that were not read: there are more than `most`.
    pub left: u64,
    pub interventions: Vec<Intervention>,
}

impl Deployments {
    /// What the journal of a platform tells; nothing where there never was one. Asks no runtime,
    /// makes no file, and needs no trust.
    pub async fn past(
        watch: &Arc<Watch>,
        since: Timestamp,
        until: Timestamp,
        most: usize,
    ) -> Result<Past, DeployError> {
        let Some(path) = watch.site().map(|site| site.folder.join("journal.sqlite")) else {
            return Ok(Past::default());
        };
        if !path.exists() {
            return Ok(Past::default());
        }
        let read = tokio::task::spawn_blocking(move || {
            let journal = Journal::open(&path)?;
            read(&journal, since, until, most)
        });
        read.await
            .map_err(|error| DeployError::NoDriver(error.to_string()))?
    }
}

fn read(
    journal: &Journal,
    since: Timestamp,
    until: Timestamp,
    most: usize,
) -> Result<Past, DeployError> {
    let (since, until) = (since.as_millisecond(), until.as_millisecond());
    let (rows, total) = journal.runs_between(since, until, most)?;
    let left = total.saturating_sub(rows.len() as u64);
    Ok(Past {
        runs: rows
            .into_iter()
            .map(|row| past_run(journal, &row))
            .collect::<Result<_, _>>()?,
        left,
        interventions: journal.interventions(since, until)?,
    })
}

fn past_run(journal: &Journal, row: &RunRow) -> Result<PastRun, DeployError> {
    let reading = book::read(journal, row.id)?;
    let (plan, state) = (&reading.plan, &reading.state);
    let touched = match plan.kind {
        Kind::Deploy => state
            .touched
            .iter()
            .map(|one| one.service.clone())
            .collect(),
        Kind::RollBack => state.restored.keys().cloned().collect(),
    };
    Ok(PastRun {
        run: row.id,
        kind: plan.kind,
        status: state.status,
        began: state
            .created_at
            .unwrap_or_else(|| Timestamp::from_millisecond(row.created).unwrap_or_default()),
        ended: state.ended_at,
        by: state.by.clone(),
        reason: state.reason.clone(),
        phases: plan.phases.iter().map(|one| one.name.clone()).collect(),
        touched,
        planned: plan.created_at,
    })
}
