//! Dumps of databases: made in their own service, written to this machine, read back before they
//! count.
//!
//! `pg_dump` in its custom format, as `pg_restore` reads it. A dump has a manifest beside it, which is
//! written last: what has none was never verified.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    answer::clean,
    digest::hex,
    logs::Mask,
    platform::model::Database,
    runtime::{Output, Runtime, Streams},
    store::private,
};

/// A dump or its way back may take so long.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// Of what a program said, when it failed.
const LONGEST_SAID: usize = 300;

/// A dump that was read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Its name: that of its file.
    pub name: String,
    pub at: Timestamp,
    /// The run before which it was made.
    pub run: Option<i64>,
    pub database: Database,
    pub bytes: u64,
    pub sha256: String,
    /// Objects that `pg_restore --list` found in it.
    pub objects: usize,
}

/// Dumps a database, reads the dump back, and keeps it.
pub async fn make(
    runtime: &Arc<dyn Runtime>,
    folder: &Path,
    database: &Database,
    run: Option<i64>,
) -> Result<Made, String> {
    let on_disk = |error: io::Error| format!("{} cannot be written: {error}", folder.display());
    private::folder(folder).map_err(on_disk)?;
    let at = Timestamp::now();
    let name = format!(
        "{}-{}-{}.dump",
        at.as_millisecond(),
        plain(&database.service.0),
        plain(&database.name)
    );
    let file = folder.join(&name);
    let dumping = words(&[
        "pg_dump",
        "--format=custom",
        "--no-password",
        "--username",
        &database.user,
        "--dbname",
        &database.name,
    ]);
    let streams = Streams {
        output: Some(&file),
        ..Streams::default()
    };
    let dumped = runtime
        .exec(&database.service, &dumping, streams, LONGEST)
        .await
        .map_err(|problem| problem.to_string())
        .and_then(|output| fine("pg_dump", &output));
    if let Err(reason) = dumped {
        // Half a dump is no backup.
        let _ = fs::remove_file(&file);
        return Err(reason);
    }
    let objects = objects_in(runtime, &file, database).await?;
    let (bytes, sha256) = measured(&file).map_err(on_disk)?;
    let made = Made {
        name,
        at,
        run,
        database: database.clone(),
        bytes,
        sha256,
        objects,
    };
    let manifest = serde_json::to_vec_pretty(&made).map_err(|error| error.to_string())?;
    let aside = manifest_of(&file).with_extension("new");
    fs::write(&aside, manifest).map_err(on_disk)?;
    fs::rename(&aside, manifest_of(&file)).map_err(on_disk)?;
    Ok(made)
}

/// Reads a dump as whoever restores it would.
async fn objects_in(
    runtime: &Arc<dyn Runtime>,
    file: &Path,
    database: &Database,
) -> Result<usize, String> {
    let listing = words(&["pg_restore", "--list"]);
    let streams = Streams {
        input: Some(file),
        ..Streams::default()
    };
    let output = runtime
        .exec(&database.service, &listing, streams, LONGEST)
        .await
        .map_err(|problem| format!("the dump could not be read back: {problem}"))?;
    fine("pg_restore --list", &output)?;
    let lines = output.text.lines().filter(|line| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with(';')
    });
    match lines.count() {
        // A database without anything in it has its header alone.
        0 if !output.text.contains("TOC Entries") => Err("the dump has no list of contents".into()),
        count => Ok(count),
    }
}

/// Every dump that was verified, newest first.
pub fn kept(folder: &Path) -> io::Result<Vec<Made>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut all = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "json")
            && let Ok(made) = serde_json::from_slice::<Made>(&fs::read(&path)?)
        {
            all.push(made);
        }
    }
    all.sort_by_key(|made| std::cmp::Reverse(made.at));
    Ok(all)
}

/// Whether the file is still what was verified.
pub fn check(folder: &Path, made: &Made) -> Result<(), String> {
    let (bytes, sha256) = measured(&folder.join(&made.name))
        .map_err(|error| format!("{} cannot be read: {error}", made.name))?;
    match bytes == made.bytes && sha256 == made.sha256 {
        true => Ok(()),
        false => Err(format!(
            "{} is not what was verified: it was changed since",
            made.name
        )),
    }
}

/// Puts a dump back over its database, all of it or nothing.
pub async fn restore(runtime: &Arc<dyn Runtime>, folder: &Path, made: &Made) -> Result<(), String> {
    check(folder, made)?;
    let command = words(&[
        "pg_restore",
        "--clean",
        "--if-exists",
        "--exit-on-error",
        "--single-transaction",
        "--no-password",
        "--username",
        &made.database.user,
        "--dbname",
        &made.database.name,
    ]);
    let file = folder.join(&made.name);
    let streams = Streams {
        input: Some(&file),
        ..Streams::default()
    };
    let output = runtime
        .exec(&made.database.service, &command, streams, LONGEST)
        .await
        .map_err(|problem| problem.to_string())?;
    fine("pg_restore", &output)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn fine(program: &str, output: &Output) -> Result<(), String> {
    if output.exit.is_success() {
        return Ok(());
    }
    let said = Mask::new(&[]).masked(output.text.trim());
    Err(format!(
        "{program} ended with {}: {}",
        output.exit,
        clean::text(&said, LONGEST_SAID)
    ))
}

/// Size in bytes, and hash.
fn measured(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        bytes += count as u64;
        hash.update(buffer.get(..count).unwrap_or_default());
    }
    Ok((bytes, hex(&hash.finalize())))
}

fn manifest_of(file: &Path) -> PathBuf {
    file.with_extension("dump.json")
}

/// A part of a file name, whatever stands in a name.
fn plain(name: &str) -> String {
    name.chars()
        .take(40)
        .map(|letter| match letter {
            letter if letter.is_ascii_alphanumeric() || letter == '_' => letter,
            _ => '_',
        })
        .collect()
}
