//! Parts of the engine, each run over a whole workload on one thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use correlators::{Fusion, Output, Settings};
use engine::bus::memory::{Keep, Memory, MemoryBus};
use engine::bus::{Bus, Change, Epoch, Moved, NewRecord, Reading, Request};
use engine::decode::Decoder;
use engine::publish::{INCIDENT_BYTES_MAX, Publisher};
use engine::shard::ShardConfig;
use engine::source::{Source, Sources};
use engine::worker::{Observer, Worker, WorkerConfig};
use schemas::alert::Alert;
use schemas::decode::{Envelope, Format, Limits, decode};
use schemas::incident::Incident;
use schemas::time::Timestamp;

/// Records of one epoch.
const EPOCH: usize = 5_000;
const EPOCH_BYTES: usize = 64 << 20;
const PARTITIONS: u16 = 4;
const ALERTS: &str = "alerts";
const INCIDENTS: &str = "incidents";
const DEAD_LETTERS: &str = "dead-letters";

/// Decodes every record.
///
/// # Errors
/// Returns the first refusal.
pub fn decode_all(records: &[Vec<u8>], format: Option<Format>) -> anyhow::Result<Vec<Alert>> {
    let mut alerts = Vec::with_capacity(records.len());
    for (record, offset) in records.iter().zip(0..) {
        alerts.append(&mut decode_one(record, offset, format)?);
    }
    Ok(alerts)
}

/// Decodes the record at `offset` of a topic.
///
/// # Errors
/// Returns why it is refused.
pub fn decode_one(
    record: &[u8],
    offset: i64,
    format: Option<Format>,
) -> anyhow::Result<Vec<Alert>> {
    let envelope = Envelope {
        topic: ALERTS,
        partition: 0,
        offset,
        timestamp: None,
        tenant: None,
    };
    Ok(decode(record, format, &envelope, &Limits::default())?)
}

/// What correlating a workload gave.
#[derive(Debug, Default)]
pub struct Correlated {
    /// Episodes opened: alerts that were no repeat.
    pub episodes: u64,
    /// Revisions of incidents, as polled at the ends of the epochs.
    pub revisions: u64,
    /// The state of every tenant at the end.
    pub tenants: Vec<Fusion>,
}

impl Correlated {
    /// Returns the number of entities known at the end.
    #[must_use]
    pub fn entities(&self) -> u64 {
        let known = |fusion: &Fusion| fusion.stats().entities;
        self.tenants.iter().map(known).sum()
    }
}

/// Correlates decoded alerts as a shard does, without order, bus and encoding.
#[must_use]
pub fn correlate(alerts: &[Alert], settings: &Arc<Settings>) -> Correlated {
    let mut tenants: BTreeMap<&str, Fusion> = BTreeMap::new();
    let mut newest = Timestamp::MIN;
    let mut correlated = Correlated::default();
    for epoch in alerts.chunks(EPOCH) {
        for alert in epoch {
            newest = newest.max(alert.start_time);
            let fusion = tenants
                .entry(&alert.tenant)
                .or_insert_with(|| Fusion::new(&alert.tenant, Arc::clone(settings)));
            fusion.handle_time(newest.plus(-settings.lateness_ms));
            fusion.handle_alert(alert);
            while let Some(output) = fusion.poll_output() {
                correlated.episodes += u64::from(matches!(output, Output::EpisodeOpened { .. }));
            }
        }
        for fusion in tenants.values_mut() {
            while fusion.poll_incident().is_some() {
                correlated.revisions += 1;
            }
        }
    }
    correlated.tenants = tenants.into_values().collect();
    correlated
}

/// Reads every record off a bus in memory and decodes it, epoch by epoch: what no engine can be faster than.
///
/// # Errors
/// When the bus fails. A record that is refused fails too.
pub fn consume_and_decode(records: &Arc<[Vec<u8>]>) -> anyhow::Result<u64> {
    let memory = loaded(records)?;
    let mut bus = MemoryBus::join(&memory, &[ALERTS.into()], 1);
    let (decoder, request) = (decoder(), request());
    let (mut lanes, mut alerts) = (Vec::new(), 0);
    loop {
        let polled = bus.poll(&request, &|_| true)?;
        for change in polled.changes {
            if let Change::Assigned { shard, inputs } = change {
                let starts = inputs.iter().map(|input| (input.lane, None));
                bus.begin(shard, &starts.collect::<Vec<_>>())?;
                lanes.extend(inputs.into_iter().map(|input| input.lane));
            }
        }
        let mut epoch = Epoch::default();
        let records: Vec<_> = polled.records.into_iter().map(|(_, r)| r).collect();
        let next: BTreeMap<_, _> = records
            .iter()
            .map(|record| (record.partition.clone(), record.offset + 1))
            .collect();
        let moved = |(partition, next)| Moved {
            partition,
            next,
            epoch: 0,
            writer: 0,
        };
        epoch.offsets.extend(next.into_iter().map(moved));
        for decoded in decoder.decode_all(records) {
            alerts += u64::try_from(decoded.alerts().len())?;
        }
        bus.commit(&epoch)?;
        let closed = |lane: &_| bus.reading(*lane) == Reading::Closed;
        if lanes.iter().all(closed) {
            return Ok(alerts);
        }
    }
}

/// Runs the worker over the same records on the same bus: decoded, put in order, correlated, incidents encoded and
/// published. Returns the revisions published.
///
/// # Errors
/// When the worker cannot go on, or refused a record.
pub fn end_to_end(records: &Arc<[Vec<u8>]>) -> anyhow::Result<u64> {
    let memory = loaded(records)?;
    memory.create_topic(INCIDENTS, 1, Keep::Nothing);
    memory.create_topic(DEAD_LETTERS, 1, Keep::All);
    let bus = MemoryBus::join(&memory, &[ALERTS.into()], 1);
    let config = WorkerConfig {
        decoder: decoder(),
        shard: ShardConfig {
            settings: Arc::default(),
            state: None,
            tenants_max: 10_000,
            threads: 1,
        },
        publisher: Publisher {
            topic: INCIDENTS.into(),
            instance: "bench".to_owned(),
            bytes_max: INCIDENT_BYTES_MAX,
        },
        dead_letters: DEAD_LETTERS.into(),
        outcomes: "outcomes".into(),
        epoch: request(),
        ahead_records_max: 2 * EPOCH,
        ahead_bytes_max: EPOCH_BYTES,
        drain: Duration::ZERO,
        followed: 0,
        snapshots: None,
        idle: None,
    };
    let mut counter = Revisions::default();
    let state = (Arc::default(), Arc::default(), Arc::default());
    Worker::new(bus, config, state.0, state.1, state.2).run(&mut counter)?;
    let refused = memory.read(DEAD_LETTERS, 0).len();
    anyhow::ensure!(refused == 0, "{refused} records were refused");
    Ok(counter.0)
}

/// Counts the revisions that were published.
#[derive(Debug, Default)]
struct Revisions(u64);

impl Observer for Revisions {
    fn incident(&mut self, _: &Arc<Incident>) {
        self.0 += 1;
    }
}

/// A bus whose partitions hand out the records in turn.
fn loaded(records: &Arc<[Vec<u8>]>) -> anyhow::Result<Memory> {
    let memory = Memory::new();
    memory.create_topic(ALERTS, PARTITIONS, Keep::Uncommitted);
    let topic: Arc<str> = ALERTS.into();
    for partition in 0..i32::from(PARTITIONS) {
        let (records, topic) = (Arc::clone(records), Arc::clone(&topic));
        let turns = (usize::try_from(partition)?..records.len()).step_by(PARTITIONS.into());
        let feed = turns.map(move |turn| NewRecord {
            topic: Arc::clone(&topic),
            partition: Some(partition),
            timestamp: None,
            key: None,
            value: records.get(turn).cloned(),
            headers: Vec::new(),
        });
        memory.feed(ALERTS, partition, Box::new(feed))?;
    }
    Ok(memory)
}

fn decoder() -> Decoder {
    let alerts = Source::Alerts {
        format: None,
        tenant: None,
    };
    Decoder {
        sources: Sources::new([(ALERTS.to_owned(), alerts)]),
        limits: Limits::default(),
        clamp: None,
        threads: 1,
    }
}

fn request() -> Request {
    Request {
        records_max: EPOCH,
        bytes_max: EPOCH_BYTES,
        wait: Duration::ZERO,
        collect: Duration::ZERO,
    }
}
