//! What is kept between calls and between processes, in files of one folder.

pub mod filesystem;
pub mod history;
pub mod journal;
pub mod lease;
pub mod lock;
pub mod private;
pub mod site;
pub mod sqlite;
pub mod state;

pub use history::{History, HistoryError};
pub use journal::{Journal, JournalError};
pub use lock::{Holder, Lock, LockError};
pub use site::Site;
pub use sqlite::Fault;
pub use state::{StateError, StateFolder};
