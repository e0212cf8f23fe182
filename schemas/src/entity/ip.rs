//! Addresses: what they are written like, and which of them identify anything.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::text::{part, usable};
use super::{Entity, EntityKind};

/// What an address can identify.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IpClass {
    /// One machine or site on the Internet.
    Global,
    /// A machine only inside one network, and there only while it holds the lease.
    Private,
    /// Nothing: loopback, unspecified, link-local, multicast, broadcast, reserved.
    Never,
}

/// Returns what an address can identify. IPv4 inside IPv6 counts as what it holds.
#[must_use]
pub fn ip_class(address: IpAddr) -> IpClass {
    match unwrapped(address) {
        IpAddr::V4(v4) => v4_class(v4),
        IpAddr::V6(v6) => v6_class(v6),
    }
}

/// Returns the address a text writes: with zone, brackets, port or a full-length prefix, IPv4 inside IPv6 (mapped,
/// NAT64) taken out; none for a host name or a network.
#[must_use]
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let (text, prefix) = match text.rsplit_once('/') {
        Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let address = bare(text)?;
    let full = if address.is_ipv4() { 32 } else { 128 };
    if prefix.is_some_and(|length| length != full) {
        return None;
    }
    Some(unwrapped(address))
}

/// Makes the entity of an address; none where the text writes neither an address nor a network.
///
/// A public address identifies strongly, a private one only with the `scope` (network, VPC, site) it is private to,
/// and what [`IpClass::Never`] holds gets no key.
#[must_use]
pub fn ip(text: &str, scope: Option<&str>) -> Option<Entity> {
    let Some(address) = parse_ip(text) else {
        let network: ipnet::IpNet = text.trim().parse().ok()?;
        let network = network.trunc().to_string();
        return Some(Entity::new(EntityKind::Ip, &network).identified("network", &network));
    };
    let canonical = address.to_string();
    let mut entity = Entity::new(EntityKind::Ip, &canonical).identified("address", &canonical);
    let scope = usable(scope);
    match ip_class(address) {
        IpClass::Global => entity.add_key(format!("ip:{canonical}")),
        IpClass::Private => {
            if let Some(scope) = &scope {
                entity.add_key(format!("ip:{canonical}@{}", part(scope)));
            }
            entity.add_weak_key(format!("ip:{canonical}"));
        }
        IpClass::Never => {}
    }
    if let Some(scope) = scope {
        entity = entity.identified("scope", &scope);
    }
    Some(entity)
}

impl Entity {
    /// Returns the address of an `ip` entity.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.identifiers.get("address")?.parse().ok()
    }
}

/// Reads an address without a prefix: `1.2.3.4`, `1.2.3.4:443`, `fe80::1%eth0`, `[::1]:80`.
fn bare(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']')?;
        let port = after.strip_prefix(':').unwrap_or(after);
        if !port.is_empty() && port.parse::<u16>().is_err() {
            return None;
        }
        return unzoned(inside).parse().ok().map(IpAddr::V6);
    }
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Ok(address) = unzoned(text).parse() {
        return Some(IpAddr::V6(address));
    }
    let (address, port) = text.rsplit_once(':')?;
    let address: Ipv4Addr = address.parse().ok()?;
    port.parse::<u16>().ok()?;
    Some(IpAddr::V4(address))
}

fn unzoned(text: &str) -> &str {
    text.split_once('%').map_or(text, |(address, _)| address)
}

/// Takes IPv4 out of `::ffff:0:0/96` and `64:ff9b::/96`.
fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return IpAddr::V4(v4);
    }
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        _ => address,
    }
}

fn v4_class(address: Ipv4Addr) -> IpClass {
    match address.octets() {
        [0 | 127 | 224..=239, _, _, _] | [169, 254, _, _] | [255, 255, 255, 255] => IpClass::Never,
        // Reserved, and by clouds given to machines inside.
        [240..=255, _, _, _] => IpClass::Private,
        [10, _, _, _] | [172, 16..=31, _, _] | [192, 168, _, _] => IpClass::Private,
        // Carrier-grade NAT and benchmarking networks.
        [100, 64..=127, _, _] | [198, 18 | 19, _, _] => IpClass::Private,
        _ => IpClass::Global,
    }
}

fn v6_class(address: Ipv6Addr) -> IpClass {
    if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
        return IpClass::Never;
    }
    match address.segments() {
        [0xfe80..=0xfebf, ..] | [0x100, 0, 0, 0, ..] => IpClass::Never,
        // Unique local, and the site-local that came before it.
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => IpClass::Private,
        _ => IpClass::Global,
    }
}
