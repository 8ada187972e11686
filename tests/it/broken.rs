//! A slow, dead, lying, failing or chatty OpenMetadata, as whoever calls a tool meets it.

mod canary;
mod echo;
mod fuzz;
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
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

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

/// The tools that write, showing what they would do.
fn writes() -> Vec<(&'static str, Value)> {
    let table = "table:openpolicy_pg.openpolicy.core.bills";
    vec![
        (
            "update_entity",
            json!({"entity": table, "set": {"description": "x"}}),
        ),
        (
            "edit_lineage",
            json!({"action": "add", "from": table, "to": "table:a.b.c.d"}),
        ),
        (
            "update_incident",
            json!({"test": "a.b.c.d.t", "action": "acknowledge"}),
        ),
        (
            "control_ingestion",
            json!({"pipeline": "openpolicy_pg.pg_metadata", "action": "run"}),
        ),
    ]
}
