//! What the files of SQLite have in common: how they are opened, how their tables come to be, what
//! can be wrong with them, and that nobody waits for them on a thread that answers.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio_util::task::AbortOnDropHandle;

use super::filesystem;

/// How long a second writer waits for the first.
const BUSY: Duration = Duration::from_secs(5);

/// What can be wrong with a file. It reads on after the file's name: `the journal is damaged`.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("is being written by another process that does not come to an end")]
    Locked,
    #[error("was not written, as the disk is full; what it holds is whole")]
    Full,
    #[error("could not be written ({0}; is the disk full?); what it holds is whole")]
    Unwritable(String),
    #[error(
        "would lie on a network file system ({0}), where the locks of SQLite do not hold and two \
         processes could act at once: name a local folder with OPENPOLICY_STATE"
    )]
    Network(String),
    #[error(
        "was written by a newer version of this program (its format is {found}, this one knows \
         {known}): start the newer one, or name another folder with OPENPOLICY_STATE"
    )]
    Newer { found: i64, known: i64 },
    #[error("is damaged ({0}): move the file away, and a new one is begun")]
    Damaged(String),
    #[error("cannot be used: {0}")]
    Other(String),
}

impl Fault {
    /// What the user does about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Locked => "end the process that writes it and does not come to an end",
            Self::Full | Self::Unwritable(_) => "free space where the state folder lies",
            Self::Network(_) => "name a local folder with OPENPOLICY_STATE",
            Self::Newer { .. } => "start the newer version",
            Self::Damaged(_) | Self::Other(_) => "move the file away; a new one is begun",
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
                Self::Unwritable(error.to_string())
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Other(error.to_string()),
        }
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Other(error.to_string())
    }
}

/// What becomes of the last writes in a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// What was written is there.
    Full,
    /// The last moments may be gone; what is there is whole.
    Normal,
}

/// The tables of a kind of file.
pub struct Tables {
    /// Counts up with each migration; a file of a higher number is not opened.
    pub version: i64,
    /// What a new file gets.
    pub new: &'static str,
    /// What a file of any age gets, and an older program does not look at.
    pub beside: &'static str,
}

/// An open file, used by one at a time.
pub struct Shared(Mutex<Connection>);

impl Shared {
    /// Opens or makes a file; who else opens it at this moment is waited for as long as `patience`.
    pub fn open(
        path: &Path,
        durability: Durability,
        tables: &Tables,
        patience: Duration,
    ) -> Result<Self, Fault> {
        if let Some(kind) = path.parent().and_then(filesystem::network_of) {
            return Err(Fault::Network(kind));
        }
        let connection = Connection::open(path)?;
        connection.busy_timeout(patience)?;
        // WAL: who reads never waits for who writes.
        let synchronous = match durability {
            Durability::Full => "full",
            Durability::Normal => "normal",
        };
        connection.execute_batch(&format!(
            "PRAGMA journal_mode = wal; PRAGMA synchronous = {synchronous};"
        ))?;
        let shared = Self::of(connection, tables)?;
        shared.connection()?.busy_timeout(BUSY)?;
        Ok(shared)
    }

    /// One that ends with the process.
    pub fn in_memory(tables: &Tables) -> Result<Self, Fault> {
        Self::of(Connection::open_in_memory()?, tables)
    }

    fn of(mut connection: Connection, tables: &Tables) -> Result<Self, Fault> {
        migrate(&mut connection, tables)?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(Self(Mutex::new(connection)))
    }

    pub fn connection(&self) -> Result<MutexGuard<'_, Connection>, Fault> {
        self.0
            .lock()
            .map_err(|_| Fault::Other("an earlier use of it failed".into()))
    }
}

/// Two processes may open a new file at once: the second one finds it made.
fn migrate(connection: &mut Connection, tables: &Tables) -> Result<(), Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > tables.version {
        return Err(Fault::Newer {
            found,
            known: tables.version,
        });
    }
    if found < 1 {
        transaction.execute_batch(tables.new)?;
        transaction.pragma_update(None, "user_version", tables.version)?;
    }
    transaction.execute_batch(tables.beside)?;
    Ok(transaction.commit()?)
}

/// Uses a store on a thread that may wait: SQLite does.
pub async fn off_thread<S, T, E>(
    store: &Arc<S>,
    work: impl FnOnce(&S) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    S: Send + Sync + 'static,
    T: Send + 'static,
    E: From<Fault> + Send + 'static,
{
    let store = Arc::clone(store);
    let work = tokio::task::spawn_blocking(move || work(&store));
    AbortOnDropHandle::new(work)
        .await
        .map_err(|_| Fault::Other("its use failed by a fault of this program".into()))?
}
