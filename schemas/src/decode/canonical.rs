//! Alerts that were decoded before: their canonical JSON, as [`crate::encode::alert_json`] writes it.
//!
//! Whoever may write the topic could have made the bytes, so they are held to the same bounds as any record.

use super::{DecodeError, Limits, Reason, WARNINGS, record, whole};
use crate::alert::Alert;
use crate::tenant::tenant;
use crate::time::Timestamp;

/// Bound on a canonical alert, in bytes: below what a broker takes by default, key and headers included. It is larger
/// than a record of a source may be, since names take room that its own spelling leaves out.
pub const CANONICAL_BYTES_MAX: usize = 900 << 10;

/// Decodes one canonical alert.
///
/// Decoding what was decoded and bounded by the same limits before changes nothing.
///
/// # Errors
/// Returns what is wrong with it, never its text.
pub fn canonical(bytes: &[u8], limits: &Limits) -> Result<Alert, DecodeError> {
    if bytes.len() > CANONICAL_BYTES_MAX {
        let problem = "larger than a canonical alert may be";
        return Err(whole(Reason::TooLarge, problem));
    }
    let mut alert: Alert = serde_json::from_slice(bytes).map_err(|error| {
        let reason = match error.classify() {
            serde_json::error::Category::Data => Reason::InvalidField,
            serde_json::error::Category::Io
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof => Reason::NotJson,
        };
        let (line, column) = (error.line(), error.column());
        whole(
            reason,
            &format!("line {line} column {column}: no canonical alert"),
        )
    })?;
    if let Err(problem) = tenant(&alert.tenant) {
        return Err(refused(
            Reason::InvalidTenant,
            "/tenant",
            &problem.to_string(),
        ));
    }
    if alert.uid.is_empty() {
        return Err(refused(Reason::MissingField, "/uid", "is missing"));
    }
    // Producer and id, each as long as a value, and the colon between them.
    if alert.uid.len() > 2 * limits.value_bytes_max + 1 {
        return Err(refused(
            Reason::InvalidField,
            "/uid",
            "longer than an id may be",
        ));
    }
    hold(&mut alert, limits);
    record::bound(&mut alert, limits)?;
    Ok(alert)
}

/// Makes true what every decoder sees to by itself.
fn hold(alert: &mut Alert, limits: &Limits) {
    let within = |time: Timestamp| time.clamp(Timestamp::MIN, Timestamp::MAX);
    alert.start_time = within(alert.start_time);
    alert.end_time = within(alert.end_time).max(alert.start_time);
    alert.detected_time = within(alert.detected_time);
    alert.ingest_time = within(alert.ingest_time);
    alert.count = alert.count.max(1);
    let count = i32::try_from(alert.entities.len()).unwrap_or(i32::MAX);
    for entity in &mut alert.entities {
        entity.parent = entity.parent.filter(|parent| (0..count).contains(parent));
    }
    let provenance = &mut alert.provenance;
    record::cut(&mut provenance.topic, limits.value_bytes_max);
    record::cut(&mut provenance.mapper, limits.value_bytes_max);
    provenance
        .warnings
        .retain(|warning| WARNINGS.contains(&warning.as_str()));
    provenance.warnings.truncate(WARNINGS.len());
}

fn refused(reason: Reason, field: &str, problem: &str) -> DecodeError {
    DecodeError {
        reason,
        field: field.to_owned(),
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Envelope, decode};
    use super::*;
    use crate::encode::alert_json;

    const RECORD: &str = r#"{"id":"a1","tenant":"contoso","time":"2026-01-05T00:04:27.074Z","source":"edr","rule":"lsass",
        "title":"LSASS memory read","severity":"high","tactics":["credential-access"],"techniques":["T1003.001"],"extra":"kept",
        "entities":[{"type":"host","value":"ws332"},{"type":"account","value":"u332","alt":{"sid":"S-1-5-21-1-2-3-1001"}}]}"#;

    fn alert() -> Alert {
        let envelope = Envelope {
            topic: "vendor",
            partition: 3,
            offset: 41,
            timestamp: Some(1_767_571_500_000),
            tenant: None,
        };
        let mut alerts = decode(RECORD.as_bytes(), None, &envelope, &Limits::default()).unwrap();
        alerts.remove(0)
    }

    fn reason(alert: &Alert) -> String {
        let error = canonical(&alert_json(alert).unwrap(), &Limits::default()).unwrap_err();
        format!("{} {error}", error.reason.word())
    }

    #[test]
    fn what_was_decoded_comes_back_as_it_was() {
        let alert = alert();
        let again = canonical(&alert_json(&alert).unwrap(), &Limits::default());
        assert_eq!(again, Ok(alert));
    }

    #[test]
    fn what_nobody_decoded_is_refused_or_held() {
        let mut wrong = alert();
        wrong.tenant = "x/y".to_owned();
        assert!(reason(&wrong).starts_with("invalid_tenant /tenant: "));
        wrong = alert();
        wrong.uid = "x".repeat(5_000);
        assert_eq!(
            reason(&wrong),
            "invalid_field /uid: longer than an id may be"
        );
        wrong.uid.clear();
        assert_eq!(reason(&wrong), "missing_field /uid: is missing");
        let mut odd = alert();
        odd.count = -1;
        odd.end_time = Timestamp(odd.start_time.millis() - 1_000);
        odd.entities[0].parent = Some(99);
        odd.provenance.warnings = vec!["x".to_owned(); 1_000];
        let held = canonical(&alert_json(&odd).unwrap(), &Limits::default()).unwrap();
        assert_eq!((held.count, held.entities[0].parent), (1, None));
        assert_eq!(held.end_time, held.start_time);
        assert!(held.provenance.warnings.is_empty());
    }

    #[test]
    fn any_bytes_are_refused_without_their_text() {
        let limits = Limits::default();
        for bytes in [&b""[..], b"{", b"[]", b"{\"uid\":\"secret\"}", b"\xff"] {
            let error = canonical(bytes, &limits).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let deep = "[".repeat(100_000);
        assert!(canonical(deep.as_bytes(), &limits).is_err());
        let long = vec![b' '; CANONICAL_BYTES_MAX + 1];
        let error = canonical(&long, &limits).unwrap_err();
        assert_eq!(error.reason, Reason::TooLarge);
    }
}
