//! Dead letters: refused records, kept byte for byte with the reason beside them.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::bus::{Header, NewRecord, Record};
use crate::decode::Broken;

/// Most bytes of a value that are kept; of a longer one the head and the hash of the whole.
pub const VALUE_BYTES_MAX: usize = 900 << 10;
/// Most bytes of key and headers together that are kept, each header with [`HEADER_BYTES`] on top.
pub const ENVELOPE_BYTES_MAX: usize = 96 << 10;
/// What a header takes beside its name and value: two lengths of up to five bytes.
const HEADER_BYTES: usize = 10;
/// Longest message.
const MESSAGE_BYTES_MAX: usize = 512;

/// Makes the dead letter of a record: key, value and headers as they were, then headers named `fusor.dlq.*`.
#[must_use]
pub fn dead_letter(topic: &Arc<str>, record: &Record, broken: &Broken) -> NewRecord {
    let mut cut: Vec<&str> = Vec::new();
    let mut value = record.value.clone();
    let mut hash = None;
    if let Some(bytes) = value.as_mut().filter(|value| value.len() > VALUE_BYTES_MAX) {
        hash = Some(hex(&Sha256::digest(&bytes)));
        bytes.truncate(VALUE_BYTES_MAX);
        cut.push("value");
    }
    let mut key = record.key.clone();
    let mut left = ENVELOPE_BYTES_MAX;
    if let Some(bytes) = key.as_mut() {
        if bytes.len() > left {
            bytes.truncate(left);
            cut.push("key");
        }
        left -= bytes.len();
    }
    let mut headers = Vec::new();
    for header in &record.headers {
        let value = header.value.as_ref().map_or(0, Vec::len);
        let bytes = HEADER_BYTES + header.name.len() + value;
        if bytes > left {
            cut.push("headers");
            break;
        }
        left -= bytes;
        headers.push(header.clone());
    }
    headers.extend(reasons(record, broken));
    if !cut.is_empty() {
        headers.push(Header::text("fusor.dlq.truncated", cut.join(",")));
    }
    if let Some(hash) = hash {
        headers.push(Header::text("fusor.dlq.sha256", hash));
    }
    NewRecord {
        topic: Arc::clone(topic),
        partition: None,
        timestamp: None,
        key,
        value,
        headers,
    }
}

fn reasons(record: &Record, broken: &Broken) -> Vec<Header> {
    let partition = &record.partition;
    let mut headers = vec![
        Header::text("fusor.dlq.code", broken.reason),
        Header::text("fusor.dlq.stage", broken.stage.word()),
        Header::text("fusor.dlq.message", printable(&broken.message)),
        Header::text("fusor.dlq.topic", partition.topic.as_ref()),
        Header::text("fusor.dlq.partition", partition.number.to_string()),
        Header::text("fusor.dlq.offset", record.offset.to_string()),
        Header::text("fusor.dlq.app-version", env!("CARGO_PKG_VERSION")),
        Header::text("fusor.dlq.attempt", "1"),
    ];
    if let Some(timestamp) = record.timestamp {
        headers.push(Header::text("fusor.dlq.timestamp", timestamp.to_string()));
    }
    headers
}

/// Holds a message to its length, on one line and without anything that does not print.
fn printable(message: &str) -> String {
    let mut text = String::new();
    for letter in message.chars() {
        let letter = if letter.is_control() { ' ' } else { letter };
        if text.len() + letter.len_utf8() > MESSAGE_BYTES_MAX {
            break;
        }
        text.push(letter);
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Partition;
    use crate::decode::Stage;

    fn record(key: usize, value: usize, headers: Vec<Header>) -> Record {
        Record {
            partition: Partition {
                topic: "alerts".into(),
                number: 3,
            },
            offset: 41,
            timestamp: Some(1_700_000_000_000),
            key: Some(vec![b'k'; key]),
            value: Some(vec![0xff; value]),
            headers,
        }
    }

    fn letter(record: &Record) -> NewRecord {
        let broken = Broken {
            reason: "not_json",
            stage: Stage::Decode,
            message: "/: bad\nbyte \u{1b}[31m".to_owned(),
        };
        dead_letter(&"dead".into(), record, &broken)
    }

    fn header<'a>(letter: &'a NewRecord, name: &str) -> Option<&'a str> {
        let found = letter.headers.iter().find(|header| header.name == name)?;
        std::str::from_utf8(found.value.as_deref()?).ok()
    }

    #[test]
    fn bytes_are_kept_and_the_reason_is_in_the_headers() {
        let own = vec![
            Header::text("a", "1"),
            Header {
                name: "a".to_owned(),
                value: None,
            },
        ];
        let record = record(2, 5, own.clone());
        let letter = letter(&record);
        assert_eq!((&letter.key, &letter.value), (&record.key, &record.value));
        assert_eq!(letter.headers[..2], own);
        let read = |name: &str| header(&letter, &format!("fusor.dlq.{name}"));
        assert_eq!(read("code"), Some("not_json"));
        assert_eq!(read("stage"), Some("decode"));
        assert_eq!(read("message"), Some("/: bad byte  [31m"));
        assert_eq!(read("topic"), Some("alerts"));
        assert_eq!(read("partition"), Some("3"));
        assert_eq!(read("offset"), Some("41"));
        assert_eq!(read("timestamp"), Some("1700000000000"));
        assert_eq!(read("truncated"), None);
    }

    #[test]
    fn a_huge_record_is_cut_with_its_hash() {
        let headers = vec![
            Header::text("small", "1"),
            Header::text("big", "x".repeat(ENVELOPE_BYTES_MAX)),
        ];
        let record = record(10, 2 << 20, headers);
        let letter = letter(&record);
        assert_eq!(letter.value.as_ref().map(Vec::len), Some(VALUE_BYTES_MAX));
        assert_eq!(header(&letter, "small"), Some("1"));
        assert_eq!(header(&letter, "big"), None);
        assert_eq!(
            header(&letter, "fusor.dlq.truncated"),
            Some("value,headers")
        );
        assert_eq!(header(&letter, "fusor.dlq.sha256").map(str::len), Some(64));
    }

    #[test]
    fn headers_of_no_bytes_are_not_kept_without_end() {
        let empty = Header {
            name: String::new(),
            value: None,
        };
        let letter = letter(&record(1, 1, vec![empty; 1 << 20]));
        assert!(letter.headers.len() < ENVELOPE_BYTES_MAX / HEADER_BYTES + 20);
        assert_eq!(header(&letter, "fusor.dlq.truncated"), Some("headers"));
    }

    #[test]
    fn a_tombstone_stays_a_tombstone() {
        let mut record = record(1, 0, Vec::new());
        record.value = None;
        assert_eq!(letter(&record).value, None);
    }
}
