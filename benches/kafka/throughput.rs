//! A topic that was filled beforehand, read to its end: only read and decoded, by the worker without transactions, and by the
//! worker as it is.

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use benches::workload::{Profile, Workload};
use engine::bus::kafka::KafkaBus;
use engine::bus::{Bus, Change, Record};
use engine::config::Config;
use engine::run;
use engine::topics::Shape;
use engine::worker::{Disposition, Observer, Worker};
use schemas::decode::Format;
use tests::kafka::Cluster;

use crate::plain::Plain;
use crate::{PARTITIONS, SEED, cluster, group, outgoing};

const ALERTS: usize = 50_000;
const INPUT: &str = "alerts";
const RUNS: usize = 3;

pub(crate) fn run(out: &mut impl Write) -> anyhow::Result<()> {
    let cluster = cluster()?;
    cluster.create_topic(INPUT, PARTITIONS);
    let values = Workload::new(Profile::Soc, SEED)
        .take(ALERTS)
        .filter_map(|event| event.record(Format::Fusor));
    let records = values
        .enumerate()
        .map(|(number, value)| outgoing(INPUT, number, value, 0));
    cluster.produce(records);
    let ways: [(&str, Way); 3] = [
        ("read and decoded", light),
        ("worker, no transactions", plain),
        ("worker, transactions", transactions),
    ];
    let mut seconds = [const { Vec::new() }; 3];
    for run in 0..RUNS {
        for ((number, (_, way)), seconds) in ways.iter().enumerate().zip(&mut seconds) {
            seconds.push(timed(&cluster, &format!("bench-{number}-{run}"), *way)?);
        }
    }
    let mut best = None;
    for ((name, _), seconds) in ways.iter().zip(&mut seconds) {
        seconds.sort_by(f64::total_cmp);
        let median = seconds.get(RUNS / 2).copied().unwrap_or_default();
        let first: f64 = *best.get_or_insert(median);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let rate = ALERTS as f64 / median;
        writeln!(
            out,
            "{name}: {rate:.0} alerts/s, {:.2} of the first (median of {RUNS}: {seconds:.2?} s)",
            first / median
        )?;
    }
    Ok(())
}

/// Takes in every alert of the input, as the group.
type Way = fn(Arc<Config>, KafkaBus, &Shape) -> anyhow::Result<()>;

fn timed(cluster: &Cluster, name: &str, way: Way) -> anyhow::Result<f64> {
    let (config, shape) = group(cluster, name, INPUT)?;
    let bus = KafkaBus::join(Arc::clone(&config), shape.clone(), Arc::default())?;
    let started = Instant::now();
    way(config, bus, &shape)?;
    Ok(started.elapsed().as_secs_f64())
}

fn light(config: Arc<Config>, mut bus: KafkaBus, shape: &Shape) -> anyhow::Result<()> {
    let config = run::worker_config(&config, partitions(shape), 1);
    let mut decoded = 0;
    while decoded < ALERTS {
        let polled = bus.poll(&config.epoch, &|_| true)?;
        for change in polled.changes {
            if let Change::Assigned { shard, inputs } = change {
                let starts: Vec<_> = inputs.iter().map(|input| (input.lane, None)).collect();
                bus.begin(shard, &starts)?;
            }
        }
        let records = polled.records.into_iter().map(|(_, record)| record);
        decoded += config.decoder.decode_all(records.collect()).len();
    }
    Ok(())
}

fn plain(config: Arc<Config>, bus: KafkaBus, shape: &Shape) -> anyhow::Result<()> {
    let bus = Plain::new(bus, &config.kafka.brokers)?;
    work(&config, bus, shape)
}

fn transactions(config: Arc<Config>, bus: KafkaBus, shape: &Shape) -> anyhow::Result<()> {
    work(&config, bus, shape)
}

fn work<B: Bus>(config: &Config, bus: B, shape: &Shape) -> anyhow::Result<()> {
    let config = run::worker_config(config, partitions(shape), 1);
    let mut worker = Worker::new(bus, config, Arc::default(), Arc::default(), Arc::default());
    let mut counter = Counter(0);
    while counter.0 < ALERTS {
        worker.step(&mut counter)?;
    }
    Ok(())
}

fn partitions(shape: &Shape) -> usize {
    let counts = shape.inputs.iter().map(|(_, count)| *count);
    counts.filter_map(|count| usize::try_from(count).ok()).sum()
}

/// Counts committed records.
struct Counter(usize);

impl Observer for Counter {
    fn record(&mut self, _: &Record, _: Disposition<'_>) {
        self.0 += 1;
    }
}
