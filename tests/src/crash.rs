//! The crash loop: engines die at every failpoint and at random, brokers die under them, and at the end nothing may be lost,
//! doubled or told otherwise than without a crash.
//!
//! The verdict is that of `fusor check-topic`, which shares no code with the worker, of `fusor state verify`, and, where the
//! topics were filled before the start, of a calm run over the same topics.

use std::{
    collections::BTreeMap,
    fmt,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use engine::failpoint::Point;
use rdkafka::ClientConfig;
use serde_json::Value;

use crate::{
    engine::{CHECKS, Engine, Setup, brokers},
    kafka::{Cluster, Isolation, Outgoing, Record, produce},
    process::Process,
    traffic::{NUM_PARTITIONS, Random, Traffic, Volume},
};

/// How much is to die.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Drives who dies when and where, and the traffic.
    pub seed: u64,
    /// Processes at once.
    pub num_engines: usize,
    /// Deaths of engines.
    pub num_kills: u32,
    /// Deaths of brokers, of three.
    pub num_broker_kills: u32,
    /// Alerts.
    pub num_alerts: usize,
    /// Whether they are produced while the engines run; otherwise before.
    pub live: bool,
}

/// What happened.
#[derive(Debug, Default)]
pub struct Report {
    /// Deaths of engines, by where.
    pub kills: BTreeMap<&'static str, u32>,
    /// Deaths of brokers, by what they coordinated.
    pub broker_kills: BTreeMap<&'static str, u32>,
    /// Input records.
    pub num_records: usize,
    /// Incidents published.
    pub num_incidents: usize,
    /// What must not be.
    pub problems: Vec<String>,
    /// What the checker says it looked at.
    pub checked: Vec<String>,
    /// How long it took, the verdict aside.
    pub took: Duration,
}

/// Runs the plan. `None`: there is no Kafka.
pub fn crash(plan: &Plan) -> Option<Report> {
    let cluster = brokers(3)?;
    let traffic = Traffic::new(Volume {
        seed: plan.seed,
        num_alerts: plan.num_alerts,
        num_attacks: 12,
        num_broken: 200,
        num_repeated: 200,
    });
    let mut report = Report {
        num_records: traffic.records.len(),
        ..Report::default()
    };
    let producing = fill(&cluster, traffic.records, plan.live);
    let engines: Vec<Engine<'_>> = (0..plan.num_engines)
        .map(|_| Engine::set_up(&cluster, setup("fusor")))
        .collect();
    let started = Instant::now();
    let mut storm = Storm {
        plan,
        cluster: &cluster,
        engines: &engines,
        random: Random(plan.seed),
        slots: vec![],
        dead_broker: None,
        report: &mut report,
    };
    storm.rage();
    if let Some(producing) = producing {
        producing.join().unwrap();
    }
    storm.calm();
    report.took = started.elapsed();
    judge(&cluster, &engines[0], plan, &mut report);
    Some(report)
}

/// Small epochs: many places to die at.
fn setup(group: &'static str) -> Setup {
    Setup {
        group,
        epoch_records: 100,
        shards: NUM_PARTITIONS,
    }
}

/// Produces everything now, or, live, little by little in a thread.
fn fill(cluster: &Cluster, records: Vec<Outgoing>, live: bool) -> Option<JoinHandle<()>> {
    if !live {
        cluster.produce(records);
        return None;
    }
    let client: ClientConfig = cluster.client();
    Some(thread::spawn(move || {
        for some in records.chunks(LIVE_CHUNK) {
            produce(&client, some.iter().cloned());
            thread::sleep(LIVE_PAUSE);
        }
    }))
}

/// Whatever runs, and how it is to end.
struct Storm<'a> {
    plan: &'a Plan,
    cluster: &'a Cluster,
    engines: &'a [Engine<'a>],
    random: Random,
    slots: Vec<Slot>,
    dead_broker: Option<(usize, Instant)>,
    report: &'a mut Report,
}

struct Slot {
    process: Process,
    fate: Option<Point>,
    /// When it is killed if it still runs.
    until: Instant,
}

impl Storm<'_> {
    /// Kills until the plan is fulfilled.
    fn rage(&mut self) {
        for slot in 0..self.engines.len() {
            let launched = self.launch(slot);
            self.slots.push(launched);
        }
        let deadline = Instant::now() + STORM_MAX;
        while self.num_kills() < self.plan.num_kills && Instant::now() < deadline {
            for slot in 0..self.slots.len() {
                self.reap(slot);
            }
            self.brokers();
            thread::sleep(TICK);
        }
    }

    fn num_kills(&self) -> u32 {
        self.report.kills.values().sum()
    }

    /// Starts an engine that is to die: in turn at each failpoint and at random.
    fn launch(&mut self, slot: usize) -> Slot {
        let turn = self.random.below(FATES.len());
        let fate = FATES[turn];
        let plan = fate.map_or_else(String::new, |point| {
            // A restore or a revocation is met seldom, so the first one counts.
            let spared = match point {
                Point::InRestore | Point::InRevoke => 0,
                Point::AfterApply
                | Point::BeforeBegin
                | Point::AfterProduce
                | Point::AfterSendOffsets
                | Point::MidCommit
                | Point::AfterCommitBeforeClear => self.random.below(6),
            };
            let off = if spared > 0 {
                format!("{spared}*off->")
            } else {
                String::new()
            };
            format!("{}={off}exit", point.as_str())
        });
        let patience = if fate.is_some() {
            FATE_MAX
        } else {
            Duration::from_millis(u64::try_from(self.random.below(6_000)).unwrap())
        };
        Slot {
            process: self.engines[slot].run_set(&plan, &[SESSION]),
            fate,
            until: Instant::now() + patience,
        }
    }

    /// Buries what has died, kills what is due, and starts anew.
    fn reap(&mut self, slot: usize) {
        let found = &mut self.slots[slot];
        let place = if !found.process.is_running() {
            let met = found.fate.filter(|_| {
                let lines = found.process.lines();
                lines.iter().any(|line| line.contains("failpoint: exit"))
            });
            if let Some(point) = met {
                point.as_str()
            } else {
                let lines = found.process.lines();
                let tail = lines.len().saturating_sub(8);
                let told = format!("an engine ended by itself: {}", lines[tail..].join(" | "));
                self.report.problems.push(told);
                "by itself"
            }
        } else if Instant::now() > found.until {
            found.process.kill();
            if found.fate.is_some() {
                "waiting for its point"
            } else {
                "at random"
            }
        } else {
            return;
        };
        *self.report.kills.entry(place).or_default() += 1;
        let launched = self.launch(slot);
        self.slots[slot] = launched;
    }

    /// Kills a broker when it is time, or brings back the dead one.
    fn brokers(&mut self) {
        if let Some((node, until)) = self.dead_broker {
            if Instant::now() > until {
                self.cluster.restart(node);
                self.dead_broker = None;
            }
            return;
        }
        let done: u32 = self.report.broker_kills.values().sum();
        let due = self.plan.num_broker_kills * self.num_kills() / self.plan.num_kills.max(1);
        if done >= due.min(self.plan.num_broker_kills) {
            return;
        }
        let (what, node) = match done % 3 {
            0 => {
                let shard = self.random.below(usize::try_from(NUM_PARTITIONS).unwrap());
                let id = format!("fusor-{shard}");
                (
                    "coordinator of transactions",
                    self.cluster.transaction_coordinator(&id),
                )
            }
            1 => (
                "coordinator of the group",
                self.cluster.group_coordinator("fusor"),
            ),
            _ => ("any", self.random.below(3)),
        };
        self.cluster.kill(node);
        *self.report.broker_kills.entry(what).or_default() += 1;
        let away = Duration::from_millis(u64::try_from(self.random.below(8_000)).unwrap());
        self.dead_broker = Some((node, Instant::now() + away));
    }

    /// Lets everything catch up and stop.
    fn calm(&mut self) {
        if let Some((node, _)) = self.dead_broker.take() {
            self.cluster.restart(node);
        }
        self.slots.clear();
        let processes: Vec<Process> = self.engines.iter().map(Engine::run).collect();
        self.engines[0].wait_until_done(&processes[0]);
        for (engine, process) in self.engines.iter().zip(processes) {
            engine.stop(process);
        }
    }
}

fn judge(cluster: &Cluster, engine: &Engine<'_>, plan: &Plan, report: &mut Report) {
    for args in CHECKS {
        let (code, answer, said) = engine.tell(args);
        if code == Some(0) {
            let last = answer.lines().last().unwrap_or_default();
            report.checked.push(format!("{args:?}: {last}"));
        } else {
            let told = format!("{args:?} ends with {code:?}: {answer}{said}");
            report.problems.push(told);
        }
    }
    let incidents = last_revisions(&cluster.read(&engine.incidents(), Isolation::Committed));
    report.num_incidents = incidents.len();
    if plan.live {
        return;
    }
    let calm = Engine::set_up(cluster, setup("calm"));
    let process = calm.run();
    calm.wait_until_done(&process);
    calm.stop(process);
    let expected = last_revisions(&cluster.read(&calm.incidents(), Isolation::Committed));
    for id in incidents.keys().chain(expected.keys()) {
        if incidents.get(id) != expected.get(id) {
            let told = format!("incident {id} is not what it is without a crash");
            report.problems.push(told);
        }
    }
    report.problems.dedup();
}

/// Returns the last revision of each incident, by id.
pub fn last_revisions(incidents: &[Record]) -> BTreeMap<String, Value> {
    incidents
        .iter()
        .filter(|record| record.value.is_some())
        .map(Record::json)
        .map(|incident| (incident["id"].as_str().unwrap().to_owned(), incident))
        .collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |counts: &BTreeMap<&str, u32>| counts.values().sum::<u32>();
        writeln!(
            f,
            "{} input records, {} incidents, {} kills of engines and {} of brokers in {} s",
            self.num_records,
            self.num_incidents,
            sum(&self.kills),
            sum(&self.broker_kills),
            self.took.as_secs()
        )?;
        for (place, count) in self.kills.iter().chain(&self.broker_kills) {
            writeln!(f, "{count:>6} {place}")?;
        }
        for line in &self.checked {
            writeln!(f, "checked: {line}")?;
        }
        for problem in &self.problems {
            writeln!(f, "PROBLEM: {problem}")?;
        }
        write!(f, "{} problems", self.problems.len())
    }
}

/// Where an engine dies; `None` is at random.
const FATES: [Option<Point>; 9] = [
    None,
    Some(Point::AfterApply),
    Some(Point::BeforeBegin),
    Some(Point::AfterProduce),
    Some(Point::AfterSendOffsets),
    Some(Point::MidCommit),
    Some(Point::AfterCommitBeforeClear),
    Some(Point::InRevoke),
    Some(Point::InRestore),
];

/// How long an engine may wait for its failpoint: without a shard it meets none.
const FATE_MAX: Duration = Duration::from_secs(40);
/// The shortest session the brokers allow: the shards of the dead are free sooner.
const SESSION: &str = "kafka.properties.session.timeout.ms=6000";
const STORM_MAX: Duration = Duration::from_secs(7_200);
const TICK: Duration = Duration::from_millis(20);
const LIVE_CHUNK: usize = 200;
const LIVE_PAUSE: Duration = Duration::from_millis(300);
