//! Who held an address when.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemas::binding::Binding;
use serde::{Deserialize, Serialize};

use crate::index::Queue;
use crate::journal::Log;

/// Leases of one address that begin in the same moment; further ones are no news: it was ambiguous already.
const AT_ONCE_MAX: usize = 16;

/// An address and the start of leases of it.
pub(crate) type Start = (IpAddr, i64);

/// Leases by address and start.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    by_start: BTreeMap<Start, Vec<Lease>>,
    by_end: Queue<(i64, IpAddr, i64)>,
    sizes: Sizes,
    /// What was known of leases before it changed, and their sizes.
    log: Log<(Start, Option<Vec<Lease>>, Sizes)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sizes {
    /// Number of leases.
    len: usize,
    /// Longest lease so far: how far back a live lease can have begun.
    longest_ms: i64,
}

/// A lease as its start knows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Lease {
    pub(crate) end: i64,
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
        let known = self.by_start.get(&(ip, from));
        let lease = Lease {
            end,
            host: binding.host.to_lowercase().into(),
        };
        if known.is_some_and(|leases| leases.len() >= AT_ONCE_MAX || leases.contains(&lease)) {
            return;
        }
        self.log.note(|| ((ip, from), known.cloned(), self.sizes));
        self.by_start.entry((ip, from)).or_default().push(lease);
        self.by_end.insert((end, ip, from));
        self.sizes.len += 1;
        self.sizes.longest_ms = self.sizes.longest_ms.max(end - from);
        while self.sizes.len > max.max(1) {
            let Some(first) = self.by_end.pop_first() else {
                break;
            };
            self.drop_ended(first);
        }
    }

    /// Returns whether no lease is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.sizes.len == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.sizes.len
    }

    /// Returns who held `ip` at `time`.
    pub(crate) fn holder(&self, ip: IpAddr, time: i64) -> Holder<'_> {
        let mut found: Option<&str> = None;
        let earliest = time.saturating_sub(self.sizes.longest_ms);
        let begun = self.by_start.range((ip, earliest)..=(ip, time));
        for lease in begun.rev().flat_map(|(_, leases)| leases) {
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
        let Some(leases) = self.by_start.get_mut(&(ip, from)) else {
            return;
        };
        self.log
            .note(|| ((ip, from), Some(leases.clone()), self.sizes));
        let count = leases.len();
        leases.retain(|lease| lease.end != end);
        self.sizes.len -= count - leases.len();
        if leases.is_empty() {
            self.by_start.remove(&(ip, from));
        }
    }

    /// Returns the leases, by address and start.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Start, &Vec<Lease>)> {
        self.by_start.iter().map(|(start, leases)| (*start, leases))
    }

    pub(crate) fn get(&self, start: Start) -> Option<&Vec<Lease>> {
        self.by_start.get(&start)
    }

    /// Returns the number of addresses and starts with leases.
    pub(crate) fn starts(&self) -> usize {
        self.by_start.len()
    }

    pub(crate) fn longest_ms(&self) -> i64 {
        self.sizes.longest_ms
    }

    pub(crate) fn put_longest_ms(&mut self, longest_ms: i64) {
        self.sizes.longest_ms = longest_ms;
    }

    pub(crate) fn track(&mut self) {
        self.log.track();
        self.by_end.track();
    }

    /// Returns what was touched, with what it was at the last commit.
    pub(crate) fn touched(&self) -> BTreeMap<Start, Option<&Vec<Lease>>> {
        let mut touched = BTreeMap::new();
        for (start, before, _) in self.log.steps() {
            touched.entry(*start).or_insert(before.as_ref());
        }
        touched
    }

    pub(crate) fn commit(&mut self) {
        self.log.commit();
        self.by_end.commit();
    }

    pub(crate) fn undo(&mut self) {
        for (start, before, sizes) in self.log.undo() {
            self.put(start, before);
            self.sizes = sizes;
        }
        self.by_end.undo();
    }

    /// Stores restored leases, or none, of one start; [`Self::derive`] must follow.
    pub(crate) fn put(&mut self, start: Start, leases: Option<Vec<Lease>>) {
        match leases {
            Some(leases) => self.by_start.insert(start, leases),
            None => self.by_start.remove(&start),
        };
    }

    /// Finds anew which ends first, once everything restored is put.
    pub(crate) fn derive(&mut self) {
        self.by_end.reset();
        self.sizes.len = self.by_start.values().map(Vec::len).sum();
        for ((ip, from), leases) in &self.by_start {
            for lease in leases {
                self.by_end.insert((lease.end, *ip, *from));
            }
        }
        self.commit();
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
        assert_eq!(leases.len(), 3);
        assert_eq!(leases.holder(ip, 5), Holder::Nobody);
        assert_eq!(leases.holder(ip, 95), Holder::Host("a"));
        assert!(leases.by_end.len() == 3 && leases.by_start.len() == 3);
    }
}
