//! `doctor`: checks everything that can be wrong between here and OpenMetadata.

use clap::Args;

use super::{CatalogChoice, Failure};

/// Checks the connection and says for each fault what to do.
#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    #[command(flatten)]
    catalog: CatalogChoice,
    /// One JSON object for programs.
    #[arg(long)]
    json: bool,
}

/// Exit code 0 when nothing is wrong, 1 when something is.
pub(super) fn run(arguments: &DoctorArguments) -> Result<(), Failure> {
    let _ = (arguments.catalog.settings()?, arguments.json);
    Err(Failure::Error("not built yet".into()))
}
