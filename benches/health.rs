//! How long `check_health` takes over 32 services, beside a probe of the slowest of them alone.
//!
//! `cargo bench --bench health` prints a row of `benches/README.md`. The services are paths of a
//! server in this process: 31 answer within 50 ms, one after 100 ms.

use std::{
    error::Error,
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use openpolicy_mcp::{
    app,
    settings::{CatalogSettings, PlatformSettings},
    tools::{self, Caller, Context},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

const SERVICES: u64 = 32;
/// Milliseconds.
const SLOWEST: u64 = 100;
const ROUNDS: usize = 30;
/// Not measured: threads start, files are made.
const FIRST: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    // Of its own threads, so that it takes nothing from those that are measured.
    let (announce, announced) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let threads = tokio::runtime::Runtime::new().expect("threads");
        threads.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let port = listener.local_addr().expect("an address").port();
            announce.send(port).expect("someone listens");
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(answer(stream));
            }
        });
    });
    let port = announced.recv()?;
    tokio::runtime::Runtime::new()?.block_on(measure(port))
}

/// `/N` answers after N milliseconds; each connection is used once.
async fn answer(mut stream: TcpStream) {
    let mut request = [0; 4_096];
    let Ok(read) = stream.read(&mut request).await else {
        return;
    };
    let text = String::from_utf8_lossy(&request[..read]);
    let path = text.split(' ').nth(1).unwrap_or_default();
    let wait = path.trim_start_matches('/').parse().unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(wait)).await;
    let reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    let _ = stream.write_all(reply.as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn measure(port: u16) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("platform.yaml");
    let mut text = String::from("platform: bench\nservices:\n");
    for number in 0..SERVICES {
        let wait = if number == 0 { SLOWEST } else { number };
        writeln!(
            text,
            "  service-{number}: {{ probe: {{ http: \"http://127.0.0.1:{port}/{wait}\" }} }}"
        )?;
    }
    std::fs::write(&file, text)?;
    let settings = PlatformSettings {
        file: Some(file),
        ..PlatformSettings::default()
    };
    // With the history on the disk, as a server has it.
    let watch = app::platform(
        &settings,
        &CatalogSettings::None,
        Some(&folder.path().join("state")),
    )
    .map_err(|error| error.message)?;
    let tool = tools::find("check_health").ok_or("the tool")?;
    let (mut alone, mut all) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS + FIRST {
        let begun = Instant::now();
        directly(port).await?;
        let direct = begun.elapsed();
        let context =
            Context::new(Arc::default(), Caller::default()).with_platform(watch.clone().map(Ok));
        let begun = Instant::now();
        let answer = (tool.call)(&context, json!({"refresh": true})).await;
        let answer = answer.map_err(|error| error.message)?;
        let both = (answer.structured(), answer.text());
        let whole = begun.elapsed();
        assert_eq!(both.0["counts"], json!({"up": SERVICES}), "{}", both.1);
        if round >= FIRST {
            alone.push(direct);
            all.push(whole);
        }
    }
    let (alone, all) = (spread(&mut alone), spread(&mut all));
    let difference = |position: usize| all[position] - alone[position];
    println!("| what | openpolicy-mcp | the slowest alone | difference |\n|---|---|---|---|");
    println!(
        "| `check_health` of {SERVICES} services, both forms | {:.1} ({:.1}) ms | {:.1} ({:.1}) ms | \
         +{:.1} (+{:.1}) ms |",
        all[0],
        all[1],
        alone[0],
        alone[1],
        difference(0),
        difference(1)
    );
    Ok(())
}

/// The same request as the probe's, without anything around it.
async fn directly(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET /{SLOWEST} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(())
}

/// The quickest and the median, in milliseconds; sorts.
fn spread(times: &mut [Duration]) -> [f64; 2] {
    times.sort();
    [times[0], times[times.len() / 2]].map(|time| time.as_secs_f64() * 1_000.0)
}
