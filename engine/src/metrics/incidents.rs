//! Incidents as they are committed, and those that are open.

use metrics::{counter, gauge};
use schemas::alert::Severity;
use schemas::incident::{Incident, IncidentActivity, IncidentStatus};

use super::{INCIDENTS_EMITTED, INCIDENTS_OPEN};

/// A revision was committed.
pub(crate) fn incident_emitted(incident: &Incident) {
    let change = match incident.activity {
        IncidentActivity::Create => "created",
        IncidentActivity::Close => "closed",
        IncidentActivity::Merge => "merged",
        IncidentActivity::Reopen => "reopened",
        IncidentActivity::Update | IncidentActivity::Unknown => "updated",
    };
    counter!(INCIDENTS_EMITTED, "change" => change).increment(1);
}

/// A revision is the newest one, in place of `before`.
pub(crate) fn incident_shown(incident: &Incident, before: Option<&Incident>) {
    if let Some(before) = before.filter(|before| is_open(before)) {
        gauge!(INCIDENTS_OPEN, "severity" => before.severity.word()).decrement(1.0);
    }
    if is_open(incident) {
        gauge!(INCIDENTS_OPEN, "severity" => incident.severity.word()).increment(1.0);
    }
}

/// The state behind the open incidents went to another member.
pub(crate) fn incidents_forgotten() {
    for severity in Severity::ALL {
        gauge!(INCIDENTS_OPEN, "severity" => severity.word()).set(0.0);
    }
}

fn is_open(incident: &Incident) -> bool {
    !matches!(
        incident.status,
        IncidentStatus::Closed | IncidentStatus::Merged
    )
}
