//! The program against real brokers.

mod commands;
mod crash;
mod delivery;
mod faults;
mod recovery;
mod ingest;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;
use tests::{
    crash::{last_revisions, rising},
    engine::{self, Engine},
    kafka::{Cluster, Isolation, Outgoing, Record, free_ports},
    process::Signal,
    traffic::{Broken, TOPICS, Traffic, Volume},
};

#[test]
fn three_brokers_serve_while_one_is_dead() {
    let Some(cluster) = Cluster::start(3) else {
        return;
    };
    cluster.create_topic("alerts", 1);
    let record = Outgoing {
        topic: "alerts".to_owned(),
        partition: 0,
        value: b"{}".to_vec(),
        timestamp: 0,
    };
    cluster.kill(2);
    cluster.produce(vec![record; 100]);
    cluster.restart(2);
    assert_eq!(cluster.read("alerts", Isolation::Committed).len(), 100);
}

/// A hundred thousand alerts, waiting in three topics in two formats.
#[test]
fn alerts_come_out_as_incidents_once() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let engine = Engine::new(&cluster, "fusor");
    let traffic = Traffic::new(Volume {
        seed: 7,
        num_alerts: 100_000,
        num_attacks: 12,
        num_broken: 100,
        num_repeated: 200,
    });
    let num_records = i64::try_from(traffic.records.len()).unwrap();
    cluster.produce(traffic.records.iter().cloned());
    let process = engine.run();
    engine.wait_until_done(&process);

    assert_eq!(engine.consumed(), num_records);
    for (metric, expected) in [
        ("fusor_records_consumed_total", num_records),
        ("fusor_alerts_consumed_total", num_records - 100),
        ("fusor_alerts_deduplicated_total", 200),
        ("fusor_dlq_records_total", 100),
    ] {
        assert_eq!(engine.metric(metric), expected, "{metric}");
    }
    assert_eq!(engine.lag(), 0, "with the member active");

    engine.stop(process);
    assert_broken_are_kept(&cluster, &engine, &traffic);
    let incidents = cluster.read(&engine.incidents(), Isolation::Committed);
    assert_revisions_rise(&incidents);
    assert_attacks_are_found(&incidents, &traffic);

    cluster.produce(traffic.records.iter().take(10).cloned());
    assert_eq!(engine.lag(), 10, "without a member");
}

#[test]
fn the_same_topics_give_the_same_incidents() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    cluster.produce(traffic(20_000).records);
    let published = [("one", 5_000), ("two", 700)].map(|(group, epoch_records)| {
        let engine = Engine::with_epochs(&cluster, group, epoch_records);
        let process = engine.run();
        engine.wait_until_done(&process);
        engine.stop(process);
        let incidents = cluster.read(&engine.incidents(), Isolation::Committed);
        assert!(!incidents.is_empty());
        last_revisions(&incidents)
    });
    assert_eq!(published[0], published[1]);
}

#[test]
fn a_stopped_engine_goes_on_where_it_was() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let engine = Engine::with_epochs(&cluster, "fusor", 250);
    let traffic = traffic(40_000);
    let num_records = i64::try_from(traffic.records.len()).unwrap();
    cluster.produce(traffic.records.iter().cloned());
    let process = engine.run();
    engine.wait_until_past(&process, 0);
    engine.stop(process);

    let before = engine.consumed();
    assert!(before < num_records, "stopped in the middle");
    let process = engine.run();
    engine.wait_until_done(&process);
    let after = engine.metric("fusor_records_consumed_total");
    assert_eq!(after, num_records - before, "only what was not committed");
    engine.stop(process);
    assert_broken_are_kept(&cluster, &engine, &traffic);
    assert_revisions_rise(&cluster.read(&engine.incidents(), Isolation::Committed));
}

#[test]
fn a_killed_engine_loses_and_doubles_nothing() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let engine = Engine::with_epochs(&cluster, "fusor", 250);
    let traffic = traffic(40_000);
    let num_records = i64::try_from(traffic.records.len()).unwrap();
    cluster.produce(traffic.records.iter().cloned());
    let mut kills = 0;
    let mut consumed = 0;
    while kills < 3 {
        let mut process = engine.run();
        engine.wait_until_past(&process, consumed);
        process.kill();
        consumed = engine.consumed();
        if consumed == num_records {
            break;
        }
        kills += 1;
    }
    assert!(kills > 0, "killed in the middle");
    let process = engine.run();
    engine.wait_until_done(&process);
    engine.stop(process);
    assert_broken_are_kept(&cluster, &engine, &traffic);
    assert_revisions_rise(&cluster.read(&engine.incidents(), Isolation::Committed));
}

/// Frozen for longer than its membership lasts, it wakes up in the belief that the shard is still its own.
#[test]
fn a_frozen_engine_is_fenced_when_it_thaws() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let [first, second] = [(); 2].map(|()| Engine::with_epochs(&cluster, "fusor", 250));
    let traffic = traffic(40_000);
    cluster.produce(traffic.records.iter().cloned());
    let frozen = first.run();
    first.wait_until_past(&frozen, 0);
    frozen.signal(Signal::Stop);
    let standby = second.run();
    second.wait_until_past(&standby, second.consumed());
    frozen.signal(Signal::Cont);
    second.wait_until_done(&standby);
    first.stop(frozen);
    second.stop(standby);
    assert_broken_are_kept(&cluster, &second, &traffic);
    assert_revisions_rise(&cluster.read(&second.incidents(), Isolation::Committed));
}

/// Each broker dies once, among them the coordinators of the group and of the transactions and the leaders of the topics.
#[test]
fn dead_brokers_lose_and_double_nothing() {
    let Some(cluster) = engine::brokers(3) else {
        return;
    };
    let engine = Engine::with_epochs(&cluster, "fusor", 250);
    let process = engine.run();
    let traffic = traffic(24_000);
    let third = traffic.records.len().div_ceil(3);
    for (node, records) in traffic.records.chunks(third).enumerate() {
        let before = engine.consumed();
        cluster.produce(records.iter().cloned());
        engine.wait_until_past(&process, before);
        cluster.kill(node);
        engine.wait_until_done(&process);
        cluster.restart(node);
    }
    engine.stop(process);
    assert_broken_are_kept(&cluster, &engine, &traffic);
    assert_revisions_rise(&cluster.read(&engine.incidents(), Isolation::Committed));
}

#[test]
fn topics_are_created_once() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let engine = Engine::new(&cluster, "fusor");
    assert_eq!(engine.create_topics().code(), Some(0), "a second time");
    let incidents = cluster.tool(
        "org.apache.kafka.tools.TopicCommand",
        &["--describe", "--topic", &engine.incidents()],
    );
    assert!(incidents.contains("cleanup.policy=compact"), "{incidents}");
}

#[test]
fn what_cannot_run_says_so_by_its_exit_code() {
    let limit = Duration::from_secs(120);
    let wrong = "version: 1\nkafka: {brokers: []}\nspeed: 9\n";
    assert_eq!(engine::exit_code(wrong, limit), Some(3));
    let nobody = format!(
        "version: 1\nkafka: {{brokers: ['127.0.0.1:{}']}}\ninputs: [{{topic: alerts}}]\n",
        free_ports(1)[0]
    );
    assert_eq!(engine::exit_code(&nobody, limit), Some(4));
}

fn traffic(num_alerts: usize) -> Traffic {
    Traffic::new(Volume {
        seed: 11,
        num_alerts,
        num_attacks: 6,
        num_broken: 200,
        num_repeated: 50,
    })
}

/// Every broken record is on the dead-letter topic once, its bytes untouched, with the reason and the place it came from.
fn assert_broken_are_kept(cluster: &Cluster, engine: &Engine<'_>, traffic: &Traffic) {
    let letters = cluster.read(&engine.dead_letters(), Isolation::Committed);
    let mut kept: Vec<(&str, &[u8], &str)> = letters
        .iter()
        .map(|letter| {
            (
                letter.header("fusor.dlq.topic"),
                letter.value.as_deref().unwrap(),
                letter.header("fusor.dlq.code"),
            )
        })
        .collect();
    kept.sort_unstable();
    let mut broken: Vec<&Broken> = traffic.broken.iter().collect();
    broken.sort_unstable();
    assert_eq!(kept.len(), broken.len());
    for (kept, broken) in kept.into_iter().zip(broken) {
        assert_eq!(kept, (broken.topic, broken.value.as_slice(), broken.reason));
    }
    for (topic, _) in TOPICS {
        let source = cluster.read(topic, Isolation::Committed);
        let at: BTreeMap<(String, String), &Record> = source
            .iter()
            .map(|record| {
                let place = (record.partition.to_string(), record.offset.to_string());
                (place, record)
            })
            .collect();
        for letter in &letters {
            if letter.header("fusor.dlq.topic") == topic {
                let place = ["partition", "offset"]
                    .map(|part| letter.header(&format!("fusor.dlq.{part}")).to_owned());
                assert_eq!(letter.value, at[&place.into()].value);
            }
        }
    }
}

/// A reader of committed records sees the revisions of each incident rise, each once.
fn assert_revisions_rise(incidents: &[Record]) {
    assert!(!incidents.is_empty(), "there are incidents");
    rising(incidents).unwrap();
}

/// Each attack is in an incident of its own: most of its steps, and no step of another.
fn assert_attacks_are_found(incidents: &[Record], traffic: &Traffic) {
    let open: Vec<BTreeSet<String>> = last_revisions(incidents)
        .values()
        .filter(|incident| incident["status"] != "merged")
        .map(native_uids)
        .collect();
    for steps in &traffic.attacks {
        let most = open
            .iter()
            .max_by_key(|uids| steps.iter().filter(|step| uids.contains(*step)).count())
            .unwrap();
        let found = steps.iter().filter(|step| most.contains(*step)).count();
        assert!(found * 2 > steps.len(), "{found} of {steps:?}");
        let foreign = traffic
            .attacks
            .iter()
            .filter(|other| *other != steps)
            .flatten()
            .filter(|step| most.contains(*step))
            .count();
        assert_eq!(foreign, 0, "steps of other attacks beside {steps:?}");
    }
}

fn native_uids(incident: &Value) -> BTreeSet<String> {
    let alerts = incident["alerts"].as_array().unwrap();
    alerts
        .iter()
        .map(|alert| alert["native_uid"].as_str().unwrap().to_owned())
        .collect()
}
