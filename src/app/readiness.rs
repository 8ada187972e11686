//! Whether the catalog of a server answers, as monitors ask it.

use std::{sync::Arc, time::Duration};

use crate::{
    catalog::{Catalog, Snapshot, Spare},
    mcp::LazyCatalogs,
    web::Readiness,
};

/// A probe asks every few seconds and does not wait long.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// Whether calls are answered now: by the catalog, or by its snapshot while that is away.
pub(super) async fn look(lazy: Arc<LazyCatalogs>) -> Readiness {
    let not_ready = |reason: String| Readiness {
        reason: Some(reason),
        ..Readiness::default()
    };
    let catalogs = match tokio::time::timeout(LONGEST_LOOK, lazy.get()).await {
        Ok(Ok(catalogs)) => catalogs,
        Ok(Err(error)) => return not_ready(error.message),
        Err(_) => return not_ready("the catalog is still being opened".into()),
    };
    let sources = catalogs.sources(None).await;
    let of_snapshot = |snapshot: &Snapshot, reason| Readiness {
        is_ready: true,
        source: Some("snapshot"),
        as_of: Some(snapshot.as_of().to_string()),
        reason,
        ..Readiness::default()
    };
    if let Ok(Catalog::Snapshot(snapshot)) = &sources.first {
        return of_snapshot(snapshot, None);
    }
    let reason = match (catalogs.own_client(), sources.first) {
        // Where callers bring their tokens, the server itself answers without one.
        (Some(client), _) => {
            // Not `version()`, which remembers: what counts is that it answers now.
            let version = client.get_fresh("system/version", &[]);
            match tokio::time::timeout(LONGEST_LOOK, version).await {
                Ok(Ok(version)) => {
                    return Readiness {
                        is_ready: true,
                        source: Some("openmetadata"),
                        version: version["version"].as_str().map(str::to_owned),
                        ..Readiness::default()
                    };
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!(
                    "the catalog did not answer within {} s",
                    LONGEST_LOOK.as_secs()
                ),
            }
        }
        (None, Err(error)) => error.to_string(),
        (None, Ok(_)) => String::new(),
    };
    match sources.spare {
        Spare::Snapshot { snapshot, .. } => of_snapshot(&snapshot, Some(reason)),
        Spare::None | Spare::Unusable(_) => not_ready(reason),
    }
}
