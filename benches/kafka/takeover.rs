//! An engine and its standby under traffic: the engine is killed as by signal 9, and the standby's first epoch is waited for.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};
use tests::engine::{Engine, brokers};
use tests::kafka::{Cluster, Outgoing, produce};
use tests::traffic::{Traffic, Volume};

use crate::{SEED, quantile};

const GROUP: &str = "takeover";
const ROUNDS: usize = 11;
const FOLLOWS: Duration = Duration::from_secs(120);

pub(crate) fn run(out: &mut impl Write) -> anyhow::Result<()> {
    let Some(cluster) = brokers(1) else {
        anyhow::bail!("Apache Kafka or Java is not installed: tests/run installs Kafka");
    };
    let engines = [Engine::new(&cluster, GROUP), Engine::new(&cluster, GROUP)];
    let stop = Arc::new(AtomicBool::new(false));
    let producer = trickle(&cluster, Arc::clone(&stop));
    let mut taken = Vec::new();
    let [first, second] = &engines;
    let (mut working, mut standby) = (first, second);
    let mut process = working.run();
    working.wait_until_past(&process, 0);
    for _ in 0..ROUNDS {
        let next = standby.run();
        let started = Instant::now();
        while standby.status("/readyz") != 200 {
            anyhow::ensure!(started.elapsed() < FOLLOWS, "the standby does not follow");
            thread::sleep(Duration::from_millis(50));
        }
        let reader = end_of_state(&cluster, working)?;
        process.kill();
        taken.push(first_epoch(&reader)?);
        process = next;
        (working, standby) = (standby, working);
    }
    stop.store(true, Ordering::Relaxed);
    producer
        .join()
        .map_err(|_| anyhow::anyhow!("the producer panicked"))?;
    working.stop(process);
    taken.sort_unstable();
    writeln!(
        out,
        "a standby takes over: {ROUNDS} kills, p50 {:.1?}, max {:.1?}, from the kill to its first epoch visible",
        quantile(&taken, 500),
        quantile(&taken, 1_000)
    )?;
    Ok(())
}

/// Produces a hundred records a second until told to stop.
fn trickle(cluster: &Cluster, stop: Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let client = cluster.client();
    let records: Vec<Outgoing> = Traffic::new(Volume {
        seed: SEED,
        num_alerts: 60_000,
        num_attacks: 3,
        num_broken: 0,
        num_repeated: 0,
    })
    .records;
    thread::spawn(move || {
        for ten in records.chunks(10) {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            produce(&client, ten.iter().cloned());
            thread::sleep(Duration::from_millis(100));
        }
    })
}

fn end_of_state(cluster: &Cluster, engine: &Engine<'_>) -> anyhow::Result<BaseConsumer> {
    let reader: BaseConsumer = cluster
        .client()
        .set("group.id", "reader")
        .set("isolation.level", "read_committed")
        .create()?;
    let mut list = TopicPartitionList::new();
    let end = cluster.ends(&engine.state()).first().copied().unwrap_or(0);
    list.add_partition_offset(&engine.state(), 0, Offset::Offset(end))?;
    reader.assign(&list)?;
    Ok(reader)
}

/// Returns how long it takes until somebody else claims the state and commits an epoch to it.
fn first_epoch(reader: &BaseConsumer) -> anyhow::Result<Duration> {
    let killed = Instant::now();
    let mut is_claimed = false;
    while killed.elapsed() < FOLLOWS {
        let Some(Ok(record)) = reader.poll(Duration::from_millis(100)) else {
            continue;
        };
        is_claimed |= record.key() == Some(b"claim");
        if is_claimed && record.key() == Some(b"meta") {
            return Ok(killed.elapsed());
        }
    }
    anyhow::bail!("nobody took over within {} s", FOLLOWS.as_secs())
}
