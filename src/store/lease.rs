//! Who drives: an exclusive lock of the operating system, which ends with whoever holds it.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Seek as _, Write as _},
    path::Path,
};

/// A lock that is held for as long as this lives.
#[derive(Debug)]
pub struct Lease {
    _file: File,
}

impl Lease {
    /// Takes it, and writes down who holds it, for people; none where somebody else holds it.
    pub fn take(path: &Path, holder: &str) -> io::Result<Option<Self>> {
        let mut file = open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(holder.as_bytes())?;
        Ok(Some(Self { _file: file }))
    }

    /// Whether somebody holds it now. Who looks holds it for a moment, so `take` is tried again.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        if !path.exists() {
            return Ok(false);
        }
        match open(path)?.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_until_it_lets_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lease");
        assert!(!Lease::is_held(&path).expect("a look"));
        let held = Lease::take(&path, "run 1").expect("a lock");
        assert!(held.is_some() && Lease::is_held(&path).expect("a look"));
        assert!(Lease::take(&path, "run 2").expect("a try").is_none());
        drop(held);
        assert!(!Lease::is_held(&path).expect("a look"));
        assert!(Lease::take(&path, "run 2").expect("a try").is_some());
    }
}
