use super::*;
use crate::bus::{Header, Partition};

fn decoder(tenant: Option<TenantRule>) -> Decoder {
    let alerts = Source::Alerts {
        format: None,
        tenant,
    };
    Decoder {
        sources: Sources::new([
            ("alerts".to_owned(), alerts),
            ("leases".to_owned(), Source::Bindings),
        ]),
        limits: Limits::default(),
        clamp: Some(Clamp::default()),
        threads: 4,
    }
}

fn record(topic: &str, value: &str) -> Record {
    Record {
        partition: Partition {
            topic: topic.into(),
            number: 0,
        },
        offset: 0,
        timestamp: Some(1_767_571_200_000),
        key: None,
        value: Some(value.as_bytes().to_vec()),
        headers: Vec::new(),
    }
}

#[track_caller]
fn check_broken(decoder: &Decoder, record: Record, reason: &str, message: &str) {
    match decoder.decode(Arc::new(record)).content {
        Content::Broken(broken) => {
            assert_eq!((broken.reason, broken.message.as_str()), (reason, message));
        }
        content @ (Content::Alerts(_) | Content::Binding(_) | Content::Command(_)) => {
            panic!("{content:?}")
        }
    }
}

const NO_TENANT: &str = "a tenant is 1 to 64 of a-z, A-Z, 0-9, dot, underscore and hyphen";
const LEASE: &str = r#"{"tenant":"x","ip":"::ffff:10.0.0.1","host":"h","from":"2026-01-04T00:00:00Z","to":"2026-01-06T00:00:00Z"}"#;

#[test]
fn a_lease_is_read_with_its_address_in_canonical_form() {
    let Content::Binding(binding) = decoder(None)
        .decode(Arc::new(record("leases", LEASE)))
        .content
    else {
        panic!("no binding")
    };
    assert_eq!(
        (binding.ip.as_str(), binding.host.as_str()),
        ("10.0.0.1", "h")
    );
}

#[test]
fn broken_leases_name_what_is_wrong() {
    let check = |value: &str, reason, message: &str| {
        check_broken(&decoder(None), record("leases", value), reason, message);
    };
    let turned = LEASE.replace("2026-01-06", "2026-01-03");
    check(&turned, "invalid_field", "/to: not after /from");
    let nameless = LEASE.replace(r#""h""#, r#""""#);
    check(&nameless, "invalid_field", "/host: not 1 to 1024 bytes");
    let foreign = LEASE.replace(r#""x""#, r#""x/y""#);
    check(&foreign, "invalid_tenant", &format!("/tenant: {NO_TENANT}"));
    check("[", "not_json", "line 1 column 1: no binding");
    check("{}", "invalid_field", "line 1 column 2: no binding");
}

#[test]
fn a_record_without_value_or_of_no_input_is_refused() {
    let mut tombstone = record("alerts", "");
    tombstone.value = None;
    check_broken(
        &decoder(None),
        tombstone,
        "no_value",
        "the record has no value",
    );
    check_broken(
        &decoder(None),
        record("other", "{}"),
        "unknown_topic",
        "the topic is no input",
    );
}

#[test]
fn a_tenant_the_input_decides_is_never_taken_from_elsewhere() {
    let rule = TenantRule::Header("tenant".parse().unwrap());
    let decoder = decoder(Some(rule));
    let message = "header tenant: the tenant is missing here";
    check_broken(&decoder, record("alerts", "{}"), "missing_field", message);
    let mut empty = record("alerts", "{}");
    empty.headers = vec![Header::text("tenant", ""), Header::text("tenant", "x")];
    let message = format!("header tenant: {NO_TENANT}");
    check_broken(&decoder, empty, "invalid_tenant", &message);
    let mut forged = record("alerts", "{}");
    forged.headers = vec![Header::text("tenant", "x/../y")];
    check_broken(&decoder, forged, "invalid_tenant", &message);
}

#[test]
fn many_threads_keep_the_order() {
    let records: Vec<Arc<Record>> = (0..1_000)
        .map(|offset| {
            let mut record = record("leases", LEASE);
            record.offset = offset;
            Arc::new(record)
        })
        .collect();
    let decoded = decoder(None).decode_all(records);
    let offsets: Vec<i64> = decoded
        .iter()
        .map(|decoded| decoded.record.offset)
        .collect();
    assert!(offsets.is_sorted());
    assert_eq!(offsets.len(), 1_000);
}

#[test]
fn times_far_from_the_brokers_are_moved_next_to_it() {
    let clamp = Clamp::default();
    let broker = 1_767_571_200_000;
    let check = |time: i64, expected: i64| {
        assert_eq!(clamp.time(Timestamp(time), broker), Timestamp(expected));
    };
    check(broker - 1, broker - 1);
    check(broker + 300_001, broker + 300_000);
    check(0, broker - 14 * 86_400_000);
    check(i64::MAX, broker + 300_000);
}
