use super::*;

fn send(producer: &mut Producer, value: &str) -> Result<(Partition, i64), Refusal> {
    producer.send(&new_record("out", 0, value))
}

fn standings(memory: &Memory) -> Vec<Standing> {
    let all = memory.read_uncommitted("out", 0);
    all.into_iter().map(|(_, standing)| standing).collect()
}

fn committed(memory: &Memory) -> Vec<String> {
    values(&memory.read("out", 0))
}

#[test]
fn records_of_an_open_transaction_lie_in_the_log_and_do_not_count_yet() {
    let memory = simulated();
    let mut producer = Producer::init(&memory, "p");
    assert_eq!(send(&mut producer, "x").unwrap().1, 0);
    assert_eq!(standings(&memory), [Standing::Open]);
    assert!(committed(&memory).is_empty());
    assert_eq!(memory.ends("out", 0), Some((1, 0)));
}

#[test]
fn aborted_records_are_skipped_by_readers_of_what_is_committed_and_seen_by_others() {
    let memory = simulated();
    let mut producer = Producer::init(&memory, "p");
    send(&mut producer, "x").unwrap();
    producer.end(false).unwrap();
    send(&mut producer, "y").unwrap();
    producer.end(true).unwrap();
    assert_eq!(standings(&memory), [Standing::Aborted, Standing::Committed]);
    assert_eq!(committed(&memory), ["y"]);
}

#[test]
fn the_marker_of_an_end_takes_an_offset() {
    let memory = simulated();
    let mut producer = Producer::init(&memory, "p");
    for value in ["x", "y"] {
        send(&mut producer, value).unwrap();
        producer.end(true).unwrap();
    }
    let offsets: Vec<i64> = memory.read("out", 0).iter().map(|r| r.offset).collect();
    assert_eq!(offsets, [0, 2]);
    assert_eq!(memory.ends("out", 0), Some((4, 4)));
}

#[test]
fn an_open_transaction_holds_back_what_others_committed_behind_it() {
    let memory = simulated();
    let mut slow = Producer::init(&memory, "slow");
    let mut quick = Producer::init(&memory, "quick");
    send(&mut slow, "x").unwrap();
    send(&mut quick, "y").unwrap();
    quick.end(true).unwrap();
    assert_eq!(memory.ends("out", 0), Some((3, 0)));
    let mut bus = join(&memory, 1).with_state("out");
    assert!(
        bus.read_state(0, 0, &request(9))
            .unwrap()
            .records
            .is_empty()
    );
    slow.end(false).unwrap();
    assert_eq!(committed(&memory), ["y"]);
}

#[test]
fn taking_the_id_aborts_what_is_open_and_fences_who_opened_it() {
    let memory = simulated();
    let mut zombie = Producer::init(&memory, "p");
    send(&mut zombie, "x").unwrap();
    let mut successor = Producer::init(&memory, "p");
    assert_eq!(standings(&memory), [Standing::Aborted]);
    assert_eq!(send(&mut zombie, "y"), Err(Refusal::ProducerFenced));
    assert_eq!(zombie.end(true), Err(Refusal::ProducerFenced));
    send(&mut successor, "z").unwrap();
    successor.end(true).unwrap();
    assert_eq!(committed(&memory), ["z"]);
}

#[test]
fn a_transaction_that_runs_out_of_time_is_aborted_and_its_producer_fenced() {
    let memory = simulated();
    let mut producer = Producer::init(&memory, "p");
    send(&mut producer, "x").unwrap();
    memory.advance(Timing::default().transaction - 1);
    assert_eq!(standings(&memory), [Standing::Open]);
    memory.advance(1);
    assert_eq!(standings(&memory), [Standing::Aborted]);
    assert_eq!(producer.end(true), Err(Refusal::ProducerFenced));
}

#[test]
fn an_end_that_is_asked_for_again_is_answered_the_same() {
    let memory = simulated();
    let mut producer = Producer::init(&memory, "p");
    assert_eq!(producer.end(true), Err(Refusal::InvalidState));
    send(&mut producer, "x").unwrap();
    producer.end(true).unwrap();
    assert_eq!(producer.end(true), Ok(()));
    assert_eq!(producer.end(false), Err(Refusal::InvalidState));
    assert_eq!(committed(&memory), ["x"]);
}

/// An end of the first transaction that is overtaken by its repetition and arrives a second from now.
fn overtaken(memory: &Memory) -> Producer {
    let mut producer = Producer::init(memory, "p");
    send(&mut producer, "1").unwrap();
    producer.end_later(true, 6_000);
    memory.advance(5_000);
    producer.end(true).unwrap();
    producer
}

#[test]
fn a_delayed_end_tears_the_next_transaction_of_the_same_producer() {
    let memory = simulated();
    let mut producer = overtaken(&memory);
    send(&mut producer, "2a").unwrap();
    memory.advance(1_000);
    assert_eq!(committed(&memory), ["1", "2a"], "half of the second");
    assert_eq!(send(&mut producer, "2b"), Err(Refusal::InvalidState));
}

#[test]
fn a_delayed_end_meets_nothing_once_the_producer_was_replaced() {
    let memory = simulated();
    overtaken(&memory);
    let mut producer = Producer::init(&memory, "p");
    send(&mut producer, "2a").unwrap();
    memory.advance(1_000);
    assert_eq!(committed(&memory), ["1"]);
    send(&mut producer, "2b").unwrap();
    producer.end(true).unwrap();
    assert_eq!(committed(&memory), ["1", "2a", "2b"]);
}

#[test]
fn offsets_count_once_their_transaction_is_committed() {
    let memory = simulated();
    let mut producer = Producer::init(&memory, "p");
    let unfenced = Fence {
        member: join(&memory, 1).member(),
        generation: -1,
    };
    let offset = |next| {
        let partition = Partition {
            topic: TOPIC.into(),
            number: 0,
        };
        let epoch = Some(1);
        [(
            partition,
            Committed {
                next,
                epoch,
                writer: 1,
            },
        )]
    };
    producer.send_offsets(unfenced, offset(3)).unwrap();
    producer.end(false).unwrap();
    assert_eq!(memory.committed(TOPIC, 0), None);
    producer.send_offsets(unfenced, offset(4)).unwrap();
    assert_eq!(memory.committed(TOPIC, 0), None);
    producer.end(true).unwrap();
    assert_eq!(memory.committed(TOPIC, 0), Some(4));
}

#[test]
fn a_record_without_a_key_is_no_record_of_a_compacted_topic() {
    let memory = simulated();
    memory.create_topic("state", 1, Keep::LastOfKey);
    let mut record = new_record("state", 0, "x");
    record.key = None;
    let mut producer = Producer::init(&memory, "p");
    assert_eq!(producer.send(&record), Err(Refusal::NoKey));
}
