//! Hosts: the one place where `HOST1`, `host1.` and `host1` become equal.

use super::ip::{ip, parse_ip};
use super::text::{cut, guid, lower, part, path_part, upper, usable};
use super::{Entity, EntityKind};

/// What a record says of a host. Empty text is as good as none.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostFields<'a> {
    /// Short name, FQDN, `DOMAIN\HOST` or, in some products, an address.
    pub hostname: Option<&'a str>,
    /// Fully qualified name, where the record has it apart.
    pub fqdn: Option<&'a str>,
    /// DNS domain.
    pub dns_domain: Option<&'a str>,
    /// `NetBIOS` domain.
    pub nt_domain: Option<&'a str>,
    /// `NetBIOS` name.
    pub netbios_name: Option<&'a str>,
    /// Azure resource id of the machine.
    pub azure_id: Option<&'a str>,
    /// Vendor of the agent on it, and the agent's id.
    pub agent: Option<(&'a str, &'a str)>,
    /// Log Analytics agent id.
    pub oms_agent_id: Option<&'a str>,
    /// Device id in the directory (Entra).
    pub device_id: Option<&'a str>,
    /// Cloud provider and its id of the instance, such as (`aws`, `i-0abc…`).
    pub instance: Option<(&'a str, &'a str)>,
    /// MAC address.
    pub mac: Option<&'a str>,
}

/// Makes the entity of a host; none when nothing usable is left.
///
/// Strong: Azure id, agent, device or instance id, name with DNS or NT domain. Weak: bare name, `NetBIOS` name, MAC.
/// An address in the place of the name gives an `ip` entity, `localhost` nothing.
#[must_use]
pub fn host(fields: &HostFields<'_>) -> Option<Entity> {
    let mut entity = Entity::new(EntityKind::Host, "");
    let names = Names::of(fields);
    add_ids(&mut entity, fields);
    names.add_keys(&mut entity);
    add_mac(&mut entity, fields.mac);
    if let Some(display) = names.display() {
        entity.display = display;
    }
    let address = fields.hostname.and_then(parse_ip);
    match (entity.has_key(), address) {
        (false, Some(address)) => return ip(&address.to_string(), None),
        (true, Some(address)) => {
            entity = entity.identified("address", &address.to_string());
        }
        (false, None) => return None,
        (true, None) => {}
    }
    if entity.display.is_empty() {
        entity.display = entity.label();
    }
    Some(entity)
}

/// Returns whether a text is a name every host calls itself.
pub(super) fn is_localhost(name: &str) -> bool {
    let short = name.split('.').next().unwrap_or(name);
    matches!(short, "localhost" | "localhost4" | "localhost6") || name == "localdomain"
}

/// Returns whether an NT domain names no domain: a workgroup, or what every Windows has.
pub(super) fn is_no_domain(domain: &str) -> bool {
    const NONE: [&str; 8] = [
        "WORKGROUP",
        "MSHOME",
        "BUILTIN",
        "NT AUTHORITY",
        "NT SERVICE",
        "MICROSOFTACCOUNT",
        "AZUREAD",
        ".",
    ];
    NONE.contains(&domain)
}

/// Returns the `NetBIOS` form of a name: 15 characters, upper case.
pub(super) fn netbios(name: &str) -> String {
    upper(&name.chars().take(15).collect::<String>())
}

#[derive(Default)]
struct Names {
    short: Option<String>,
    dns_domain: Option<String>,
    nt_domain: Option<String>,
    netbios: Option<String>,
}

impl Names {
    fn of(fields: &HostFields<'_>) -> Self {
        let mut names = Self {
            dns_domain: domain_name(fields.dns_domain),
            netbios: usable(fields.netbios_name).map(|name| netbios(&name)),
            ..Self::default()
        };
        let mut nt_domain = usable(fields.nt_domain);
        let hostname = usable(fields.hostname).filter(|name| parse_ip(name).is_none());
        let hostname = hostname.map(|name| match name.split_once('\\') {
            Some((domain, rest)) => {
                if !domain.is_empty() {
                    nt_domain.get_or_insert_with(|| domain.to_owned());
                }
                rest.to_owned()
            }
            None => name,
        });
        let fqdn =
            usable(fields.fqdn).filter(|name| name.contains('.') && parse_ip(name).is_none());
        for name in [fqdn, hostname].into_iter().flatten() {
            names.take(&name);
        }
        names.nt_domain = nt_domain
            .map(|domain| upper(&domain))
            .filter(|domain| !is_no_domain(domain) && !names.is_own_name(domain));
        names
    }

    fn take(&mut self, name: &str) {
        let name = lower(name.trim_matches('.').trim());
        if usable(Some(&name)).is_none() || is_localhost(&name) {
            return;
        }
        let (short, domain) = match name.split_once('.') {
            Some((short, domain)) => (short, Some(domain)),
            None => (name.as_str(), None),
        };
        self.short.get_or_insert_with(|| short.to_owned());
        if self.dns_domain.is_none() {
            self.dns_domain = domain_name(domain);
        }
    }

    fn is_own_name(&self, domain: &str) -> bool {
        let short = self.short.as_deref().map(netbios);
        short.as_deref() == Some(domain) || self.netbios.as_deref() == Some(domain)
    }

    fn add_keys(&self, entity: &mut Entity) {
        let netbios_name = self
            .netbios
            .clone()
            .or_else(|| self.short.as_deref().map(netbios));
        if let (Some(short), Some(domain)) = (&self.short, &self.dns_domain) {
            entity.add_key(format!("host:dns:{}.{}", part(short), part(domain)));
        }
        if let (Some(name), Some(domain)) = (&netbios_name, &self.nt_domain) {
            entity.add_key(format!("host:nt:{}\\{}", part(domain), part(name)));
        }
        // A NetBIOS name is the first 15 characters: a longer name is known by both.
        let weak = [self.short.clone(), netbios_name.as_deref().map(lower)];
        for name in weak.into_iter().flatten() {
            entity.add_weak_key(format!("host:name:{}", part(&name)));
        }
        let found = [
            ("hostname", &self.short),
            ("dns_domain", &self.dns_domain),
            ("nt_domain", &self.nt_domain),
            ("netbios_name", &self.netbios),
        ];
        for (name, value) in found {
            if let Some(value) = value {
                entity.set(name, value);
            }
        }
    }

    fn display(&self) -> Option<String> {
        match (&self.short, &self.dns_domain) {
            (Some(short), Some(domain)) => Some(cut(&format!("{short}.{domain}"))),
            (Some(short), None) => Some(short.clone()),
            (None, _) => self.netbios.clone(),
        }
    }
}

fn domain_name(text: Option<&str>) -> Option<String> {
    let domain = lower(usable(text)?.trim_matches('.').trim());
    let local = ["workgroup", "local", "localdomain", "mshome"].contains(&domain.as_str());
    (!domain.is_empty() && !local).then_some(domain)
}

fn add_ids(entity: &mut Entity, fields: &HostFields<'_>) {
    if let Some(id) = usable(fields.azure_id).and_then(|id| super::cloud::arm_id(&id)) {
        entity.add_key(format!("host:azure:{}", path_part(&id)));
        entity.set("azure_id", &id);
        if let Some(name) = id.rsplit('/').next() {
            name.clone_into(&mut entity.display);
        }
    }
    let ids = [
        ("agent_id", fields.agent),
        ("oms_agent_id", fields.oms_agent_id.map(|id| ("oms", id))),
        ("device_id", fields.device_id.map(|id| ("entra", id))),
        ("instance_id", fields.instance),
    ];
    for (name, found) in ids {
        let Some((vendor, id)) = found else { continue };
        let (Some(vendor), Some(id)) = (usable(Some(vendor)), usable(Some(id))) else {
            continue;
        };
        let id = guid(&id).unwrap_or_else(|| lower(&id));
        if id.chars().all(|character| matches!(character, '0' | '-')) {
            continue;
        }
        let vendor = lower(&vendor);
        entity.add_key(format!("host:agent:{}:{}", part(&vendor), part(&id)));
        entity.set(name, &id);
    }
}

/// A MAC address is a weak key; one that is locally administered, group or zero identifies nothing.
fn add_mac(entity: &mut Entity, mac: Option<&str>) {
    let Some(mac) = usable(mac).and_then(|mac| mac_address(&mac)) else {
        return;
    };
    let first = mac
        .get(..2)
        .and_then(|byte| u8::from_str_radix(byte, 16).ok());
    if first.is_some_and(|byte| byte & 0b11 == 0) && mac != "00:00:00:00:00:00" {
        entity.add_weak_key(format!("host:mac:{mac}"));
    }
    entity.set("mac", &mac);
}

/// Returns a MAC address as `01:23:45:67:89:ab`, whether it is written with dashes, colons, dots or nothing.
fn mac_address(text: &str) -> Option<String> {
    let digits: Vec<char> = text
        .chars()
        .filter(|character| !matches!(character, ':' | '-' | '.'))
        .map(|character| character.to_ascii_lowercase())
        .collect();
    if digits.len() != 12 || !digits.iter().all(char::is_ascii_hexdigit) {
        return None;
    }
    let pairs: Vec<String> = digits.chunks(2).map(|pair| pair.iter().collect()).collect();
    Some(pairs.join(":"))
}
