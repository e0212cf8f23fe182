//! What is told of a run: what it had in it, and what it left behind.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use engine::bus::Record;
use engine::bus::memory::{Memory, Standing};
use engine::state::{Counts, Fate};

use super::World;
use super::check::{Restored, blocks};
use super::world::{DEAD, INCIDENTS, OUTCOMES, STATE};

/// Returns what a run had in it.
pub(super) fn witnessed(memory: &Memory, restored: &Restored) -> BTreeSet<&'static str> {
    let any = |count: fn(&Counts) -> u64| restored.counts.values().any(|c| count(c) > 0);
    let state = |is_it: fn(&Record, Standing) -> bool| {
        let records = (0..3).flat_map(|shard| memory.read_uncommitted(STATE, shard));
        { records }.any(|(record, standing)| is_it(&record, standing))
    };
    let facts = [
        ("late alerts", any(|counts| counts.late)),
        ("duplicates", any(|counts| counts.duplicates)),
        ("bindings", any(|counts| counts.bindings)),
        ("commands", any(|counts| counts.commands)),
        ("dead letters", any(|counts| counts.dead_letters)),
        (
            "aborted epochs",
            state(|_, standing| standing == Standing::Aborted),
        ),
        (
            "tombstones",
            state(|record, _| record.value.is_none() && record.key.as_deref() != Some(b"foreign")),
        ),
        (
            "time that passed",
            (0..3).any(|shard| {
                let entries = blocks(memory, shard).flat_map(|block| block.entries);
                { entries }.any(|entry| entry.fate == Fate::Time)
            }),
        ),
        (
            "quarantine",
            state(|record, _| {
                record
                    .key
                    .as_deref()
                    .unwrap_or_default()
                    .starts_with(b"quarantine/")
            }),
        ),
    ];
    let facts = facts.into_iter().filter(|(_, is_so)| *is_so);
    facts.map(|(name, _)| name).collect()
}

/// Writes down everything that lies in the topics, committed or not.
pub(super) fn dump(world: &World, memory: &Memory) -> String {
    let mut text = String::new();
    let states = (0..world.shards()).map(|shard| (STATE, shard));
    let outputs = [(INCIDENTS, 0), (INCIDENTS, 1), (DEAD, 0), (OUTCOMES, 0)];
    let outputs = states.chain(outputs);
    for (topic, partition) in world.inputs().into_iter().chain(outputs) {
        let committed = memory.offset(topic, partition);
        writeln!(text, "{topic}/{partition} {committed:?}").unwrap();
        if world.inputs().contains(&(topic, partition)) {
            continue;
        }
        for (record, standing) in memory.read_uncommitted(topic, partition) {
            let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default());
            let (offset, time) = (record.offset, record.timestamp);
            let value = record.value.as_deref().map(sum);
            writeln!(text, "{offset} {time:?} {standing:?} {key} {value:?}").unwrap();
        }
    }
    text
}

/// FNV-1a, enough to see a difference.
fn sum(bytes: &[u8]) -> u64 {
    let mix = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix)
}
