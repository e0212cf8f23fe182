//! Cases of `fusor`, OCSF, Suricata and Wazuh: a record of our own, the alert or the error expected beside it.

mod data;
mod refusals;
mod smoke;

use self::refusals::{INVALID, MISSING};
use super::testing::{ENVELOPE, alert, check};
use super::{DecodeError, Format, Limits, decode};
use crate::alert::{Alert, AlertKind};
use crate::attack::AttackOrigin;
use crate::entity::EntityRole;

/// Decodes a record that must be refused, its format pinned, and compares the reason and the text of the error.
#[track_caller]
fn refused(format: Format, record: &str, expected: &str) {
    let outcome: Result<Vec<Alert>, DecodeError> = decode(
        record.as_bytes(),
        Some(format),
        &ENVELOPE,
        &Limits::default(),
    );
    let error = outcome.unwrap_err();
    assert_eq!(format!("{} {error}", error.reason.word()), expected);
}

#[test]
fn fusor_needs_id_time_and_title_only() {
    check("fusor/minimal");
}

#[test]
fn fusor_reads_every_field_and_keeps_unknown_ones_as_labels() {
    check("fusor/full");
}

#[test]
fn fusor_keeps_unknown_words_and_leaves_out_what_names_nothing() {
    check("fusor/hostile");
}

#[test]
fn ocsf_finding_needs_uid_and_time_only() {
    check("ocsf/minimal");
}

#[test]
fn ocsf_finding_with_every_profile() {
    check("ocsf/full");
}

#[test]
fn ocsf_twins_observables_and_types_stand_in_for_what_is_missing() {
    check("ocsf/datetime_twins");
}

#[test]
fn ocsf_odd_values_are_left_out() {
    check("ocsf/hostile");
}

#[test]
fn ocsf_event_marked_as_alert() {
    check("ocsf/process_activity_alert");
}

#[test]
fn ocsf_vulnerability_is_no_detection() {
    check("ocsf/vulnerability");
}

#[test]
fn ocsf_incident_links_its_findings() {
    check("ocsf/incident");
}

#[test]
fn suricata_without_metadata_is_read_by_ports_and_address_ranges() {
    check("suricata/minimal");
}

#[test]
fn suricata_beacon_makes_the_client_the_target_and_the_server_c2() {
    check("suricata/full");
}

#[test]
fn suricata_rule_names_its_target() {
    check("suricata/rule_target");
}

#[test]
fn suricata_odd_values_are_left_out() {
    check("suricata/hostile");
}

#[test]
fn wazuh_needs_little() {
    check("wazuh/minimal");
}

#[test]
fn wazuh_windows_event_and_integrity_check() {
    check("wazuh/full");
}

#[test]
fn wazuh_passes_a_suricata_alert_on() {
    check("wazuh/suricata_nested");
}

#[test]
fn wazuh_manager_is_an_observer() {
    check("wazuh/manager_itself");
}

#[test]
fn wazuh_odd_values_are_left_out() {
    check("wazuh/hostile");
}

#[test]
fn ocsf_refuses_security_findings_by_name() {
    refused(
        Format::Ocsf,
        r#"{"class_uid": 2001, "finding": {"uid": "x", "title": "y"}}"#,
        "unsupported_class /class_uid: class 2001 (security finding) is not supported; send 2004 (detection finding)",
    );
}

#[test]
fn ocsf_refuses_events_that_are_no_alerts() {
    for record in [
        r#"{"class_uid": 1007}"#,
        r#"{"class_uid": "1007", "is_alert": false}"#,
    ] {
        refused(
            Format::Ocsf,
            record,
            "unsupported_class /class_uid: class 1007 is supported only with is_alert",
        );
    }
}

#[test]
fn suricata_refuses_other_events() {
    refused(
        Format::Suricata,
        r#"{"event_type": "flow", "timestamp": "2026-03-02T09:15:00Z", "flow_id": 1}"#,
        "unsupported_class /event_type: this event_type is not supported; send alert",
    );
}

#[test]
fn a_missing_field_is_named_in_its_vendors_spelling() {
    for (format, record, field) in MISSING {
        refused(*format, record, &format!("missing_field {field}: missing"));
    }
}

#[test]
fn a_field_of_the_wrong_shape_is_named_and_its_text_is_not() {
    for (format, record, expected) in INVALID {
        refused(*format, record, &format!("invalid_field {expected}"));
    }
}

#[test]
fn ocsf_kill_chain_stands_in_for_attacks_and_is_mapped() {
    let record = r#"{"class_uid":2004,"time":1772442900000,"finding_info":{"uid":"f",
        "kill_chain":[{"phase_id":6},{"phase_id":0},{"phase_id":8},{"phase":"x"}],"types":["TTPs/Discovery"]}}"#;
    let found: Vec<_> = alert(record)
        .attacks
        .into_iter()
        .map(|attack| (attack.tactic_uid, attack.origin))
        .collect();
    assert_eq!(found, [(Some("TA0011".to_owned()), AttackOrigin::Mapped)]);
}

#[test]
fn ocsf_far_end_of_a_connection_is_a_name_and_the_near_end_a_host() {
    let record = r#"{"class_uid":2004,"time":1772442900000,"finding_info":{"uid":"f"},"evidences":[
        {"src_endpoint":{"ip":"10.0.0.8","hostname":"ws8"},"dst_endpoint":{"ip":"203.0.113.9","hostname":"far.example"}}]}"#;
    let entities = alert(record).entities;
    let kinds: Vec<_> = entities
        .iter()
        .map(|entity| (entity.kind.as_str(), entity.parent))
        .collect();
    assert_eq!(
        kinds,
        [("host", None), ("ip", Some(0)), ("ip", None), ("dns", None)]
    );
}

#[test]
fn ocsf_end_of_a_connection_may_be_a_domain_alone() {
    let record = r#"{"class_uid":2004,"time":1772442900000,"finding_info":{"uid":"f"},"evidences":[
        {"dst_endpoint":{"domain":"far.example"}}]}"#;
    let entities = alert(record).entities;
    let keys: Vec<_> = entities
        .iter()
        .map(|entity| entity.key.as_deref())
        .collect();
    assert_eq!(keys, [Some("dns:far.example")]);
}

#[test]
fn ocsf_device_known_by_its_arn_is_the_instance() {
    let record = r#"{"class_uid":2004,"time":1772442900000,"finding_info":{"uid":"f"},
        "device":{"uid":"arn:aws:ec2:us-east-1:111122223333:instance/i-0abc"},
        "resources":[{"uid":"arn:aws:ec2:us-east-1:111122223333:instance/i-0abc"}]}"#;
    let entities = alert(record).entities;
    let keys: Vec<_> = entities
        .iter()
        .map(|entity| entity.key.as_deref())
        .collect();
    assert_eq!(keys, [Some("host:agent:aws:i-0abc")]);
}

#[test]
fn wazuh_agents_of_one_number_in_clusters_of_one_name_are_two_hosts() {
    let key = |name: &str| {
        let record = format!(
            r#"{{"id":"1","timestamp":"2026-03-02T09:15:00Z","rule":{{"id":"1","level":3}},"manager":{{"name":"m"}},
                "cluster":{{"name":"wazuh"}},"agent":{{"id":"001","name":"{name}"}}}}"#
        );
        alert(&record).entities.remove(0).key.unwrap()
    };
    assert_ne!(key("web1"), key("mail1"));
    assert_eq!(key("web1"), "host:agent:wazuh%40wazuh%40web1:001");
}

#[test]
fn wazuh_collector_of_forwarded_events_is_an_observer() {
    let record = r#"{"id":"1","timestamp":"2026-03-02T09:15:00Z","rule":{"id":"1","level":3},"manager":{"name":"m"},
        "agent":{"id":"009","name":"collector"},"data":{"win":{"system":{"computer":"dc1.northwind.example",
        "systemTime":"2026-03-02T09:14:00.5Z"},"eventdata":{"targetUserName":"DC1$","targetDomainName":"NORTHWIND"}}}}"#;
    let alert = alert(record);
    let hosts: Vec<_> = alert
        .entities
        .iter()
        .map(|entity| (entity.display.as_str(), entity.role, entity.alt_keys.len()))
        .collect();
    // The machine account is the second host's further name.
    assert_eq!(
        hosts,
        [
            ("collector", EntityRole::Observer, 0),
            ("dc1.northwind.example", EntityRole::Target, 1),
        ]
    );
    assert_eq!(alert.start_time.to_string(), "2026-03-02T09:14:00.500Z");
}

#[test]
fn wazuh_vulnerabilities_and_configuration_checks_are_no_detections() {
    let kind = |group: &str| {
        let record = format!(
            r#"{{"id":"1","timestamp":"2026-03-02T09:15:00Z","agent":{{"id":"1"}},"manager":{{}},
                "rule":{{"id":"1","level":3,"groups":["{group}"]}}}}"#
        );
        alert(&record).kind
    };
    assert_eq!(kind("vulnerability-detector"), AlertKind::Vulnerability);
    assert_eq!(kind("sca"), AlertKind::Compliance);
    assert_eq!(kind("sshd"), AlertKind::Detection);
}

#[test]
fn suricata_finds_the_server_whichever_way_the_packet_went() {
    let roles = |src_port: u16, dest_port: u16, more: &str| -> Vec<&str> {
        let record = format!(
            r#"{{"event_type":"alert","timestamp":"2026-03-02T09:15:00Z","src_ip":"10.1.1.9","dest_ip":"203.0.113.5",
                "src_port":{src_port},"dest_port":{dest_port},"tls":{{"sni":"a.example"}},"alert":{{"signature_id":1}}{more}}}"#
        );
        let alert = alert(&record);
        alert
            .entities
            .iter()
            .map(|entity| entity.role.word())
            .collect()
    };
    let client_attacked = ["target", "source", "source"];
    let server_attacked = ["target", "source", "target"];
    assert_eq!(roles(50_000, 443, ""), client_attacked);
    assert_eq!(roles(443, 50_000, ""), server_attacked);
    assert_eq!(roles(4999, 12_212, ""), client_attacked);
    assert_eq!(roles(8443, 40_000, ""), server_attacked);
    assert_eq!(
        roles(443, 50_000, r#","direction":"to_server""#),
        client_attacked
    );
    let flow =
        r#","flow":{"src_ip":"203.0.113.5","src_port":443,"dest_ip":"10.1.1.9","dest_port":50000}"#;
    assert_eq!(roles(50_000, 443, flow), server_attacked);
}

#[test]
fn one_alert_of_ocsf_in_seconds_and_in_milliseconds_is_the_same() {
    let record =
        |time: &str| format!(r#"{{"class_uid":2004,"time":{time},"finding_info":{{"uid":"f"}}}}"#);
    let [seconds, millis] = ["1772442900", "1772442900000"].map(record);
    assert_eq!(alert(&seconds), alert(&millis));
}
