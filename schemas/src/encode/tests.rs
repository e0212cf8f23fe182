use std::collections::BTreeMap;
use std::path::PathBuf;

use apache_avro::schema_compatibility::SchemaCompatibility;
use proptest::prelude::*;

use super::*;
use crate::alert::*;
use crate::attack::{Attack, AttackOrigin};
use crate::command::ActionKind;
use crate::entity::{Entity, EntityRole};
use crate::incident::*;
use crate::time::Timestamp;

fn time(offset: i64) -> Timestamp {
    Timestamp(1_767_571_467_074 + offset)
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).into()).collect()
}

fn host() -> Entity {
    Entity {
        kind: "host".into(),
        key: text("host:name:ws332"),
        alt_keys: strings(&["host:dns:ws332.contoso.com"]),
        identifiers: BTreeMap::from([("hostname".into(), "ws332".into())]),
        display: "ws332".into(),
        role: EntityRole::Target,
        ..Entity::default()
    }
}

fn account() -> Entity {
    Entity {
        kind: "account".into(),
        weak_keys: strings(&["account:name:u332"]),
        display: "u332".into(),
        role: EntityRole::C2,
        parent: Some(0),
        ..Entity::default()
    }
}

fn attack() -> Attack {
    Attack {
        tactic_uid: text("TA0006"),
        technique_uid: text("T1003"),
        sub_technique_uid: text("T1003.001"),
        attack_version: text("19.2"),
        origin: AttackOrigin::Mapped,
    }
}

fn full_alert() -> Alert {
    Alert {
        uid: "edr:a1".into(),
        tenant: "contoso".into(),
        activity: AlertActivity::Update,
        revision: 7,
        kind: AlertKind::Incident,
        source: Source {
            product_key: "edr".into(),
            vendor: text("Vendor"),
            product: text("Product"),
            product_version: text("1.2"),
            native_uid: "a1".into(),
            rule_uid: text("r-1"),
            rule_name: text("lsass_access"),
            url: text("https://edr.example/a1"),
        },
        title: "LSASS memory read".into(),
        description: text("ünïcode, \"quotes\" and\nlines"),
        start_time: time(0),
        end_time: time(1),
        detected_time: time(2),
        ingest_time: time(3),
        time_quality: TimeQuality::Clamped,
        count: 3,
        severity: Severity::Fatal,
        severity_native: text("P1"),
        risk_score: Some(99),
        confidence: Some(70),
        status: AlertStatus::InProgress,
        verdict: Verdict::TruePositive,
        disposition: AlertDisposition::Quarantined,
        attacks: vec![attack()],
        entities: vec![host(), account()],
        correlation_hints: vec!["incident-9".into()],
        labels: BTreeMap::from([("team".to_owned(), "blue".to_owned())]),
        provenance: Provenance {
            topic: "alerts.edr".into(),
            partition: 3,
            offset: 1 << 40,
            mapper: "fusor".into(),
            warnings: vec!["unknown_tactic".into()],
        },
    }
}

fn minimal_alert() -> Alert {
    Alert {
        uid: "fusor:a".into(),
        tenant: String::new(),
        activity: AlertActivity::Unknown,
        revision: 0,
        kind: AlertKind::Unknown,
        source: Source::default(),
        title: String::new(),
        description: None,
        start_time: Timestamp::MIN,
        end_time: Timestamp::MAX,
        detected_time: Timestamp(0),
        ingest_time: Timestamp(-1),
        time_quality: TimeQuality::Unknown,
        count: 1,
        severity: Severity::Unknown,
        severity_native: None,
        risk_score: None,
        confidence: None,
        status: AlertStatus::Unknown,
        verdict: Verdict::Unknown,
        disposition: AlertDisposition::Unknown,
        attacks: vec![Attack {
            origin: AttackOrigin::Unknown,
            ..Attack::default()
        }],
        entities: Vec::new(),
        correlation_hints: Vec::new(),
        labels: BTreeMap::new(),
        provenance: Provenance::default(),
    }
}

fn full_incident() -> Incident {
    Incident {
        id: "8c1f0b1e-0000-5000-8000-000000000001".into(),
        revision: 4,
        activity: IncidentActivity::Merge,
        changes: Change::ALL.to_vec(),
        summary: "one\ntwo".into(),
        status: IncidentStatus::Merged,
        severity: Severity::Critical,
        risk: 83.5,
        confidence: 91,
        learning: true,
        is_suspected_breach: true,
        closed_time: Some(time(9)),
        stages: vec![stage()],
        chain: vec![0, 1],
        alerts: vec![alert_ref()],
        alert_count: 3,
        episode_count: 1,
        entities: vec![IncidentEntity {
            key: "host:name:ws332".into(),
            kind: "host".into(),
            display: "ws332".into(),
            aliases: strings(&["host:dns:ws332.contoso.com"]),
            roles: strings(&["target"]),
            pivot: true,
            alert_count: 1,
            first_time: time(0),
            last_time: time(1),
        }],
        links: vec![link()],
        correlators: strings(&["core"]),
        related_incidents: vec![RelatedIncident {
            id: "other".into(),
            reason: "size_cap".into(),
            weight: 7000,
        }],
        continues: text("a"),
        split_from: text("b"),
        merged_into: text("c"),
        merged_from: strings(&["d"]),
        owner: text("alice"),
        classification: Classification::TruePositive,
        classification_reason: ClassificationReason::SuspiciousActivity,
        classification_comment: text("seen"),
        comments: vec![Comment {
            id: "1".into(),
            author: "alice".into(),
            time: time(5),
            text: "hm".into(),
        }],
        tags: strings(&["vip"]),
        truncated: true,
        actions: ActionKind::ALL
            .iter()
            .map(|action| AnalystAction {
                command: "c-1".into(),
                actor: "alice".into(),
                time: time(6),
                action: *action,
                detail: "bob".into(),
            })
            .collect(),
        ..minimal_incident()
    }
}

/// What the first version could say.
fn first_incident() -> Incident {
    let mut incident = full_incident();
    incident.actions.clear();
    incident
        .changes
        .retain(|change| *change <= Change::RelatedAdded);
    for link in &mut incident.links {
        link.terms.retain(|term| term.kind <= TermKind::NewTactics);
    }
    incident
}

fn stage() -> Stage {
    Stage {
        order: 0,
        tactic_uid: "TA0006".into(),
        tactic_name: "Credential Access".into(),
        technique_uids: strings(&["T1003.001"]),
        first_time: time(0),
        last_time: time(1),
        alert_uids: strings(&["edr:a1"]),
        blocked: true,
    }
}

fn alert_ref() -> AlertRef {
    AlertRef {
        uid: "edr:a1".into(),
        native_uid: "a1".into(),
        product: "EDR".into(),
        rule: "lsass_access".into(),
        title: "LSASS memory read".into(),
        severity: Severity::High,
        start_time: time(0),
        end_time: time(1),
        count: 3,
        repeat_uids: strings(&["edr:a2"]),
        tactic_uids: strings(&["TA0006"]),
        technique_uids: strings(&["T1003.001"]),
        entity_keys: strings(&["host:name:ws332"]),
        novelty: 8000,
        context: true,
        late: true,
        blocked: true,
    }
}

fn link() -> Link {
    Link {
        from: 0,
        to: 1,
        kind: LinkKind::LookBack,
        reasons: strings(&["sameDevice"]),
        gap_ms: 60_000,
        terms: TermKind::ALL
            .iter()
            .map(|kind| Term {
                kind: *kind,
                entity: text("host:name:ws332"),
                bits: -250,
            })
            .collect(),
        weight: 6500,
        bar: 6000,
        joined: true,
    }
}

fn minimal_incident() -> Incident {
    Incident {
        id: "i".into(),
        tenant: "contoso".into(),
        generation: 1,
        revision: 1,
        activity: IncidentActivity::Create,
        changes: Vec::new(),
        title: "LSASS memory read on ws332".into(),
        summary: String::new(),
        status: IncidentStatus::New,
        severity: Severity::Unknown,
        risk: 0.0,
        confidence: 0,
        learning: false,
        is_suspected_breach: false,
        created_time: time(0),
        modified_time: time(1),
        first_activity_time: time(2),
        last_activity_time: time(3),
        closed_time: None,
        stages: Vec::new(),
        chain: Vec::new(),
        alerts: Vec::new(),
        alert_count: 0,
        episode_count: 0,
        entities: Vec::new(),
        links: Vec::new(),
        correlators: Vec::new(),
        related_incidents: Vec::new(),
        continues: None,
        split_from: None,
        merged_into: None,
        merged_from: Vec::new(),
        owner: None,
        classification: Classification::Unset,
        classification_reason: ClassificationReason::Unset,
        classification_comment: None,
        comments: Vec::new(),
        tags: Vec::new(),
        truncated: false,
        engine_version: "0.1.0".into(),
        config_hash: "00".into(),
        actions: Vec::new(),
    }
}

#[test]
fn alerts_survive_avro_and_json() {
    for alert in [full_alert(), minimal_alert()] {
        let avro = alert_avro(&alert).unwrap();
        assert_eq!(read_alert_avro(&avro).unwrap(), alert);
        let json = alert_json(&alert).unwrap();
        let back: Alert = serde_json::from_slice(&json).unwrap();
        assert_eq!(back, alert);
    }
}

#[test]
fn incidents_survive_avro_and_json() {
    for incident in [full_incident(), minimal_incident()] {
        let avro = incident_avro(&incident).unwrap();
        assert_eq!(read_incident_avro(&avro).unwrap(), incident);
        let json = incident_json(&incident).unwrap();
        let back: Incident = serde_json::from_slice(&json).unwrap();
        assert_eq!(back, incident);
    }
}

#[test]
fn times_are_text_in_json_and_numbers_in_avro() {
    let json = alert_json(&full_alert()).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["start_time"], "2026-01-05T00:04:27.074Z");
    let avro = alert_avro(&full_alert()).unwrap();
    let year = b"2026-01-05";
    assert!(!avro.windows(year.len()).any(|window| window == year));
}

/// The names of a schema's fields and of the values that JSON holds are the same, at every level.
#[track_caller]
fn check_shape(schema: &serde_json::Value, value: &serde_json::Value) {
    if let Some(fields) = schema["fields"].as_array() {
        let named: Vec<&str> = fields.iter().map(|f| f["name"].as_str().unwrap()).collect();
        let held: Vec<&str> = value
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let mut sorted = named.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, held);
        for field in fields {
            check_shape(&field["type"], &value[field["name"].as_str().unwrap()]);
        }
    } else if schema["type"] == "array" {
        for item in value.as_array().unwrap() {
            check_shape(&schema["items"], item);
        }
    } else if let Some(symbols) = schema["symbols"].as_array() {
        assert!(symbols.contains(value), "{value} is no symbol");
        assert!(symbols.contains(&schema["default"]));
    }
}

#[test]
fn schema_and_type_have_the_same_fields() {
    let json = |bytes: Vec<u8>| serde_json::from_slice(&bytes).unwrap();
    let schema = |text| serde_json::from_str(text).unwrap();
    check_shape(
        &schema(ALERT_SCHEMA),
        &json(alert_json(&full_alert()).unwrap()),
    );
    check_shape(
        &schema(INCIDENT_SCHEMA),
        &json(incident_json(&full_incident()).unwrap()),
    );
}

/// Every word of an enum, in ordinal order: the symbols are what the type says.
#[test]
fn symbols_are_the_words_of_the_types() {
    let mut found = BTreeMap::new();
    for text in [ALERT_SCHEMA, INCIDENT_SCHEMA] {
        collect_symbols(&serde_json::from_str(text).unwrap(), &mut found);
    }
    macro_rules! words_of {
        ($($name:ident),+) => {
            BTreeMap::from([$((
                stringify!($name).to_owned(),
                $name::ALL.iter().map(|value| value.word().to_owned()).collect::<Vec<String>>(),
            )),+])
        };
    }
    let expected = words_of!(
        AlertActivity,
        AlertKind,
        TimeQuality,
        Severity,
        AlertStatus,
        Verdict,
        AlertDisposition,
        AttackOrigin,
        EntityRole,
        ActionKind,
        IncidentActivity,
        IncidentStatus,
        Change,
        LinkKind,
        TermKind,
        Classification,
        ClassificationReason
    );
    assert_eq!(found, expected);
}

fn collect_symbols(schema: &serde_json::Value, found: &mut BTreeMap<String, Vec<String>>) {
    if let Some(symbols) = schema["symbols"].as_array() {
        let words = symbols.iter().map(|word| word.as_str().unwrap().to_owned());
        found.insert(schema["name"].as_str().unwrap().to_owned(), words.collect());
    }
    match schema {
        serde_json::Value::Object(fields) => {
            fields.values().for_each(|v| collect_symbols(v, found))
        }
        serde_json::Value::Array(items) => items.iter().for_each(|v| collect_symbols(v, found)),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => {}
    }
}

#[test]
fn cut_bytes_are_refused_at_every_length() {
    for bytes in [
        alert_avro(&full_alert()).unwrap(),
        alert_avro(&minimal_alert()).unwrap(),
    ] {
        for end in 0..bytes.len() {
            assert!(read_alert_avro(&bytes[..end]).is_err(), "{end}");
        }
    }
    let bytes = incident_avro(&full_incident()).unwrap();
    for end in 0..bytes.len() {
        assert!(read_incident_avro(&bytes[..end]).is_err(), "{end}");
    }
}

#[test]
fn bytes_after_the_value_are_refused() {
    let mut bytes = incident_avro(&full_incident()).unwrap();
    bytes.extend([0, 0]);
    assert_eq!(read_incident_avro(&bytes), Err(ReadError::Trailing(2)));
}

#[test]
fn framed_bytes_are_refused() {
    let mut framed = vec![0, 0, 0, 0, 1];
    framed.extend(alert_avro(&full_alert()).unwrap());
    assert!(read_alert_avro(&framed).is_err());
    let mut nameless = minimal_alert();
    nameless.uid.clear();
    let bytes = alert_avro(&nameless).unwrap();
    assert_eq!(read_alert_avro(&bytes), Err(ReadError::NoId));
}

#[test]
fn errors_do_not_hold_the_schema() {
    let error = read_alert_avro(&[0xff; 64]).unwrap_err();
    assert!(error.to_string().len() < 300);
}

#[test]
fn word_of_a_newer_writer_is_unknown() {
    let read = |text: &str| -> Severity { serde_json::from_str(text).unwrap() };
    assert_eq!(read("\"high\""), Severity::High);
    assert_eq!(read("\"apocalyptic\""), Severity::Unknown);
    let classification: Classification = serde_json::from_str("\"new_word\"").unwrap();
    assert_eq!(classification, Classification::Unset);
    assert!(serde_json::from_str::<Severity>("3").is_err());
    let newer = ALERT_SCHEMA.replace("\"fatal\"]", "\"fatal\", \"apocalyptic\"]");
    let codec = Codec::of(&newer).unwrap();
    let mut bytes = alert_avro(&full_alert()).unwrap();
    // The severity's ordinal, and behind it `severity_native`: 7 is the newer word.
    let fatal = [12, 2, 4, b'P', b'1'];
    let at = bytes.windows(fatal.len()).position(|w| w == fatal).unwrap();
    bytes[at] = 14;
    let back: Alert = codec.reader.read_deser(&mut bytes.as_slice()).unwrap();
    assert_eq!(back.severity, Severity::Unknown);
}

#[test]
fn limits_are_set_once_and_hold() {
    assert!(init_limits());
    assert!(init_limits());
    // A string of 1 GiB, announced in five bytes.
    let announced = [0x80, 0x80, 0x80, 0x80, 0x08];
    assert!(read_alert_avro(&announced).is_err());
}

/// Reads what this and every earlier version wrote; with `UPDATE_EXPECT` set, writes what is missing.
#[test]
fn golden_bytes_are_still_read() {
    let alert = golden("alert-1.avro", || alert_avro(&full_alert()).unwrap());
    assert_eq!(read_alert_avro(&alert).unwrap(), full_alert());
    let json = golden("alert-1.json", || alert_json(&full_alert()).unwrap());
    assert_eq!(
        serde_json::from_slice::<Alert>(&json).unwrap(),
        full_alert()
    );
    for (version, incident) in [(1, first_incident()), (2, full_incident())] {
        let json = golden(&format!("incident-{version}.json"), || {
            incident_json(&incident).unwrap()
        });
        assert_eq!(serde_json::from_slice::<Incident>(&json).unwrap(), incident);
        let avro = golden(&format!("incident-{version}.avro"), || {
            incident_avro(&incident).unwrap()
        });
        let schema = golden(&format!("incident-{version}.avsc"), || {
            INCIDENT_SCHEMA.as_bytes().to_vec()
        });
        let writer = Codec::of(std::str::from_utf8(&schema).unwrap()).unwrap();
        let mut rest = avro.as_slice();
        let back: Incident = writer.reader.read_deser(&mut rest).unwrap();
        assert_eq!((back, rest.len()), (incident, 0));
    }
}

#[track_caller]
fn golden(name: &str, write: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() && !path.exists() {
        std::fs::write(&path, write()).unwrap();
    }
    std::fs::read(&path).unwrap()
}

#[test]
fn golden_schemas_and_these_read_each_other() {
    for (name, text) in [
        ("alert-1.avsc", ALERT_SCHEMA),
        ("incident-1.avsc", INCIDENT_SCHEMA),
        ("incident-2.avsc", INCIDENT_SCHEMA),
    ] {
        let released = golden(name, || text.as_bytes().to_vec());
        let released = Schema::parse_str(std::str::from_utf8(&released).unwrap()).unwrap();
        let current = Schema::parse_str(text).unwrap();
        SchemaCompatibility::mutual_read(&released, &current).unwrap();
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        read_alert_avro(&bytes).ok();
        read_incident_avro(&bytes).ok();
    }

    #[test]
    fn changed_bytes_are_read_or_refused(at in 0usize..400, byte: u8) {
        let mut bytes = alert_avro(&full_alert()).unwrap();
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        read_alert_avro(&bytes).ok();
    }
}
