//! Fuzzing: four ways in, each a function of bytes that panics where a promise is broken.
//!
//! Here they run on seeded bytes and on the committed seeds, the same every time; the targets in
//! `fuzz/` hand the same functions to libFuzzer.

pub mod answers;
pub mod arguments;
pub mod bodies;
pub mod choices;
pub mod damage;
pub mod lines;
pub mod messages;

#[cfg(test)]
mod seeded;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use openpolicy_mcp::{
    catalog::{Catalogs, snapshot},
    mcp::{LazyCatalogs, McpServer, Selection},
    settings::{Answers, ToolSwitches},
    tools::{self, Caller},
};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// An answer that takes so long is lost.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// One runtime for all that is served here.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("a runtime"))
}

/// The demo with every tool. Its catalog is opened once.
pub fn demo() -> McpServer {
    static DEMO: OnceLock<McpServer> = OnceLock::new();
    let server = DEMO.get_or_init(|| {
        let snapshot = snapshot::demo().expect("the demo");
        let catalogs = Catalogs::of_snapshot(snapshot).for_everyone();
        let catalogs = Arc::new(LazyCatalogs::opened(catalogs));
        McpServer::new(everything(), Answers::Both, catalogs)
    });
    server.clone()
}

pub fn everything() -> Selection {
    let switches = ToolSwitches {
        toolsets: vec!["all".into()],
        ..ToolSwitches::default()
    };
    Selection::new(tools::all(), &switches).expect("switches")
}

/// The result of one call, as a client gets it.
pub fn on_demo(tool: &str, arguments: Value) -> Value {
    let never = CancellationToken::new();
    let server = demo();
    let call = server.call(tool, arguments.clone(), Caller::default(), &never);
    let result = runtime().block_on(async { tokio::time::timeout(PATIENCE, call).await });
    let result = result.unwrap_or_else(|_| panic!("{tool} {arguments} does not end"));
    serde_json::to_value(result).expect("JSON")
}
