//! What is promised of every run.

use std::collections::{BTreeMap, BTreeSet};

use engine::audit::{self, Records, Topics};
use engine::bus::memory::{Memory, Standing};
use engine::bus::{BusError, Committed, Partition, Record};
use engine::shard::{QUARANTINED, Shard};
use engine::state::{Block, Counts, Key, decode};
use engine::worker::{NoObserver, Worker};
use serde_json::Value;

use super::client::Client;
use super::violation::{Class, Violation};
use super::world::{Arrival, COMMANDS, DEAD, INCIDENTS, Place, STATE};
use super::{Random, World, desk};

/// What another member finds in the state.
pub(super) struct Restored {
    digests: BTreeMap<(i32, String), u128>,
    pub(super) counts: BTreeMap<i32, Counts>,
    torn: Vec<Violation>,
}

/// Steps that restoring takes at most.
const STEPS_MAX: usize = 4_000;
const PARTITIONS: [i32; 2] = [0, 1];

/// Returns the last committed revision of each incident.
pub(super) fn last(memory: &Memory) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let all = PARTITIONS
        .into_iter()
        .flat_map(|p| memory.read(INCIDENTS, p));
    let entry = |record: std::sync::Arc<Record>| {
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
pub(super) fn counts(worker: &Worker<Client>) -> BTreeMap<i32, Counts> {
    let shards = worker.shards();
    shards
        .map(|shard| (shard.number(), shard.meta().counts))
        .collect()
}

/// Checks what lies in the topics, whatever order the records came in.
pub(super) fn topics(world: &World, memory: &Memory, arrival: Arrival) -> Vec<Violation> {
    let mut found = revisions(memory, arrival);
    found.extend(letters(world, memory));
    found.extend(dispositions(memory));
    found
}

/// Revisions rise where they are committed. Equal ones are equal even where they are not, as long as the logs alone decide
/// on the order: what came live may be taken in another order after an abort.
fn revisions(memory: &Memory, arrival: Arrival) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut known: BTreeMap<(Vec<u8>, i64), Vec<u8>> = BTreeMap::new();
    let mut newest: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    for partition in PARTITIONS {
        for (record, standing) in memory.read_uncommitted(INCIDENTS, partition) {
            let (id, value) = (record.key.clone().unwrap(), record.value.clone().unwrap());
            let revision = revision(&value);
            if arrival == Arrival::Live && standing != Standing::Committed {
                continue;
            }
            let text = String::from_utf8_lossy(&id).into_owned();
            let same = known
                .entry((id.clone(), revision))
                .or_insert_with(|| value.clone());
            if *same != value {
                let text = format!("two contents of {text} revision {revision}");
                found.push(Violation::new(Class::Doubled, text));
            }
            if standing == Standing::Committed {
                let before = newest.insert(id, revision);
                if before.is_some_and(|before| before >= revision) {
                    let text = format!("{text} goes back to revision {revision}");
                    found.push(Violation::new(Class::Doubled, text));
                }
            }
        }
    }
    found
}

fn revision(incident: &[u8]) -> i64 {
    let json: Value = serde_json::from_slice(incident).unwrap();
    json["revision"].as_i64().unwrap()
}

/// Each refused record has one letter with its own bytes, and only the poison is quarantined.
fn letters(world: &World, memory: &Memory) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut places = BTreeSet::new();
    for letter in memory.read(DEAD, 0) {
        let header = |name: &str| {
            let header = letter.headers.iter().find(|header| header.name == name);
            let value = header.and_then(|header| header.value.clone());
            String::from_utf8(value.unwrap_or_default()).unwrap()
        };
        let place = Place {
            topic: header("fusor.dlq.topic"),
            partition: header("fusor.dlq.partition").parse().unwrap(),
            offset: header("fusor.dlq.offset").parse().unwrap(),
        };
        let is_source = |record: &Record| record.offset == place.offset;
        let source = match &*place.topic {
            COMMANDS => memory
                .read(COMMANDS, place.partition)
                .into_iter()
                .find(|record| is_source(record))
                .and_then(|record| record.value.clone()),
            _ => world.value(&place).map(<[u8]>::to_vec),
        };
        if source != letter.value {
            let text = format!("the letter of {place:?} has other bytes");
            found.push(Violation::new(Class::Lost, text));
        }
        if header("fusor.dlq.code") == QUARANTINED && world.poison.as_ref() != Some(&place) {
            let text = format!("{place:?} is innocent and quarantined");
            found.push(Violation::new(Class::Lost, text));
        }
        if !places.insert(place.clone()) {
            let text = format!("two letters of {place:?}");
            found.push(Violation::new(Class::Doubled, text));
        }
    }
    found
}

/// Returns the committed blocks of a shard that are still there, by offset.
pub(super) fn blocks(memory: &Memory, shard: i32) -> impl Iterator<Item = Block> {
    let records = memory.read(STATE, shard).into_iter();
    records.filter_map(|record| {
        let key = Key::read(record.key.as_deref()?).ok()?;
        let value = record.value.as_deref()?;
        matches!(key, Key::Block { .. }).then(|| decode(value).unwrap().1)
    })
}

/// Returns every disposition that is still recorded.
fn disposed(memory: &Memory) -> impl Iterator<Item = Place> {
    let all = (0..3).flat_map(|shard| blocks(memory, shard));
    all.flat_map(|block| {
        let places = block.entries.iter().filter_map(|entry| {
            let (topic, partition) = block.partition(entry.partition?)?.clone();
            let offset = entry.offset;
            Some(Place {
                topic,
                partition,
                offset,
            })
        });
        places.collect::<Vec<_>>()
    })
}

/// No record has two dispositions.
fn dispositions(memory: &Memory) -> Vec<Violation> {
    let mut known = BTreeSet::new();
    let again = disposed(memory).filter(|place| !known.insert(place.clone()));
    again
        .map(|place| Violation::new(Class::Doubled, format!("{place:?} has two dispositions")))
        .collect()
}

/// Lets another member take over and tells what it finds.
pub(super) fn restored(
    world: &World,
    memory: &Memory,
    arrival: Arrival,
) -> Result<Restored, Violation> {
    memory.advance(30_000);
    let config = world.config(arrival, &mut Random::new(1));
    let mut worker = world.worker(memory, config);
    for _ in 0..STEPS_MAX {
        worker
            .step(&mut NoObserver)
            .map_err(|error| Violation::new(Class::Refused, error.to_string()))?;
        let active = worker.shards().filter(|shard| shard.is_active());
        if active.count() < world.num_shards() {
            continue;
        }
        let mut torn = Vec::new();
        for position in worker.shards().flat_map(|shard| &shard.meta().inputs) {
            let group = memory.committed(&position.topic, position.partition);
            if group != position.next {
                let (topic, partition) = (&position.topic, position.partition);
                let text = format!("{topic}/{partition}: {:?}, group {group:?}", position.next);
                torn.push(Violation::new(Class::Torn, text));
            }
        }
        return Ok(Restored {
            digests: worker.shards().flat_map(digests).collect(),
            counts: counts(&worker),
            torn,
        });
    }
    Err(Violation::new(Class::Stuck, "the state is not restored"))
}

/// Compares what was live with what another made of the state.
pub(super) fn recovered(
    live: &BTreeMap<(i32, String), u128>,
    restored: &Restored,
) -> Vec<Violation> {
    let mut found = restored.torn.clone();
    if *live != restored.digests {
        let text = "what is restored is not what was live";
        found.push(Violation::new(Class::Differs, text));
    }
    found
}

/// Compares a run with the undisturbed one, where the inputs were filled beforehand.
pub(super) fn undisturbed(world: &World, memory: &Memory, restored: &Restored) -> Vec<Violation> {
    let mut found = Vec::new();
    let oracle = &world.oracle;
    let last = last(memory);
    for (id, expected) in &oracle.incidents {
        let value = last.get(id).filter(|value| *value != expected);
        let class = match value {
            None if last.contains_key(id) => continue,
            Some(value) if revision(value) >= revision(expected) => Class::Differs,
            Some(_) | None => Class::Lost,
        };
        let id = String::from_utf8_lossy(id);
        let text = format!("incident {id} is not what it is undisturbed");
        found.push(Violation::new(class, text));
    }
    if last.keys().any(|id| !oracle.incidents.contains_key(id)) {
        let text = "there are other incidents";
        found.push(Violation::new(Class::Differs, text));
    }
    if oracle.digests != restored.digests {
        let text = "the state is not that of an undisturbed run";
        found.push(Violation::new(Class::Differs, text));
    }
    if oracle.counts != restored.counts {
        let text = format!("{:?}, undisturbed {:?}", restored.counts, oracle.counts);
        found.push(Violation::new(Class::Differs, text));
    }
    found.extend(complete(world, memory, restored));
    found
}

/// Everything that was read is counted once.
fn complete(world: &World, memory: &Memory, restored: &Restored) -> Option<Violation> {
    let counted: u64 = restored.counts.values().map(|counts| counts.records).sum();
    let inputs = world.inputs().into_iter();
    let ends = inputs.filter_map(|(topic, partition)| memory.ends(topic, partition));
    let expected = u64::try_from(ends.map(|(end, _)| end).sum::<i64>()).unwrap();
    let class = match counted.cmp(&expected) {
        std::cmp::Ordering::Less => Class::Lost,
        std::cmp::Ordering::Equal => return None,
        std::cmp::Ordering::Greater => Class::Doubled,
    };
    let text = format!("{counted} records are counted of {expected}");
    Some(Violation::new(class, text))
}

/// Compares a run with what the records make when they are applied again in the order in which it took them, where they
/// came while it ran.
pub(super) fn replayed(world: &World, memory: &Memory, restored: &Restored) -> Vec<Violation> {
    let mut found: Vec<Violation> = complete(world, memory, restored).into_iter().collect();
    found.extend(desk::answers(world, memory));
    let config = world.config(Arrival::Live, &mut Random::new(1));
    for shard in 0..world.shards() {
        match audit::replay_from(&Kept(memory), &config, shard) {
            Ok(audit) => {
                let findings = audit.findings.into_iter();
                found.extend(findings.map(|text| Violation::new(Class::Differs, text)));
            }
            Err(error) => found.push(Violation::new(Class::Refused, error.to_string())),
        }
    }
    let places: BTreeSet<Place> = disposed(memory).collect();
    for (topic, partition) in world.inputs() {
        let (end, _) = memory.ends(topic, partition).unwrap();
        let is_missing = |offset: &i64| {
            !places.contains(&Place {
                topic: topic.to_owned(),
                partition,
                offset: *offset,
            })
        };
        let missing = (0..end).filter(is_missing);
        found.extend(missing.map(|offset| {
            let text = format!("{topic}/{partition} offset {offset} has no disposition");
            Violation::new(Class::Lost, text)
        }));
    }
    found
}

/// The topics of a broker, as they are kept.
struct Kept<'a>(&'a Memory);

impl Topics for Kept<'_> {
    fn read(&self, partition: Partition, from: i64) -> Result<Records, BusError> {
        let records = self.0.read(&partition.topic, partition.number).into_iter();
        let records = records.filter(move |record| record.offset >= from);
        Ok(Box::new(records.map(|record| Ok(Record::clone(&record)))))
    }

    fn committed(&self, partitions: &[Partition]) -> Result<Vec<Option<Committed>>, BusError> {
        let of = |partition: &Partition| self.0.offset(&partition.topic, partition.number);
        Ok(partitions.iter().map(of).collect())
    }

    fn partitions(&self, topic: &str) -> Result<i32, BusError> {
        let there_is = |number: &i32| self.0.ends(topic, *number).is_some();
        Ok((0..).take_while(there_is).last().map_or(0, |last| last + 1))
    }
}
