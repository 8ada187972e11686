//! Deployments: what a run would do, what it did, and the one that does it.
//!
//! Everything that decides is pure and never waits: `planning` (what would be done), `state` (what
//! a journal says), `next` (what comes next), `gate` and `samples` (whether conditions hold).
//! `engine` alone acts: it writes down what it is about to do, does it, and writes down what came
//! of it, so that after a crash at any point the journal and the runtime together tell the truth.

mod act;
pub mod backup;
pub mod book;
pub mod checks;
pub mod delivery;
pub mod deployments;
pub mod emergency;
pub mod engine;
pub mod event;
pub mod gate;
mod hooks;
mod launch;
pub mod look;
mod metered;
pub mod next;
pub mod passed;
pub mod past;
pub mod plan;
pub mod planning;
mod progress;
pub mod requests;
pub mod rollback;
pub mod samples;
pub mod sense;
pub mod state;
pub mod stopping;
pub mod story;
mod watching;
mod ways_back;

pub use deployments::{DeployError, Deployments};
pub use event::Event;
pub use plan::Plan;
pub use progress::Progress;
pub use state::{RunState, Status};

/// Who decides where the platform file does, in the journal.
pub const BY_THE_FILE: &str = "the platform file";
