//! Copies a live OpenMetadata into a local snapshot.

pub mod place;

pub use place::{Place, PlaceError};
