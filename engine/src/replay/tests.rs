use schemas::alert::{
    Alert, AlertActivity, AlertDisposition, AlertKind, AlertStatus, Provenance, Severity,
    TimeQuality, Verdict,
};
use schemas::time::Timestamp;

/// An alert with an id, a tenant and nothing else.
pub(super) fn alert(id: &str, tenant: &str) -> Alert {
    Alert {
        uid: format!("test:{id}"),
        tenant: tenant.to_owned(),
        activity: AlertActivity::Create,
        revision: 0,
        kind: AlertKind::Detection,
        source: schemas::alert::Source {
            native_uid: id.to_owned(),
            ..Default::default()
        },
        title: "title".to_owned(),
        description: None,
        start_time: Timestamp(0),
        end_time: Timestamp(0),
        detected_time: Timestamp(0),
        ingest_time: Timestamp(0),
        time_quality: TimeQuality::Exact,
        count: 1,
        severity: Severity::Medium,
        severity_native: None,
        risk_score: None,
        confidence: None,
        status: AlertStatus::New,
        verdict: Verdict::Unknown,
        disposition: AlertDisposition::Unknown,
        attacks: Vec::new(),
        entities: Vec::new(),
        correlation_hints: Vec::new(),
        labels: std::collections::BTreeMap::new(),
        provenance: Provenance::default(),
    }
}
