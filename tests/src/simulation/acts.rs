//! What goes wrong.

use std::sync::Arc;

use engine::bus::NewRecord;
use engine::bus::memory::{Fault, MemberId, Point, Producer};

use super::Simulation;
use super::world::STATE;

/// Longer than a session and a transaction may last.
const LONG_MS: i64 = 11_000;
/// Members that may be in the middle of a step at once.
const DEPTH_MAX: usize = 3;

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
                // It stands still for so long that others take over, and then goes on.
                self.memory.suspend(member);
                self.memory.advance(LONG_MS);
                self.step_others(slot, 12);
                self.memory.resume(member);
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

    /// Something happens to the broker.
    pub(super) fn happen(self: &Arc<Self>) {
        let (what, amount) = {
            let mut random = self.random.lock().unwrap();
            (random.below(6), random.below(1_000))
        };
        if self.chance.lock().unwrap().faults == 0 {
            return;
        }
        self.note(&format!("happens: {what}"));
        let amount = i64::try_from(amount).unwrap();
        match what {
            0 => self.memory.rebalance(),
            1 => self.memory.advance(amount * 20),
            2 => self.move_shard(amount),
            3 => {
                // Somebody else's transaction holds back the readers of the state until its time is over.
                let mut foreign = Producer::init(&self.memory, "foreign");
                let record = NewRecord {
                    topic: STATE.into(),
                    partition: Some(0),
                    timestamp: None,
                    key: Some(b"foreign".to_vec()),
                    value: None,
                    headers: Vec::new(),
                };
                foreign.send(&record).unwrap();
            }
            _ => {
                for shard in 0..self.world.shards() {
                    let (end, _) = self.memory.ends(STATE, shard).unwrap();
                    let below = end - amount % 10;
                    self.memory.compact(STATE, shard, below).unwrap();
                }
            }
        }
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

    fn may_crash(&self) -> bool {
        let epochs = self.memory.transactions();
        let mut chance = self.chance.lock().unwrap();
        // Three transactions begin a shard: the claim, the start, and the first epoch.
        let gets_on = chance.crashed_at.is_none_or(|at| epochs >= at + 3);
        if gets_on {
            chance.crashed_at = Some(epochs);
        }
        gets_on
    }
}
