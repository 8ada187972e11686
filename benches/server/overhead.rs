//! A tool beside the HTTP calls that it makes: the same requests, sent to the same replay server.

use std::{sync::Arc, time::Instant};

use openpolicy_mcp::{
    catalog::{Catalogs, Credential, Settings},
    mcp::{LazyCatalogs, McpServer, Selection},
    settings::{Answers, ToolSwitches},
    tools::{self, Caller},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    Spread, milliseconds, replay,
    support::{replay::Replay, wire::Seen},
};

const CALLS: usize = 400;
/// Not measured: connections open, the version of the server is read.
const FIRST: usize = 20;

pub fn measure() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let fqn = "openpolicy_pg.openpolicy.core.bills";
    let named = format!("table:{fqn}");
    for (name, tool, arguments) in [
        (
            "`search_entities` by a word",
            "search_entities",
            json!({"query": "bills"}),
        ),
        (
            "`search_entities` by FQN",
            "search_entities",
            json!({"query": fqn}),
        ),
        (
            "`get_entity`, type named",
            "get_entity",
            json!({"entities": [named]}),
        ),
        (
            "`get_entity`, bare FQN",
            "get_entity",
            json!({"entities": [fqn]}),
        ),
    ] {
        let replay = replay();
        let row = runtime.block_on(beside(&replay, tool, arguments));
        println!("| {name} over the HTTP calls that it makes {row}");
    }
}

async fn beside(replay: &Replay, tool: &str, arguments: Value) -> String {
    let settings = Settings {
        url: replay.url(),
        credential: Credential::None,
        ..Settings::default()
    };
    let catalogs = Catalogs::of_openmetadata(&settings).expect("an address");
    let selection = Selection::new(tools::all(), &ToolSwitches::default()).expect("switches");
    let catalogs = Arc::new(LazyCatalogs::opened(catalogs));
    let server = McpServer::new(selection, Answers::Both, catalogs);
    let client = reqwest::Client::new();
    let never = CancellationToken::new();
    let (mut ours, mut direct) = (Vec::new(), Vec::new());
    let mut requests = Vec::new();
    for step in 0..CALLS + FIRST {
        // Answers are kept for each caller apart: a new one asks anew.
        let caller = Caller {
            openmetadata_token: Some(format!("token-of-call-{step}").into()),
            ..Caller::default()
        };
        replay.forget_requests();
        let begun = Instant::now();
        let result = server.call(tool, arguments.clone(), caller, &never).await;
        let elapsed = begun.elapsed();
        assert_eq!(result.is_error, Some(false), "{result:?}");
        requests = replay.requests();
        let begun = Instant::now();
        for request in &requests {
            send(&client, &replay.url(), request).await;
        }
        if step >= FIRST {
            ours.push(milliseconds(elapsed));
            direct.push(milliseconds(begun.elapsed()));
        }
    }
    let (ours, direct) = (Spread::of(&mut ours), Spread::of(&mut direct));
    format!(
        "({}) | {ours} ms | {direct} ms | {:+.2} (median {:+.2}) ms |",
        requests.len(),
        ours.quickest - direct.quickest,
        ours.median - direct.median
    )
}

async fn send(client: &reqwest::Client, url: &str, request: &Seen) {
    let mut sent = client.get(format!("{url}{}", request.target));
    for name in ["authorization", "accept", "accept-encoding"] {
        if let Some(value) = request.header(name) {
            sent = sent.header(name, value);
        }
    }
    let answer = sent.send().await.expect("an answer");
    let body = answer.bytes().await.expect("a body");
    assert!(!body.is_empty());
}
