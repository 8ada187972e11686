//! What needs both the catalog and the platform: which data a service carries, and whom it hurts.

pub mod impact;

pub use impact::Hurt;
