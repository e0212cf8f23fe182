//! Who held an address when.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use schemas::binding::Binding;

/// Leases by address and start.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    by_ip: BTreeMap<IpAddr, BTreeMap<i64, Vec<Lease>>>,
    by_end: BTreeSet<(i64, IpAddr, i64)>,
    len: usize,
    /// Longest lease so far: how far back a live lease can have begun.
    longest_ms: i64,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Lease {
    end: i64,
    host: Box<str>,
}

/// Who held an address at a moment.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Holder<'a> {
    /// Nobody known.
    Nobody,
    /// One host.
    Host(&'a str),
    /// More than one: the address says nothing for sure.
    Ambiguous,
}

impl Leases {
    /// Learns a lease; beyond `max` the one that ended first goes.
    pub(crate) fn learn(&mut self, binding: &Binding, max: usize) {
        let (Ok(ip), true) = (binding.ip.parse::<IpAddr>(), binding.from < binding.to) else {
            return;
        };
        let (from, end) = (binding.from.millis(), binding.to.millis());
        let leases = self.by_ip.entry(ip).or_default().entry(from).or_default();
        let lease = Lease {
            end,
            host: binding.host.to_lowercase().into(),
        };
        if leases.contains(&lease) {
            return;
        }
        leases.push(lease);
        self.by_end.insert((end, ip, from));
        self.len += 1;
        self.longest_ms = self.longest_ms.max(end - from);
        while self.len > max.max(1) {
            let Some(first) = self.by_end.pop_first() else {
                break;
            };
            self.drop_ended(first);
        }
    }

    /// Returns whether no lease is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns who held `ip` at `time`.
    pub(crate) fn holder(&self, ip: IpAddr, time: i64) -> Holder<'_> {
        let Some(leases) = self.by_ip.get(&ip) else {
            return Holder::Nobody;
        };
        let mut found: Option<&str> = None;
        let earliest = time.saturating_sub(self.longest_ms);
        for lease in leases
            .range(earliest..=time)
            .rev()
            .flat_map(|(_, leases)| leases)
        {
            if lease.end <= time {
                continue;
            }
            match found {
                None => found = Some(&lease.host),
                Some(host) if *host != *lease.host => return Holder::Ambiguous,
                Some(_) => {}
            }
        }
        found.map_or(Holder::Nobody, Holder::Host)
    }

    fn drop_ended(&mut self, (end, ip, from): (i64, IpAddr, i64)) {
        let Some(leases) = self.by_ip.get_mut(&ip) else {
            return;
        };
        if let Some(same_start) = leases.get_mut(&from) {
            let before = same_start.len();
            same_start.retain(|lease| lease.end != end);
            self.len -= before - same_start.len();
            if same_start.is_empty() {
                leases.remove(&from);
            }
        }
        if leases.is_empty() {
            self.by_ip.remove(&ip);
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::time::Timestamp;

    use super::*;

    fn lease(host: &str, from: i64, to: i64) -> Binding {
        Binding {
            tenant: "t".into(),
            ip: "10.0.0.1".into(),
            host: host.into(),
            from: Timestamp(from),
            to: Timestamp(to),
        }
    }

    #[test]
    fn the_holder_is_who_had_the_lease_at_that_moment() {
        let mut leases = Leases::default();
        let ip = "10.0.0.1".parse().unwrap();
        leases.learn(&lease("A", 10, 20), 9);
        leases.learn(&lease("b", 20, 30), 9);
        assert_eq!(leases.holder(ip, 9), Holder::Nobody);
        assert_eq!(leases.holder(ip, 19), Holder::Host("a"));
        assert_eq!(leases.holder(ip, 20), Holder::Host("b"));
        assert_eq!(leases.holder(ip, 30), Holder::Nobody);
        leases.learn(&lease("c", 0, 100), 9);
        assert_eq!(leases.holder(ip, 25), Holder::Ambiguous);
        assert_eq!(leases.holder(ip, 40), Holder::Host("c"));
    }

    #[test]
    fn beyond_the_bound_the_lease_that_ended_first_goes() {
        let mut leases = Leases::default();
        let ip = "10.0.0.1".parse().unwrap();
        for n in 0..10 {
            leases.learn(&lease("a", n * 10, n * 10 + 10), 3);
        }
        assert_eq!(leases.len, 3);
        assert_eq!(leases.holder(ip, 5), Holder::Nobody);
        assert_eq!(leases.holder(ip, 95), Holder::Host("a"));
        assert!(leases.by_end.len() == 3 && leases.by_ip.len() == 1);
    }
}
