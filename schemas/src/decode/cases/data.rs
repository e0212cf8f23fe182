//! Real records, read from the folder that `FUSOR_DATA` names; without it these tests skip and say so. With
//! `FUSOR_DATA_SHOW` the reviewed alerts are printed, for the next review.
//!
//! The records are not ours to keep: what a person checked field by field is pinned by the digest of its alert.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::alert::Alert;
use crate::decode::{DecodeError, Envelope, Format, Limits, decode};
use crate::entity::EntityRole;

/// The records whose alerts a person checked field by field: file, and line from 0.
const REVIEWED: &[(&str, usize)] = &[
    (
        "ocsf/AWS_v1.1.0_Security_Hub_Detection_Finding_sechub-guardduty.ocsf",
        0,
    ),
    (
        "ocsf/Okta_v1.3.0_System_Logs_Detection_Finding_detection_finding.ocsf",
        0,
    ),
    ("suricata-eve-first-org-conf-2015.ndjson", 0),
    ("suricata-eve-first-org-conf-2015.ndjson", 1),
    ("suricata-eve-first-org-conf-2015.ndjson", 4),
    ("suricata-eve-first-org-conf-2015.ndjson", 6),
    ("suricata-eve-first-org-conf-2015.ndjson", 15),
    ("suricata-eve-first-org-conf-2015.ndjson", 31),
    ("suricata-eve-first-org-conf-2015.ndjson", 32),
    ("suricata-eve-first-org-conf-2015.ndjson", 33),
    ("suricata-eve-first-org-conf-2015.ndjson", 45),
    ("suricata-eve-first-org-conf-2015.ndjson", 50),
    ("suricata-eve-first-org-conf-2015.ndjson", 71),
    ("suricata-eve-first-org-conf-2015.ndjson", 98),
    ("suricata-eve-first-org-conf-2015.ndjson", 115),
    ("suricata-eve-first-org-conf-2015.ndjson", 128),
    ("suricata-eve-first-org-conf-2015.ndjson", 129),
    ("suricata-eve-honeypot-2018.ndjson", 0),
    ("suricata-eve-honeypot-2018.ndjson", 9),
    ("suricata-eve-wrccdc-2018.ndjson", 0),
    ("suricata-eve-wrccdc-2018.ndjson", 7),
    ("suricata-eve-wrccdc-2018.ndjson", 13),
    ("suricata-eve-wrccdc-2018.ndjson", 24),
    ("suricata-eve-wrccdc-2018.ndjson", 25),
    ("suricata-eve-wrccdc-2018.ndjson", 94),
    ("suricata-eve-wrccdc-2018.ndjson", 120),
    ("suricata-eve-wrccdc-2018.ndjson", 122),
    ("suricata-eve-wrccdc-2018.ndjson", 125),
    ("suricata-eve-wrccdc-2018.ndjson", 130),
    ("suricata-eve-wrccdc-2018.ndjson", 150),
    ("suricata-eve-wrccdc-2018.ndjson", 155),
];

/// The first 16 hex digits of the SHA-256 of each alert's JSON. A change here is a change to review.
#[test]
fn reviewed_alerts_have_not_changed() {
    let Some(folder) = folder() else { return };
    let mut digests = String::new();
    for (file, line) in REVIEWED {
        let text = read(&folder.join("vendor").join(file));
        let record = if file.ends_with(".ndjson") {
            text.lines().nth(*line).unwrap()
        } else {
            text.as_str()
        };
        let alert = decoded(record, file, *line).unwrap().remove(0);
        let digest = Sha256::digest(serde_json::to_string(&alert).unwrap());
        let digest: String = digest
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        digests.push_str(&format!("{digest} {file} {line}\n"));
        if std::env::var_os("FUSOR_DATA_SHOW").is_some() {
            let mut out = std::io::stdout().lock();
            writeln!(out, "{}", serde_json::to_string_pretty(&alert).unwrap()).unwrap();
        }
    }
    expect_test::expect![[r#"
        3379ac7d7c23d612 ocsf/AWS_v1.1.0_Security_Hub_Detection_Finding_sechub-guardduty.ocsf 0
        e688cf1e6eda4c6d ocsf/Okta_v1.3.0_System_Logs_Detection_Finding_detection_finding.ocsf 0
        2f02064046aa6e3b suricata-eve-first-org-conf-2015.ndjson 0
        8b1f4942689d2354 suricata-eve-first-org-conf-2015.ndjson 1
        69faa2caa28773f9 suricata-eve-first-org-conf-2015.ndjson 4
        9646d58b2629d0a5 suricata-eve-first-org-conf-2015.ndjson 6
        1a3df04b12543b89 suricata-eve-first-org-conf-2015.ndjson 15
        6dd1099a6d47a6fe suricata-eve-first-org-conf-2015.ndjson 31
        db8f8f0d9c84afe2 suricata-eve-first-org-conf-2015.ndjson 32
        5fc7f70a02d6c9a8 suricata-eve-first-org-conf-2015.ndjson 33
        192199810cfe1c30 suricata-eve-first-org-conf-2015.ndjson 45
        72890354bfe1d07f suricata-eve-first-org-conf-2015.ndjson 50
        1598faab21c9bc00 suricata-eve-first-org-conf-2015.ndjson 71
        6982522564cfa0fe suricata-eve-first-org-conf-2015.ndjson 98
        cb8e54743c7243e4 suricata-eve-first-org-conf-2015.ndjson 115
        ceed9522bd3c59a3 suricata-eve-first-org-conf-2015.ndjson 128
        3b0387bc7d4be013 suricata-eve-first-org-conf-2015.ndjson 129
        c2fa916d388a969f suricata-eve-honeypot-2018.ndjson 0
        87b1c87ccd4b4eba suricata-eve-honeypot-2018.ndjson 9
        8f937e7cdb98482b suricata-eve-wrccdc-2018.ndjson 0
        0544e1592be42dd2 suricata-eve-wrccdc-2018.ndjson 7
        dbb48914568b0983 suricata-eve-wrccdc-2018.ndjson 13
        763d4d5090a7e646 suricata-eve-wrccdc-2018.ndjson 24
        0eb58bd0fe3923ea suricata-eve-wrccdc-2018.ndjson 25
        ff3a19e9560ba0ae suricata-eve-wrccdc-2018.ndjson 94
        3b379321c2b2a8f8 suricata-eve-wrccdc-2018.ndjson 120
        9607253a6cfceb60 suricata-eve-wrccdc-2018.ndjson 122
        39c79003a8cc57d2 suricata-eve-wrccdc-2018.ndjson 125
        fda25c226b5d0dc1 suricata-eve-wrccdc-2018.ndjson 130
        06608270e47071bc suricata-eve-wrccdc-2018.ndjson 150
        8fa55519f351b604 suricata-eve-wrccdc-2018.ndjson 155
    "#]]
    .assert_eq(&digests);
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
        offset: i64::try_from(line).unwrap_or_default(),
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
