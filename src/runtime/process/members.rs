//! Which processes belong to a service, and how they are signalled without hitting another.

use std::{collections::HashSet, fs, io};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::identity::Stat;

/// The name of the variable that every child of a service carries.
pub(super) const MARKER: &str = "OPENPOLICY_SERVICE";

/// Everything below `roots` in the tree of processes, and everything in `session`; the roots too,
/// `except` not. Zombies use nothing and are left away.
pub(super) fn members<'a>(
    all: &'a [Stat],
    roots: &[i32],
    session: Option<i32>,
    except: Option<i32>,
) -> Vec<&'a Stat> {
    let mut inside: HashSet<i32> = roots.iter().copied().collect();
    loop {
        let before = inside.len();
        for stat in all {
            if inside.contains(&stat.parent) {
                inside.insert(stat.pid);
            }
        }
        if inside.len() == before {
            break;
        }
    }
    all.iter()
        .filter(|stat| inside.contains(&stat.pid) || Some(stat.session) == session)
        .filter(|stat| Some(stat.pid) != except && !stat.is_zombie)
        .collect()
}

/// Everything that carries this marker in its environment, wherever it moved to. Processes of
/// others cannot be read and are none of ours.
pub(super) fn marked<'a>(all: &'a [Stat], marker: &str) -> Vec<&'a Stat> {
    let wanted = format!("{MARKER}={marker}");
    all.iter()
        .filter(|stat| !stat.is_zombie)
        .filter(|stat| {
            fs::read(format!("/proc/{}/environ", stat.pid)).is_ok_and(|environment| {
                environment
                    .split(|byte| *byte == 0)
                    .any(|variable| variable == wanted.as_bytes())
            })
        })
        .collect()
}

/// Signals exactly this process: the descriptor is opened first, then the start time is compared,
/// so that a pid that was taken anew meanwhile is left alone. One that is gone is fine.
pub(in crate::runtime) fn signal(stat: &Stat, signal: Signal) -> io::Result<()> {
    let Some(pid) = Pid::from_raw(stat.pid) else {
        return Ok(());
    };
    let is_gone = |error: rustix::io::Errno| {
        if error == rustix::io::Errno::SRCH {
            Ok(())
        } else {
            Err(io::Error::from(error))
        }
    };
    let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => descriptor,
        Err(error) => return is_gone(error),
    };
    match Stat::of(stat.pid) {
        Ok(now) if now.start == stat.start => {
            pidfd_send_signal(descriptor, signal).or_else(is_gone)
        }
        _ => Ok(()),
    }
}

/// Bytes that the system could not take back: anonymous and shared memory (`RssAnon`, `RssShmem`
/// of `/proc/PID/status`; pages of files can be dropped). None: it is gone or not ours.
pub(super) fn memory(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    };
    match of("RssAnon:") {
        Some(anonymous) => Some(anonymous + of("RssShmem:").unwrap_or_default()),
        // Before Linux 4.5.
        None => of("VmRSS:"),
    }
}

/// Bytes read from and written to disks (`/proc/PID/io`).
pub(super) fn disk(pid: i32) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    Some((of("read_bytes:")?, of("write_bytes:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_of_children_belong_and_so_does_the_session() {
        let stat = |pid, parent, session, is_zombie| Stat {
            pid,
            is_zombie,
            parent,
            group: pid,
            session,
            ticks: 0,
            start: 1,
        };
        let all = [
            stat(12, 11, 10, false),
            stat(10, 1, 10, false),
            stat(11, 10, 10, false),
            // Moved to a session of its own.
            stat(13, 12, 13, false),
            // Its parent ended; the session tells.
            stat(14, 1, 10, false),
            stat(15, 10, 10, true),
            stat(20, 1, 20, false),
        ];
        let pids = |found: Vec<&Stat>| found.iter().map(|stat| stat.pid).collect::<Vec<_>>();
        assert_eq!(
            pids(members(&all, &[10], Some(10), Some(10))),
            [12, 11, 13, 14]
        );
        assert_eq!(pids(members(&all, &[11], None, None)), [12, 11, 13]);
    }

    #[test]
    fn this_process_uses_memory() {
        let used = memory(std::process::id() as i32).expect("/proc is there");
        assert!(used > 100 * 1024, "{used}");
    }
}
