//! The worker: one pass of poll, decode, order, correlate, publish after the other.
//!
//! One pass is one epoch, and one epoch is one transaction. Between two epochs nothing is uncommitted but records that
//! wait for their turn in the order, and those are read again by whoever gets the shard next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use correlators::{Output, Placement};
use schemas::alert::Alert;
use schemas::incident::Incident;

use crate::bus::{
    Bus, BusError, Change, CommitError, Epoch, Input, Lane, Polled, Reading, Record, Request,
};
use crate::dead_letter::dead_letter;
use crate::decode::{Broken, Content, Decoder};
use crate::metrics;
use crate::publish::Publisher;
use crate::readiness::{Condition, Readiness};
use crate::shard::{Applied, Shard, ShardConfig};
use crate::view::IncidentView;

mod held;
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
    /// Bounds of one epoch.
    pub epoch: Request,
    /// Records a lane may be ahead before it is held back.
    pub ahead_records_max: usize,
    /// Bytes a lane may be ahead before it is held back.
    pub ahead_bytes_max: usize,
    /// How long an epoch that does not commit is tried again once the worker is to stop.
    pub drain: Duration,
}

/// What became of one record.
#[derive(Clone, Copy, Debug)]
pub enum Disposition<'a> {
    /// Its alerts were applied, each with its placement.
    Alerts(&'a [Alert], &'a [Placement]),
    /// Its lease was learnt.
    Binding,
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
}

/// Shortest and longest wait between two tries of an epoch.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

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
        }
    }

    /// Returns whether the worker has a shard.
    #[must_use]
    pub fn is_assigned(&self) -> bool {
        !self.held.own.is_empty()
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
        let Self {
            bus, held, config, ..
        } = self;
        let held_back = |lane: Lane| {
            let buffered = held.own.values().find_map(|shard| shard.buffered(lane));
            let (records, bytes) = buffered.unwrap_or_default();
            records >= config.ahead_records_max || bytes >= config.ahead_bytes_max
        };
        let polled = bus.poll(&config.epoch, &|lane| !held_back(lane))?;
        for condition in Condition::ALL {
            self.readiness.set(condition, polled.joined);
        }
        self.follow(&polled)?;
        self.take_in(polled.records);
        let applied: Vec<Applied> = self
            .held
            .own
            .values_mut()
            .map(|shard| {
                let epoch = &self.config.epoch;
                shard.apply(epoch.records_max, epoch.bytes_max)
            })
            .collect();
        if applied.iter().all(|applied| applied.fates.is_empty()) {
            return Ok(if self.is_finished() {
                Step::Finished
            } else {
                Step::Idle
            });
        }
        let (epoch, incidents) = self.epoch(&applied)?;
        metrics::fuse_duration(started.elapsed());
        self.readiness.epoch_opened();
        let committed = self.commit(&epoch)?;
        self.readiness.epoch_closed();
        if committed {
            self.publish(&applied, &incidents, observer);
            return Ok(Step::Committed);
        }
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
                .own
                .values()
                .all(|shard| shard.is_drained() && shard.lanes().all(closed))
    }

    /// Follows the group; returns whether state was forgotten on the way.
    fn follow(&mut self, polled: &Polled) -> Result<bool, BusError> {
        let config = &self.config;
        let forgotten = self.held.follow(polled, |inputs| {
            Shard::new(inputs, &config.decoder.sources, config.shard.clone())
        });
        if forgotten {
            self.forget_view();
        }
        metrics::shards(self.held.own.len());
        for change in &polled.changes {
            if let Change::Assigned { shard, inputs } = change {
                let next = |input: &Input| input.committed.map(|committed| committed.next);
                let offsets: Vec<(Lane, Option<i64>)> = inputs
                    .iter()
                    .map(|input| (input.lane, next(input)))
                    .collect();
                self.bus.begin(*shard, &offsets)?;
            }
        }
        Ok(forgotten)
    }

    /// Without a list of its incidents the view cannot forget one shard alone.
    fn forget_view(&self) {
        self.view.clear();
        metrics::incidents_forgotten();
    }

    /// Decodes what was read and puts it where its turn is waited for.
    fn take_in(&mut self, records: Vec<(Lane, Arc<Record>)>) {
        let (lanes, records): (Vec<Lane>, Vec<Arc<Record>>) = records.into_iter().unzip();
        let decoded = self.config.decoder.decode_all(records);
        for (lane, decoded) in lanes.into_iter().zip(decoded) {
            let shard = self
                .held
                .own
                .values_mut()
                .find(|shard| shard.buffered(lane).is_some());
            if let Some(shard) = shard {
                shard.push(lane, decoded);
            }
        }
        for shard in self.held.own.values_mut() {
            let lanes: Vec<Lane> = shard.lanes().collect();
            for lane in lanes {
                shard.set_at_end(lane, self.bus.reading(lane) != Reading::Behind);
            }
        }
    }

    /// Puts together what the epoch writes: the incidents that changed, the dead letters, the offsets.
    fn epoch(&self, applied: &[Applied]) -> Result<(Epoch, Vec<Arc<Incident>>), WorkerError> {
        let mut epoch = Epoch::default();
        let mut incidents = Vec::new();
        for applied in applied {
            for incident in applied.outputs.iter().flat_map(|output| &output.incidents) {
                let record = self.config.publisher.record(incident).map_err(|source| {
                    let id = incident.id.clone();
                    WorkerError::Encode { id, source }
                })?;
                epoch.records.push(record);
                incidents.push(Arc::clone(incident));
            }
            for fate in &applied.fates {
                if let Content::Broken(broken) = &fate.decoded.content {
                    let topic = &self.config.dead_letters;
                    let letter = dead_letter(topic, &fate.decoded.record, broken);
                    epoch.records.push(letter);
                }
            }
            epoch.offsets.extend(applied.offsets.iter().cloned());
        }
        Ok((epoch, incidents))
    }

    /// Commits the epoch, trying the same one again for as long as nobody else can have written.
    ///
    /// Returns false when somebody has, or may have: the epoch is dropped with all state, and what is committed is
    /// read from there.
    fn commit(&mut self, epoch: &Epoch) -> Result<bool, WorkerError> {
        let (mut wait, longest) = BACKOFF;
        let mut stopping_since = None;
        loop {
            let Some(problem) = self.try_commit(epoch)? else {
                self.held.commit();
                return Ok(true);
            };
            if self.stopping() && self.held.is_waiting() {
                // What is not ours there is nothing to drain of.
                return Ok(false);
            }
            if self.stopping() {
                let since = *stopping_since.get_or_insert_with(Instant::now);
                let after = self.config.drain;
                if since.elapsed() >= after {
                    return Err(WorkerError::Drain { after, problem });
                }
            }
            self.readiness.beat();
            let polled = self.bus.keep_alive(wait)?;
            if self.follow(&polled)? || self.held.is_torn() {
                tracing::warn!("the shards went to another: dropping the state and joining again");
                self.held = Held::default();
                self.forget_view();
                metrics::shards(0);
                self.bus.rejoin()?;
                return Ok(false);
            }
            wait = (wait * 2).min(longest);
        }
    }

    /// Tries to commit once, and returns what kept it from being done.
    fn try_commit(&mut self, epoch: &Epoch) -> Result<Option<String>, WorkerError> {
        if self.held.is_waiting() {
            return Ok(Some("the shards are being handed out".to_owned()));
        }
        if !self.held.is_pending() {
            // Their offsets were read again and are those of this epoch: it was committed and only not heard of.
            return Ok(None);
        }
        let started = Instant::now();
        match self.bus.commit(epoch) {
            Ok(_) => {
                metrics::committed(started.elapsed());
                Ok(None)
            }
            Err(CommitError::Aborted { problem }) => {
                metrics::commit_failed(metrics::CommitFailure::Aborted);
                tracing::warn!(problem, "an epoch was aborted and is tried again");
                Ok(Some(problem))
            }
            Err(CommitError::Fenced { problem }) => {
                metrics::commit_failed(metrics::CommitFailure::Fenced);
                tracing::warn!(problem, "put out of the group: joining again");
                self.held.lose_all();
                self.bus.rejoin()?;
                Ok(Some(problem))
            }
        }
    }

    /// Makes a committed epoch visible to readers, counters and the observer.
    fn publish(
        &self,
        applied: &[Applied],
        incidents: &[Arc<Incident>],
        observer: &mut dyn Observer,
    ) {
        for incident in incidents {
            let before = self.view.get(&incident.id);
            self.view.publish(Arc::clone(incident));
            metrics::incident_published(incident, before.as_deref());
            observer.incident(incident);
        }
        let mut counts = metrics::Counts::default();
        for fate in applied.iter().flat_map(|applied| &applied.fates) {
            let disposition = match &fate.decoded.content {
                Content::Alerts(alerts) => Disposition::Alerts(alerts, &fate.placements),
                Content::Binding(_) => Disposition::Binding,
                Content::Broken(broken) => Disposition::DeadLetter(broken),
            };
            counts.record(&fate.decoded.record, disposition);
            observer.record(&fate.decoded.record, disposition);
        }
        counts.flush();
        for output in applied.iter().flat_map(|applied| &applied.outputs) {
            observer.outputs(&output.tenant, &output.outputs);
        }
        for (shard, state) in &self.held.own {
            metrics::watermark(*shard, state.watermark());
        }
        metrics::state(self.held.own.values().map(Shard::stats));
    }
}

#[cfg(test)]
mod tests;
