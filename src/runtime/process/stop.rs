//! Stops services, with everything that belongs to them.

use std::{
    fs, io,
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use jiff::Timestamp;
use rustix::process::Signal;

use super::{
    ProcessRuntime,
    identity::{Identity, Place, Stat},
    members,
    record::{Folder, Record, RecordedExit, Stage},
};
use crate::{
    platform::{Bytes, ServiceName},
    runtime::{Problem, Stopped, stopping, values::StoppedOutcome},
};

/// Between two looks at what is to end.
const LOOK: Duration = Duration::from_millis(10);

/// What a keeper may take beyond the grace of its service.
const BEYOND: Duration = Duration::from_secs(5);

impl ProcessRuntime {
    pub(super) async fn stop_all(
        &self,
        services: &[ServiceName],
        grace: Duration,
    ) -> Result<Vec<Stopped>, Problem> {
        stopping::in_waves(&self.platform, services, |name| {
            self.stop_one(name, grace).boxed()
        })
        .await
    }

    async fn stop_one(&self, name: &ServiceName, grace: Duration) -> Stopped {
        let told = |outcome, freed| Stopped {
            service: name.clone(),
            outcome,
            freed,
        };
        if matches!(self.folder_of(name).read(), Ok(None)) {
            return told(StoppedOutcome::NotRunning, None);
        }
        let (folder, _lock) = match self.change(name).await {
            Ok(changed) => changed,
            Err(problem) => return told(StoppedOutcome::Failed(problem), None),
        };
        let stopped = match folder.read() {
            Ok(Some(record)) => self.end(name, &folder, &record, grace).await,
            Ok(None) => Ok((StoppedOutcome::NotRunning, None)),
            Err(error) => Err(Problem::failed(format!("stopping {name}"), error)),
        };
        match stopped {
            Ok((outcome, freed)) => told(outcome, freed),
            Err(problem) => told(StoppedOutcome::Failed(problem), None),
        }
    }

    /// Ends what a record tells of: by its keeper, or without one.
    pub(super) async fn end(
        &self,
        name: &ServiceName,
        folder: &Folder,
        record: &Record,
        grace: Duration,
    ) -> Result<(StoppedOutcome, Option<Bytes>), Problem> {
        let failed = |error: io::Error| Problem::failed(format!("stopping {name}"), error);
        let here = Place::here().map_err(failed)?;
        let look = || belonging(record, &here, &Stat::all()?);
        let processes = look().map_err(failed)?;
        let used: u64 = processes
            .iter()
            .filter_map(|stat| members::memory(stat.pid))
            .sum();
        let freed = (!processes.is_empty()).then_some(Bytes(used));
        let begun = Instant::now();
        let is_kept = record.keeper.is_alive(&here);
        if is_kept {
            fs::write(folder.grace(), grace.as_millis().to_string()).map_err(failed)?;
            signal(&record.keeper, Signal::TERM).map_err(failed)?;
            while record.keeper.is_alive(&here) {
                if begun.elapsed() > grace + BEYOND {
                    signal(&record.keeper, Signal::KILL).map_err(failed)?;
                }
                tokio::time::sleep(LOOK).await;
            }
        } else if processes.is_empty() {
            return Ok((StoppedOutcome::NotRunning, None));
        } else {
            send(&processes, Signal::TERM).map_err(failed)?;
            while begun.elapsed() < grace && !look().map_err(failed)?.is_empty() {
                tokio::time::sleep(LOOK).await;
            }
        }
        // A keeper ends what is left; where there is none, or it was killed, that is done here.
        let mut is_killed = false;
        for _ in 0..500 {
            let left = look().map_err(failed)?;
            if left.is_empty() {
                break;
            }
            is_killed = true;
            send(&left, Signal::KILL).map_err(failed)?;
            tokio::time::sleep(LOOK).await;
        }
        let after = folder
            .read()
            .map_err(failed)?
            .unwrap_or_else(|| record.clone());
        if after.stage == Stage::Stopped {
            let outcome = match &after.last_exit {
                _ if freed.is_none() => StoppedOutcome::NotRunning,
                Some(exit) if !exit.is_stubborn && !is_killed => StoppedOutcome::Ended(exit.told()),
                _ => StoppedOutcome::Killed,
            };
            return Ok((outcome, freed));
        }
        let exit = RecordedExit {
            code: None,
            signal: None,
            at: Timestamp::now().as_millisecond(),
            reason: Some(if is_killed {
                format!("did not end within {} ms and was ended", grace.as_millis())
            } else {
                "ended on request, without a keeper to see how".to_owned()
            }),
            is_stubborn: is_killed,
        };
        let told = exit.told();
        let stopped = Record {
            stage: Stage::Stopped,
            last_exit: Some(exit),
            ..after
        };
        folder.write(&stopped).map_err(failed)?;
        Ok((
            if is_killed {
                StoppedOutcome::Killed
            } else {
                StoppedOutcome::Ended(told)
            },
            freed,
        ))
    }
}

/// The processes of a service among all, its keeper not with them.
pub(super) fn belonging(record: &Record, here: &Place, all: &[Stat]) -> io::Result<Vec<Stat>> {
    let lives = |identity: &Identity| identity.is_alive(here).then_some(identity.pid);
    let keeper = lives(&record.keeper);
    let child = record.child.as_ref().and_then(lives);
    let roots: Vec<i32> = keeper.into_iter().chain(child).collect();
    let found = if roots.is_empty() {
        // Both numbers may be another's by now; the marker cannot.
        members::marked(all, &record.marker)
    } else {
        let mut found = members::members(all, &roots, Some(record.session), keeper);
        if keeper.is_none() {
            // What left the session and lost its parent.
            for stat in members::marked(all, &record.marker) {
                if !found.contains(&stat) {
                    found.push(stat);
                }
            }
        }
        found
    };
    Ok(found.into_iter().cloned().collect())
}

fn send(processes: &[Stat], signal: Signal) -> io::Result<()> {
    processes
        .iter()
        .try_for_each(|stat| members::signal(stat, signal))
}

fn signal(identity: &Identity, signal: Signal) -> io::Result<()> {
    match Stat::of(identity.pid) {
        Ok(stat) if stat.start == identity.start => members::signal(&stat, signal),
        _ => Ok(()),
    }
}
