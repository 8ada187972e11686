//! The HTTP transport of protocol 2024-11-05, for clients that know no other: a stream of events
//! at `/sse`, messages by POST to `/messages`.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::StreamExt;
use rmcp::{
    RoleServer, ServerHandler, ServiceExt,
    model::{ClientJsonRpcMessage, GetExtensions, ServerJsonRpcMessage},
    transport::{Transport, common::server_side_http::session_id},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::{
    handler::{CallerToken, CameOver},
    http::{bad_request, plain, read_body},
    in_flight::InFlight,
    messages::{Opening, Parsed, parsed},
};

/// Streams at once.
const MOST_SESSIONS: usize = 256;

/// Messages that wait on either side of a session.
const QUEUE: usize = 64;

/// Proxies close streams on which nothing moves, often after 30 s or 60 s.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a message may wait for room.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The open streams.
pub(super) struct Sessions<S> {
    server: S,
    open: Mutex<HashMap<String, Session>>,
    shutdown: CancellationToken,
}

#[derive(Clone)]
struct Session {
    messages: mpsc::Sender<ClientJsonRpcMessage>,
    /// The token that came with the stream; one that comes with a message goes before it.
    caller: Option<CallerToken>,
}

impl<S> Sessions<S> {
    pub(super) fn new(server: S, shutdown: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            server,
            open: Mutex::default(),
            shutdown,
        })
    }

    fn with_open<T>(&self, change: impl FnOnce(&mut HashMap<String, Session>) -> T) -> T {
        change(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Ends a session when its stream is dropped: the client went away.
struct Ending<S> {
    sessions: Arc<Sessions<S>>,
    id: String,
    cancel: CancellationToken,
}

impl<S> Drop for Ending<S> {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.sessions.with_open(|open| open.remove(&self.id));
    }
}

/// `GET /sse`
pub(super) async fn open<S: ServerHandler + Clone>(
    State(sessions): State<Arc<Sessions<S>>>,
    request: Request,
) -> Response {
    let (messages, incoming) = mpsc::channel(QUEUE);
    let (outgoing, events) = mpsc::channel::<String>(QUEUE);
    // A UUID of version 4: 122 random bits.
    let id = session_id().to_string();
    let session = Session {
        messages,
        caller: request.extensions().get::<CallerToken>().cloned(),
    };
    let is_full = sessions.with_open(|open| {
        let is_full = open.len() >= MOST_SESSIONS;
        if !is_full {
            open.insert(id.clone(), session);
        }
        is_full
    });
    if is_full {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "too many open streams");
    }
    let cancel = sessions.shutdown.child_token();
    let ending = Ending {
        sessions: Arc::clone(&sessions),
        id: id.clone(),
        cancel: cancel.clone(),
    };
    let pipe = Pipe {
        incoming,
        outgoing: Some(outgoing),
        pending: None,
        opening: Opening::default(),
        in_flight: InFlight::default(),
    };
    let server = sessions.server.clone();
    tokio::spawn(async move {
        match server.serve_with_ct(pipe, cancel).await {
            Ok(running) => drop(running.waiting().await),
            Err(error) => tracing::debug!(reason = %error, "A stream ended before it began"),
        }
    });
    let endpoint = Event::default()
        .event("endpoint")
        .data(format!("/messages?sessionId={id}"));
    let messages = ReceiverStream::new(events).map(move |message| {
        let _until_dropped = &ending;
        Event::default().event("message").data(message)
    });
    let events = futures::stream::once(async { endpoint })
        .chain(messages)
        .map(Ok::<_, Infallible>);
    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}

/// `POST /messages?sessionId=…`
pub(super) async fn message<S: ServerHandler>(
    State(sessions): State<Arc<Sessions<S>>>,
    request: Request,
) -> Response {
    let id = url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
        .find(|(name, _)| name == "sessionId" || name == "session_id")
        .map(|(_, id)| id.into_owned());
    let Some(session) = id.and_then(|id| sessions.with_open(|open| open.get(&id).cloned())) else {
        return plain(
            StatusCode::NOT_FOUND,
            "there is no such session; open a stream at /sse first",
        );
    };
    let (head, body) = request.into_parts();
    let body = match read_body(&head.headers, body).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let mut message = match parsed(&body) {
        Parsed::Message(message) => *message,
        Parsed::Refused(answer) => return bad_request(&answer),
        Parsed::Nothing => return plain(StatusCode::BAD_REQUEST, "the body is empty"),
    };
    if let ClientJsonRpcMessage::Request(request) = &mut message {
        let beside = request.request.extensions_mut();
        beside.insert(CameOver("sse"));
        let caller = head.extensions.get::<CallerToken>().cloned();
        if let Some(caller) = caller.or(session.caller) {
            beside.insert(caller);
        }
    }
    match session.messages.send_timeout(message, LONGEST_WAIT).await {
        Ok(()) => (StatusCode::ACCEPTED, "Accepted").into_response(),
        Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
            plain(StatusCode::SERVICE_UNAVAILABLE, "the session is busy")
        }
        Err(mpsc::error::SendTimeoutError::Closed(_)) => {
            plain(StatusCode::NOT_FOUND, "the session has ended")
        }
    }
}

/// A session as the service sees it.
struct Pipe {
    incoming: mpsc::Receiver<ClientJsonRpcMessage>,
    outgoing: Option<mpsc::Sender<String>>,
    /// A refusal until it is sent: `receive` may be dropped halfway.
    pending: Option<String>,
    opening: Opening,
    in_flight: InFlight,
}

impl Transport<RoleServer> for Pipe {
    type Error = std::io::Error;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = std::io::Result<()>> + Send + 'static {
        let outgoing = self.outgoing.clone();
        self.in_flight.going(&message);
        async move {
            let message = serde_json::to_string(&message)?;
            let closed = || std::io::Error::from(std::io::ErrorKind::NotConnected);
            let outgoing = outgoing.ok_or_else(closed)?;
            outgoing.send(message).await.map_err(|_| closed())
        }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            if self.pending.is_some() {
                let permit = self.outgoing.as_ref()?.reserve().await.ok()?;
                permit.send(self.pending.take()?);
            }
            let message = self.incoming.recv().await?;
            if !self.opening.may_pass(&message) {
                continue;
            }
            match self.in_flight.coming(&message) {
                Some(refusal) => self.pending = Some(refusal.to_string()),
                None => return Some(message),
            }
        }
    }

    async fn close(&mut self) -> std::io::Result<()> {
        self.outgoing = None;
        Ok(())
    }
}
