//! Whether services are up: looks at them, verdicts of the looks, and who is the cause.

pub mod observation;
pub mod probe;

pub use observation::{Fact, Observation, Outcome, Verdict};
