//! Microsoft Sentinel's `SecurityAlert` table.

use std::borrow::Cow;

use super::json::{Node, Object};
use super::microsoft::{self, add_attacks, add_entities, add_resources, members};
use super::record::{Frame, Record, Times, label};
use super::words;
use super::{DecodeError, Format};
use crate::alert::{Alert, AlertDisposition, AlertKind, AlertStatus, Severity, Source, Verdict};

/// Decodes one row of the table.
pub(crate) fn decode(record: &Record<'_>) -> Result<Alert, DecodeError> {
    let fields = record.fields;
    let native_uid = fields.required_text("SystemAlertId")?.into_owned();
    let name = text(fields, "AlertName").or_else(|| text(fields, "DisplayName"));
    let title = text(fields, "DisplayName").or_else(|| name.clone());
    let extended = microsoft::extended(fields);
    let extended = extended
        .as_ref()
        .and_then(|extended| extended.root().object());
    let detected = fields.time("TimeGenerated")?;
    let published = fields.time("ProcessingEndTime")?;
    let frame = Frame {
        source: Source {
            product_key: Format::Sentinel.word().to_owned(),
            vendor: text(fields, "VendorName"),
            product: text(fields, "ProductName").or_else(|| text(fields, "ProviderName")),
            rule_uid: rule_uid(fields, extended),
            rule_name: name,
            url: text(fields, "AlertLink"),
            native_uid,
            product_version: None,
        },
        title: title.ok_or_else(|| fields.missing("AlertName"))?,
        tenant: fields.sole("TenantId")?,
        times: Times {
            start: fields.time("StartTime")?,
            end: fields.time("EndTime")?,
            detected: detected.or(published),
        },
        time_field: "StartTime",
    };
    let mut alert = record.alert(Format::Sentinel, frame)?;
    if let Some(changed) = detected.max(published) {
        alert.revision = changed.millis();
    }
    if fields.get("IsIncident").and_then(Node::boolean) == Some(true) {
        alert.kind = AlertKind::Incident;
    }
    add_state(&mut alert, fields, extended);
    let own = |name| extended.and_then(|extended| extended.get(name));
    let mut techniques = members(fields.get("Techniques"));
    techniques.append(&mut members(fields.get("SubTechniques")));
    techniques.append(&mut members(own("MitreTechniques")));
    add_attacks(&mut alert, &members(fields.get("Tactics")), &techniques);
    let resources: Vec<&str> = fields.str("ResourceId").into_iter().collect();
    add_entities(&mut alert, fields.get("Entities"), &resources, record)?;
    add_resources(&mut alert, &resources);
    Ok(alert)
}

/// Returns the id of the rule.
///
/// A scheduled rule names itself, and Defender XDR its detector. `AlertType` is the rule for the other products, but
/// only the sensor (`WindowsDefenderAtp`) for Defender for Endpoint.
fn rule_uid(fields: Object<'_>, extended: Option<Object<'_>>) -> Option<String> {
    if let Some(extended) = extended {
        let rules = members(extended.get("Analytic Rule Ids"));
        if let Some(rule) = rules.into_iter().next() {
            return Some(rule);
        }
        if let Some(detector) = text(extended, "DetectorId") {
            return Some(detector);
        }
    }
    let endpoint = fields
        .str("ProviderName")
        .is_some_and(|name| name == "MDATP");
    if endpoint {
        None
    } else {
        text(fields, "AlertType")
    }
}

/// Adds severity, state and what is worth keeping beside the canonical fields.
fn add_state(alert: &mut Alert, fields: Object<'_>, extended: Option<Object<'_>>) {
    alert.description = text(fields, "Description");
    alert.severity_native = text(fields, "AlertSeverity");
    if let Some(word) = &alert.severity_native {
        alert.severity = words::severity(word).unwrap_or(Severity::Unknown);
    }
    if let Some(word) = fields.str("Status") {
        alert.status = words::status(word).unwrap_or(AlertStatus::Unknown);
    }
    alert.confidence = microsoft::confidence(fields);
    for (own, theirs) in [
        ("alert_type", "AlertType"),
        ("compromised_entity", "CompromisedEntity"),
        ("product_component", "ProductComponentName"),
        ("provider", "ProviderName"),
        ("provider_alert_id", "VendorOriginalId"),
    ] {
        label(alert, own, fields.text(theirs));
    }
    let Some(extended) = extended else { return };
    if let Some(word) = extended.str("Classification") {
        alert.verdict = words::verdict(word).unwrap_or(Verdict::Unknown);
    }
    if let Some(word) = extended.str("ActionTaken") {
        alert.disposition = words::disposition(word).unwrap_or(AlertDisposition::Unknown);
    }
    for (own, theirs) in [
        ("detection_source", "DetectionSource"),
        ("determination", "Determination"),
        ("provider_incident_id", "IncidentId"),
        ("threat_family", "ThreatFamilyName"),
        ("threat_name", "ThreatName"),
    ] {
        label(alert, own, extended.text(theirs));
    }
}

fn text(fields: Object<'_>, name: &str) -> Option<String> {
    fields.text(name).map(Cow::into_owned)
}
