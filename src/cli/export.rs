//! `export`: writes what other programs read, such as the JSON Schema of a platform file.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Failure, output::say};
use crate::{
    health::rules,
    platform::{self, TrustedDigests, Variables},
};

#[derive(Debug, Subcommand)]
pub(super) enum ExportCommand {
    /// Print the JSON Schema of a platform file.
    Schema,
    /// Print the alert rules of a platform file as Prometheus rules.
    PrometheusRules {
        /// The platform file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
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
        ExportCommand::PrometheusRules { file } => {
            // Nothing is run and nothing is sent: nobody has to trust the file for it.
            let nothing = TrustedDigests::default();
            let loaded = platform::load(file, &Variables::of_process(), &nothing)
                .map_err(|problems| Failure::Error(problems.to_string()))?;
            say(rules::prometheus_rules(&loaded.platform).trim_end())
        }
    }
}
