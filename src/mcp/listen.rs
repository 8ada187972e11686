//! Accepts connections, bounds them, and lets them end well.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{Router, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long the head of a request may take to arrive; also how long an idle connection stays.
const LONGEST_HEAD: Duration = Duration::from_secs(60);

/// Connections at once. More wait in the queue of the operating system.
const MOST_CONNECTIONS: usize = 1024;

/// How long requests that run may go on after a signal.
const DRAIN: Duration = Duration::from_secs(4);

/// The address of this machine that a request came in on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local(pub(super) IpAddr);

/// Serves until `shutdown`; then no new connection, and what runs has `DRAIN` to end. `end` is
/// cancelled when that is over.
pub(super) async fn serve(
    listener: TcpListener,
    routes: Router,
    shutdown: CancellationToken,
    end: CancellationToken,
) {
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await.ok()?;
            Some((listener.accept().await, place))
        };
        let (accepted, place) = tokio::select! {
            accepted = accepted => match accepted {
                Some(accepted) => accepted,
                None => break,
            },
            () = shutdown.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, or a connection that is gone already: go on, not in a spin.
                tracing::warn!(%error, "A connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let routes = routes.clone();
        let (shutdown, end) = (shutdown.clone(), end.clone());
        connections.spawn(async move {
            connection(stream, routes, shutdown, end).await;
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            connections = connections.len(),
            "Requests were still running at the end and were dropped"
        );
    }
    end.cancel();
}

async fn connection(
    stream: TcpStream,
    routes: Router,
    shutdown: CancellationToken,
    end: CancellationToken,
) {
    // Without it a reply waits for the acknowledgement of the one before: 40 ms and more.
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().ok().map(|address| Local(address.ip()));
    let routes = TowerToHyperService::new(routes);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        if let Some(local) = local {
            request.extensions_mut().insert(local);
        }
        routes.call(request)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                served = serving => served,
                () = end.cancelled() => return,
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "A connection ended early");
    }
}
