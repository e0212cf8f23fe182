//! What is promised of every run.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use engine::bus::memory::{Memory, MemoryBus};
use engine::shard::Shard;
use engine::state::Counts;
use engine::worker::{NoObserver, Worker};
use serde_json::Value;

use super::world::{DEAD, INCIDENTS, STATE};
use super::{Random, World};

/// What is not as it is promised.
pub type Violations = Vec<String>;

/// What another member finds in the state.
pub(super) struct Restored {
    digests: BTreeMap<(i32, String), u128>,
    counts: BTreeMap<i32, Counts>,
    problems: Violations,
}

/// Steps that restoring takes at most.
const STEPS_MAX: usize = 2_000;
const PARTITIONS: [i32; 2] = [0, 1];

/// Returns the last committed revision of each incident.
pub(super) fn last(memory: &Memory) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let all = PARTITIONS
        .into_iter()
        .flat_map(|p| memory.read(INCIDENTS, p));
    let entry = |record: std::sync::Arc<engine::bus::Record>| {
        (record.key.clone().unwrap(), record.value.clone().unwrap())
    };
    all.map(entry).collect()
}

pub(super) fn digests(shard: &Shard) -> BTreeMap<(i32, String), u128> {
    let number = shard.number();
    let digests = shard.digests().into_iter();
    digests
        .map(|(tenant, digest)| ((number, tenant), digest))
        .collect()
}

/// Returns what became of everything, by shard.
pub(super) fn counts(worker: &Worker<MemoryBus>) -> BTreeMap<i32, Counts> {
    let shards = worker.shards();
    shards
        .map(|shard| (shard.number(), shard.meta().counts))
        .collect()
}

/// Checks what lies in the topics.
pub(super) fn violations(world: &World, memory: &Memory) -> Violations {
    let mut found = Violations::new();
    let last = last(memory);
    for (id, value) in &world.incidents {
        if last.get(id) != Some(value) {
            let id = String::from_utf8_lossy(id);
            found.push(format!("incident {id} is not what it is undisturbed"));
        }
    }
    if last.len() != world.incidents.len() {
        found.push("there are other incidents".to_owned());
    }
    found.extend(revisions(memory));
    let letters = memory.read(DEAD, 0);
    let expected: u64 = world
        .counts
        .values()
        .map(|counts| counts.dead_letters)
        .sum();
    if u64::try_from(letters.len()).unwrap() != expected {
        found.push(format!("{} dead letters, not {expected}", letters.len()));
    }
    found
}

/// Revisions rise where they are committed, and equal ones are equal even where they are not.
fn revisions(memory: &Memory) -> Violations {
    let mut found = Violations::new();
    let mut known: BTreeMap<(Vec<u8>, i64), Vec<u8>> = BTreeMap::new();
    let mut newest: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    for partition in PARTITIONS {
        for (record, standing) in memory.read_uncommitted(INCIDENTS, partition) {
            let (id, value) = (record.key.clone().unwrap(), record.value.clone().unwrap());
            let json: Value = serde_json::from_slice(&value).unwrap();
            let revision = json["revision"].as_i64().unwrap();
            let text = String::from_utf8_lossy(&id).into_owned();
            let same = known
                .entry((id.clone(), revision))
                .or_insert_with(|| value.clone());
            if *same != value {
                found.push(format!("two contents of {text} revision {revision}"));
            }
            if standing == engine::bus::memory::Standing::Committed {
                let before = newest.insert(id, revision);
                if before.is_some_and(|before| before >= revision) {
                    found.push(format!("{text} goes back to revision {revision}"));
                }
            }
        }
    }
    found
}

/// Lets another member take over and tells what it finds.
pub(super) fn restored(world: &World, memory: &Memory) -> Result<Restored, String> {
    memory.advance(30_000);
    let mut worker = world.worker(memory, &mut Random::new(1));
    for _ in 0..STEPS_MAX {
        worker.step(&mut NoObserver).map_err(|e| e.to_string())?;
        let active = worker.shards().filter(|shard| shard.is_active());
        if i32::try_from(active.count()).unwrap() < world.shards() {
            continue;
        }
        let mut problems = Violations::new();
        for position in worker.shards().flat_map(|shard| &shard.meta().inputs) {
            let group = memory.committed(&position.topic, position.partition);
            if group != position.next {
                let (topic, partition) = (&position.topic, position.partition);
                problems.push(format!("{topic}/{partition} is torn: {group:?}"));
            }
        }
        return Ok(Restored {
            digests: worker.shards().flat_map(digests).collect(),
            counts: counts(&worker),
            problems,
        });
    }
    Err("the state is not restored".to_owned())
}

/// Compares what was live, what another made of the state, and what comes of an undisturbed run.
pub(super) fn differences(
    world: &World,
    live: &BTreeMap<(i32, String), u128>,
    restored: &Restored,
) -> Violations {
    let mut found = restored.problems.clone();
    if *live != restored.digests {
        found.push("what is restored is not what was live".to_owned());
    }
    if world.digests != restored.digests {
        found.push("the state is not that of an undisturbed run".to_owned());
    }
    if world.counts != restored.counts {
        let counts = (&world.counts, &restored.counts);
        found.push(format!("the counts do not add up: {counts:?}"));
    }
    found
}

/// Writes down everything that lies in the topics, committed or not.
pub(super) fn dump(world: &World, memory: &Memory) -> String {
    let mut text = String::new();
    let states = (0..world.shards()).map(|shard| (STATE, shard));
    let outputs = [(INCIDENTS, 0), (INCIDENTS, 1), (DEAD, 0)];
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
