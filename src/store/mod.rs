//! What is kept between calls and between processes, in files of one folder.

pub mod filesystem;
pub mod history;
pub mod journal;
pub mod lease;
pub mod lock;
pub mod site;
pub mod state;

pub use history::{History, StoreError};
pub use journal::{Journal, JournalError};
pub use lock::{Holder, Lock, LockError};
pub use site::Site;
pub use state::{StateError, StateFolder};
