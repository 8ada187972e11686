//! `demo`: serves MCP on the catalog that is built into the binary.

use std::io::IsTerminal as _;

use clap::Args;

use super::{Failure, block_on, output, serve::ServerArguments};
use crate::{app, settings::CatalogSettings};

/// Serves MCP on the built-in demo catalog, with every catalog tool listed.
#[derive(Debug, Args)]
pub(super) struct DemoArguments {
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

Ctrl-D or Ctrl-C ends it.";

pub(super) fn run(arguments: DemoArguments) -> Result<(), Failure> {
    if arguments.server.http.is_none() && std::io::stdin().is_terminal() {
        output::note(TO_A_PERSON);
    }
    let settings = arguments
        .server
        .with_all_toolsets()
        .settings(CatalogSettings::Demo)?;
    block_on(async { Ok(app::serve(settings).await?) })
}
