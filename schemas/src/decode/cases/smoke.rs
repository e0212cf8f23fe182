//! No bytes make a decoder panic, and no error repeats what a record says.

use proptest::prelude::*;

use crate::decode::Format;
use crate::decode::testing::{PLANTED, alert, check_outcome};

/// The cases to spoil, with the format to pin.
const SEEDS: [(Format, &str); 10] = [
    (
        Format::Fusor,
        include_str!("../../../cases/fusor/full.json"),
    ),
    (
        Format::Fusor,
        include_str!("../../../cases/fusor/hostile.json"),
    ),
    (Format::Ocsf, include_str!("../../../cases/ocsf/full.json")),
    (
        Format::Ocsf,
        include_str!("../../../cases/ocsf/datetime_twins.json"),
    ),
    (
        Format::Ocsf,
        include_str!("../../../cases/ocsf/process_activity_alert.json"),
    ),
    (
        Format::Suricata,
        include_str!("../../../cases/suricata/full.json"),
    ),
    (
        Format::Suricata,
        include_str!("../../../cases/suricata/rule_target.json"),
    ),
    (
        Format::Wazuh,
        include_str!("../../../cases/wazuh/full.json"),
    ),
    (
        Format::Wazuh,
        include_str!("../../../cases/wazuh/suricata_nested.json"),
    ),
    (
        Format::Wazuh,
        include_str!("../../../cases/wazuh/manager_itself.json"),
    ),
];

/// What takes the place of a value: every type, the edges of numbers, and texts of ill will.
fn replacements() -> Vec<serde_json::Value> {
    let mut deep = serde_json::json!("deep");
    for _ in 0..20 {
        deep = serde_json::json!([{ "a": deep }]);
    }
    vec![
        serde_json::Value::Null,
        true.into(),
        (-1).into(),
        u64::MAX.into(),
        1e308.into(),
        "".into(),
        " \u{0}\u{202e}\u{feff} ".into(),
        PLANTED.into(),
        PLANTED.repeat(200).into(),
        "\\\\?\\C:\\%00\\..\\@:/[::1]%eth0".into(),
        "99999999999999999999999999999999999999".into(),
        serde_json::json!([]),
        serde_json::json!({}),
        serde_json::json!([[["x"]], {"uid": {"uid": []}}, null, 7]),
        deep,
    ]
}

/// Every value of every case is put out of shape once, by every replacement.
#[test]
fn any_value_may_be_of_any_type() {
    for (format, seed) in SEEDS {
        let record: serde_json::Value = serde_json::from_str(seed).unwrap();
        let mut places = Vec::new();
        places_of(&record, &mut String::new(), &mut places);
        for place in places {
            for replacement in replacements() {
                let mut spoilt = record.clone();
                *spoilt.pointer_mut(&place).unwrap() = replacement;
                check_outcome(&serde_json::to_vec(&spoilt).unwrap(), Some(format));
            }
        }
    }
}

/// A record may end anywhere.
#[test]
fn any_record_may_be_cut() {
    for (format, seed) in SEEDS {
        for end in 0..seed.len() {
            check_outcome(&seed.as_bytes()[..end], Some(format));
        }
    }
}

/// Lists far longer than any record's are cut, not refused.
#[test]
fn long_lists_are_bounded() {
    let entity = r#"{"type":"host","value":"h%"}"#;
    let entities: Vec<String> = (0..5000)
        .map(|n| entity.replace('%', &n.to_string()))
        .collect();
    let record = format!(
        r#"{{"id":"a","time":1,"title":"t","x":[{}],"entities":[{}]}}"#,
        vec!["1"; 5000].join(","),
        entities.join(","),
    );
    let alert = alert(&record);
    assert_eq!(alert.entities.len(), 64);
    assert!(alert.labels.len() <= 64);
    let warnings = &alert.provenance.warnings;
    assert!(
        warnings.contains(&"entities_cut".to_owned()),
        "{warnings:?}"
    );
    assert!(warnings.contains(&"members_cut".to_owned()), "{warnings:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any few bytes of a case may be any others.
    #[test]
    fn any_bytes_may_be_flipped(
        seed in 0..SEEDS.len(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let (format, text) = SEEDS[seed];
        let mut record = text.as_bytes().to_vec();
        for (place, byte) in flips {
            let place = place.index(record.len());
            record[place] = byte;
        }
        check_outcome(&record, Some(format));
    }

    /// Any bytes at all.
    #[test]
    fn any_bytes_may_come(record in prop::collection::vec(any::<u8>(), 0..256)) {
        for format in Format::ALL {
            check_outcome(&record, Some(format));
        }
    }
}

fn places_of(value: &serde_json::Value, at: &mut String, places: &mut Vec<String>) {
    places.push(at.clone());
    let end = at.len();
    if let Some(fields) = value.as_object() {
        for (name, value) in fields {
            at.push('/');
            at.push_str(&name.replace('~', "~0").replace('/', "~1"));
            places_of(value, at, places);
            at.truncate(end);
        }
    }
    for (place, value) in value.as_array().into_iter().flatten().enumerate() {
        at.push_str(&format!("/{place}"));
        places_of(value, at, places);
        at.truncate(end);
    }
}
