//! Each thing that can go wrong with brokers, networks and processes, once, on real brokers.

use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;
use tests::{
    crash::last_revisions,
    engine::{self, Engine, Setup},
    eventually,
    kafka::{Cluster, Isolation},
    process::Signal,
    proxy::{Fault, Scope},
    traffic::{NUM_PARTITIONS, TOPICS},
};

use super::{assert_broken_are_kept, assert_revisions_rise, traffic};

/// The request that ends the transaction is on its way when the process freezes and its coordinator dies.
#[test]
fn a_coordinator_that_dies_in_a_commit_leaves_no_doubt() {
    let Some(cluster) = engine::brokers(3) else {
        return;
    };
    let engine = Engine::with_epochs(&cluster, "fusor", 250);
    cluster.produce(traffic(20_000).records);
    let process = engine.run_with("mid_commit=5*off->1*pause");
    process.wait_for_line("failpoint: pause", LIMIT);
    let coordinator = cluster.transaction_coordinator("fusor-0");
    cluster.kill(coordinator);
    process.signal(Signal::Cont);
    engine.wait_until_done(&process);
    cluster.restart(coordinator);
    engine.stop(process);
    assert_all_is_well(&cluster, &engine);
}

/// Frozen within a transaction for longer than the broker lets one be open, and still a member of the group.
#[test]
fn a_transaction_that_ran_out_is_written_again() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let engine = Engine::with_epochs(&cluster, "fusor", 250);
    cluster.produce(traffic(20_000).records);
    let process = engine.run_set(
        "after_send_offsets=5*off->1*pause",
        &[
            "kafka.properties.session.timeout.ms=120000",
            "kafka.properties.transaction.timeout.ms=3000",
            "kafka.properties.message.timeout.ms=2000",
        ],
    );
    process.wait_for_line("failpoint: pause", LIMIT);
    eventually("the broker's abort", LIMIT, || {
        let state = [(); 2].map(|()| cluster.ends(&engine.state()));
        let stable = cluster.stable_ends(&engine.state());
        (state[0] == state[1] && stable == state[1]).then_some(())
    });
    process.signal(Signal::Cont);
    engine.wait_until_done(&process);
    engine.stop(process);
    assert_all_is_well(&cluster, &engine);
}

/// Frozen within a transaction for longer than its membership lasts: another has its shards when it goes on.
#[test]
fn a_zombie_within_a_transaction_writes_nothing() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let [first, second] = [(); 2].map(|()| Engine::with_epochs(&cluster, "fusor", 250));
    let traffic = traffic(40_000);
    cluster.produce(traffic.records.iter().cloned());
    let zombie = first.run_with("after_send_offsets=5*off->1*pause");
    zombie.wait_for_line("failpoint: pause", LIMIT);
    let before = first.consumed();
    let heir = second.run();
    second.wait_until_past(&heir, before);
    zombie.signal(Signal::Cont);
    second.wait_until_done(&heir);
    first.stop(zombie);
    second.stop(heir);
    assert_broken_are_kept(&cluster, &second, &traffic);
    assert_all_is_well(&cluster, &second);
}

/// Half of the state is no state. What the engine says is followed, and everything is there again, in the next generation.
#[test]
fn a_state_that_was_cut_is_refused_until_it_is_made_anew() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let engine = Engine::new(&cluster, "fusor");
    run_through(&cluster, &engine, 1_000);
    let before = last_revisions(&cluster.read(&engine.incidents(), Isolation::Committed));
    let state = engine.state();
    // Kafka deletes nothing of a topic that is only compacted, until somebody sets it to be deleted from, too.
    let policy = "cleanup.policy=[compact,delete]";
    cluster.tool(
        "kafka.admin.ConfigCommand",
        &["--alter", "--topic", &state, "--add-config", policy],
    );
    cluster.delete_before(&state, 0, cluster.ends(&state)[0] / 2);
    let mut process = engine.run();
    assert_eq!(process.wait(LIMIT).code(), Some(4));
    let lines = process.lines();
    let hints = ["fusor topics create", "fusor state rebuild"];
    let told = |line: &String| hints.iter().all(|hint| line.contains(hint));
    assert!(lines.iter().any(told), "{lines:#?}");

    cluster.tool(TOPICS_TOOL, &["--delete", "--topic", &state]);
    eventually("the new topic", LIMIT, || {
        (engine.create_topics().code() == Some(0)).then_some(())
    });
    eventually("a group without members", LIMIT, || {
        (engine.tell(&["state", "rebuild", "--yes"]).0 == Some(0)).then_some(())
    });
    let process = engine.run();
    eventually("the next generation of every incident", LIMIT, || {
        assert!(process.is_running());
        let incidents = last_revisions(&cluster.read(&engine.incidents(), Isolation::Committed));
        assert!(incidents.keys().eq(before.keys()));
        let next = |incident: &Value| incident["generation"] == 2;
        incidents.values().all(next).then_some(())
    });
    engine.wait_until_done(&process);
    engine.stop(process);
    let (code, answer, said) = engine.tell(engine::CHECKS[0]);
    assert_eq!(code, Some(0), "{answer}{said}");
}

/// Brokers forget the offsets of a group that is away for long. The state has them, too.
#[test]
fn offsets_that_the_group_has_forgotten_are_not_missed() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let engine = Engine::new(&cluster, "fusor");
    run_through(&cluster, &engine, 1_000);
    cluster.tool(
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        &["--delete", "--group", "fusor"],
    );
    assert_eq!(engine.consumed(), 0);
    let more = traffic(500).records;
    let num_more = i64::try_from(more.len()).unwrap();
    cluster.produce(more);
    let process = engine.run();
    engine.wait_until_done(&process);
    assert_eq!(engine.metric("fusor_records_consumed_total"), num_more);
    engine.stop(process);
    assert_all_is_well(&cluster, &engine);
}

/// Nothing behind an open transaction of somebody else is read, and everything is once it ends.
#[test]
fn a_foreign_transaction_in_an_input_is_waited_for() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let engine = Engine::new(&cluster, "fusor");
    let topic = TOPICS[0].0;
    let foreign = open_transaction(&cluster, topic, b"\"foreign\"");
    cluster.produce(traffic(1_000).records);
    let process = engine.run();
    let others: i64 = TOPICS[1..]
        .iter()
        .flat_map(|(topic, _)| cluster.ends(topic))
        .sum();
    let elsewhere = others + cluster.ends(topic)[1];
    eventually("what lies elsewhere", LIMIT, || {
        assert!(process.is_running());
        (engine.consumed() == elsewhere).then_some(())
    });
    assert_eq!(cluster.committed("fusor", topic)[0].unwrap_or(0), 0);
    eventually("the alarm", LIMIT, || {
        (engine.seconds(STUCK) > 1.0).then_some(())
    });
    foreign.abort_transaction(LIMIT).unwrap();
    // Something behind the abort's marker, so that the last offset is that of a record.
    cluster.produce(traffic(100).records);
    engine.wait_until_done(&process);
    eventually("the end of the alarm", LIMIT, || {
        (engine.seconds(STUCK) < 0.1).then_some(())
    });
    engine.stop(process);
    assert_all_is_well(&cluster, &engine);
}

/// A restore ends at its claim, not where an open transaction of somebody else keeps readers: it waits, and then says why.
#[test]
fn a_foreign_transaction_in_the_state_ends_the_wait_with_a_word() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let engine = Engine::new(&cluster, "fusor");
    let foreign = open_transaction(&cluster, &engine.state(), b"foreign");
    cluster.produce(traffic(1_000).records);
    let mut process = engine.run();
    assert_eq!(process.wait(LIMIT).code(), Some(4));
    assert_eq!(engine.consumed(), 0, "not begun with half of the state");
    let lines = process.lines();
    let told =
        |line: &String| line.contains("offset 0") && line.contains("another program's transaction");
    assert!(lines.iter().any(told), "{lines:#?}");
    foreign.abort_transaction(LIMIT).unwrap();
    let process = engine.run();
    engine.wait_until_done(&process);
    engine.stop(process);
    assert_all_is_well(&cluster, &engine);
}

/// Members come and go all the time, some in good order and some not.
#[test]
fn a_storm_of_rebalances_costs_nothing() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let setup = Setup {
        group: "fusor",
        epoch_records: 250,
        shards: NUM_PARTITIONS,
    };
    let [steady, coming] = [(); 2].map(|()| Engine::set_up(&cluster, setup));
    let traffic = traffic(60_000);
    cluster.produce(traffic.records.iter().cloned());
    let process = steady.run();
    steady.wait_until_past(&process, 0);
    for round in 0..8 {
        let mut member = coming.run();
        member.wait_for_line("shard assigned", LIMIT);
        if round % 2 == 0 {
            coming.stop(member);
        } else {
            member.kill();
        }
    }
    steady.wait_until_done(&process);
    steady.stop(process);
    assert_all_is_well(&cluster, &steady);
    assert_broken_are_kept(&cluster, &steady, &traffic);
}

/// The network falls silent in each direction, is cut, delays and trickles, while records are read and written.
#[test]
fn a_network_that_fails_costs_nothing() {
    let Some(cluster) = Cluster::start_behind_proxies(3) else {
        return;
    };
    for (topic, _) in TOPICS {
        cluster.create_topic(topic, NUM_PARTITIONS);
    }
    let engine = Engine::with_epochs(&cluster, "fusor", 250);
    let traffic = traffic(30_000);
    let faults = [
        Fault::Cut,
        silent(true, false),
        silent(false, true),
        Fault::Delay(Duration::from_millis(300)),
        Fault::Slow(64 << 10),
    ];
    let process = engine.run();
    let some = traffic.records.len().div_ceil(faults.len());
    for (number, (records, fault)) in traffic.records.chunks(some).zip(faults).enumerate() {
        let before = engine.consumed();
        cluster.produce(records.iter().cloned());
        engine.wait_until_past(&process, before);
        let proxy = cluster.proxy(number % 3);
        proxy.set(fault, Scope::All);
        let until = Instant::now() + Duration::from_secs(6);
        eventually("six seconds", LIMIT, || {
            assert!(process.is_running(), "ended under {fault:?}");
            (Instant::now() > until).then_some(())
        });
        proxy.heal();
    }
    engine.wait_until_done(&process);
    engine.stop(process);
    assert_broken_are_kept(&cluster, &engine, &traffic);
    assert_all_is_well(&cluster, &engine);
}

/// The end of a transaction is held up on its way until the client has given up on it and gone on over new connections.
#[test]
fn an_end_of_a_transaction_that_comes_late_tears_nothing() {
    let Some(cluster) = Cluster::start_behind_proxies(1) else {
        return;
    };
    for (topic, _) in TOPICS {
        cluster.create_topic(topic, NUM_PARTITIONS);
    }
    let engine = Engine::with_epochs(&cluster, "fusor", 250);
    let traffic = traffic(20_000);
    cluster.produce(traffic.records.iter().cloned());
    let features = cluster.tool("org.apache.kafka.tools.FeatureCommand", &["describe"]);
    let newest = |line: &str| {
        line.contains("transaction.version") && line.contains("FinalizedVersionLevel: 2")
    };
    assert!(
        features.lines().any(newest),
        "brokers that order transactions better than the client can: {features}"
    );
    let process = engine.run_with("after_send_offsets=5*off->1*pause");
    process.wait_for_line("failpoint: pause", LIMIT);
    let before = engine.consumed();
    cluster.proxy(0).set(silent(true, true), Scope::Open);
    process.signal(Signal::Cont);
    engine.wait_until_past(&process, before);
    cluster.proxy(0).heal();
    engine.wait_until_done(&process);
    engine.stop(process);
    assert_broken_are_kept(&cluster, &engine, &traffic);
    assert_all_is_well(&cluster, &engine);
}

fn silent(to_broker: bool, to_clients: bool) -> Fault {
    Fault::Silent {
        to_broker,
        to_clients,
    }
}

fn run_through(cluster: &Cluster, engine: &Engine<'_>, num_alerts: usize) {
    cluster.produce(traffic(num_alerts).records);
    let process = engine.run();
    engine.wait_until_done(&process);
    engine.stop(process);
}

/// Opens a transaction with one record in partition 0.
fn open_transaction(cluster: &Cluster, topic: &str, value: &[u8]) -> BaseProducer {
    let producer: BaseProducer = cluster
        .client()
        .set("transactional.id", "foreign")
        .set("transaction.timeout.ms", "600000")
        .create()
        .unwrap();
    producer.init_transactions(LIMIT).unwrap();
    producer.begin_transaction().unwrap();
    let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic)
        .partition(0)
        .key(b"foreign".as_slice())
        .payload(value);
    producer.send(record).unwrap();
    producer.flush(LIMIT).unwrap();
    producer
}

/// Nothing lost, nothing doubled, the state what the inputs make of it in the recorded order.
fn assert_all_is_well(cluster: &Cluster, engine: &Engine<'_>) {
    let incidents = cluster.read(&engine.incidents(), Isolation::Committed);
    assert_revisions_rise(&incidents);
    assert!(!last_revisions(&incidents).is_empty());
    for args in engine::CHECKS {
        let (code, answer, said) = engine.tell(args);
        assert_eq!(code, Some(0), "{args:?}: {answer}{said}");
    }
}

const STUCK: &str = "fusor_lso_stuck_seconds";
const TOPICS_TOOL: &str = "org.apache.kafka.tools.TopicCommand";

/// Far above what any step takes on a loaded machine.
const LIMIT: Duration = Duration::from_secs(240);
