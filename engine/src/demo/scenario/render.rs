//! Each sensor's own way of writing an alert down.

use serde_json::{Value, json};

use super::event::{Event, Kind, Level, Part, Sensor, Thing};

/// Writes an event as the record its sensor would send; `number` makes it the only one of its kind.
pub(super) fn record(event: &Event, number: u64) -> Vec<u8> {
    let value = match event.rule.sensor {
        Sensor::Endpoint => endpoint(event, number),
        Sensor::Network => network(event, number),
        Sensor::Identity => identity(event, number),
    };
    value.to_string().into_bytes()
}

fn endpoint(event: &Event, number: u64) -> Value {
    let rule = &event.rule;
    let entity = |thing: &Thing| {
        let mut entity = json!({"type": kind_word(thing.kind), "value": thing.value});
        if let (Some(entity), Some(role)) = (entity.as_object_mut(), part_word(thing.part)) {
            entity.insert("role".to_owned(), role.into());
        }
        entity
    };
    json!({
        "id": format!("edr-{number:05}"),
        "tenant": event.tenant,
        "time": event.time.to_string(),
        "source": "edr",
        "rule": format!("edr-{}", rule.number),
        "title": rule.title,
        "severity": level_word(rule.severity),
        "confidence": confidence(rule.severity),
        "tactics": [rule.tactic],
        "techniques": [rule.technique],
        "entities": event.things.iter().map(entity).collect::<Vec<_>>(),
    })
}

fn network(event: &Event, number: u64) -> Value {
    let rule = &event.rule;
    let address = |part: Part| {
        event
            .things
            .iter()
            .find(|thing| thing.part == part)
            .map(|thing| thing.value.as_str())
    };
    let (severity, word) = match rule.severity {
        Level::Low => (3, "Minor"),
        Level::Medium => (2, "Major"),
        Level::High | Level::Critical => (1, "Critical"),
    };
    // EVE writes an offset without a colon and microseconds.
    let time = event.time.to_string().replace('Z', "000+0000");
    json!({
        "timestamp": time,
        "flow_id": 1_000_000_000_000_u64 + number,
        "in_iface": "span0",
        "event_type": "alert",
        "src_ip": address(Part::Source),
        "src_port": 49_152 + number % 16_000,
        "dest_ip": address(Part::Target),
        "dest_port": 443,
        "proto": "TCP",
        "app_proto": "tls",
        "alert": {
            "action": "allowed",
            "gid": 1,
            "signature_id": 1_000_000 + rule.number,
            "rev": 1,
            "signature": rule.title,
            "category": "Suspicious traffic",
            "severity": severity,
            "metadata": {
                "mitre_tactic_name": [title_case(rule.tactic)],
                "mitre_technique_id": [rule.technique],
                "signature_severity": [word],
            },
        },
    })
}

fn identity(event: &Event, number: u64) -> Value {
    let rule = &event.rule;
    let severity = match rule.severity {
        Level::Low => "Low",
        Level::Medium => "Medium",
        Level::High | Level::Critical => "High",
    };
    let entities: Vec<Value> = event
        .things
        .iter()
        .zip(2..)
        .map(|(thing, id)| sentinel_entity(thing, id))
        .collect();
    // The table's times carry seven digits, and its tactics no spaces.
    let time = event.time.to_string().replace('Z', "0000Z");
    json!({
        "SystemAlertId": format!("{number:08x}-0de0-5000-8000-{:012x}", number * 7919),
        "TimeGenerated": time,
        "StartTime": time,
        "EndTime": time,
        "AlertName": rule.title,
        "DisplayName": rule.title,
        "AlertType": format!("demo-{}", rule.number),
        "AlertSeverity": severity,
        "Tactics": title_case(rule.tactic).replace(' ', ""),
        "Techniques": format!("[\"{}\"]", rule.technique),
        "ProviderName": "Identity Watch",
        "ProductName": "Identity Watch",
        "VendorName": "Fusor demo",
        "Status": "New",
        "Entities": Value::Array(entities).to_string(),
    })
}

fn sentinel_entity(thing: &Thing, id: u32) -> Value {
    let id = id.to_string();
    match thing.kind {
        Kind::Account => {
            let (name, suffix) = thing.value.split_once('@').unwrap_or((&thing.value, ""));
            json!({"$id": id, "Name": name, "UPNSuffix": suffix, "Type": "account"})
        }
        Kind::Host => {
            let (name, domain) = thing.value.split_once('.').unwrap_or((&thing.value, ""));
            json!({"$id": id, "HostName": name, "DnsDomain": domain, "Type": "host"})
        }
        Kind::Ip => json!({"$id": id, "Address": thing.value, "Type": "ip"}),
        Kind::FileHash => {
            json!({"$id": id, "Algorithm": "SHA256", "Value": thing.value, "Type": "filehash"})
        }
        Kind::Url => json!({"$id": id, "Url": thing.value, "Type": "url"}),
    }
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Account => "account",
        Kind::Host => "host",
        Kind::Ip => "ip",
        Kind::FileHash => "filehash",
        Kind::Url => "url",
    }
}

fn part_word(part: Part) -> Option<&'static str> {
    match part {
        Part::Context => None,
        Part::Source => Some("source"),
        Part::Target => Some("target"),
    }
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::Low => "low",
        Level::Medium => "medium",
        Level::High => "high",
        Level::Critical => "critical",
    }
}

fn confidence(level: Level) -> i32 {
    match level {
        Level::Low => 30,
        Level::Medium => 50,
        Level::High => 80,
        Level::Critical => 95,
    }
}

/// `command-and-control` to `Command And Control`.
fn title_case(slug: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    slug.split('-').map(word).collect::<Vec<_>>().join(" ")
}
