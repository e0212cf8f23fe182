//! The inputs applied again in the order that was recorded.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::incident::Incident;

use super::topics::{Records, Topics};
use super::{Audit, AuditError, audit, digests, state_of};
use crate::bus::{BusError, Partition, Record};
use crate::shard::Shard;
use crate::state::{Block, Key, decode};
use crate::worker::{EPOCH, WorkerConfig};

/// Findings told at most.
const FINDINGS_MAX: usize = 100;

pub(super) fn replay(
    topics: &dyn Topics,
    worker: &WorkerConfig,
    number: i32,
) -> Result<Audit, AuditError> {
    let mut restored = Shard::new(number, worker.shard.clone());
    let mut blocks: BTreeMap<(u64, u32), Block> = BTreeMap::new();
    for record in topics.read(state_of(worker, number), 0)? {
        let record = record?;
        let problem = |problem| AuditError::Record {
            shard: number,
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
    let again = apply_again(topics, worker, number, blocks)?;
    let mut audit = audit(topics, worker, &mut restored)?;
    audit
        .findings
        .extend(again.findings.iter().take(FINDINGS_MAX).cloned());
    compare_states(&mut audit, &restored, &again.shard);
    compare_incidents(topics, worker, &mut audit, again.incidents)?;
    Ok(audit)
}

/// What came of applying the inputs again.
struct Again {
    shard: Shard,
    /// Each incident at its last revision.
    incidents: BTreeMap<String, Arc<Incident>>,
    findings: Vec<String>,
}

fn apply_again(
    topics: &dyn Topics,
    worker: &WorkerConfig,
    number: i32,
    blocks: BTreeMap<(u64, u32), Block>,
) -> Result<Again, AuditError> {
    let mut again = Again {
        shard: Shard::new(number, worker.shard.clone()),
        incidents: BTreeMap::new(),
        findings: Vec::new(),
    };
    let mut inputs = Inputs {
        topics,
        open: BTreeMap::new(),
    };
    for ((epoch, _), block) in blocks {
        let mut records = Vec::new();
        for entry in &block.entries {
            let Some(partition) = entry.partition.and_then(|at| block.partition(at)) else {
                continue;
            };
            match inputs.at(partition, entry.offset)? {
                Some(record) => records.push(worker.decoder.decode(record.into())),
                None => again.findings.push(format!(
                    "epoch {epoch}: offset {} of {}/{} is not in the log any more",
                    entry.offset, partition.0, partition.1
                )),
            }
        }
        if again.findings.len() >= FINDINGS_MAX {
            break;
        }
        let applied = again.shard.apply_again(epoch, &block, records);
        again.findings.extend(applied.findings);
        for incident in applied.incidents {
            again.incidents.insert(incident.id.clone(), incident);
        }
    }
    Ok(again)
}

fn compare_states(audit: &mut Audit, restored: &Shard, again: &Shard) {
    let digests = digests(again);
    for (tenant, digest) in &audit.digests {
        if digests.get(tenant) != Some(digest) {
            let other = digests.get(tenant).map_or("none", String::as_str);
            let (rows, of_again) = (restored.rows(tenant), again.rows(tenant));
            let mut names = rows.keys().chain(of_again.keys());
            let row = names.find(|name| rows.get(*name) != of_again.get(*name));
            let row = row.map_or("the alerts it remembers", String::as_str);
            audit.findings.push(format!(
                "tenant {tenant}: the state is {digest}, applying the inputs again gives {other}; they differ in {row}"
            ));
        }
    }
}

/// Compares the last revision of each incident that the shard published with what came of it again, byte for byte.
fn compare_incidents(
    topics: &dyn Topics,
    worker: &WorkerConfig,
    audit: &mut Audit,
    again: BTreeMap<String, Arc<Incident>>,
) -> Result<(), AuditError> {
    let mut expected = BTreeMap::new();
    for (id, incident) in again {
        let stamped = Incident {
            generation: audit.meta.generation,
            ..Incident::clone(&incident)
        };
        // One that cannot be written was never published.
        if let Ok(record) = worker.publisher.record(&stamped) {
            expected.insert(id.into_bytes(), record.value.unwrap_or_default());
        }
    }
    // Whether the last one that was read is the one that is expected.
    let mut found: BTreeMap<Vec<u8>, bool> = BTreeMap::new();
    let topic = &worker.publisher.topic;
    for number in 0..topics.partitions(topic)? {
        let partition = Partition {
            topic: Arc::clone(topic),
            number,
        };
        for record in topics.read(partition, 0)? {
            let record = record?;
            if shard_of(&record) != Some(audit.shard) {
                continue;
            }
            let id = record.key.unwrap_or_default();
            let is_same = expected.get(&id) == record.value.as_ref();
            found.insert(id, is_same);
        }
    }
    let shown = |id: &[u8]| String::from_utf8_lossy(id).into_owned();
    let missing = expected.keys().filter(|id| !found.contains_key(*id));
    let missing = missing.map(|id| format!("incident {}: never published", shown(id)));
    let other = found.iter().filter(|(_, is_same)| !**is_same);
    let other = other.map(|(id, _)| {
        let id = shown(id);
        format!("incident {id}: applying the inputs again gives another last revision")
    });
    audit
        .findings
        .extend(missing.chain(other).take(FINDINGS_MAX));
    Ok(())
}

/// Returns which shard wrote an incident.
fn shard_of(record: &Record) -> Option<i32> {
    let header = record.headers.iter().find(|header| header.name == EPOCH)?;
    let text = std::str::from_utf8(header.value.as_ref()?).ok()?;
    text.split_once(':')?.0.parse().ok()
}

/// The inputs, read on as they are asked for: offsets of one partition rise.
struct Inputs<'a> {
    topics: &'a dyn Topics,
    open: BTreeMap<(String, i32), Records>,
}

impl Inputs<'_> {
    fn at(
        &mut self,
        (topic, number): &(String, i32),
        offset: i64,
    ) -> Result<Option<Record>, BusError> {
        let key = (topic.clone(), *number);
        if !self.open.contains_key(&key) {
            let partition = Partition {
                topic: topic.as_str().into(),
                number: *number,
            };
            let records = self.topics.read(partition, offset)?;
            self.open.insert(key.clone(), records);
        }
        let Some(records) = self.open.get_mut(&key) else {
            return Ok(None);
        };
        for record in records {
            let record = record?;
            if record.offset >= offset {
                return Ok((record.offset == offset).then_some(record));
            }
        }
        Ok(None)
    }
}
