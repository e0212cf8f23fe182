//! Which format a record is in, and what it may be wrapped in.

use super::Format;
use super::json::{Node, Object, Value};

/// The formats, in the order they are looked for: the most telling marks first.
const ORDER: [Format; 6] = [
    Format::Ocsf,
    Format::DefenderCloud,
    Format::Sentinel,
    Format::Wazuh,
    Format::Suricata,
    Format::Fusor,
];

/// Returns the format of a record.
pub(crate) fn format(record: Object<'_>) -> Option<Format> {
    ORDER.into_iter().find(|format| bears(*format, record))
}

/// Returns whether a record bears the marks of a format.
pub(crate) fn bears(format: Format, record: Object<'_>) -> bool {
    match format {
        Format::Ocsf => record.has("class_uid"),
        Format::DefenderCloud => defender_cloud(record),
        Format::Sentinel => record.has("SystemAlertId") && !defender_cloud(record),
        Format::Wazuh => {
            let agent = record.has("agent");
            record.find("rule.level").is_some()
                && agent
                && (record.has("manager") || record.has("decoder"))
        }
        Format::Suricata => {
            record.has("event_type") && (record.has("src_ip") || record.has("flow_id"))
        }
        // Two of the three required fields: so that the error can name the third.
        Format::Fusor => {
            let required = ["id", "time", "title"];
            required.iter().filter(|name| record.has(name)).count() >= 2
        }
    }
}

/// Defender for Cloud as a resource, as an activity log entry, or flat, where it names times and severity its own way.
fn defender_cloud(record: Object<'_>) -> bool {
    if let Some(properties) = record.object("properties") {
        let telling = ["alertType", "systemAlertId", "alertDisplayName"];
        let of_type = |name| {
            let text = record.text(name);
            text.is_some_and(|text| contains(&text, "Microsoft.Security/"))
        };
        let activity = || {
            let category = record
                .find("category.value")
                .or_else(|| record.get("category"));
            let category = category.and_then(Node::text);
            category.is_some_and(|category| category.eq_ignore_ascii_case("Security"))
        };
        return telling.iter().any(|name| properties.has(name))
            && (of_type("type") || of_type("id"))
            || properties.has("compromisedEntity") && (properties.has("severity") || activity());
    }
    record.has("SystemAlertId")
        && [
            "StartTimeUtc",
            "TimeGeneratedUtc",
            "AlertDisplayName",
            "ResourceIdentifiers",
        ]
        .iter()
        .any(|name| record.has(name))
}

/// Returns whether `text` holds `part`, without regard to ASCII case.
fn contains(text: &str, part: &str) -> bool {
    let part = part.as_bytes();
    text.as_bytes()
        .windows(part.len())
        .any(|window| window.eq_ignore_ascii_case(part))
}

/// What a record is wrapped in.
pub(crate) enum Wrapper<'a> {
    /// Its members are records.
    List(Node<'a>),
    /// It is the one record.
    One(Node<'a>),
    /// It is a record as text.
    Text(Node<'a>),
}

/// Returns what an object that is no alert itself wraps.
pub(crate) fn wrapper(record: Object<'_>) -> Option<Wrapper<'_>> {
    for name in ["value", "records"] {
        let list = record
            .get(name)
            .filter(|node| matches!(node.value(), Value::List(_)));
        if let Some(list) = list {
            return Some(Wrapper::List(list));
        }
    }
    if let Some(source) = record.get("_source").filter(|node| node.object().is_some()) {
        return Some(Wrapper::One(source));
    }
    let message = record.get("message")?;
    let Value::Text(text) = message.value() else {
        return None;
    };
    text.trim_start()
        .starts_with(['{', '['])
        .then_some(Wrapper::Text(message))
}
