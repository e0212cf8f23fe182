use super::*;

fn members(memory: &Memory, shards: u16) -> [MemoryBus; 2] {
    memory.create_topic("many", shards, Keep::All);
    let member = || MemoryBus::join(memory, &["many".into()], i32::from(shards));
    [member(), member()]
}

/// Serves the group and returns what it changed: `+1` for a shard handed out, `-1` for one taken away.
fn serve(bus: &mut MemoryBus) -> Vec<String> {
    let polled = bus.poll(&request(1), &|_| true).unwrap();
    let text = |change: &Change| match change {
        Change::Assigned { shard, .. } => format!("+{shard}"),
        Change::Revoked { shard } => format!("-{shard}"),
    };
    polled.changes.iter().map(text).collect()
}

fn is_fenced<T>(result: &Result<T, CommitError>) -> bool {
    matches!(result, Err(CommitError::Fenced { .. }))
}

#[test]
fn with_one_shard_one_member_works_and_the_other_stands_by() {
    let memory = simulated();
    let mut first = join(&memory, 1);
    let mut second = join(&memory, 1);
    assert_eq!(serve(&mut first), ["+0"]);
    assert!(serve(&mut second).is_empty());
    drop(first);
    assert_eq!(serve(&mut second), ["+0"]);
}

#[test]
fn shards_are_balanced_and_a_member_keeps_what_it_has() {
    let memory = simulated();
    let [mut a, mut b] = members(&memory, 4);
    assert_eq!(serve(&mut a), ["+0", "+2"]);
    assert_eq!(serve(&mut b), ["+1", "+3"]);
    drop(b);
    assert_eq!(serve(&mut a), ["+1", "+3"]);
    let mut c = MemoryBus::join(&memory, &["many".into()], 4);
    assert!(serve(&mut c).is_empty(), "given back first");
    assert_eq!(serve(&mut a), ["-2", "-3"]);
    assert_eq!(serve(&mut c), ["+2", "+3"]);
}

#[test]
fn a_generation_ends_the_one_before() {
    let memory = simulated();
    let mut bus = join(&memory, 1);
    serve(&mut bus);
    let before = bus.generation();
    memory.next_generation();
    let aborted = bus.commit(&epoch("x", &[(0, 1)]));
    assert!(matches!(aborted, Err(CommitError::Aborted { .. })));
    assert!(serve(&mut bus).is_empty(), "it keeps its shard");
    assert_eq!(bus.generation(), before + 1);
    bus.commit(&epoch("x", &[(0, 1)])).unwrap();
}

#[test]
fn a_client_hears_of_a_generation_without_being_polled() {
    let memory = simulated();
    let mut bus = join(&memory, 1);
    serve(&mut bus);
    memory.next_generation();
    memory.advance(500);
    bus.commit(&epoch("x", &[(0, 1)])).unwrap();
}

#[test]
fn a_member_whose_session_was_ended_is_fenced_and_joins_anew() {
    let memory = simulated();
    let mut bus = join(&memory, 1);
    serve(&mut bus);
    memory.rebalance();
    assert!(is_fenced(&bus.commit(&epoch("x", &[(0, 1)]))));
    assert!(memory.read("out", 0).is_empty());
    assert_eq!(serve(&mut bus), ["-0"]);
    assert_eq!(bus.generation(), -1);
    assert!(is_fenced(&bus.commit(&epoch("x", &[(0, 1)]))));
    assert_eq!(serve(&mut bus), ["+0"]);
    bus.commit(&epoch("x", &[(0, 1)])).unwrap();
}

#[test]
fn a_member_that_stands_still_loses_its_shard_when_its_session_ends() {
    let memory = simulated();
    let mut first = join(&memory, 1);
    let mut second = join(&memory, 1);
    serve(&mut first);
    memory.suspend(first.member());
    memory.advance(9_999);
    assert!(serve(&mut second).is_empty());
    memory.advance(1);
    assert_eq!(serve(&mut second), ["+0"]);
    assert_eq!(serve(&mut first), ["-0"]);
}

#[test]
fn a_member_that_goes_on_in_time_keeps_its_shard() {
    let memory = simulated();
    let mut bus = join(&memory, 1);
    serve(&mut bus);
    memory.suspend(bus.member());
    memory.advance(9_000);
    memory.resume(bus.member());
    memory.advance(9_000);
    assert!(serve(&mut bus).is_empty());
    bus.commit(&epoch("x", &[(0, 1)])).unwrap();
}

#[test]
fn a_dead_member_does_not_leave() {
    let memory = simulated();
    let mut dead = join(&memory, 1);
    let mut other = join(&memory, 1);
    serve(&mut dead);
    memory.kill(dead.member());
    drop(dead);
    assert!(serve(&mut other).is_empty());
    memory.advance(10_000);
    assert_eq!(serve(&mut other), ["+0"]);
}

#[test]
fn a_shard_that_moves_is_handed_on_only_once_it_was_given_back() {
    let memory = simulated();
    let mut first = join(&memory, 1);
    let mut second = join(&memory, 1);
    serve(&mut first);
    memory.move_shard(0, second.member());
    assert!(serve(&mut second).is_empty());
    assert_eq!(serve(&mut first), ["-0"]);
    assert_eq!(serve(&mut second), ["+0"]);
}

#[test]
fn committed_offsets_are_told_only_when_no_transaction_holds_any() {
    let memory = simulated();
    let mut first = join(&memory, 1);
    let mut second = join(&memory, 1);
    serve(&mut first);
    let mut foreign = Producer::init(&memory, "another");
    let fence = Fence {
        member: first.member(),
        generation: memory.generation(),
    };
    let partition = Partition {
        topic: TOPIC.into(),
        number: 0,
    };
    let (next, epoch) = (7, Some(1));
    foreign
        .send_offsets(
            fence,
            [(
                partition,
                Committed {
                    next,
                    epoch,
                    writer: 1,
                },
            )],
        )
        .unwrap();
    memory.move_shard(0, second.member());
    serve(&mut first);
    let polled = second.poll(&request(1), &|_| true).unwrap();
    let Change::Assigned { inputs, .. } = &polled.changes[0] else {
        panic!("nothing was handed out");
    };
    assert_eq!(inputs[0].committed, None, "aborted when its time was over");
    assert_eq!(second.now(), Timestamp(START + 10_000));
}
