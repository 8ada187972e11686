//! Looks at a platform for as long as a server runs, whatever becomes of its file.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    bridge::alerting,
    health::{Watch, monitor},
    mcp::{Lazy, LazyCatalogs},
};

/// Looks at the platform for as long as the server runs, and at another one after each change of
/// its file.
pub(super) async fn keep_watching(
    watched: Arc<Lazy<Watch>>,
    catalogs: Arc<LazyCatalogs>,
    shutdown: CancellationToken,
) {
    let mut told = None;
    while !shutdown.is_cancelled() {
        match watched.get().await {
            Ok(watch) => {
                let until = shutdown.child_token();
                // As this server itself sees it; without a catalog rules about data are not evaluated.
                let catalogs = Arc::clone(&catalogs);
                let catalog: alerting::OwnCatalog = Box::new(move || {
                    let catalogs = Arc::clone(&catalogs);
                    Box::pin(async move { catalogs.get().await.ok()?.of(None).ok() })
                });
                tokio::join!(
                    monitor::run(Arc::clone(&watch), until.clone()),
                    monitor::measure(Arc::clone(&watch), until.clone()),
                    alerting::run(Arc::clone(&watch), catalog, until.clone()),
                    async {
                        changed(&watched, &watch, &until).await;
                        until.cancel();
                    },
                );
            }
            Err(error) => {
                if told.as_ref() != Some(&error.message) {
                    tracing::error!(reason = error.message, "The platform is not watched");
                    told = Some(error.message);
                }
                tokio::select! {
                    () = tokio::time::sleep(LOOK_AT_THE_FILE) => {}
                    () = shutdown.cancelled() => {}
                }
            }
        }
    }
}

/// How often the monitor looks whether the platform file has changed.
const LOOK_AT_THE_FILE: Duration = Duration::from_secs(2);

/// Waits until the platform is another one.
async fn changed(watched: &Lazy<Watch>, watch: &Arc<Watch>, until: &CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_AT_THE_FILE) => {}
            () = until.cancelled() => return,
        }
        if let Ok(newest) = watched.get().await
            && !Arc::ptr_eq(&newest, watch)
        {
            return;
        }
    }
}
