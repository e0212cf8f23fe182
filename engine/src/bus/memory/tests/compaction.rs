use super::*;

const STATE: &str = "state";

fn state() -> Memory {
    let memory = simulated();
    memory.create_topic(STATE, 1, Keep::LastOfKey);
    memory
}

fn record(key: &str, value: Option<&str>) -> NewRecord {
    let mut record = new_record(STATE, 0, key);
    record.value = value.map(|value| value.as_bytes().to_vec());
    record
}

fn put(memory: &Memory, key: &str, value: Option<&str>) {
    memory.produce(record(key, value)).unwrap();
}

fn compact(memory: &Memory, below: i64) {
    memory.compact(STATE, 0, below).unwrap();
}

fn offsets(memory: &Memory) -> Vec<i64> {
    memory.read(STATE, 0).iter().map(|r| r.offset).collect()
}

/// What a reader from the start ends with.
fn table(memory: &Memory) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut table = BTreeMap::new();
    for record in memory.read(STATE, 0) {
        let key = record.key.clone().unwrap();
        match record.value.clone() {
            Some(value) => table.insert(key, value),
            None => table.remove(&key),
        };
    }
    table
}

#[test]
fn writing_compacts_nothing() {
    let memory = state();
    for value in ["1", "2"] {
        put(&memory, "k", Some(value));
    }
    assert_eq!(offsets(&memory), [0, 1]);
}

#[test]
fn the_last_record_of_a_key_stays_where_it_is() {
    let memory = state();
    for (key, value) in [("k", "1"), ("l", "2"), ("k", "3")] {
        put(&memory, key, Some(value));
    }
    compact(&memory, 3);
    assert_eq!(offsets(&memory), [1, 2]);
    assert_eq!(memory.ends(STATE, 0), Some((3, 3)));
}

#[test]
fn what_is_still_written_to_is_left_alone() {
    let memory = state();
    for value in ["1", "2", "3"] {
        put(&memory, "k", Some(value));
    }
    compact(&memory, 2);
    assert_eq!(offsets(&memory), [1, 2]);
}

#[test]
fn nothing_is_compacted_beyond_the_last_stable_offset() {
    let memory = state();
    put(&memory, "k", Some("1"));
    let mut producer = Producer::init(&memory, "p");
    producer.send(&record("k", Some("2"))).unwrap();
    compact(&memory, 99);
    producer.end(false).unwrap();
    assert_eq!(offsets(&memory), [0]);
}

#[test]
fn an_aborted_record_hides_no_committed_one() {
    let memory = state();
    put(&memory, "k", Some("1"));
    let mut producer = Producer::init(&memory, "p");
    producer.send(&record("k", Some("2"))).unwrap();
    producer.end(false).unwrap();
    compact(&memory, 99);
    assert_eq!(offsets(&memory), [0]);
    assert_eq!(
        memory.read_uncommitted(STATE, 0).len(),
        1,
        "aborted ones go"
    );
}

#[test]
fn a_tombstone_outlives_its_compaction_until_its_time_is_over() {
    let memory = state();
    put(&memory, "k", Some("1"));
    put(&memory, "k", None);
    compact(&memory, 9);
    assert_eq!(offsets(&memory), [1]);
    memory.advance(Timing::default().tombstone - 1);
    compact(&memory, 9);
    assert_eq!(offsets(&memory), [1]);
    memory.advance(1);
    compact(&memory, 9);
    assert!(offsets(&memory).is_empty());
    assert!(table(&memory).is_empty());
}

#[test]
fn a_broker_without_a_clock_compacts_what_has_doubled() {
    let memory = Memory::new();
    memory.create_topic(STATE, 1, Keep::LastOfKey);
    memory.create_topic(TOPIC, 1, Keep::All);
    let mut bus = join(&memory, 1);
    poll(&mut bus, 1);
    for round in 0..20 {
        let keys = (0..500).map(|key| record(&key.to_string(), Some("v")));
        let epoch = Epoch {
            records: keys.collect(),
            offsets: Vec::new(),
        };
        bus.commit(&epoch).unwrap();
        let held = memory.read(STATE, 0).len();
        assert!(held <= 2_500, "{held} records of 500 keys in round {round}");
    }
    assert_eq!(table(&memory).len(), 500);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Act {
        Put(u8, Option<u8>),
        Transaction(Vec<(u8, Option<u8>)>, bool),
        Compact(u8),
        Wait,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let entry = || (0..5_u8, proptest::option::of(any::<u8>()));
        let act = prop_oneof![
            entry().prop_map(|(key, value)| Act::Put(key, value)),
            (proptest::collection::vec(entry(), 1..4), any::<bool>())
                .prop_map(|(entries, commit)| Act::Transaction(entries, commit)),
            any::<u8>().prop_map(Act::Compact),
            Just(Act::Wait),
        ];
        proptest::collection::vec(act, 0..60)
    }

    fn entry(key: u8, value: Option<u8>) -> NewRecord {
        let value = value.map(|value| value.to_string());
        record(&key.to_string(), value.as_deref())
    }

    fn run(memory: &Memory, acts: &[Act], compacts: bool) {
        let mut producer = Producer::init(memory, "p");
        for act in acts {
            match act {
                Act::Put(key, value) => {
                    memory.produce(entry(*key, *value)).unwrap();
                }
                Act::Transaction(entries, commit) => {
                    for (key, value) in entries {
                        producer.send(&entry(*key, *value)).unwrap();
                    }
                    producer.end(*commit).unwrap();
                }
                Act::Compact(below) if compacts => compact(memory, i64::from(*below)),
                Act::Compact(_) => {}
                Act::Wait => memory.advance(Timing::default().tombstone / 2),
            }
        }
    }

    proptest! {
        #[test]
        fn compaction_never_changes_what_a_reader_from_the_start_ends_with(acts in acts()) {
            let (whole, compacted) = (state(), state());
            run(&whole, &acts, false);
            run(&compacted, &acts, true);
            prop_assert_eq!(table(&whole), table(&compacted));
            prop_assert_eq!(whole.ends(STATE, 0), compacted.ends(STATE, 0));
        }
    }
}
