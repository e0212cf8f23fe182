//! A seeded simulation: workers of one group on a broker in memory, with everything going wrong that can.
//!
//! One thread steps every member in an order that the seed decides. At each request of each member the seed may also let
//! it fail, end the member, let it stand still while others take over, or do to the broker what time and operators
//! do. The inputs are filled beforehand, or records come while they are read. A run is a function of its seed: its
//! trace and what it leaves in the topics are the same bytes every time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use engine::bus::NewRecord;
use engine::bus::memory::{Crash, Fault, MemberId, Memory, Plan, Point};
use engine::failpoint::{self, Step as Leave};
use engine::snapshot::Snapshots;
use engine::worker::{NoObserver, Step, Worker, WorkerError};

mod acts;
mod blow;
mod check;
mod client;
mod desk;
mod disk;
mod random;
mod record;
mod violation;
mod world;

pub use blow::Blow;
use client::Client;
use disk::Disk;
pub use random::Random;
pub use violation::{Class, Mutant, Violation};
pub use world::World;
use world::{Arrival, Oracle};

/// How a run ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// What happened, line by line, and then what lies in every topic.
    pub trace: String,
    /// What is not as it is promised.
    pub violations: Vec<Violation>,
    /// What the run had in it.
    pub witnessed: BTreeSet<&'static str>,
}

/// One run.
pub struct Simulation {
    world: Arc<World>,
    arrival: Arrival,
    memory: Memory,
    mutant: Option<Mutant>,
    slots: Mutex<Vec<Slot>>,
    random: Mutex<Random>,
    chance: Mutex<Chance>,
    trace: Mutex<String>,
    violations: Mutex<Vec<Violation>>,
}

/// Where a member runs; a process that ended is followed by another.
#[derive(Default)]
struct Slot {
    /// None while it is stepped, and after it ended.
    worker: Option<Worker<Client>>,
    /// As the group last knew it.
    member: Option<MemberId>,
    /// Requests between two tries since it last got on.
    stuck: usize,
    disk: Disk,
    /// Of the process that runs here, or did last.
    snapshots: Option<Arc<Snapshots>>,
}

/// What may still go wrong.
#[derive(Default)]
struct Chance {
    /// Faults left.
    faults: u32,
    /// How far each shard was at the last crash: who crashes again at the same record takes it for poison.
    crashed_at: Option<Vec<i64>>,
    /// Members that are in the middle of a step.
    depth: usize,
    /// Records that have come.
    arrived: usize,
    /// What goes wrong at the request of this number, where that is all that does.
    blow: Option<(usize, Blow)>,
    /// Commands that were sent, each once.
    commands: Vec<NewRecord>,
}

/// Rounds of each part of a run at most.
const STEPS_MAX: usize = 4_000;
/// Tries of one epoch after which it is clear that it will never be committed.
const STUCK_MAX: usize = 400;

impl Simulation {
    /// Runs the world once, with everything that `seed` lets go wrong.
    #[must_use]
    pub fn run(world: &Arc<World>, seed: u64, mutant: Option<Mutant>) -> Outcome {
        let mut random = Random::new(seed);
        let num_members = 1 + random.below(3);
        let faults = u32::try_from(2 + random.below(12)).unwrap();
        let arrival = match random.below(3) {
            0 => Arrival::Live,
            _ => Arrival::Before,
        };
        let simulation = Self::new(world, arrival, random, num_members);
        simulation.chance.lock().unwrap().faults = faults;
        let simulation = Arc::new(Self {
            mutant,
            ..simulation
        });
        failpoint::leave_out((mutant == Some(Mutant::SkipUndo)).then_some(Leave::Undo));
        simulation.storm();
        simulation.calm();
        let outcome = simulation.finish();
        failpoint::leave_out(None);
        outcome
    }

    /// Runs the world once with nothing going wrong but what lies in its records.
    fn undisturbed(world: &Arc<World>) -> Oracle {
        let simulation = Self::new(world, Arrival::Before, Random::new(0), 1);
        let simulation = Arc::new(simulation);
        simulation.calm();
        let violations = simulation.violations.lock().unwrap().clone();
        let trace = simulation.trace.lock().unwrap();
        assert!(violations.is_empty(), "{violations:?}\n{trace}");
        let slots = std::mem::take(&mut *simulation.slots.lock().unwrap());
        let worker = slots.into_iter().find_map(|slot| slot.worker).unwrap();
        Oracle {
            incidents: check::last(&simulation.memory),
            counts: check::counts(&worker),
            digests: worker.shards().flat_map(check::digests).collect(),
        }
    }

    fn new(world: &Arc<World>, arrival: Arrival, random: Random, num_members: usize) -> Self {
        Self {
            world: Arc::clone(world),
            arrival,
            memory: world.broker(arrival),
            mutant: None,
            slots: Mutex::new((0..num_members).map(|_| Slot::default()).collect()),
            random: Mutex::new(random),
            chance: Mutex::default(),
            trace: Mutex::default(),
            violations: Mutex::default(),
        }
    }

    /// Steps members at random while there is something left to go wrong.
    fn storm(self: &Arc<Self>) {
        for _ in 0..STEPS_MAX {
            let (slot, idle, burst) = {
                let mut random = self.random.lock().unwrap();
                let slots = self.slots.lock().unwrap().len();
                let slot = random.below(slots);
                (slot, random.below(8) == 0, random.below(32))
            };
            if burst < 6 {
                self.arrive(burst);
            }
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
            self.arrive(4);
            let slots = self.slots.lock().unwrap().len();
            for slot in 0..slots {
                self.step(slot);
            }
            self.memory.advance(50);
        }
        self.violate(Class::Stuck, "the inputs are not read to their end");
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
                if matches!(error, WorkerError::State { .. }) {
                    self.violate(Class::Refused, &error.to_string());
                }
                None
            }
            Err(payload) => {
                self.note(&format!("{slot} crashed"));
                if !payload.is::<Crash>() {
                    self.violate(Class::Panicked, "a worker panicked");
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
    fn take(self: &Arc<Self>, slot: usize) -> Option<Worker<Client>> {
        let (worker, runs) = {
            let mut slots = self.slots.lock().unwrap();
            (slots[slot].worker.take(), slots[slot].member.is_some())
        };
        if worker.is_some() || runs {
            return worker;
        }
        self.note(&format!("{slot} starts"));
        let mut config = {
            let mut random = self.random.lock().unwrap();
            self.world.config(self.arrival, &mut random)
        };
        let plan = Arc::new(Member {
            simulation: Arc::clone(self),
            slot,
        });
        let mistake = match self.mutant {
            Some(Mutant::Client(mistake)) => Some(mistake),
            Some(Mutant::SkipUndo | Mutant::DropLate | Mutant::OldSnapshot) | None => None,
        };
        let bus = self.world.join(&self.memory);
        let bus = bus.with_plan(plan).with_mistake(mistake);
        {
            let slot = &mut self.slots.lock().unwrap()[slot];
            slot.member = Some(bus.member());
            slot.snapshots = Some(Arc::new(slot.disk.snapshots(self.mutant)));
            config.snapshots.clone_from(&slot.snapshots);
        }
        let client = Client::new(bus, &self.memory, self.world.poison.clone());
        let client = client.dropping_late(self.mutant == Some(Mutant::DropLate));
        let none = (Arc::default(), Arc::default(), Arc::default());
        Some(Worker::new(client, config, none.0, none.1, none.2))
    }

    fn is_done(&self) -> bool {
        let inputs = self.world.inputs();
        self.has_all_arrived()
            && inputs.into_iter().all(|(topic, partition)| {
                let (end, _) = self.memory.ends(topic, partition).unwrap();
                end == 0 || self.memory.committed(topic, partition) == Some(end)
            })
    }

    /// Returns whether every shard is worked on.
    fn is_worked_on(&self) -> bool {
        let slots = self.slots.lock().unwrap();
        let workers = slots.iter().filter_map(|slot| slot.worker.as_ref());
        let active = workers.flat_map(Worker::shards).filter(|s| s.is_active());
        let numbers: BTreeSet<i32> = active.map(|shard| shard.number()).collect();
        numbers.len() == self.world.num_shards()
    }

    fn note(&self, what: &str) {
        let mut trace = self.trace.lock().unwrap();
        let generation = self.memory.generation();
        let epochs = self.memory.transactions();
        writeln!(trace, "[{generation} {epochs}] {what}").unwrap();
    }

    fn violate(&self, class: Class, what: &str) {
        self.note(what);
        let mut violations = self.violations.lock().unwrap();
        violations.push(Violation::new(class, what));
    }

    /// Checks what the run left behind, then what another member makes of it.
    fn finish(self: &Arc<Self>) -> Outcome {
        let live = self.digests();
        let has_looked = self.has_looked_at_snapshots();
        self.slots.lock().unwrap().clear();
        let restored = check::restored(&self.world, &self.memory, self.arrival);
        let mut violations = std::mem::take(&mut *self.violations.lock().unwrap());
        violations.extend(check::topics(&self.world, &self.memory, self.arrival));
        let mut witnessed = BTreeSet::new();
        match restored {
            Ok(restored) => {
                violations.extend(check::recovered(&live, &restored));
                let compare = match self.arrival {
                    Arrival::Before => check::undisturbed,
                    Arrival::Live => check::replayed,
                };
                violations.extend(compare(&self.world, &self.memory, &restored));
                witnessed = record::witnessed(&self.memory, &restored);
                witnessed.extend(has_looked.then_some("snapshots"));
            }
            Err(violation) => violations.push(violation),
        }
        let mut trace = std::mem::take(&mut *self.trace.lock().unwrap());
        trace.push_str(&record::dump(&self.world, &self.memory));
        Outcome {
            trace,
            violations,
            witnessed,
        }
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
                simulation.violate(Class::Stuck, "an epoch is never committed");
                simulation.chance.lock().unwrap().faults = 0;
                return Some(Fault::Crash);
            }
        }
        match simulation.struck(point) {
            Some(blow) => simulation.strike(blow, self.slot, member, point),
            None => simulation.befall(self.slot, member, point),
        }
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
