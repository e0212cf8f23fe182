//! T-5: which incident listed an alert from when until when.

use std::collections::{BTreeMap, HashMap};

use schemas::incident::Incident;

use super::digest;
use super::finding::{Findings, Place, Rule};
use super::incidents::{At, Moment};

/// Every alert that an incident ever listed, and the spans in which it did.
///
/// The spans are in epochs of the shard, so it does not matter in which order the partitions of the topic were read.
#[derive(Debug)]
pub(super) struct Claims {
    memory_ms: i64,
    /// By the hash of tenant and uid. Iterated only to be sorted.
    alerts: HashMap<u128, Alert>,
    /// What each incident lists now, sorted.
    held: BTreeMap<u32, Vec<u128>>,
}

#[derive(Debug)]
struct Alert {
    uid: Box<str>,
    claims: Vec<Claim>,
}

/// An incident listed the alert from one epoch on until, and without, another.
#[derive(Debug)]
struct Claim {
    incident: u32,
    shard: i32,
    from: Moment,
    until: Option<Moment>,
    from_ms: i64,
    place: Place,
}

/// A revision of an incident.
#[derive(Debug)]
pub(super) struct Holder<'a> {
    pub(super) incident: u32,
    pub(super) at: At,
    pub(super) modified_ms: i64,
    pub(super) place: &'a Place,
}

impl Claims {
    pub(super) fn new(memory_ms: i64) -> Self {
        Self {
            memory_ms,
            alerts: HashMap::new(),
            held: BTreeMap::new(),
        }
    }

    pub(super) fn alerts(&self) -> u64 {
        self.alerts.len().try_into().unwrap_or(u64::MAX)
    }

    /// Notes that from this revision on the incident lists these alerts and no others; none once it was merged.
    pub(super) fn set(&mut self, holder: &Holder<'_>, incident: &Incident) {
        let mut listed: Vec<(u128, &str)> = Vec::new();
        if incident.merged_into.is_none() {
            for alert in &incident.alerts {
                let uids = std::iter::once(&alert.uid).chain(&alert.repeat_uids);
                listed.extend(uids.map(|uid| {
                    let parts = [incident.tenant.as_bytes(), uid.as_bytes()];
                    (digest(&parts), uid.as_str())
                }));
            }
        }
        listed.sort_unstable();
        listed.dedup();
        let new: Vec<u128> = listed.iter().map(|(hash, _)| *hash).collect();
        let old = self.held.remove(&holder.incident).unwrap_or_default();
        for gone in old.iter().filter(|hash| new.binary_search(hash).is_err()) {
            if let Some(alert) = self.alerts.get_mut(gone) {
                let open =
                    |claim: &&mut Claim| claim.incident == holder.incident && claim.until.is_none();
                for claim in alert.claims.iter_mut().filter(open) {
                    claim.until = Some(holder.at.moment);
                }
            }
        }
        for (hash, uid) in listed {
            if old.binary_search(&hash).is_ok() {
                continue;
            }
            let alert = self.alerts.entry(hash).or_insert_with(|| Alert {
                uid: uid.into(),
                claims: Vec::new(),
            });
            alert.claims.push(Claim {
                incident: holder.incident,
                shard: holder.at.shard,
                from: holder.at.moment,
                until: None,
                from_ms: holder.modified_ms,
                place: holder.place.clone(),
            });
        }
        if !new.is_empty() {
            self.held.insert(holder.incident, new);
        }
    }

    /// Reports every alert that two incidents listed at once.
    pub(super) fn check(
        &self,
        names: &BTreeMap<u32, &str>,
        horizon: &dyn Fn(i32) -> Option<Moment>,
        findings: &mut Findings,
    ) {
        let mut doubled: Vec<(&Claim, &Claim, &str)> = self
            .alerts
            .values()
            .filter(|alert| alert.claims.len() > 1)
            .filter_map(|alert| {
                let (first, second) = self.overlap(&alert.claims, horizon)?;
                Some((first, second, &*alert.uid))
            })
            .collect();
        let order = |claim: &Claim| (claim.place.partition.clone(), claim.place.offset);
        doubled.sort_by_cached_key(|(_, second, uid)| (order(second), *uid));
        for (first, second, uid) in doubled {
            let name = |claim: &Claim| names.get(&claim.incident).copied().unwrap_or_default();
            let text = format!(
                "{} lists alert {uid}, which {} at {} lists too",
                name(second),
                name(first),
                first.place
            );
            findings.add(Rule::Membership, &second.place, text);
        }
    }

    /// Reports every alert that its tenant's state never had: a made-up one, or another tenant's.
    pub(super) fn look_up(&self, known: &dyn Fn(u128) -> bool, findings: &mut Findings) {
        let unknown = self.alerts.iter().filter(|(hash, _)| !known(**hash));
        let first = |(_, alert): (_, &Alert)| {
            let claim = alert.claims.first()?;
            Some((claim.place.clone(), alert.uid.clone()))
        };
        let mut unknown: Vec<(Place, Box<str>)> = unknown.filter_map(first).collect();
        unknown.sort_by(|(a, a_uid), (b, b_uid)| {
            let order = (&a.partition, a.offset, a_uid);
            order.cmp(&(&b.partition, b.offset, b_uid))
        });
        for (place, uid) in unknown {
            let text = format!("it lists alert {uid}, which its tenant never had");
            findings.add(Rule::Tenants, &place, text);
        }
    }

    /// Returns two claims of different incidents that hold at once, the later one second.
    fn overlap<'a>(
        &self,
        claims: &'a [Claim],
        horizon: &dyn Fn(i32) -> Option<Moment>,
    ) -> Option<(&'a Claim, &'a Claim)> {
        let read =
            |claim: &Claim, moment: Moment| horizon(claim.shard).is_none_or(|last| moment <= last);
        let mut settled: Vec<&Claim> = claims
            .iter()
            .filter(|claim| read(claim, claim.from) && claim.until != Some(claim.from))
            .collect();
        settled.sort_by_key(|claim| claim.from);
        let known_since = settled.iter().map(|claim| claim.from_ms).min()?;
        let pairs = settled.iter().enumerate().flat_map(|(index, second)| {
            let before = settled.iter().take(index);
            before.map(move |first| (*first, *second))
        });
        let mut together = pairs.filter(|(first, second)| {
            let gone = first
                .until
                .filter(|until| read(first, *until))
                .is_some_and(|until| until <= second.from);
            let forgotten = second.from_ms.saturating_sub(known_since) > self.memory_ms;
            first.incident != second.incident
                && first.from.0 == second.from.0
                && !gone
                && !forgotten
        });
        together.next()
    }
}
