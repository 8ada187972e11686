//! The commands about deployments. Each asks what a tool asks; a person may do more than a tool.

pub(super) mod approve;
pub(super) mod control;
pub(super) mod deploy;
mod follow;
mod outcome;
mod passphrase;
pub(super) mod plan;
pub(super) mod rollback;
pub(super) mod status;
pub(super) mod terminal;
mod view;

pub(super) use outcome::EXIT_CODES;
