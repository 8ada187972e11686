//! Keeps the snapshot of the catalog fresh in the background.
//!
//! It has a thread, connections and permits of its own, so that calls wait for none of it.
//! One process of a state folder copies at a time; the others notice the new file.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    catalog::{
        self, Catalogs, Snapshot,
        sync::{self, Options, Place, Progress, Summary, SyncError},
    },
    settings::OpenMetadataSettings,
    store::StateFolder,
};

/// After a copy that failed, or while another process copies, it is looked again so soon, or
/// sooner where the copies are to be closer.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Copies now if the snapshot is older than `every`, and then again and again, until `shutdown`.
pub fn start(
    every: Duration,
    settings: OpenMetadataSettings,
    state: PathBuf,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("snapshot".into())
        .spawn(move || runtime.block_on(keep_fresh(every, &settings, &state, &shutdown)))?;
    Ok(())
}

async fn keep_fresh(
    every: Duration,
    settings: &OpenMetadataSettings,
    state: &Path,
    shutdown: &CancellationToken,
) {
    let mut pause = Duration::ZERO;
    loop {
        let wait = match due(settings, state).await {
            Ok(age) => age.map_or(Duration::ZERO, |age| every.saturating_sub(age)),
            Err(reason) => {
                tracing::warn!(reason, "The snapshot has no place");
                LOOK_AGAIN
            }
        };
        let outcome = tokio::select! {
            // What was written stays for the next.
            () = shutdown.cancelled() => return,
            outcome = async {
                tokio::time::sleep(wait.max(pause)).await;
                copied(settings, state).await
            } => outcome,
        };
        pause = match outcome {
            Ok(summary) => {
                told(&summary);
                Duration::ZERO
            }
            Err(SyncError::Held(holder)) => {
                tracing::debug!(%holder, "Another process copies the catalog");
                LOOK_AGAIN.min(every)
            }
            Err(error @ SyncError::NeedsApproval { .. }) => {
                tracing::warn!(
                    reason = %error,
                    "The snapshot is not kept fresh: run `openpolicy-mcp sync --yes` when it suits"
                );
                return;
            }
            Err(error) => {
                metrics::counter!("openpolicy_snapshot_copies_total", "outcome" => "failed")
                    .increment(1);
                tracing::warn!(reason = %error, "The snapshot could not be brought up to date");
                LOOK_AGAIN.min(every)
            }
        };
    }
}

/// How old the snapshot is; none where there is none that can be used.
async fn due(settings: &OpenMetadataSettings, state: &Path) -> Result<Option<Duration>, String> {
    let place = place(settings, state).map_err(|error| error.to_string())?;
    let opened = tokio::task::spawn_blocking(move || Snapshot::open(&place.snapshot()));
    let as_of = match opened.await {
        Ok(Ok(snapshot)) => snapshot.as_of(),
        _ => return Ok(None),
    };
    let age = Timestamp::now().duration_since(as_of);
    Ok(Some(Duration::try_from(age).unwrap_or_default()))
}

fn place(settings: &OpenMetadataSettings, state: &Path) -> Result<Place, sync::PlaceError> {
    Place::of(&StateFolder::at(state)?, settings)
}

async fn copied(settings: &OpenMetadataSettings, state: &Path) -> Result<Summary, SyncError> {
    let place = place(settings, state)?;
    let failed = |error| SyncError::Catalog {
        stage: "the address of OpenMetadata".into(),
        error,
    };
    let catalogs = Catalogs::of_openmetadata(&catalog::Settings::from(settings)).map_err(failed)?;
    let Some(client) = catalogs.own_client() else {
        return Err(SyncError::Crashed);
    };
    let (progress, _seen) = watch::channel(Progress::default());
    sync::copy(client, &place, &Options::default(), &progress).await
}

fn told(summary: &Summary) {
    let entities: u64 = summary.head.counts.iter().map(|count| count.copied).sum();
    metrics::counter!("openpolicy_snapshot_copies_total", "outcome" => "ok").increment(1);
    metrics::gauge!("openpolicy_snapshot_copy_duration_seconds").set(summary.took.as_secs_f64());
    metrics::gauge!("openpolicy_snapshot_as_of_timestamp_seconds")
        .set(summary.head.as_of.as_second() as f64);
    // Exact up to 2^53.
    metrics::gauge!("openpolicy_snapshot_entities").set(entities as f64);
    tracing::info!(
        mode = summary.mode.as_str(),
        entities,
        edges = summary.edges,
        requests = summary.requests,
        seconds = summary.took.as_secs_f64(),
        differences = summary.differences.kept + summary.differences.dropped,
        notes = summary.head.notes.len(),
        "Copied the catalog into the snapshot"
    );
}
