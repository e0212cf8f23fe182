use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

#[track_caller]
fn check(content: &[u8], line_bytes_max: usize, expected: &[&str]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    let mut lines = Lines::open(file.path(), line_bytes_max).unwrap();
    let (mut found, mut line) = (Vec::new(), Vec::new());
    while lines.next_line(&mut line).unwrap() {
        found.push(String::from_utf8(line.clone()).unwrap());
    }
    assert_eq!(found, expected);
    assert_eq!(lines.bytes_read(), content.len() as u64);
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn lines_come_without_their_ends_and_blank_ones_not_at_all() {
    check(b"a\r\n\n  \nb\nc", 10, &["a", "b", "c"]);
    check(b"", 10, &[]);
    check(b"x", 10, &["x"]);
    check(b"\n\n", 10, &[]);
}

#[test]
fn gzip_is_told_by_its_first_bytes_and_may_hold_several_members() {
    let mut two = gzip("a\nb\n");
    two.extend(gzip("c\n"));
    check(&two, 10, &["a", "b", "c"]);
}

#[test]
fn a_line_beyond_the_bound_is_cut_one_byte_beyond_it() {
    check(b"123456789\nab\n", 4, &["12345", "ab"]);
    let long = "y".repeat(3 * BUFFER_BYTES);
    check(format!("{long}\nz\n").as_bytes(), 4, &["yyyyy", "z"]);
}

#[test]
fn broken_gzip_is_an_error_that_names_the_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut bytes = gzip("some text that is long enough to be cut\n");
    bytes.truncate(20);
    std::fs::write(file.path(), &bytes).unwrap();
    let mut lines = Lines::open(file.path(), 100).unwrap();
    let error = lines.next_line(&mut Vec::new()).unwrap_err();
    assert_eq!(error.path, file.path());
}

#[test]
fn a_missing_file_is_an_error_that_names_it() {
    let error = Lines::open(Path::new("no/such/file"), 100).unwrap_err();
    assert_eq!(error.to_string(), "cannot read no/such/file");
}

#[test]
fn total_bytes_needs_every_length() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"12345").unwrap();
    let path = file.path().to_owned();
    assert_eq!(total_bytes(&[path.clone(), path.clone()]), Some(10));
    assert_eq!(total_bytes(&[path, PathBuf::from("-")]), None);
}
