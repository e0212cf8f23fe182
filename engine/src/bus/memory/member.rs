//! A member of the group on the bus in memory: what it reads, and how it follows the group.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use schemas::time::Timestamp;

use super::client::Client;
use super::group::Served;
use super::reading::Position;
use super::{Cluster, Crash, Fault, MemberId, Memory, Mistake, Plan, Point};
use crate::bus::{
    Bus, BusError, Change, CommitError, Committed, Epoch, Input, Lane, Partition, Polled, Reading,
    Request, StateRead, Written, inputs_of,
};

/// One member of the group on a [`Memory`]; dropped, it leaves the group.
pub struct MemoryBus {
    pub(super) memory: Memory,
    inputs: Vec<Arc<str>>,
    pub(super) state: Option<Arc<str>>,
    shards: i32,
    pub(super) plan: Option<Arc<dyn Plan>>,
    pub(super) mistake: Option<Mistake>,
    pub(super) member: MemberId,
    /// The generation its client last heard of, below 0 for none.
    pub(super) generation: i64,
    pub(super) lanes: BTreeMap<Lane, Position>,
    next_lane: u32,
    pub(super) owned: BTreeMap<i32, Vec<Lane>>,
    pub(super) client: Client,
}

impl fmt::Debug for MemoryBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBus")
            .field("member", &self.member)
            .field("generation", &self.generation)
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}

impl Drop for MemoryBus {
    fn drop(&mut self) {
        let mut cluster = self.memory.lock();
        let now = cluster.now();
        cluster.group.leave(self.member, now);
    }
}

/// Between two tries of what is not settled yet.
const RETRY: Duration = Duration::from_millis(100);
/// How long committed offsets are asked for: a dead predecessor's transaction may have to run out first.
const COMMITTED_TRIES: usize = 600;

impl MemoryBus {
    /// Joins the group that reads `inputs`, split over `shards`.
    #[must_use]
    pub fn join(memory: &Memory, inputs: &[Arc<str>], shards: i32) -> Self {
        let mut cluster = memory.lock();
        let now = cluster.now();
        let member = cluster.group.join(shards, now);
        drop(cluster);
        Self {
            memory: memory.clone(),
            inputs: inputs.to_vec(),
            state: None,
            shards,
            plan: None,
            mistake: None,
            member,
            generation: -1,
            lanes: BTreeMap::new(),
            next_lane: 0,
            owned: BTreeMap::new(),
            client: Client::default(),
        }
    }

    /// Reads the shards' state from `topic`.
    #[must_use]
    pub fn with_state(mut self, topic: &str) -> Self {
        self.state = Some(topic.into());
        self
    }

    /// Lets a plan decide what befalls this member.
    #[must_use]
    pub fn with_plan(mut self, plan: Arc<dyn Plan>) -> Self {
        self.plan = Some(plan);
        self
    }

    /// Lets this member make a mistake, to see that it is noticed.
    #[must_use]
    pub fn with_mistake(mut self, mistake: Option<Mistake>) -> Self {
        self.mistake = mistake;
        self
    }

    /// Returns which member of the group this is; another after [`Bus::rejoin`] and after a lost session.
    #[must_use]
    pub fn member(&self) -> MemberId {
        self.member
    }

    /// Asks the plan what befalls the request at this point. The broker is not locked: the plan may use it.
    pub(super) fn fault(&self, point: Point) -> Option<Fault> {
        let fault = self.plan.as_ref()?.at(self.member, point)?;
        if fault == Fault::Crash {
            self.memory.kill(self.member);
            resume_unwind(Box::new(Crash));
        }
        Some(fault)
    }

    /// Takes part in the group: gives back what is taken away, and takes what is handed out.
    fn serve_group(&mut self) -> Result<Vec<Change>, BusError> {
        let mut cluster = self.memory.lock();
        let now = cluster.now();
        let served = cluster.group.serve(self.member, now);
        let Some(served) = served else {
            // The session was lost: everything is gone, and the client joins again by itself.
            self.member = cluster.group.join(self.shards, now);
            self.generation = -1;
            drop(cluster);
            let lost: Vec<i32> = self.owned.keys().copied().collect();
            let changes = self.revoke(lost);
            self.name_producer();
            return Ok(changes);
        };
        drop(cluster);
        self.generation = served.generation;
        let Served {
            revoked, assigned, ..
        } = served;
        let mut changes = self.revoke(revoked);
        for shard in &assigned {
            self.owned.insert(*shard, Vec::new());
        }
        if !changes.is_empty() || !assigned.is_empty() {
            // Before anything is read: it ends what the shard's last owner left open.
            self.name_producer();
        }
        for shard in assigned {
            changes.push(self.assign(shard)?);
        }
        Ok(changes)
    }

    fn revoke(&mut self, shards: Vec<i32>) -> Vec<Change> {
        for shard in &shards {
            for lane in self.owned.remove(shard).unwrap_or_default() {
                self.lanes.remove(&lane);
            }
        }
        let revoked = |shard| Change::Revoked { shard };
        shards.into_iter().map(revoked).collect()
    }

    fn assign(&mut self, shard: i32) -> Result<Change, BusError> {
        let partitions = inputs_of(shard, self.shards, &self.topics())?;
        let committed = self.committed(&partitions)?;
        let mut inputs = Vec::new();
        for (partition, committed) in partitions.into_iter().zip(committed) {
            let lane = Lane(self.next_lane);
            self.next_lane += 1;
            self.lanes.insert(lane, Position::new(&partition));
            inputs.push(Input {
                lane,
                partition,
                committed,
            });
        }
        let lanes = inputs.iter().map(|input| input.lane).collect();
        self.owned.insert(shard, lanes);
        Ok(Change::Assigned { shard, inputs })
    }

    /// Returns the inputs with the number of their partitions.
    fn topics(&self) -> Vec<(Arc<str>, i32)> {
        let cluster = self.memory.lock();
        let count = |topic: &Arc<str>| {
            let count = cluster.topics.get(topic).map_or(0, Vec::len);
            (Arc::clone(topic), i32::try_from(count).unwrap_or(i32::MAX))
        };
        self.inputs.iter().map(count).collect()
    }

    /// Returns the group's committed offsets, once no open transaction holds any of them.
    pub(super) fn committed(
        &self,
        partitions: &[Partition],
    ) -> Result<Vec<Option<Committed>>, BusError> {
        for _ in 0..COMMITTED_TRIES {
            self.fault(Point::Committed);
            let cluster = self.memory.lock();
            if !cluster.transactions.is_unstable(partitions) {
                let committed = |partition| cluster.group.committed(partition);
                return Ok(partitions.iter().map(committed).collect());
            }
            self.pass(cluster, RETRY);
        }
        Err(BusError::Client {
            action: "read the committed offsets",
            problem: "a transaction that holds some stays open".to_owned(),
        })
    }

    /// Lets time pass: the broker's where it has a clock, else until something happens or `wait` is over.
    pub(super) fn pass(&self, cluster: MutexGuard<'_, Cluster>, wait: Duration) {
        if cluster.clock.is_some() {
            drop(cluster);
            let millis = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
            self.memory.advance(millis);
        } else {
            let grown = &self.memory.shared.grown;
            let waited = grown.wait_timeout(cluster, wait);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl Bus for MemoryBus {
    fn poll(
        &mut self,
        request: &Request,
        wanted: &dyn Fn(Lane) -> bool,
    ) -> Result<Polled, BusError> {
        self.fault(Point::Poll);
        let deadline = Instant::now() + request.wait;
        let mut waited = false;
        loop {
            let before: Vec<Reading> = self.lanes.values().map(|lane| lane.reading).collect();
            let changes = self.serve_group()?;
            let records = self.read(request, wanted)?;
            let after = self.lanes.values().map(|lane| lane.reading);
            let moved = !changes.is_empty() || !records.is_empty() || !after.eq(before);
            let cluster = self.memory.lock();
            let left = match cluster.clock {
                Some(_) if waited => Duration::ZERO,
                Some(_) => request.wait,
                None => deadline.saturating_duration_since(Instant::now()),
            };
            if moved || left.is_zero() {
                return Ok(Polled {
                    joined: self.generation >= 0,
                    changes,
                    records,
                });
            }
            self.pass(cluster, left);
            waited = true;
        }
    }

    fn reading(&self, lane: Lane) -> Reading {
        self.lanes
            .get(&lane)
            .map_or(Reading::Closed, |position| position.reading)
    }

    fn begin(&mut self, shard: i32, offsets: &[(Lane, Option<i64>)]) -> Result<(), BusError> {
        self.begin_lanes(shard, offsets);
        Ok(())
    }

    fn read_state(
        &mut self,
        shard: i32,
        from: i64,
        request: &Request,
    ) -> Result<StateRead, BusError> {
        self.fault(Point::ReadState);
        self.read_committed(shard, from, request)
    }

    fn commit(&mut self, epoch: &Epoch) -> Result<Written, CommitError> {
        self.commit_epoch(epoch)
    }

    fn rejoin(&mut self) -> Result<(), BusError> {
        let mut cluster = self.memory.lock();
        let now = cluster.now();
        cluster.group.leave(self.member, now);
        self.member = cluster.group.join(self.shards, now);
        drop(cluster);
        self.generation = -1;
        self.lanes.clear();
        self.owned.clear();
        self.client = Client::default();
        Ok(())
    }

    fn keep_alive(&mut self, wait: Duration) -> Result<Polled, BusError> {
        self.fault(Point::KeepAlive);
        let changes = self.serve_group()?;
        let cluster = self.memory.lock();
        if changes.is_empty() && cluster.clock.is_some() {
            self.pass(cluster, wait);
        }
        Ok(Polled {
            joined: self.generation >= 0,
            changes,
            records: Vec::new(),
        })
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.memory.lock().now())
    }

    fn generation(&self) -> i64 {
        self.generation
    }
}
