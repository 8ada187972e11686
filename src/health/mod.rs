//! Whether services are up: looks at them, verdicts of the looks, and who is the cause.

pub mod alerts;
pub mod dependency;
pub mod observation;
pub mod probe;
pub mod recording;
pub mod verdict;

pub use observation::{Fact, Observation, Outcome, Verdict};
