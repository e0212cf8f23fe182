//! What the decoders' tests share: golden cases, inline records and mutated ones.

use std::path::{Path, PathBuf};

use expect_test::{Expect, expect_file};
use serde_json::{Value, json};

use super::{Alert, DecodeError, Envelope, Format, Limits, decode};

/// A word that a test plants where an attacker could, and that no error may repeat.
pub(crate) const PLANTED: &str = "pwned-by-mallory";

pub(crate) const ENVELOPE: Envelope<'static> = Envelope {
    topic: "cases",
    partition: 0,
    offset: 0,
    timestamp: None,
    tenant: None,
};

/// Decodes `cases/<case>.json` and compares with `cases/<case>.expected.json`.
#[track_caller]
pub(crate) fn check(case: &str) {
    let record = std::fs::read(path(case, "json")).expect("a case of that name");
    expect_file![path(case, "expected.json")].assert_eq(&shown(decoded(&record)));
}

/// Decodes a record that is refused and compares the error.
#[track_caller]
pub(crate) fn refused(record: &str, expected: Expect) {
    let error = decoded(record.as_bytes()).expect_err("a refusal");
    expected.assert_eq(&format!("{} {error}", error.reason.word()));
}

/// Decodes a record of one alert.
#[track_caller]
pub(crate) fn alert(record: &str) -> Alert {
    let mut alerts = decoded(record.as_bytes()).expect("an alert");
    assert_eq!(alerts.len(), 1);
    alerts.remove(0)
}

pub(crate) fn decoded(record: &[u8]) -> Result<Vec<Alert>, DecodeError> {
    decode(record, None, &ENVELOPE, &Limits::default())
}

/// Decodes many mutations of a format's cases; every outcome has to hold what outcomes promise.
pub(crate) fn check_mutations(format: Format) {
    let folder = root().join(format.word());
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("cases of the format")
        .map(|entry| entry.expect("a case").path())
        .filter(|path| !path.to_string_lossy().ends_with(".expected.json"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let seed = std::fs::read_to_string(file).expect("a case");
        for number in 0..400 {
            let record = mutated(&seed, &mut Dice(number));
            check_outcome(&record, Some(format));
            check_outcome(&record, None);
        }
    }
}

/// Whatever the bytes are: the outcome is the same twice, bounded, and never repeats what an attacker wrote.
pub(crate) fn check_outcome(record: &[u8], format: Option<Format>) {
    let limits = Limits {
        value_bytes_max: 256,
        entities_max: 16,
        ..Limits::default()
    };
    let outcome = decode(record, format, &ENVELOPE, &limits);
    assert_eq!(outcome, decode(record, format, &ENVELOPE, &limits));
    match outcome {
        Ok(alerts) => alerts.iter().for_each(|alert| check_bounds(alert, &limits)),
        Err(error) => {
            assert!(error.field.starts_with('/'), "{error}");
            assert!(!error.to_string().contains(PLANTED), "{error}");
        }
    }
}

fn check_bounds(alert: &Alert, limits: &Limits) {
    assert!(!alert.source.native_uid.is_empty());
    assert!(alert.start_time <= alert.end_time);
    assert!(alert.entities.len() <= limits.entities_max);
    for entity in &alert.entities {
        let parent = entity.parent.unwrap_or(0);
        assert!(usize::try_from(parent).is_ok_and(|parent| parent < alert.entities.len()));
    }
    let mut texts = Vec::new();
    gather(
        &serde_json::to_value(alert).expect("an alert is JSON"),
        &mut texts,
    );
    for text in texts {
        // The uid joins the product key and the record's own id.
        assert!(text.len() <= 2 * limits.value_bytes_max + 1, "{text}");
    }
}

fn gather(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| gather(value, texts)),
        Value::Object(fields) => fields.values().for_each(|value| gather(value, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn mutated(seed: &str, dice: &mut Dice) -> Vec<u8> {
    let mut record = seed.as_bytes().to_vec();
    match dice.below(4) {
        0 => record.truncate(dice.below(record.len())),
        1 => {
            for _ in 0..=dice.below(4) {
                let place = dice.below(record.len());
                record[place] ^= 1 << dice.below(8);
            }
        }
        _ => {
            let mut value: Value = serde_json::from_str(seed).expect("a case is JSON");
            for _ in 0..=dice.below(3) {
                mutate(&mut value, dice);
            }
            record = value.to_string().into_bytes();
        }
    }
    record
}

/// Puts something else in the place of one value, which may lie in JSON inside a text.
fn mutate(value: &mut Value, dice: &mut Dice) {
    let stop = dice.below(4) == 0;
    match value {
        Value::Object(fields) if !stop && !fields.is_empty() => {
            let chosen = dice.below(fields.len());
            mutate(fields.values_mut().nth(chosen).expect("a field"), dice);
        }
        Value::Array(values) if !stop && !values.is_empty() => {
            let chosen = dice.below(values.len());
            mutate(&mut values[chosen], dice);
        }
        Value::String(text) if !stop && text.starts_with(['{', '[']) => {
            if let Ok(mut inside) = serde_json::from_str(text) {
                mutate(&mut inside, dice);
                *text = inside.to_string();
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => *value = other(value.take(), dice),
    }
}

fn other(value: Value, dice: &mut Dice) -> Value {
    match dice.below(10) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(u64::MAX),
        3 => json!(-1.5e300),
        4 => json!([]),
        5 => json!({}),
        6 => json!([value.clone(), value]),
        7 => json!(PLANTED.repeat(1 + dice.below(200))),
        8 => json!({ PLANTED: value, "$ref": "2", "Type": "host" }),
        _ => (0..dice.below(120)).fold(value, |inside, _| json!([inside])),
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(bound).expect("small"))
            .expect("small")
    }
}

fn shown(outcome: Result<Vec<Alert>, DecodeError>) -> String {
    let value = match outcome {
        Ok(alerts) => json!(alerts),
        Err(error) => json!({
            "reason": error.reason.word(),
            "field": error.field,
            "problem": error.problem,
        }),
    };
    format!("{value:#}\n")
}

fn path(case: &str, ending: &str) -> PathBuf {
    root().join(format!("{case}.{ending}"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}
