//! Who dies when and where.

use std::{
    thread,
    time::{Duration, Instant},
};

use engine::failpoint::Point;

use super::{GROUP, Plan, Report, SHARDS, report::Death};
use crate::{
    engine::Engine,
    kafka::Cluster,
    process::{Process, Signal},
    traffic::Random,
};

/// Whatever runs, and how it is to end.
pub(super) struct Storm<'a> {
    plan: &'a Plan,
    cluster: &'a Cluster,
    engines: &'a [Engine<'a>],
    random: Random,
    slots: Vec<Slot>,
    dead_broker: Option<(usize, Instant)>,
    report: &'a mut Report,
}

/// A place for an engine.
enum Slot {
    /// Nobody is there before this time.
    Empty(Instant),
    Running(Running),
}

struct Running {
    process: Process,
    fate: Fate,
    /// When it is killed if it still runs.
    until: Instant,
}

/// How an engine is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// By itself, at a point.
    At(Point),
    /// At any time.
    Killed,
    /// In good order: what it had is another's at once, which makes others give shards back.
    Stopped,
}

impl<'a> Storm<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        cluster: &'a Cluster,
        engines: &'a [Engine<'a>],
        report: &'a mut Report,
    ) -> Self {
        Self {
            plan,
            cluster,
            engines,
            random: Random(plan.seed),
            slots: vec![],
            dead_broker: None,
            report,
        }
    }

    /// Kills until the plan is fulfilled.
    pub(super) fn rage(&mut self) {
        let now = Instant::now();
        self.slots = self.engines.iter().map(|_| Slot::Empty(now)).collect();
        let deadline = now + STORM_MAX;
        while !self.is_fulfilled() {
            if Instant::now() > deadline {
                let problem = format!("the plan is not fulfilled after {STORM_MAX:?}");
                self.report.problems.push(problem);
                return;
            }
            for slot in 0..self.slots.len() {
                self.serve(slot);
            }
            self.serve_brokers();
            thread::park_timeout(TICK);
        }
    }

    fn is_fulfilled(&self) -> bool {
        let plan = self.plan;
        let at = |point: &Point| self.report.killed_at(point.as_str()) >= plan.num_at_each_point;
        self.report.num_kills() >= plan.num_kills
            && self.report.num_broker_kills() >= plan.num_broker_kills
            && POINTS.iter().all(at)
    }

    /// Fills an empty place, buries what has died, kills what is due.
    fn serve(&mut self, slot: usize) {
        match &self.slots[slot] {
            Slot::Empty(until) if Instant::now() > *until => {
                let fate = self.fate();
                self.slots[slot] = Slot::Running(self.launch(slot, fate));
            }
            Slot::Empty(_) => {}
            Slot::Running(running) if !running.process.is_running() => self.bury(slot),
            Slot::Running(running) if Instant::now() > running.until => self.end(slot),
            Slot::Running(_) => {}
        }
    }

    /// The point at which too few died yet and nobody is about to, else anything.
    fn fate(&mut self) -> Fate {
        let awaited: Vec<Fate> = self
            .slots
            .iter()
            .filter_map(|slot| match slot {
                Slot::Running(running) => Some(running.fate),
                Slot::Empty(_) => None,
            })
            .collect();
        let lacking: Vec<Point> = POINTS
            .into_iter()
            .filter(|point| {
                let died = self.report.killed_at(point.as_str());
                died < self.plan.num_at_each_point && !awaited.contains(&Fate::At(*point))
            })
            .collect();
        let fewest = lacking
            .into_iter()
            .min_by_key(|point| self.report.killed_at(point.as_str()));
        // Without somebody who leaves in good order nobody has to give a shard back.
        let revoking = awaited.contains(&Fate::At(Point::InRevoke));
        let turn = self.random.below(10);
        match (revoking, fewest) {
            (true, _) if !awaited.contains(&Fate::Stopped) => Fate::Stopped,
            (_, Some(point)) if turn < 7 => Fate::At(point),
            _ if turn < 9 => Fate::Killed,
            _ => Fate::At(POINTS[self.random.below(POINTS.len())]),
        }
    }

    /// Starts an engine that is to end so.
    fn launch(&mut self, slot: usize, fate: Fate) -> Running {
        let failpoints = match fate {
            Fate::Killed | Fate::Stopped => String::new(),
            Fate::At(point) => {
                // What is met in every epoch is not always met in the first.
                let spared = match point {
                    Point::InRestore | Point::InRevoke => 0,
                    Point::SnapshotBeforeRename => self.random.below(4),
                    Point::AfterApply
                    | Point::BeforeBegin
                    | Point::AfterProduce
                    | Point::AfterSendOffsets
                    | Point::MidCommit
                    | Point::AfterCommitBeforeClear
                    | Point::IngestBetween => self.random.below(20),
                };
                let off = if spared > 0 {
                    format!("{spared}*off->")
                } else {
                    String::new()
                };
                format!("{}={off}exit", point.as_str())
            }
        };
        let patience = match fate {
            Fate::At(_) => FATE_MAX,
            Fate::Killed | Fate::Stopped => self.millis(2_000, 10_000),
        };
        let engine = &self.engines[slot];
        let snapshots = format!("snapshots.directory={}", engine.snapshots().display());
        Running {
            process: engine.run_set(&failpoints, &[SESSION, &snapshots, SNAPSHOTS]),
            fate,
            until: Instant::now() + patience,
        }
    }

    fn millis(&mut self, from: usize, to: usize) -> Duration {
        let millis = from + self.random.below(to - from);
        Duration::from_millis(u64::try_from(millis).unwrap())
    }

    /// Notes how an engine died that nobody here has killed.
    fn bury(&mut self, slot: usize) {
        let Slot::Running(running) = self.clear(slot) else {
            return;
        };
        let lines = running.process.lines();
        self.report.told(&lines);
        let has = |text: &str| lines.iter().any(|line| line.contains(text));
        match running.fate {
            Fate::At(point) if has("failpoint: exit") => {
                self.report.died(Death::new(point.as_str(), &lines));
            }
            // Whoever starts while a broker is away may not get an answer in time, and says so.
            _ if !has("shard assigned") && has("Timed out") && self.is_broker_felt() => {
                self.report.num_not_started += 1;
            }
            Fate::At(_) | Fate::Killed | Fate::Stopped => {
                self.unexpected("an engine ended by itself", &lines);
            }
        }
    }

    fn unexpected(&mut self, what: &str, lines: &[String]) {
        let tail = lines.len().saturating_sub(8);
        let told = format!("{what}: {}", lines[tail..].join(" | "));
        self.report.problems.push(told);
    }

    /// Ends an engine whose time has come.
    fn end(&mut self, slot: usize) {
        let Slot::Running(mut running) = self.clear(slot) else {
            return;
        };
        match running.fate {
            Fate::Stopped => {
                running.process.signal(Signal::Term);
                self.report.num_stops += 1;
                let code = running.process.wait(STOP_MAX).code();
                let lines = running.process.lines();
                self.report.told(&lines);
                // With a broker away the last epoch may not come through, and the engine says so; before it has started, the
                // signal ends it at once.
                let started = lines.iter().any(|line| line.contains("shard assigned"));
                if code != Some(0) && started && !self.is_broker_felt() {
                    self.unexpected(&format!("a stop ended with {code:?}"), &lines);
                }
            }
            Fate::Killed | Fate::At(_) => {
                running.process.kill();
                let place = if running.fate == Fate::Killed {
                    "at random"
                } else {
                    "waiting for its point"
                };
                let lines = running.process.lines();
                self.report.told(&lines);
                self.report.died(Death::new(place, &lines));
            }
        }
    }

    /// Empties a place, for no time or for longer than a membership lasts.
    fn clear(&mut self, slot: usize) -> Slot {
        let away = if self.random.below(2) == 0 {
            Duration::ZERO
        } else {
            self.millis(0, 9_000)
        };
        let empty = Slot::Empty(Instant::now() + away);
        std::mem::replace(&mut self.slots[slot], empty)
    }

    /// Kills a broker when it is time, or brings back the dead one.
    fn serve_brokers(&mut self) {
        if let Some((node, until)) = self.dead_broker {
            if Instant::now() > until {
                self.cluster.restart(node);
                self.dead_broker = None;
            }
            return;
        }
        let (done, plan) = (self.report.num_broker_kills(), self.plan);
        let due = plan.num_broker_kills * (self.report.num_kills() + 1) / plan.num_kills.max(1);
        if done >= due.min(plan.num_broker_kills) {
            return;
        }
        let (what, node) = match done % 3 {
            0 => {
                let shard = self.random.below(usize::try_from(SHARDS).unwrap());
                let id = format!("{GROUP}-{shard}");
                let node = self.cluster.transaction_coordinator(&id);
                ("coordinator of transactions", node)
            }
            1 => {
                let node = self.cluster.group_coordinator(GROUP);
                ("coordinator of the group", node)
            }
            _ => ("any", self.random.below(3)),
        };
        self.cluster.kill(node);
        self.report.broker_died(what);
        self.dead_broker = Some((node, Instant::now() + self.millis(0, 8_000)));
    }

    fn is_broker_felt(&self) -> bool {
        self.dead_broker.is_some() || self.report.is_broker_felt(Instant::now())
    }

    /// Lets everything catch up and stop. `stop` ends what comes in, and returns whether it had not ended by itself.
    pub(super) fn calm(&mut self, stop: impl FnOnce() -> bool) {
        if let Some((node, _)) = self.dead_broker.take() {
            self.cluster.restart(node);
        }
        self.slots.clear();
        if !stop() {
            let problem = "the producers were done before the storm was over";
            self.report.problems.push(problem.to_owned());
        }
        let ends = self.engines[0].produced();
        self.report.num_records = ends;
        self.report.num_left = ends - self.engines[0].consumed();
        if !self.plan.live && self.report.num_left == 0 {
            let problem = "the records were used up before the storm was over";
            self.report.problems.push(problem.to_owned());
        }
        let processes: Vec<Process> = self
            .engines
            .iter()
            .map(|engine| engine.run_set("", &[LARGE]))
            .collect();
        self.engines[0].wait_until_done(&processes[0]);
        for (engine, process) in self.engines.iter().zip(processes) {
            engine.stop(process);
        }
    }
}

/// Where an engine can die: all but the one of the program that takes alerts in.
const POINTS: [Point; 9] = [
    Point::AfterApply,
    Point::BeforeBegin,
    Point::AfterProduce,
    Point::AfterSendOffsets,
    Point::MidCommit,
    Point::AfterCommitBeforeClear,
    Point::InRevoke,
    Point::InRestore,
    Point::SnapshotBeforeRename,
];
/// How long an engine may wait for its failpoint: without a shard it meets none.
const FATE_MAX: Duration = Duration::from_secs(40);
const STOP_MAX: Duration = Duration::from_secs(60);
/// The shortest session the brokers allow: the shards of the dead are free sooner.
const SESSION: &str = "kafka.properties.session.timeout.ms=6000";
/// Often enough that most takeovers begin with a snapshot.
const SNAPSHOTS: &str = "snapshots.interval=1s";
/// What is left after the storm comes in few transactions.
const LARGE: &str = "limits.epoch_records=5000";
const STORM_MAX: Duration = Duration::from_secs(7_200);
const TICK: Duration = Duration::from_millis(20);
