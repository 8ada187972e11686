//! Where the state of one platform lies, and what another process of ours needs to open it.

use std::{fmt, path::PathBuf};

use secrecy::SecretString;

/// One platform on one machine.
#[derive(Clone)]
pub struct Site {
    /// Of deployments: journal, leases, logs of drivers. For its owner alone.
    pub folder: PathBuf,
    /// What a driver is started with, as JSON; it may hold credentials and goes over a pipe.
    pub order: SecretString,
    /// Whoever drives a run would end with the client that began it.
    pub ends_with_client: bool,
}

impl Site {
    /// Where dumps of databases are kept.
    pub fn backups(&self) -> PathBuf {
        self.folder.join("backups")
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Site")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}
