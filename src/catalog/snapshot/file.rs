//! The snapshot file of a live catalog: opened when it is first needed, and anew when another
//! process has put another in its place.
//!
//! Never used: a file that is damaged, of another format, or not of this server and credential.

use std::{
    fs::Metadata,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use super::Snapshot;
use crate::catalog::sync::{Place, PlaceError};

/// Answers where the file of now lies: a token file may have become another's.
type WhereNow = Box<dyn Fn() -> Result<Place, PlaceError> + Send + Sync>;

/// The file, and what was opened of it.
pub struct SnapshotFile {
    place: WhereNow,
    /// Below it every snapshot lies. Where it does not exist there is none.
    folder: PathBuf,
    known: Mutex<Option<Known>>,
}

/// What stands at the place of a snapshot.
#[derive(Clone)]
pub enum Held {
    Open(Arc<Snapshot>),
    /// None was taken for this server and this credential.
    Absent,
    /// One stands there that is not used, and why: a sentence without a full stop.
    Unusable(String),
}

#[derive(Clone)]
struct Known {
    path: PathBuf,
    mark: Mark,
    held: Held,
}

/// Tells one file from the next at the same path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    length: u64,
    changed: Option<SystemTime>,
    #[cfg(unix)]
    number: (u64, u64),
}

impl Mark {
    fn of(file: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt as _;
        Self {
            length: file.len(),
            changed: file.modified().ok(),
            #[cfg(unix)]
            number: (file.dev(), file.ino()),
        }
    }
}

impl SnapshotFile {
    /// `state`: the state folder, which need not exist yet.
    pub fn new(
        state: &Path,
        place: impl Fn() -> Result<Place, PlaceError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            place: Box::new(place),
            folder: state.join("catalog"),
            known: Mutex::new(None),
        }
    }

    /// What stands there now. Calls under way keep the snapshot that they began with.
    pub async fn look(self: &Arc<Self>) -> Held {
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || this.look_now())
            .await
            .unwrap_or_else(|_| Held::Unusable("the snapshot could not be opened".into()))
    }

    /// The same, waiting for the file system.
    pub fn look_now(&self) -> Held {
        if !self.folder.is_dir() {
            return Held::Absent;
        }
        let place = match (self.place)() {
            Ok(place) => place,
            Err(error) => return Held::Unusable(error.to_string()),
        };
        let path = place.snapshot();
        let mark = match std::fs::metadata(&path) {
            Ok(file) => Mark::of(&file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Held::Absent,
            Err(error) => return Held::Unusable(at(&path, &error)),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*known
            && known.path == path
            && known.mark == mark
        {
            return match &known.held {
                Held::Open(snapshot) if snapshot.is_damaged() => Held::Unusable(damaged(&path)),
                held => held.clone(),
            };
        }
        let held = match opened(&place, &path) {
            Ok(snapshot) => Held::Open(Arc::new(snapshot)),
            Err(why) => {
                tracing::warn!(path = %path.display(), why, "A snapshot is not used");
                Held::Unusable(why)
            }
        };
        *known = Some(Known {
            path,
            mark,
            held: held.clone(),
        });
        held
    }
}

/// Opens the snapshot of a place and holds it to be of that place.
fn opened(place: &Place, path: &Path) -> Result<Snapshot, String> {
    let snapshot = Snapshot::open(path).map_err(|error| match error {
        super::SnapshotError::Storage(error) if is_damage(&error) => damaged(path),
        error => at(path, &error),
    })?;
    let head = snapshot.head();
    let is_of = |said: &Option<String>, wanted: &str| said.as_deref() == Some(wanted);
    if !is_of(&head.url, place.url()) {
        return Err(at(path, "it is of another OpenMetadata"));
    }
    if !is_of(&head.identity, place.identity()) {
        return Err(at(path, "it was taken with another credential"));
    }
    Ok(snapshot)
}

fn at(path: &Path, why: impl std::fmt::Display) -> String {
    format!("the snapshot {} is not used: {why}", path.display())
}

fn damaged(path: &Path) -> String {
    at(
        path,
        "the file is damaged; run `openpolicy-mcp sync` to copy the catalog anew",
    )
}

/// SQLite says that the file is not what it wrote.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
    )
}
