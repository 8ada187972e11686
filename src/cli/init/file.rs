//! Writes a configuration file whole or not at all, and keeps what was there before beside it.

use std::{
    ffi::OsString,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use super::super::places;

/// The text of the file; empty where there is none yet.
pub fn read(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    }
}

/// Replaces the file, which held `before`, and answers where that is kept now (None for a new
/// file). A link stays a link: what it points to is replaced. A file that changed since it was
/// read is left alone. A private one (it holds a secret) is for its owner alone afterwards.
pub fn replace(
    path: &Path,
    before: &str,
    text: &str,
    is_private: bool,
) -> io::Result<Option<PathBuf>> {
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let is_new = !path.exists();
    let fresh = beside(path, ".new");
    let mut file = fs::File::create_new(&fresh)?;
    let written = (|| {
        if !is_new {
            fs::set_permissions(&fresh, fs::metadata(path)?.permissions())?;
        }
        if is_private {
            places::for_owner_alone(&fresh)?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        if read(path)? != before {
            return Err(io::Error::other("it was changed by someone else just now"));
        }
        let kept = if is_new { None } else { Some(backup(path)?) };
        fs::rename(&fresh, path)?;
        Ok(kept)
    })();
    if written.is_err() {
        // What matters is the first error; a leftover `.new` is named in the next attempt's.
        let _ = fs::remove_file(&fresh);
    }
    written
}

/// Copies the file to the first free of `.bak`, `.bak2`, …
fn backup(path: &Path) -> io::Result<PathBuf> {
    let mut copy = beside(path, ".bak");
    let mut number = 2;
    while copy.exists() {
        copy = beside(path, &format!(".bak{number}"));
        number += 1;
    }
    fs::copy(path, &copy)?;
    Ok(copy)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(ending);
    path.with_file_name(name)
}
