use std::time::Duration;

use super::*;
use crate::bus::{Bus, BusError, Change, Epoch, Lane, Moved, Polled, Reading, Request, inputs_of};

mod commit;
mod compaction;
mod group;
mod transaction;

const TOPIC: &str = "in";

fn new_record(topic: &str, partition: i32, value: &str) -> NewRecord {
    NewRecord {
        topic: topic.into(),
        partition: Some(partition),
        timestamp: None,
        key: Some(value.as_bytes().to_vec()),
        value: Some(value.as_bytes().to_vec()),
        headers: Vec::new(),
    }
}

fn memory(partitions: u16, values: &[(i32, &str)]) -> Memory {
    let memory = Memory::new();
    memory.create_topic(TOPIC, partitions, Keep::All);
    memory.create_topic("out", 1, Keep::All);
    for (partition, value) in values {
        memory
            .produce(new_record(TOPIC, *partition, value))
            .unwrap();
    }
    memory
}

fn request(records_max: usize) -> Request {
    Request {
        records_max,
        bytes_max: 1 << 20,
        wait: Duration::ZERO,
        collect: Duration::ZERO,
    }
}

fn poll(bus: &mut MemoryBus, records_max: usize) -> (Vec<Change>, Vec<String>) {
    let polled = poll_wanted(bus, records_max, &|_| true);
    let text = |record: &Record| String::from_utf8(record.value.clone().unwrap()).unwrap();
    let records = polled.records.iter().map(|(_, r)| text(r)).collect();
    (polled.changes, records)
}

/// Polls, and begins to read at the committed offsets what was just handed out.
fn poll_wanted(bus: &mut MemoryBus, records_max: usize, wanted: &dyn Fn(Lane) -> bool) -> Polled {
    let mut polled = bus.poll(&request(records_max), wanted).unwrap();
    let mut assigned = false;
    for change in &polled.changes {
        if let Change::Assigned { shard, inputs } = change {
            let next = inputs.iter().map(|input| {
                let committed = input.committed.map(|committed| committed.next);
                (input.lane, committed)
            });
            bus.begin(*shard, &next.collect::<Vec<_>>()).unwrap();
            assigned = true;
        }
    }
    if assigned {
        let more = bus.poll(&request(records_max), wanted).unwrap();
        polled.records.extend(more.records);
    }
    polled
}

fn epoch(value: &str, offsets: &[(i32, i64)]) -> Epoch {
    let offset = |(number, next): &(i32, i64)| Moved {
        partition: Partition {
            topic: TOPIC.into(),
            number: *number,
        },
        next: *next,
        epoch: 1,
        writer: 1,
    };
    Epoch {
        records: vec![new_record("out", 0, value)],
        offsets: offsets.iter().map(offset).collect(),
    }
}

fn join(memory: &Memory, shards: i32) -> MemoryBus {
    MemoryBus::join(memory, &[TOPIC.into()], shards)
}

#[test]
fn an_epoch_is_written_whole_with_its_offsets() {
    let memory = memory(1, &[(0, "a"), (0, "b")]);
    let mut bus = join(&memory, 1);
    assert_eq!(poll(&mut bus, 1).1, ["a"]);
    bus.commit(&epoch("x", &[(0, 1)])).unwrap();
    assert_eq!(memory.read("out", 0).len(), 1);
    assert_eq!(memory.committed(TOPIC, 0), Some(1));
    drop(bus);
    let mut next = join(&memory, 1);
    assert_eq!(
        poll(&mut next, 9).1,
        ["b"],
        "read from the committed offset"
    );
}

#[test]
fn an_epoch_that_cannot_be_written_whole_writes_nothing() {
    let memory = memory(1, &[(0, "a")]);
    let mut bus = join(&memory, 1);
    poll(&mut bus, 9);
    let mut bad = epoch("x", &[(0, 1)]);
    bad.records.push(new_record("nowhere", 0, "y"));
    assert!(matches!(bus.commit(&bad), Err(CommitError::Aborted { .. })));
    assert!(memory.read("out", 0).is_empty());
    assert_eq!(memory.committed(TOPIC, 0), None);
}

#[test]
fn with_several_shards_each_reads_its_own_partition() {
    let memory = memory(2, &[(0, "a"), (1, "b")]);
    let (changes, records) = poll(&mut join(&memory, 2), 9);
    let lanes = |change: &Change| match change {
        Change::Assigned { shard, inputs } => (*shard, inputs[0].partition.number, inputs.len()),
        Change::Revoked { .. } => panic!("nothing to take away"),
    };
    let shards: Vec<_> = changes.iter().map(lanes).collect();
    assert_eq!(shards, [(0, 0, 1), (1, 1, 1)]);
    assert_eq!(records, ["a", "b"]);
}

#[test]
fn shards_need_as_many_partitions_in_every_input() {
    let error = join(&memory(3, &[]), 2).poll(&request(1), &|_| true);
    assert_eq!(
        error.unwrap_err().to_string(),
        "with 2 shards every input needs 2 partitions: in has 3"
    );
}

#[test]
fn a_shard_that_was_not_there_at_the_start_is_refused() {
    let topics = [(Arc::from(TOPIC), 3)];
    assert_eq!(inputs_of(0, 1, &topics).unwrap().len(), 3);
    for shard in [-1, 1] {
        let error = inputs_of(shard, 1, &topics).unwrap_err();
        assert!(matches!(error, BusError::Topics { .. }), "{error}");
    }
}

#[test]
fn a_lane_that_is_not_wanted_is_held_back() {
    let memory = memory(2, &[(0, "a"), (1, "b")]);
    let mut bus = join(&memory, 1);
    let polled = poll_wanted(&mut bus, 9, &|lane| lane == Lane(1));
    assert_eq!(polled.records.len(), 1);
    assert_eq!(bus.reading(Lane(0)), Reading::Behind);
    assert_eq!(bus.reading(Lane(1)), Reading::AtEnd);
}

#[test]
fn a_feed_is_read_only_as_far_as_asked_and_kept_until_committed() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let memory = Memory::new();
    memory.create_topic(TOPIC, 1, Keep::Uncommitted);
    memory.create_topic("out", 1, Keep::Nothing);
    let drawn = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&drawn);
    let feed = (0..10).map(move |number| {
        counter.fetch_add(1, Ordering::Relaxed);
        new_record(TOPIC, 0, &number.to_string())
    });
    memory.feed(TOPIC, 0, Box::new(feed)).unwrap();
    let mut bus = join(&memory, 1);
    assert_eq!(poll(&mut bus, 3).1, ["0", "1", "2"]);
    assert_eq!(drawn.load(Ordering::Relaxed), 3);
    memory.rebalance();
    poll(&mut bus, 2);
    assert_eq!(
        poll(&mut bus, 2).1,
        ["0", "1"],
        "not committed, so read again"
    );
    bus.commit(&epoch("x", &[(0, 2)])).unwrap();
    assert_eq!(memory.read(TOPIC, 0).len(), 1);
    assert_eq!(poll(&mut bus, 99).1.len(), 8);
    assert_eq!(bus.reading(Lane(1)), Reading::Closed);
    assert!(memory.read("out", 0).is_empty());
}

#[test]
fn a_record_without_a_partition_goes_where_its_key_says() {
    let memory = memory(3, &[]);
    for key in 0..30 {
        let mut record = new_record(TOPIC, 0, &format!("{}", key % 10));
        record.partition = None;
        memory.produce(record).unwrap();
    }
    let counts: Vec<usize> = (0..3).map(|p| memory.read(TOPIC, p).len()).collect();
    assert_eq!(counts.iter().sum::<usize>(), 30);
    for partition in 0..3 {
        let mut records = memory.read(TOPIC, partition);
        records.retain(|record| record.key.as_deref() == Some(b"7"));
        assert!(
            records.is_empty() || records.len() == 3,
            "one key, one place"
        );
    }
}

#[test]
fn a_broker_with_a_clock_stamps_what_has_no_time_of_its_own() {
    let memory = simulated();
    memory.advance(5);
    memory.produce(new_record(TOPIC, 0, "a")).unwrap();
    let mut timed = new_record(TOPIC, 0, "b");
    timed.timestamp = Some(7);
    memory.produce(timed).unwrap();
    let times: Vec<_> = memory.read(TOPIC, 0).iter().map(|r| r.timestamp).collect();
    assert_eq!(times, [Some(START + 5), Some(7)]);
    assert_eq!(join(&memory, 1).now(), Timestamp(START + 5));
}

#[test]
fn a_poll_that_finds_nothing_lets_its_wait_pass() {
    let memory = simulated();
    let mut bus = join(&memory, 1);
    poll(&mut bus, 9);
    let mut request = request(9);
    request.wait = Duration::from_millis(40);
    bus.poll(&request, &|_| true).unwrap();
    assert_eq!(bus.now(), Timestamp(START + 40));
}

#[test]
fn reading_on_where_retention_has_been_is_an_error() {
    let memory = memory(1, &[(0, "a"), (0, "b"), (0, "c")]);
    let mut bus = join(&memory, 1);
    assert_eq!(poll(&mut bus, 1).1, ["a"]);
    memory.delete_before(TOPIC, 0, 2).unwrap();
    let error = bus.poll(&request(9), &|_| true).unwrap_err();
    assert_eq!(
        error.to_string(),
        "offset 1 of in/0 is no longer in the log"
    );
    let mut next = {
        drop(bus);
        join(&memory, 1)
    };
    assert_eq!(
        poll(&mut next, 9).1,
        ["c"],
        "from the start of what is left"
    );
}

#[test]
fn the_state_is_read_committed_from_anywhere_and_missed_when_it_was_cut() {
    let memory = memory(1, &[]);
    let mut bus = join(&memory, 1).with_state("out");
    for value in ["a", "b", "c"] {
        memory.produce(new_record("out", 0, value)).unwrap();
    }
    let read = bus.read_state(0, 1, &request(1)).unwrap();
    assert_eq!((read.records.len(), read.next), (1, 2));
    memory.delete_before("out", 0, 1).unwrap();
    for (from, there) in [(0, false), (1, true), (3, true), (4, false)] {
        let read = bus.read_state(0, from, &request(9));
        assert_eq!(read.is_ok(), there, "{from}");
    }
    memory.truncate("out", 0);
    assert!(bus.read_state(0, 3, &request(9)).is_err());
    assert!(
        bus.read_state(0, 0, &request(9))
            .unwrap()
            .records
            .is_empty()
    );
}

const START: i64 = 1_000_000;

/// A broker with a clock, one input and one output partition.
fn simulated() -> Memory {
    let memory = Memory::simulated(Timestamp(START), Timing::default());
    memory.create_topic(TOPIC, 1, Keep::All);
    memory.create_topic("out", 1, Keep::All);
    memory
}

fn values(records: &[Arc<Record>]) -> Vec<String> {
    let text = |r: &Arc<Record>| String::from_utf8(r.value.clone().unwrap()).unwrap();
    records.iter().map(text).collect()
}
