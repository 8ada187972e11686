//! All integration tests, in one binary so that they link once.

mod evaluator;
mod replay;
mod replay_catalog;
mod support;

mod answers;
mod bad_input;
mod bridge;
mod broken;
#[cfg(target_os = "linux")]
mod by_hand;
mod changes;
mod client;
mod commands;
mod contract;
mod demo_platform;
mod deploy;
mod edge;
mod entities;
mod fuzz;
mod health;
mod http;
mod init;
mod lineage;
mod monitors;
mod offline;
mod over_protocol;
mod platform_file;
mod platforms;
#[cfg(target_os = "linux")]
mod process;
mod protocol;
mod quality;
mod search;
mod soak;
mod source;
mod store;
mod surprises;
mod sync;
