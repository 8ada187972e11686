//! What services say and use: log lines made readable, usage held against limits.

pub mod logs;
pub mod machine;
pub mod resources;
