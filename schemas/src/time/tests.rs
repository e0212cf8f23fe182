use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(text: &str, expected: &str) {
    let read = parse_time(text).map_or_else(|error| error.to_string(), |time| time.to_string());
    assert_eq!(read, expected, "{text}");
}

#[test]
fn times_are_read_as_producers_write_them() {
    check("2026-01-05T00:04:27.074Z", "2026-01-05T00:04:27.074Z");
    check("2026-01-05T00:04:27Z", "2026-01-05T00:04:27.000Z");
    check("2026-01-05T00:04:27.0741234Z", "2026-01-05T00:04:27.074Z");
    check("2026-01-05T00:04:27.074123456Z", "2026-01-05T00:04:27.074Z");
    check(
        "2026-01-05T00:04:27.0741234567891Z",
        "2026-01-05T00:04:27.074Z",
    );
    check("2026-01-05T01:04:27.074+0100", "2026-01-05T00:04:27.074Z");
    check("2026-01-05T01:04:27.074+01:00", "2026-01-05T00:04:27.074Z");
    check("2026-01-04T19:34:27.074-0430", "2026-01-05T00:04:27.074Z");
    check("2026-01-05T01:04:27+01", "2026-01-05T00:04:27.000Z");
    check("2026-01-05 00:04:27.074", "2026-01-05T00:04:27.074Z");
    check("2026-01-05 00:04:27 UTC", "2026-01-05T00:04:27.000Z");
    check("2026-01-05 00:04:27 +0000", "2026-01-05T00:04:27.000Z");
    check("2026-01-05T00:04:27", "2026-01-05T00:04:27.000Z");
    check("2026-01-05", "2026-01-05T00:00:00.000Z");
}

#[test]
fn magnitude_tells_the_unit_of_a_number() {
    check("1767571467", "2026-01-05T00:04:27.000Z");
    check("1767571467.0741", "2026-01-05T00:04:27.074Z");
    check("1767571467074", "2026-01-05T00:04:27.074Z");
    check("1767571467074123", "2026-01-05T00:04:27.074Z");
    check("1767571467074123456", "2026-01-05T00:04:27.074Z");
    check("0", "1970-01-01T00:00:00.000Z");
    check("-1.5", "1969-12-31T23:59:58.500Z");
    assert_eq!(parse_epoch(1_767_571_467_074), parse_time("1767571467074"));
}

#[test]
fn what_is_no_time_is_refused() {
    check("", "not a time");
    check("yesterday", "not a time");
    check("01/05/2026 00:04:27", "not a time");
    check("2026-13-05T00:04:27Z", "not a time");
    check("2026-01-05T25:04:27Z", "not a time");
    check("1767571467.", "not a time");
    check("99999999999999999999999", "not a time");
    check("9".repeat(65).as_str(), "not a time");
    check("-99999999999", "time out of range");
    check("-0001-01-01T00:00:00Z", "not a time");
}

#[test]
fn first_and_last_moment_are_written_and_read() {
    for moment in [Timestamp::MIN, Timestamp::MAX] {
        assert_eq!(moment.to_string().parse(), Ok(moment));
        assert_eq!(parse_time(&moment.to_string()), Ok(moment));
    }
    assert_eq!(Timestamp::MAX.plus(1), Timestamp::MAX);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,70}") {
        parse_time(&text).ok();
    }

    #[test]
    fn near_times_are_read_or_refused(text in "[0-9TZ:+. -]{0,40}") {
        if let Ok(time) = parse_time(&text) {
            prop_assert_eq!(parse_time(&time.to_string()), Ok(time));
        }
    }

    #[test]
    fn any_number_is_read_or_refused(number: i64) {
        parse_epoch(number).ok();
    }
}
