//! The state of a shard forgotten, so that it is made again from the inputs that are kept.
//!
//! What for: a state topic that was lost or cut, or settings that are to hold for what is past. Incidents keep their ids; they
//! come with the next generation, which every reader takes for newer.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use crate::bus::kafka::properties;
use crate::bus::kafka::scan::{Scan, committed};
use crate::bus::kafka::write_alone;
use crate::bus::{BusError, NewRecord, Partition};
use crate::config::Config;
use crate::readiness::Readiness;
use crate::state::{Key, Meta, Position, decode, encode};
use crate::topics::{self, TopicsError};

/// What forgetting the state of a shard does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// The shard.
    pub shard: i32,
    /// The generation it begins.
    pub generation: i32,
    /// Keys that are let go.
    pub keys: usize,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            shard,
            generation,
            keys,
        } = self;
        write!(
            f,
            "shard {shard}: forget {keys} keys and begin generation {generation} at the start of its inputs"
        )
    }
}

/// The state cannot be forgotten.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Somebody works on it.
    #[error("group {group} has {members} members: stop every engine first")]
    Busy {
        /// The group.
        group: String,
        /// Its members.
        members: usize,
    },
    /// Kafka could not be read or written.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The topics could not be asked for.
    #[error(transparent)]
    Topics(#[from] TopicsError),
    /// The group could not be asked.
    #[error("cannot ask for the members of the group")]
    Group(#[from] KafkaError),
}

/// How long the group may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Forgets the state of a shard in one transaction, or without `really` says what that would do.
///
/// # Errors
/// When an engine runs, or Kafka cannot be read or written.
pub fn rebuild(config: &Config, shard: i32, really: bool) -> Result<Plan, RebuildError> {
    let members = members(config)?;
    if members > 0 {
        return Err(RebuildError::Busy {
            group: config.group.as_str().to_owned(),
            members,
        });
    }
    let (keys, meta) = held(config, shard)?;
    let group = heard_of(config, shard)?;
    let next = Meta {
        generation: meta.generation.max(1) + 1,
        epoch: meta.epoch.max(group.epoch) + 1,
        again: group.commands,
        ..Meta::default()
    };
    let plan = Plan {
        shard,
        generation: next.generation,
        keys: keys.len(),
    };
    if really {
        let id = format!("{}-{shard}", config.group.as_str());
        write_alone(
            config,
            &id,
            records(config, shard, keys, &next),
            Arc::new(Readiness::default()),
        )?;
    }
    Ok(plan)
}

fn members(config: &Config) -> Result<usize, KafkaError> {
    let client: BaseConsumer = properties::admin(config).create()?;
    let groups = client.fetch_group_list(Some(config.group.as_str()), ANSWER)?;
    Ok(groups
        .groups()
        .iter()
        .map(|group| group.members().len())
        .sum())
}

/// Returns the keys that hold something, and the last meta record.
fn held(config: &Config, shard: i32) -> Result<(BTreeSet<Vec<u8>>, Meta), BusError> {
    let mut keys = BTreeSet::new();
    let mut meta = Meta::default();
    let partition = Partition {
        topic: config.outputs.state.as_str().into(),
        number: shard,
    };
    let mut scan = Scan::new(config, partition, 0)?;
    while let Some(record) = scan.next()? {
        let Some(key) = record.key else { continue };
        match record.value {
            None => {
                keys.remove(&key);
            }
            Some(value) => {
                if key == Key::Meta.bytes()
                    && let Ok((_, read)) = decode(&value)
                {
                    meta = read;
                }
                keys.insert(key);
            }
        }
    }
    keys.remove(&Key::Meta.bytes());
    Ok((keys, meta))
}

/// What the group heard of the shard that is forgotten.
#[derive(Default)]
struct Heard {
    /// Its last epoch, 0 for none.
    epoch: u64,
    /// How far the commands were applied.
    commands: Vec<Position>,
}

fn heard_of(config: &Config, shard: i32) -> Result<Heard, RebuildError> {
    let rows = topics::plan(config)?;
    let Ok(shape) = topics::shape(&rows) else {
        return Ok(Heard::default());
    };
    let inputs = crate::bus::inputs_of(shard, shape.shards, &shape.inputs)?;
    let found = committed(config, &inputs)?;
    let commands = config.commands.as_ref();
    let mut heard = Heard::default();
    for (input, committed) in inputs.iter().zip(found) {
        let Some(committed) = committed else { continue };
        heard.epoch = heard.epoch.max(committed.epoch.unwrap_or(0));
        if commands.is_some_and(|topic| *input.topic == *topic.as_str()) {
            heard.commands.push(Position {
                topic: input.topic.to_string(),
                partition: input.number,
                next: Some(committed.next),
                ..Position::default()
            });
        }
    }
    Ok(heard)
}

fn records(config: &Config, shard: i32, keys: BTreeSet<Vec<u8>>, meta: &Meta) -> Vec<NewRecord> {
    let topic: Arc<str> = config.outputs.state.as_str().into();
    let record = |key: Vec<u8>, value: Option<Vec<u8>>| NewRecord {
        topic: Arc::clone(&topic),
        partition: Some(shard),
        timestamp: None,
        key: Some(key),
        value,
        headers: Vec::new(),
    };
    let gone = keys.into_iter().map(|key| record(key, None));
    let meta = record(Key::Meta.bytes(), Some(encode(meta.epoch, meta)));
    gone.chain([meta]).collect()
}
