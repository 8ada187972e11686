//! How often and how well the platform was deployed, for the scorecard.

use std::time::Duration;

use crate::{platform::Percent, tools::Context};

/// What the recorded runs come to.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Deliveries {
    /// Runs that ended within the window, well or not.
    pub runs: u64,
    /// The window divided by the runs that ended well.
    pub every: Option<Duration>,
    /// From plan to the end of the run, the median.
    pub lead_time: Option<Duration>,
    /// From a failure to the end of what took it back, the median.
    pub time_to_restore: Option<Duration>,
    /// Runs that failed or were rolled back.
    pub change_failure_rate: Option<Percent>,
}

/// What is recorded of deployments; none where no run is. Runs are recorded by no part of this
/// version yet: whoever keeps them answers here.
pub fn recorded(_context: &Context) -> Option<Deliveries> {
    None
}
