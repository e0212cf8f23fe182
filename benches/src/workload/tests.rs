use std::collections::BTreeSet;

use schemas::alert::Alert;
use schemas::decode::Format;

use super::*;
use crate::stages::decode_all;

const COUNT: usize = 2_000;

fn alerts(profile: Profile, format: Format) -> Vec<Alert> {
    let records: Vec<Vec<u8>> = Workload::new(profile, 7)
        .take(COUNT)
        .map(|event| event.record(format).unwrap())
        .collect();
    decode_all(&records, Some(format)).unwrap()
}

#[test]
fn a_seed_gives_the_same_alerts_and_another_gives_others() {
    let bytes = |seed| -> Vec<Vec<u8>> {
        let events = Workload::new(Profile::Soc, seed).take(50);
        events.map(|event| event.fusor()).collect()
    };
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2));
}

#[test]
fn every_record_decodes_in_its_format_with_all_it_names() {
    for profile in Profile::ALL {
        for format in [Format::Fusor, Format::Suricata] {
            let alerts = alerts(profile, format);
            assert_eq!(alerts.len(), COUNT);
            for alert in alerts {
                assert!(!alert.attacks.is_empty(), "{alert:?}");
                assert!(!alert.entities.is_empty(), "{alert:?}");
                assert_eq!(alert.provenance.warnings, [""; 0], "{alert:?}");
            }
        }
    }
}

#[test]
fn a_site_has_the_tenants_and_the_hub_of_its_profile() {
    let tenants = |profile| -> usize {
        let alerts = alerts(profile, Format::Fusor);
        let names: BTreeSet<String> = alerts.into_iter().map(|alert| alert.tenant).collect();
        names.len()
    };
    assert_eq!((tenants(Profile::Soc), tenants(Profile::Storm)), (1, 1));
    assert!(tenants(Profile::Mssp) > 300);
    let at_the_hub = |alert: &Alert| alert.entities.iter().any(|entity| entity.display == "dc01");
    assert!(alerts(Profile::Storm, Format::Fusor).iter().all(at_the_hub));
}

#[test]
fn repeats_differ_in_id_and_time_alone() {
    let events: Vec<Event> = Workload::new(Profile::Soc, 7)
        .repeated(10)
        .take(20)
        .collect();
    let hosts: BTreeSet<(u32, &str)> = events.iter().map(|e| (e.host, e.rule.name)).collect();
    assert_eq!(hosts.len(), 2);
}
