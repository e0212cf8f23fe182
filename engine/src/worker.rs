//! The worker: one pass of poll, decode, order, correlate, publish after the other.
//!
//! One pass is one epoch, and one epoch is one transaction. Between two epochs nothing is uncommitted but records that
//! wait for their turn in the order, and those are read again by whoever gets the shard next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use correlators::{Output, Placement, Verdict};
use schemas::alert::Alert;
use schemas::incident::Incident;
use schemas::time::Timestamp;

use crate::bus::{Bus, BusError, Lane, Polled, Reading, Record, Request};
use crate::decode::{Broken, Decoder};
use crate::failpoint::{self, Point};
use crate::metrics;
use crate::publish::Publisher;
use crate::readiness::{Condition, Readiness};
use crate::shard::{Applied, Fate, RestoreError, Shard, ShardConfig};
use crate::snapshot::Snapshots;
use crate::source::Source;
use crate::view::IncidentView;

mod commit;
mod held;
mod publish;
mod takeover;
pub use commit::EPOCH;
use held::Held;

/// How the worker works.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// How records are decoded.
    pub decoder: Decoder,
    /// How they are correlated.
    pub shard: ShardConfig,
    /// How incidents are written.
    pub publisher: Publisher,
    /// Where refused records go.
    pub dead_letters: Arc<str>,
    /// Where the answers to commands go.
    pub outcomes: Arc<str>,
    /// Bounds of one epoch.
    pub epoch: Request,
    /// Records a lane may be ahead before it is held back.
    pub ahead_records_max: usize,
    /// Bytes a lane may be ahead before it is held back.
    pub ahead_bytes_max: usize,
    /// How long an epoch that does not commit is tried again once the worker is to stop.
    pub drain: Duration,
    /// Shards that a member without any of its own follows, so that it can take over at once; 0 for none.
    pub followed: i32,
    /// What a state is restored from besides its topic; none for the topic alone.
    pub snapshots: Option<Arc<Snapshots>>,
    /// After how long without any record the watermark follows the clock; none for never.
    pub idle: Option<Duration>,
}

/// What became of one record.
#[derive(Clone, Copy, Debug)]
pub enum Disposition<'a> {
    /// Its alerts were applied, each with its placement.
    Alerts(&'a [Alert], &'a [Placement]),
    /// Its lease was learnt.
    Binding,
    /// Its command was answered.
    Command(&'a Verdict),
    /// It went to the dead-letter topic.
    DeadLetter(&'a Broken),
}

/// Learns, after each commit, what became of every record.
pub trait Observer {
    /// One record, in the order of application.
    fn record(&mut self, record: &Record, disposition: Disposition<'_>) {
        let _ = (record, disposition);
    }

    /// What one tenant's state put out in the epoch, in order.
    fn outputs(&mut self, tenant: &str, outputs: &[Output]) {
        let _ = (tenant, outputs);
    }

    /// One incident that the epoch published.
    fn incident(&mut self, incident: &Arc<Incident>) {
        let _ = incident;
    }
}

/// Observes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}

/// What a step of the worker did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Committed an epoch.
    Committed,
    /// There was nothing that could be applied yet.
    Idle,
    /// Every input is closed and everything in it was committed.
    Finished,
}

/// The worker cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The bus failed.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The state of a shard cannot be used.
    #[error("{source}; `fusor state rebuild` makes it anew from the inputs that are kept")]
    State {
        /// Why.
        source: RestoreError,
    },
    /// The state of a shard does not come to its end.
    #[error(
        "the state of shard {shard} cannot be read past offset {offset} for {} s: another program's transaction is \
         open there, or the partition has no leader",
        .after.as_secs()
    )]
    Stalled {
        /// The shard.
        shard: i32,
        /// Where it stands.
        offset: i64,
        /// The bound.
        after: Duration,
    },
    /// An incident could not be written.
    #[error("incident {id} cannot be written as JSON")]
    Encode {
        /// Its id.
        id: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The worker was to stop and the last epoch would not commit in time.
    #[error("the last epoch was not committed within {} s: {problem}", .after.as_secs())]
    Drain {
        /// The bound.
        after: Duration,
        /// The last problem.
        problem: String,
    },
}

/// One worker: a bus and the shards it was handed.
#[derive(Debug)]
pub struct Worker<B> {
    bus: B,
    config: WorkerConfig,
    held: Held,
    view: Arc<IncidentView>,
    readiness: Arc<Readiness>,
    stop: Arc<AtomicBool>,
    /// When something was last applied.
    busy: Option<Timestamp>,
    /// Epochs that did not commit as far as was heard, at most one a shard: the shard's state will tell.
    in_doubt: Vec<Applied>,
}

impl<B: Bus> Worker<B> {
    /// Creates a worker that has no shard yet; it ends at the next step's end once `stop` is set.
    #[must_use]
    pub fn new(
        bus: B,
        config: WorkerConfig,
        view: Arc<IncidentView>,
        readiness: Arc<Readiness>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            bus,
            config,
            held: Held::default(),
            view,
            readiness,
            stop,
            busy: None,
            in_doubt: Vec::new(),
        }
    }

    /// Returns whether the worker works on a shard.
    #[must_use]
    pub fn is_assigned(&self) -> bool {
        self.held.active().next().is_some()
    }

    /// Returns the shards it holds, followed ones included.
    pub fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.held.all()
    }

    /// Steps until every input is closed and committed, or until it is to stop.
    ///
    /// # Errors
    /// What [`Worker::step`] returns.
    pub fn run(&mut self, observer: &mut dyn Observer) -> Result<(), WorkerError> {
        while !self.stopping() && self.step(observer)? != Step::Finished {}
        Ok(())
    }

    /// Does one epoch.
    ///
    /// # Errors
    /// What cannot heal by trying again.
    pub fn step(&mut self, observer: &mut dyn Observer) -> Result<Step, WorkerError> {
        self.readiness.beat();
        let started = Instant::now();
        let polled = self.poll()?;
        self.follow(&polled)?;
        // Before a takeover: what was read of a shard while it was being restored is no part of what it begins with.
        self.take_in(polled.records);
        self.take_over()?;
        self.resolve_doubt(observer);
        self.tell_readiness(polled.joined);
        let turn = self.held.turn();
        if !self.is_cleared(&turn)? {
            return Ok(Step::Idle);
        }
        let applied = self.apply(&turn);
        if applied.is_empty() {
            return Ok(if self.is_finished() {
                Step::Finished
            } else {
                Step::Idle
            });
        }
        let epoch = self.epoch(&applied)?;
        failpoint::hit(Point::AfterApply);
        metrics::fuse_duration(started.elapsed());
        self.readiness.epoch_opened();
        let committed = self.commit(&epoch)?;
        self.readiness.epoch_closed();
        if committed {
            self.publish(&applied, observer);
            return Ok(Step::Committed);
        }
        self.in_doubt.extend(applied);
        Ok(Step::Idle)
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn is_finished(&self) -> bool {
        let closed = |lane| self.bus.reading(lane) == Reading::Closed;
        self.is_assigned()
            && self
                .held
                .active()
                .all(|shard| shard.is_drained() && shard.lanes().all(closed))
    }

    fn poll(&mut self) -> Result<Polled, WorkerError> {
        let Self {
            bus, held, config, ..
        } = self;
        let mut request = config.epoch;
        if held.is_restoring() {
            request.wait = Duration::ZERO;
        }
        let held_back = |lane: Lane| {
            let buffered = held.active().find_map(|shard| shard.buffered(lane));
            let (records, bytes) = buffered.unwrap_or_default();
            records >= config.ahead_records_max || bytes >= config.ahead_bytes_max
        };
        Ok(bus.poll(&request, &|lane| !held_back(lane))?)
    }

    fn tell_readiness(&self, joined: bool) {
        self.readiness.set(Condition::Assigned, joined);
        self.readiness.set(Condition::Output, joined);
        let restored = joined && !self.held.is_restoring() && self.held.is_following();
        self.readiness.set(Condition::Restored, restored);
    }

    /// Decodes what was read and puts it where its turn is waited for.
    fn take_in(&mut self, records: Vec<(Lane, Arc<Record>)>) {
        let (lanes, records): (Vec<Lane>, Vec<Arc<Record>>) = records.into_iter().unzip();
        let decoded = self.config.decoder.decode_all(records);
        for (lane, decoded) in lanes.into_iter().zip(decoded) {
            let mut shards = self.held.active_mut();
            if let Some(shard) = shards.find(|shard| shard.buffered(lane).is_some()) {
                shard.push(lane, decoded);
            }
        }
        for shard in self.held.active_mut() {
            let lanes: Vec<Lane> = shard.lanes().collect();
            for lane in lanes {
                shard.set_at_end(lane, self.bus.reading(lane) != Reading::Behind);
            }
        }
    }

    /// Applies what can be applied, or lets time pass where there was nothing for long.
    fn apply(&mut self, turn: &[i32]) -> Vec<Applied> {
        let (bounds, writer) = (self.config.epoch, self.bus.generation());
        let shards = self.held.active_mut();
        let shards = shards.filter(|shard| turn.contains(&shard.number()));
        let applied = shards.map(|shard| shard.apply(bounds.records_max, bounds.bytes_max, writer));
        let mut applied: Vec<Applied> = applied.filter(|applied| applied.epoch > 0).collect();
        let Some(idle) = self.config.idle else {
            return applied;
        };
        let now = self.bus.now();
        let idle_ms = i64::try_from(idle.as_millis()).unwrap_or(i64::MAX);
        // What analysts do is no sign of alerts.
        let sources = &self.config.decoder.sources;
        let is_sign = |fate: &Fate| {
            let topic = &fate.decoded.record.partition.topic;
            sources.get(topic) != Some(&Source::Commands)
        };
        let mut fates = applied.iter().flat_map(|applied| &applied.fates);
        let since = self.busy.get_or_insert(now);
        if fates.any(is_sign) {
            *since = now;
        } else if applied.is_empty() && now.millis() - since.millis() >= idle_ms {
            let watermark = now.plus(-self.config.shard.settings.lateness_ms);
            let bus = &self.bus;
            let at_end = |shard: &&mut Shard| {
                shard.is_drained()
                    && shard
                        .lanes()
                        .all(|lane| bus.reading(lane) != Reading::Behind)
            };
            let shards = self.held.active_mut().filter(at_end);
            let passed = shards.map(|shard| shard.pass_time(watermark, writer));
            applied.extend(passed.filter(|applied| applied.epoch > 0));
        }
        applied
    }
}

#[cfg(test)]
mod tests;
