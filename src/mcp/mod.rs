//! The MCP edge: one service, and the transports that carry it.

mod asking;
pub mod guard;
mod handler;
pub mod http;
mod in_flight;
pub mod lazy;
mod listen;
pub mod listing;
mod messages;
mod parameters;
mod prompts;
mod resources;
pub mod selection;
pub mod server;
mod sse;
pub mod stdio;

pub use lazy::{Lazy, LazyCatalogs};
pub use selection::Selection;
pub use server::McpServer;
