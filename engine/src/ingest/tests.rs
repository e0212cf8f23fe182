use schemas::decode::Limits;

use super::*;
use crate::bus::memory::{Keep, Memory, MemoryBus};
use crate::source::Source;

const RECORD: &str = r#"[{"id":"a","tenant":"x","time":"2026-01-05T00:01:00Z","title":"t"},
    {"id":"b","tenant":"y","time":"2026-01-05T00:02:00Z","title":"t"}]"#;

fn decoder(source: (&str, Source)) -> Decoder {
    Decoder {
        sources: Sources::new([(source.0.to_owned(), source.1)]),
        limits: Limits::default(),
        clamp: Some(Clamp::default()),
        threads: 1,
    }
}

fn memory(values: &[&str]) -> Memory {
    let memory = Memory::new();
    for topic in ["vendor", "alerts", "dead"] {
        memory.create_topic(topic, 1, Keep::All);
    }
    for value in values {
        produce(&memory, value);
    }
    memory
}

fn produce(memory: &Memory, value: &str) {
    let record = NewRecord {
        topic: "vendor".into(),
        partition: Some(0),
        timestamp: Some(1_767_571_500_000),
        key: None,
        value: Some(value.as_bytes().to_vec()),
        headers: Vec::new(),
    };
    memory.produce(record).unwrap();
}

fn ingest(memory: &Memory) -> Ingest<MemoryBus> {
    let raw = Source::Alerts {
        format: None,
        tenant: None,
    };
    let config = IngestConfig {
        decoder: decoder(("vendor", raw)),
        alerts: "alerts".into(),
        dead_letters: "dead".into(),
        epoch: Request {
            records_max: 2,
            bytes_max: 1 << 20,
            wait: Duration::ZERO,
            collect: Duration::ZERO,
        },
        drain: Duration::ZERO,
    };
    let bus = MemoryBus::join(memory, &["vendor".into()], 1);
    Ingest::new(bus, config, Arc::default(), Arc::default())
}

/// Steps until nothing more comes.
fn drain(ingest: &mut Ingest<MemoryBus>) {
    let mut idle = 0;
    for _ in 0..100 {
        idle = match ingest.step().unwrap() {
            Step::Committed => 0,
            Step::Idle => idle + 1,
        };
        if idle > 3 {
            return;
        }
    }
    panic!("does not come to an end");
}

/// What was written: key, and offset and index of the source.
fn written(memory: &Memory) -> Vec<String> {
    let records = memory.read("alerts", 0);
    let header = |record: &Record, name: &str| {
        let found = record.headers.iter().find(|header| header.name == name);
        String::from_utf8(found.unwrap().value.clone().unwrap()).unwrap()
    };
    let records = records.iter().map(|record| {
        let key = String::from_utf8(record.key.clone().unwrap()).unwrap();
        let [offset, index] =
            ["offset", "index"].map(|name| header(record, &format!("fusor.source.{name}")));
        format!("{key} {offset}.{index}")
    });
    records.collect()
}

#[test]
fn each_alert_of_a_record_becomes_one_keyed_by_its_tenant() {
    let memory = memory(&[RECORD, "{", RECORD]);
    drain(&mut ingest(&memory));
    assert_eq!(written(&memory), ["x 0.0", "y 0.1", "x 2.0", "y 2.1"]);
    assert_eq!(memory.committed("vendor", 0), Some(3));
    let letters = memory.read("dead", 0);
    let values: Vec<_> = letters.iter().map(|letter| letter.value.clone()).collect();
    assert_eq!(values, [Some(b"{".to_vec())]);
}

#[test]
fn what_was_ingested_is_read_as_if_it_came_from_its_source() {
    let memory = memory(&[RECORD]);
    drain(&mut ingest(&memory));
    let keyed = decoder(("alerts", Source::Keyed));
    for (record, uid) in memory.read("alerts", 0).into_iter().zip(["a", "b"]) {
        let decoded = keyed.decode(record);
        let [alert] = decoded.alerts() else {
            panic!("{decoded:?}")
        };
        let place = &alert.provenance;
        assert_eq!((place.topic.as_str(), place.offset), ("vendor", 0));
        assert_eq!(alert.source.native_uid, uid);
        assert_eq!(alert.ingest_time.millis(), 1_767_571_500_000);
    }
}

#[test]
fn an_alert_that_was_clamped_is_not_moved_again() {
    let far = RECORD.replace("2026-01-05", "2031-01-05");
    let memory = memory(&[&far]);
    drain(&mut ingest(&memory));
    let record = Arc::unwrap_or_clone(memory.read("alerts", 0).remove(0));
    // Written a month after its source had it: by that time it would be moved to another place.
    let later = Record {
        timestamp: Some(1_767_571_500_000 + 30 * 86_400_000),
        ..record
    };
    let decoded = decoder(("alerts", Source::Keyed)).decode(Arc::new(later));
    let alert = &decoded.alerts()[0];
    let latest = 1_767_571_500_000 + Clamp::default().future_ms;
    assert_eq!(alert.start_time.millis(), latest);
    let label = &alert.labels[crate::decode::START_TIME_WRITTEN];
    assert_eq!(label, "2031-01-05T00:01:00.000Z");
}

#[test]
fn an_alert_under_the_key_of_another_tenant_is_refused() {
    let memory = memory(&[RECORD]);
    drain(&mut ingest(&memory));
    let mut record = Arc::unwrap_or_clone(memory.read("alerts", 0).remove(0));
    record.key = Some(b"z".to_vec());
    let decoded = decoder(("alerts", Source::Keyed)).decode(Arc::new(record));
    let Content::Broken(broken) = decoded.content else {
        panic!("{decoded:?}")
    };
    assert_eq!(broken.reason, "invalid_tenant");
}

#[test]
fn a_commit_that_fails_or_was_not_heard_of_doubles_nothing() {
    let memory = memory(&[RECORD, RECORD, RECORD]);
    let problem = || "no broker".to_owned();
    memory.fail_commits([
        CommitError::Aborted { problem: problem() },
        CommitError::Fenced { problem: problem() },
    ]);
    let mut ingest = ingest(&memory);
    drain(&mut ingest);
    memory.lose_answer();
    produce(&memory, RECORD);
    drain(&mut ingest);
    memory.rebalance();
    produce(&memory, RECORD);
    drain(&mut ingest);
    let expected = (0..5).flat_map(|offset| [format!("x {offset}.0"), format!("y {offset}.1")]);
    assert_eq!(written(&memory), expected.collect::<Vec<_>>());
}

#[test]
fn a_stop_does_not_wait_for_brokers_without_end() {
    let memory = memory(&[RECORD]);
    let aborted = CommitError::Aborted {
        problem: "no broker".to_owned(),
    };
    memory.fail_commits(vec![aborted; 100]);
    let mut ingest = ingest(&memory);
    ingest.stop.store(true, Ordering::Relaxed);
    let error = ingest.step().and_then(|_| ingest.step()).unwrap_err();
    assert!(matches!(error, WorkerError::Drain { .. }), "{error}");
}
