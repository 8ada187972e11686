//! Copies of a catalog: what is copied, what is said of it, and that nothing breaks the one before.

mod generated;
mod live;
mod synthetic;

use std::{path::Path, sync::Arc, time::Duration};

use openpolicy_mcp::{
    catalog::{
        Catalogs, Settings, Snapshot,
        sync::{self, Options, Place, Progress, Summary, SyncError},
    },
    settings::{Credential, Identity, OpenMetadataSettings},
    store::StateFolder,
};
use tokio::sync::watch;

use serde_json::json;

use crate::support::replay::{Answer, Replay, Version};

const WITHOUT_RECORDING: [&str; 6] = [
    "/api/v1/dataQuality/testCases/testCaseResults/openpolicy_pg.openpolicy.core.bills.bills_row_count",
    "/api/v1/dataQuality/testCases/testCaseResults/openpolicy_pg.openpolicy.core.votes.ballot.ballot_in_set",
    "/api/v1/dataQuality/testCases/testCaseResults/openpolicy_pg.openpolicy.scrapers.raw_bills.raw_fresh",
    "/api/v1/dataQuality/testCases/testCaseResults/warehouse.DW.MART.fct_votes.fct_rows",
    "/api/v1/pipelines/airflow.scrape_bills/status",
    "/api/v1/pipelines/airflow.load_core/status",
];

/// A state folder and a server to copy from.
pub struct Bench {
    pub server: Replay,
    pub folder: tempfile::TempDir,
    pub options: Options,
}

impl Bench {
    pub fn new(version: Version) -> Self {
        let server = Replay::start_blocking(version);
        // Collections of 1.12.6 that were not asked for when it was recorded.
        for path in [
            "/api/v1/dashboard/datamodels",
            "/api/v1/apiCollections",
            "/api/v1/services/metadataServices",
            // Recorded in part.
            "/api/v1/users",
        ] {
            server.without(path);
        }
        // Results and runs that were not recorded: none in the time that is asked for, in the form
        // of the recorded list of runs of `warehouse.wh_usage`.
        let none = Answer::json(200, &json!({ "data": [], "paging": { "total": 0 } }));
        for path in WITHOUT_RECORDING {
            server.canned("GET", path, &[], none.clone());
        }
        Self {
            server,
            folder: tempfile::tempdir().expect("a folder"),
            options: Options {
                pause: Duration::from_millis(1),
                ..Options::default()
            },
        }
    }

    pub fn settings(&self) -> OpenMetadataSettings {
        OpenMetadataSettings {
            url: self.server.url(),
            credential: Credential::Token("not a jwt".into()),
            ca_file: None,
            identity: Identity::Server,
        }
    }

    pub fn place(&self) -> Place {
        place(self.folder.path(), &self.settings())
    }

    pub async fn copy(&self) -> Result<Summary, SyncError> {
        let catalogs = Catalogs::of_openmetadata(&Settings::from(&self.settings())).unwrap();
        let client = Arc::clone(catalogs.own_client().unwrap());
        let (progress, _seen) = watch::channel(Progress::default());
        sync::copy(&client, &self.place(), &self.options, &progress).await
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot::open(&self.place().snapshot()).expect("a finished copy")
    }
}

pub fn place(state: &Path, settings: &OpenMetadataSettings) -> Place {
    Place::of(&StateFolder::at(state).unwrap(), settings).unwrap()
}
