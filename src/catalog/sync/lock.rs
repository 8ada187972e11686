//! One process at a time copies a catalog: a lock of the operating system, which ends with its
//! process, however that ends.

use std::{
    fmt,
    fs::{File, OpenOptions, TryLockError},
    path::Path,
};

use serde_json::{Value, json};

use super::{Place, SyncError};

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Who copies, as that process wrote it down.
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
    /// `SyncError::Held` where another process has it.
    pub fn take(place: &Place) -> Result<Self, SyncError> {
        let file = open(&place.lock()).map_err(SyncError::Lock)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SyncError::Held(holder(&place.holder()))),
            Err(TryLockError::Error(error)) => return Err(SyncError::Lock(error)),
        }
        let holder = json!({
            "process": std::process::id(),
            "since": jiff::Timestamp::now().to_string(),
        });
        // Beside the lock: on Windows a locked file cannot be read by others.
        std::fs::write(place.holder(), holder.to_string()).map_err(SyncError::Lock)?;
        Ok(Self { _file: file })
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
}

fn holder(path: &Path) -> Holder {
    let written: Value = std::fs::read_to_string(path)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    Holder {
        process: written["process"].as_u64(),
        since: written["since"].as_str().map(str::to_owned),
    }
}
