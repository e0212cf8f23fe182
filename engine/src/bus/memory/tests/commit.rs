use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

type Act = Box<dyn Fn(&Memory, MemberId) -> Option<Fault> + Send + Sync>;

/// What happens at one point, one act for each time it is reached.
struct Script {
    memory: Memory,
    point: Point,
    acts: Mutex<VecDeque<Act>>,
}

impl Plan for Script {
    fn at(&self, member: MemberId, point: Point) -> Option<Fault> {
        if point != self.point {
            return None;
        }
        let act = self.acts.lock().unwrap().pop_front();
        act.and_then(|act| act(&self.memory, member))
    }
}

fn script(memory: &Memory, point: Point, acts: Vec<Act>) -> Arc<dyn Plan> {
    Arc::new(Script {
        memory: memory.clone(),
        point,
        acts: Mutex::new(acts.into()),
    })
}

fn member(memory: &Memory, point: Point, acts: Vec<Act>) -> MemoryBus {
    let mut bus = join(memory, 1).with_plan(script(memory, point, acts));
    poll(&mut bus, 9);
    bus
}

fn fault(fault: Fault) -> Act {
    Box::new(move |_, _| Some(fault))
}

/// Two records, the first offset committed.
fn two(value: &str, number: u64) -> Epoch {
    let mut epoch = epoch(value, &[(0, 1)]);
    epoch.records.push(new_record("out", 0, value));
    epoch.offsets[0].epoch = number;
    epoch
}

fn out(memory: &Memory) -> Vec<String> {
    values(&memory.read("out", 0))
}

fn is_aborted<T>(result: &Result<T, CommitError>) -> bool {
    matches!(result, Err(CommitError::Aborted { .. }))
}

fn crash(bus: &mut MemoryBus, epoch: &Epoch) {
    let crashed = catch_unwind(AssertUnwindSafe(|| bus.commit(epoch)));
    assert!(crashed.unwrap_err().is::<Crash>());
}

/// Commits until it succeeds, and returns after how many failures.
fn commit(bus: &mut MemoryBus, epoch: &Epoch) -> usize {
    for failures in 0..5 {
        match bus.commit(epoch) {
            Ok(_) => return failures,
            Err(CommitError::Aborted { .. }) => {
                bus.keep_alive(Duration::from_millis(20)).unwrap();
            }
            Err(error @ CommitError::Fenced { .. }) => panic!("{error}"),
        }
    }
    panic!("never committed");
}

const BEFORE_THE_END: [Point; 5] = [
    Point::Begin,
    Point::Send(0),
    Point::Send(1),
    Point::Offsets,
    Point::End,
];

#[test]
fn a_refusal_at_any_point_aborts_and_leaves_nothing() {
    for point in BEFORE_THE_END {
        let memory = simulated();
        let mut bus = member(&memory, point, vec![fault(Fault::Refuse)]);
        assert!(is_aborted(&bus.commit(&two("x", 1))), "{point:?}");
        assert!(out(&memory).is_empty());
        assert_eq!(memory.committed(TOPIC, 0), None);
        assert_eq!(commit(&mut bus, &two("x", 1)), 0);
        assert_eq!(out(&memory), ["x", "x"]);
    }
}

#[test]
fn a_crash_at_any_point_before_the_end_leaves_nothing_once_another_takes_over() {
    for point in BEFORE_THE_END {
        let memory = simulated();
        let mut bus = member(&memory, point, vec![fault(Fault::Crash)]);
        crash(&mut bus, &two("x", 1));
        drop(bus);
        memory.advance(10_000);
        let mut next = join(&memory, 1);
        assert!(!poll(&mut next, 9).0.is_empty());
        assert!(out(&memory).is_empty(), "{point:?}");
        assert_eq!(memory.committed(TOPIC, 0), None);
        let (end, stable) = memory.ends("out", 0).unwrap();
        assert_eq!(end, stable);
    }
}

#[test]
fn a_crash_before_the_answer_leaves_the_epoch_committed() {
    let memory = simulated();
    let mut bus = member(&memory, Point::Answer, vec![fault(Fault::Crash)]);
    crash(&mut bus, &two("x", 1));
    assert_eq!(out(&memory), ["x", "x"]);
    let committed = memory.offset(TOPIC, 0).unwrap();
    assert_eq!((committed.next, committed.epoch), (1, Some(1)));
}

#[test]
fn an_end_that_is_never_answered_is_in_doubt_and_looked_up() {
    let lost = (0..9).map(|_| fault(Fault::LoseAnswer)).collect();
    let memory = simulated();
    let mut bus = member(&memory, Point::End, lost);
    assert_eq!(commit(&mut bus, &two("x", 1)), 1);
    assert_eq!(out(&memory), ["x", "x"], "it was committed, and not again");
    assert_eq!(memory.committed(TOPIC, 0), Some(1));
}

#[test]
fn an_end_that_never_arrives_is_written_again_by_a_new_producer() {
    let lost = (0..4).map(|_| fault(Fault::LoseRequest)).collect();
    let memory = simulated();
    let mut bus = member(&memory, Point::End, lost);
    assert_eq!(commit(&mut bus, &two("x", 1)), 1);
    assert_eq!(out(&memory), ["x", "x"], "the first was aborted");
    assert_eq!(memory.read_uncommitted("out", 0).len(), 4);
}

#[test]
fn another_epoch_of_the_same_offsets_is_not_taken_for_the_one_in_doubt() {
    let lost = (0..4).map(|_| fault(Fault::LoseRequest)).collect();
    let memory = simulated();
    let mut bus = member(&memory, Point::Begin, vec![]);
    assert_eq!(commit(&mut bus, &two("x", 1)), 0);
    bus = bus.with_plan(script(&memory, Point::End, lost));
    assert_eq!(commit(&mut bus, &two("y", 2)), 1);
    assert_eq!(out(&memory), ["x", "x", "y", "y"]);
}

/// A member whose first end arrives once more, in the middle of its second epoch.
fn delayed_end(mistake: Option<Mistake>) -> (Memory, MemoryBus) {
    let memory = simulated();
    let mut bus = member(&memory, Point::End, vec![fault(Fault::Delay(6_000))]);
    bus = bus.with_mistake(mistake);
    assert_eq!(commit(&mut bus, &two("x", 1)), 0);
    let slow = script(&memory, Point::Send(1), vec![fault(Fault::Delay(2_000))]);
    (memory, bus.with_plan(slow))
}

#[test]
fn a_slow_commit_is_the_last_of_its_producer_so_its_delayed_end_tears_nothing() {
    let (memory, mut bus) = delayed_end(None);
    assert_eq!(commit(&mut bus, &two("y", 2)), 0);
    assert_eq!(out(&memory), ["x", "x", "y", "y"]);
}

#[test]
fn a_producer_that_is_kept_after_a_slow_commit_has_its_next_epoch_torn() {
    let (memory, mut bus) = delayed_end(Some(Mistake::KeepProducer));
    assert!(is_aborted(&bus.commit(&two("y", 2))));
    assert_eq!(
        out(&memory),
        ["x", "x", "y"],
        "half an epoch for all to see"
    );
    assert_eq!(memory.offset(TOPIC, 0).unwrap().epoch, Some(1));
}

#[test]
fn a_zombie_that_goes_on_after_another_took_over_writes_nothing() {
    for point in BEFORE_THE_END {
        let memory = simulated();
        let stand_still: Act = Box::new(|memory, member| {
            memory.suspend(member);
            memory.advance(11_000);
            let mut other = join(memory, 1);
            poll(&mut other, 9);
            assert_eq!(commit(&mut other, &two("other", 2)), 0);
            None
        });
        let mut zombie = member(&memory, point, vec![stand_still]);
        zombie.commit(&two("zombie", 1)).unwrap_err();
        assert_eq!(out(&memory), ["other", "other"], "{point:?}");
        assert_eq!(memory.offset(TOPIC, 0).unwrap().epoch, Some(2));
    }
}

#[test]
fn offsets_without_a_generation_are_checked_by_nobody() {
    for (mistake, written) in [(None, 0), (Some(Mistake::OmitGeneration), 2)] {
        let memory = simulated();
        let mut bus = member(&memory, Point::Poll, vec![]).with_mistake(mistake);
        memory.put_out(bus.member());
        let fenced = matches!(bus.commit(&two("x", 1)), Err(CommitError::Fenced { .. }));
        assert_eq!(fenced, written == 0);
        assert_eq!(out(&memory).len(), written);
    }
}

#[test]
fn a_client_that_keeps_its_first_generation_commits_in_no_other() {
    let memory = simulated();
    let mut bus = member(&memory, Point::Poll, vec![]);
    bus = bus.with_mistake(Some(Mistake::CacheGeneration));
    assert_eq!(commit(&mut bus, &two("x", 1)), 0);
    memory.next_generation();
    memory.advance(500);
    assert!(is_aborted(&bus.commit(&two("y", 2))));
    bus.keep_alive(Duration::ZERO).unwrap();
    assert!(is_aborted(&bus.commit(&two("y", 2))));
}

#[test]
fn offsets_outside_of_the_transaction_can_be_lost_alone() {
    let memory = simulated();
    let mut bus = member(&memory, Point::Answer, vec![fault(Fault::Crash)]);
    bus = bus.with_mistake(Some(Mistake::OffsetsOutside));
    crash(&mut bus, &two("x", 1));
    assert_eq!(out(&memory), ["x", "x"]);
    assert_eq!(memory.committed(TOPIC, 0), None);
}

#[test]
fn a_plan_cuts_what_a_poll_returns() {
    struct Cut;
    impl Plan for Cut {
        fn at(&self, _: MemberId, _: Point) -> Option<Fault> {
            None
        }

        fn cut(&self, _: usize) -> usize {
            2
        }
    }
    let memory = memory(1, &[(0, "a"), (0, "b"), (0, "c")]);
    let mut bus = join(&memory, 1).with_plan(Arc::new(Cut));
    assert_eq!(poll(&mut bus, 9).1, ["a", "b"]);
    assert_eq!(poll(&mut bus, 9).1, ["c"]);
}
