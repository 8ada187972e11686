//! Which process it is: a pid alone may be another process by now.
//!
//! `/proc` is read as proc(5) describes it.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::runtime::{Problem, RunningCommand};

/// A process, told apart from every other that ever had its pid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::runtime) struct Identity {
    pub pid: i32,
    /// Start time in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub start: u64,
    pub place: Place,
}

/// Where a pid means something: one boot of one kernel, one pid namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::runtime) struct Place {
    boot: String,
    namespace: String,
}

/// Whether a process that was recorded still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime) enum Liveness {
    Alive,
    Gone,
    /// The machine was started again since.
    OtherBoot,
    /// It was recorded in another container: its pid means nothing here.
    OtherNamespace,
}

impl Place {
    pub(in crate::runtime) fn here() -> io::Result<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let namespace = fs::read_link("/proc/self/ns/pid")?;
        Ok(Self {
            boot: boot.trim().to_owned(),
            namespace: namespace.to_string_lossy().into_owned(),
        })
    }
}

/// This process, as the journal of a deployment names it.
pub fn this_process(what: &str) -> Result<RunningCommand, Problem> {
    let failed = |error: io::Error| Problem::failed("reading /proc", error);
    let pid = std::process::id();
    let own = i32::try_from(pid).unwrap_or(i32::MAX);
    Ok(RunningCommand {
        what: what.to_owned(),
        pid,
        started: Stat::of(own).map_err(failed)?.start,
        boot: Place::here().map_err(failed)?.boot,
    })
}

/// Becomes the leader of a session of its own. Who is one already stays it.
pub fn detach() -> Result<(), Problem> {
    match rustix::process::setsid() {
        Ok(_) | Err(rustix::io::Errno::PERM) => Ok(()),
        Err(error) => Err(Problem::failed("beginning a session", error)),
    }
}

impl Place {
    /// Of the system's start, as `/proc/sys/kernel/random/boot_id` has it.
    pub(in crate::runtime) fn boot(&self) -> &str {
        &self.boot
    }
}

impl Identity {
    pub(in crate::runtime) fn of(pid: i32) -> io::Result<Self> {
        Ok(Self {
            pid,
            start: Stat::of(pid)?.start,
            place: Place::here()?,
        })
    }

    pub(in crate::runtime) fn liveness(&self, here: &Place) -> Liveness {
        let stat = Stat::of(self.pid).ok();
        liveness(self, here, stat.as_ref())
    }

    pub(in crate::runtime) fn is_alive(&self, here: &Place) -> bool {
        self.liveness(here) == Liveness::Alive
    }
}

fn liveness(recorded: &Identity, here: &Place, now: Option<&Stat>) -> Liveness {
    if recorded.place.boot != here.boot {
        return Liveness::OtherBoot;
    }
    if recorded.place.namespace != here.namespace {
        return Liveness::OtherNamespace;
    }
    match now {
        // A zombie does nothing more.
        Some(stat) if stat.start == recorded.start && !stat.is_zombie => Liveness::Alive,
        _ => Liveness::Gone,
    }
}

/// What `/proc/PID/stat` says, as far as it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runtime) struct Stat {
    pub pid: i32,
    pub is_zombie: bool,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    /// Processor time in clock ticks: its own, and that of children that it waited for.
    pub ticks: u64,
    pub start: u64,
}

impl Stat {
    pub(in crate::runtime) fn of(pid: i32) -> io::Result<Self> {
        let text = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"))?;
        Self::parse(&text).ok_or_else(|| io::Error::other("/proc/PID/stat cannot be read"))
    }

    /// Every process that can be seen.
    pub(in crate::runtime) fn all() -> io::Result<Vec<Self>> {
        let mut all = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // It may be gone by now.
            all.extend(Self::of(pid).ok());
        }
        Ok(all)
    }

    fn parse(text: &str) -> Option<Self> {
        let pid = text.split(' ').next()?.parse().ok()?;
        // The name stands in brackets and may hold anything, brackets too.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        // The first field here is the third of proc(5).
        let number = |field: usize| fields.get(field - 3)?.parse::<i64>().ok();
        let ticks = (14..=17).try_fold(0, |sum: i64, field| Some(sum + number(field)?.max(0)))?;
        Some(Self {
            pid,
            is_zombie: matches!(*fields.first()?, "Z" | "X"),
            parent: number(4)? as i32,
            group: number(5)? as i32,
            session: number(6)? as i32,
            ticks: ticks as u64,
            start: number(22)? as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(boot: &str, namespace: &str) -> Place {
        Place {
            boot: boot.into(),
            namespace: namespace.into(),
        }
    }

    #[test]
    fn a_name_with_brackets_and_blanks_is_read_over() {
        let text = "42 (a) b (c)) S 1 42 40 0 -1 4194560 1 2 3 4 10 20 3 4 20 0 1 0 777 1 2";
        let stat = Stat::parse(text).expect("it is read");
        assert_eq!(
            (stat.pid, stat.parent, stat.group, stat.session),
            (42, 1, 42, 40)
        );
        assert_eq!((stat.ticks, stat.start, stat.is_zombie), (37, 777, false));
    }

    #[test]
    fn a_reused_pid_is_another_process() {
        let recorded = Identity {
            pid: 42,
            start: 777,
            place: place("b", "n"),
        };
        let stat = |start, is_zombie| Stat {
            pid: 42,
            is_zombie,
            parent: 1,
            group: 42,
            session: 42,
            ticks: 0,
            start,
        };
        let here = place("b", "n");
        for (now, here, expected) in [
            (Some(stat(777, false)), &here, Liveness::Alive),
            (Some(stat(777, true)), &here, Liveness::Gone),
            (Some(stat(778, false)), &here, Liveness::Gone),
            (None, &here, Liveness::Gone),
            (
                Some(stat(777, false)),
                &place("c", "n"),
                Liveness::OtherBoot,
            ),
            (
                Some(stat(777, false)),
                &place("b", "m"),
                Liveness::OtherNamespace,
            ),
        ] {
            assert_eq!(liveness(&recorded, here, now.as_ref()), expected);
        }
    }

    #[test]
    fn this_process_is_found_again() {
        let own = Identity::of(std::process::id() as i32).expect("/proc is there");
        let here = Place::here().expect("/proc is there");
        assert!(own.is_alive(&here));
        let all = Stat::all().expect("/proc is there");
        assert!(
            all.iter()
                .any(|stat| stat.pid == own.pid && stat.start == own.start)
        );
    }
}
