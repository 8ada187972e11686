//! What is kept in the state folder of one service, so that any process of this binary can find it.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    identity::{Identity, Liveness},
    spec::Spec,
};
use crate::{
    digest,
    platform::ServiceName,
    runtime::{Exit, Observed, ServiceState},
    store::private,
};

/// The folder of one service.
#[derive(Debug, Clone)]
pub(super) struct Folder(pub PathBuf);

impl Folder {
    pub(super) fn record(&self) -> PathBuf {
        self.0.join("state.json")
    }

    /// Held by the keeper for as long as it lives.
    pub(super) fn keeper_lock(&self) -> PathBuf {
        self.0.join("keeper.lock")
    }

    /// Held by whoever applies or stops the service.
    pub(super) fn change_lock(&self) -> PathBuf {
        self.0.join("change.lock")
    }

    /// Grace in milliseconds, left by whoever asks the keeper to stop.
    pub(super) fn grace(&self) -> PathBuf {
        self.0.join("grace")
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    pub(super) fn read(&self) -> io::Result<Option<Record>> {
        match fs::read(self.record()) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
                io::Error::other(format!(
                    "{} cannot be read: {error}",
                    self.record().display()
                ))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Written whole or not at all.
    pub(super) fn write(&self, record: &Record) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(record)?;
        let aside = self.0.join("state.json.new");
        let mut file = private::empty_file(&aside)?;
        file.write_all(&text)?;
        fs::rename(&aside, self.record())
    }
}

/// The name of the folder of a service or platform: its name where that is a plain word, else one
/// that cannot be taken for another's.
pub(super) fn folder_name(name: &str) -> String {
    let plain = |character: char| {
        character.is_ascii_lowercase() || character.is_ascii_digit() || "-_.".contains(character)
    };
    let is_plain = name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.len() <= 60
        && name.chars().all(plain);
    if is_plain {
        return name.to_owned();
    }
    let readable: String = name
        .to_lowercase()
        .chars()
        .filter(|character| plain(*character))
        .take(40)
        .collect();
    let hash = digest::short(name, 8);
    format!("_{readable}-{hash}")
}

/// One service as its keeper last saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub keeper: Identity,
    /// The session of the keeper, in which its children are.
    pub session: i32,
    /// Stands in the environment of every child: `OPENPOLICY_SERVICE`.
    pub marker: String,
    pub stage: Stage,
    pub child: Option<Identity>,
    /// Milliseconds since 1970.
    pub started_at: Option<i64>,
    pub restarts: u32,
    pub last_exit: Option<RecordedExit>,
    pub digest: String,
    /// Without the values that may not stand on disk.
    pub spec: Spec,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    Running,
    /// It ended and will be started again.
    Waiting,
    /// It ended by itself and stays so.
    Ended,
    /// Someone stopped it.
    Stopped,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RecordedExit {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub at: i64,
    pub reason: Option<String>,
    /// It was asked to end, did not, and was ended.
    pub is_stubborn: bool,
}

impl RecordedExit {
    pub(super) fn told(&self) -> Exit {
        Exit {
            code: self.code,
            signal: self.signal,
            at: timestamp(self.at),
            reason: self.reason.clone(),
        }
    }
}

pub(super) fn timestamp(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or_default()
}

/// What a record says now, given which of its processes live.
pub(super) fn observed(
    service: ServiceName,
    record: &Record,
    keeper: Liveness,
    child: Liveness,
    now: Timestamp,
) -> Observed {
    let unseen = |reason: &str| {
        ServiceState::Exited(Exit {
            code: None,
            signal: None,
            at: now,
            reason: Some(reason.to_owned()),
        })
    };
    let last = record.last_exit.as_ref().map(RecordedExit::told);
    let mut note = None;
    let state = match (record.stage, keeper, child) {
        (_, Liveness::OtherNamespace, _) => ServiceState::Unknown(
            "it was started in another container; its processes cannot be seen from here".into(),
        ),
        (Stage::Running, _, Liveness::Alive) => {
            if keeper != Liveness::Alive {
                note = Some(
                    "its keeper was ended; it is not started again, and its output waits, until \
                     it is applied again"
                        .to_owned(),
                );
            }
            ServiceState::Running
        }
        (Stage::Running, _, Liveness::OtherBoot) => unseen("the machine was started again since"),
        (Stage::Running, Liveness::Alive, _) => ServiceState::Starting,
        (Stage::Running, _, _) => unseen("it ended unseen: its keeper had been ended before"),
        (Stage::Waiting, Liveness::Alive, _) => match last {
            Some(last) => ServiceState::Restarting {
                count: record.restarts,
                since: last.at,
                last,
            },
            None => ServiceState::Starting,
        },
        (stage, _, _) => {
            note = match stage {
                Stage::Waiting => Some("its keeper was ended: it is not started again".into()),
                Stage::Stopped => Some("stopped on request".into()),
                Stage::Running | Stage::Ended => None,
            };
            last.map_or_else(|| unseen("how is not known"), ServiceState::Exited)
        }
    };
    let is_running = state == ServiceState::Running;
    Observed {
        image: record.spec.command.first().cloned(),
        started_at: record.started_at.map(timestamp),
        restarts: record.restarts,
        instance: record
            .child
            .as_ref()
            .filter(|_| is_running)
            .map(|child| format!("pid {}", child.pid)),
        configuration: Some(record.digest.clone()),
        note,
        ..Observed::new(service, state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_different_names_differ() {
        assert_eq!(folder_name("scraper-service"), "scraper-service");
        let odd = ["../../etc", "A", "a/b", "", "ä", ".", "a b"];
        let mut folders: Vec<_> = odd.iter().map(|name| folder_name(name)).collect();
        for folder in &folders {
            assert!(folder.starts_with('_') && !folder.contains('/'), "{folder}");
        }
        folders.sort();
        folders.dedup();
        assert_eq!(folders.len(), odd.len());
    }

    #[test]
    fn what_is_told_follows_from_what_lives() {
        use Liveness::{Alive, Gone, OtherBoot, OtherNamespace};
        let own = Identity::of(std::process::id() as i32).expect("/proc is there");
        let mut service = crate::platform::Service::named("api");
        service.command = vec!["x".into()];
        let spec = Spec::of(
            &service,
            None,
            crate::runtime::process::Tuning::default(),
            |_| None,
        );
        let spec = spec.expect("a command");
        let record = |stage, exit: Option<i32>| Record {
            keeper: own.clone(),
            session: 1,
            marker: String::new(),
            stage,
            child: Some(own.clone()),
            started_at: Some(1),
            restarts: 2,
            last_exit: exit.map(|code| RecordedExit {
                code: Some(code),
                signal: None,
                at: 5,
                reason: None,
                is_stubborn: false,
            }),
            digest: spec.digest(),
            spec: spec.clone(),
        };
        for (stage, exit, keeper, child, word, note) in [
            (Stage::Running, None, Alive, Alive, "running", false),
            (Stage::Running, None, Gone, Alive, "running", true),
            (Stage::Running, None, Gone, Gone, "exited", false),
            (Stage::Running, None, Gone, OtherBoot, "exited", false),
            (
                Stage::Running,
                None,
                OtherNamespace,
                OtherNamespace,
                "unknown",
                false,
            ),
            (Stage::Waiting, Some(1), Alive, Gone, "restarting", false),
            (Stage::Waiting, Some(1), Gone, Gone, "exited", true),
            (Stage::Ended, Some(0), Gone, Gone, "exited", false),
            (Stage::Stopped, Some(0), Gone, Gone, "exited", true),
        ] {
            let told = observed(
                service.name.clone(),
                &record(stage, exit),
                keeper,
                child,
                Timestamp::UNIX_EPOCH,
            );
            assert_eq!(told.state.as_str(), word, "{stage:?} {keeper:?} {child:?}");
            assert_eq!(told.note.is_some(), note, "{stage:?} {keeper:?} {child:?}");
        }
    }
}
