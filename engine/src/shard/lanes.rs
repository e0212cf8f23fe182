//! The inputs of a shard that is worked on.

use std::collections::BTreeMap;

use schemas::time::Timestamp;

use super::clock::{Clock, Mark};
use crate::bus::{Input, Lane, Partition};
use crate::decode::Decoded;
use crate::order::{Merge, Taken};
use crate::source::{Source, Sources};
use crate::state::{Meta, Position};

/// The lanes in the order of their partitions, how far each was applied, and what waits.
#[derive(Debug)]
pub(super) struct Lanes {
    by_lane: BTreeMap<Lane, usize>,
    pub(super) inputs: Vec<Input>,
    positions: Vec<Position>,
    pub(super) merge: Merge<Decoded>,
    pub(super) clock: Clock,
    /// Of a lane with commands, the offset below which they wait for their turn; none for any other.
    commands: Vec<Option<i64>>,
}

impl Lanes {
    pub(super) fn new(inputs: &[Input], meta: &Meta, sources: &Sources, lateness_ms: i64) -> Self {
        let numbered = inputs.iter().enumerate();
        let positions: Vec<Position> = inputs
            .iter()
            .map(|input| {
                let partition = &input.partition;
                let known = meta.inputs.iter().find(|position| {
                    position.partition == partition.number && *position.topic == *partition.topic
                });
                // Of an input that is new the group may know more: somebody set where to begin. What an epoch committed of it
                // was forgotten on purpose.
                known.cloned().unwrap_or_else(|| Position {
                    topic: partition.topic.to_string(),
                    partition: partition.number,
                    next: input
                        .committed
                        .filter(|committed| committed.epoch.is_none())
                        .map(|committed| committed.next),
                    ..Position::default()
                })
            })
            .collect();
        // Bindings tell who held an address; how far the alerts have come is told by the alerts alone.
        let source = |input: &Input| sources.get(&input.partition.topic);
        let counts = |input: &Input| {
            let source = source(input);
            !matches!(source, Some(Source::Bindings | Source::Commands))
        };
        let seen = inputs
            .iter()
            .zip(&positions)
            .map(|(input, position)| counts(input).then_some(position.seen.map(Timestamp)));
        let clock = Clock::new(seen.collect(), lateness_ms, meta.watermark.map(Timestamp));
        let mut merge = Merge::new(inputs.len());
        for (index, position) in positions.iter().enumerate() {
            if let Some(last) = position.last {
                merge.follow(index, Timestamp(last));
            }
        }
        let commands = inputs.iter().map(|input| {
            let partition = &input.partition;
            let mut again = meta.again.iter().filter(|position| {
                position.partition == partition.number && *position.topic == *partition.topic
            });
            let is_it = matches!(source(input), Some(Source::Commands));
            is_it.then(|| again.find_map(|position| position.next).unwrap_or(0))
        });
        let commands: Vec<Option<i64>> = commands.collect();
        for (index, (again, position)) in commands.iter().zip(&positions).enumerate() {
            if again.is_some_and(|again| position.next.unwrap_or(0) >= again) {
                merge.let_pass(index);
            }
        }
        Self {
            by_lane: numbered.map(|(index, input)| (input.lane, index)).collect(),
            inputs: inputs.to_vec(),
            positions,
            merge,
            clock,
            commands,
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Lane> {
        self.by_lane.keys().copied()
    }

    pub(super) fn index(&self, lane: Lane) -> Option<usize> {
        self.by_lane.get(&lane).copied()
    }

    /// Returns from where each lane is to be read.
    pub(super) fn starts(&self) -> Vec<(Lane, Option<i64>)> {
        let next = |index: &usize| {
            self.positions
                .get(*index)
                .and_then(|position| position.next)
        };
        let lanes = self.by_lane.iter();
        lanes.map(|(lane, index)| (*lane, next(index))).collect()
    }

    /// Puts a record where its turn is waited for; one that was applied before is passed over.
    pub(super) fn push(&mut self, lane: Lane, decoded: Decoded) {
        let Some(index) = self.index(lane) else {
            return;
        };
        let next = self.positions.get(index).and_then(|position| position.next);
        if next.is_some_and(|next| decoded.record.offset < next) {
            return;
        }
        let (mut time, bytes) = (decoded.time(), decoded.bytes());
        if let Some(again) = self.again(index) {
            if decoded.record.offset < again {
                time = decoded.record.timestamp.map(Timestamp);
            } else {
                self.merge.let_pass(index);
            }
        }
        self.merge.push(index, time, bytes, decoded);
    }

    fn again(&self, lane: usize) -> Option<i64> {
        *self.commands.get(lane)?
    }

    /// Returns the inputs with commands that are still to be taken again, and up to where.
    pub(super) fn to_take_again(&self) -> Vec<Position> {
        let lanes = self.commands.iter().zip(&self.positions);
        let lanes = lanes.filter_map(|(again, position)| {
            let again = again.filter(|again| position.next.unwrap_or(0) < *again)?;
            Some(Position {
                topic: position.topic.clone(),
                partition: position.partition,
                next: Some(again),
                ..Position::default()
            })
        });
        lanes.collect()
    }

    /// Notes that a record's turn has come, and returns the time it is applied at.
    pub(super) fn take(&mut self, item: &Taken<Decoded>) -> Mark {
        let is_command = self.again(item.lane).is_some();
        let position = self.positions.get_mut(item.lane);
        let next = Some(item.content.record.offset + 1);
        if is_command {
            if let Some(position) = position {
                position.next = next;
            }
            return self.clock.still();
        }
        let told = item.content.time().is_some();
        let mark = self
            .clock
            .tick(&self.merge, item.lane, told.then_some(item.time));
        if let Some(position) = position {
            position.next = next;
            position.last = Some(item.time.millis());
            position.seen = self.clock.seen(item.lane).map(Timestamp::millis);
        }
        mark
    }

    /// Returns how far each input was applied, in the order of the partitions.
    pub(super) fn positions(&self) -> impl Iterator<Item = (&Partition, &Position)> {
        let partitions = self.inputs.iter().map(|input| &input.partition);
        partitions.zip(&self.positions)
    }
}
