//! `stand-in`: the service that the demo and the tests run in place of a real one.

mod behaviour;
mod http;

use std::{net::IpAddr, sync::Arc, time::Duration};

use clap::Args;
use tokio::net::TcpListener;

use self::behaviour::{Behaviour, Control};
use super::{Failure, output::say};
use crate::platform::{Bytes, quantity};

/// A service that answers HTTP, and is slow, failing, hungry or gone on demand.
///
/// Every path answers a short JSON; `/health` and `/healthz` say whether it is well, `/metrics`
/// counts requests in the text format of Prometheus, and `POST /control` changes at run time what
/// the flags set: {"fail": "50%", "delay": "300ms", "memory": "64Mi", "exit": 3, "log": 100}.
#[derive(Debug, Args)]
pub(super) struct StandInArguments {
    /// Name in its answers and log lines.
    #[arg(long, default_value = "stand-in")]
    name: String,
    /// Port to listen on; 0 takes a free one and logs it. Without it, and without the variable
    /// PORT, nothing is served.
    #[arg(long)]
    port: Option<u16>,
    #[arg(long, default_value = "127.0.0.1")]
    address: IpAddr,
    /// Another service that it needs (http://…); it is unwell while that does not answer 2xx.
    #[arg(long, value_name = "URL")]
    needs: Vec<String>,
    /// Share of requests that fail with 500: 100%, 5%.
    #[arg(long, value_parser = behaviour::share)]
    fail: Option<f64>,
    /// Waits before each answer: 300ms.
    #[arg(long, value_parser = length)]
    delay: Option<Duration>,
    /// Memory to use: 64Mi.
    #[arg(long, value_parser = size)]
    memory: Option<u64>,
    /// Share of a core to use: 50%.
    #[arg(long, value_parser = behaviour::share)]
    cpu: Option<f64>,
    /// Ready only after this long.
    #[arg(long, value_parser = length)]
    starts_in: Option<Duration>,
    /// Ends after this long, with the code of --exit-code.
    #[arg(long, value_parser = length)]
    ends_in: Option<Duration>,
    #[arg(long, default_value_t = 1)]
    exit_code: u8,
    /// Does its work and ends: a migration, an ingestion run.
    #[arg(long)]
    one_shot: bool,
    /// Log lines at the start.
    #[arg(long, default_value_t = 0)]
    log_lines: u32,
    /// Log lines a second while it runs.
    #[arg(long, default_value_t = 0)]
    log_rate: u32,
    /// Goes on when it is asked to end.
    #[arg(long)]
    ignore_sigterm: bool,
    /// Starts a child process that sleeps, as services do.
    #[arg(long)]
    with_child: bool,
    /// Environment variables whose names and values are logged at the start.
    #[arg(long, value_name = "NAME")]
    show: Vec<String>,
}

fn length(written: &str) -> Result<Duration, String> {
    quantity::duration(written).map_err(|error| error.to_string())
}

fn size(written: &str) -> Result<u64, String> {
    Bytes::parse(written)
        .map(|bytes| bytes.0)
        .map_err(|error| error.to_string())
}

pub(super) fn run(mut arguments: StandInArguments) -> Result<(), Failure> {
    if arguments.port.is_none()
        && let Ok(port) = std::env::var("PORT")
    {
        let port = port.parse().map_err(|_| {
            Failure::Usage("the variable PORT is no port: write a number up to 65535".into())
        })?;
        arguments.port = Some(port);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Error(error.to_string()))?;
    let code = runtime.block_on(serve(arguments))?;
    runtime.shutdown_background();
    match code {
        0 => Ok(()),
        code => Err(Failure::Code(code)),
    }
}

/// Runs until it is asked to end or a time is up; the exit code.
async fn serve(arguments: StandInArguments) -> Result<u8, Failure> {
    // Before its first line: whoever reads that may ask it to end.
    let mut asked = Asked::new()?;
    let behaviour = Arc::new(Behaviour::new(&arguments.name, arguments.starts_in));
    behaviour.needs(arguments.needs.clone());
    behaviour.apply(&Control {
        fail: arguments.fail,
        delay: arguments.delay,
        memory: arguments.memory,
        cpu: arguments.cpu,
        log: Some(arguments.log_lines),
        exit: None,
    })?;
    behaviour.log("INFO", format_args!("{} starts", arguments.name))?;
    for name in &arguments.show {
        let value = std::env::var(name);
        let value = value.as_deref().unwrap_or("not set");
        behaviour.log("INFO", format_args!("environment {name}={value}"))?;
    }
    if arguments.with_child {
        start_child()?;
    }
    if arguments.one_shot && arguments.ends_in.is_none() {
        behaviour.log("INFO", format_args!("done"))?;
        return Ok(0);
    }
    let exit = Arc::clone(&behaviour);
    tokio::select! {
        code = exit.exit_asked() => Ok(code),
        code = after(arguments.ends_in, if arguments.one_shot { 0 } else { arguments.exit_code }) => {
            if code != 0 {
                behaviour.log("ERROR", format_args!("fatal: cannot go on, code {code}"))?;
            }
            Ok(code)
        }
        ended = asked.until(arguments.ignore_sigterm, &behaviour) => ended.map(|()| 0),
        failed = work(&arguments, &behaviour) => failed,
    }
}

/// Answers requests and does what it is told to do besides, without end.
async fn work(arguments: &StandInArguments, behaviour: &Arc<Behaviour>) -> Result<u8, Failure> {
    if let Some(port) = arguments.port {
        let listener = TcpListener::bind((arguments.address, port))
            .await
            .map_err(|error| Failure::Error(format!("port {port} cannot be used: {error}")))?;
        let bound = listener
            .local_addr()
            .map_err(|error| Failure::Error(error.to_string()))?;
        behaviour.log("INFO", format_args!("listening on http://{bound}"))?;
        tokio::spawn(http::serve(listener, Arc::clone(behaviour)));
    }
    tokio::spawn(behaviour::look_at_needs(Arc::clone(behaviour)));
    let pause = match arguments.log_rate {
        0 => Duration::from_secs(3_600),
        rate => Duration::from_secs(1) / rate,
    };
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {
                if arguments.log_rate > 0 {
                    behaviour.chatter(1)?;
                }
            }
            () = behaviour.burn() => {}
        }
    }
}

async fn after(length: Option<Duration>, code: u8) -> u8 {
    match length {
        Some(length) => tokio::time::sleep(length).await,
        None => std::future::pending().await,
    }
    code
}

/// SIGTERM and SIGINT.
struct Asked {
    #[cfg(unix)]
    signals: [tokio::signal::unix::Signal; 2],
}

impl Asked {
    #[cfg(unix)]
    fn new() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error: std::io::Error| Failure::Error(format!("no signals: {error}"));
        let terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        Ok(Self {
            signals: [terminate, interrupt],
        })
    }

    #[cfg(not(unix))]
    fn new() -> Result<Self, Failure> {
        Ok(Self {})
    }

    /// Waits until it is asked to end; without end where it is told to be stubborn.
    async fn until(&mut self, is_stubborn: bool, behaviour: &Behaviour) -> Result<(), Failure> {
        loop {
            #[cfg(unix)]
            {
                let [terminate, interrupt] = &mut self.signals;
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            #[cfg(not(unix))]
            let _ = tokio::signal::ctrl_c().await;
            if !is_stubborn {
                return behaviour.log("INFO", format_args!("asked to end, bye"));
            }
            behaviour.log("WARN", format_args!("asked to end, and goes on"))?;
        }
    }
}

/// A process below this one, as worker processes of real services are.
fn start_child() -> Result<(), Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::Error(error.to_string()))?;
    std::process::Command::new(program)
        .args(["stand-in", "--name", "worker", "--ignore-sigterm"])
        .spawn()
        .map_err(|error| Failure::Error(format!("no child: {error}")))?;
    Ok(())
}

/// Writes one log line; a reader that is gone is no fault of the service.
fn line(text: std::fmt::Arguments<'_>) -> Result<(), Failure> {
    say(text)
}
