//! The images that have passed on a target, asked of its journal and its runtime.

use std::time::Instant;

use jiff::Timestamp;

use super::{DeployError, Deployments};
use crate::{
    deploy::{
        passed::{self, Newest, Passed},
        planning::Chosen,
    },
    platform::Phase,
};

impl Deployments {
    /// The images of all phases with their digests, or why they have not passed.
    pub async fn passed_images(
        &self,
        deadline: Instant,
    ) -> Result<Result<Passed, Vec<String>>, DeployError> {
        let platform = self.watch.platform();
        let phases: Vec<&Phase> = platform.phases.iter().collect();
        // Not kept: nobody deploys it.
        let plan = self
            .made(&Chosen::Phases(phases), Timestamp::now(), deadline)
            .await?;
        let names: Vec<_> = platform
            .services
            .iter()
            .map(|one| one.name.clone())
            .collect();
        let observed = self.runtime()?.observe(&names).await?;
        let (newest, _) = self.runs(&plan.target, None, 1).await?;
        let newest = newest.first().map(|row| Newest {
            run: row.id,
            state: row.state.clone(),
            is_open: row.is_open,
            ended: Timestamp::from_millisecond(row.updated).unwrap_or_default(),
        });
        Ok(passed::passed(newest.as_ref(), &plan, &observed))
    }
}
