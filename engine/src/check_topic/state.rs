//! The state topic, shard by shard: what every epoch wrote fits together, and one epoch follows the other.

use std::collections::{BTreeMap, HashSet};

use super::blocks::{Part, entries, is_safe, note_uids, tally, what};
use super::finding::{Findings, Place, Rule};
use super::incidents::Moment;
use super::ledger::Ledger;
use super::metas::{Last, follows, input, position};
use crate::bus::{Committed, Partition, Record};
use crate::state::{self, Block, Counts, Key, Meta};

/// The offsets of the group.
pub type Commits = BTreeMap<Partition, Committed>;

/// Every shard as its partition of the state topic tells it.
#[derive(Debug, Default)]
pub(super) struct States {
    shards: BTreeMap<i32, Shard>,
    /// The group's offsets before the state was read.
    commits: Commits,
    /// Hashes of (tenant, uid) of every alert.
    uids: HashSet<u128>,
    marked: bool,
}

#[derive(Debug)]
struct Shard {
    partition: Partition,
    pending: Pending,
    last: Option<Last>,
    /// The epochs are complete from the first on: nothing was compacted away.
    complete: bool,
    /// The first epoch whose meta is there.
    first: Option<u64>,
    epochs: u64,
    /// The last epoch when everything written until then was known to be readable in the other topics.
    horizon: Option<Moment>,
}

/// What an epoch wrote before its meta.
#[derive(Debug, Default)]
struct Pending {
    epoch: Option<u64>,
    place: Option<Place>,
    blocks: Vec<Part>,
}

impl States {
    pub(super) fn new(commits: Commits) -> Self {
        Self {
            commits,
            ..Self::default()
        }
    }

    pub(super) fn record(&mut self, record: &Record, ledger: &mut Ledger, findings: &mut Findings) {
        let place = Place::of(record);
        let key = record.key.as_deref().unwrap_or_default();
        let key = match Key::read(key) {
            Ok(key) => key,
            Err(error) => return findings.add(Rule::State, &place, error.to_string()),
        };
        let shard = self
            .shards
            .entry(record.partition.number)
            .or_insert_with(|| Shard::new(record.partition.clone()));
        let Some(value) = &record.value else {
            if matches!(key, Key::Meta) {
                findings.add(Rule::State, &place, "meta is never deleted");
            }
            return;
        };
        let told = match key {
            Key::Meta => state::decode::<Meta>(value).map(|(epoch, meta)| {
                if epoch != meta.epoch {
                    let text = format!("meta of epoch {} is framed as {epoch}'s", meta.epoch);
                    findings.add(Rule::State, &place, text);
                }
                let mut close = Close {
                    uids: &mut self.uids,
                    commits: &self.commits,
                    ledger,
                    findings,
                };
                shard.meta(place.clone(), meta, &mut close);
            }),
            Key::Block { epoch, part } => state::decode::<Block>(value).map(|(framed, block)| {
                if framed != epoch {
                    let text = format!("a block of epoch {epoch} is framed as {framed}'s");
                    findings.add(Rule::State, &place, text);
                }
                shard.belong(framed, &place, ledger, findings);
                shard.pending.blocks.push(Part {
                    place: place.clone(),
                    number: part,
                    block,
                });
            }),
            Key::Row { tenant, .. } => state::unframe(value).map(|(epoch, _)| {
                if !is_safe(&tenant) {
                    findings.add(Rule::State, &place, "the tenant could forge a key");
                }
                shard.belong(epoch, &place, ledger, findings);
            }),
            // Written outside of epochs.
            Key::Start => state::decode::<state::Start>(value).map(drop),
            Key::Claim | Key::Origin | Key::Quarantine { .. } => state::unframe(value).map(drop),
        };
        if let Err(error) = told {
            findings.add(Rule::State, &place, error.to_string());
        }
    }

    /// Notes that the other topics will be read to behind everything that was read here.
    pub(super) fn mark(&mut self) {
        self.marked = true;
        for shard in self.shards.values_mut() {
            shard.horizon = shard.last.as_ref().map(Last::moment);
        }
    }

    /// Returns the last epoch of a shard whose writes can be read everywhere; none where that is not known.
    pub(super) fn horizon(&self, shard: i32) -> Option<Moment> {
        let before_all = (i32::MIN, 0);
        let known = self.shards.get(&shard).and_then(|shard| shard.horizon);
        (self.marked && !self.shards.is_empty()).then(|| known.unwrap_or(before_all))
    }

    /// Returns the last epoch of a shard; none where its state was not read.
    pub(super) fn newest(&self, shard: i32) -> Option<Moment> {
        self.shards.get(&shard)?.last.as_ref().map(Last::moment)
    }

    pub(super) fn epochs(&self) -> u64 {
        self.shards.values().map(|shard| shard.epochs).sum()
    }

    /// Says whether everything that was ever written is still there.
    pub(super) fn is_complete(&self) -> bool {
        !self.shards.is_empty() && self.shards.values().all(|shard| shard.complete)
    }

    /// Says of each shard what is gone.
    pub(super) fn unchecked(&self) -> impl Iterator<Item = String> {
        let cut = self.shards.values().filter(|shard| !shard.complete);
        cut.map(|shard| {
            let first = shard.first.unwrap_or(0);
            format!(
                "{}: epochs up to {first} were compacted, so what became of their records is not known",
                shard.partition
            )
        })
    }

    /// Says whether the inputs were applied more than once.
    pub(super) fn is_rebuilt(&self) -> bool {
        let mut metas = self.shards.values().filter_map(|shard| shard.last.as_ref());
        metas.any(|last| last.meta.generation > 1)
    }

    /// Says whether the state has an alert of this tenant.
    pub(super) fn has_alert(&self, hash: u128) -> bool {
        self.uids.contains(&hash)
    }

    /// Compares the newest state with the offsets of the group as they are at the end.
    pub(super) fn finish(&self, after: &Commits, findings: &mut Findings) {
        let metas = self.shards.values().filter_map(|shard| shard.last.as_ref());
        let metas: Vec<&Meta> = metas.map(|last| &last.meta).collect();
        for (input, commit) in &self.commits {
            let has = |meta: &&Meta| meta.inputs.is_empty() || position(meta, input).is_some();
            let stateless = !metas.iter().any(has);
            if let Some(epoch) = commit.epoch.filter(|_| stateless && self.marked) {
                let text = format!("the group has it of epoch {epoch}, and no state does");
                findings.add_whole(Rule::Group, input, text);
            }
        }
        for shard in self.shards.values() {
            if let (Some(epoch), Some(place)) = (shard.pending.epoch, &shard.pending.place) {
                let text = format!("no meta follows on epoch {epoch}");
                findings.add(Rule::State, place, text);
            }
            // A shard that never had an epoch has no meta.
            let Some(last) = &shard.last else {
                continue;
            };
            let mut quiet = true;
            for position in &last.meta.inputs {
                let input = input(position);
                let (before, now) = (self.commits.get(&input), after.get(&input));
                quiet &= before == now;
                let ahead = before.and_then(|commit| commit.epoch);
                if ahead.is_some_and(|epoch| epoch > last.meta.epoch) {
                    let text = format!(
                        "the group has {input} of an epoch behind {}, the last",
                        last.meta.epoch
                    );
                    findings.add(Rule::Group, &last.place, text);
                    quiet = false;
                }
            }
            if quiet {
                last.equals(after, findings);
            }
        }
    }
}

/// What closing an epoch needs.
struct Close<'a> {
    uids: &'a mut HashSet<u128>,
    commits: &'a Commits,
    ledger: &'a mut Ledger,
    findings: &'a mut Findings,
}

impl Shard {
    fn new(partition: Partition) -> Self {
        Self {
            partition,
            pending: Pending::default(),
            last: None,
            complete: false,
            first: None,
            epochs: 0,
            horizon: None,
        }
    }

    /// Notes that a record of an epoch was written.
    fn belong(&mut self, epoch: u64, place: &Place, ledger: &mut Ledger, findings: &mut Findings) {
        if self.pending.epoch.is_some_and(|pending| pending != epoch) {
            self.abandon(ledger, findings);
        }
        self.pending.epoch = Some(epoch);
        self.pending.place.get_or_insert_with(|| place.clone());
    }

    /// Ends an epoch without a meta: one from before the oldest that compaction left.
    fn abandon(&mut self, ledger: &mut Ledger, findings: &mut Findings) {
        let pending = std::mem::take(&mut self.pending);
        if self.last.is_some()
            && let (Some(epoch), Some(place)) = (pending.epoch, &pending.place)
        {
            let text = format!("no meta follows on epoch {epoch}");
            findings.add(Rule::State, place, text);
        }
        for part in &pending.blocks {
            for (input, entry) in entries(part, findings) {
                let _known = ledger.apply(&input, entry.offset, what(part, entry), false);
            }
        }
    }

    fn meta(&mut self, place: Place, meta: Meta, close: &mut Close<'_>) {
        if self
            .pending
            .epoch
            .is_some_and(|pending| pending != meta.epoch)
        {
            self.abandon(close.ledger, close.findings);
        }
        let pending = std::mem::take(&mut self.pending);
        // A rebuild begins again.
        let rebuilt = |last: &Last| last.meta.generation != meta.generation;
        let begins = self.last.as_ref().is_none_or(rebuilt);
        let blank = meta.inputs.is_empty() && meta.counts == Counts::default();
        let is_first = begins && (meta.epoch == 1 || blank);
        if let Some(last) = &self.last {
            follows(last, &place, &meta, close.findings);
        }
        if begins {
            self.complete = is_first;
            self.first = Some(meta.epoch);
            close.ledger.begin(self.partition.number, &meta, is_first);
        }
        let before = self.last.take().filter(|_| !begins);
        let mut counts = before.as_ref().map(|last| last.meta.counts);
        if is_first {
            counts = Some(Counts::default());
        }
        let whole = counts.is_some();
        let mut counts = counts.unwrap_or_default();
        for (part, number) in pending.blocks.iter().zip(0..) {
            if whole && part.number != number {
                let text = format!(
                    "part {} of an epoch comes as its part {number}",
                    part.number
                );
                close.findings.add(Rule::State, &part.place, text);
            }
            for (input, entry) in entries(part, close.findings) {
                let known = close
                    .ledger
                    .apply(&input, entry.offset, what(part, entry), whole);
                if let Err(problem) = known {
                    close.findings.add(Rule::Order, &part.place, problem);
                }
                let next = position(&meta, &input).and_then(|position| position.next);
                if next.is_none_or(|next| entry.offset >= next) {
                    let text = format!("{input}/{} is not below what meta says", entry.offset);
                    close.findings.add(Rule::Order, &part.place, text);
                }
                tally(&mut counts, &entry.fate);
            }
            note_uids(&part.block, close.uids);
        }
        if whole && counts != meta.counts {
            let text = format!(
                "the blocks add up to {counts:?} and meta says {:?}",
                meta.counts
            );
            close.findings.add(Rule::Counts, &place, text);
        }
        close.ledger.advance(self.partition.number, &meta);
        self.epochs += 1;
        let last = Last { place, meta };
        last.committed(before.as_ref(), close.commits, close.findings);
        self.last = Some(last);
    }
}
