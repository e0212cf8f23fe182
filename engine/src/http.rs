//! HTTP: health and metrics on one listener, the read-only API on another; both see committed state only.

mod api;
mod ops;
mod problem;
mod serve;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::{io, thread};

use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;

use crate::readiness::Readiness;
use crate::view::IncidentView;

/// Where to listen; port 0 takes any free one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Listeners {
    /// Health and metrics: no alert content, may listen anywhere.
    pub ops: SocketAddr,
    /// Read-only API: loopback only, as it has no authentication.
    pub api: SocketAddr,
}

/// What the handlers read.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Committed incidents.
    pub view: Arc<IncidentView>,
    /// Health.
    pub readiness: Arc<Readiness>,
    /// Metrics.
    pub metrics: PrometheusHandle,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Someone else listens there, or it is no address of this machine.
    #[error("{name}: cannot listen on {address}")]
    Bind {
        /// The configuration key.
        name: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The API would be open to the network.
    #[error("http.listen: {0} is not loopback: what listens here has no authentication")]
    NotLoopback(SocketAddr),
    /// The system gives no thread or no event queue.
    #[error("cannot start the thread that serves HTTP")]
    Thread(#[source] io::Error),
}

/// The running server; it stops when this is dropped.
#[derive(Debug)]
pub struct HttpServer {
    ops: SocketAddr,
    api: SocketAddr,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl HttpServer {
    /// Binds both listeners and serves them on one thread named `http`.
    ///
    /// # Errors
    /// Returns which listener cannot be bound, before anything is served.
    pub fn start(listeners: Listeners, sources: Sources) -> Result<Self, HttpError> {
        if !listeners.api.ip().is_loopback() {
            return Err(HttpError::NotLoopback(listeners.api));
        }
        let ops = bind("ops.listen", listeners.ops)?;
        let (listener, address) = bind("http.listen", listeners.api)?;
        let api = (listener, api::router(sources.view));
        Self::serve(
            ops,
            Some((api, address)),
            sources.readiness,
            sources.metrics,
        )
    }

    /// Binds the listener of health and metrics alone, for a process that has no API.
    ///
    /// # Errors
    /// Returns why it cannot be bound.
    pub fn start_ops(
        address: SocketAddr,
        readiness: Arc<Readiness>,
        metrics: PrometheusHandle,
    ) -> Result<Self, HttpError> {
        Self::serve(bind("ops.listen", address)?, None, readiness, metrics)
    }

    fn serve(
        (ops_listener, ops): (TcpListener, SocketAddr),
        api: Option<((TcpListener, Router), SocketAddr)>,
        readiness: Arc<Readiness>,
        metrics: PrometheusHandle,
    ) -> Result<Self, HttpError> {
        let (api, address) = api.unzip();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(HttpError::Thread)?;
        let ops_router = ops::router(readiness, metrics.clone());
        let (stop, stopped) = watch::channel(false);
        let thread = thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let api = async {
                        if let Some((listener, router)) = api {
                            serve::accept(listener, router, stopped.clone()).await;
                        }
                    };
                    tokio::join!(
                        serve::accept(ops_listener, ops_router, stopped.clone()),
                        api,
                        ops::upkeep(metrics, stopped.clone()),
                    );
                });
            })
            .map_err(HttpError::Thread)?;
        Ok(Self {
            ops,
            api: address.unwrap_or(ops),
            stop,
            thread,
        })
    }

    /// Returns where health and metrics are served.
    #[must_use]
    pub fn ops_address(&self) -> SocketAddr {
        self.ops
    }

    /// Returns where the API is served; where health is, in a process that has none.
    #[must_use]
    pub fn api_address(&self) -> SocketAddr {
        self.api
    }

    /// Accepts no more, lets running requests end, for a few seconds at most, and returns.
    pub fn stop(self) {
        self.stop.send_replace(true);
        if self.thread.join().is_err() {
            tracing::error!("the thread that serves HTTP panicked");
        }
    }
}

fn bind(name: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), HttpError> {
    let bound = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let local = listener.local_addr()?;
        Ok((listener, local))
    };
    bound().map_err(|source| HttpError::Bind {
        name,
        address,
        source,
    })
}

#[cfg(test)]
mod tests;
