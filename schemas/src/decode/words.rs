//! The words that vendors use for the closed sets of an alert, and the fields of a record that are kept as labels.

use super::json::{Node, Object, Value};
use super::record::warn;
use crate::alert::{Alert, AlertDisposition, AlertStatus, Severity, Verdict};
use crate::entity::EntityRole;

/// Labels a decoder collects from one record; `record::bound` holds an alert to fewer and says that it cut.
const LABELS_MAX: usize = 65;

/// Bytes of a label's name.
const LABEL_NAME_BYTES_MAX: usize = 256;

/// Returns a word in lower case, letters and digits only: what all spellings of a word share.
pub(crate) fn folded(text: &str) -> String {
    text.chars()
        .filter(|character| character.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .take(64)
        .collect()
}

/// Returns the severity a word or an OCSF ordinal names.
pub(crate) fn severity(text: &str) -> Option<Severity> {
    Some(match folded(text).as_str() {
        "informational" | "information" | "info" | "1" => Severity::Informational,
        "low" | "minor" | "2" => Severity::Low,
        "medium" | "moderate" | "3" => Severity::Medium,
        "high" | "major" | "4" => Severity::High,
        "critical" | "5" => Severity::Critical,
        "fatal" | "6" => Severity::Fatal,
        "unknown" | "0" => Severity::Unknown,
        _ => return None,
    })
}

/// Returns the workflow state a word names.
pub(crate) fn status(text: &str) -> Option<AlertStatus> {
    Some(match folded(text).as_str() {
        "new" | "open" | "active" => AlertStatus::New,
        "inprogress" | "acknowledged" | "assigned" | "onhold" => AlertStatus::InProgress,
        "suppressed" | "dismissed" => AlertStatus::Suppressed,
        "resolved" | "closed" | "archived" | "deleted" => AlertStatus::Resolved,
        "unknown" => AlertStatus::Unknown,
        _ => return None,
    })
}

/// Returns the verdict a word names.
pub(crate) fn verdict(text: &str) -> Option<Verdict> {
    Some(match folded(text).as_str() {
        "truepositive" => Verdict::TruePositive,
        "benignpositive" | "benign" | "informationalexpectedactivity" => Verdict::BenignPositive,
        "falsepositive" => Verdict::FalsePositive,
        "suspicious" => Verdict::Suspicious,
        "test" => Verdict::Test,
        "other" => Verdict::Other,
        "unknown" | "undetermined" => Verdict::Unknown,
        _ => return None,
    })
}

/// Returns what a word says became of the activity.
pub(crate) fn disposition(text: &str) -> Option<AlertDisposition> {
    Some(match folded(text).as_str() {
        "detected" | "logged" | "alert" => AlertDisposition::Detected,
        "allowed" | "allow" | "pass" | "accept" => AlertDisposition::Allowed,
        "blocked" | "block" | "denied" | "deny" | "drop" | "dropped" | "reject" | "rejected"
        | "prevented" => AlertDisposition::Blocked,
        "quarantined" | "isolated" => AlertDisposition::Quarantined,
        "unknown" => AlertDisposition::Unknown,
        _ => return None,
    })
}

/// Returns the part in the alert a word names.
pub(crate) fn role(text: &str) -> Option<EntityRole> {
    Some(match folded(text).as_str() {
        "unknown" => EntityRole::Unknown,
        "target" | "victim" | "attacked" | "scanned" => EntityRole::Target,
        "actor" | "attacker" => EntityRole::Actor,
        "source" | "src" => EntityRole::Source,
        "destination" | "dest" | "dst" => EntityRole::Destination,
        "compromised" => EntityRole::Compromised,
        "c2" | "commandandcontrol" => EntityRole::C2,
        "observer" | "sensor" => EntityRole::Observer,
        "context" | "contextual" | "related" => EntityRole::Context,
        _ => return None,
    })
}

/// Returns what a field's word means; a word of no meaning is kept as a label and noted.
pub(crate) fn known<T>(
    alert: &mut Alert,
    fields: Object<'_>,
    name: &str,
    meaning: fn(&str) -> Option<T>,
) -> Option<T> {
    let text = fields.text(name)?;
    let found = meaning(&text);
    if found.is_none() {
        alert.labels.insert(name.to_owned(), text.into_owned());
        warn(alert, "unknown_word");
    }
    found
}

/// Returns a number of a scale from 0 to 100, rounded; one outside is held inside and noted.
pub(crate) fn percent(alert: &mut Alert, node: Node<'_>) -> Option<i32> {
    let number = node.float()?;
    let held = number.clamp(0.0, 100.0);
    if (held - number).abs() > 0.0 {
        warn(alert, "out_of_range");
    }
    format!("{held:.0}").parse().ok()
}

/// Keeps a field as labels: a scalar under `name`, the members of a list or object under `name.member`.
pub(crate) fn label(alert: &mut Alert, name: &str, node: Node<'_>) {
    if alert.labels.len() >= LABELS_MAX || name.len() > LABEL_NAME_BYTES_MAX {
        warn(alert, "members_cut");
        return;
    }
    match node.value() {
        Value::Object(_) => {
            for (member, node) in node.object().into_iter().flat_map(Object::fields) {
                label(alert, &format!("{name}.{member}"), node);
            }
        }
        Value::List(_) => {
            for (place, node) in node.items().enumerate() {
                label(alert, &format!("{name}.{place}"), node);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {
            if let Some(text) = node.text() {
                alert.labels.insert(name.to_owned(), text.into_owned());
            }
        }
    }
}
