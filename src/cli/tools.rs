//! `tools`: lists the tools, calls one by hand, writes their contracts.

use std::{
    io::{IsTerminal as _, Read as _},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{
    Failure,
    asked::{Where, outcome},
    block_on,
    output::{note, say, say_json},
};
use crate::tools::{self, Caller, Effect, Surroundings, Tool, contract};

#[derive(Debug, Subcommand)]
pub(super) enum ToolsCommand {
    /// List every tool of this binary.
    List {
        /// As `tools/list` would say it, output schemas included.
        #[arg(long)]
        json: bool,
    },
    /// Call a tool and print its answer: exit code 0, or 1 where it answers with an error.
    Call(Box<CallArguments>),
    /// Print the schemas of one tool.
    Schema {
        /// Name of the tool.
        name: String,
    },
    /// Write the contract of each tool into a folder, one file a tool.
    Export { folder: PathBuf },
}

#[derive(Debug, Args)]
pub(super) struct CallArguments {
    #[command(flatten)]
    at: Where,
    /// Name of the tool.
    name: String,
    /// Arguments as a JSON object; `-` reads them from stdin.
    #[arg(default_value = "{}")]
    arguments: String,
    /// Print the structured form instead of the text.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: ToolsCommand) -> Result<(), Failure> {
    match command {
        ToolsCommand::List { json } => list(json),
        ToolsCommand::Schema { name } => say_json(&contract::of(find(&name)?)),
        ToolsCommand::Export { folder } => export(&folder),
        ToolsCommand::Call(asked) => {
            let CallArguments {
                at,
                name,
                arguments,
                json,
            } = *asked;
            let tool = find(&name)?;
            let arguments = read_arguments(&arguments)?;
            let surroundings = at.surroundings(Caller::default())?;
            block_on(call(tool, surroundings, arguments, json))
        }
    }
}

async fn call(
    tool: &'static Tool,
    surroundings: Surroundings,
    arguments: Value,
    json: bool,
) -> Result<(), Failure> {
    let outcome = outcome(tool, surroundings, arguments).await?;
    match (outcome, json) {
        (Ok(answer), false) => say(answer.text())?,
        (Ok(answer), true) => say_json(&answer.structured())?,
        (Err(error), false) => return Err(Failure::Error(error.text())),
        (Err(error), true) => {
            say_json(&error.structured())?;
            return Err(Failure::Said);
        }
    }
    Ok(())
}

fn find(name: &str) -> Result<&'static Tool, Failure> {
    tools::find(name).ok_or_else(|| {
        let names = tools::all().iter().map(|tool| tool.name);
        let near = tools::arguments::near(name, names);
        let hint = if near.is_empty() {
            "`openpolicy-mcp tools list` names them all".to_owned()
        } else {
            format!("did you mean {}?", near.join(", "))
        };
        Failure::Usage(format!("there is no tool `{name}`: {hint}"))
    })
}

fn read_arguments(written: &str) -> Result<Value, Failure> {
    let mut text = written.to_owned();
    if written == "-" {
        text.clear();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| Failure::Usage(format!("stdin cannot be read: {error}")))?;
    }
    serde_json::from_str(&text).map_err(|error| {
        Failure::Usage(format!(
            "the arguments are not JSON ({error}): give an object in quotes, such as \
             '{{\"query\": \"bills\"}}'"
        ))
    })
}

fn list(json: bool) -> Result<(), Failure> {
    if json {
        let all: Vec<Value> = tools::all().iter().map(|tool| contract::of(tool)).collect();
        return say_json(&all);
    }
    let widest = tools::all().iter().map(|tool| tool.name.len()).max();
    for tool in tools::all() {
        let effect = match tool.effect {
            Effect::Read => "reads",
            Effect::Write { .. } => "writes",
        };
        say(format_args!(
            "{:width$}  {:13}  {effect:6}  {}",
            tool.name,
            tool.toolset.name(),
            tool.description,
            width = widest.unwrap_or_default()
        ))?;
    }
    if std::io::stdout().is_terminal() {
        note("\nCall one: openpolicy-mcp tools call --demo NAME '{…}'");
    }
    Ok(())
}

/// Writes `<name>.json` for each tool and removes the contracts of tools that are no more.
fn export(folder: &Path) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| {
        Failure::Error(format!("{} cannot be written: {error}", path.display()))
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for tool in tools::all() {
        let path = folder.join(format!("{}.json", tool.name));
        std::fs::write(&path, contract::text(tool)).map_err(|error| failed(&path, error))?;
    }
    for entry in std::fs::read_dir(folder).map_err(|error| failed(folder, error))? {
        let path = entry.map_err(|error| failed(folder, error))?.path();
        if is_contract_of_no_tool(&path) {
            std::fs::remove_file(&path).map_err(|error| failed(&path, error))?;
            say(format_args!("removed {}", path.display()))?;
        }
    }
    let count = tools::all().len();
    say(format_args!("{count} contracts in {}", folder.display()))
}

/// Only what an earlier export wrote is ever removed.
fn is_contract_of_no_tool(path: &Path) -> bool {
    let Some(name) = path.file_stem().and_then(|name| name.to_str()) else {
        return false;
    };
    if path.extension().is_none_or(|ending| ending != "json") || tools::find(name).is_some() {
        return false;
    }
    let contract = std::fs::read_to_string(path)
        .ok()
        .and_then(|text| serde_json::from_str::<Value>(&text).ok());
    contract.is_some_and(|file| file["name"] == name && file["inputSchema"].is_object())
}
