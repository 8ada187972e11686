//! The edge with tools that misbehave: they panic, block, never end, or are cancelled.

use std::{
    io::Write as _,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use openpolicy_mcp::{
    answer::{Answer, Budget},
    catalog::Catalogs,
    mcp::{LazyCatalogs, McpServer, Selection, guard::Guard, http},
    settings::{Answers, HttpSettings, ToolSwitches},
    tools::{Caller, Effect, Tool, Toolset, schema},
};
use rmcp::ServiceExt;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

use crate::support::server::{http as http_request, initialize, open, post, request};

const PATIENCE: Duration = Duration::from_secs(20);

/// A tool for one test alone: when it began, and when its work was dropped.
struct Watched {
    begun: Semaphore,
    dropped: Semaphore,
    /// Lets it end.
    released: Semaphore,
}

impl Watched {
    const fn new() -> Self {
        Self {
            begun: Semaphore::const_new(0),
            dropped: Semaphore::const_new(0),
            released: Semaphore::const_new(0),
        }
    }

    async fn run(&'static self) {
        struct Dropped(&'static Watched);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.dropped.add_permits(1);
            }
        }
        let _dropped = Dropped(self);
        self.begun.add_permits(1);
        self.released.acquire().await.expect("open").forget();
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("in time")
}

async fn seen(semaphore: &Semaphore) {
    within(semaphore.acquire()).await.expect("open").forget();
}

macro_rules! tool {
    ($name:literal, $effect:expr, $call:expr) => {
        &Tool {
            name: $name,
            title: $name,
            description: $name,
            toolset: Toolset::Catalog,
            effect: $effect,
            arguments: || schema::result(&[], &[]),
            result: || schema::result(&["done"], &[("done", schema::boolean())]),
            call: |_, _| {
                Box::pin(async {
                    $call.await;
                    let mut answer = Answer::new(Budget::DEFAULT);
                    answer.put("done", true);
                    Ok(answer)
                })
            },
        }
    };
}

const WRITE: Effect = Effect::Write {
    destructive: false,
    idempotent: false,
};

static SLOW_READ: Watched = Watched::new();
static SLOW_WRITE: Watched = Watched::new();
static CANCELLED: Watched = Watched::new();
static HUNG_UP: Watched = Watched::new();
static LONG: Watched = Watched::new();
static DRAINED: Watched = Watched::new();
static ENDLESS: Watched = Watched::new();

static TOOLS: &[&Tool] = &[
    tool!("blocks", Effect::Read, async {
        std::thread::sleep(Duration::from_secs(2))
    }),
    tool!("cancelled", Effect::Read, CANCELLED.run()),
    tool!("drained", Effect::Read, DRAINED.run()),
    tool!("endless", Effect::Read, ENDLESS.run()),
    tool!("hung_up", Effect::Read, HUNG_UP.run()),
    tool!("long", Effect::Read, LONG.run()),
    tool!("panics", Effect::Read, async { panic!("on purpose") }),
    tool!("quick", Effect::Read, async {}),
    tool!("slow_read", Effect::Read, SLOW_READ.run()),
    tool!("slow_write", WRITE, SLOW_WRITE.run()),
];

fn server() -> McpServer {
    let selection = Selection::new(TOOLS, &ToolSwitches::default()).expect("a selection");
    let catalogs = Arc::new(LazyCatalogs::opened(Catalogs::default()));
    McpServer::new(selection, Answers::Both, catalogs)
}

async fn called(server: &McpServer, name: &str) -> Value {
    let cancelled = CancellationToken::new();
    let result = within(server.call(name, Value::Null, Caller::default(), &cancelled)).await;
    serde_json::to_value(result).expect("a result")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_panics_is_an_answer_and_the_server_lives_on() {
    let server = server();
    let result = called(&server, "panics").await;
    assert_eq!(result["isError"], true);
    assert_eq!(result["structuredContent"]["code"], "internal");
    assert!(!result.to_string().contains("on purpose"), "{result}");
    assert_eq!(called(&server, "quick").await["isError"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_ends_the_work_and_says_what_is_known() {
    let server = server().with_longest_call(Duration::from_millis(50));
    let result = called(&server, "slow_read").await;
    assert_eq!(result["structuredContent"]["code"], "timeout");
    assert_eq!(result["structuredContent"]["retry"], true);
    seen(&SLOW_READ.dropped).await;

    let result = called(&server, "slow_write").await;
    assert_eq!(result["structuredContent"]["code"], "timeout");
    assert_eq!(result["structuredContent"]["retry"], false);
    let message = result["structuredContent"]["message"].to_string();
    assert!(message.contains("unknown whether"), "{message}");
    seen(&SLOW_WRITE.dropped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_blocks_does_not_keep_the_answer_back() {
    let server = server().with_longest_call(Duration::from_millis(50));
    let begun = Instant::now();
    let result = called(&server, "blocks").await;
    assert_eq!(result["structuredContent"]["code"], "timeout");
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_call_is_dropped_and_never_answered() {
    let (client, transport) = tokio::io::duplex(64 * 1024);
    let serving = tokio::spawn(async move {
        let running = server().serve(transport).await.expect("a handshake");
        running.waiting().await
    });
    let (read, mut write) = tokio::io::split(client);
    let mut lines = BufReader::new(read).lines();
    for message in [
        initialize("2025-06-18"),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        request(7, "tools/call", json!({"name": "cancelled"})),
    ] {
        let line = format!("{message}\n");
        write.write_all(line.as_bytes()).await.expect("a server");
    }
    seen(&CANCELLED.begun).await;
    let cancel = json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}
    });
    let ping = request(8, "ping", json!({}));
    let both = format!("{cancel}\n{ping}\n");
    write.write_all(both.as_bytes()).await.expect("a server");
    seen(&CANCELLED.dropped).await;
    let mut answered = Vec::new();
    drop(write.shutdown().await);
    while let Some(line) = within(lines.next_line()).await.expect("a stream") {
        let answer: Value = serde_json::from_str(&line).expect("JSON");
        answered.push(answer["id"].as_i64());
    }
    assert_eq!(answered, [Some(0), Some(8)]);
    drop(within(serving).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_call_tells_that_it_still_runs() {
    let (client, transport) = tokio::io::duplex(64 * 1024);
    let server = server().with_longest_call(Duration::from_millis(500));
    let _serving = tokio::spawn(async move {
        let running = server.serve(transport).await.expect("a handshake");
        running.waiting().await
    });
    let (read, mut write) = tokio::io::split(client);
    let mut lines = BufReader::new(read).lines();
    let mut call = request(7, "tools/call", json!({"name": "long"}));
    call["params"]["_meta"] = json!({"progressToken": "p"});
    for message in [initialize("2025-06-18"), call] {
        let line = format!("{message}\n");
        write.write_all(line.as_bytes()).await.expect("a server");
    }
    let mut told = Vec::new();
    loop {
        let line = within(lines.next_line()).await.expect("a stream");
        let message: Value = serde_json::from_str(&line.expect("an answer")).expect("JSON");
        if message["method"] == "notifications/progress" {
            assert_eq!(message["params"]["progressToken"], "p");
            told.push(message["params"]["progress"].as_f64().expect("a number"));
        } else if message["id"] == 7 {
            break;
        }
    }
    assert!(!told.is_empty());
    assert!(told.is_sorted(), "{told:?}");
}

/// The same over HTTP: an answer becomes a stream where the client takes one, and stays a single
/// JSON message where it does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_call_over_http_tells_it_to_clients_that_take_a_stream() {
    let server = server().with_longest_call(Duration::from_millis(500));
    let (address, _shutdown, _serving) = serving_http(server).await;
    let mut call = request(7, "tools/call", json!({"name": "long"}));
    call["params"]["_meta"] = json!({"progressToken": "p"});
    for version in ["2025-03-26", "2025-11-25"] {
        let call = call.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let version = ("MCP-Protocol-Version", version);
            let once = [version, ("Accept", "application/json")];
            let body = call.to_string();
            let typed = [once.as_slice(), &[("Content-Type", "application/json")]].concat();
            (
                post(address, &[version], &call),
                http_request(address, "POST", "/mcp", &typed, &body),
            )
        });
        let (stream, once) = within(asked).await.expect("two answers");
        assert!(stream.head.contains("content-type: text/event-stream"));
        let messages: Vec<Value> = stream
            .body
            .lines()
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?).ok())
            .collect();
        let (answer, told) = messages.split_last().expect("messages");
        assert_eq!(answer["id"], 7, "{messages:?}");
        assert!(!told.is_empty(), "{messages:?}");
        for message in told {
            assert_eq!(message["params"]["progressToken"], "p", "{messages:?}");
        }
        assert!(once.head.contains("content-type: application/json"));
        assert_eq!(once.json()["id"], 7);
    }
}

/// The test's own server over HTTP: where it listens, how to end it, and its end.
async fn over_http() -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    serving_http(server()).await
}

async fn serving_http(
    server: McpServer,
) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let settings = HttpSettings::new("127.0.0.1:0".parse().expect("an address"));
    let guard = Guard::new(&settings).expect("a guard");
    let (listener, address) = http::bind(settings.address).await.expect("a port");
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn({
        let shutdown = shutdown.clone();
        async move {
            let others = axum::Router::new();
            http::serve(listener, guard, &settings, server, others, shutdown).await;
        }
    });
    (address, shutdown, serving)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_ends_the_work() {
    let (address, _shutdown, _serving) = over_http().await;
    let stream = within(asked(address, "hung_up")).await;
    seen(&HUNG_UP.begun).await;
    drop(stream);
    seen(&HUNG_UP.dropped).await;
}

/// A connection on which a call was asked and not yet answered.
async fn asked(address: SocketAddr, tool: &'static str) -> std::net::TcpStream {
    let asking = tokio::task::spawn_blocking(move || {
        let body = request(1, "tools/call", json!({ "name": tool })).to_string();
        let length = body.len().to_string();
        let headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", length.as_str()),
        ];
        let mut stream = open(address, "POST", "/mcp", &headers, None);
        stream.write_all(body.as_bytes()).expect("a server");
        stream
    });
    asking.await.expect("a connection")
}

fn ask(address: SocketAddr, tool: &'static str) -> tokio::task::JoinHandle<(u16, String)> {
    tokio::task::spawn_blocking(move || {
        let reply = post(
            address,
            &[],
            &request(1, "tools/call", json!({ "name": tool })),
        );
        (reply.status, reply.body)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_at_the_end_is_answered_and_nothing_new_is_taken() {
    let (address, shutdown, serving) = over_http().await;
    let running = ask(address, "drained");
    seen(&DRAINED.begun).await;
    shutdown.cancel();
    // The listener goes before the calls that run.
    within(async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    DRAINED.released.add_permits(1);
    let (status, body) = within(running).await.expect("an answer");
    assert_eq!(status, 200);
    assert!(body.contains("\"done\":true"), "{body}");
    within(serving).await.expect("an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_end_does_not_keep_the_server() {
    let (address, shutdown, serving) = over_http().await;
    let _stream = within(asked(address, "endless")).await;
    seen(&ENDLESS.begun).await;
    let begun = Instant::now();
    shutdown.cancel();
    within(serving).await.expect("an end");
    assert!(begun.elapsed() < Duration::from_secs(5));
    seen(&ENDLESS.dropped).await;
}
