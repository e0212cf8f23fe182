//! The thread that takes snapshots, from the state topic and on a connection of its own: the worker neither waits for it nor
//! hears of it.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Snapshots;
use crate::bus::kafka;
use crate::bus::kafka::states::States;
use crate::bus::{BusError, Request};
use crate::config::Config;
use crate::metrics;

/// Takes snapshots until it is dropped, and one last one then.
#[derive(Debug)]
pub(crate) struct Keeper {
    stop: Option<Sender<()>>,
    /// When to give up, once it is to stop: a round that is under way then counts, too.
    deadline: Arc<OnceLock<Instant>>,
    thread: Option<JoinHandle<()>>,
}

/// What one look at the topic returns at most; it is over where nothing came for so long.
const READ: Request = Request {
    records_max: 5_000,
    bytes_max: 4 << 20,
    wait: Duration::from_secs(2),
    collect: Duration::ZERO,
};
/// How long the last snapshots may take before they are given up: what they would save is time.
const LAST: Duration = Duration::from_secs(5);

impl Keeper {
    /// Begins to take a snapshot of each shard that is kept, `interval` after the last ones.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(
        config: Arc<Config>,
        snapshots: Arc<Snapshots>,
        interval: Duration,
    ) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let deadline = Arc::new(OnceLock::new());
        let until = Arc::clone(&deadline);
        let work = move || {
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                round(&config, &snapshots, &until);
            }
            round(&config, &snapshots, &until);
        };
        let thread = thread::Builder::new()
            .name("snapshots".to_owned())
            .spawn(work)?;
        Ok(Self {
            stop: Some(stop),
            deadline,
            thread: Some(thread),
        })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.deadline.get_or_init(|| Instant::now() + LAST);
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic in there costs the snapshots and nothing else, and its hook has told it.
            let _ended = thread.join();
        }
    }
}

fn round(config: &Config, snapshots: &Snapshots, deadline: &OnceLock<Instant>) {
    let shards = snapshots.kept();
    let partitions = shards.iter().max().map_or(0, |highest| highest + 1);
    if partitions == 0 {
        return;
    }
    let mut states = match States::new(config, partitions) {
        Ok(states) => states,
        Err(error) => return failed(&error),
    };
    for shard in shards {
        let now = kafka::now();
        let mut read = |from| {
            if deadline
                .get()
                .is_some_and(|deadline| Instant::now() >= *deadline)
            {
                return Err(BusError::Client {
                    action: "take a last snapshot",
                    problem: format!("not done within {} s", LAST.as_secs()),
                });
            }
            states.read(shard, from, &READ)
        };
        match snapshots.take(shard, &mut read, now) {
            Ok(_) => metrics::snapshot_taken(shard, now),
            Err(error) => failed(&error),
        }
    }
}

fn failed(error: &dyn std::error::Error) {
    tracing::warn!(%error, "no snapshot: starts take longer until there is one");
    metrics::snapshot_failed();
}
