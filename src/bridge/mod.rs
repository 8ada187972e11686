//! What needs both the catalog and the platform: which data a service carries, and whom it hurts.

pub mod alerting;
pub mod impact;
pub mod root_cause;

pub use impact::Hurt;
