//! Records that are refused for one field.

use crate::decode::Format;

/// Records that are refused, and the missing field.
pub(super) const MISSING: &[(Format, &str, &str)] = &[
    (Format::Fusor, r#"{"id":"a","title":"b"}"#, "/time"),
    (
        Format::Fusor,
        r#"{"id":" ","time":"2026-03-02T09:15:00Z","title":"b"}"#,
        "/id",
    ),
    (
        Format::Ocsf,
        r#"{"class_uid":2004,"time":1772442900000}"#,
        "/finding_info",
    ),
    (
        Format::Ocsf,
        r#"{"class_uid":2004,"time":1772442900000,"finding_info":{}}"#,
        "/finding_info/uid",
    ),
    (
        Format::Ocsf,
        r#"{"class_uid":2004,"finding_info":{"uid":"f"}}"#,
        "/time",
    ),
    (
        Format::Ocsf,
        r#"{"class_uid":2005,"time":1772442900000,"metadata":{}}"#,
        "/metadata/uid",
    ),
    (
        Format::Ocsf,
        r#"{"class_uid":1007,"is_alert":true,"time":1}"#,
        "/metadata",
    ),
    (
        Format::Suricata,
        r#"{"event_type":"alert","alert":{"signature_id":1}}"#,
        "/timestamp",
    ),
    (
        Format::Suricata,
        r#"{"event_type":"alert","timestamp":"2026-03-02T09:15:00Z","alert":{}}"#,
        "/alert/signature_id",
    ),
    (
        Format::Suricata,
        r#"{"event_type":"alert","timestamp":"2026-03-02T09:15:00Z"}"#,
        "/alert",
    ),
    (
        Format::Wazuh,
        r#"{"id":"1.2","timestamp":"2026-03-02T09:15:00Z"}"#,
        "/rule",
    ),
    (
        Format::Wazuh,
        r#"{"id":"1.2","timestamp":"2026-03-02T09:15:00Z","rule":{"level":3}}"#,
        "/rule/id",
    ),
    (
        Format::Wazuh,
        r#"{"id":"1.2","rule":{"id":"1","level":3}}"#,
        "/timestamp",
    ),
    (
        Format::Wazuh,
        r#"{"timestamp":"2026-03-02T09:15:00Z","rule":{"id":"1","level":3}}"#,
        "/id",
    ),
];

/// Records that are refused, and the error.
pub(super) const INVALID: &[(Format, &str, &str)] = &[
    (
        Format::Fusor,
        r#"{"id":{"a":1},"time":"2026-03-02T09:15:00Z","title":"b"}"#,
        "/id: not a text",
    ),
    (
        Format::Fusor,
        r#"{"id":"a","time":"soon","title":"b"}"#,
        "/time: not a time",
    ),
    (
        Format::Fusor,
        r#"{"id":"a","time":1,"title":"b","confidence":"very"}"#,
        "/confidence: not a number",
    ),
    (
        Format::Fusor,
        r#"{"id":"a","time":1,"title":"b","entities":["h"]}"#,
        "/entities/0: not an object",
    ),
    (
        Format::Fusor,
        r#"{"id":"a","time":1,"title":"b","entities":[{"value":[]}]}"#,
        "/entities/0/value: not a text",
    ),
    (
        Format::Fusor,
        r#"{"id":"a","ID":"b","time":1,"title":"b"}"#,
        "/ID: given twice",
    ),
    (
        Format::Ocsf,
        r#"{"class_uid":2004,"time":"x","finding_info":{"uid":"f"}}"#,
        "/time: not a time",
    ),
    (
        Format::Ocsf,
        r#"{"class_uid":"abc"}"#,
        "/class_uid: not a whole number",
    ),
    (
        Format::Ocsf,
        r#"{"class_uid":2004,"time":1,"finding_info":[]}"#,
        "/finding_info: not an object",
    ),
    (
        Format::Ocsf,
        r#"{"class_uid":2004,"time":1,"finding_info":{"uid":"f","created_time_dt":"x"}}"#,
        "/finding_info/created_time_dt: not a time",
    ),
    (
        Format::Suricata,
        r#"{"event_type":"alert","timestamp":"x","alert":{"signature_id":1}}"#,
        "/timestamp: not a time",
    ),
    (
        Format::Suricata,
        r#"{"event_type":"alert","timestamp":"2026-03-02T09:15:00Z","alert":[]}"#,
        "/alert: not an object",
    ),
    (
        Format::Wazuh,
        r#"{"id":"1","timestamp":"2026-03-02T09:15:00Z","rule":"x"}"#,
        "/rule: not an object",
    ),
];
