use expect_test::expect;
use serde_json::{Value, json};

use super::testing::{ENVELOPE, PLANTED, alert, check_outcome, decoded, refused};
use super::{Envelope, Format, Limits, Reason, decode};
use crate::time::Timestamp;

fn sentinel(id: &str) -> Value {
    json!({"SystemAlertId": id, "AlertName": "title", "StartTime": "2025-03-04T08:00:00Z"})
}

#[track_caller]
fn uids(record: &Value) -> Vec<String> {
    let alerts = decoded(record.to_string().as_bytes()).expect("alerts");
    alerts
        .into_iter()
        .map(|alert| alert.source.native_uid)
        .collect()
}

#[test]
fn wrapped_alerts_are_found() {
    let (one, two) = (sentinel("1"), sentinel("2"));
    for record in [
        json!([one, two]),
        json!({"value": [one, two]}),
        json!({"records": [one, two]}),
        json!([{"_index": "a", "_source": one}, {"message": two.to_string(), "@timestamp": "x"}]),
        json!({"message": json!({"records": [one, two]}).to_string()}),
        json!({"records": [{"message": one.to_string()}, two]}),
    ] {
        assert_eq!(uids(&record), ["1", "2"], "{record}");
    }
    assert!(uids(&json!([])).is_empty());
}

#[test]
fn byte_order_mark_is_skipped() {
    let record = format!("\u{feff}{}", sentinel("1"));
    assert_eq!(decoded(record.as_bytes()).map(|alerts| alerts.len()), Ok(1));
}

#[test]
fn one_bad_alert_refuses_the_record() {
    let record = json!({"records": [sentinel("1"), {"SystemAlertId": "2", "AlertName": "t"}]});
    refused(
        &record.to_string(),
        expect!["missing_field /records/1/StartTime: missing"],
    );
}

#[test]
fn format_is_found_by_its_marks() {
    let found = |record: Value| {
        let document = record.to_string();
        let document = super::json::Document::parse(document.as_bytes()).expect("JSON");
        let object = document.root().object().expect("an object");
        super::sniff::format(object).map(Format::word)
    };
    let cases = [
        (
            json!({"class_uid": 2004, "SystemAlertId": "a"}),
            Some("ocsf"),
        ),
        (json!({"systemAlertId": "a"}), Some("sentinel")),
        (
            json!({"SystemAlertId": "a", "StartTimeUtc": ""}),
            Some("defender-cloud"),
        ),
        (
            json!({"type": "microsoft.security/locations/alerts", "properties": {"alertType": "x"}}),
            Some("defender-cloud"),
        ),
        (
            json!({"category": {"value": "Security"}, "properties": {"compromisedEntity": "x"}}),
            Some("defender-cloud"),
        ),
        (
            json!({"rule": {"level": 3}, "agent": {"id": "1"}, "manager": {"name": "m"}}),
            Some("wazuh"),
        ),
        (
            json!({"event_type": "alert", "src_ip": "198.51.100.1"}),
            Some("suricata"),
        ),
        (
            json!({"id": "1", "time": "2025-01-01T00:00:00Z", "title": "t"}),
            Some("fusor"),
        ),
        (json!({"id": "1", "title": "t"}), Some("fusor")),
        (
            json!({"properties": {"alertType": "x"}, "type": "Contoso.Shop/orders"}),
            None,
        ),
        (json!({"rule": {"level": 3}}), None),
        (json!({}), None),
    ];
    for (record, format) in cases {
        assert_eq!(found(record.clone()), format, "{record}");
    }
}

#[test]
fn pinned_format_wins_and_names_its_own_fields() {
    let record = json!({"class_uid": 2004, "AlertName": "t"}).to_string();
    let refusal = decode(
        record.as_bytes(),
        Some(Format::Sentinel),
        &ENVELOPE,
        &Limits::default(),
    );
    assert_eq!(refusal.expect_err("no id").field, "/SystemAlertId");

    let wrapped = json!({"value": [sentinel("1")]}).to_string();
    let alerts = decode(
        wrapped.as_bytes(),
        Some(Format::Sentinel),
        &ENVELOPE,
        &Limits::default(),
    );
    assert_eq!(alerts.map(|alerts| alerts.len()), Ok(1));
}

#[test]
fn what_is_no_record_is_refused() {
    refused("", expect!["not_json /: JSON ends early, line 1 column 0"]);
    refused("{} {}", expect!["not_json /: not JSON, line 1 column 4"]);
    refused(
        "7",
        expect!["unknown_format /: neither an object nor a list"],
    );
    refused(
        "[[1]]",
        expect!["unknown_format /0/0: neither an object nor a list"],
    );
    refused("{\"a\":1}", expect!["unknown_format /: of no known format"]);
    refused(
        "[[[[[]]]]]",
        expect!["invalid_field /0/0/0/0: wrapped too often"],
    );
    refused(
        &json!({"message": format!("{{{PLANTED}")}).to_string(),
        expect!["not_json /message: not JSON, line 1 column 2"],
    );
    refused(
        &json!({"records": [{PLANTED: 1}]}).to_string(),
        expect!["unknown_format /records/0: of no known format"],
    );
}

#[test]
fn nesting_and_size_are_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let record = |depth| {
        format!(
            r#"{{"SystemAlertId":"a","AlertName":"t","StartTime":"2025-01-01","x":{}}}"#,
            nested(depth)
        )
    };
    assert!(decoded(record(63).as_bytes()).is_ok());
    refused(
        &record(64),
        expect!["not_json /: nested too deep, line 1 column 131"],
    );
    let deep = nested(100_000);
    assert_eq!(
        decoded(deep.as_bytes()).map_err(|error| error.reason),
        Err(Reason::NotJson)
    );
    let large = format!("\"{}\"", "a".repeat(256 << 10));
    assert_eq!(
        decoded(large.as_bytes()).map_err(|error| error.reason),
        Err(Reason::TooLarge)
    );
}

#[test]
fn values_are_cut_and_ids_are_not() {
    let mut record = sentinel("1");
    record["Description"] = json!("é".repeat(1000));
    let found = alert(&record.to_string());
    assert_eq!(found.description.map(|text| text.len()), Some(1024));
    assert_eq!(found.provenance.warnings, ["values_cut"]);
    refused(
        &sentinel(&"1".repeat(2000)).to_string(),
        expect!["invalid_field /: the alert's id is longer than a value may be"],
    );
}

#[test]
fn tenant_of_the_input_wins() {
    let tenant = |own: Value, input: Option<&str>| {
        let mut record = sentinel("1");
        record["TenantId"] = own;
        let envelope = Envelope {
            tenant: input,
            ..ENVELOPE
        };
        let alerts = decode(
            record.to_string().as_bytes(),
            None,
            &envelope,
            &Limits::default(),
        );
        alerts
            .map(|alerts| alerts[0].tenant.clone())
            .map_err(|error| error.field)
    };
    assert_eq!(
        tenant(json!("acme"), Some("contoso")).as_deref(),
        Ok("contoso")
    );
    assert_eq!(
        tenant(json!("not/safe"), Some("contoso")).as_deref(),
        Ok("contoso")
    );
    assert_eq!(tenant(json!("acme"), None).as_deref(), Ok("acme"));
    assert_eq!(tenant(json!(""), None).as_deref(), Ok("default"));
    assert_eq!(tenant(Value::Null, None).as_deref(), Ok("default"));
    for bad in [
        json!("not/safe"),
        json!("x".repeat(129)),
        json!(["acme"]),
        json!("ünï"),
    ] {
        assert_eq!(tenant(bad, None), Err("/TenantId".to_owned()));
    }
    assert_eq!(tenant(json!("acme"), Some("")), Err("/".to_owned()));
}

#[test]
fn times_fall_back_from_activity_to_detection_to_the_broker() {
    let read = |fields: Value, broker: Option<i64>| {
        let mut record = json!({"SystemAlertId": "a", "AlertName": "t"});
        for (name, value) in fields.as_object().expect("fields") {
            record[name] = value.clone();
        }
        let envelope = Envelope {
            timestamp: broker,
            ..ENVELOPE
        };
        let alerts = decode(
            record.to_string().as_bytes(),
            None,
            &envelope,
            &Limits::default(),
        );
        alerts.map(|mut alerts| {
            let alert = alerts.remove(0);
            (
                alert.start_time.0,
                alert.end_time.0,
                alert.ingest_time.0,
                alert.time_quality.word(),
            )
        })
    };
    let second = |second: i64| json!(Timestamp(second * 1000).to_string());
    let all = json!({"StartTime": second(10), "EndTime": second(20), "TimeGenerated": second(30)});
    assert_eq!(
        read(all, Some(40_000)),
        Ok((10_000, 20_000, 40_000, "exact"))
    );
    let backwards = json!({"StartTime": second(20), "EndTime": second(10)});
    assert_eq!(read(backwards, None), Ok((20_000, 20_000, 20_000, "exact")));
    let detected = json!({"TimeGenerated": second(30)});
    assert_eq!(
        read(detected, Some(40_000)),
        Ok((30_000, 30_000, 40_000, "detection_only"))
    );
    assert_eq!(
        read(json!({}), Some(40_000)),
        Ok((40_000, 40_000, 40_000, "ingest_only"))
    );
    assert!(read(json!({}), None).is_err());
}

#[test]
fn any_bytes_are_read_or_refused() {
    for seed in 0..2000_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut bytes = Vec::new();
        for _ in 0..seed % 64 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let alphabet = b"{}[]\",:0129eE+-.\\u\"ntf \xc3\x28\x00";
            let place = usize::try_from(state >> 33).expect("small") % alphabet.len();
            bytes.push(alphabet[place]);
        }
        check_outcome(&bytes, None);
        check_outcome(
            &bytes,
            Some(Format::ALL[usize::try_from(seed % 6).expect("small")]),
        );
    }
}
