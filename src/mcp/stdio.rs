//! MCP over standard input and output: one JSON message a line.
//!
//! Reading and writing have threads of their own. A read of standard input cannot be interrupted;
//! in a thread that nobody joins it keeps neither the runtime nor the process from ending.

use std::{
    io::{BufRead, BufReader, Read, Write},
    time::Duration,
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt,
    model::{ClientJsonRpcMessage, RequestId, ServerJsonRpcMessage},
    service::ServerInitializeError,
    transport::Transport,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    in_flight::InFlight,
    messages::{IdFinder, Opening, Parsed, parsed, refusal},
};

/// The longest line that is read: a message is a few KB, a hostile one has no end.
const LONGEST_LINE: usize = 4 * 1024 * 1024;

/// How long calls that run may go on after the client hung up or a signal came.
const DRAIN: Duration = Duration::from_secs(4);

/// Serves until standard input ends or `shutdown` is cancelled, at most `DRAIN` longer.
pub async fn serve<S: ServerHandler>(
    server: S,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    serve_over(server, std::io::stdin(), std::io::stdout(), shutdown).await
}

/// The same over any two ends of a pipe. Each is read and written by a thread of its own.
pub async fn serve_over<S: ServerHandler>(
    server: S,
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let hung_up = CancellationToken::new();
    let transport = Lines::new(input, output, hung_up.clone())?;
    let serving = async {
        match server.serve_with_ct(transport, shutdown.clone()).await {
            Ok(running) => {
                if let Err(error) = running.waiting().await {
                    tracing::error!(%error, "The connection ended by a fault of this server");
                }
            }
            Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => {}
            Err(error) => {
                tracing::warn!(reason = %error, "The client did not begin as the protocol says");
            }
        }
    };
    let ending = async {
        tokio::select! {
            () = hung_up.cancelled() => {}
            () = shutdown.cancelled() => {}
        }
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        () = serving => {}
        () = ending => tracing::warn!("Calls were still running at the end and were dropped"),
    }
    Ok(())
}

/// What the reading thread hands over.
enum Line {
    Whole(Vec<u8>),
    /// With the id of the request, where it has one.
    TooLong(Option<RequestId>),
}

/// Lines in, lines out.
struct Lines {
    incoming: mpsc::Receiver<Line>,
    outgoing: Option<mpsc::Sender<Vec<u8>>>,
    written: Option<oneshot::Receiver<()>>,
    /// An answer to a line that was no message, until it is sent: `receive` may be dropped halfway.
    pending: Option<Vec<u8>>,
    opening: Opening,
    in_flight: InFlight,
    hung_up: CancellationToken,
}

impl Lines {
    fn new(
        input: impl Read + Send + 'static,
        mut output: impl Write + Send + 'static,
        hung_up: CancellationToken,
    ) -> std::io::Result<Self> {
        let (line, incoming) = mpsc::channel(64);
        std::thread::Builder::new()
            .name("stdin".into())
            .spawn(move || read_lines(&mut BufReader::new(input), &line))?;
        let (outgoing, lines) = mpsc::channel(64);
        let (done, written) = oneshot::channel();
        std::thread::Builder::new()
            .name("stdout".into())
            .spawn(move || {
                write_lines(&mut output, lines);
                // Nobody waits any more where the other end is gone.
                let _ = done.send(());
            })?;
        Ok(Self {
            incoming,
            outgoing: Some(outgoing),
            written: Some(written),
            pending: None,
            opening: Opening::default(),
            in_flight: InFlight::default(),
            hung_up,
        })
    }
}

impl Transport<RoleServer> for Lines {
    type Error = std::io::Error;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = std::io::Result<()>> + Send + 'static {
        let outgoing = self.outgoing.clone();
        self.in_flight.going(&message);
        async move {
            let line = serde_json::to_vec(&message)?;
            let closed = || std::io::Error::from(std::io::ErrorKind::NotConnected);
            let outgoing = outgoing.ok_or_else(closed)?;
            outgoing.send(line).await.map_err(|_| closed())
        }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            if self.pending.is_some() {
                let permit = self.outgoing.as_ref()?.reserve().await.ok()?;
                permit.send(self.pending.take()?);
            }
            let read = match self.incoming.recv().await {
                Some(Line::Whole(line)) => parsed(&line),
                Some(Line::TooLong(id)) => Parsed::Refused(refusal(
                    id,
                    ErrorData::invalid_request(
                        format!("a message of more than {LONGEST_LINE} bytes is not read"),
                        None,
                    ),
                )),
                None => {
                    self.hung_up.cancel();
                    return None;
                }
            };
            match read {
                Parsed::Message(message) => {
                    if !self.opening.may_pass(&message) {
                        continue;
                    }
                    match self.in_flight.coming(&message) {
                        Some(refusal) => self.pending = serde_json::to_vec(&refusal).ok(),
                        None => return Some(*message),
                    }
                }
                Parsed::Refused(answer) => self.pending = serde_json::to_vec(&answer).ok(),
                Parsed::Nothing => {}
            }
        }
    }

    async fn close(&mut self) -> std::io::Result<()> {
        drop(self.outgoing.take());
        if let Some(written) = self.written.take() {
            // A client that no longer reads must not keep the process.
            let _ = tokio::time::timeout(Duration::from_secs(1), written).await;
        }
        Ok(())
    }
}

fn read_lines(input: &mut impl BufRead, line: &mpsc::Sender<Line>) {
    loop {
        let mut bytes = Vec::new();
        let mut bounded = input.by_ref().take(LONGEST_LINE as u64 + 1);
        let read = match bounded.read_until(b'\n', &mut bytes) {
            Ok(0) => return,
            Ok(_) if bytes.len() > LONGEST_LINE => {
                let mut finder = IdFinder::default();
                finder.read(&bytes);
                if bytes.last() != Some(&b'\n') && !skip_line(input, &mut finder) {
                    return;
                }
                Line::TooLong(finder.found())
            }
            Ok(_) => Line::Whole(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        if line.blocking_send(read).is_err() {
            return;
        }
    }
}

/// Reads to the end of a line without keeping it. False at the end of the input.
fn skip_line(input: &mut impl BufRead, finder: &mut IdFinder) -> bool {
    loop {
        let Ok(available) = input.fill_buf() else {
            return false;
        };
        if available.is_empty() {
            return false;
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let skipped = end.map_or(available.len(), |end| end + 1);
        finder.read(&available[..skipped]);
        input.consume(skipped);
        if end.is_some() {
            return true;
        }
    }
}

fn write_lines(output: &mut impl Write, mut lines: mpsc::Receiver<Vec<u8>>) {
    while let Some(mut line) = lines.blocking_recv() {
        loop {
            line.push(b'\n');
            if output.write_all(&line).is_err() {
                return;
            }
            match lines.try_recv() {
                Ok(next) => line = next,
                Err(_) => break,
            }
        }
        if output.flush().is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_end_is_dropped_and_the_next_is_read() {
        let mut input = vec![b'x'; LONGEST_LINE + 10];
        input.extend(b"\n{\"a\":1}\nlast");
        let (line, mut lines) = mpsc::channel(8);
        read_lines(&mut BufReader::new(&input[..]), &line);
        drop(line);
        assert!(matches!(lines.try_recv(), Ok(Line::TooLong(None))));
        assert!(matches!(lines.try_recv(), Ok(Line::Whole(line)) if line == b"{\"a\":1}\n"));
        assert!(matches!(lines.try_recv(), Ok(Line::Whole(line)) if line == b"last"));
        assert!(lines.try_recv().is_err());
    }
}
