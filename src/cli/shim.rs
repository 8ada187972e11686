//! `shim`: becomes a command that ends with the process that started it; not called by hand.

use std::path::PathBuf;

use clap::Args;

use super::Failure;

#[derive(Debug, Args)]
pub(super) struct ShimArguments {
    /// The process with which the command ends.
    parent: u32,
    program: PathBuf,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(super) fn run(arguments: &ShimArguments) -> Result<(), Failure> {
    #[cfg(target_os = "linux")]
    {
        let error = crate::runtime::shim::become_command(
            arguments.parent,
            &arguments.program,
            &arguments.arguments,
        );
        Err(Failure::Error(format!(
            "{} was not run: {error}",
            arguments.program.display()
        )))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = arguments;
        Err(Failure::Error(
            "commands are run on Linux only in this version".into(),
        ))
    }
}
