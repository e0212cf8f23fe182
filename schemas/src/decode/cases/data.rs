//! Real records, read from the folder that `FUSOR_DATA` names; without it these tests skip and say so.
//!
//! The records are not ours to keep: what a person checked field by field is pinned by the digest of its alert.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::alert::Alert;
use crate::decode::{DecodeError, Envelope, Format, Limits, decode};
use crate::entity::EntityRole;

/// Alerts checked field by field against their records: file, line from 0, first 16 hex digits of the SHA-256 of the
/// alert's JSON.
const REVIEWED: &[(&str, usize, &str)] = &[];

#[test]
fn reviewed_alerts_have_not_changed() {
    let Some(folder) = folder() else { return };
    for (file, line, expected) in REVIEWED {
        let text = read(&folder.join(file));
        let record = match file.ends_with(".ndjson") {
            true => text.lines().nth(*line).unwrap(),
            false => text.as_str(),
        };
        let alert = decoded(record, file, *line).unwrap().remove(0);
        let json = serde_json::to_string(&alert).unwrap();
        let digest: String = Sha256::digest(&json)
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(&digest, expected, "{file} line {line}:\n{json}");
    }
}

#[test]
fn every_real_suricata_record_decodes() {
    let Some(folder) = folder() else { return };
    let mut seen = BTreeSet::new();
    for file in files(&folder.join("vendor"), "suricata-eve-", ".ndjson") {
        let text = read(&file);
        for (line, record) in text.lines().enumerate() {
            let alerts = decoded(record, "suricata", line);
            let [alert] = <[Alert; 1]>::try_from(alerts.unwrap()).unwrap();
            assert_eq!(alert.provenance.mapper, Format::Suricata.word());
            assert!(!alert.entities.is_empty() && !alert.title.is_empty());
            assert!(alert.source.rule_uid.is_some());
            assert!(
                seen.insert(alert.uid),
                "two records of one uid, line {line}"
            );
        }
    }
    assert_eq!(seen.len(), 384);
}

#[test]
fn real_ocsf_findings_decode_and_security_findings_are_refused_by_name() {
    let Some(folder) = folder() else { return };
    let outcomes: Vec<String> = files(&folder.join("vendor/ocsf"), "", ".ocsf")
        .iter()
        .map(|file| match decoded(&read(file), "ocsf", 0) {
            Ok(alerts) => format!("{} decoded\n", alerts.len()),
            Err(error) => format!("{} {error}\n", error.reason.word()),
        })
        .collect();
    expect_test::expect![[r#"
        unsupported_class /class_uid: class 2001 (security finding) is not supported; send 2004 (detection finding)
        1 decoded
        unsupported_class /class_uid: class 2001 (security finding) is not supported; send 2004 (detection finding)
        1 decoded
    "#]].assert_eq(&outcomes.concat());
}

#[test]
fn every_neutral_record_decodes_and_keeps_its_names() {
    let Some(folder) = folder() else { return };
    let mut count = 0;
    for file in files(&folder, "", ".alerts.ndjson.gz") {
        let mut text = String::new();
        let bytes = std::fs::read(&file).unwrap();
        flate2::read::GzDecoder::new(bytes.as_slice())
            .read_to_string(&mut text)
            .unwrap();
        for (line, record) in text.lines().enumerate() {
            let alerts = decoded(record, "neutral", line);
            let [alert] = <[Alert; 1]>::try_from(alerts.unwrap()).unwrap();
            kept(&alert, &serde_json::from_str(record).unwrap());
            count += 1;
        }
    }
    assert_eq!(count, 167_790);
}

/// What a neutral record says is in its alert.
fn kept(alert: &Alert, record: &serde_json::Value) {
    let text = |name: &str| record[name].as_str();
    assert_eq!(Some(alert.source.native_uid.as_str()), text("id"));
    assert_eq!(Some(alert.source.product_key.as_str()), text("source"));
    assert_eq!(alert.tenant, text("tenant").unwrap_or("default"));
    assert_eq!(Some(alert.severity.word()), text("severity"));
    assert_eq!(alert.rule(), text("rule").unwrap_or(&alert.title));
    let tactics = record["tactics"].as_array().unwrap();
    let techniques = record["techniques"].as_array().unwrap();
    assert!(alert.attacks.len() >= tactics.len(), "{record}");
    assert!(
        !alert.attacks.is_empty() || techniques.is_empty(),
        "{record}"
    );
    for entity in record["entities"].as_array().unwrap() {
        let sensor = entity["role"] == "sensor";
        let observer = |entity: &crate::entity::Entity| entity.role == EntityRole::Observer;
        assert!(!sensor || alert.entities.iter().any(observer), "{record}");
    }
    let warnings = &alert.provenance.warnings;
    assert!(
        warnings.iter().all(|word| word == "end_before_start"),
        "{warnings:?} {record}"
    );
}

fn decoded(record: &str, topic: &str, line: usize) -> Result<Vec<Alert>, DecodeError> {
    let envelope = Envelope {
        topic,
        partition: 0,
        offset: i64::try_from(line).unwrap(),
        timestamp: None,
        tenant: None,
    };
    decode(record.as_bytes(), None, &envelope, &Limits::default())
}

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("FUSOR_DATA").map(PathBuf::from);
    if folder.is_none() {
        let mut out = std::io::stdout().lock();
        writeln!(out, "skipped: FUSOR_DATA names no folder of real records").unwrap();
    }
    folder
}

fn files(folder: &Path, start: &str, end: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(start) && name.ends_with(end)
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no files in {}", folder.display());
    files
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
