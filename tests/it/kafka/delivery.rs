//! What must neither be lost nor doubled, in the cases nobody hopes for.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};
use tests::{
    engine::{self, CHECKS, Engine},
    eventually,
    kafka::Isolation,
};

use super::{assert_broken_are_kept, assert_revisions_rise, traffic};

/// Far above what any step takes on a loaded machine.
const LIMIT: Duration = Duration::from_secs(240);
const TOPIC: &str = "alerts.endpoint";

#[test]
fn odd_records_are_kept_byte_for_byte() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let engine = Engine::new(&cluster, "fusor");
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", cluster.brokers())
        .create()
        .unwrap();
    let null = Header {
        key: "null",
        value: None::<&[u8]>,
    };
    let empty = || Header {
        key: "",
        value: Some(b"".as_slice()),
    };
    let key = vec![b'k'; 500_000];
    let many = (0..100_000).fold(OwnedHeaders::new(), |all, _| all.insert(empty()));
    let nothing: Option<&[u8]> = None;
    for (key, value, headers) in [
        (None, nothing, OwnedHeaders::new()),
        (None, Some(b"".as_slice()), OwnedHeaders::new().insert(null)),
        (
            Some(key.as_slice()),
            Some(b"{".as_slice()),
            OwnedHeaders::new(),
        ),
        (None, Some(b"[".as_slice()), many),
    ] {
        let mut record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(TOPIC).partition(0).headers(headers);
        record.key = key;
        record.payload = value;
        producer.send(record).unwrap();
    }
    producer.flush(LIMIT).unwrap();
    let process = engine.run();
    engine.wait_until_done(&process);
    engine.stop(process);

    let mut letters = cluster.read(&engine.dead_letters(), Isolation::Committed);
    letters.sort_by_key(|letter| letter.header("fusor.dlq.offset").to_owned());
    let told: Vec<_> = letters
        .iter()
        .map(|letter| {
            (
                letter.key.as_ref().map(Vec::len),
                letter.value.as_deref(),
                letter.header("fusor.dlq.truncated"),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (None, None, ""),
            (None, Some(b"".as_slice()), ""),
            (Some(96 << 10), Some(b"{".as_slice()), "key"),
            (None, Some(b"[".as_slice()), "headers"),
        ]
    );
    assert!(letters[1].headers.contains_key("null"));
}

/// The brokers are away for longer than a membership lasts, with records still to be read.
#[test]
fn an_outage_of_the_brokers_costs_nothing() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let engine = Engine::with_epochs(&cluster, "fusor", 250);
    let traffic = traffic(40_000);
    let num_records = i64::try_from(traffic.records.len()).unwrap();
    cluster.produce(traffic.records.iter().cloned());
    let process = engine.run();
    engine.wait_until_past(&process, 0);
    cluster.kill(0);
    eventually("the end of the membership", LIMIT, || {
        assert_eq!(engine.status("/livez"), 200, "alive whatever Kafka does");
        (engine.status("/readyz") == 503).then_some(())
    });
    cluster.restart(0);
    engine.wait_until_done(&process);
    eventually("readiness", LIMIT, || {
        (engine.status("/readyz") == 200).then_some(())
    });
    assert_eq!(engine.metric("fusor_records_consumed_total"), num_records);
    assert_eq!(
        engine.metric("fusor_alerts_deduplicated_total"),
        50,
        "the state is the one from before"
    );
    engine.stop(process);
    assert_broken_are_kept(&cluster, &engine, &traffic);
    assert_revisions_rise(&cluster.read(&engine.incidents(), Isolation::Committed));
}

#[test]
fn partitions_that_come_later_end_the_engine() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let engine = Engine::new(&cluster, "fusor");
    // With two partitions of the state topic there are two shards, which two partitions of every input fit again.
    for topic in ["fusor.state", TOPIC] {
        let mut process = engine.run();
        eventually("readiness", LIMIT, || {
            assert!(process.is_running(), "ended early");
            (engine.status("/readyz") == 200).then_some(())
        });
        let count = if topic == TOPIC { "3" } else { "2" };
        cluster.tool(
            "org.apache.kafka.tools.TopicCommand",
            &["--alter", "--topic", topic, "--partitions", count],
        );
        assert_eq!(process.wait(LIMIT).code(), Some(4), "{topic}");
    }
}

#[test]
fn a_committed_offset_that_is_gone_ends_the_engine() {
    let Some(cluster) = engine::brokers(1) else {
        return;
    };
    let engine = Engine::new(&cluster, "fusor");
    let records = traffic(1_000).records;
    cluster.produce(records.iter().cloned());
    let process = engine.run();
    engine.wait_until_done(&process);
    engine.stop(process);
    cluster.produce(records);
    let end = cluster.ends(TOPIC)[0];
    cluster.delete_before(TOPIC, 0, end);
    let mut process = engine.run();
    assert_eq!(process.wait(LIMIT).code(), Some(4));
    assert!(
        process
            .lines()
            .iter()
            .any(|line| line.contains("no longer in the log")),
        "{:?}",
        process.lines()
    );
    let (code, answer, said) = engine.tell(CHECKS[0]);
    assert_eq!(code, Some(0), "{answer}{said}");
}
