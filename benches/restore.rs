//! How long a shard takes from its state topic to work: as many live alerts as asked for (1,000,000), in this process,
//! without a broker. Also what writing the state costs while they are applied.

use std::collections::BTreeMap;
use std::env;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use benches::measure::{load, resident_mib};
use benches::workload::{Profile, Workload};
use engine::bus::{Input, Lane, Partition, Record};
use engine::decode::Decoder;
use engine::shard::{Shard, ShardConfig};
use engine::source::{Source, Sources};
use schemas::decode::{Format, Limits};

const SEED: u64 = 1;
const EPOCH: usize = 5_000;
const LANE: Lane = Lane(0);

fn main() -> anyhow::Result<()> {
    let out = &mut io::stdout().lock();
    let alerts = env::args().find_map(|argument| argument.parse().ok());
    let alerts: usize = alerts.unwrap_or(1_000_000);
    writeln!(out, "seed {SEED}, {alerts} alerts, mssp, load {}", load())?;
    let mut plain = shard(None)?;
    let without = apply(&mut plain, alerts, |_, _| ())?;
    drop(plain);
    writeln!(out, "applied without a state topic in {without:.1} s")?;

    let mut live = shard(Some("state".into()))?;
    let mut log: BTreeMap<Vec<u8>, (u64, Option<Vec<u8>>)> = BTreeMap::new();
    let (mut written, mut bytes) = (0_u64, 0);
    let with = apply(&mut live, alerts, |key, value| {
        written += 1;
        bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        log.insert(key, (written, value));
    })?;
    writeln!(
        out,
        "with one in {with:.1} s: {written} records and {} bytes an alert before compression",
        bytes / alerts
    )?;
    let digests = live.digests();
    let stats = live.stats().1;
    drop(live);

    let log = compacted(log);
    let size: usize = log.iter().map(Record::bytes).sum();
    let started = Instant::now();
    let mut restored = Shard::new(0, config(Some("state".into())));
    restored.restore(&log)?;
    restored.activate(&[input()], &sources())?;
    let took = started.elapsed().as_secs_f64();
    anyhow::ensure!(restored.digests() == digests, "the restored state differs");
    writeln!(
        out,
        "restored {} episodes, {} entities from {} records of {} MiB in {took:.1} s",
        stats.episodes,
        stats.entities,
        log.len(),
        size >> 20
    )?;
    if let Some((peak, _)) = resident_mib() {
        writeln!(
            out,
            "memory: peak of {peak} MiB, log and both states included"
        )?;
    }
    writeln!(out, "load {}", load())?;
    Ok(())
}

/// Applies the workload in epochs and hands over the records of its state; returns the seconds it took, decoding left out.
fn apply(
    shard: &mut Shard,
    alerts: usize,
    mut state: impl FnMut(Vec<u8>, Option<Vec<u8>>),
) -> anyhow::Result<f64> {
    let decoder = Decoder {
        sources: sources(),
        limits: Limits::default(),
        clamp: None,
        threads: 1,
    };
    // Ten a second: a million are little more than a day, and all of them are alive at its end.
    let mut values = Workload::new(Profile::Mssp, SEED)
        .take(alerts)
        .filter_map(|event| event.record(Format::Fusor));
    let mut seconds = 0.0;
    let mut offset = 0;
    loop {
        let batch: Vec<_> = values.by_ref().take(EPOCH).collect();
        if batch.is_empty() {
            return Ok(seconds);
        }
        let decoded: Vec<_> = batch
            .into_iter()
            .zip(offset..)
            .map(|(value, offset)| decoder.decode(Arc::new(record(offset, value))))
            .collect();
        offset += i64::try_from(decoded.len())?;
        let started = Instant::now();
        decoded
            .into_iter()
            .for_each(|decoded| shard.push(LANE, decoded));
        shard.set_at_end(LANE, true);
        let applied = shard.apply(EPOCH, usize::MAX, 1);
        shard.commit(None);
        seconds += started.elapsed().as_secs_f64();
        for record in applied.state {
            state(record.key.unwrap_or_default(), record.value);
        }
    }
}

/// The log as a compacted topic ends up: the last record of each key, in the order they were written.
fn compacted(log: BTreeMap<Vec<u8>, (u64, Option<Vec<u8>>)>) -> Vec<Record> {
    let mut log: Vec<_> = log
        .into_iter()
        .filter(|(_, (_, value))| value.is_some())
        .collect();
    log.sort_by_key(|(_, (order, _))| *order);
    let records = log
        .into_iter()
        .zip(0..)
        .map(|((key, (_, value)), offset)| Record {
            key: Some(key),
            value,
            ..record(offset, Vec::new())
        });
    records.collect()
}

fn shard(state: Option<Arc<str>>) -> anyhow::Result<Shard> {
    let mut shard = Shard::new(0, config(state));
    shard.activate(&[input()], &sources())?;
    Ok(shard)
}

fn config(state: Option<Arc<str>>) -> ShardConfig {
    ShardConfig {
        settings: Arc::default(),
        state,
        tenants_max: 10_000,
        threads: 1,
    }
}

fn sources() -> Sources {
    let source = Source::Alerts {
        format: None,
        tenant: None,
    };
    Sources::new([("alerts".to_owned(), source)])
}

fn input() -> Input {
    Input {
        lane: LANE,
        partition: partition(),
        committed: None,
    }
}

fn partition() -> Partition {
    Partition {
        topic: "alerts".into(),
        number: 0,
    }
}

fn record(offset: i64, value: Vec<u8>) -> Record {
    Record {
        partition: partition(),
        offset,
        timestamp: None,
        key: None,
        value: Some(value),
        headers: Vec::new(),
    }
}
