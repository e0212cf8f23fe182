//! Figures that only a real broker gives: what transactions cost, how long an alert takes until readers see its incident, and
//! how long a standby takes to take over.
//!
//! `cargo build --release --bins && cargo bench -p benches --bench kafka`, with Kafka installed by `tests/run`. With a word behind
//! `--` only that part: `throughput`, `latency` or `takeover`. One broker, this program and the engine share the machine.

use std::env;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use benches::measure::load;
use engine::config::Config;
use engine::topics::{self, Shape};
use serde_json::json;
use tests::kafka::{Cluster, Outgoing};

mod latency;
mod plain;
mod takeover;
mod throughput;

const SEED: u64 = 1;
const PARTITIONS: i32 = 4;

fn main() -> anyhow::Result<()> {
    let out = &mut io::stdout().lock();
    let wanted: Vec<String> = env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|word| word == part);
    writeln!(out, "seed {SEED}, one broker, load {}", load())?;
    if is_wanted("throughput") {
        throughput::run(out)?;
    }
    if is_wanted("latency") {
        latency::run(out)?;
    }
    if is_wanted("takeover") {
        takeover::run(out)?;
    }
    writeln!(out, "load {}", load())?;
    Ok(())
}

fn cluster() -> anyhow::Result<Cluster> {
    Cluster::start(1).context("Apache Kafka or Java is not installed: tests/run installs Kafka")
}

/// Makes the topics of a group and returns its configuration and their shape.
fn group(cluster: &Cluster, name: &str, input: &str) -> anyhow::Result<(Arc<Config>, Shape)> {
    let config: Config = serde_json::from_value(json!({
        "kafka": {"brokers": [cluster.brokers()]},
        "group": name,
        "inputs": [{"topic": input, "format": "fusor"}],
        "outputs": {
            "incidents": format!("{name}.incidents"),
            "dead_letters": format!("{name}.dead-letters"),
            "state": format!("{name}.state"),
        },
    }))?;
    topics::create(&config)?;
    let rows = topics::plan(&config)?;
    let shape = topics::shape(&rows).map_err(|problems| anyhow::anyhow!(problems.join("; ")))?;
    Ok((Arc::new(config), shape))
}

/// A record of the workload, in turn over the partitions.
fn outgoing(topic: &str, number: usize, value: Vec<u8>, timestamp: i64) -> Outgoing {
    let partitions = usize::try_from(PARTITIONS).unwrap_or(1);
    Outgoing {
        topic: topic.to_owned(),
        partition: i32::try_from(number % partitions).unwrap_or(0),
        value,
        timestamp,
    }
}

/// Returns the value below which a share of the values lies, of sorted ones.
fn quantile(sorted: &[Duration], per_mille: usize) -> Duration {
    let at = (sorted.len() * per_mille / 1_000).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}
