//! The running process: which threads there are, and in what order they end.
//!
//! The worker has a thread of its own, on which its Kafka clients live and die; HTTP has one; this one waits for
//! signals and watches that the worker still moves.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use metrics_exporter_prometheus::BuildError;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{Instant, interval, sleep_until};

use crate::bus::BusError;
use crate::bus::kafka::KafkaBus;
use crate::config::{Config, Topic};
use crate::http::{HttpServer, Listeners, Sources};
use crate::ingest::{Ingest, IngestConfig};
use crate::metrics;
use crate::readiness::Readiness;
use crate::run;
use crate::snapshot::{Directory, Keeper, Snapshots};
use crate::topics::{self, Shape, TopicsError};
use crate::view::IncidentView;
use crate::worker::{NoObserver, Worker, WorkerError};

/// Why the process ended, when nothing went wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// Told to stop, everything read and applied was committed.
    Drained,
    /// Told to stop twice: by SIGINT.
    Interrupted,
    /// Told to stop twice: by SIGTERM.
    Terminated,
}

/// Why the process ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Kafka could not be asked.
    #[error(transparent)]
    Topics(#[from] TopicsError),
    /// Something that is needed is not as it should be.
    #[error("{}", .0.join("\n"))]
    Checks(Vec<String>),
    /// The system gives no thread, signal or event queue.
    #[error("cannot start")]
    System(#[from] io::Error),
    /// Metrics cannot be recorded.
    #[error("cannot record metrics")]
    Metrics(#[from] BuildError),
    /// The bus failed before the worker ran.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The worker cannot go on.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The worker panicked: its state cannot be trusted.
    #[error("the worker panicked")]
    Panicked,
    /// The worker did not move for longer than the group waits.
    #[error("the worker is stuck in a call")]
    Stuck,
    /// The worker did not end in time.
    #[error("not drained within {} s", DRAIN_MAX.as_secs())]
    Drain,
}

/// How long a drain may take: below the 30 s that Kubernetes gives.
const DRAIN_MAX: Duration = Duration::from_secs(20);
/// How long the worker may be without a sign of life beyond what makes the process not live.
const STUCK_MAX: Duration = Duration::from_secs(60);

/// Runs until told to stop.
///
/// # Errors
/// What keeps the process from starting or going on; everything that is found wrong at the start at once.
pub fn run(config: Config) -> Result<Ended, RunError> {
    let metrics = metrics::install()?;
    let view = Arc::new(IncidentView::default());
    let readiness = Arc::new(Readiness::default());
    let listeners = Listeners {
        ops: config.ops.listen.get(),
        api: config.http.listen.get(),
    };
    let sources = Sources {
        view: Arc::clone(&view),
        readiness: Arc::clone(&readiness),
        metrics,
    };
    let http = HttpServer::start(listeners, sources);
    let shape = topics::plan(&config).map(|rows| topics::shape(&rows));
    let (http, shape) = checked(http, shape)?;
    metrics::sources(&run::sources(&config).topics());
    tracing::info!(
        ops = %http.ops_address(),
        api = %http.api_address(),
        shards = shape.shards,
        "started"
    );
    let ended = run_worker(&readiness, {
        let readiness = Arc::clone(&readiness);
        move |stop| work(config, shape, view, readiness, stop)
    });
    http.stop();
    tracing::info!("stopped");
    ended
}

/// Ingests into `alerts` until told to stop.
///
/// # Errors
/// As [`run()`].
pub fn ingest(config: Config, alerts: &Topic) -> Result<Ended, RunError> {
    let metrics = metrics::install()?;
    let readiness = Arc::new(Readiness::default());
    let http = HttpServer::start_ops(config.ops.listen.get(), Arc::clone(&readiness), metrics);
    let shape = topics::plan(&config).map(|rows| topics::ingest_shape(&rows));
    let (http, shape) = checked(http, shape)?;
    let ingest_config = IngestConfig::new(&config, alerts.as_str());
    metrics::sources(&ingest_config.decoder.sources.topics());
    tracing::info!(ops = %http.ops_address(), partitions = shape.shards, "started");
    let config = Arc::new(config.for_ingest(alerts));
    let ended = run_worker(&readiness, {
        let readiness = Arc::clone(&readiness);
        move |stop| {
            let bus = KafkaBus::join(config, shape, Arc::clone(&readiness))?;
            Ingest::new(bus, ingest_config, readiness, stop).run()?;
            tracing::info!("drained");
            Ok(())
        }
    });
    http.stop();
    tracing::info!("stopped");
    ended
}

/// Returns what is needed to run, or everything that is missing.
fn checked(
    http: Result<HttpServer, crate::http::HttpError>,
    shape: Result<Result<Shape, Vec<String>>, TopicsError>,
) -> Result<(HttpServer, Shape), RunError> {
    let mut problems = Vec::new();
    let http = http.map_err(|error| problems.push(told(&error))).ok();
    let shape = match shape {
        Ok(Ok(shape)) => Some(shape),
        Ok(Err(wrong)) => {
            problems.extend(wrong);
            None
        }
        Err(error) => {
            problems.push(told(&error));
            None
        }
    };
    match (http, shape) {
        (Some(http), Some(shape)) => Ok((http, shape)),
        (http, _) => {
            http.into_iter().for_each(HttpServer::stop);
            Err(RunError::Checks(problems))
        }
    }
}

/// Returns an error with its causes, on one line.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Does the work on a thread of its own, on which its Kafka clients live and die, until it ends or is told to.
fn run_worker(
    readiness: &Readiness,
    work: impl FnOnce(Arc<AtomicBool>) -> Result<(), RunError> + Send + 'static,
) -> Result<Ended, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::new()?
    };
    let stop = Arc::new(AtomicBool::new(false));
    let (tell, done) = oneshot::channel();
    let worker = {
        let stop = Arc::clone(&stop);
        let work = move || {
            let result = work(stop);
            // Nobody listens any more when the process is ending without waiting.
            let _heard = tell.send(());
            result
        };
        thread::Builder::new()
            .name("worker".to_owned())
            .spawn(work)?
    };
    let ended = runtime.block_on(watch(&mut signals, done, readiness, &stop))?;
    if ended != Ended::Drained {
        return Ok(ended);
    }
    match worker.join() {
        Ok(Ok(())) => Ok(ended),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(RunError::Panicked),
    }
}

/// Makes the bus, works, and closes it.
fn work(
    config: Config,
    shape: Shape,
    view: Arc<IncidentView>,
    readiness: Arc<Readiness>,
    stop: Arc<AtomicBool>,
) -> Result<(), RunError> {
    let partitions: usize = shape
        .inputs
        .iter()
        .filter_map(|(_, count)| usize::try_from(*count).ok())
        .sum();
    let mut worker_config = run::worker_config(&config, partitions, shape.shards);
    let config = Arc::new(config);
    worker_config.snapshots = snapshots(&config)?.map(Arc::new);
    let _keeper = match &worker_config.snapshots {
        Some(snapshots) => {
            let interval = run::duration(config.snapshots.interval.millis());
            let snapshots = Arc::clone(snapshots);
            Some(Keeper::start(Arc::clone(&config), snapshots, interval)?)
        }
        None => None,
    };
    let bus = KafkaBus::join(config, shape, Arc::clone(&readiness))?;
    let mut worker = Worker::new(bus, worker_config, view, readiness, stop);
    worker.run(&mut NoObserver)?;
    tracing::info!("drained");
    Ok(())
}

/// Returns where snapshots are kept. They are believed for half of the time for which the topic keeps tombstones.
fn snapshots(config: &Config) -> Result<Option<Snapshots>, RunError> {
    let Some(directory) = &config.snapshots.directory else {
        return Ok(None);
    };
    let tombstones_ms = topics::tombstones_ms(config, config.outputs.state.as_str())?;
    let store = Box::new(Directory::new(directory));
    Ok(Some(Snapshots::new(store, tombstones_ms / 2)))
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Returns what a second signal of this kind would make of the end.
    async fn next(&mut self) -> Ended {
        tokio::select! {
            _ = self.interrupt.recv() => Ended::Interrupted,
            _ = self.terminate.recv() => Ended::Terminated,
        }
    }
}

/// Waits until the worker has ended, and ends it when told to.
async fn watch(
    signals: &mut Signals,
    mut done: oneshot::Receiver<()>,
    readiness: &Readiness,
    stop: &AtomicBool,
) -> Result<Ended, RunError> {
    let mut ticks = interval(Duration::from_secs(1));
    let mut alive = Instant::now();
    loop {
        tokio::select! {
            // Dropped unsent means that the worker panicked, which joining it tells.
            _ = &mut done => return Ok(Ended::Drained),
            _ = signals.next() => break,
            _ = ticks.tick() => {}
        }
        if readiness.live() {
            alive = Instant::now();
        } else if alive.elapsed() > STUCK_MAX {
            return Err(RunError::Stuck);
        }
    }
    tracing::info!("told to stop");
    readiness.drain();
    stop.store(true, Ordering::Relaxed);
    tokio::select! {
        _ = &mut done => Ok(Ended::Drained),
        second = signals.next() => Ok(second),
        () = sleep_until(Instant::now() + DRAIN_MAX) => Err(RunError::Drain),
    }
}
