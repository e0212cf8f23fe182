//! The closed sets of an OCSF record: activity, severity, status, verdict, disposition and the scores.

use super::{Class, Finding};
use crate::alert::{
    Alert, AlertActivity, AlertDisposition, AlertKind, AlertStatus, Severity, Verdict,
};
use crate::decode::json::{Node, Object};
use crate::decode::words::{disposition, percent, severity, status};

/// Sets what a record says by numbers and their words.
pub(super) fn set(alert: &mut Alert, finding: &Finding<'_>) {
    let record = finding.record;
    let id = |name| record.get(name).and_then(Node::integer);
    alert.kind = match finding.class {
        Class::Finding(kind) => kind,
        Class::Incident => AlertKind::Incident,
        Class::Event => AlertKind::Detection,
    };
    // In an event the same names tell what the event did and whether it succeeded.
    if finding.class != Class::Event {
        alert.activity = match id("activity_id") {
            Some(1) => AlertActivity::Create,
            Some(2) => AlertActivity::Update,
            Some(3) => AlertActivity::Close,
            Some(_) | None => AlertActivity::Unknown,
        };
        alert.status = status_of(record, finding.class);
        alert.verdict = id("verdict_id").map_or(Verdict::Unknown, verdict);
    }
    if let Some(count) = id("count") {
        alert.count = i32::try_from(count.max(1)).unwrap_or(i32::MAX);
    }
    set_severity(alert, record);
    if let Some(risk) = record.get("risk_score") {
        alert.risk_score = percent(alert, risk);
    }
    alert.confidence = match (record.get("confidence_score"), id("confidence_id")) {
        (Some(score), _) => percent(alert, score),
        (None, Some(1)) => Some(25),
        (None, Some(2)) => Some(50),
        (None, Some(3)) => Some(85),
        (None, Some(_) | None) => None,
    };
    alert.disposition = disposition_of(record);
}

fn set_severity(alert: &mut Alert, record: Object<'_>) {
    let own = record.object("vendor_attributes");
    let mut objects = [Some(record), own].into_iter().flatten();
    alert.severity = objects.find_map(severity_of).unwrap_or(Severity::Unknown);
    let native = own.and_then(|own| own.text("severity").or_else(|| own.text("severity_id")));
    let native = native.or_else(|| record.text("severity"));
    let native = native.or_else(|| record.text("severity_id"));
    alert.severity_native = native.map(Into::into);
}

/// Returns the severity an object states; none where it says unknown, other or no word of ours.
fn severity_of(object: Object<'_>) -> Option<Severity> {
    let id = object.get("severity_id").and_then(Node::integer);
    let id = id.filter(|id| (1..=6).contains(id));
    let word = match id {
        Some(id) => id.to_string().into(),
        None => object.text("severity")?,
    };
    severity(&word).filter(|severity| *severity != Severity::Unknown)
}

fn status_of(record: Object<'_>, class: Class) -> AlertStatus {
    match (record.get("status_id").and_then(Node::integer), class) {
        (Some(1), _) => AlertStatus::New,
        // In progress, and the hold that only incidents have.
        (Some(2), _) | (Some(3), Class::Incident) => AlertStatus::InProgress,
        (Some(3), Class::Finding(_) | Class::Event) => AlertStatus::Suppressed,
        // Resolved, archived or closed, deleted.
        (Some(4..=6), _) => AlertStatus::Resolved,
        (Some(_) | None, _) => {
            let word = record.text("status");
            word.and_then(|word| status(&word)).unwrap_or_default()
        }
    }
}

fn verdict(id: i64) -> Verdict {
    match id {
        1 => Verdict::FalsePositive,
        2 => Verdict::TruePositive,
        // Suspicious, security risk.
        4 | 8 => Verdict::Suspicious,
        5 => Verdict::BenignPositive,
        6 => Verdict::Test,
        // Disregard, managed externally, duplicate, other.
        3 | 9 | 10 | 99 => Verdict::Other,
        _ => Verdict::Unknown,
    }
}

fn disposition_of(record: Object<'_>) -> AlertDisposition {
    let id = |name| record.get(name).and_then(Node::integer);
    let by_id = id("disposition_id").and_then(disposition_by_id);
    let by_action = match id("action_id") {
        Some(1) => Some(AlertDisposition::Allowed),
        Some(2) => Some(AlertDisposition::Blocked),
        Some(3) => Some(AlertDisposition::Detected),
        Some(_) | None => None,
    };
    let words = ["disposition", "action"].into_iter();
    let mut words = words.filter_map(|name| record.text(name));
    by_id
        .or(by_action)
        .or_else(|| words.find_map(|word| disposition(&word)))
        .unwrap_or_default()
}

/// Returns what a `disposition_id` says became of the activity; none for unknown and other.
fn disposition_by_id(id: i64) -> Option<AlertDisposition> {
    match id {
        // Allowed, approved, restored, exonerated.
        1 | 8..=10 => Some(AlertDisposition::Allowed),
        // Blocked, dropped, reset, access revoked, rejected, unauthorized.
        2 | 6 | 21 | 24..=26 => Some(AlertDisposition::Blocked),
        // Quarantined, isolated, deleted, corrected: present, then put away.
        3..=5 | 11 => Some(AlertDisposition::Quarantined),
        // Partially corrected, uncorrected, delayed, detected, no action, logged, tagged, alert, count.
        12..=20 => Some(AlertDisposition::Detected),
        _ => None,
    }
}
