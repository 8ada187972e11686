//! The catalogs of a server whose platform file may name one: opened anew where it names another.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use super::{chosen, follow::Followed};
use crate::{
    catalog::Catalogs,
    platform::Loaded,
    settings::{CatalogSettings, SnapshotUse},
    tools::{ErrorCode, ToolError},
};

/// Where the catalogs come from.
pub(super) struct Named {
    /// As flags and environment say.
    given: CatalogSettings,
    snapshot: SnapshotUse,
    state: Option<PathBuf>,
    followed: Arc<Followed>,
    /// The file as it was when the catalogs were opened last.
    basis: Mutex<Option<Arc<Loaded>>>,
}

impl Named {
    pub(super) fn new(
        given: CatalogSettings,
        snapshot: SnapshotUse,
        state: Option<PathBuf>,
        followed: Arc<Followed>,
    ) -> Self {
        Self {
            given,
            snapshot,
            state,
            followed,
            basis: Mutex::default(),
        }
    }

    /// Whether `newest` would look at files.
    pub(super) fn is_due(&self) -> bool {
        self.followed.recent().is_none()
    }

    /// The catalogs as the file says now: those that are open, or new ones. A catalog that may not
    /// be asked is none: its reason is told to the calls that need it.
    pub(super) fn newest(&self, opened: Option<Arc<Catalogs>>) -> Result<Arc<Catalogs>, ToolError> {
        // A file with faults is told to the calls about the platform.
        let loaded = self.followed.current().ok().map(|current| current.loaded);
        let Ok(mut basis) = self.basis.lock() else {
            let poisoned = "an earlier opening of the catalog failed";
            return Err(ToolError::new(ErrorCode::Internal, poisoned));
        };
        let is_same = match (&*basis, &loaded) {
            (Some(basis), Some(loaded)) => Arc::ptr_eq(basis, loaded),
            (None, None) => true,
            _ => false,
        };
        if let (Some(opened), true) = (opened, is_same) {
            return Ok(opened);
        }
        let platform = loaded.as_ref().map(|loaded| &loaded.platform);
        let platform = platform.map(|platform| (platform, self.followed.file()));
        let catalogs = match chosen::catalog(&self.given, platform) {
            Ok(settings) => super::catalogs(&settings, self.snapshot, self.state.as_deref())
                .unwrap_or_else(|error| Catalogs::withheld(error.to_string())),
            Err(why) => Catalogs::withheld(why),
        };
        *basis = loaded;
        Ok(Arc::new(catalogs))
    }
}
