//! `fusor ingest`: reads any inputs and writes their alerts again, keyed by tenant.
//!
//! One more worker on the bus, without state: a pass reads records, decodes them, and commits their alerts, dead letters and
//! offsets in one transaction. What was not committed is dropped and read again by whoever has its inputs next. Its
//! group hands out the partitions of the topic it writes, and the inputs' partitions are dealt out to those; which
//! of them a member has says nothing about where its alerts go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use schemas::alert::Alert;
use schemas::decode::{CANONICAL_BYTES_MAX, Reason};
use schemas::encode::alert_json;

use crate::bus::{
    Bus, BusError, Change, CommitError, Epoch, Header, Input, Lane, Moved, NewRecord, Record,
    Request,
};
use crate::config::Config;
use crate::dead_letter::dead_letter;
use crate::decode::{Broken, Clamp, Content, Decoded, Decoder, Stage};
use crate::metrics;
use crate::readiness::{Condition, Readiness};
use crate::run;
use crate::source::Sources;
use crate::worker::{Disposition, WorkerError};

/// How ingestion works.
#[derive(Clone, Debug)]
pub struct IngestConfig {
    /// How records are decoded.
    pub decoder: Decoder,
    /// Where alerts go, keyed by tenant.
    pub alerts: Arc<str>,
    /// Where refused records go.
    pub dead_letters: Arc<str>,
    /// Bounds of one transaction.
    pub epoch: Request,
    /// How long a transaction that does not commit is tried again once told to stop.
    pub drain: Duration,
}

impl IngestConfig {
    /// Returns how `fusor ingest` works that writes to `alerts`.
    #[must_use]
    pub fn new(config: &Config, alerts: &str) -> Self {
        let run = run::worker_config(config, 1, 1);
        Self {
            decoder: Decoder {
                sources: Sources::new(run::raw(config)),
                limits: config.limits.decode(),
                clamp: Some(Clamp::default()),
                threads: thread::available_parallelism().map_or(1, usize::from),
            },
            alerts: alerts.into(),
            dead_letters: run.dead_letters,
            epoch: run.epoch,
            drain: run.drain,
        }
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Committed a transaction.
    Committed,
    /// Committed nothing: there was nothing to read, or its inputs went to another.
    Idle,
}

/// One member of the group that ingests.
#[derive(Debug)]
pub struct Ingest<B> {
    bus: B,
    config: IngestConfig,
    /// The lanes of each partition of the topic that is written that was handed out to this member.
    own: BTreeMap<i32, BTreeSet<Lane>>,
    /// Number of the last transaction: above any that was committed for an input read here.
    epoch: u64,
    readiness: Arc<Readiness>,
    stop: Arc<AtomicBool>,
}

/// Shortest and longest wait between two tries of a transaction.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

impl<B: Bus> Ingest<B> {
    /// Creates a member that reads nothing yet; it ends at the next step's end once `stop` is set.
    #[must_use]
    pub fn new(
        bus: B,
        config: IngestConfig,
        readiness: Arc<Readiness>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            bus,
            config,
            own: BTreeMap::new(),
            epoch: 0,
            readiness,
            stop,
        }
    }

    /// Steps until told to stop.
    ///
    /// # Errors
    /// What [`Ingest::step`] returns.
    pub fn run(&mut self) -> Result<(), WorkerError> {
        while !self.stopping() {
            self.step()?;
        }
        Ok(())
    }

    /// Reads, decodes, and commits what came.
    ///
    /// # Errors
    /// What cannot heal by trying again.
    pub fn step(&mut self) -> Result<Step, WorkerError> {
        self.readiness.beat();
        let started = Instant::now();
        let polled = self.bus.poll(&self.config.epoch, &|_| true)?;
        for condition in Condition::ALL {
            self.readiness.set(condition, polled.joined);
        }
        self.follow(&polled.changes)?;
        let is_own = |lane: &Lane| self.own.values().any(|lanes| lanes.contains(lane));
        let records = polled.records.into_iter();
        let records: Vec<Arc<Record>> = records
            .filter(|(lane, _)| is_own(lane))
            .map(|(_, record)| record)
            .collect();
        if records.is_empty() {
            return Ok(Step::Idle);
        }
        let decoded = self.config.decoder.decode_all(records);
        let (epoch, decoded) = self.epoch(decoded);
        metrics::fuse_duration(started.elapsed());
        self.readiness.epoch_opened();
        let committed = self.commit(&epoch)?;
        self.readiness.epoch_closed();
        if !committed {
            return Ok(Step::Idle);
        }
        let mut counts = metrics::Counts::default();
        for Decoded { record, content } in &decoded {
            counts.record(
                record,
                match content {
                    Content::Alerts(alerts) => Disposition::Alerts(alerts, &[]),
                    Content::Binding(_) | Content::Command(_) => Disposition::Binding,
                    Content::Broken(broken) => Disposition::DeadLetter(broken),
                },
            );
        }
        counts.flush();
        Ok(Step::Committed)
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Follows the group: what was handed out is read from where it was committed.
    fn follow(&mut self, changes: &[Change]) -> Result<(), BusError> {
        for change in changes {
            match change {
                Change::Revoked { shard } => {
                    self.own.remove(shard);
                }
                Change::Assigned { shard, inputs } => {
                    let committed = inputs.iter().filter_map(|input| input.committed);
                    let last = committed.filter_map(|committed| committed.epoch).max();
                    self.epoch = self.epoch.max(last.unwrap_or(0));
                    let next = |input: &Input| input.committed.map(|committed| committed.next);
                    let offsets: Vec<(Lane, Option<i64>)> = inputs
                        .iter()
                        .map(|input| (input.lane, next(input)))
                        .collect();
                    let lanes = inputs.iter().map(|input| input.lane).collect();
                    self.own.insert(*shard, lanes);
                    self.bus.begin(*shard, &offsets)?;
                }
            }
        }
        metrics::shards(self.own.len());
        Ok(())
    }

    /// Puts together what a transaction writes: the alerts and dead letters in the order of their records, and the offsets.
    fn epoch(&mut self, decoded: Vec<Decoded>) -> (Epoch, Vec<Decoded>) {
        self.epoch += 1;
        let mut records = Vec::with_capacity(decoded.len());
        let mut next = BTreeMap::new();
        let decoded = decoded
            .into_iter()
            .map(|Decoded { record, content }| {
                next.insert(record.partition.clone(), record.offset + 1);
                let content = self.write(&record, content, &mut records);
                Decoded { record, content }
            })
            .collect();
        let writer = self.bus.generation();
        let offsets = next.into_iter().map(|(partition, next)| Moved {
            partition,
            next,
            epoch: self.epoch,
            writer,
        });
        let epoch = Epoch {
            records,
            offsets: offsets.collect(),
        };
        (epoch, decoded)
    }

    /// Adds what one record becomes, all of its alerts or a dead letter, and returns its content as it was then found.
    fn write(&self, record: &Record, content: Content, written: &mut Vec<NewRecord>) -> Content {
        let config = &self.config;
        let content = match content {
            Content::Alerts(alerts) => match rekeyed(&config.alerts, record, &alerts) {
                Ok(records) => {
                    written.extend(records);
                    Content::Alerts(alerts)
                }
                Err(broken) => Content::Broken(broken),
            },
            content @ (Content::Binding(_) | Content::Command(_) | Content::Broken(_)) => content,
        };
        if let Content::Broken(broken) = &content {
            written.push(dead_letter(&config.dead_letters, record, broken));
        }
        content
    }

    /// Commits, trying the same transaction again for as long as its inputs are ours for certain.
    ///
    /// Returns false when the group has moved meanwhile: everything is dropped and read again from where it was committed.
    fn commit(&mut self, epoch: &Epoch) -> Result<bool, WorkerError> {
        let (mut wait, longest) = BACKOFF;
        let mut stopping_since = None;
        loop {
            let started = Instant::now();
            let problem = match self.bus.commit(epoch) {
                Ok(_) => {
                    metrics::committed(started.elapsed());
                    return Ok(true);
                }
                Err(CommitError::Aborted { problem }) => {
                    metrics::commit_failed(metrics::CommitFailure::Aborted);
                    tracing::warn!(problem, "a transaction was aborted and is tried again");
                    problem
                }
                Err(CommitError::Fenced { problem }) => {
                    metrics::commit_failed(metrics::CommitFailure::Fenced);
                    tracing::warn!(problem, "put out of the group: joining again");
                    self.join_again()?;
                    return Ok(false);
                }
            };
            if self.stopping() {
                let since = *stopping_since.get_or_insert_with(Instant::now);
                let after = self.config.drain;
                if since.elapsed() >= after {
                    return Err(WorkerError::Drain { after, problem });
                }
            }
            self.readiness.beat();
            if !self.bus.keep_alive(wait)?.changes.is_empty() {
                tracing::warn!("the group moved during a commit: joining again");
                self.join_again()?;
                return Ok(false);
            }
            wait = (wait * 2).min(longest);
        }
    }

    fn join_again(&mut self) -> Result<(), BusError> {
        self.own.clear();
        metrics::shards(0);
        self.bus.rejoin()
    }
}

/// Makes the records of a record's alerts, in their order, each with the place it came from; none of them when one is
/// larger than a canonical alert may be.
fn rekeyed(topic: &Arc<str>, record: &Record, alerts: &[Alert]) -> Result<Vec<NewRecord>, Broken> {
    let broken = |reason: Reason, message: &str| Broken {
        reason: reason.word(),
        stage: Stage::Decode,
        message: message.to_owned(),
    };
    let one = |(index, alert): (usize, &Alert)| {
        let value = alert_json(alert)
            .map_err(|_| broken(Reason::InvalidField, "/: cannot be written as JSON"))?;
        if value.len() > CANONICAL_BYTES_MAX {
            let message = "/: the alert decoded is larger than a canonical alert may be";
            return Err(broken(Reason::TooLarge, message));
        }
        Ok(NewRecord {
            topic: Arc::clone(topic),
            partition: None,
            // The time it is written: by the time of its source, what waits for long would be old at once for retention.
            timestamp: None,
            key: Some(alert.tenant.clone().into_bytes()),
            value: Some(value),
            headers: origin(record, index),
        })
    };
    alerts.iter().enumerate().map(one).collect()
}

/// Returns where an alert was first, for people and for the dead letter it may become.
fn origin(record: &Record, index: usize) -> Vec<Header> {
    let partition = &record.partition;
    let mut headers = vec![
        Header::text("content-type", "application/json"),
        Header::text("fusor.source.topic", partition.topic.as_ref()),
        Header::text("fusor.source.partition", partition.number.to_string()),
        Header::text("fusor.source.offset", record.offset.to_string()),
        Header::text("fusor.source.index", index.to_string()),
    ];
    if let Some(timestamp) = record.timestamp {
        headers.push(Header::text(
            "fusor.source.timestamp",
            timestamp.to_string(),
        ));
    }
    headers
}

#[cfg(test)]
mod tests;
