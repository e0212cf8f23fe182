//! T-13 to T-15: every record of the inputs against what the state says became of it.

use std::collections::BTreeMap;

use super::digest;
use super::finding::{Findings, Place, Rule};
use super::metas::input;
use crate::bus::{Partition, Record};
use crate::decode::Content;
use crate::state::Meta;

/// What became of the records of every input.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    lanes: BTreeMap<Partition, Lane>,
    pub(super) records: u64,
}

/// One input partition.
#[derive(Debug)]
pub(super) struct Lane {
    shard: i32,
    /// By offset, which rises.
    fates: Vec<(i64, What)>,
    /// From here on every record has a fate here; none before any state was complete.
    pub(super) covered_from: Option<i64>,
    /// The next offset as the newest meta says.
    pub(super) next: i64,
    /// The same when everything written until then was known to be readable elsewhere.
    pub(super) settled: i64,
    /// The fates below were met by a record, or missed.
    cursor: usize,
    range: Option<Range>,
}

/// What there is of an input.
#[derive(Clone, Copy, Debug)]
struct Range {
    start: i64,
    end: i64,
    /// Records may have been removed in between.
    compacted: bool,
}

/// What became of a record, summed up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum What {
    /// Its alerts were applied: how many, and the hash of whose they are and their uids.
    Alerts(u32, u64),
    Binding,
    DeadLetter(Box<str>),
    /// It was answered, and applied or not.
    Command(bool),
}

impl What {
    pub(super) fn alerts<'a>(alerts: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let parts: Vec<&[u8]> = alerts
            .flat_map(|(tenant, uid)| [tenant.as_bytes(), uid.as_bytes()])
            .collect();
        let count = u32::try_from(parts.len() / 2).unwrap_or(u32::MAX);
        let [first, ..] = halves(digest(&parts));
        Self::Alerts(count, first)
    }

    fn name(&self) -> String {
        match self {
            Self::Alerts(count, _) => format!("{count} alerts"),
            Self::Binding => "a lease".to_owned(),
            Self::DeadLetter(reason) => format!("a dead letter ({reason})"),
            Self::Command(_) => "a command".to_owned(),
        }
    }
}

impl Ledger {
    /// Begins anew with the first meta that is there.
    pub(super) fn begin(&mut self, shard: i32, meta: &Meta, is_first: bool) {
        self.lanes
            .retain(|_, lane| lane.shard != shard || !is_first);
        for position in &meta.inputs {
            let from = if is_first {
                0
            } else {
                position.next.unwrap_or(0)
            };
            self.lane(shard, &input(position)).covered_from = Some(from);
        }
    }

    /// Takes the fate of a record; `whole` where nothing of its epoch can be missing.
    ///
    /// # Errors
    /// Says why it cannot come here.
    pub(super) fn apply(
        &mut self,
        input: &Partition,
        offset: i64,
        what: What,
        whole: bool,
    ) -> Result<(), String> {
        let lane = self.lane(0, input);
        let last = lane.fates.last().map(|(last, _)| *last);
        let behind = whole && offset < lane.next;
        let at = lane.fates.partition_point(|(known, _)| *known < offset);
        if lane.fates.get(at).is_none_or(|(known, _)| *known != offset) {
            lane.fates.insert(at, (offset, what));
        }
        match last {
            Some(last) if last >= offset => Err(format!("{input}/{offset} after {input}/{last}")),
            Some(_) | None if behind => Err(format!(
                "{input}/{offset} was left behind before, at {}",
                lane.next
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Takes over how far an epoch came.
    pub(super) fn advance(&mut self, shard: i32, meta: &Meta) {
        for position in &meta.inputs {
            let lane = self.lane(shard, &input(position));
            lane.shard = shard;
            // An input that was added later is read from its start.
            lane.covered_from.get_or_insert(0);
            lane.next = lane.next.max(position.next.unwrap_or(0));
        }
    }

    pub(super) fn mark(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.settled = lane.next;
        }
    }

    fn lane(&mut self, shard: i32, input: &Partition) -> &mut Lane {
        self.lanes.entry(input.clone()).or_insert_with(|| Lane {
            shard,
            fates: Vec::new(),
            covered_from: None,
            next: 0,
            settled: 0,
            cursor: 0,
            range: None,
        })
    }

    pub(super) fn find(&self, input: &Partition) -> Option<&Lane> {
        self.lanes.get(input)
    }

    pub(super) fn lanes(&self) -> impl Iterator<Item = (&Partition, &Lane)> {
        self.lanes.iter()
    }

    /// Notes what there is of an input, before its records come.
    pub(super) fn range(&mut self, input: &Partition, start: i64, end: i64, compacted: bool) {
        if let Some(lane) = self.lanes.get_mut(input) {
            lane.range = Some(Range {
                start,
                end,
                compacted,
            });
        }
    }

    /// Holds a record against what became of it.
    pub(super) fn record(&mut self, record: &Record, content: &Content, findings: &mut Findings) {
        let Some(lane) = self.lanes.get_mut(&record.partition) else {
            return;
        };
        let Some(range) = lane.range else {
            return;
        };
        self.records += 1;
        lane.skip(&record.partition, record.offset, range, findings);
        let place = Place::of(record);
        match lane.fates.get(lane.cursor) {
            Some((offset, what)) if *offset == record.offset => {
                if let Some(problem) = unfit(what, content) {
                    findings.add(Rule::Fate, &place, problem);
                }
                lane.cursor += 1;
            }
            Some(_) | None => {
                let covered = lane.covered_from.is_some_and(|from| record.offset >= from);
                if covered && record.offset < lane.next {
                    let text = "it is behind the state's offset and has no disposition";
                    findings.add(Rule::Conservation, &place, text);
                }
            }
        }
    }

    /// Reports what became of records that there are not, and returns the inputs that were not read.
    pub(super) fn finish(&mut self, findings: &mut Findings) -> Vec<String> {
        let mut unread = Vec::new();
        for (input, lane) in &mut self.lanes {
            match lane.range {
                Some(range) => lane.skip(input, range.end, range, findings),
                None => unread.push(format!("{input}: the input was not read")),
            }
        }
        unread
    }
}

impl Lane {
    /// Returns the fates, by offset.
    pub(super) fn fates(&self) -> impl Iterator<Item = (i64, &What)> {
        self.fates.iter().map(|(offset, what)| (*offset, what))
    }

    pub(super) fn fate(&self, offset: i64) -> Option<&What> {
        let found = self.fates.binary_search_by_key(&offset, |(at, _)| *at);
        let (_, what) = self.fates.get(found.ok()?)?;
        Some(what)
    }

    /// Passes over the fates below `offset`, none of whose records is there.
    fn skip(&mut self, input: &Partition, offset: i64, range: Range, findings: &mut Findings) {
        while let Some((at, what)) = self.fates.get(self.cursor)
            && *at < offset
        {
            if *at >= range.start && !range.compacted {
                let place = Place {
                    partition: input.clone(),
                    offset: *at,
                };
                let text = format!("no such record, and the state made of it {}", what.name());
                findings.add(Rule::Conservation, &place, text);
            }
            self.cursor += 1;
        }
    }
}

/// Says why this cannot have become of a record.
fn unfit(what: &What, content: &Content) -> Option<String> {
    let (fits, says) = match content {
        Content::Alerts(alerts) => {
            let says = What::alerts(
                alerts
                    .iter()
                    .map(|alert| (alert.tenant.as_str(), alert.uid.as_str())),
            );
            // What can be read may still be refused, by a bound or because it ended the process.
            (*what == says || matches!(what, What::DeadLetter(_)), says)
        }
        Content::Binding(_) => {
            let fits = matches!(what, What::Binding | What::DeadLetter(_));
            (fits, What::Binding)
        }
        Content::Command(_) => {
            let fits = matches!(what, What::Command(_) | What::DeadLetter(_));
            (fits, What::Command(true))
        }
        Content::Broken(broken) => {
            let says = What::DeadLetter(broken.reason.into());
            (*what == says, says)
        }
    };
    let text = || {
        let (what, says) = (what.name(), says.name());
        if what == says {
            format!("the state made of it {what}, and of others than it holds")
        } else {
            format!("the state made of it {what}, and it holds {says}")
        }
    };
    (!fits).then(text)
}

fn halves(hash: u128) -> [u64; 2] {
    let low = hash & u128::from(u64::MAX);
    [low, hash >> 64].map(|half| u64::try_from(half).unwrap_or_default())
}
