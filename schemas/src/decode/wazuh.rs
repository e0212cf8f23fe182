//! Wazuh 4 alerts, as in `alerts.json`.

mod entities;

use self::entities::Collector;
use super::json::{Node, Object};
use super::record::{Frame, Record, Times};
use super::words::{disposition, label};
use super::{DecodeError, Format, suricata};
use crate::alert::{Alert, AlertKind, Severity, Source};
use crate::attack::{Attack, attacks_of};
use crate::time::Timestamp;

/// Tactics, techniques and groups read from one rule.
const MEMBERS_MAX: usize = 64;

/// Decodes one record.
pub(crate) fn decode(record: &Record<'_>) -> Result<Alert, DecodeError> {
    let fields = record.fields;
    let rule = match fields.sole("rule")? {
        Some(node) => node.object().ok_or_else(|| node.invalid("not an object"))?,
        None => return Err(fields.missing("rule")),
    };
    let event = suricata_event(fields);
    let id = rule.required_text("id")?;
    let name = rule.text("description").map(String::from);
    let frame = Frame {
        title: name.clone().unwrap_or_else(|| format!("rule {id}")),
        source: Source {
            product_key: Format::Wazuh.word().to_owned(),
            product: Some("Wazuh".to_owned()),
            native_uid: native_uid(fields)?,
            rule_uid: Some(id.into_owned()),
            rule_name: name.clone(),
            ..Source::default()
        },
        tenant: None,
        times: times(fields, event)?,
        time_field: "timestamp",
    };
    let mut alert = record.alert(Format::Wazuh, frame)?;
    alert.severity_native = rule.text("level").map(Into::into);
    alert.severity = rule
        .get("level")
        .and_then(Node::integer)
        .map_or(Severity::Unknown, severity);
    alert.kind = kind(rule);
    alert.attacks = attacks(rule);
    let action = fields.find("data.action").and_then(Node::text);
    alert.disposition = action
        .and_then(|action| disposition(&action))
        .unwrap_or_default();
    let mut collector = Collector::new(fields, event.is_some());
    if let Some(event) = event {
        let attacks = std::mem::take(&mut alert.attacks);
        suricata::read(&mut alert, &mut collector.entities, event)?;
        alert.description = name;
        if alert.attacks.is_empty() {
            alert.attacks = attacks;
        }
    }
    alert.entities = collector.collect(fields);
    add_labels(&mut alert, fields);
    Ok(alert)
}

/// Returns the Suricata alert that a manager passes on, which says more than the rule that passed it.
fn suricata_event(fields: Object<'_>) -> Option<Object<'_>> {
    let data = fields.object("data")?;
    let kind = data.text("event_type")?;
    let is_alert = kind.eq_ignore_ascii_case("alert");
    data.find("alert.signature_id").filter(|_| is_alert)?;
    Some(data)
}

/// An id is unique on one manager.
fn native_uid(fields: Object<'_>) -> Result<String, DecodeError> {
    let id = fields.required_text("id")?;
    let manager = ["manager.name", "cluster.node"].iter();
    let manager = manager.filter_map(|path| fields.find(path)?.text()).next();
    Ok(match manager {
        Some(manager) => format!("{manager}:{id}"),
        None => id.into_owned(),
    })
}

fn times(fields: Object<'_>, event: Option<Object<'_>>) -> Result<Times, DecodeError> {
    let detected = fields.time("timestamp")?;
    let detected = detected.ok_or_else(|| fields.missing("timestamp"))?;
    if let Some(event) = event {
        let alerted = event.time("timestamp")?.unwrap_or(detected);
        return Ok(Times {
            start: Some(suricata::start(event, alerted)),
            end: Some(alerted),
            detected: Some(detected),
        });
    }
    let logged = fields.find("data.win.system.systemTime");
    let logged = logged.and_then(|node| node.time().ok());
    let logged = logged.filter(|logged: &Timestamp| *logged <= detected);
    Ok(Times {
        start: Some(logged.unwrap_or(detected)),
        end: None,
        detected: Some(detected),
    })
}

fn severity(level: i64) -> Severity {
    match level {
        0..=3 => Severity::Informational,
        4..=6 => Severity::Low,
        7..=11 => Severity::Medium,
        12..=14 => Severity::High,
        15..=16 => Severity::Critical,
        _ => Severity::Unknown,
    }
}

fn kind(rule: Object<'_>) -> AlertKind {
    for group in rule.texts("groups").take(MEMBERS_MAX) {
        match group.as_ref() {
            "vulnerability-detector" => return AlertKind::Vulnerability,
            "sca" => return AlertKind::Compliance,
            _ => {}
        }
    }
    AlertKind::Detection
}

/// Tactics and techniques stand in lists of their own; which belong together is ATT&CK's to say.
fn attacks(rule: Object<'_>) -> Vec<Attack> {
    let Some(mitre) = rule.object("mitre") else {
        return Vec::new();
    };
    let texts = |name| -> Vec<_> { mitre.texts(name).take(MEMBERS_MAX).collect() };
    attacks_of(&texts("tactic"), &texts("id"))
}

fn add_labels(alert: &mut Alert, fields: Object<'_>) {
    let paths = [
        "location",
        "decoder.name",
        "predecoder.hostname",
        "predecoder.program_name",
        "rule.groups",
        "rule.firedtimes",
        "data.id",
        "data.protocol",
        "data.srcport",
        "data.dstport",
        "data.win.system.eventID",
        "data.win.system.channel",
        "syscheck.event",
    ];
    for path in paths {
        if let Some(node) = fields.find(path) {
            label(alert, path, node);
        }
    }
}
