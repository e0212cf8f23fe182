//! The sites of the scenario: names, addresses and leases. Both tenants use the same ones, as sites that were set up
//! by the same hands do.

use schemas::binding::Binding;
use schemas::time::Timestamp;

use super::event::{Kind, Thing};

pub const HARBOR: &str = "harbor-foods";
pub const ALPINE: &str = "alpine-clinic";

/// Egress of the site, shared by every machine behind it.
pub(super) const NAT: &str = "203.0.113.10";
/// Where the attackers of Harbor Foods sit.
pub(super) const C2: &str = "198.51.100.77";
/// Where the attackers of Alpine Clinic sit.
pub(super) const SPRAYER: &str = "198.51.100.140";

pub(super) const DC: u32 = 201;
pub(super) const FILES: u32 = 202;
pub(super) const BACKUP: u32 = 203;
pub(super) const DEPLOY: u32 = 204;
pub(super) const SCANNER: u32 = 205;
/// The workstation the ransomware came in by, and an administrator's.
pub(super) const PATIENT_ZERO: u32 = 14;
pub(super) const ADMIN: u32 = 31;

/// Workstations are numbered from 1.
pub(super) const WORKSTATIONS: u32 = 80;

/// Monday, 2 March 2026, 00:00 UTC: the scenario begins.
pub const START: Timestamp = Timestamp(1_772_409_600_000);
pub(super) const DAYS: i64 = 4;
pub(super) const MINUTE: i64 = 60_000;
pub(super) const DAY: i64 = 24 * 60 * MINUTE;

/// Returns the name of a machine.
pub(super) fn host(number: u32) -> Thing {
    let name = match number {
        DC => "dc-01".to_owned(),
        FILES => "file-02".to_owned(),
        BACKUP => "backup-01".to_owned(),
        DEPLOY => "deploy-01".to_owned(),
        SCANNER => "scanner-01".to_owned(),
        number => format!("ws-{number:03}"),
    };
    Thing::new(Kind::Host, format!("{name}.{DOMAIN}"))
}

/// Returns the person a workstation belongs to.
pub(super) fn owner(workstation: u32) -> Thing {
    let index = usize::try_from(workstation).unwrap_or(0);
    let first = FIRST_NAMES.get(index % FIRST_NAMES.len()).unwrap_or(&"sam");
    let last = LAST_NAMES
        .get(index / FIRST_NAMES.len() % LAST_NAMES.len())
        .unwrap_or(&"poe");
    account(&format!("{first}.{last}"))
}

/// Returns an account by its name.
pub(super) fn account(name: &str) -> Thing {
    Thing::new(Kind::Account, format!("{name}@{DOMAIN}"))
}

/// Returns an address.
pub(super) fn ip(address: impl Into<String>) -> Thing {
    Thing::new(Kind::Ip, address)
}

/// Returns the address a machine has at `time`: servers keep theirs, workstations get another one every day.
pub(super) fn address(number: u32, time: Timestamp) -> Thing {
    if number > WORKSTATIONS {
        return ip(format!("10.20.0.{}", number - 190));
    }
    let day = u32::try_from((time.millis() - START.millis()).div_euclid(DAY)).unwrap_or(0);
    ip(format!(
        "10.20.1.{}",
        10 + (number + 7 * day) % WORKSTATIONS
    ))
}

/// Returns who held which address when.
pub(super) fn leases() -> Vec<Binding> {
    let mut leases = Vec::new();
    for tenant in [HARBOR, ALPINE] {
        for day in 0..=DAYS {
            let from = START.plus(day * DAY);
            for number in (1..=WORKSTATIONS).chain(DC..=SCANNER) {
                leases.push(Binding {
                    tenant: tenant.to_owned(),
                    ip: address(number, from).value,
                    host: host(number).value,
                    from,
                    to: from.plus(DAY),
                });
            }
        }
    }
    leases.sort_by(|a, b| (a.from, &a.tenant, &a.ip).cmp(&(b.from, &b.tenant, &b.ip)));
    leases
}

const DOMAIN: &str = "corp.example";

const FIRST_NAMES: [&str; 16] = [
    "ada", "bela", "cleo", "dario", "edda", "falk", "greta", "hugo", "ines", "jonas", "kaya",
    "lars", "mira", "nils", "olga", "pavel",
];
const LAST_NAMES: [&str; 6] = ["arden", "berg", "cole", "dunne", "ekman", "frost"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_is_leased_to_two_machines_at_once() {
        let mut seen = std::collections::BTreeSet::new();
        for lease in leases() {
            assert!(
                seen.insert((lease.tenant, lease.ip.clone(), lease.from)),
                "{}",
                lease.ip
            );
        }
    }

    #[test]
    fn a_workstation_changes_its_address_overnight() {
        let (monday, tuesday) = (START, START.plus(DAY));
        assert_ne!(
            address(PATIENT_ZERO, monday).value,
            address(PATIENT_ZERO, tuesday).value
        );
        assert_eq!(address(FILES, monday).value, address(FILES, tuesday).value);
    }
}
