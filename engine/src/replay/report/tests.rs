use super::*;

#[test]
fn text_that_would_steer_a_terminal_or_turn_the_line_is_shown_as_a_mark() {
    assert_eq!(
        printable("a\u{1b}[2Jb\r\nc\u{202e}d\u{200b}e"),
        "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\u{fffd}d\u{fffd}e"
    );
    assert_eq!(printable("grüße 日本"), "grüße 日本");
}

#[test]
fn a_count_by_word_is_left_out_when_there_is_none() {
    assert_eq!(by_word([].into_iter()), "");
    assert_eq!(
        by_word([("high", 2), ("low", 1)].into_iter()),
        " (2 high, 1 low)"
    );
}
