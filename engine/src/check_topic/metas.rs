//! What a meta says against the one before, and against the offsets of the group.

use super::finding::{Findings, Place, Rule};
use super::incidents::Moment;
use super::state::Commits;
use crate::bus::Partition;
use crate::state::{Meta, Position};

/// The newest meta of a shard.
#[derive(Debug)]
pub(super) struct Last {
    pub(super) place: Place,
    pub(super) meta: Meta,
}

impl Last {
    pub(super) fn moment(&self) -> Moment {
        (self.meta.generation, self.meta.epoch)
    }

    /// Compares an epoch with what the group says that this epoch committed, and what it has not.
    pub(super) fn committed(
        &self,
        before: Option<&Self>,
        commits: &Commits,
        findings: &mut Findings,
    ) {
        let of = |position: &Position| commits.get(&input(position)).copied();
        let known = self
            .meta
            .inputs
            .iter()
            .filter_map(|position| of(position)?.epoch);
        let reached = known.max().unwrap_or(0);
        for now in &self.meta.inputs {
            let Some(commit) = of(now) else {
                continue;
            };
            let Some(epoch) = commit.epoch else {
                continue;
            };
            let next = before.and_then(|last| position(&last.meta, &input(now))?.next);
            let moved = before.is_some() && next != now.next;
            let equal = now.next == Some(commit.next);
            let torn = (epoch == self.meta.epoch && !equal)
                || (moved && epoch < self.meta.epoch && self.meta.epoch <= reached);
            if torn {
                let text = format!(
                    "{} is {:?} here and {} for the group, of epoch {epoch}",
                    input(now),
                    now.next,
                    commit.next
                );
                findings.add(Rule::Group, &self.place, text);
            }
        }
    }

    /// Compares the newest state with a group that stands still.
    pub(super) fn equals(&self, commits: &Commits, findings: &mut Findings) {
        for position in &self.meta.inputs {
            let input = input(position);
            let commit = commits.get(&input).map(|commit| commit.next);
            if commit != position.next {
                let text = format!(
                    "{input} is {:?} here and {commit:?} for the group",
                    position.next
                );
                findings.add(Rule::Group, &self.place, text);
            }
        }
    }
}

/// Holds a meta against the one before.
pub(super) fn follows(last: &Last, place: &Place, meta: &Meta, findings: &mut Findings) {
    let before = &last.meta;
    let rebuilt = meta.generation > before.generation;
    // A rebuild goes on behind whatever the group has heard of.
    let rises = rebuilt && meta.epoch > before.epoch;
    if before.epoch.checked_add(1) != Some(meta.epoch) && !rises {
        let text = format!("epoch {} follows on epoch {}", meta.epoch, before.epoch);
        findings.add(Rule::Gapless, place, text);
    }
    let mut falls = Vec::new();
    if !rebuilt && meta.writer < before.writer {
        falls.push(format!(
            "group generation {} after {}",
            meta.writer, before.writer
        ));
    }
    if meta.generation < before.generation {
        falls.push(format!(
            "generation {} after {}",
            meta.generation, before.generation
        ));
    }
    if !rebuilt && meta.watermark < before.watermark {
        falls.push(format!(
            "watermark {:?} after {:?}",
            meta.watermark, before.watermark
        ));
    }
    for now in meta.inputs.iter().filter(|_| !rebuilt) {
        let then = position(before, &input(now)).and_then(|position| position.next);
        if now.next < then {
            falls.push(format!("{} at {:?} after {then:?}", input(now), now.next));
        }
    }
    for fall in falls {
        findings.add(Rule::Rising, place, fall);
    }
}

pub(super) fn position<'a>(meta: &'a Meta, input: &Partition) -> Option<&'a Position> {
    let is =
        |position: &&Position| position.topic == *input.topic && position.partition == input.number;
    meta.inputs.iter().find(is)
}

pub(super) fn input(position: &Position) -> Partition {
    named(&position.topic, position.partition)
}

pub(super) fn named(topic: &str, number: i32) -> Partition {
    Partition {
        topic: topic.into(),
        number,
    }
}
