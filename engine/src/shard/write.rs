//! What an epoch writes of the shard's state: the rows that changed, the digests of its records, and how far it came.

use std::collections::BTreeMap;
use std::sync::Arc;

use correlators::Placement;
use schemas::alert::Alert;
use schemas::incident::Incident;

use super::clock::Mark;
use super::lanes::Lanes;
use super::work::Done;
use super::{Applied, Fate, Shard, is_applied, restore};
use crate::bus::{Moved, NewRecord};
use crate::decode::Content;
use crate::state::{
    self, BLOCK_BYTES_MAX, Block, Counts, Digest, Entry, Key, Meta, Placed, encode, frame,
};

impl Shard {
    /// Puts together what the epoch leads to, the records of its state included.
    pub(super) fn write(
        &mut self,
        fates: Vec<Fate>,
        marks: &[Mark],
        done: Vec<Done>,
        writer: i64,
    ) -> Applied {
        let Some(lanes) = &self.lanes else {
            return Applied::default();
        };
        let meta = Meta {
            epoch: self.meta.epoch + 1,
            inputs: lanes
                .positions()
                .map(|(_, position)| position.clone())
                .collect(),
            watermark: lanes.clock.watermark().map(|time| time.millis()),
            writer,
            counts: count(self.meta.counts, &fates),
            config: self.config_hash.clone(),
            generation: self.meta.generation,
            again: lanes.to_take_again(),
        };
        let mut applied = Applied {
            epoch: meta.epoch,
            shard: self.number,
            writer,
            offsets: moved(lanes, &self.meta, &meta),
            ..Applied::default()
        };
        let topic = self.config.state.clone();
        if let Some(topic) = &topic {
            let blocks = blocks(&fates, marks);
            self.blocks.write(meta.epoch, &blocks);
            let gone = meta.watermark.map_or_else(Vec::new, |watermark| {
                let life_ms = self.config.settings.limits.warm_idle_ms;
                self.blocks.expire(watermark, life_ms)
            });
            applied.state = records(topic, self.number, &meta, &done, &blocks, gone);
        }
        applied.outputs = done.into_iter().map(|done| done.output).collect();
        let incidents = applied
            .outputs
            .iter_mut()
            .flat_map(|output| &mut output.incidents);
        incidents.for_each(|incident| stamp(incident, meta.generation));
        applied.fates = fates;
        self.pending = Some(meta);
        applied
    }
}

/// Incidents are of the first generation unless the state was rebuilt.
fn stamp(incident: &mut Arc<Incident>, generation: i32) {
    if incident.generation != generation {
        Arc::make_mut(incident).generation = generation;
    }
}

/// Returns the inputs that moved; where none did, all that ever have: an epoch that commits no offset cannot be told from
/// one that was never committed.
fn moved(lanes: &Lanes, before: &Meta, now: &Meta) -> Vec<Moved> {
    let all = lanes.positions().filter_map(|(partition, position)| {
        let known = before
            .inputs
            .iter()
            .find(|known| known.topic == position.topic && known.partition == position.partition);
        let has_moved = known.and_then(|known| known.next) != position.next;
        let moved = Moved {
            partition: partition.clone(),
            next: position.next?,
            epoch: now.epoch,
            writer: now.writer,
        };
        Some((has_moved, moved))
    });
    let (moved, still): (Vec<_>, Vec<_>) = all.partition(|(has_moved, _)| *has_moved);
    let kept = if moved.is_empty() { still } else { moved };
    kept.into_iter().map(|(_, moved)| moved).collect()
}

fn records(
    topic: &Arc<str>,
    shard: i32,
    meta: &Meta,
    done: &[Done],
    blocks: &[Block],
    gone: Vec<Key>,
) -> Vec<NewRecord> {
    let mut records = Vec::new();
    for done in done {
        for (row, value) in &done.rows {
            let key = Key::Row {
                tenant: done.output.tenant.clone(),
                row: row.to_string(),
            };
            let value = value.as_ref().map(|bytes| frame(meta.epoch, bytes));
            records.push(restore::record(topic, shard, &key, value));
        }
    }
    for (part, block) in (0..).zip(blocks) {
        let key = Key::Block {
            epoch: meta.epoch,
            part,
        };
        let value = encode(meta.epoch, block);
        records.push(restore::record(topic, shard, &key, Some(value)));
    }
    for key in gone {
        records.push(restore::record(topic, shard, &key, None));
    }
    let value = encode(meta.epoch, meta);
    records.push(restore::record(topic, shard, &Key::Meta, Some(value)));
    records
}

/// Returns the digests of an epoch's records, in parts that are small enough for the topic.
fn blocks(fates: &[Fate], marks: &[Mark]) -> Vec<Block> {
    let mut all = Vec::new();
    let mut block = Builder::default();
    for (number, mark) in marks.iter().enumerate() {
        block.add(fates.get(number), *mark);
        if block.bytes >= BLOCK_BYTES_MAX {
            all.push(std::mem::take(&mut block).block);
        }
    }
    if !block.block.entries.is_empty() {
        all.push(block.block);
    }
    all
}

#[derive(Default)]
struct Builder {
    block: Block,
    partitions: BTreeMap<(Arc<str>, i32), u32>,
    tenants: BTreeMap<String, u32>,
    /// About how long the block is when it is written; never less.
    bytes: usize,
}

/// Bytes of an entry and of a digest beside its texts, at most.
const ENTRY_BYTES: usize = 48;

impl Builder {
    fn add(&mut self, fate: Option<&Fate>, mark: Mark) {
        self.bytes += ENTRY_BYTES;
        let (partition, offset, fate) = match fate {
            None => (None, 0, state::Fate::Time),
            Some(fate) => {
                let record = &fate.decoded.record;
                let partition = self.partition(&record.partition.topic, record.partition.number);
                (Some(partition), record.offset, self.fate(fate))
            }
        };
        self.block.entries.push(Entry {
            partition,
            offset,
            watermark: mark.watermark.map(|time| time.millis()),
            broadcast: mark.broadcast,
            fate,
        });
    }

    fn fate(&mut self, fate: &Fate) -> state::Fate {
        match &fate.decoded.content {
            Content::Alerts(alerts) => {
                let digests = alerts
                    .iter()
                    .zip(&fate.placements)
                    .map(|(alert, placement)| {
                        self.bytes += alert.uid.len() + ENTRY_BYTES;
                        let (episode, placed) = Placed::of(*placement);
                        Digest {
                            tenant: self.tenant(&alert.tenant),
                            uid: alert.uid.clone(),
                            revision: alert.revision,
                            time: remembered(alert, *placement),
                            episode,
                            placed,
                        }
                    });
                state::Fate::Alerts(digests.collect())
            }
            Content::Binding(binding) => state::Fate::Binding(self.tenant(&binding.tenant)),
            Content::Command(command) => state::Fate::Command {
                tenant: self.tenant(&command.tenant),
                applied: fate.verdict.as_ref().is_some_and(is_applied),
            },
            Content::Broken(broken) => state::Fate::DeadLetter(broken.reason.to_owned()),
        }
    }

    fn partition(&mut self, topic: &Arc<str>, number: i32) -> u32 {
        let known = &mut self.block.partitions;
        let entry = self.partitions.entry((Arc::clone(topic), number));
        *entry.or_insert_with(|| {
            self.bytes += topic.len() + ENTRY_BYTES;
            known.push((topic.to_string(), number));
            u32::try_from(known.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn tenant(&mut self, name: &str) -> u32 {
        if let Some(index) = self.tenants.get(name) {
            return *index;
        }
        self.bytes += name.len() + ENTRY_BYTES;
        let index = u32::try_from(self.block.tenants.len()).unwrap_or(u32::MAX);
        self.block.tenants.push(name.to_owned());
        self.tenants.insert(name.to_owned(), index);
        index
    }
}

/// Returns the time that an alert is remembered by.
fn remembered(alert: &Alert, placement: Placement) -> i64 {
    match placement {
        Placement::Placed { .. } | Placement::Duplicate { .. } => alert.start_time.millis(),
        Placement::Updated { remembered, .. } => remembered.millis(),
    }
}

fn count(before: Counts, fates: &[Fate]) -> Counts {
    let mut counts = before;
    for fate in fates {
        counts.records += 1;
        match &fate.decoded.content {
            Content::Alerts(_) => {}
            Content::Binding(_) => counts.bindings += 1,
            Content::Command(_) => counts.commands += 1,
            Content::Broken(_) => counts.dead_letters += 1,
        }
        for placement in &fate.placements {
            counts.place(Placed::of(*placement).1);
        }
    }
    counts
}
