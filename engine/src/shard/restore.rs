//! The records of the state topic, taken in: what a standby does all the time, and whoever is handed the shard to its end.

use std::sync::Arc;

use correlators::{Placement, SeenAlert};
use schemas::time::Timestamp;

use super::Shard;
use crate::bus::{Committed, Input, NewRecord, Record};
use crate::state::{
    Block, Digest, Entry, Fate, Key, Meta, Origin, Placed, Position, Start, StateError, decode,
    unframe,
};

/// A shard cannot be worked on from the state that is there.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A record cannot be used.
    #[error("state of shard {shard}, offset {offset}: {problem}")]
    Record {
        /// The shard.
        shard: i32,
        /// Offset of the record.
        offset: i64,
        /// What is wrong with it.
        problem: String,
    },
    /// The rows of a tenant do not fit together.
    #[error("state of shard {shard}, tenant {tenant}: {problem}")]
    Tenant {
        /// The shard.
        shard: i32,
        /// The tenant.
        tenant: String,
        /// What is wrong.
        problem: String,
    },
    /// The log does not hold the beginning of the state any more.
    #[error(
        "offset {offset} of the state of shard {shard} is no longer in the log: the state topic was cut or made anew. \
         Delete it and have `fusor topics create` make it"
    )]
    Cut {
        /// The shard.
        shard: i32,
        /// The offset that was to be read.
        offset: i64,
    },
    /// The group has come further than the state tells.
    #[error(
        "state of shard {shard} ends with epoch {epoch}, and the group has committed epoch {committed} for {partition}: \
         the state topic was cut or made anew"
    )]
    Behind {
        /// The shard.
        shard: i32,
        /// The last epoch of the state, 0 for none.
        epoch: u64,
        /// The last epoch of the group.
        committed: u64,
        /// An input of that epoch.
        partition: String,
    },
}

/// An input whose offset in the state is not the group's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Torn {
    /// The input.
    pub partition: String,
    /// The next offset by the state, which counts.
    pub state: Option<i64>,
    /// The next offset by the group.
    pub group: Option<i64>,
}

impl Shard {
    /// Takes in records of the state topic, in their order.
    ///
    /// # Errors
    /// Names the first record that cannot be used: the shard must not be worked on.
    pub fn restore(&mut self, records: &[Record]) -> Result<(), RestoreError> {
        for record in records {
            self.take_in(record)
                .map_err(|problem| RestoreError::Record {
                    shard: self.number,
                    offset: record.offset,
                    problem,
                })?;
            self.next_state = record.offset + 1;
        }
        Ok(())
    }

    /// Returns the inputs whose offsets in the state and in the group differ: a transaction of which a part is missing.
    #[must_use]
    pub fn torn(&self, inputs: &[Input]) -> Vec<Torn> {
        let torn = inputs.iter().filter_map(|input| {
            // What a state does not know of, it was not part of.
            let state = self.position(input)?.next;
            let group = input.committed.map(|committed| committed.next);
            // Kafka forgets the offsets of a group that is away for long, and what nobody of us wrote is none of ours.
            let ours = input
                .committed
                .is_some_and(|committed| committed.epoch.is_some());
            (ours && state != group).then(|| Torn {
                partition: input.partition.to_string(),
                state,
                group,
            })
        });
        torn.collect()
    }

    /// Makes whole what was taken in, so that it can be worked on.
    pub(super) fn whole(&mut self, inputs: &[Input]) -> Result<(), RestoreError> {
        self.is_all_there(inputs)?;
        self.blocks.restored();
        for fusion in self.tenants.all_mut() {
            fusion.finish().map_err(|problem| RestoreError::Tenant {
                shard: self.number,
                tenant: fusion.tenant().to_owned(),
                problem: problem.to_string(),
            })?;
        }
        Ok(())
    }

    /// One epoch of the group that the state does not have is a torn transaction, which is survived; more are a state topic
    /// that lost records.
    fn is_all_there(&self, inputs: &[Input]) -> Result<(), RestoreError> {
        for input in inputs {
            let epoch = |committed: Committed| committed.epoch;
            let Some(committed) = input.committed.and_then(epoch) else {
                continue;
            };
            let lost_all = self.meta.epoch == 0;
            if lost_all || committed > self.meta.epoch + 1 {
                return Err(RestoreError::Behind {
                    shard: self.number,
                    epoch: self.meta.epoch,
                    committed,
                    partition: input.partition.to_string(),
                });
            }
        }
        Ok(())
    }

    fn position(&self, input: &Input) -> Option<&Position> {
        let partition = &input.partition;
        self.meta.inputs.iter().find(|position| {
            *position.topic == *partition.topic && position.partition == partition.number
        })
    }

    fn take_in(&mut self, record: &Record) -> Result<(), String> {
        let told = |error: StateError| error.to_string();
        let key = Key::read(record.key.as_deref().unwrap_or_default()).map_err(told)?;
        let value = record.value.as_deref();
        match key {
            Key::Row { tenant, row } => {
                let row = row.parse().map_err(|_| format!("no row {row:?}"))?;
                let content = value.map(unframe).transpose().map_err(told)?;
                let content = content.map(|(_, content)| content);
                let state = self.tenants.state(&tenant, &self.config);
                state.map_or(Ok(()), |state| {
                    state.put(&row, content).map_err(|e| e.to_string())
                })
            }
            Key::Block { epoch, part } => {
                match value.map(decode::<Block>).transpose().map_err(told)? {
                    None => self.blocks.forget(epoch),
                    // What was taken in before is read again where a commit was not heard of.
                    Some(_) if epoch <= self.seen_epoch => {}
                    Some((_, block)) => {
                        self.see(&block)?;
                        self.blocks.restore(epoch, part, &block);
                    }
                }
                Ok(())
            }
            Key::Meta => {
                if let Some((_, meta)) = value.map(decode::<Meta>).transpose().map_err(told)? {
                    self.seen_epoch = self.seen_epoch.max(meta.epoch);
                    self.meta = meta;
                }
                Ok(())
            }
            Key::Start => {
                let start = value.map(decode::<Start>).transpose().map_err(told)?;
                self.start = start.map(|(_, start)| start).unwrap_or_default();
                Ok(())
            }
            Key::Claim => Ok(()),
            Key::Origin => {
                let origin = value.map(decode::<Origin>).transpose().map_err(told)?;
                self.origin = origin.map(|(_, origin)| origin);
                Ok(())
            }
            Key::Quarantine {
                topic,
                partition,
                offset,
            } => {
                let entry = (topic, partition, offset);
                if value.is_some() {
                    self.quarantine.insert(entry);
                } else {
                    self.quarantine.remove(&entry);
                }
                Ok(())
            }
        }
    }
}

impl Shard {
    /// Lets the tenants remember the alerts of a block, at the times at which they were applied.
    fn see(&mut self, block: &Block) -> Result<(), String> {
        for entry in &block.entries {
            let watermark = entry.watermark.map(Timestamp);
            if entry.broadcast
                && let Some(watermark) = watermark
            {
                for fusion in self.tenants.all_mut() {
                    fusion.put_time(watermark);
                }
            }
            self.see_entry(block, entry, watermark)?;
        }
        Ok(())
    }

    fn see_entry(
        &mut self,
        block: &Block,
        entry: &Entry,
        watermark: Option<Timestamp>,
    ) -> Result<(), String> {
        let tenant = |index: u32| {
            let name = usize::try_from(index)
                .ok()
                .and_then(|at| block.tenants.get(at));
            name.ok_or_else(|| format!("no tenant {index} in the block"))
        };
        match &entry.fate {
            Fate::Alerts(digests) => {
                for digest in digests {
                    let name = tenant(digest.tenant)?;
                    let Some(fusion) = self.tenants.state(name, &self.config) else {
                        continue;
                    };
                    fusion.put_seen(SeenAlert {
                        watermark,
                        uid: &digest.uid,
                        revision: digest.revision,
                        time: Timestamp(digest.time),
                        placement: placement(digest),
                    });
                }
            }
            Fate::Binding(index) => {
                if let Some(watermark) = watermark
                    && let Some(fusion) = self.tenants.state(tenant(*index)?, &self.config)
                {
                    fusion.put_time(watermark);
                }
            }
            // A command makes no tenant and tells it no time; what it did is in the rows.
            Fate::Command { .. } | Fate::DeadLetter(_) | Fate::Time => {}
        }
        Ok(())
    }
}

fn placement(digest: &Digest) -> Placement {
    let episode = digest.episode;
    match digest.placed {
        Placed::New => Placement::Placed {
            episode,
            late: false,
        },
        Placed::Late => Placement::Placed {
            episode,
            late: true,
        },
        Placed::Duplicate => Placement::Duplicate { episode },
        Placed::Update => Placement::Updated {
            episode,
            remembered: Timestamp(digest.time),
        },
    }
}

/// Makes a record of the state topic.
pub(super) fn record(topic: &Arc<str>, shard: i32, key: &Key, value: Option<Vec<u8>>) -> NewRecord {
    NewRecord {
        topic: Arc::clone(topic),
        partition: Some(shard),
        timestamp: None,
        key: Some(key.bytes()),
        value,
        headers: Vec::new(),
    }
}

/// Returns the offsets of the group as those of a state that is not written anywhere.
pub(super) fn positions_of(inputs: &[Input]) -> Vec<Position> {
    let position = |input: &Input| Position {
        topic: input.partition.topic.to_string(),
        partition: input.partition.number,
        next: input.committed.map(|committed| committed.next),
        ..Position::default()
    };
    inputs.iter().map(position).collect()
}
