//! What goes wrong.

use std::sync::Arc;

use engine::bus::NewRecord;
use engine::bus::memory::{Fault, MemberId, Point, Producer};

use super::Simulation;
use super::world::{Arrival, STATE, TOMBSTONE_MS};

/// Longer than a session and a transaction may last.
const LONG_MS: i64 = 11_000;
/// Members that may be in the middle of a step at once.
const DEPTH_MAX: usize = 3;
/// Rounds in which everybody reads on before a rest.
const REST_ROUNDS: usize = 30;

impl Simulation {
    /// Decides what befalls a member at a point.
    pub(super) fn befall(
        self: &Arc<Self>,
        slot: usize,
        member: MemberId,
        point: Point,
    ) -> Option<Fault> {
        if !self.strikes(point) {
            return None;
        }
        let kind = self.random.lock().unwrap().below(14);
        self.note(&format!("{slot} at {point:?}: {kind}"));
        match kind {
            0 | 1 => Some(Fault::Refuse),
            2 => Some(Fault::LoseRequest),
            3 => Some(Fault::LoseAnswer),
            4 | 5 => {
                let millis = self.random.lock().unwrap().below(15_000);
                Some(Fault::Delay(i64::try_from(millis).unwrap()))
            }
            6 | 7 => self.may_crash().then_some(Fault::Crash),
            8 => {
                self.memory.put_out(member);
                None
            }
            9 => {
                self.memory.next_generation();
                None
            }
            10 | 11 => {
                self.stand_still(slot, member);
                None
            }
            12 => {
                self.step_others(slot, 3);
                None
            }
            _ => {
                self.happen();
                None
            }
        }
    }

    /// A member stands still for so long that others take over, and then goes on.
    pub(super) fn stand_still(self: &Arc<Self>, slot: usize, member: MemberId) {
        self.memory.suspend(member);
        self.memory.advance(LONG_MS);
        self.step_others(slot, 12);
        self.memory.resume(member);
    }

    /// Something happens to the broker.
    pub(super) fn happen(self: &Arc<Self>) {
        let (what, amount) = {
            let mut random = self.random.lock().unwrap();
            (random.below(10), random.below(1_000))
        };
        if self.chance.lock().unwrap().faults == 0 {
            return;
        }
        self.note(&format!("happens: {what}"));
        if what > 7 {
            self.save(amount);
            return;
        }
        let amount = i64::try_from(amount).unwrap();
        match what {
            0 => self.memory.rebalance(),
            1 => self.memory.advance(amount * 20),
            2 => self.move_shard(amount),
            3 => self.hold_back(i32::try_from(amount).unwrap() % self.world.shards()),
            4 => self.retain(),
            5 => self.rest(),
            _ => self.compact(amount % 10),
        }
    }

    /// Somebody else's transaction holds back the readers of a shard's state until its time is over.
    fn hold_back(&self, shard: i32) {
        let mut foreign = Producer::init(&self.memory, "foreign");
        let record = NewRecord {
            topic: STATE.into(),
            partition: Some(shard),
            timestamp: None,
            key: Some(b"foreign".to_vec()),
            value: None,
            headers: Vec::new(),
        };
        foreign.send(&record).unwrap();
    }

    /// Compacts the state but for the last records.
    fn compact(&self, kept: i64) {
        for shard in 0..self.world.shards() {
            let (end, _) = self.memory.ends(STATE, shard).unwrap();
            self.memory.compact(STATE, shard, end - kept).unwrap();
        }
    }

    /// Deletes what the group has read of the inputs. What comes live is kept: it is to be applied again in the end.
    fn retain(&self) {
        if self.arrival == Arrival::Live {
            return;
        }
        for (topic, partition) in self.world.inputs() {
            let read = self.memory.committed(topic, partition).unwrap_or(0);
            self.memory.delete_before(topic, partition, read).unwrap();
        }
    }

    /// Snapshots are taken, some records come, and then nothing happens for so long that compaction takes tombstones; whoever
    /// follows a shard has read them. Then the processes may be ended and others started.
    fn rest(self: &Arc<Self>) {
        let is_alone = self.chance.lock().unwrap().depth == 0;
        if self.arrival == Arrival::Live || !is_alone {
            return;
        }
        let slots = self.slots.lock().unwrap().len();
        let (rounds, restarts) = {
            let mut random = self.random.lock().unwrap();
            (random.below(REST_ROUNDS / 2), random.below(2) == 0)
        };
        (0..slots).for_each(|slot| self.save(slot));
        for round in 0..REST_ROUNDS {
            (0..slots).for_each(|slot| self.step(slot));
            if round >= rounds && self.have_all_read() {
                self.compact(0);
                self.memory.advance(TOMBSTONE_MS);
                self.compact(0);
                self.note(&format!("rested, restarts: {restarts}"));
                if restarts {
                    self.stop_all();
                }
                return;
            }
        }
    }

    /// Ends every process as an operator does; others follow them.
    fn stop_all(&self) {
        let mut slots = self.slots.lock().unwrap();
        for slot in slots.iter_mut() {
            (slot.worker, slot.member) = (None, None);
        }
    }

    /// Returns whether every member that follows a shard or is about to take it has read its state to the end.
    fn have_all_read(&self) -> bool {
        let slots = self.slots.lock().unwrap();
        let workers = slots.iter().filter_map(|slot| slot.worker.as_ref());
        let shards = workers.flat_map(engine::worker::Worker::shards);
        let mut reading = shards.filter(|shard| !shard.is_active());
        reading.all(|shard| {
            let last = self.memory.read(STATE, shard.number()).pop();
            last.is_none_or(|last| last.offset < shard.next_state())
        })
    }

    /// Lets the next records come. Where nobody is in the middle of something, their time comes first.
    pub(super) fn arrive(&self, count: usize) {
        for _ in 0..count {
            let (next, is_alone) = {
                let chance = self.chance.lock().unwrap();
                (chance.arrived, chance.depth == 0)
            };
            let Some(record) = self.world.records.get(next) else {
                return;
            };
            if self.arrival == Arrival::Before {
                return;
            }
            let wait = self.world.time(next) - self.memory.now().millis();
            if wait > 0 && is_alone {
                self.memory.advance(wait);
                return;
            }
            let record = NewRecord {
                timestamp: None,
                ..record.clone()
            };
            self.memory.produce(record).unwrap();
            let acts = self.random.lock().unwrap().below(3) == 0;
            if acts {
                self.act();
            }
            self.chance.lock().unwrap().arrived += 1;
            if next + 1 == self.world.records.len() {
                self.world.close(&self.memory);
            }
        }
    }

    pub(super) fn has_all_arrived(&self) -> bool {
        let arrived = self.chance.lock().unwrap().arrived;
        self.arrival == Arrival::Before || arrived == self.world.records.len()
    }

    fn move_shard(&self, amount: i64) {
        let slots = self.slots.lock().unwrap();
        let members: Vec<MemberId> = slots.iter().filter_map(|slot| slot.member).collect();
        drop(slots);
        let choice = usize::try_from(amount).unwrap();
        if let Some(member) = members.get(choice % members.len().max(1)) {
            let shard = i32::try_from(amount).unwrap() % self.world.shards();
            self.memory.move_shard(shard, *member);
        }
    }

    fn step_others(self: &Arc<Self>, slot: usize, steps: usize) {
        let slots = self.slots.lock().unwrap().len();
        if self.chance.lock().unwrap().depth >= DEPTH_MAX {
            return;
        }
        for _ in 0..steps {
            let other = self.random.lock().unwrap().below(slots);
            if other != slot {
                self.step(other);
            }
        }
    }

    /// Takes one of the faults that are left, now and then; inside of a transaction more often than outside.
    fn strikes(&self, point: Point) -> bool {
        let odds = match point {
            Point::Send(_) => 60,
            Point::Poll | Point::KeepAlive | Point::ReadState | Point::Committed => 30,
            Point::Init | Point::Begin | Point::Offsets | Point::End | Point::Answer => 10,
        };
        let mut chance = self.chance.lock().unwrap();
        if chance.faults == 0 || self.random.lock().unwrap().below(odds) > 0 {
            return false;
        }
        chance.faults -= 1;
        true
    }

    /// Returns whether a member may end here: not while a shard has not moved since the last one did.
    fn may_crash(&self) -> bool {
        let mut moved = vec![0; self.world.num_shards()];
        let mut waits = vec![false; moved.len()];
        for (topic, partition) in self.world.inputs() {
            let shard = self.world.shard_of(partition);
            let (end, _) = self.memory.ends(topic, partition).unwrap();
            let read = self.memory.committed(topic, partition).unwrap_or(0);
            moved[shard] += read;
            waits[shard] |= read < end;
        }
        let mut chance = self.chance.lock().unwrap();
        let gets_on = chance.crashed_at.as_ref().is_none_or(|before| {
            let shards = before.iter().zip(&moved).zip(&waits);
            { shards }.all(|((before, now), waits)| now > before || !waits)
        });
        if gets_on {
            chance.crashed_at = Some(moved);
        }
        gets_on
    }
}
