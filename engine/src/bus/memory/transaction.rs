//! Transactions: what the coordinator of a transactional id knows, and the producer that talks to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::group::Fence;
use super::log::record_at;
use super::{Cluster, Memory, NoPartition};
use crate::bus::{Committed, NewRecord, Partition};

/// Tells transactions apart; never used twice.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Serial(u64);

/// The broker refused a request of a transaction.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Another producer has taken the transactional id, or the transaction ran out of time.
    #[error("a producer of a newer epoch has the transactional id")]
    ProducerFenced,
    /// There is no such transaction, or the partition is not part of it.
    #[error("the transaction is in no state for this")]
    InvalidState,
    /// The generation of the offsets is not the group's.
    #[error("the group is in another generation")]
    IllegalGeneration,
    /// The group does not know the member that sends offsets.
    #[error("the group does not know this member")]
    UnknownMember,
    /// A record without a key cannot be compacted.
    #[error("a record of a compacted topic has no key")]
    NoKey,
    /// There is no such partition.
    #[error(transparent)]
    NoPartition(#[from] NoPartition),
}

/// The coordinator: every transactional id with its epoch and its open transaction.
#[derive(Debug, Default)]
pub(super) struct Coordinator {
    ids: BTreeMap<Arc<str>, Id>,
    serials: u64,
    delayed: Vec<End>,
}

#[derive(Debug, Default)]
struct Id {
    epoch: i64,
    open: Option<Open>,
    /// How the last transaction ended: an end that is asked for again is answered the same.
    ended: Option<bool>,
}

#[derive(Debug)]
struct Open {
    serial: Serial,
    since: i64,
    partitions: BTreeSet<Partition>,
    offsets: BTreeMap<Partition, Committed>,
}

/// A request to end a transaction that is on its way for longer than its sender waits.
#[derive(Clone, Debug)]
struct End {
    due: i64,
    id: Arc<str>,
    epoch: i64,
    commit: bool,
}

/// What time brings about by itself.
pub(super) enum Due {
    /// A transaction has run out of time.
    Timeout(Arc<str>),
    /// A delayed end arrives.
    Arrival(usize),
}

impl Coordinator {
    /// Returns whether an open transaction holds offsets of one of the partitions: which ones are committed is not settled.
    pub(super) fn is_unstable(&self, partitions: &[Partition]) -> bool {
        let mut open = self.ids.values().filter_map(|id| id.open.as_ref());
        open.any(|open| partitions.iter().any(|p| open.offsets.contains_key(p)))
    }

    /// Returns the earliest event that time brings about, and when.
    pub(super) fn next_due(&self, timeout: i64) -> Option<(i64, Due)> {
        let timeouts = self.ids.iter().filter_map(|(id, state)| {
            let due = state.open.as_ref()?.since.saturating_add(timeout);
            Some((due, Due::Timeout(Arc::clone(id))))
        });
        let arrivals = self.delayed.iter().enumerate();
        let arrivals = arrivals.map(|(index, end)| (end.due, Due::Arrival(index)));
        timeouts.chain(arrivals).min_by_key(|(due, _)| *due)
    }

    /// Returns the state of an id for a request of a producer of this epoch.
    fn id(&mut self, id: &str, epoch: i64) -> Result<&mut Id, Refusal> {
        let state = self.ids.get_mut(id).ok_or(Refusal::InvalidState)?;
        (state.epoch == epoch)
            .then_some(state)
            .ok_or(Refusal::ProducerFenced)
    }

    /// Returns the open transaction of an id, which it opens where there is none.
    fn open(&mut self, id: &str, epoch: i64, now: i64) -> Result<&mut Open, Refusal> {
        let serial = Serial(self.serials + 1);
        let state = self.id(id, epoch)?;
        if state.open.is_none() {
            state.open = Some(Open {
                serial,
                since: now,
                partitions: BTreeSet::new(),
                offsets: BTreeMap::new(),
            });
            self.serials += 1;
        }
        let state = self.ids.get_mut(id).ok_or(Refusal::InvalidState)?;
        state.open.as_mut().ok_or(Refusal::InvalidState)
    }
}

impl Cluster {
    /// Gives a producer the id: what its predecessor left open is aborted, and its predecessor fenced.
    fn init_producer(&mut self, id: &Arc<str>) -> i64 {
        self.abort_open(id);
        let state = self.transactions.ids.entry(Arc::clone(id)).or_default();
        state.epoch += 1;
        state.ended = None;
        state.epoch
    }

    fn abort_open(&mut self, id: &str) {
        let state = self.transactions.ids.get_mut(id);
        if let Some(open) = state.and_then(|state| state.open.take()) {
            self.complete(open, false);
        }
    }

    /// Writes the end of a transaction everywhere.
    fn complete(&mut self, open: Open, commit: bool) {
        for partition in &open.partitions {
            if let Ok(log) = self.log(&partition.topic, partition.number) {
                log.end_transaction(open.serial, commit);
            }
        }
        if commit {
            for (partition, committed) in open.offsets {
                self.commit_offset(partition, committed);
            }
        }
    }

    /// Adds a partition to the transaction of an id.
    fn join_partition(
        &mut self,
        id: &str,
        epoch: i64,
        partition: &Partition,
    ) -> Result<(), Refusal> {
        self.log(&partition.topic, partition.number)?;
        let now = self.now();
        let open = self.transactions.open(id, epoch, now)?;
        open.partitions.insert(partition.clone());
        Ok(())
    }

    /// Writes a record of a transaction. The partition must have been added to the very transaction that is open.
    fn write(
        &mut self,
        id: &str,
        epoch: i64,
        partition: &Partition,
        record: &NewRecord,
    ) -> Result<i64, Refusal> {
        let state = self.transactions.id(id, epoch)?;
        let open = state.open.as_ref().ok_or(Refusal::InvalidState)?;
        if !open.partitions.contains(partition) {
            return Err(Refusal::InvalidState);
        }
        let (serial, now) = (open.serial, self.clock);
        let log = self.log(&partition.topic, partition.number)?;
        if log.needs_keys() && record.key.is_none() {
            return Err(Refusal::NoKey);
        }
        Ok(log.append(Some(serial), |offset| {
            record_at(partition, offset, record.clone(), now)
        }))
    }

    /// Takes offsets into the transaction of an id, if the group knows who sends them.
    fn write_offsets(
        &mut self,
        id: &str,
        epoch: i64,
        fence: Fence,
        offsets: impl IntoIterator<Item = (Partition, Committed)>,
    ) -> Result<(), Refusal> {
        let now = self.now();
        self.transactions.open(id, epoch, now)?;
        self.group.check(fence)?;
        let open = self.transactions.open(id, epoch, now)?;
        open.offsets.extend(offsets);
        Ok(())
    }

    /// Ends whatever transaction the id has open: the request does not say which one it means.
    fn end(&mut self, id: &str, epoch: i64, commit: bool) -> Result<(), Refusal> {
        let state = self.transactions.id(id, epoch)?;
        let Some(open) = state.open.take() else {
            return (state.ended == Some(commit))
                .then_some(())
                .ok_or(Refusal::InvalidState);
        };
        state.ended = Some(commit);
        self.complete(open, commit);
        Ok(())
    }

    /// Does what time has brought about.
    pub(super) fn settle(&mut self, due: Due) {
        match due {
            Due::Timeout(id) => {
                self.init_producer(&id);
            }
            Due::Arrival(index) => {
                let end = self.transactions.delayed.remove(index);
                // Whoever sent it has long stopped waiting for what comes of it.
                let _unheard = self.end(&end.id, end.epoch, end.commit);
            }
        }
    }
}

/// A transactional producer, request by request; several of one id are how a zombie meets its successor.
#[derive(Debug)]
pub struct Producer {
    memory: Memory,
    id: Arc<str>,
    epoch: i64,
    /// Partitions it knows to be in the transaction.
    added: BTreeSet<Partition>,
}

impl Producer {
    /// Takes a transactional id: the transaction that was left open is aborted, and who left it is fenced.
    #[must_use]
    pub fn init(memory: &Memory, id: &str) -> Self {
        let id: Arc<str> = id.into();
        Self {
            epoch: memory.lock().init_producer(&id),
            memory: memory.clone(),
            id,
            added: BTreeSet::new(),
        }
    }

    /// Writes a record in the transaction, which the first one opens, and returns where.
    ///
    /// # Errors
    /// Why the broker refused it.
    pub fn send(&mut self, record: &NewRecord) -> Result<(Partition, i64), Refusal> {
        let mut cluster = self.memory.lock();
        let partition = cluster.partition_of(record)?;
        if !self.added.contains(&partition) {
            cluster.join_partition(&self.id, self.epoch, &partition)?;
            self.added.insert(partition.clone());
        }
        let offset = cluster.write(&self.id, self.epoch, &partition, record)?;
        Ok((partition, offset))
    }

    /// Sends offsets of the group as part of the transaction.
    ///
    /// # Errors
    /// Why the broker refused them.
    pub fn send_offsets(
        &mut self,
        fence: Fence,
        offsets: impl IntoIterator<Item = (Partition, Committed)>,
    ) -> Result<(), Refusal> {
        let mut cluster = self.memory.lock();
        cluster.write_offsets(&self.id, self.epoch, fence, offsets)
    }

    /// Ends the transaction.
    ///
    /// # Errors
    /// Why the broker refused it.
    pub fn end(&mut self, commit: bool) -> Result<(), Refusal> {
        let ended = self.memory.lock().end(&self.id, self.epoch, commit);
        self.memory.shared.grown.notify_all();
        self.added.clear();
        ended
    }

    /// Asks for the end of the transaction in a request that arrives `delay` milliseconds from now, whatever this producer
    /// does until then.
    pub fn end_later(&mut self, commit: bool, delay: i64) {
        let mut cluster = self.memory.lock();
        let end = End {
            due: cluster.now().saturating_add(delay),
            id: Arc::clone(&self.id),
            epoch: self.epoch,
            commit,
        };
        cluster.transactions.delayed.push(end);
    }
}
