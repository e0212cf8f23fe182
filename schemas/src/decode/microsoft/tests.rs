use expect_test::expect;
use serde_json::json;

use crate::alert::{Alert, AlertKind, AlertStatus, Provenance};
use crate::decode::Format;
use crate::decode::testing::{PLANTED, alert, check, check_mutations, decoded, refused};

#[test]
fn sentinel_cases_decode_as_expected() {
    ["minimal", "full", "hostile"]
        .iter()
        .for_each(|case| check(&format!("sentinel/{case}")));
}

#[test]
fn defender_cloud_cases_decode_as_expected() {
    ["minimal", "resource", "center_2019", "hostile"]
        .iter()
        .for_each(|case| check(&format!("defender-cloud/{case}")));
}

#[test]
fn mutated_sentinel_records_are_read_or_refused() {
    check_mutations(Format::Sentinel);
}

#[test]
fn mutated_defender_cloud_records_are_read_or_refused() {
    check_mutations(Format::DefenderCloud);
}

#[test]
fn three_spellings_give_one_alert() {
    let resource = spelling(include_str!("../../../cases/defender-cloud/resource.json"));
    let workflow = spelling(include_str!("../../../cases/defender-cloud/workflow.json"));
    let log = include_str!("../../../cases/defender-cloud/activity_log.json");
    assert_eq!(resource, workflow);
    assert_eq!(resource, spelling(log));
    // Azure's ids are the same in any case.
    let shouted = log.replace("aaaaaaaa-bbbb", "AAAAAAAA-BBBB");
    assert_ne!(log, shouted);
    assert_eq!(resource, spelling(&shouted));
}

#[track_caller]
fn spelling(record: &str) -> Alert {
    Alert {
        provenance: Provenance::default(),
        ..alert(record)
    }
}

/// Makes a Sentinel record with a list of entities, and other fields.
fn sentinel(entities: &serde_json::Value, fields: &serde_json::Value) -> String {
    let mut record = json!({
        "SystemAlertId": "a-1",
        "AlertName": "title",
        "StartTime": "2025-03-04T08:00:00Z",
        "Entities": entities.to_string(),
    });
    for (name, value) in fields.as_object().expect("fields") {
        record[name] = value.clone();
    }
    record.to_string()
}

#[test]
fn cyclic_reference_is_cut_and_noted() {
    let entities = json!([
        {"$id": "1", "Type": "process", "ProcessId": "1", "ParentProcess": {"$ref": "2"}},
        {"$id": "2", "Type": "process", "ProcessId": "2", "ParentProcess": {"$ref": "1"}},
    ]);
    let alert = alert(&sentinel(&entities, &json!({})));
    assert_eq!(alert.provenance.warnings, ["cyclic_reference"]);
    assert_eq!(alert.entities.len(), 2);
}

#[test]
fn long_chain_of_references_is_cut_and_noted() {
    let link = |number: i32| {
        let next = json!({"$ref": (number + 1).to_string()});
        json!({"$id": number.to_string(), "Type": "process", "ProcessId": number, "ParentProcess": next})
    };
    let entities: Vec<_> = (0..40).map(link).collect();
    let alert = alert(&sentinel(&json!(entities), &json!({})));
    assert_eq!(
        alert.provenance.warnings,
        ["deep_reference", "dangling_reference"]
    );
    assert_eq!(alert.entities.len(), 40);
}

#[test]
fn entity_list_is_cut_at_the_limit() {
    let entities: Vec<_> = (0..100)
        .map(|number| json!({"Type": "ip", "Address": format!("198.51.100.{number}")}))
        .collect();
    let alert = alert(&sentinel(&json!(entities), &json!({})));
    assert_eq!(alert.entities.len(), 64);
    assert_eq!(alert.provenance.warnings, ["entities_cut"]);
}

#[test]
fn resource_list_is_cut_at_the_limit() {
    let prefix = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts";
    let resources: Vec<_> = (0..500)
        .map(|number| json!({"azureResourceId": format!("{prefix}/a{number}")}))
        .collect();
    let record = json!({
        "SystemAlertId": "a",
        "AlertDisplayName": "t",
        "StartTimeUtc": "2025-01-01T00:00:00Z",
        "ResourceIdentifiers": resources,
    });
    let alert = alert(&record.to_string());
    assert_eq!(alert.entities.len(), 64);
    assert_eq!(alert.provenance.warnings, ["entities_cut"]);
}

#[test]
fn things_on_the_one_host_are_scoped_by_it() {
    let entities = json!([
        {"Type": "file", "Directory": "c:\\temp", "Name": "a.exe"},
        {"Type": "host", "HostName": "web01", "DnsDomain": "contoso.example"},
    ]);
    let found = alert(&sentinel(&entities, &json!({})));
    let file = &found.entities[1];
    assert_eq!(file.parent, Some(0));
    let key = "file:host:dns:web01.contoso.example:c%3a\\temp\\a.exe";
    assert_eq!(file.key.as_deref(), Some(key));

    let mut two = entities;
    two.as_array_mut()
        .expect("a list")
        .push(json!({"Type": "host", "HostName": "web02", "DnsDomain": "contoso.example"}));
    let found = alert(&sentinel(&two, &json!({})));
    assert_eq!(found.entities[2].key, None);
}

#[test]
fn tactics_are_read_however_they_are_listed() {
    let tactics = |text: &str| {
        let alert = alert(&sentinel(&json!([]), &json!({ "Tactics": text })));
        let tactics = alert
            .attacks
            .into_iter()
            .filter_map(|attack| attack.tactic_uid);
        tactics.collect::<Vec<_>>().join(" ")
    };
    for list in [
        "LateralMovement, Impact",
        "LateralMovement;Impact",
        "[\"LateralMovement\",\"Impact\"]",
        "[\"LateralMovement, Impact\"]",
    ] {
        assert_eq!(tactics(list), "TA0008 TA0040", "{list}");
    }
    assert_eq!(tactics("Unknown"), "");
}

#[test]
fn closed_alerts_are_still_evidence() {
    for (word, status) in [
        ("Dismissed", AlertStatus::Suppressed),
        ("Resolved", AlertStatus::Resolved),
    ] {
        let alert = alert(&sentinel(&json!([]), &json!({ "Status": word })));
        assert_eq!(alert.status, status);
        assert_eq!(alert.kind, AlertKind::Detection);
    }
}

#[test]
fn incident_of_the_source_is_an_incident() {
    for said in [json!(true), json!("True")] {
        let alert = alert(&sentinel(&json!([]), &json!({ "IsIncident": said })));
        assert_eq!(alert.kind, AlertKind::Incident);
    }
}

#[test]
fn error_names_the_field_as_its_vendor_spells_it() {
    refused(
        r#"{"SystemAlertId":"a","AlertSeverity":"Low"}"#,
        expect!["missing_field /AlertName: missing"],
    );
    refused(
        r#"{"SystemAlertId":"a","AlertName":"t"}"#,
        expect!["missing_field /StartTime: missing"],
    );
    refused(
        &sentinel(&json!([]), &json!({ "StartTime": PLANTED })),
        expect!["invalid_field /StartTime: not a time"],
    );
    refused(
        &sentinel(&json!([]), &json!({ "Entities": "[{" })),
        expect!["not_json /Entities: JSON ends early, line 1 column 2"],
    );
    refused(
        &sentinel(&json!([]), &json!({ "TenantId": "../etc" })),
        expect![
            "invalid_tenant /TenantId: a tenant is 1 to 64 of a-z, A-Z, 0-9, dot, underscore and hyphen"
        ],
    );
    refused(
        r#"{"properties":{"systemAlertId":["x"],"alertType":"t"},"type":"Microsoft.Security/x"}"#,
        expect!["invalid_field /properties/systemAlertId: not a text"],
    );
    refused(
        r#"{"value":[{"SystemAlertId":"a","AlertDisplayName":"t","StartTimeUtc":"2025-13-01"}]}"#,
        expect!["invalid_field /value/0/StartTimeUtc: not a time"],
    );
}

#[test]
fn identity_given_twice_is_refused() {
    refused(
        r#"{"SystemAlertId":"a","systemAlertId":"b","AlertName":"t"}"#,
        expect!["invalid_field /systemAlertId: given twice"],
    );
    refused(
        r#"{"SystemAlertId":"a","AlertName":"t","StartTime":"2025-01-01","StartTime":"2025-01-02"}"#,
        expect!["invalid_field /StartTime: given twice"],
    );
    refused(
        r#"{"SystemAlertId":"a","AlertName":"t","StartTime":"2025-01-01","Entities":
            "[{\"Type\":\"ip\",\"Address\":\"198.51.100.1\",\"Address\":\"198.51.100.2\"}]"}"#,
        expect!["invalid_field /Entities/0/Address: given twice"],
    );
    let last_wins = r#"{"SystemAlertId":"a","AlertName":"t","StartTime":"2025-01-01","Description":"1","Description":"2"}"#;
    assert_eq!(alert(last_wins).description.as_deref(), Some("2"));
}

/// Records as vendors write them lie outside the project; their digest stands for a review of every field.
#[test]
fn real_records_decode_as_reviewed() {
    let Some(folder) = std::env::var_os("FUSOR_DATA") else {
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: FUSOR_DATA names no folder");
        }
        return;
    };
    let folder = std::path::Path::new(&folder).join("vendor");
    let digests = [
        "sentinel-securityalert",
        "defender-for-cloud",
        "azure-security-center-2019",
    ]
    .map(|file| {
        let records = std::fs::read(folder.join(format!("{file}.ndjson"))).expect("the file");
        let lines = records
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let alerts: Vec<Alert> = lines
            .flat_map(|line| decoded(line).expect("an alert"))
            .collect();
        format!("{file}: {} alerts, {}\n", alerts.len(), digest(&alerts))
    });
    expect![[r#"
        sentinel-securityalert: 96 alerts, 59847d0e054f964c
        defender-for-cloud: 2 alerts, 41fdf18316af5061
        azure-security-center-2019: 189 alerts, cfcbd8b30fcc9ba9
    "#]]
    .assert_eq(&digests.concat());
}

fn digest(alerts: &[Alert]) -> String {
    use sha2::Digest as _;
    let bytes = serde_json::to_vec(alerts).expect("alerts are JSON");
    let digest = sha2::Sha256::digest(bytes);
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
