//! What blocks tell, record by record.

use std::collections::HashSet;

use super::digest;
use super::finding::{Findings, Place, Rule};
use super::ledger::What;
use super::metas::named;
use crate::bus::Partition;
use crate::state::{Block, Counts, Entry, Fate, Placed};

/// A part of an epoch's blocks.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) place: Place,
    pub(super) number: u32,
    pub(super) block: Block,
}

/// Returns what a block tells of records, each with its input; what points nowhere is a finding.
pub(super) fn entries<'a>(part: &'a Part, findings: &mut Findings) -> Vec<(Partition, &'a Entry)> {
    let block = &part.block;
    let tenants = u32::try_from(block.tenants.len()).unwrap_or(u32::MAX);
    let mut told = Vec::new();
    for entry in &block.entries {
        let known = match &entry.fate {
            Fate::Alerts(digests) => digests.iter().all(|digest| digest.tenant < tenants),
            Fate::Binding(tenant) | Fate::Command { tenant, .. } => *tenant < tenants,
            Fate::DeadLetter(_) | Fate::Time => true,
        };
        if !known {
            findings.add(Rule::State, &part.place, "an entry points at no tenant");
        }
        let timeless = matches!(entry.fate, Fate::Time);
        let Some(index) = entry.partition.filter(|_| !timeless) else {
            if entry.partition.is_some() != timeless {
                continue;
            }
            findings.add(Rule::State, &part.place, "an entry is of no record");
            continue;
        };
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        match block.partitions.get(index) {
            Some((topic, number)) => told.push((named(topic, *number), entry)),
            None => findings.add(Rule::State, &part.place, "an entry points at no partition"),
        }
    }
    told
}

/// Sums up what became of a record.
pub(super) fn what(part: &Part, entry: &Entry) -> What {
    match &entry.fate {
        Fate::Alerts(digests) => What::alerts(digests.iter().map(|digest| {
            let tenant = tenant(&part.block, digest.tenant);
            (tenant, digest.uid.as_str())
        })),
        Fate::Binding(_) => What::Binding,
        Fate::DeadLetter(reason) => What::DeadLetter(reason.as_str().into()),
        Fate::Command { applied, .. } => What::Command(*applied),
        Fate::Time => What::Binding,
    }
}

pub(super) fn tally(counts: &mut Counts, fate: &Fate) {
    counts.records += 1;
    match fate {
        Fate::Alerts(digests) => {
            for digest in digests {
                match digest.placed {
                    Placed::New => counts.placed += 1,
                    Placed::Late => {
                        counts.placed += 1;
                        counts.late += 1;
                    }
                    Placed::Duplicate => counts.duplicates += 1,
                    Placed::Update => counts.updates += 1,
                }
            }
        }
        Fate::Binding(_) => counts.bindings += 1,
        Fate::DeadLetter(_) => counts.dead_letters += 1,
        Fate::Command { .. } => counts.commands += 1,
        Fate::Time => counts.records -= 1,
    }
}

pub(super) fn note_uids(block: &Block, uids: &mut HashSet<u128>) {
    for entry in &block.entries {
        if let Fate::Alerts(digests) = &entry.fate {
            uids.extend(digests.iter().map(|alert| {
                let tenant = tenant(block, alert.tenant);
                digest(&[tenant.as_bytes(), alert.uid.as_bytes()])
            }));
        }
    }
}

fn tenant(block: &Block, index: u32) -> &str {
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    block.tenants.get(index).map_or("", String::as_str)
}

/// Says whether a tenant's name fits into a key without being able to forge another.
pub(super) fn is_safe(tenant: &str) -> bool {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&tenant.len()) && tenant.bytes().all(safe)
}
