//! How often and how well the platform was deployed, for the scorecard.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    deploy::{DeployError, Deployments, delivery::Delivery},
    health::Watch,
    platform::Percent,
};

/// What the recorded runs come to.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Deliveries {
    /// Runs that ended within the window, well or not.
    pub runs: u64,
    /// The window divided by the runs that ended well.
    pub every: Option<Duration>,
    /// From plan to the end of the run, the median.
    pub lead_time: Option<Duration>,
    /// From a failure to the end of what took it back, the mean.
    pub time_to_restore: Option<Duration>,
    /// Runs that failed or were taken back.
    pub change_failure_rate: Option<Percent>,
}

/// What is recorded of deployments since a time; none where no run is.
pub async fn recorded(
    watch: &Arc<Watch>,
    since: Timestamp,
    now: Timestamp,
) -> Result<Option<Deliveries>, DeployError> {
    let past = Deployments::past(watch, since, now, usize::MAX).await?;
    let delivery = Delivery::of(&past.runs, since, now);
    Ok((delivery.deployments > 0).then(|| Deliveries {
        runs: delivery.deployments as u64,
        every: delivery.every,
        lead_time: delivery.from_plan,
        time_to_restore: delivery.time_to_restore,
        change_failure_rate: delivery.failure_rate().map(Percent),
    }))
}
