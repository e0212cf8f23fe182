use std::time::Duration;

use schemas::decode::Limits;

use super::*;
use crate::bus::memory::{Keep, Memory, MemoryBus};
use crate::bus::{CommitError, NewRecord};
use crate::source::{Source, Sources};

mod commands;

const INPUTS: [&str; 2] = ["leases.a", "leases.b"];

fn config(records_max: usize, ahead_records_max: usize) -> WorkerConfig {
    let bindings = |topic: &str| (topic.to_owned(), Source::Bindings);
    WorkerConfig {
        decoder: Decoder {
            sources: Sources::new(INPUTS.map(bindings)),
            limits: Limits::default(),
            clamp: None,
            threads: 2,
        },
        shard: ShardConfig {
            settings: Arc::default(),
            state: Some("state".into()),
            tenants_max: 3,
            threads: 2,
        },
        publisher: Publisher {
            topic: "incidents".into(),
            instance: "test".to_owned(),
            bytes_max: 1 << 20,
        },
        dead_letters: "dead".into(),
        outcomes: "outcomes".into(),
        epoch: Request {
            records_max,
            bytes_max: 1 << 20,
            wait: Duration::ZERO,
            collect: Duration::ZERO,
        },
        ahead_records_max,
        ahead_bytes_max: 1 << 20,
        drain: Duration::ZERO,
        followed: 1,
        snapshots: None,
        idle: None,
    }
}

fn lease(tenant: &str, minute: i64) -> String {
    format!(
        r#"{{"tenant":"{tenant}","ip":"10.0.0.1","host":"h","from":"2026-01-05T00:{minute:02}:00Z","to":"2026-01-06T00:00:00Z"}}"#
    )
}

fn memory(values: &[(usize, &str)]) -> Memory {
    let memory = Memory::new();
    for topic in INPUTS {
        memory.create_topic(topic, 1, Keep::Uncommitted);
    }
    memory.create_topic("incidents", 1, Keep::All);
    memory.create_topic("dead", 1, Keep::All);
    memory.create_topic("state", 1, Keep::LastOfKey);
    for (topic, value) in values {
        memory.produce(new_record(*topic, value)).unwrap();
    }
    memory
}

fn new_record(topic: usize, value: &str) -> NewRecord {
    NewRecord {
        topic: INPUTS[topic].into(),
        partition: Some(0),
        timestamp: None,
        key: None,
        value: Some(value.as_bytes().to_vec()),
        headers: Vec::new(),
    }
}

fn close(memory: &Memory) {
    for topic in INPUTS {
        memory.close(topic, 0).unwrap();
    }
}

fn worker(memory: &Memory, config: WorkerConfig) -> Worker<MemoryBus> {
    let bus = MemoryBus::join(memory, &INPUTS.map(Arc::from), 1).with_state("state");
    let stop = Arc::default();
    Worker::new(bus, config, Arc::default(), Arc::default(), stop)
}

/// Writes down the topic's last letter, the offset and what became of each record.
#[derive(Default)]
struct Log(Vec<String>);

impl Observer for Log {
    fn record(&mut self, record: &Record, disposition: Disposition<'_>) {
        let fate = match disposition {
            Disposition::Alerts(..) => "alerts",
            Disposition::Binding => "binding",
            Disposition::Command(_) => "command",
            Disposition::DeadLetter(broken) => broken.reason,
        };
        let topic = record.partition.topic.trim_start_matches("leases.");
        self.0.push(format!("{topic}{} {fate}", record.offset));
    }
}

fn run(memory: &Memory, config: WorkerConfig) -> Vec<String> {
    let mut log = Log::default();
    worker(memory, config).run(&mut log).unwrap();
    log.0
}

/// Transactions that it takes to begin with a shard: the claim, and the note of the start.
const BEGINNING: u64 = 2;
/// More steps than any of these tests takes.
const STEPS_MAX: usize = 1_000;

/// Makes a worker that has its shard and has applied nothing yet.
fn begun(memory: &Memory, config: WorkerConfig) -> Worker<MemoryBus> {
    let mut worker = worker(memory, config);
    for _ in 0..STEPS_MAX {
        worker.step(&mut NoObserver).unwrap();
        if worker.is_assigned() {
            assert_eq!(memory.transactions(), BEGINNING);
            return worker;
        }
    }
    panic!("no shard in {STEPS_MAX} steps");
}

/// Steps until `done` of the observer, or the end.
fn step_until<O: Observer>(
    worker: &mut Worker<MemoryBus>,
    observer: &mut O,
    done: impl Fn(&O) -> bool,
) {
    for _ in 0..STEPS_MAX {
        if done(observer) || worker.step(observer).unwrap() == Step::Finished {
            return;
        }
    }
    panic!("no end in {STEPS_MAX} steps");
}

const ORDERED: [&str; 6] = [
    "a0 binding",
    "b0 binding",
    "b1 not_json",
    "b2 binding",
    "a1 binding",
    "a2 invalid_field",
];

fn two_topics() -> Memory {
    let values = [
        (0, lease("x", 1)),
        (1, lease("x", 2)),
        (1, "{".to_owned()),
        (1, lease("y", 4)),
        (0, lease("x", 9)),
        (0, lease("x", 9).replace("10.0.0.1", "10.0.0.999")),
    ];
    let values: Vec<(usize, &str)> = values.iter().map(|(t, v)| (*t, v.as_str())).collect();
    let memory = memory(&values);
    close(&memory);
    memory
}

#[test]
fn the_order_of_application_does_not_depend_on_how_epochs_are_cut() {
    for records_max in [1, 2, 3, 7, 5_000] {
        for ahead in [1, 2, 5_000] {
            let memory = two_topics();
            assert_eq!(run(&memory, config(records_max, ahead)), ORDERED);
            let committed = INPUTS.map(|topic| memory.committed(topic, 0));
            assert_eq!(committed, [Some(3), Some(3)]);
        }
    }
}

#[test]
fn what_waited_long_is_not_one_giant_transaction() {
    let broken = "{".repeat(10_000);
    let mut values = vec![(0, lease("x", 9))];
    values.extend((0..20).map(|_| (0, broken.clone())));
    values.extend((0..30).map(|_| (1, lease("x", 1))));
    let values: Vec<(usize, &str)> = values.iter().map(|(t, v)| (*t, v.as_str())).collect();
    let memory = memory(&values);
    close(&memory);
    let mut config = config(6, 5_000);
    config.epoch.bytes_max = 25_000;
    let mut worker = worker(&memory, config);
    let mut before = 0;
    while worker.step(&mut NoObserver).unwrap() != Step::Finished {
        let letters = memory.read("dead", 0).len();
        assert!(letters - before <= 3, "30 kB in one transaction");
        before = letters;
    }
    assert_eq!(before, 20);
}

#[test]
fn refused_records_are_dead_letters_in_the_same_transaction() {
    let memory = two_topics();
    run(&memory, config(5_000, 5_000));
    assert_eq!(memory.transactions(), BEGINNING + 1);
    let letters = memory.read("dead", 0);
    let values: Vec<&[u8]> = letters
        .iter()
        .map(|r| r.value.as_deref().unwrap())
        .collect();
    assert_eq!(values[0], b"{");
    assert_eq!(letters.len(), 2);
    let code = |record: &Record| {
        let header = record.headers.iter().find(|h| h.name == "fusor.dlq.code");
        String::from_utf8(header.unwrap().value.clone().unwrap()).unwrap()
    };
    let codes: Vec<String> = letters.iter().map(|record| code(record)).collect();
    assert_eq!(codes, ["not_json", "invalid_field"]);
}

#[test]
fn an_aborted_epoch_is_tried_again_and_written_once() {
    let memory = two_topics();
    let problem = || "the coordinator moved".to_owned();
    let mut worker = begun(&memory, config(5_000, 5_000));
    memory.fail_commits((0..3).map(|_| CommitError::Aborted { problem: problem() }));
    let mut log = Log::default();
    worker.run(&mut log).unwrap();
    assert_eq!(log.0, ORDERED);
    assert_eq!(memory.transactions(), BEGINNING + 1);
    assert_eq!(memory.read("dead", 0).len(), 2);
}

#[test]
fn what_the_group_told_at_first_is_no_sign_of_a_torn_transaction() {
    let memory = two_topics();
    let mut log = Log::default();
    step_until(&mut worker(&memory, config(1, 5_000)), &mut log, |log| {
        log.0.len() == 2
    });
    memory.rebalance();
    // It is handed what the first two records left with the group, and moves on.
    let mut worker = worker(&memory, config(1, 5_000));
    let mut log = Log::default();
    step_until(&mut worker, &mut log, |log| !log.0.is_empty());
    let is_applied = (0..STEPS_MAX).any(|_| {
        let polled = worker.poll().unwrap();
        worker.take_in(polled.records);
        let turn = worker.held.turn();
        !worker.apply(&turn).is_empty()
    });
    assert!(is_applied);
    worker.abandon().unwrap();
    let (shard, phase) = worker.held.get_mut(0).unwrap();
    let held::Phase::Assigned { inputs } = phase else {
        panic!("not handed out again");
    };
    assert_eq!(shard.torn(inputs), []);
}

fn fenced() -> CommitError {
    let problem = "unknown member".to_owned();
    CommitError::Fenced { problem }
}

/// Duplicates show whether the state is the one that saw the first alert of that id.
fn two_epochs_of_one_alert() -> (Memory, WorkerConfig) {
    let (first, second) = (alert("1", "x", 1), alert("1", "x", 1));
    let memory = memory(&[(0, &first), (0, &second)]);
    close(&memory);
    let mut config = config(1, 5_000);
    config.decoder.sources = alerts();
    (memory, config)
}

#[test]
fn a_member_that_was_put_out_goes_on_from_the_state() {
    let (memory, config) = two_epochs_of_one_alert();
    let mut seen = Placements::default();
    let mut worker = worker(&memory, config);
    step_until(&mut worker, &mut seen, |seen| seen.alerts.len() == 1);
    memory.fail_commits([fenced()]);
    step_until(&mut worker, &mut seen, |_| false);
    assert_eq!(seen.alerts, ["x/1 placed", "x/1 duplicate"]);
    assert_eq!(memory.transactions(), 2 * (BEGINNING + 1));
}

#[test]
fn a_member_that_lost_its_shard_between_epochs_goes_on_from_the_state() {
    let (memory, config) = two_epochs_of_one_alert();
    let mut seen = Placements::default();
    let mut worker = worker(&memory, config);
    step_until(&mut worker, &mut seen, |seen| seen.alerts.len() == 1);
    memory.rebalance();
    step_until(&mut worker, &mut seen, |_| false);
    assert_eq!(seen.alerts, ["x/1 placed", "x/1 duplicate"]);
}

#[test]
fn a_member_that_gets_its_shard_back_takes_up_what_another_wrote() {
    let (memory, config) = two_epochs_of_one_alert();
    let mut seen = Placements::default();
    let mut first = worker(&memory, config.clone());
    step_until(&mut first, &mut seen, |seen| seen.alerts.len() == 1);
    memory.rebalance();
    worker(&memory, config).run(&mut NoObserver).unwrap();
    memory.produce(new_record(0, &alert("1", "x", 1))).unwrap();
    step_until(&mut first, &mut seen, |_| false);
    assert_eq!(seen.alerts, ["x/1 placed", "x/1 duplicate"]);
    let counts = first.shards().next().unwrap().meta().counts;
    assert_eq!(
        (counts.records, counts.placed, counts.duplicates),
        (3, 1, 2)
    );
}

#[test]
fn another_process_goes_on_where_the_last_one_ended() {
    let (memory, config) = two_epochs_of_one_alert();
    let mut seen = Placements::default();
    let mut first = worker(&memory, config.clone());
    step_until(&mut first, &mut seen, |seen| seen.alerts.len() == 1);
    drop(first);
    memory.rebalance();
    let mut second = worker(&memory, config);
    step_until(&mut second, &mut seen, |_| false);
    assert_eq!(seen.alerts, ["x/1 placed", "x/1 duplicate"]);
    assert_eq!(second.shards().next().unwrap().meta().epoch, 2);
}

#[test]
fn a_state_topic_that_was_made_anew_is_refused() {
    let (memory, config) = two_epochs_of_one_alert();
    worker(&memory, config.clone())
        .run(&mut NoObserver)
        .unwrap();
    memory.truncate("state", 0);
    let error = worker(&memory, config).run(&mut NoObserver).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("cut or made anew") && text.contains("fusor state rebuild"),
        "{text}"
    );
}

#[test]
fn a_commit_that_was_not_heard_of_is_not_written_twice() {
    let memory = two_topics();
    let mut worker = begun(&memory, config(5_000, 5_000));
    memory.lose_answer();
    let mut log = Log::default();
    worker.run(&mut log).unwrap();
    assert_eq!(log.0, ORDERED, "what is found committed is told");
    assert_eq!(memory.read("dead", 0).len(), 2);
    let meta = worker.shards().next().unwrap().meta().clone();
    assert_eq!((meta.epoch, meta.counts.records), (1, 6));
}

#[test]
fn a_rebalance_loses_and_doubles_nothing() {
    let memory = two_topics();
    let mut log = Log::default();
    let mut worker = worker(&memory, config(2, 5_000));
    let mut rebalances = 0;
    while worker.step(&mut log).unwrap() != Step::Finished {
        if memory.transactions() == BEGINNING + 1 && rebalances == 0 {
            memory.rebalance();
            rebalances += 1;
        }
        if log.0.len() > 20 {
            break;
        }
    }
    let mut seen = log.0.clone();
    seen.sort();
    seen.dedup();
    assert_eq!(
        seen.len(),
        log.0.len(),
        "each record is committed once: {:?}",
        log.0
    );
    assert_eq!(seen.len(), ORDERED.len());
}

#[test]
fn what_is_read_while_a_shard_is_restored_is_not_applied_after_it() {
    let memory = two_topics();
    let mut worker = begun(&memory, config(2, 5_000));
    let polled = worker.poll().unwrap();
    worker.take_in(polled.records);
    let turn = worker.held.turn();
    assert!(!worker.apply(&turn).is_empty());
    // As where another shard of the epoch was lost before it was committed.
    worker.abandon().unwrap();
    let mut log = Log::default();
    worker.run(&mut log).unwrap();
    assert_eq!(log.0, ORDERED);
}

#[test]
fn a_partition_read_to_its_end_is_not_waited_for() {
    let memory = memory(&[(0, &lease("x", 1))]);
    let mut log = Log::default();
    let mut worker = worker(&memory, config(5_000, 5_000));
    step_until(&mut worker, &mut log, |log| !log.0.is_empty());
    assert_eq!(log.0, ["a0 binding"]);
    assert_eq!(worker.step(&mut log).unwrap(), Step::Idle);
}

#[test]
fn a_tenant_too_many_is_refused_by_name() {
    let leases: Vec<String> = ["p", "q", "r", "s", "p"].map(|t| lease(t, 1)).to_vec();
    let values: Vec<(usize, &str)> = leases.iter().map(|value| (0, value.as_str())).collect();
    let memory = memory(&values);
    close(&memory);
    assert_eq!(
        run(&memory, config(5_000, 5_000))[3..],
        ["a3 too_many_tenants", "a4 binding"]
    );
}

fn alerts() -> Sources {
    let alerts = |topic: &str| {
        let source = Source::Alerts {
            format: None,
            tenant: None,
        };
        (topic.to_owned(), source)
    };
    Sources::new(INPUTS.map(alerts))
}

/// One alert in the friendly JSON.
fn alert(id: &str, tenant: &str, minute: i64) -> String {
    format!(
        r#"{{"id":"{id}","tenant":"{tenant}","time":"2026-01-05T00:{minute:02}:00Z","title":"t","entities":[{{"type":"host","value":"h"}}]}}"#
    )
}

/// Writes down the tenant and native id of each alert with its placement, and the tenants that put something out.
#[derive(Default)]
struct Placements {
    alerts: Vec<String>,
    tenants: Vec<String>,
}

impl Observer for Placements {
    fn record(&mut self, _record: &Record, disposition: Disposition<'_>) {
        if let Disposition::Alerts(alerts, placements) = disposition {
            assert_eq!(alerts.len(), placements.len());
            for (alert, placement) in alerts.iter().zip(placements) {
                let word = match placement {
                    Placement::Placed { late, .. } if *late => "late",
                    Placement::Placed { .. } => "placed",
                    Placement::Duplicate { .. } => "duplicate",
                    Placement::Updated { .. } => "updated",
                };
                let id = &alert.source.native_uid;
                self.alerts.push(format!("{}/{id} {word}", alert.tenant));
            }
        }
    }

    fn outputs(&mut self, tenant: &str, outputs: &[Output]) {
        if !outputs.is_empty() {
            self.tenants.push(tenant.to_owned());
        }
    }
}

#[test]
fn the_alerts_of_one_record_stay_together_whatever_their_tenants() {
    let list = format!(
        "[{},{},{}]",
        alert("1", "y", 5),
        alert("2", "x", 4),
        alert("3", "y", 6)
    );
    let values = [
        (0, alert("0", "x", 3)),
        (0, list),
        (1, alert("0", "x", 3)),
        (1, alert("4", "x", 7)),
    ];
    let values: Vec<(usize, &str)> = values.iter().map(|(t, v)| (*t, v.as_str())).collect();
    let memory = memory(&values);
    close(&memory);
    let mut config = config(5_000, 5_000);
    config.decoder.sources = alerts();
    let mut seen = Placements::default();
    worker(&memory, config).run(&mut seen).unwrap();
    assert_eq!(
        seen.alerts,
        [
            "x/0 placed",
            "x/0 duplicate",
            "y/1 placed",
            "x/2 placed",
            "y/3 placed",
            "x/4 placed",
        ]
    );
    assert_eq!(seen.tenants, ["x", "y"]);
}

#[test]
fn an_epoch_that_never_commits_ends_the_drain_with_an_error() {
    let memory = two_topics();
    let problem = "no broker".to_owned();
    let mut worker = begun(&memory, config(5_000, 5_000));
    memory.fail_commits((0..9).map(|_| CommitError::Aborted {
        problem: problem.clone(),
    }));
    worker.stop.store(true, Ordering::Relaxed);
    let mut steps = (0..STEPS_MAX).map(|_| worker.step(&mut NoObserver));
    let error = steps.find_map(Result::err).unwrap();
    assert!(matches!(error, WorkerError::Drain { .. }), "{error}");
    assert_eq!(memory.transactions(), BEGINNING);
}
