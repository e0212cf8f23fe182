use proptest::prelude::*;

use super::*;

/// One lane's log as (time in ms, or none) in its own order.
type Log = Vec<Option<i64>>;

/// The order by a plain definition: all logs present from the start, the lowest head is taken.
fn reference(logs: &[Log]) -> Vec<(usize, usize)> {
    let mut next = vec![0; logs.len()];
    let mut order = Vec::new();
    let time = |lane: usize, index: usize| {
        let known = logs[lane][..=index].iter().rev().find_map(|time| *time);
        known.map_or(Timestamp::MIN, Timestamp)
    };
    loop {
        let heads = (0..logs.len()).filter(|lane| next[*lane] < logs[*lane].len());
        let Some(lane) = heads.min_by_key(|lane| (time(*lane, next[*lane]), *lane)) else {
            return order;
        };
        order.push((lane, next[lane]));
        next[lane] += 1;
    }
}

fn logs() -> impl Strategy<Value = Vec<Log>> {
    let time = prop::option::weighted(0.9, 0_i64..50);
    prop::collection::vec(prop::collection::vec(time, 0..30), 1..5)
}

proptest! {
    /// Whatever the interleaving of arrival and wherever the polls cut it, the order is that of the logs.
    #[test]
    fn order_is_a_function_of_the_logs(logs in logs(), arrivals in prop::collection::vec((0_usize..5, 1_usize..8, any::<bool>()), 0..80)) {
        let mut merge = Merge::new(logs.len());
        let mut read = vec![0_usize; logs.len()];
        let mut order = Vec::new();
        let rest = (0..logs.len()).map(|lane| (lane, usize::MAX, true));
        for (lane, count, drain) in arrivals.into_iter().chain(rest) {
            let lane = lane % logs.len();
            let end = read[lane].saturating_add(count).min(logs[lane].len());
            for (index, time) in logs[lane].iter().enumerate().take(end).skip(read[lane]) {
                merge.push(lane, time.map(Timestamp), 1, index);
            }
            read[lane] = end;
            merge.set_at_end(lane, end == logs[lane].len());
            while drain && let Some(taken) = merge.pop() {
                order.push((taken.lane, taken.content));
            }
        }
        prop_assert!(merge.is_empty());
        prop_assert_eq!(order, reference(&logs));
    }
}

#[test]
fn what_goes_first_neither_waits_nor_is_waited_for() {
    let mut merge = Merge::new(3);
    merge.let_pass(2);
    merge.push(0, Some(Timestamp(5)), 1, "a");
    merge.push(2, None, 1, "first");
    merge.push(2, None, 1, "second");
    assert_eq!(merge.peek(), Some(&"first"));
    let mut taken = || merge.pop().map(|taken| taken.content);
    assert_eq!(
        [taken(), taken(), taken()],
        [Some("first"), Some("second"), None]
    );
    assert!(!merge.is_empty());
    merge.set_at_end(1, true);
    merge.push(2, None, 1, "third");
    let mut taken = || merge.pop().map(|taken| taken.content);
    assert_eq!(
        [taken(), taken(), taken()],
        [Some("third"), Some("a"), None]
    );
    assert!(merge.is_empty());
}

#[test]
fn what_was_there_before_a_lane_may_pass_waits_for_its_turn() {
    let mut merge = Merge::new(2);
    merge.push(1, Some(Timestamp(7)), 1, "old");
    merge.let_pass(1);
    merge.push(1, None, 1, "new");
    merge.push(0, Some(Timestamp(5)), 1, "a");
    merge.push(0, Some(Timestamp(9)), 1, "b");
    let taken: Vec<&str> = std::iter::from_fn(|| merge.pop())
        .map(|taken| taken.content)
        .collect();
    assert_eq!(taken, ["a", "old", "new", "b"]);
    merge.set_at_end(0, true);
    assert!(merge.is_empty() && merge.pop().is_none());
    merge.push(0, Some(Timestamp(9)), 1, "c");
    assert_eq!(merge.pop().map(|taken| taken.content), Some("c"));
}

#[test]
fn a_lane_that_is_behind_holds_the_others_back() {
    let mut merge = Merge::new(2);
    merge.push(0, Some(Timestamp(5)), 1, "a");
    assert_eq!(merge.pop(), None);
    merge.push(1, Some(Timestamp(9)), 1, "b");
    assert_eq!(merge.pop().map(|taken| taken.content), Some("a"));
    assert_eq!(merge.pop(), None, "lane 0 may still get an earlier one");
    merge.set_at_end(0, true);
    assert_eq!(merge.pop().map(|taken| taken.content), Some("b"));
}

#[test]
fn a_lane_at_its_end_is_waited_for_again_once_it_is_behind() {
    let mut merge = Merge::new(2);
    merge.set_at_end(0, true);
    assert!(!merge.is_at_end());
    merge.set_at_end(1, true);
    assert!(merge.is_at_end());
    merge.set_at_end(0, false);
    assert!(!merge.is_at_end());
    merge.push(1, Some(Timestamp(1)), 1, ());
    assert!(merge.pop().is_none());
}

#[test]
fn buffered_counts_what_was_not_taken() {
    let mut merge = Merge::new(1);
    merge.push(0, None, 10, ());
    merge.push(0, None, 20, ());
    assert_eq!(merge.buffered(0), (2, 30));
    assert!(merge.pop().is_some());
    assert_eq!(merge.buffered(0), (1, 20));
    assert_eq!(merge.buffered(7), (0, 0));
}
