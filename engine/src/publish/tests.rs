use schemas::incident::{AlertRef, IncidentEntity, Link, LinkKind};
use schemas::time::Timestamp;

use super::*;
use crate::view::tests::incident;

fn alert(uid: String) -> AlertRef {
    AlertRef {
        native_uid: uid.clone(),
        uid,
        product: "edr".to_owned(),
        rule: "r".to_owned(),
        title: "t".to_owned(),
        severity: schemas::alert::Severity::High,
        start_time: Timestamp(0),
        end_time: Timestamp(0),
        count: 1,
        repeat_uids: Vec::new(),
        tactic_uids: Vec::new(),
        technique_uids: Vec::new(),
        entity_keys: vec!["host:a".to_owned()],
        novelty: 0,
        context: false,
        late: false,
        blocked: false,
    }
}

fn link(from: i32, to: i32, joined: bool) -> Link {
    Link {
        from,
        to,
        kind: LinkKind::Pair,
        reasons: Vec::new(),
        gap_ms: 0,
        terms: Vec::new(),
        weight: 1,
        bar: 1,
        joined,
    }
}

/// An incident of `alerts` alerts in a row, each linked to the next, one link in two only strengthening.
fn large(alerts: i32) -> Incident {
    let mut large = incident("i", "x", 90.0, 7);
    large.alerts = (0..alerts).map(|n| alert(format!("a{n}"))).collect();
    large.chain = (0..alerts).collect();
    large.links = (1..alerts).map(|n| link(n - 1, n, n % 2 == 0)).collect();
    large.alert_count = i64::from(alerts);
    large.entities = (0..alerts)
        .map(|n| IncidentEntity {
            key: format!("host:{n}"),
            kind: "host".to_owned(),
            display: "h".repeat(100),
            aliases: Vec::new(),
            roles: Vec::new(),
            pivot: false,
            alert_count: 1,
            first_time: Timestamp(0),
            last_time: Timestamp(0),
        })
        .collect();
    large
}

fn publisher(bytes_max: usize) -> Publisher {
    Publisher {
        topic: "out".into(),
        instance: "fusor".to_owned(),
        bytes_max,
    }
}

fn read_back(incident: &Incident, bytes_max: usize) -> Incident {
    let record = publisher(bytes_max).record(incident).unwrap();
    let value = record.value.unwrap();
    assert!(value.len() <= bytes_max, "{} bytes", value.len());
    serde_json::from_slice(&value).unwrap()
}

#[test]
fn an_incident_that_fits_is_written_as_it_is() {
    let incident = large(10);
    assert_eq!(read_back(&incident, INCIDENT_BYTES_MAX), incident);
}

#[test]
fn an_incident_that_does_not_fit_loses_the_ends_of_its_lists() {
    for bytes_max in [200_000, 50_000, 5_000, 2_000] {
        let read = read_back(&large(2_000), bytes_max);
        assert!(read.truncated);
        assert_eq!(read.alert_count, 2_000, "counts stay true");
        let count = i32::try_from(read.alerts.len()).unwrap();
        assert!(bytes_max < 5_000 || count > 0, "{bytes_max}");
        assert!(read.chain.iter().all(|index| *index < count));
        assert!(
            read.links
                .iter()
                .all(|l| l.joined && l.from < count && l.to < count)
        );
    }
}

#[test]
fn texts_of_any_length_still_fit() {
    let mut incident = large(1);
    incident.title = "ü".repeat(1 << 20);
    incident.summary = "s".repeat(1 << 20);
    let mut fat = alert("a".repeat(1 << 20));
    fat.title = "t".repeat(1 << 20);
    incident.alerts = vec![fat];
    let read = read_back(&incident, 100_000);
    assert_eq!((read.id.as_str(), read.truncated), ("i", true));
}

#[test]
fn headers_are_those_of_a_cloud_event() {
    let record = publisher(INCIDENT_BYTES_MAX).record(&large(1)).unwrap();
    assert_eq!(record.key.as_deref(), Some(b"i".as_slice()));
    let headers: Vec<String> = record
        .headers
        .iter()
        .map(|h| {
            format!(
                "{}={}",
                h.name,
                String::from_utf8_lossy(h.value.as_ref().unwrap())
            )
        })
        .collect();
    assert_eq!(
        headers,
        [
            "content-type=application/json",
            "ce_specversion=1.0",
            "ce_id=i:7",
            "ce_type=fusor.incident.v1.updated",
            "ce_source=/engine/fusor",
            "ce_subject=i",
            "ce_time=2026-01-05T00:00:07.000Z",
        ]
    );
}
