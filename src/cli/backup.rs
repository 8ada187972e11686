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
use crate::{
    deploy::{
        DeployError,
        backup::{self, Made},
        deployments::BackedUp,
    },
    platform::model::Database,
    tools::{ErrorCode, ToolError, arguments::near, platform},
};

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
        let deployments = asked.deployments().await?;
        let failed = |error: DeployError| asked.failure(error);
        let platform = asked.platform()?;
        if arguments.list {
            let all = deployments.backups().map_err(failed)?;
            if arguments.json {
                return say(json!(all));
            }
            if all.is_empty() {
                note("there are no backups");
            }
            let keep = platform.backup.keep;
            note(format!(
                "of each database {}, and those made before a run that can be taken back",
                backup::kept_words(keep)
            ));
            return all.iter().try_for_each(tell);
        }
        let named = &platform.backup.databases;
        let chosen: Vec<Database> = match arguments.services.as_slice() {
            [] => named.clone(),
            written => platform::chosen(&platform, Some(written), None)
                .map_err(|error| asked.failure(error))?
                .iter()
                .flat_map(|service| named.iter().filter(|one| one.service == service.name))
                .cloned()
                .collect(),
        };
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
                Ok(done) => told(done, platform.backup.keep, arguments.json)?,
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

/// What was made, and what it put away.
fn told(done: &BackedUp, keep: usize, json: bool) -> Result<(), Failure> {
    let removed = match &done.removed {
        Ok(removed) => removed.as_slice(),
        Err(reason) => {
            note(format!("older backups could not be removed: {reason}"));
            &[]
        }
    };
    if json {
        let mut fields = json!(done.made);
        if !removed.is_empty() {
            fields["removed"] = json!(removed);
        }
        return say(fields);
    }
    tell(&done.made)?;
    for name in removed {
        say(format_args!(
            "{name}  removed: {}",
            backup::kept_words(keep)
        ))?;
    }
    Ok(())
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
        let deployments = asked.deployments().await?;
        let failed = |error: DeployError| asked.failure(error);
        let all = deployments.backups().map_err(failed)?;
        let Some(made) = all.iter().find(|made| made.name == arguments.name) else {
            let name = &arguments.name;
            let names = all.iter().map(|made| made.name.as_str());
            let error = ToolError::new(ErrorCode::NotFound, format!("there is no backup `{name}`"));
            return Err(asked.failure(
                error
                    .did_you_mean(near(name, names))
                    .then("`openpolicy-mcp backup --list` names them"),
            ));
        };
        note(format!(
            "{} in {} goes back to what it held at {}; what it holds now is lost",
            made.database.name, made.database.service, made.at
        ));
        if !arguments.yes {
            terminal::confirm("Restore it?", "give --yes")?;
        }
        let target = asked.target(&deployments).await?;
        approve::prove_if_needed(&deployments, &target, "restore a database").await?;
        let restored = deployments.restore(made, asked.context().by()).await;
        match restored.map_err(failed)? {
            Ok(()) => say("restored"),
            Err(reason) => Err(Failure::Error(reason)),
        }
    })
}
