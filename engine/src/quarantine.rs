//! Records that ended the process, looked at and let in again.

use std::sync::Arc;

use serde::Serialize;

use crate::bus::kafka::scan::Scan;
use crate::bus::kafka::write_alone;
use crate::bus::{BusError, NewRecord, Partition};
use crate::config::Config;
use crate::readiness::Readiness;
use crate::state::{Key, StateError, Suspect, decode};

/// A record that is kept from being correlated. Its bytes are in the dead-letter topic, and in its own as long as that
/// keeps them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Quarantined {
    /// The shard.
    pub shard: i32,
    /// Topic of the record.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// How often it ended the process when it was applied alone.
    pub attempts: u32,
}

/// The quarantine cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// Kafka could not be read or written.
    #[error(transparent)]
    Bus(#[from] BusError),
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
    /// There is no such record in quarantine.
    #[error("{topic}/{partition} offset {offset} is not in quarantine")]
    Unknown {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Offset.
        offset: i64,
    },
    /// Its topic no longer has the record.
    #[error(
        "{topic}/{partition} no longer holds offset {offset}: take its bytes from the dead-letter topic"
    )]
    Gone {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Offset.
        offset: i64,
    },
}

/// Returns what is in quarantine of a shard, by topic, partition and offset.
///
/// # Errors
/// When the state topic cannot be read.
pub fn list(config: &Config, shard: i32) -> Result<Vec<Quarantined>, QuarantineError> {
    let mut found: Vec<Quarantined> = Vec::new();
    let mut scan = Scan::new(config, state_of(config, shard), 0)?;
    while let Some(record) = scan.next()? {
        let problem = |problem| QuarantineError::Record {
            shard,
            offset: record.offset,
            problem,
        };
        let key = Key::read(record.key.as_deref().unwrap_or_default()).map_err(problem)?;
        let Key::Quarantine {
            topic,
            partition,
            offset,
        } = key
        else {
            continue;
        };
        found.retain(|known| {
            (&known.topic, known.partition, known.offset) != (&topic, partition, offset)
        });
        if let Some(value) = record.value {
            let (_, suspect): (u64, Suspect) = decode(&value).map_err(problem)?;
            found.push(Quarantined {
                shard,
                topic,
                partition,
                offset,
                attempts: suspect.attempts,
            });
        }
    }
    found.sort_by(|a, b| (&a.topic, a.partition, a.offset).cmp(&(&b.topic, b.partition, b.offset)));
    Ok(found)
}

/// Takes a record out of quarantine and appends it to its topic once more, in one transaction.
///
/// # Errors
/// When it is not in quarantine, not in its topic any more, or cannot be written.
pub fn release(
    config: &Config,
    shards: &[i32],
    topic: &str,
    partition: i32,
    offset: i64,
) -> Result<(), QuarantineError> {
    for shard in shards {
        let is_it = |known: &Quarantined| {
            (known.topic.as_str(), known.partition, known.offset) == (topic, partition, offset)
        };
        if list(config, *shard)?.iter().any(is_it) {
            return release_from(config, *shard, topic, partition, offset);
        }
    }
    Err(QuarantineError::Unknown {
        topic: topic.to_owned(),
        partition,
        offset,
    })
}

fn release_from(
    config: &Config,
    shard: i32,
    topic: &str,
    partition: i32,
    offset: i64,
) -> Result<(), QuarantineError> {
    let input = Partition {
        topic: topic.into(),
        number: partition,
    };
    let record = Scan::new(config, input, offset)?.next()?;
    let record = record.filter(|record| record.offset == offset);
    let record = record.ok_or_else(|| QuarantineError::Gone {
        topic: topic.to_owned(),
        partition,
        offset,
    })?;
    let again = NewRecord {
        topic: Arc::clone(&record.partition.topic),
        partition: Some(partition),
        timestamp: None,
        key: record.key,
        value: record.value,
        headers: record.headers,
    };
    let key = Key::Quarantine {
        topic: topic.to_owned(),
        partition,
        offset,
    };
    let out = NewRecord {
        topic: config.outputs.state.as_str().into(),
        partition: Some(shard),
        timestamp: None,
        key: Some(key.bytes()),
        value: None,
        headers: Vec::new(),
    };
    let id = format!("{}-quarantine", config.group.as_str());
    let readiness = Arc::new(Readiness::default());
    Ok(write_alone(config, &id, vec![again, out], readiness)?)
}

fn state_of(config: &Config, shard: i32) -> Partition {
    Partition {
        topic: config.outputs.state.as_str().into(),
        number: shard,
    }
}
