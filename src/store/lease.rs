//! The lease of a target: a lock of the operating system, whose holder gives a sign of life now and then.
//!
//! The lock ends with its process, however that ends. A process that is frozen goes on holding it, and is
//! the one case for the sign: who gave none for long enough has lost the lease, and another may take it
//! over. When the frozen one goes on, it finds that the lease is not its own any more.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::lock::{LockError, open, who};

/// Between two signs of life.
pub const BEAT: Duration = Duration::from_secs(2);
/// Who gave no sign for so long has lost the lease.
pub const LASTS: Duration = Duration::from_secs(20);
/// Whoever takes a lease over watches for so long that really no sign is given: a clock may have jumped.
pub const WATCHED: Duration = Duration::from_secs(5);

/// What a holder writes down of itself, again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sign {
    pub process: u32,
    /// Since when it holds the lease.
    since: Timestamp,
    beats: u64,
    at: Timestamp,
}

impl Sign {
    /// How long ago it was given.
    pub fn age(&self) -> Duration {
        Duration::try_from(Timestamp::now().duration_since(self.at)).unwrap_or_default()
    }
}

/// Who has a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    Nobody,
    /// A process that gives signs, or one of an older version, which gives none.
    Alive,
    /// A process that has given no sign for too long.
    Silent(Sign),
}

/// Held until it is dropped, or taken over.
#[derive(Debug)]
pub struct Lease {
    file: File,
    path: PathBuf,
    since: Timestamp,
    beats: AtomicU64,
}

impl Lease {
    /// `LockError::Held` where another process has it, also one that is silent.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        loop {
            let file = open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(LockError::Held(who(&sign_of(path)))),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            let lease = Self {
                file,
                path: path.to_owned(),
                since: Timestamp::now(),
                beats: AtomicU64::default(),
            };
            // The file may have been put aside between opening and locking it.
            if lease.is_ours() {
                lease.beat()?;
                return Ok(lease);
            }
        }
    }

    /// Takes it from a holder who still gives no other sign than this one.
    pub fn take_over(path: &Path, silent: &Sign) -> Result<Self, LockError> {
        // Of several who take over one does.
        let guard = open(&path.with_extension("takeover"))?;
        match guard.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(who(&sign_of(path)))),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        if sign(path).as_ref() == Some(silent) {
            // Its lock stays on a file that nobody finds any more.
            fs::remove_file(path)?;
        }
        Self::take(path)
    }

    /// Gives a sign of life.
    pub fn beat(&self) -> io::Result<()> {
        let sign = Sign {
            process: std::process::id(),
            since: self.since,
            beats: self.beats.fetch_add(1, Ordering::Relaxed),
            at: Timestamp::now(),
        };
        let aside = self.path.with_extension(format!("{}.new", sign.process));
        fs::write(&aside, serde_json::to_vec(&sign)?)?;
        // Beside the lock: on Windows a locked file cannot be read by others.
        fs::rename(&aside, sign_of(&self.path))
    }

    /// Whether nobody has taken it over.
    pub fn is_ours(&self) -> bool {
        match (self.file.metadata(), fs::metadata(&self.path)) {
            (Ok(own), Ok(there)) => is_same(&own, &there),
            _ => false,
        }
    }

    /// Who has it now. Who looks has it for a moment, so `take` is tried again.
    pub fn held(path: &Path) -> io::Result<Held> {
        Self::held_by(path, LASTS)
    }

    fn held_by(path: &Path, lasts: Duration) -> io::Result<Held> {
        if !path.exists() {
            return Ok(Held::Nobody);
        }
        match open(path)?.try_lock_shared() {
            Ok(()) => Ok(Held::Nobody),
            Err(TryLockError::WouldBlock) => Ok(match sign(path) {
                Some(sign) if sign.age() > lasts => Held::Silent(sign),
                _ => Held::Alive,
            }),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[cfg(unix)]
fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// A locked file cannot be put aside there.
#[cfg(not(unix))]
fn is_same(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true
}

fn sign_of(path: &Path) -> PathBuf {
    path.with_extension("json")
}

fn sign(path: &Path) -> Option<Sign> {
    serde_json::from_slice(&fs::read(sign_of(path)).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gives_no_sign_loses_the_lease_and_finds_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lease-1");
        assert_eq!(Lease::held(&path).expect("it"), Held::Nobody);
        let frozen = Lease::take(&path).expect("the lease");
        assert_eq!(Lease::held(&path).expect("it"), Held::Alive);
        let held = Lease::take(&path).expect_err("held");
        assert!(matches!(held, LockError::Held(by) if by.process.is_some()));
        let Ok(Held::Silent(first)) = Lease::held_by(&path, Duration::ZERO) else {
            panic!("a sign is always older than nothing");
        };
        // It gives another sign while somebody wants to take it over.
        frozen.beat().expect("a sign");
        let refused = Lease::take_over(&path, &first);
        assert!(matches!(refused, Err(LockError::Held(_))));
        assert!(frozen.is_ours());

        let silent = sign(&path).expect("a sign");
        let next = Lease::take_over(&path, &silent).expect("the lease");
        assert!(next.is_ours() && !frozen.is_ours());
        // Once is enough.
        assert!(Lease::take_over(&path, &silent).is_err());
        assert_eq!(Lease::held(&path).expect("it"), Held::Alive);
        drop(frozen);
        assert!(next.is_ours());
        assert!(Lease::take(&path).is_err());
        drop(next);
        assert!(Lease::take(&path).is_ok());
    }
}
