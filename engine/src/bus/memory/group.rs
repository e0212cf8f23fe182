//! The group: who is a member, in which generation, and which shards each was handed.

use std::collections::{BTreeMap, BTreeSet};

use super::transaction::Refusal;
use crate::bus::{Committed, Partition};

/// A member as the group knows it; one that joins again is another.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct MemberId(u64);

/// What goes with the offsets of a transaction and tells whether their sender may still commit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fence {
    /// The member.
    pub member: MemberId,
    /// The generation it believes the group to be in; below 0 the group checks nothing, as Kafka does not.
    pub generation: i64,
}

/// The group. Shards are handed out cooperatively: each stays with its member where the balance allows it, and one that
/// moves is given to nobody before its member gave it back or was put out.
#[derive(Debug, Default)]
pub(super) struct Group {
    generation: i64,
    /// When the generation began, in milliseconds.
    since: i64,
    shards: i32,
    joined: u64,
    members: BTreeMap<MemberId, Membership>,
    wishes: BTreeMap<i32, MemberId>,
    committed: BTreeMap<Partition, Committed>,
}

#[derive(Debug)]
struct Membership {
    /// The generation its client has heard of.
    generation: i64,
    /// Shards handed out to it and not given back.
    owned: BTreeSet<i32>,
    /// Shards it is to have.
    target: BTreeSet<i32>,
    /// Since when its heartbeats are missing, in milliseconds.
    silent: Option<i64>,
    /// It will never give anything back.
    dead: bool,
}

/// What a member learns when it is served.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Served {
    pub(super) generation: i64,
    pub(super) revoked: Vec<i32>,
    pub(super) assigned: Vec<i32>,
}

/// How long a client takes at most to hear of a new generation without being polled: its heartbeat's interval.
const HEARTBEAT_MS: i64 = 500;

impl Group {
    /// Takes a member in. The group works on the `shards` of the last one that joined.
    pub(super) fn join(&mut self, shards: i32, now: i64) -> MemberId {
        self.joined += 1;
        let member = MemberId(self.joined);
        let membership = Membership {
            generation: -1,
            owned: BTreeSet::new(),
            target: BTreeSet::new(),
            silent: None,
            dead: false,
        };
        self.members.insert(member, membership);
        self.shards = shards;
        self.rebalance(now);
        member
    }

    /// Lets a member go that says so; a dead one says nothing.
    pub(super) fn leave(&mut self, member: MemberId, now: i64) {
        if self.members.get(&member).is_some_and(|m| !m.dead) {
            self.put_out(member, now);
        }
    }

    /// Puts a member out, who learns of it from the answer to its next request.
    pub(super) fn put_out(&mut self, member: MemberId, now: i64) {
        if self.members.remove(&member).is_some() {
            self.rebalance(now);
        }
    }

    pub(super) fn put_out_all(&mut self, now: i64) {
        self.members.clear();
        self.rebalance(now);
    }

    /// Stops a member's heartbeats, for good where it is dead.
    pub(super) fn silence(&mut self, member: MemberId, dead: bool, now: i64) {
        if let Some(membership) = self.members.get_mut(&member) {
            membership.silent.get_or_insert(now);
            membership.dead |= dead;
        }
    }

    pub(super) fn resume(&mut self, member: MemberId) {
        if let Some(membership) = self.members.get_mut(&member).filter(|m| !m.dead) {
            membership.silent = None;
        }
    }

    /// Wishes a shard to be with a member; it moves there as any shard does.
    pub(super) fn wish(&mut self, shard: i32, member: MemberId, now: i64) {
        self.wishes.insert(shard, member);
        self.rebalance(now);
    }

    /// Begins a generation: decides who is to have which shard.
    pub(super) fn rebalance(&mut self, now: i64) {
        self.generation += 1;
        self.since = now;
        let targets = self.targets();
        for (member, membership) in &mut self.members {
            membership.target = targets.get(member).cloned().unwrap_or_default();
        }
    }

    fn targets(&self) -> BTreeMap<MemberId, BTreeSet<i32>> {
        let mut targets: BTreeMap<MemberId, BTreeSet<i32>> =
            self.members.keys().map(|m| (*m, BTreeSet::new())).collect();
        let shards = usize::try_from(self.shards).unwrap_or(0);
        let (quota, mut spare) = match targets.len() {
            0 => return targets,
            members => (shards / members, shards % members),
        };
        let mut homeless = Vec::new();
        for shard in 0..self.shards {
            let owner = |m: &&MemberId| {
                self.members
                    .get(m)
                    .is_some_and(|m| m.owned.contains(&shard))
            };
            let wish = self.wishes.get(&shard).filter(|m| targets.contains_key(m));
            let home = wish.or_else(|| self.members.keys().find(owner)).copied();
            match home.and_then(|member| targets.get_mut(&member)) {
                Some(target) if wish.is_some() || target.len() < quota => {
                    target.insert(shard);
                }
                Some(target) if target.len() == quota && spare > 0 => {
                    spare -= 1;
                    target.insert(shard);
                }
                Some(_) | None => homeless.push(shard),
            }
        }
        for shard in homeless {
            if let Some(least) = targets.values_mut().min_by_key(|target| target.len()) {
                least.insert(shard);
            }
        }
        targets
    }

    /// Serves a member: takes away what moves, then, in a later call, hands out what is free. None for one that the group
    /// does not know.
    pub(super) fn serve(&mut self, member: MemberId, now: i64) -> Option<Served> {
        let membership = self.members.get_mut(&member)?;
        let revoked: Vec<i32> = membership
            .owned
            .difference(&membership.target)
            .copied()
            .collect();
        membership.owned.retain(|shard| !revoked.contains(shard));
        let mut served = Served {
            revoked,
            ..Served::default()
        };
        if !served.revoked.is_empty() {
            self.rebalance(now);
        }
        let mut others = self.members.iter().filter(|(other, _)| **other != member);
        let taken: BTreeSet<i32> = others
            .by_ref()
            .flat_map(|(_, other)| other.owned.iter().copied())
            .collect();
        let membership = self.members.get_mut(&member)?;
        if served.revoked.is_empty() {
            let free = membership.target.difference(&taken);
            served.assigned = free
                .filter(|shard| !membership.owned.contains(shard))
                .copied()
                .collect();
            membership.owned.extend(&served.assigned);
        }
        membership.generation = self.generation;
        served.generation = self.generation;
        Some(served)
    }

    /// Returns the generation that a member's client has heard of.
    pub(super) fn heard(&self, member: MemberId) -> Option<i64> {
        self.members.get(&member).map(|m| m.generation)
    }

    /// Lets the clients hear of the generation that do so without being polled.
    pub(super) fn beat(&mut self, now: i64) {
        if now.saturating_sub(self.since) >= HEARTBEAT_MS {
            let alive = self.members.values_mut().filter(|m| m.silent.is_none());
            for membership in alive.filter(|m| m.generation >= 0) {
                membership.generation = self.generation;
            }
        }
    }

    /// Returns the member whose session ends first, and when.
    pub(super) fn next_due(&self, session: i64) -> Option<(i64, MemberId)> {
        let silent = |(member, m): (&MemberId, &Membership)| {
            Some((m.silent?.saturating_add(session), *member))
        };
        self.members.iter().filter_map(silent).min()
    }

    /// Checks who sends offsets.
    pub(super) fn check(&self, fence: Fence) -> Result<(), Refusal> {
        if fence.generation < 0 {
            return Ok(());
        }
        if !self.members.contains_key(&fence.member) {
            return Err(Refusal::UnknownMember);
        }
        (fence.generation == self.generation)
            .then_some(())
            .ok_or(Refusal::IllegalGeneration)
    }

    pub(super) fn commit(&mut self, partition: Partition, committed: Committed) {
        self.committed.insert(partition, committed);
    }

    pub(super) fn committed(&self, partition: &Partition) -> Option<Committed> {
        self.committed.get(partition).copied()
    }

    pub(super) fn generation(&self) -> i64 {
        self.generation
    }
}
