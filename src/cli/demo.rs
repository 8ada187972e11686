//! `demo`: serves MCP on the catalog that is built into the binary, and on a small platform.

mod platform;

use std::io::IsTerminal as _;

use clap::Args;

use super::{Failure, block_on, output, serve::ServerArguments};
use crate::{app, settings::CatalogSettings};

/// Serves MCP on the built-in demo catalog, with every catalog tool listed.
#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Also run a small platform of real local processes, which carries the catalog's data, for as
    /// long as the demo runs (Linux).
    #[arg(long)]
    with_platform: bool,
    /// Break one of its services once all are up: database, cache, etl, api, web or dashboards.
    #[arg(long = "break", value_name = "SERVICE", requires = "with_platform")]
    broken: Option<String>,
    /// Deploy one of its services so that it never becomes well: its phase is taken back.
    #[arg(long = "fail", value_name = "SERVICE", requires = "with_platform")]
    failing: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
}

/// What a person sees who starts the demo by hand: a client speaks over stdin, a terminal cannot.
const TO_A_PERSON: &str = "\
The demo catalog is ready, and this is an MCP server: it waits for an MCP client on stdin.
From a terminal, ask it like this:

  openpolicy-mcp tools call --demo search_entities '{\"query\": \"bills\"}'

or connect a client:

  openpolicy-mcp init --client cursor --demo          prints what to put into .cursor/mcp.json
  openpolicy-mcp demo --http 127.0.0.1:8765           serves http://127.0.0.1:8765/mcp
  openpolicy-mcp demo --with-platform --break database
                                                      what a service that fails does to the data
  openpolicy-mcp demo --with-platform --fail web      a phase that does not pass its gate, taken back

Ctrl-D or Ctrl-C ends it.";

pub(super) fn run(arguments: DemoArguments) -> Result<(), Failure> {
    if arguments.server.http.is_none() && std::io::stdin().is_terminal() {
        output::note(TO_A_PERSON);
    }
    let mut settings = arguments
        .server
        .with_all_toolsets()
        .settings(CatalogSettings::Demo)?;
    if !arguments.with_platform {
        return block_on(async { Ok(app::serve(settings).await?) });
    }
    let platform = platform::Stage::set(arguments.broken.as_deref(), arguments.failing.as_deref())?;
    settings.platform = platform.settings();
    settings.state = Some(platform.state().to_owned());
    block_on(async {
        // The server answers from the beginning: services that start are told as such.
        let (served, ()) = tokio::join!(
            async {
                let served = app::serve(settings).await;
                platform.close();
                served
            },
            platform.perform()
        );
        platform.strike().await;
        Ok(served?)
    })
}
