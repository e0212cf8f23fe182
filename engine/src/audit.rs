//! The state of a shard, looked at from outside: restored as a standby would, compared with the group's offsets, and made
//! again from the inputs in the order that was recorded.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::bus::kafka::scan::{Scan, committed};
use crate::bus::{BusError, Input, Lane, Partition, Record};
use crate::config::Config;
use crate::decode::Decoder;
use crate::run;
use crate::shard::{RestoreError, Shard, ShardConfig};
use crate::state::{Block, Key, Meta, StateError, decode};

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
    let mut restored = Shard::new(shard, shard_config(config));
    let mut scan = Scan::new(config, state_of(config, shard), 0)?;
    while let Some(record) = scan.next()? {
        restored.restore(&[record])?;
    }
    audit(config, restored)
}

/// Applies the inputs of a shard again in the recorded order, and compares what comes of it with the state.
///
/// # Errors
/// As [`verify`], and when the order or an input does not reach back to the beginning.
pub fn replay(config: &Config, shard: i32) -> Result<Audit, AuditError> {
    let mut restored = Shard::new(shard, shard_config(config));
    let mut blocks: BTreeMap<(u64, u32), Block> = BTreeMap::new();
    let mut scan = Scan::new(config, state_of(config, shard), 0)?;
    while let Some(record) = scan.next()? {
        let problem = |problem| AuditError::Record {
            shard,
            offset: record.offset,
            problem,
        };
        let key = Key::read(record.key.as_deref().unwrap_or_default()).map_err(problem)?;
        if let (Key::Block { epoch, part }, Some(value)) = (&key, &record.value) {
            let (_, block) = decode(value).map_err(problem)?;
            blocks.insert((*epoch, *part), block);
        }
        restored.restore(&[record])?;
    }
    let first = blocks.first_key_value().map_or(1, |((epoch, _), _)| *epoch);
    if first != 1 {
        return Err(AuditError::Forgotten { first });
    }
    let again = apply_again(config, shard, blocks)?;
    let mut audit = audit(config, restored)?;
    compare(&mut audit, &again);
    Ok(audit)
}

fn apply_again(
    config: &Config,
    shard: i32,
    blocks: BTreeMap<(u64, u32), Block>,
) -> Result<(Shard, Vec<String>), AuditError> {
    let decoder = run::worker_config(config, 1, 0).decoder;
    let mut again = Shard::new(shard, shard_config(config));
    let mut inputs = Inputs {
        config,
        decoder,
        scans: BTreeMap::new(),
    };
    let mut findings = Vec::new();
    for ((epoch, _), block) in blocks {
        let mut records = Vec::new();
        for entry in &block.entries {
            let Some(partition) = entry.partition.and_then(|at| block.partition(at)) else {
                continue;
            };
            match inputs.at(partition, entry.offset)? {
                Some(record) => records.push(inputs.decoder.decode(record.into())),
                None => findings.push(format!(
                    "epoch {epoch}: offset {} of {}/{} is not in the log any more",
                    entry.offset, partition.0, partition.1
                )),
            }
        }
        if findings.len() >= FINDINGS_MAX {
            break;
        }
        findings.extend(again.apply_again(epoch, &block, records));
    }
    Ok((again, findings))
}

/// Findings told at most.
const FINDINGS_MAX: usize = 100;

fn compare(audit: &mut Audit, (again, findings): &(Shard, Vec<String>)) {
    audit
        .findings
        .extend(findings.iter().take(FINDINGS_MAX).cloned());
    let digests = digests(again);
    for (tenant, digest) in &audit.digests {
        if digests.get(tenant) != Some(digest) {
            let other = digests.get(tenant).map_or("none", String::as_str);
            audit.findings.push(format!(
                "tenant {tenant}: the state is {digest}, applying the inputs again gives {other}"
            ));
        }
    }
}

/// The inputs, read on as they are asked for: offsets of one partition rise.
struct Inputs<'a> {
    config: &'a Config,
    decoder: Decoder,
    scans: BTreeMap<(String, i32), Scan>,
}

impl Inputs<'_> {
    fn at(
        &mut self,
        (topic, number): &(String, i32),
        offset: i64,
    ) -> Result<Option<Record>, BusError> {
        let key = (topic.clone(), *number);
        if !self.scans.contains_key(&key) {
            let partition = Partition {
                topic: topic.as_str().into(),
                number: *number,
            };
            let scan = Scan::new(self.config, partition, offset)?;
            self.scans.insert(key.clone(), scan);
        }
        let Some(scan) = self.scans.get_mut(&key) else {
            return Ok(None);
        };
        while let Some(record) = scan.next()? {
            if record.offset >= offset {
                return Ok((record.offset == offset).then_some(record));
            }
        }
        Ok(None)
    }
}

fn audit(config: &Config, mut shard: Shard) -> Result<Audit, AuditError> {
    let partitions: Vec<Partition> = shard.meta().inputs.iter().map(partition).collect();
    let group = committed(config, &partitions)?;
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
    shard.activate(&inputs, &run::sources(config))?;
    let (tenants, stats) = shard.stats();
    Ok(Audit {
        shard: shard.number(),
        meta: shard.meta().clone(),
        tenants,
        episodes: stats.episodes,
        threads: stats.threads,
        entities: stats.entities,
        digests: digests(&shard),
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

fn state_of(config: &Config, shard: i32) -> Partition {
    Partition {
        topic: config.outputs.state.as_str().into(),
        number: shard,
    }
}

fn shard_config(config: &Config) -> ShardConfig {
    run::worker_config(config, 1, 0).shard
}
