//! A seeded simulation: workers of one group on a broker in memory, with everything going wrong that can.
//!
//! One thread steps every member in an order that the seed decides. At each request of each member the seed may also let
//! it fail, end the member, let it stand still while others take over, or do to the broker what time and operators
//! do. A run is a function of its seed: its trace and what it leaves in the topics are the same bytes every time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use engine::bus::memory::{Crash, Fault, MemberId, Memory, MemoryBus, Mistake, Plan, Point};
use engine::worker::{NoObserver, Step, Worker};

mod acts;
mod check;
mod random;
mod world;

pub use check::Violations;
pub use random::Random;
pub use world::World;

/// How a run ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// What happened, line by line, and then what lies in every topic.
    pub trace: String,
    /// What is not as it is promised.
    pub violations: Vec<String>,
}

/// One run.
pub struct Simulation {
    world: Arc<World>,
    memory: Memory,
    mistake: Option<Mistake>,
    slots: Mutex<Vec<Slot>>,
    random: Mutex<Random>,
    chance: Mutex<Chance>,
    trace: Mutex<String>,
    violations: Mutex<Vec<String>>,
}

/// Where a member runs; a process that ended is followed by another.
#[derive(Default)]
struct Slot {
    /// None while it is stepped, and after it ended.
    worker: Option<Worker<MemoryBus>>,
    /// As the group last knew it.
    member: Option<MemberId>,
    /// Requests between two tries since it last got on.
    stuck: usize,
}

/// What may still go wrong.
struct Chance {
    /// Faults left.
    faults: u32,
    /// Epochs committed at the last crash: who crashes before it gets on is taken for a crash loop, and quarantined.
    crashed_at: Option<u64>,
    /// Members that are in the middle of a step.
    depth: usize,
}

/// Rounds of each part of a run at most.
const STEPS_MAX: usize = 4_000;
/// Tries of one epoch after which it is clear that it will never be committed.
const STUCK_MAX: usize = 400;

impl Simulation {
    /// Runs the world once, with everything that `seed` lets go wrong.
    #[must_use]
    pub fn run(world: &Arc<World>, seed: u64, mistake: Option<Mistake>) -> Outcome {
        let mut random = Random::new(seed);
        let num_members = 1 + random.below(3);
        let simulation = Arc::new(Self {
            world: Arc::clone(world),
            memory: world.broker(),
            mistake,
            slots: Mutex::new((0..num_members).map(|_| Slot::default()).collect()),
            chance: Mutex::new(Chance {
                faults: u32::try_from(2 + random.below(12)).unwrap(),
                crashed_at: None,
                depth: 0,
            }),
            random: Mutex::new(random),
            trace: Mutex::default(),
            violations: Mutex::default(),
        });
        simulation.storm();
        simulation.calm();
        let outcome = simulation.finish();
        simulation.slots.lock().unwrap().clear();
        outcome
    }

    /// Steps members at random while there is something left to go wrong.
    fn storm(self: &Arc<Self>) {
        for _ in 0..STEPS_MAX {
            let (slot, idle) = {
                let mut random = self.random.lock().unwrap();
                let slots = self.slots.lock().unwrap().len();
                (random.below(slots), random.below(8) == 0)
            };
            self.step(slot);
            if idle {
                self.happen();
            }
            if self.chance.lock().unwrap().faults == 0 || self.is_done() {
                return;
            }
        }
    }

    /// Steps every member in turn until all is read, without further faults.
    fn calm(self: &Arc<Self>) {
        self.chance.lock().unwrap().faults = 0;
        self.memory.advance(30_000);
        for round in 0..STEPS_MAX {
            // Whoever lost its shard while it stood still has to hear of it first.
            if round > 3 && self.is_done() && self.is_worked_on() {
                return;
            }
            let slots = self.slots.lock().unwrap().len();
            for slot in 0..slots {
                self.step(slot);
            }
            self.memory.advance(50);
        }
        self.violate("the inputs are not read to their end");
    }

    /// Steps a member once. One that ended is started anew; one that is in the middle of a step is left alone.
    fn step(self: &Arc<Self>, slot: usize) {
        let Some(mut worker) = self.take(slot) else {
            return;
        };
        self.chance.lock().unwrap().depth += 1;
        let stepped = catch_unwind(AssertUnwindSafe(|| worker.step(&mut NoObserver)));
        self.chance.lock().unwrap().depth -= 1;
        let kept = match stepped {
            Ok(Ok(step)) => {
                if step == Step::Committed {
                    self.note(&format!("{slot} committed"));
                }
                self.slots.lock().unwrap()[slot].stuck = 0;
                Some(worker)
            }
            Ok(Err(error)) => {
                self.note(&format!("{slot} ended: {error}"));
                if matches!(error, engine::worker::WorkerError::State { .. }) {
                    self.violate(&error.to_string());
                }
                None
            }
            Err(payload) => {
                if !payload.is::<Crash>() {
                    self.violate("a worker panicked");
                }
                drop(worker);
                None
            }
        };
        let mut slots = self.slots.lock().unwrap();
        slots[slot].worker = kept;
        if slots[slot].worker.is_none() {
            slots[slot].member = None;
        }
    }

    /// Takes a member out of its slot to step it.
    fn take(self: &Arc<Self>, slot: usize) -> Option<Worker<MemoryBus>> {
        let (worker, runs) = {
            let mut slots = self.slots.lock().unwrap();
            (slots[slot].worker.take(), slots[slot].member.is_some())
        };
        if worker.is_some() || runs {
            return worker;
        }
        self.note(&format!("{slot} starts"));
        let config = self.world.config(&mut self.random.lock().unwrap());
        let plan = Arc::new(Member {
            simulation: Arc::clone(self),
            slot,
        });
        let bus = self.world.join(&self.memory);
        let bus = bus.with_plan(plan).with_mistake(self.mistake);
        self.slots.lock().unwrap()[slot].member = Some(bus.member());
        let none = (Arc::default(), Arc::default(), Arc::default());
        Some(Worker::new(bus, config, none.0, none.1, none.2))
    }

    fn is_done(&self) -> bool {
        let inputs = self.world.inputs();
        inputs.into_iter().all(|(topic, partition)| {
            let (end, _) = self.memory.ends(topic, partition).unwrap();
            end == 0 || self.memory.committed(topic, partition) == Some(end)
        })
    }

    /// Returns whether every shard is worked on.
    fn is_worked_on(&self) -> bool {
        let slots = self.slots.lock().unwrap();
        let workers = slots.iter().filter_map(|slot| slot.worker.as_ref());
        let active = workers.flat_map(Worker::shards).filter(|s| s.is_active());
        let numbers: std::collections::BTreeSet<i32> = active.map(|shard| shard.number()).collect();
        i32::try_from(numbers.len()).unwrap() == self.world.shards()
    }

    fn note(&self, what: &str) {
        let mut trace = self.trace.lock().unwrap();
        let generation = self.memory.generation();
        let epochs = self.memory.transactions();
        writeln!(trace, "[{generation} {epochs}] {what}").unwrap();
    }

    fn violate(&self, what: &str) {
        self.note(what);
        self.violations.lock().unwrap().push(what.to_owned());
    }

    /// Checks what the run left behind, then what another member makes of it.
    fn finish(self: &Arc<Self>) -> Outcome {
        let live = self.digests();
        self.slots.lock().unwrap().clear();
        let restored = check::restored(&self.world, &self.memory);
        let mut violations = std::mem::take(&mut *self.violations.lock().unwrap());
        violations.extend(check::violations(&self.world, &self.memory));
        match restored {
            Ok(restored) => violations.extend(check::differences(&self.world, &live, &restored)),
            Err(problem) => violations.push(problem),
        }
        let mut trace = std::mem::take(&mut *self.trace.lock().unwrap());
        trace.push_str(&check::dump(&self.world, &self.memory));
        Outcome { trace, violations }
    }

    /// Returns the digests of the shards that are worked on, by shard and tenant.
    fn digests(&self) -> BTreeMap<(i32, String), u128> {
        let slots = self.slots.lock().unwrap();
        let workers = slots.iter().filter_map(|slot| slot.worker.as_ref());
        let active = workers.flat_map(Worker::shards).filter(|s| s.is_active());
        active.flat_map(check::digests).collect()
    }
}

impl std::fmt::Debug for Simulation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulation").finish_non_exhaustive()
    }
}

/// What the seed has in store for the member of one slot.
struct Member {
    simulation: Arc<Simulation>,
    slot: usize,
}

impl Plan for Member {
    fn at(&self, member: MemberId, point: Point) -> Option<Fault> {
        let simulation = &self.simulation;
        {
            let mut slots = simulation.slots.lock().unwrap();
            let slot = &mut slots[self.slot];
            slot.member = Some(member);
            slot.stuck += usize::from(point == Point::KeepAlive);
            if slot.stuck > STUCK_MAX {
                slot.stuck = 0;
                drop(slots);
                simulation.violate("an epoch is never committed");
                simulation.chance.lock().unwrap().faults = 0;
                return Some(Fault::Crash);
            }
        }
        simulation.befall(self.slot, member, point)
    }

    fn cut(&self, records_max: usize) -> usize {
        let mut random = self.simulation.random.lock().unwrap();
        match random.below(4) {
            0 => 1,
            1 => 1 + random.below(records_max),
            _ => records_max,
        }
    }
}
