//! openpolicy-mcp: one place to ask about OpenMetadata and the platform that carries the data.

pub mod answer;
pub mod app;
pub mod bridge;
pub mod catalog;
pub mod cli;
pub mod deploy;
pub mod digest;
pub mod health;
pub mod logs;
pub mod mcp;
pub mod net;
pub mod observe;
pub mod platform;
pub mod runtime;
pub mod settings;
pub mod store;
pub mod tools;
pub mod web;
