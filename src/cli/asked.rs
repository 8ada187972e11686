//! What the commands that ask a platform share: where they look, as whom, how an answer is printed.

use std::sync::Arc;

use clap::Args;
use serde_json::{Map, Value};

use super::{
    CatalogChoice, Failure,
    environment::{PlatformArguments, SnapshotArguments, StateArguments, text},
    output::{say, say_json},
};
use crate::{
    answer::{Answer, text as render},
    app,
    deploy::Deployments,
    platform::Platform,
    tools::{
        self, Caller, Context, ErrorCode, Outcome, Person, Surroundings, Tool, ToolError,
        deployment, run,
    },
};

/// Where a command looks: as `serve` does.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where it looks")]
pub(super) struct Where {
    #[command(flatten)]
    pub(super) catalog: CatalogChoice,
    #[command(flatten)]
    pub(super) snapshot: SnapshotArguments,
    #[command(flatten)]
    pub(super) platform: PlatformArguments,
    #[command(flatten)]
    pub(super) state: StateArguments,
}

impl Where {
    pub(super) fn surroundings(&self, caller: Caller) -> Result<Surroundings, Failure> {
        let state = self.state.folder();
        let catalog = self.catalog.settings()?;
        let platform = self.platform.settings()?;
        let snapshot = self.snapshot.settings()?;
        let catalogs = app::catalogs_of(&catalog, &platform, snapshot, state.as_deref())?;
        Ok(Surroundings {
            catalogs,
            platform: app::platform(&platform, &catalog, state.as_deref()).transpose(),
            caller,
        })
    }

    /// As the person who typed the command.
    pub(super) fn asked(&self, json: bool) -> Result<Asked, Failure> {
        let user = text("USER").or_else(|| text("LOGNAME"));
        let name = match user {
            Some(user) => format!("{user} at the command line"),
            None => "somebody at the command line".into(),
        };
        let person = Person {
            name,
            has_proven: false,
        };
        let surroundings = self.surroundings(Caller {
            person: Some(person),
            ..Caller::default()
        })?;
        Ok(Asked { surroundings, json })
    }
}

/// What a command that acts is told beside what to do.
#[derive(Debug, Args)]
pub(super) struct Consent {
    /// Do it without asking.
    #[arg(long, short = 'y')]
    pub(super) yes: bool,
    /// Why; it stands in the journal.
    #[arg(long)]
    pub(super) reason: Option<String>,
}

/// A command at work: it calls the tools that clients call.
#[derive(Clone)]
pub(super) struct Asked {
    surroundings: Surroundings,
    /// Whether answers are printed in their structured form.
    pub(super) json: bool,
}

impl Asked {
    /// The same command after the person gave the factor that production asks for.
    pub(super) fn proven(mut self) -> Self {
        if let Some(person) = &mut self.surroundings.caller.person {
            person.has_proven = true;
        }
        self
    }

    /// A context of this moment.
    pub(super) fn context(&self) -> Context {
        let Surroundings {
            catalogs,
            platform,
            caller,
        } = self.surroundings.clone();
        Context::new(catalogs, caller).with_platform(platform)
    }

    /// The platform that is asked about.
    pub(super) fn platform(&self) -> Result<Arc<Platform>, Failure> {
        let context = self.context();
        let watch = context.platform().map_err(|error| self.failure(error))?;
        Ok(Arc::clone(watch.platform()))
    }

    pub(super) async fn deployments(&self) -> Result<Deployments, Failure> {
        let deployments = deployment::deployments(&self.context()).await;
        deployments.map_err(|error| self.failure(error))
    }

    /// What would be acted on.
    pub(super) async fn target(&self, deployments: &Deployments) -> Result<String, Failure> {
        let target = deployments.target().await;
        target.map_err(|error| self.failure(error))
    }

    /// Calls a tool.
    pub(super) async fn call(&self, name: &str, arguments: Value) -> Result<Answer, Failure> {
        let tool = tools::find(name)
            .ok_or_else(|| Failure::Error(format!("there is no tool `{name}`")))?;
        let outcome = outcome(tool, self.surroundings.clone(), arguments).await?;
        outcome.map_err(|error| self.failure(error))
    }

    /// Calls a tool page by page, and puts the rows of all pages into the first.
    pub(super) async fn call_all(
        &self,
        name: &str,
        mut arguments: Value,
        list: &str,
    ) -> Result<Map<String, Value>, Failure> {
        let mut whole = self.call(name, arguments.clone()).await?.structured();
        while let Some(next) = whole.remove("next") {
            if let Some(arguments) = arguments.as_object_mut() {
                arguments.insert("cursor".into(), next);
            }
            let mut page = self.call(name, arguments.clone()).await?.structured();
            let rows = page
                .get_mut(list)
                .and_then(|table| table.get_mut("rows"))
                .and_then(Value::as_array_mut)
                .map(std::mem::take)
                .unwrap_or_default();
            let known = whole
                .get_mut(list)
                .and_then(|table| table.get_mut("rows"))
                .and_then(Value::as_array_mut);
            if let Some(known) = known {
                known.extend(rows);
                let count = known.len();
                whole.insert("returned".into(), count.into());
            }
            for name in ["complete", "next"] {
                if let Some(value) = page.remove(name) {
                    whole.insert(name.to_owned(), value);
                }
            }
        }
        Ok(whole)
    }

    /// An error of a tool as the end of a command.
    pub(super) fn failure(&self, error: impl Into<ToolError>) -> Failure {
        let error = error.into();
        let is_usage = matches!(
            error.code,
            ErrorCode::InvalidArgument | ErrorCode::Ambiguous
        );
        if self.json {
            // What cannot be printed is told on stderr.
            return match say_json(&error.structured()) {
                Ok(()) if is_usage => Failure::Code(2),
                Ok(()) => Failure::Said,
                Err(failure) => failure,
            };
        }
        match is_usage {
            true => Failure::Usage(error.text()),
            false => Failure::Error(error.text()),
        }
    }

    pub(super) fn print(&self, answer: &Answer) -> Result<(), Failure> {
        print_fields(&answer.structured(), self.json)
    }
}

/// What a tool answers, in the time that a call has.
pub(super) async fn outcome(
    tool: &'static Tool,
    surroundings: Surroundings,
    arguments: Value,
) -> Result<Outcome, Failure> {
    let longest = Context::LONGEST_CALL;
    let running = run::run(tool, surroundings, longest, arguments);
    tokio::time::timeout(longest, running).await.map_err(|_| {
        Failure::Error(format!(
            "timeout: `{}` did not answer within {} s",
            tool.name,
            longest.as_secs()
        ))
    })
}

/// In the structured form, or as text.
pub(super) fn print_fields(fields: &Map<String, Value>, json: bool) -> Result<(), Failure> {
    match json {
        true => say_json(fields),
        // All of it has been seen already.
        false if fields.is_empty() => Ok(()),
        false => say(render::render(fields)),
    }
}
