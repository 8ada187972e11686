//! Whether services are up: looks at them, verdicts of the looks, and who is the cause.

pub mod alerts;
pub mod dependency;
pub mod monitor;
pub mod observation;
pub mod probe;
pub mod readings;
pub mod recording;
pub mod report;
pub mod verdict;
pub mod watch;

pub use observation::{Fact, Observation, Outcome, Verdict};
pub use report::{Health, ServiceHealth};
pub use watch::Watch;
