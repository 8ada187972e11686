//! `backup` and `restore`: dumps of the databases that the platform file names.

use clap::Args;
use serde_json::json;

use super::{
    Failure,
    asked::Where,
    block_on,
    deployments::{approve, terminal},
    output::{note, say},
};
use crate::{deploy::backup::Made, platform::model::Database};

#[derive(Debug, Args)]
pub(super) struct BackupArguments {
    /// Databases of these services; all that the platform file names without it.
    #[arg(value_name = "SERVICE", conflicts_with = "list")]
    services: Vec<String>,
    /// List the backups that there are.
    #[arg(long)]
    list: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArguments {
    /// The name of a backup, as `backup --list` tells it.
    #[arg(value_name = "BACKUP")]
    name: String,
    /// Restore without asking.
    #[arg(long, short = 'y')]
    yes: bool,
    #[command(flatten)]
    at: Where,
}

/// Exit code 0 where every database was dumped and read back.
pub(super) fn run(arguments: &BackupArguments) -> Result<(), Failure> {
    let asked = arguments.at.asked(arguments.json)?;
    block_on(async {
        let deployments = asked.deployments()?;
        let failed = |error: crate::deploy::DeployError| asked.failure(&error.into());
        if arguments.list {
            let all = deployments.backups().map_err(failed)?;
            if arguments.json {
                return say(json!(all));
            }
            if all.is_empty() {
                note("there are no backups");
            }
            return all.iter().try_for_each(tell);
        }
        let platform = asked.platform()?;
        let named = &platform.backup.databases;
        let mut chosen: Vec<Database> = Vec::new();
        for written in &arguments.services {
            let service = platform.service(written).ok_or_else(|| {
                Failure::Usage(format!("the platform has no service `{written}`"))
            })?;
            let of_service = named.iter().filter(|one| one.service == service.name);
            chosen.extend(of_service.cloned());
        }
        if arguments.services.is_empty() {
            chosen.clone_from(named);
        }
        if chosen.is_empty() {
            return Err(Failure::Usage(
                "the platform file names no database for it: write `backup: { databases: [{ service: \
                 db, database: openpolicy, user: openpolicy }] }`"
                    .into(),
            ));
        }
        let made = deployments.back_up(&chosen).await.map_err(failed)?;
        let mut is_fine = true;
        for (database, made) in chosen.iter().zip(&made) {
            match made {
                Ok(made) if arguments.json => say(json!(made))?,
                Ok(made) => tell(made)?,
                Err(reason) => {
                    is_fine = false;
                    note(format!(
                        "{} in {}: {reason}",
                        database.name, database.service
                    ));
                }
            }
        }
        if is_fine { Ok(()) } else { Err(Failure::Said) }
    })
}

fn tell(made: &Made) -> Result<(), Failure> {
    say(format_args!(
        "{}  {}  {} in {}  {} bytes, {} objects{}",
        made.name,
        made.at,
        made.database.name,
        made.database.service,
        made.bytes,
        made.objects,
        made.run
            .map(|run| format!(", before run {run}"))
            .unwrap_or_default()
    ))
}

/// Only on the command line: what a database holds now is lost with it.
pub(super) fn restore(arguments: &RestoreArguments) -> Result<(), Failure> {
    let asked = arguments.at.asked(false)?;
    block_on(async {
        let deployments = asked.deployments()?;
        let failed = |error: crate::deploy::DeployError| asked.failure(&error.into());
        let all = deployments.backups().map_err(failed)?;
        let Some(made) = all.iter().find(|made| made.name == arguments.name) else {
            return Err(Failure::Usage(format!(
                "there is no backup `{}`: `openpolicy-mcp backup --list` names them",
                arguments.name
            )));
        };
        note(format!(
            "{} in {} goes back to what it held at {}; what it holds now is lost",
            made.database.name, made.database.service, made.at
        ));
        if !arguments.yes {
            terminal::confirm("Restore it?", "give --yes")?;
        }
        let target = asked.target(&deployments).await?;
        if approve::needs_proof(&deployments, &target)? {
            approve::prove("restore a database")?;
        }
        let restored = deployments
            .restore(made, "a person on the command line")
            .await;
        match restored.map_err(failed)? {
            Ok(()) => say("restored"),
            Err(reason) => Err(Failure::Error(reason)),
        }
    })
}
