use super::*;

#[test]
fn a_count_by_word_is_left_out_when_there_is_none() {
    assert_eq!(by_word([].into_iter()), "");
    assert_eq!(
        by_word([("high", 2), ("low", 1)].into_iter()),
        " (2 high, 1 low)"
    );
}
