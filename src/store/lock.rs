//! One process at a time does a piece of work: a lock of the operating system, which ends with its
//! process, however that ends.

use std::{
    fmt,
    fs::{File, OpenOptions, TryLockError},
    path::Path,
};

use serde_json::{Value, json};

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("another process has it: {0}")]
    Held(Holder),
    #[error("the lock cannot be taken: {0}")]
    Io(#[from] std::io::Error),
}

/// Who has a lock, as that process wrote it down.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holder {
    pub process: Option<u64>,
    /// RFC 3339.
    pub since: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.process, &self.since) {
            (Some(process), Some(since)) => write!(formatter, "process {process}, since {since}"),
            // Between taking the lock and writing its name.
            _ => formatter.write_str("it began this moment"),
        }
    }
}

impl Lock {
    /// `LockError::Held` where another process has it. `holder` is the file that says who has it.
    pub fn take(lock: &Path, holder: &Path) -> Result<Self, LockError> {
        let file = open(lock)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(who(holder))),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let own = json!({
            "process": std::process::id(),
            "since": jiff::Timestamp::now().to_string(),
        });
        // Beside the lock: on Windows a locked file cannot be read by others.
        std::fs::write(holder, own.to_string())?;
        Ok(Self { _file: file })
    }
}

pub(super) fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
}

pub(super) fn who(path: &Path) -> Holder {
    let written: Value = std::fs::read_to_string(path)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    Holder {
        process: written["process"].as_u64(),
        since: written["since"].as_str().map(str::to_owned),
    }
}
