//! Connections: how many, how long, how large.

use std::net::TcpListener;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

/// Serves one listener until told to stop, then lets running requests end.
pub(super) async fn accept(listener: TcpListener, router: Router, stop: watch::Receiver<bool>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "cannot accept connections");
            return;
        }
    };
    let mut connections = JoinSet::new();
    let mut told = stop.clone();
    let mut stopped = pin!(told.wait_for(|stop| *stop));
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone(), stop.clone()));
                }
                // Out of file descriptors: waiting is all that helps.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = connections.join_next() => note(ended),
            _ = &mut stopped => break,
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        note(ended);
    }
}

async fn connection(stream: TcpStream, router: Router, mut stop: watch::Receiver<bool>) {
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME_MAX)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
    );
    tokio::select! {
        ended = connection.as_mut() => return trace(ended),
        _ = stop.wait_for(|stop| *stop) => {}
        () = sleep(CONNECTION_TIME_MAX) => {}
    }
    connection.as_mut().graceful_shutdown();
    if let Ok(ended) = timeout(GRACE, connection).await {
        trace(ended);
    }
}

fn trace(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::trace!(%error, "connection ended early");
    }
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a request handler panicked");
    }
}

/// Connections of one listener; further ones wait in the system's backlog.
const CONNECTIONS_MAX: usize = 256;
/// Bytes of a request's line and headers, and of what is buffered of an answer.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// Time for a request's headers, and for an idle connection to send the next request.
const HEADER_TIME_MAX: Duration = Duration::from_secs(5);
/// Time for a connection, so that readers who stopped reading go.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(300);
/// Time for running requests to end when the server stops.
const GRACE: Duration = Duration::from_secs(3);
/// Pause after the system refused a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
