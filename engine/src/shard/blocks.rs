//! Which blocks of digests the state topic holds, and when each may go.

use std::collections::BTreeMap;

use crate::state::{Block, Key};

/// The epochs whose blocks are held, by the hour of their last alert: they go when every alert in them is forgotten.
/// Epochs follow each other, so that a fortnight of them is a few runs an hour.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    hours: BTreeMap<i64, Vec<Run>>,
    /// What the epoch at hand adds and takes away.
    added: Option<Added>,
    removed: Vec<(i64, Run)>,
    /// The epoch that is being restored: its parts come one by one.
    restoring: Option<Added>,
}

/// Epochs one after the other, each of as many parts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Run {
    first: u64,
    last: u64,
    parts: u32,
}

#[derive(Clone, Copy, Debug)]
struct Added {
    epoch: u64,
    parts: u32,
    hour: i64,
}

/// Blocks let go in one epoch, so that catching up stays cheap.
const EXPIRED_MAX: usize = 256;
/// Alerts are forgotten by the hour, and a tenant without records learns the time within minutes.
const MARGIN_HOURS: i64 = 2;
const HOUR_MS: i64 = 3_600_000;

impl Blocks {
    /// Notes what the epoch at hand writes.
    pub(super) fn write(&mut self, epoch: u64, blocks: &[Block]) {
        self.added = Some(Added {
            epoch,
            parts: u32::try_from(blocks.len()).unwrap_or(u32::MAX),
            hour: blocks.iter().map(last_hour).max().unwrap_or(i64::MIN),
        });
    }

    /// Notes a part that is restored; parts come in their order.
    pub(super) fn restore(&mut self, epoch: u64, part: u32, block: &Block) {
        let hour = last_hour(block);
        match &mut self.restoring {
            Some(open) if open.epoch == epoch => {
                open.parts = open.parts.max(part.saturating_add(1));
                open.hour = open.hour.max(hour);
            }
            open => {
                let parts = part.saturating_add(1);
                let done = open.replace(Added { epoch, parts, hour });
                if let Some(done) = done {
                    self.add(done);
                }
            }
        }
    }

    /// Notes what was restored so far.
    pub(super) fn restored(&mut self) {
        if let Some(done) = self.restoring.take() {
            self.add(done);
        }
    }

    /// Notes that the blocks of an epoch are gone.
    pub(super) fn forget(&mut self, epoch: u64) {
        self.restored();
        for runs in self.hours.values_mut() {
            let at = runs.partition_point(|run| run.last < epoch);
            let Some(run) = runs.get(at).copied().filter(|run| run.first <= epoch) else {
                continue;
            };
            let before = Run {
                last: epoch.saturating_sub(1),
                ..run
            };
            let after = Run {
                first: epoch.saturating_add(1),
                ..run
            };
            let kept = [before, after]
                .into_iter()
                .filter(|run| run.first <= run.last);
            runs.splice(at..=at, kept);
            return;
        }
    }

    /// Takes the blocks whose alerts are all forgotten at `watermark`, where alerts are remembered for `life_ms`.
    pub(super) fn expire(&mut self, watermark: i64, life_ms: i64) -> Vec<Key> {
        let before = watermark.saturating_sub(life_ms).div_euclid(HOUR_MS) - MARGIN_HOURS;
        let mut keys = Vec::new();
        while keys.len() < EXPIRED_MAX
            && let Some(mut hour) = self.hours.first_entry()
            && (i64::MIN + 1..before).contains(hour.key())
        {
            let Some(run) = hour.get_mut().pop() else {
                hour.remove();
                continue;
            };
            // The last epoch of the last run: what is left stays in order.
            let epoch = run.last;
            if run.first < run.last {
                hour.get_mut().push(Run {
                    last: epoch - 1,
                    ..run
                });
            }
            let gone = Run {
                first: epoch,
                ..run
            };
            self.removed.push((*hour.key(), gone));
            keys.extend((0..run.parts).map(|part| Key::Block { epoch, part }));
        }
        keys
    }

    pub(super) fn commit(&mut self) {
        self.removed.clear();
        if let Some(added) = self.added.take() {
            self.add(added);
        }
    }

    pub(super) fn undo(&mut self) {
        self.added = None;
        for (hour, run) in std::mem::take(&mut self.removed).into_iter().rev() {
            self.insert(hour, run);
        }
    }

    fn add(&mut self, added: Added) {
        let Added { epoch, parts, hour } = added;
        // What came before the first alert is of no time, and goes with the first that has one.
        if hour > i64::MIN {
            let untimed = self.hours.remove(&i64::MIN).unwrap_or_default();
            untimed.into_iter().for_each(|run| self.insert(hour, run));
        }
        if parts > 0 {
            self.insert(
                hour,
                Run {
                    first: epoch,
                    last: epoch,
                    parts,
                },
            );
        }
    }

    fn insert(&mut self, hour: i64, run: Run) {
        let runs = self.hours.entry(hour).or_default();
        match runs.last_mut() {
            Some(last)
                if last.last.checked_add(1) == Some(run.first) && last.parts == run.parts =>
            {
                last.last = run.last;
            }
            _ => {
                let at = runs.partition_point(|known| known.first < run.first);
                runs.insert(at, run);
            }
        }
    }
}

/// Returns the hour of the last alert of a block, or for one without alerts how far time had come.
fn last_hour(block: &Block) -> i64 {
    let times = block.entries.iter().flat_map(|entry| {
        let digests = entry.digests().iter().map(|digest| digest.time);
        digests.chain(entry.watermark)
    });
    times
        .max()
        .map_or(i64::MIN, |time| time.div_euclid(HOUR_MS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Entry, Fate};

    fn block(hour: i64) -> Block {
        Block {
            entries: vec![Entry {
                partition: None,
                offset: 0,
                watermark: Some(hour * HOUR_MS),
                broadcast: true,
                fate: Fate::Time,
            }],
            ..Block::default()
        }
    }

    fn expired(blocks: &mut Blocks, hour: i64) -> Vec<String> {
        let keys = blocks.expire(hour * HOUR_MS, 0);
        keys.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn blocks_go_two_hours_after_their_alerts_are_forgotten() {
        let mut blocks = Blocks::default();
        for (epoch, hour) in [(1, 0), (2, 0), (3, 1)] {
            blocks.write(epoch, &[block(hour), block(hour)]);
            blocks.commit();
        }
        assert_eq!(expired(&mut blocks, 2), Vec::<String>::new());
        let gone = expired(&mut blocks, 3);
        assert_eq!(gone.len(), 4);
        assert_eq!(gone[0], "block/00000000000000000002/0");
        blocks.undo();
        assert_eq!(expired(&mut blocks, 3), gone, "undone, so they go again");
        blocks.commit();
        assert_eq!(expired(&mut blocks, 9).len(), 2);
        assert!(expired(&mut blocks, 99).is_empty());
    }

    #[test]
    fn what_came_before_any_alert_goes_with_the_first() {
        let untimed = Block {
            entries: vec![Entry {
                partition: Some(0),
                offset: 0,
                watermark: None,
                broadcast: false,
                fate: Fate::Binding(0),
            }],
            ..Block::default()
        };
        let mut blocks = Blocks::default();
        blocks.write(1, std::slice::from_ref(&untimed));
        blocks.commit();
        assert!(expired(&mut blocks, 9).is_empty());
        blocks.write(2, &[block(5)]);
        blocks.commit();
        let mut restored = Blocks::default();
        restored.restore(1, 0, &untimed);
        restored.restore(2, 0, &block(5));
        restored.restored();
        for mut blocks in [blocks, restored] {
            assert!(expired(&mut blocks, 7).is_empty());
            assert_eq!(expired(&mut blocks, 9).len(), 2);
        }
    }

    #[test]
    fn what_is_restored_goes_as_what_was_written() {
        let mut blocks = Blocks::default();
        for epoch in 1..=4 {
            blocks.restore(epoch, 0, &block(0));
            blocks.restore(epoch, 1, &block(0));
        }
        blocks.forget(2);
        blocks.forget(9);
        blocks.restored();
        assert_eq!(expired(&mut blocks, 9).len(), 6);
    }

    #[test]
    fn many_epochs_of_an_hour_are_one_run() {
        let mut blocks = Blocks::default();
        for epoch in 0..10_000 {
            blocks.write(epoch, &[block(5)]);
            blocks.commit();
        }
        assert_eq!(blocks.hours[&5].len(), 1);
    }
}
