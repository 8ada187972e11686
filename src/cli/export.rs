//! `export`: writes what other programs read, such as the JSON Schema of a platform file.

use clap::Subcommand;

use super::{Failure, output::say};
use crate::platform;

#[derive(Debug, Subcommand)]
pub(super) enum ExportCommand {
    /// Print the JSON Schema of a platform file.
    Schema,
}

pub(super) fn run(command: &ExportCommand) -> Result<(), Failure> {
    match command {
        ExportCommand::Schema => {
            let schema = platform::schema();
            let text = serde_json::to_string_pretty(&schema).map_err(|error| {
                Failure::Error(format!("the schema cannot be written: {error}"))
            })?;
            say(text)
        }
    }
}
