//! A slow, dead, lying, failing or chatty OpenMetadata, as whoever calls a tool meets it.

mod canary;
mod echo;
mod lies;
mod process;
mod search_down;
mod slow;

use std::{sync::Arc, time::Duration};

use openpolicy_mcp::{
    catalog::{Catalogs, Settings},
    mcp::{LazyCatalogs, McpServer, Selection},
    net,
    settings::{Answers, Credential, ToolSwitches},
    tools::{self, Caller},
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::support::calls::writes;

/// Every tool over this OpenMetadata, with hardly a pause before a read is repeated.
fn server(url: &str, credential: Credential) -> McpServer {
    let settings = Settings {
        url: url.to_owned(),
        credential,
        net: net::Settings {
            first_pause: Duration::from_millis(1),
            ..net::Settings::default()
        },
        ..Settings::default()
    };
    let catalogs = Catalogs::of_openmetadata(&settings).expect("an address");
    let switches = ToolSwitches {
        toolsets: vec!["all".into()],
        ..ToolSwitches::default()
    };
    let selection = Selection::new(tools::all(), &switches).expect("switches");
    let catalogs = Arc::new(LazyCatalogs::opened(catalogs));
    McpServer::new(selection, Answers::Both, catalogs)
}

async fn call(server: &McpServer, tool: &str, arguments: Value) -> Value {
    let never = CancellationToken::new();
    let result = server
        .call(tool, arguments, Caller::default(), &never)
        .await;
    serde_json::to_value(result).expect("JSON")
}
