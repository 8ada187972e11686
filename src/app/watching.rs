//! Looks at a platform for as long as a server runs, whatever becomes of its file.
//!
//! One process of a state folder looks; the others read what it sees, and the next takes over where
//! it ends.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::lost;
use crate::{
    bridge::alerting,
    health::{Watch, monitor, watch::WatchedBy},
    mcp::{Lazy, LazyCatalogs},
    store::{Lock, LockError},
};

/// How often the monitor looks whether the platform file has changed.
const LOOK_AT_THE_FILE: Duration = Duration::from_secs(2);

/// How often a process that does not look tries to.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What a server watches.
pub(super) struct Watching {
    pub(super) watched: Arc<Lazy<Watch>>,
    pub(super) catalogs: Arc<LazyCatalogs>,
    /// The lock of the one process that looks, and the file that says who it is; none where there
    /// is no state folder, which nobody else has then.
    pub(super) lock: Option<(PathBuf, PathBuf)>,
}

impl Watching {
    /// Looks at the platform until `shutdown`, and at another one after each change of its file.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        let mut told = None;
        let mut held = None;
        while !shutdown.is_cancelled() {
            match self.watched.get().await {
                Ok(watch) => self.watch(&watch, &mut held, &shutdown).await,
                Err(error) => {
                    if told.as_ref() != Some(&error.message) {
                        tracing::error!(reason = error.message, "The platform is not watched");
                        told = Some(error.message);
                    }
                    pause(LOOK_AT_THE_FILE, &shutdown).await;
                }
            }
        }
    }

    /// Looks at this platform, or reads what another process sees, until either changes.
    async fn watch(
        &self,
        watch: &Arc<Watch>,
        held: &mut Option<Lock>,
        shutdown: &CancellationToken,
    ) {
        let who = match held {
            Some(_) => WatchedBy::ThisServer,
            // Where nothing is kept there is nothing to read.
            None if watch.not_kept().is_some() => WatchedBy::ThisServer,
            None => self.taken(held),
        };
        let is_ours = who == WatchedBy::ThisServer;
        if watch.watched_by() != who {
            match &who {
                WatchedBy::Another(holder) => tracing::info!(
                    %holder,
                    "Another process looks at the platform; this one reads what it sees"
                ),
                _ => tracing::info!("This process looks at the platform"),
            }
            watch.set_watched_by(who);
        }
        let until = shutdown.child_token();
        let measuring = monitor::measure(Arc::clone(watch), is_ours, until.clone());
        let changing = async {
            self.changed(watch, held, &until).await;
            until.cancel();
        };
        if is_ours {
            tokio::join!(
                monitor::run(Arc::clone(watch), until.clone()),
                alerting::run(Arc::clone(watch), self.own_catalog(), until.clone()),
                lost::run(Arc::clone(watch), until.clone()),
                measuring,
                changing,
            );
        } else {
            let reading = monitor::read(Arc::clone(watch), until.clone());
            tokio::join!(reading, measuring, changing);
        }
    }

    /// Who looks from now on; `held` is the lock where that is this process.
    fn taken(&self, held: &mut Option<Lock>) -> WatchedBy {
        let Some((lock, holder)) = &self.lock else {
            return WatchedBy::ThisServer;
        };
        match Lock::take(lock, holder) {
            Ok(lock) => {
                *held = Some(lock);
                WatchedBy::ThisServer
            }
            Err(LockError::Held(holder)) => WatchedBy::Another(holder),
            // Two that look are better than none.
            Err(error @ LockError::Io(_)) => {
                tracing::warn!(reason = %error, "Others may look at the platform too");
                WatchedBy::ThisServer
            }
        }
    }

    /// Waits until the platform is another one, or another process has ended that looked at it.
    async fn changed(
        &self,
        watch: &Arc<Watch>,
        held: &mut Option<Lock>,
        until: &CancellationToken,
    ) {
        let reads = matches!(watch.watched_by(), WatchedBy::Another(_));
        while !until.is_cancelled() {
            pause(if reads { TRY_AGAIN } else { LOOK_AT_THE_FILE }, until).await;
            if reads {
                match self.taken(held) {
                    WatchedBy::Another(holder) => {
                        watch.set_watched_by(WatchedBy::Another(holder));
                    }
                    _ => return,
                }
            }
            if let Ok(newest) = self.watched.get().await
                && !Arc::ptr_eq(&newest, watch)
            {
                return;
            }
        }
    }

    /// As this server itself sees it; without a catalog rules about data are not evaluated.
    fn own_catalog(&self) -> alerting::OwnCatalog {
        let catalogs = Arc::clone(&self.catalogs);
        Box::new(move || {
            let catalogs = Arc::clone(&catalogs);
            Box::pin(async move { catalogs.get().await.ok()?.of(None).ok() })
        })
    }
}

async fn pause(length: Duration, until: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(length) => {}
        () = until.cancelled() => {}
    }
}
