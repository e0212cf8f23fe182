//! T-17 and T-18: every refused record is a dead letter once, byte for byte.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::digest;
use super::finding::{Findings, Place, Rule};
use super::ledger::{Ledger, What};
use super::state::States;
use crate::bus::{Header, Partition, Record};

/// The dead letters, by the record they are of.
#[derive(Debug, Default)]
pub(super) struct Letters {
    letters: BTreeMap<Partition, BTreeMap<i64, Letter>>,
    pub(super) records: u64,
    /// The oldest may have been deleted.
    pub(super) cut: bool,
    /// Those that were not the first of their record.
    doubled: Vec<(Place, String)>,
}

/// What a dead letter must be found to be of.
#[derive(Debug)]
struct Letter {
    place: Place,
    code: Box<str>,
    key: Option<Part>,
    value: Option<Part>,
    headers: Part,
    truncated: Truncated,
    sha256: Option<Box<str>>,
}

/// Bytes, or how many headers, and their hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Part {
    length: usize,
    hash: u128,
}

#[derive(Clone, Copy, Debug, Default)]
struct Truncated {
    key: bool,
    value: bool,
    headers: bool,
}

/// What stands first of our own headers; what comes before it is the record's.
const FIRST: &str = "fusor.dlq.code";

impl Letters {
    pub(super) fn record(&mut self, record: &Record, findings: &mut Findings) {
        self.records += 1;
        let place = Place::of(record);
        let Some((source, offset, letter)) = read(record, &place) else {
            let text = "its headers do not name the record it is of";
            return findings.add(Rule::Letters, &place, text);
        };
        let text = format!("a dead letter of {source}/{offset}");
        let known = self
            .letters
            .entry(source)
            .or_default()
            .insert(offset, letter);
        if let Some(known) = known {
            let text = format!("{text}, as {} is", known.place);
            self.doubled.push((place, text));
        }
    }

    /// Compares a record of an input with its dead letter, if there is one.
    pub(super) fn compare(&self, source: &Record, findings: &mut Findings) {
        let of_partition = self.letters.get(&source.partition);
        let Some(letter) = of_partition.and_then(|letters| letters.get(&source.offset)) else {
            return;
        };
        let of = format!("{}/{}", source.partition, source.offset);
        for (name, differs) in [
            ("key", letter.key_differs(source)),
            ("value", letter.value_differs(source)),
            ("headers", letter.headers_differ(source)),
        ] {
            if differs {
                let text = format!("the {name} is not that of {of}");
                findings.add(Rule::LetterBytes, &letter.place, text);
            }
        }
    }

    /// Holds the dead letters against what the state says became of their records.
    pub(super) fn finish(&self, states: &States, ledger: &Ledger, findings: &mut Findings) {
        // A rebuild refuses the same records again.
        for (place, text) in self.doubled.iter().filter(|_| !states.is_rebuilt()) {
            findings.add(Rule::Letters, place, text.as_str());
        }
        for (input, lane) in ledger.lanes() {
            let letters = self.letters.get(input);
            for (offset, what) in lane.fates() {
                let letter = letters.and_then(|letters| letters.get(&offset));
                let lost = letter.is_none() && !self.cut && offset < lane.settled;
                if lost && matches!(what, What::DeadLetter(_)) {
                    let place = Place {
                        partition: input.clone(),
                        offset,
                    };
                    let text = "it was refused and there is no dead letter of it";
                    findings.add(Rule::Letters, &place, text);
                }
            }
        }
        for (source, letters) in &self.letters {
            let lane = ledger.find(source);
            for (offset, letter) in letters {
                let of = format!("{source}/{offset}");
                let told = match lane {
                    None => Some(format!("of {of}, which is no input")),
                    Some(lane) => match lane.fate(*offset) {
                        Some(What::DeadLetter(code)) if *code == letter.code => None,
                        Some(What::DeadLetter(code)) => Some(format!(
                            "of {of} for {}, which was refused for {code}",
                            letter.code
                        )),
                        Some(What::Alerts(..) | What::Binding | What::Command(_)) => {
                            Some(format!("of {of}, which was not refused"))
                        }
                        None if lane.covered_from.is_some_and(|from| *offset >= from) => {
                            Some(format!("of {of}, of which the state says nothing"))
                        }
                        None => None,
                    },
                };
                if let Some(text) = told {
                    findings.add(Rule::Letters, &letter.place, text);
                }
            }
        }
    }
}

impl Letter {
    fn key_differs(&self, source: &Record) -> bool {
        differs(self.key, source.key.as_deref(), self.truncated.key)
    }

    fn value_differs(&self, source: &Record) -> bool {
        let whole = source.value.as_deref();
        let hashed = match (&self.sha256, whole) {
            (Some(told), Some(whole)) => **told == hex(&Sha256::digest(whole)),
            (Some(_), None) => false,
            (None, _) => !self.truncated.value,
        };
        !hashed || differs(self.value, whole, self.truncated.value)
    }

    fn headers_differ(&self, source: &Record) -> bool {
        let count = self.headers.length;
        let kept = source.headers.get(..count);
        let cut = self.truncated.headers && count < source.headers.len();
        kept.map(headers) != Some(self.headers) || (count != source.headers.len() && !cut)
    }
}

/// Says whether bytes are not those that were kept, or the beginning of them that was.
fn differs(kept: Option<Part>, whole: Option<&[u8]>, truncated: bool) -> bool {
    let (kept, whole) = match (kept, whole) {
        (Some(kept), Some(whole)) => (kept, whole),
        (None, None) => return truncated,
        (Some(_), None) | (None, Some(_)) => return true,
    };
    let beginning = whole.get(..kept.length).map(bytes);
    let cut = truncated && kept.length < whole.len();
    beginning != Some(kept) || (kept.length != whole.len() && !cut)
}

fn bytes(bytes: &[u8]) -> Part {
    Part {
        length: bytes.len(),
        hash: digest(&[bytes]),
    }
}

fn headers(all: &[Header]) -> Part {
    let parts = all.iter().flat_map(|header| {
        let value = header.value.as_deref();
        let null: &[u8] = if value.is_some() { b"=" } else { b"" };
        [header.name.as_bytes(), null, value.unwrap_or_default()]
    });
    let parts: Vec<&[u8]> = parts.collect();
    Part {
        length: all.len(),
        hash: digest(&parts),
    }
}

/// Reads a dead letter and which record it says it is of.
fn read(record: &Record, place: &Place) -> Option<(Partition, i64, Letter)> {
    // A record may carry headers of our names: the last are ours.
    let first = record.headers.iter().rposition(|h| h.name == FIRST)?;
    let (theirs, ours) = record.headers.split_at_checked(first)?;
    let text = |name: &str| {
        let header = ours
            .iter()
            .find(|header| header.name.strip_prefix("fusor.dlq.") == Some(name))?;
        std::str::from_utf8(header.value.as_deref()?).ok()
    };
    let source = Partition {
        topic: text("topic")?.into(),
        number: text("partition")?.parse().ok()?,
    };
    let offset = text("offset")?.parse().ok()?;
    let mut truncated = Truncated::default();
    for part in text("truncated").into_iter().flat_map(|all| all.split(',')) {
        match part {
            "key" => truncated.key = true,
            "value" => truncated.value = true,
            "headers" => truncated.headers = true,
            _ => return None,
        }
    }
    let letter = Letter {
        place: place.clone(),
        code: text("code")?.into(),
        key: record.key.as_deref().map(bytes),
        value: record.value.as_deref().map(bytes),
        headers: headers(theirs),
        truncated,
        sha256: text("sha256").map(Into::into),
    };
    Some((source, offset, letter))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}
