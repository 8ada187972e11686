//! The command line: which commands there are, and how each ends.

mod asked;
mod backup;
mod demo;
mod deployments;
mod doctor;
mod drive;
mod environment;
mod export;
mod health;
mod images;
mod init;
mod keep;
mod lint;
mod output;
mod performance;
mod places;
mod resources;
mod serve;
mod shim;
mod stand_in;
mod stop;
mod sync;
mod tools;
mod trust;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, error::ErrorKind};

use crate::{app::AppError, deploy::requests::Verb};
use deployments::{approve, control, deploy, plan, rollback, status};
use health::Strictness;

/// An MCP server that bridges OpenMetadata and the platform that carries the data.
///
/// Without a command it serves MCP over stdin and stdout, which is what a client starts.
#[derive(Debug, Parser)]
#[command(
    name = "openpolicy-mcp",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Exit codes: 0 fine, 1 it did not work, 2 wrong usage or settings.\n\
                  Secrets are taken from the environment or from files, never from flags."
)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve MCP (the default): over stdio, or over HTTP with --http.
    Serve(Box<serve::ServeArguments>),
    /// Serve MCP on the built-in demo catalog; needs nothing else.
    Demo(demo::DemoArguments),
    /// List the tools, call one by hand, or write their contracts.
    #[command(subcommand)]
    Tools(tools::ToolsCommand),
    /// Tell whether the platform is well, as it was seen lately.
    Health(Box<health::HealthArguments>),
    /// Look at every service now; exit code 0 where all are well.
    Validate(Box<health::HealthArguments>),
    /// Send a bounded number of requests to services, and hold answers against the triggers.
    Performance(Box<performance::PerformanceArguments>),
    /// Show what services use against limits, budgets and capacity.
    Resources(Box<resources::ResourcesArguments>),
    /// Show what a deployment would do, and the digest that begins it.
    Plan(Box<plan::PlanArguments>),
    /// Deploy phases: plan, show, ask, begin, and follow to the end.
    #[command(after_help = deployments::EXIT_CODES)]
    Deploy(Box<deploy::DeployArguments>),
    /// Show a deployment, watch it, or list them all.
    #[command(after_help = deployments::EXIT_CODES)]
    Status(Box<status::StatusArguments>),
    /// Approve a run that waits for a person.
    #[command(after_help = deployments::EXIT_CODES)]
    Approve(Box<approve::ApproveArguments>),
    /// Let a run wait before its next action.
    Pause(Box<control::ControlArguments>),
    /// Let a paused or interrupted run go on.
    #[command(after_help = deployments::EXIT_CODES)]
    Resume(Box<control::ControlArguments>),
    /// Let a run pass the gate that holds it.
    #[command(after_help = deployments::EXIT_CODES)]
    Promote(Box<control::ControlArguments>),
    /// End a run and take back what it did.
    #[command(after_help = deployments::EXIT_CODES)]
    Abort(Box<control::ControlArguments>),
    /// End a run and leave everything as it stands.
    Accept(Box<control::ControlArguments>),
    /// Take back what runs did.
    #[command(after_help = deployments::EXIT_CODES)]
    Rollback(Box<rollback::RollbackArguments>),
    /// Stop services in an emergency: what is not essential, until below a limit; or by name.
    Stop(Box<stop::StopArguments>),
    /// Check the connection to OpenMetadata and say what to do about each fault.
    Doctor(doctor::DoctorArguments),
    /// Check a platform file: what is wrong with it, and what it contradicts.
    Lint(lint::LintArguments),
    /// Write what other programs read, such as the JSON Schema of a platform file.
    #[command(subcommand)]
    Export(export::ExportCommand),
    /// Show what a platform file runs and where it sends variables, and allow it.
    Trust(trust::TrustArguments),
    /// Copy the catalog into the local snapshot, or bring the snapshot up to date.
    Sync(sync::SyncArguments),
    /// Print or write the configuration of an MCP client, or draft a platform file.
    Init(Box<init::InitArguments>),
    /// Be a service that answers HTTP: what the demo and tests run in place of a real one.
    StandIn(Box<stand_in::StandInArguments>),
    /// Dump the databases that the platform file names, and read each dump back; or list the dumps.
    Backup(backup::BackupArguments),
    /// Put a dump back over its database; asks first.
    Restore(backup::RestoreArguments),
    /// The images that passed their gates here, as a platform file that another environment extends.
    Images(images::ImagesArguments),
    /// Started by the process runtime, once for each service.
    #[command(hide = true)]
    Keep,
    /// Started by the server, once for each run of a deployment.
    #[command(hide = true)]
    Drive(drive::DriveArguments),
    /// Becomes a command that ends with the process that started it.
    #[command(hide = true)]
    Shim(shim::ShimArguments),
}

/// Why a command ends badly. What it says goes to stderr.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Exit code 1.
    #[error("{0}")]
    Error(String),
    /// Exit code 1; everything has been printed already.
    #[error("")]
    Said,
    /// This exit code, without a word.
    #[error("")]
    Code(u8),
    #[error(transparent)]
    App(#[from] AppError),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Error(_) | Self::Said => 1,
            Self::Code(code) => *code,
            Self::App(error) => error.exit_code(),
        }
    }
}

/// Reads the arguments of the process, runs the command, and answers how it ended.
pub fn run() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => {
            // Help and version are asked for; everything else is wrong usage.
            let is_asked_for = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            // A closed stdout or stderr leaves nobody to tell.
            let _ = error.print();
            return ExitCode::from(if is_asked_for { 0 } else { 2 });
        }
    };
    let ended = match line.command {
        None => serve::run(line.serve),
        Some(Command::Serve(arguments)) => serve::run(*arguments),
        Some(Command::Demo(arguments)) => demo::run(arguments),
        Some(Command::Tools(command)) => tools::run(command),
        Some(Command::Health(arguments)) => health::run(&arguments, Strictness::AsKnown),
        Some(Command::Validate(arguments)) => health::run(&arguments, Strictness::Validated),
        Some(Command::Performance(arguments)) => performance::run(&arguments),
        Some(Command::Resources(arguments)) => resources::run(&arguments),
        Some(Command::Plan(arguments)) => plan::run(&arguments),
        Some(Command::Deploy(arguments)) => deploy::run(&arguments),
        Some(Command::Status(arguments)) => status::run(&arguments),
        Some(Command::Approve(arguments)) => approve::run(&arguments),
        Some(Command::Pause(arguments)) => control::run(&arguments, Verb::Pause),
        Some(Command::Resume(arguments)) => control::run(&arguments, Verb::Resume),
        Some(Command::Promote(arguments)) => control::run(&arguments, Verb::Promote),
        Some(Command::Abort(arguments)) => control::run(&arguments, Verb::Abort),
        Some(Command::Accept(arguments)) => control::run(&arguments, Verb::Accept),
        Some(Command::Rollback(arguments)) => rollback::run(&arguments),
        Some(Command::Stop(arguments)) => stop::run(&arguments),
        Some(Command::Doctor(arguments)) => doctor::run(&arguments),
        Some(Command::Lint(arguments)) => lint::run(&arguments),
        Some(Command::Export(command)) => export::run(&command),
        Some(Command::Trust(arguments)) => trust::run(&arguments),
        Some(Command::Sync(arguments)) => sync::run(&arguments),
        Some(Command::Init(arguments)) => init::run(*arguments),
        Some(Command::StandIn(arguments)) => stand_in::run(*arguments),
        Some(Command::Backup(arguments)) => backup::run(&arguments),
        Some(Command::Restore(arguments)) => backup::restore(&arguments),
        Some(Command::Images(arguments)) => images::run(&arguments),
        Some(Command::Keep) => keep::run(),
        Some(Command::Drive(arguments)) => drive::run(&arguments),
        Some(Command::Shim(arguments)) => shim::run(&arguments),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let message = failure.to_string();
            if !message.is_empty() {
                output::note(message);
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Runs a command that waits for something.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Error(format!("no threads could be started: {error}")))?;
    let ended = runtime.block_on(work);
    // A read of stdin that never ends must not hold the process.
    runtime.shutdown_background();
    ended
}

/// Which catalog a command asks.
#[derive(Debug, Clone, Args)]
struct CatalogChoice {
    /// Ask the built-in demo catalog.
    #[arg(long)]
    demo: bool,
    #[command(flatten)]
    openmetadata: environment::OpenMetadataArguments,
}
