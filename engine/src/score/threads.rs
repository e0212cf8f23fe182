//! Threads against classes: the contingency table and what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use super::labels::Class;
use super::membership::Sample;
use super::{MixedThread, PrecisionRecall};

/// How many alerts of each class each cluster holds.
#[derive(Debug)]
pub(super) struct Cells {
    clusters: BTreeMap<u32, BTreeMap<u32, u64>>,
}

impl Cells {
    /// Counts by thread.
    pub(super) fn of_threads(sample: &Sample) -> Self {
        Self::count(sample.rows.iter().map(|row| (row.thread, row.class)))
    }

    /// Counts by incident, over what was published.
    pub(super) fn of_incidents(sample: &Sample) -> Self {
        Self::count(
            sample
                .rows
                .iter()
                .filter_map(|row| Some((row.incident?, row.class))),
        )
    }

    fn count(pairs: impl Iterator<Item = (u32, u32)>) -> Self {
        let mut clusters: BTreeMap<u32, BTreeMap<u32, u64>> = BTreeMap::new();
        for (cluster, class) in pairs {
            *clusters
                .entry(cluster)
                .or_default()
                .entry(class)
                .or_default() += 1;
        }
        Self { clusters }
    }

    /// Returns each cluster with its classes, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &BTreeMap<u32, u64>)> {
        self.clusters
            .iter()
            .map(|(cluster, classes)| (*cluster, classes))
    }

    pub(super) fn clusters(&self) -> u64 {
        self.clusters.len() as u64
    }

    pub(super) fn largest(&self) -> u64 {
        self.clusters.values().map(size).max().unwrap_or(0)
    }

    /// Precision and recall over pairs that touch a campaign's alert.
    pub(super) fn pairwise(&self, classes: &[Class]) -> Option<PrecisionRecall> {
        let together: u64 = classes
            .iter()
            .filter(|class| class.is_campaign())
            .map(|class| pairs(class.size))
            .sum();
        if !classes.iter().any(Class::is_campaign) {
            return None;
        }
        let (mut right, mut made) = (0, 0);
        for cells in self.clusters.values() {
            let (mut in_campaigns, mut right_here) = (0, 0);
            for (_, count) in campaigns_of(cells, classes) {
                in_campaigns += count;
                right_here += pairs(count);
            }
            let all = size(cells);
            right += right_here;
            made += pairs(all) - pairs(all - in_campaigns);
        }
        let ratio = |whole: u64| {
            if whole > 0 {
                right as f64 / whole as f64
            } else {
                0.0
            }
        };
        Some(PrecisionRecall::new(ratio(made), ratio(together)))
    }

    /// Precision and recall of each campaign alert's own thread, averaged over those alerts.
    pub(super) fn bcubed(&self, classes: &[Class]) -> Option<PrecisionRecall> {
        let (mut precision, mut recall, mut alerts) = (0.0, 0.0, 0_u64);
        for cells in self.clusters.values() {
            let all = size(cells) as f64;
            for (class, count) in campaigns_of(cells, classes) {
                let square = count as f64 * count as f64;
                precision += square / all;
                recall += square / class.size as f64;
                alerts += count;
            }
        }
        (alerts > 0)
            .then(|| PrecisionRecall::new(precision / alerts as f64, recall / alerts as f64))
    }

    /// Adjusted Rand index over all alerts; nothing where both partitions leave no choice.
    pub(super) fn adjusted_rand(&self, classes: &[Class]) -> Option<f64> {
        let sum = |counts: &mut dyn Iterator<Item = u64>| counts.map(pairs).sum::<u64>() as f64;
        let alerts: u64 = classes.iter().map(|class| class.size).sum();
        let both = sum(&mut self
            .clusters
            .values()
            .flat_map(|cells| cells.values().copied()));
        let found = sum(&mut self.clusters.values().map(size));
        let truth = sum(&mut classes.iter().map(|class| class.size));
        let chance = found * truth / pairs(alerts) as f64;
        let span = (found + truth) / 2.0 - chance;
        (alerts > 1 && span != 0.0).then(|| (both - chance) / span)
    }
}

/// Returns the threads that hold two or more campaigns, those with most alerts of campaigns first.
pub(super) fn mixed(sample: &Sample, cells: &Cells) -> Vec<MixedThread> {
    let mut mixed: Vec<(u64, MixedThread)> = Vec::new();
    for (thread, cells) in cells.iter() {
        let mut campaigns: Vec<(String, u64)> = campaigns_of(cells, &sample.classes)
            .map(|(class, count)| (class.name.clone(), count))
            .collect();
        if campaigns.len() < 2 {
            continue;
        }
        campaigns.sort();
        let alerts = campaigns.iter().map(|(_, count)| count).sum();
        let name = usize::try_from(thread)
            .ok()
            .and_then(|thread| sample.threads.get(thread))
            .cloned();
        mixed.push((
            alerts,
            MixedThread {
                thread: name.unwrap_or_default(),
                campaigns,
            },
        ));
    }
    mixed.sort_by(|(a, x), (b, y)| b.cmp(a).then_with(|| x.thread.cmp(&y.thread)));
    mixed.into_iter().map(|(_, mixed)| mixed).collect()
}

/// Returns how many threads hold alerts of two tenants.
pub(super) fn with_two_tenants(sample: &Sample) -> u64 {
    two_tenants(sample.rows.iter().map(|row| (row.thread, row.tenant)))
}

/// Returns how many clusters of (cluster, tenant) pairs hold two tenants.
pub(super) fn two_tenants(pairs: impl Iterator<Item = (u32, u32)>) -> u64 {
    let mut tenants: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for (cluster, tenant) in pairs {
        tenants.entry(cluster).or_default().insert(tenant);
    }
    tenants.values().filter(|tenants| tenants.len() > 1).count() as u64
}

/// Returns a cluster's campaigns with their alerts in it, by class number.
pub(super) fn campaigns_of<'a>(
    cells: &'a BTreeMap<u32, u64>,
    classes: &'a [Class],
) -> impl Iterator<Item = (&'a Class, u64)> {
    cells.iter().filter_map(|(class, count)| {
        let class = usize::try_from(*class)
            .ok()
            .and_then(|class| classes.get(class))?;
        class.is_campaign().then_some((class, *count))
    })
}

/// Returns the alerts of a cluster.
pub(super) fn size(cells: &BTreeMap<u32, u64>) -> u64 {
    cells.values().sum()
}

fn pairs(count: u64) -> u64 {
    count * count.saturating_sub(1) / 2
}
