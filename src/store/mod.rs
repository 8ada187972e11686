//! What is kept between calls and between processes, in files of one folder.

pub mod state;

pub use state::{StateError, StateFolder};
