//! The compose runtime against a Docker Engine of our own, with Compose 2 and Compose 1.

mod engine;
mod world;

mod applying;
pub mod client;
mod commands;
mod deploying;
mod far;
mod looking;
pub mod platforms;
mod restoring;
