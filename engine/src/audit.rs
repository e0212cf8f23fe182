//! The state of a shard, looked at from outside: restored as a standby would, compared with the group's offsets, and made
//! again from the inputs in the order that was recorded.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::bus::{BusError, Input, Lane, Partition};
use crate::config::Config;
use crate::run;
use crate::shard::{RestoreError, Shard};
use crate::state::{Meta, StateError};
use crate::worker::WorkerConfig;

mod replay;
mod topics;

pub use topics::{Records, Topics};

use topics::Live;

/// What the state of a shard says.
#[derive(Debug, Serialize)]
pub struct Audit {
    /// The shard.
    pub shard: i32,
    /// The last epoch and what it told.
    pub meta: Meta,
    /// Tenants.
    pub tenants: usize,
    /// Live episodes.
    pub episodes: u64,
    /// Live threads.
    pub threads: u64,
    /// Known entities.
    pub entities: u64,
    /// Digest of each tenant's state, as 32 hexadecimal digits.
    pub digests: BTreeMap<String, String>,
    /// What is not as it should be; nothing where all is well.
    pub findings: Vec<String>,
}

/// The state cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Kafka could not be read.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The state cannot be restored.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A record of the state cannot be read.
    #[error("state of shard {shard}, offset {offset}: {problem}")]
    Record {
        /// The shard.
        shard: i32,
        /// Its offset.
        offset: i64,
        /// What is wrong.
        problem: StateError,
    },
    /// The order is not known from its beginning.
    #[error(
        "the order is recorded from epoch {first} on: what was before is forgotten, and a state that began there cannot \
         be made again"
    )]
    Forgotten {
        /// The first epoch that is recorded.
        first: u64,
    },
}

/// Restores a shard from its state topic and tells what is there and what does not fit.
///
/// # Errors
/// When the topic cannot be read, or the state cannot be restored from it.
pub fn verify(config: &Config, shard: i32) -> Result<Audit, AuditError> {
    let worker = run::worker_config(config, 1, 0);
    let topics = Live::new(config);
    let mut restored = Shard::new(shard, worker.shard.clone());
    for record in topics.read(state_of(&worker, shard), 0)? {
        restored.restore(&[record?])?;
    }
    audit(&topics, &worker, &mut restored)
}

/// Applies the inputs of a shard again in the recorded order, and compares what comes of it with the state and with the
/// incidents that were published.
///
/// # Errors
/// As [`verify`], and when the order or an input does not reach back to the beginning.
pub fn replay(config: &Config, shard: i32) -> Result<Audit, AuditError> {
    let worker = run::worker_config(config, 1, 0);
    replay_from(&Live::new(config), &worker, shard)
}

/// Does what [`replay()`] does with topics from anywhere.
///
/// # Errors
/// As [`replay()`].
pub fn replay_from(
    topics: &dyn Topics,
    worker: &WorkerConfig,
    shard: i32,
) -> Result<Audit, AuditError> {
    replay::replay(topics, worker, shard)
}

fn audit(
    topics: &dyn Topics,
    worker: &WorkerConfig,
    shard: &mut Shard,
) -> Result<Audit, AuditError> {
    let partitions: Vec<Partition> = shard.meta().inputs.iter().map(partition).collect();
    let group = topics.committed(&partitions)?;
    let inputs: Vec<Input> = (0..)
        .map(Lane)
        .zip(partitions.into_iter().zip(group))
        .map(|(lane, (partition, committed))| Input {
            lane,
            partition,
            committed,
        })
        .collect();
    let torn = shard.torn(&inputs);
    let findings = torn.iter().map(|torn| {
        let shown =
            |offset: Option<i64>| offset.map_or_else(|| "none".to_owned(), |o| o.to_string());
        format!(
            "{}: the state's offset is {}, the group's is {}",
            torn.partition,
            shown(torn.state),
            shown(torn.group)
        )
    });
    let findings = findings.collect();
    shard.activate(&inputs, &worker.decoder.sources)?;
    let (tenants, stats) = shard.stats();
    Ok(Audit {
        shard: shard.number(),
        meta: shard.meta().clone(),
        tenants,
        episodes: stats.episodes,
        threads: stats.threads,
        entities: stats.entities,
        digests: digests(shard),
        findings,
    })
}

fn digests(shard: &Shard) -> BTreeMap<String, String> {
    let digests = shard.digests().into_iter();
    digests
        .map(|(tenant, digest)| (tenant, format!("{digest:032x}")))
        .collect()
}

fn partition(position: &crate::state::Position) -> Partition {
    Partition {
        topic: position.topic.as_str().into(),
        number: position.partition,
    }
}

fn state_of(worker: &WorkerConfig, shard: i32) -> Partition {
    let topic = worker.shard.state.as_ref();
    Partition {
        topic: topic.map_or_else(|| "".into(), Arc::clone),
        number: shard,
    }
}
