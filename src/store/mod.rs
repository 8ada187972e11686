//! What is kept between calls and between processes, in files of one folder.

pub mod filesystem;
pub mod history;
pub mod lock;
pub mod state;

pub use history::{History, StoreError};
pub use lock::{Holder, Lock, LockError};
pub use state::{StateError, StateFolder};
