//! A tenant's state comes back from its rows and digests as it was, and an epoch that is undone leaves nothing behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use correlators::invariants::check;
use correlators::{Fusion, Placement, RowKey, SeenAlert, Settings};
use proptest::prelude::*;
use schemas::incident::Incident;
use schemas::time::Timestamp;
use tests::scenario::Step;

use crate::model::arbitrary::{Kind, START, steps};
use crate::model::{some_limits, text, tiny};

proptest! {
    #[test]
    fn an_epoch_undone_leaves_nothing_behind(
        steps in stretched(60), limits in some_limits(), cut in cuts(),
    ) {
        let settings = Settings { limits, ..Settings::default() };
        let (mut straight, mut undoing) = (Shard::new(&settings), Shard::new(&settings));
        for epoch in epochs(&steps, &cut) {
            let (digest, clock) = (undoing.fusion.digest(), undoing.clock.clone());
            undoing.apply(epoch);
            undoing.fusion.undo();
            prop_assert_eq!(undoing.fusion.digest(), digest);
            prop_assert_eq!(check(&undoing.fusion), Ok(()));
            prop_assert_eq!(undoing.fusion.changes(), Vec::new());
            undoing.clock = clock;
            prop_assert_eq!(undoing.epoch(epoch), straight.epoch(epoch));
            prop_assert_eq!(undoing.fusion.digest(), straight.fusion.digest());
        }
    }

    #[test]
    fn hostile_input_is_undone_too(steps in steps(Kind::Hostile, 60), limits in tiny(), cut in cuts()) {
        let mut shard = Shard::new(&Settings { limits, ..Settings::default() });
        for epoch in epochs(&steps, &cut) {
            let (digest, clock) = (shard.fusion.digest(), shard.clock.clone());
            shard.apply(epoch);
            shard.fusion.undo();
            prop_assert_eq!(shard.fusion.digest(), digest);
            prop_assert_eq!(check(&shard.fusion), Ok(()));
            shard.clock = clock;
            shard.epoch(epoch);
            prop_assert_eq!(shard.restored(0).digest(), shard.fusion.digest());
        }
    }

    #[test]
    fn what_is_restored_is_what_was_and_goes_on_alike(
        steps in stretched(80), limits in some_limits(), cut in cuts(), at in 0_usize..80, seed in any::<u64>(),
    ) {
        let settings = Settings { limits, ..Settings::default() };
        let mut live = Shard::new(&settings);
        let (before, after) = steps.split_at(at.min(steps.len()));
        for epoch in epochs(before, &cut) {
            live.epoch(epoch);
        }
        let mut other = live.twin(live.restored(seed));
        prop_assert_eq!(other.fusion.digest(), live.fusion.digest());
        prop_assert_eq!(check(&other.fusion), Ok(()));
        prop_assert_eq!(other.fusion.stats(), live.fusion.stats());
        for epoch in epochs(after, &cut) {
            prop_assert_eq!(other.epoch(epoch), live.epoch(epoch));
            prop_assert_eq!(other.fusion.digest(), live.fusion.digest());
        }
        prop_assert_eq!(check(&other.fusion), Ok(()));
    }

    #[test]
    fn who_follows_and_takes_over_goes_on_alike(
        steps in stretched(60), limits in some_limits(), cut in cuts(), finished in any::<u16>(),
    ) {
        let settings = Settings { limits, ..Settings::default() };
        let (mut live, mut standby) = (Shard::new(&settings), Shard::new(&settings));
        for (number, epoch) in epochs(&steps, &cut).enumerate() {
            live.epoch(epoch);
            standby.follow(&live.last);
            if finished >> (number % 16) & 1 == 1 {
                prop_assert_eq!(standby.fusion.finish(), Ok(()));
                prop_assert_eq!(standby.fusion.digest(), live.fusion.digest());
                prop_assert_eq!(check(&standby.fusion), Ok(()));
                // The one that was live now follows.
                standby.clock = live.clock.clone();
                std::mem::swap(&mut live, &mut standby);
            }
        }
    }

    #[test]
    fn rows_are_the_same_wherever_they_come_from(steps in stretched(60), limits in some_limits(), cut in cuts()) {
        let mut live = Shard::new(&Settings { limits, ..Settings::default() });
        for epoch in epochs(&steps, &cut) {
            live.epoch(epoch);
        }
        let rows: BTreeMap<RowKey, Vec<u8>> = live.fusion.rows().collect();
        for (key, value) in &live.rows {
            prop_assert_eq!(rows.get(key), Some(value), "{}", key);
            prop_assert_eq!(&key.to_string().parse::<RowKey>(), &Ok(*key));
        }
        let keys: Vec<RowKey> = live.fusion.rows().map(|(key, _)| key).collect();
        prop_assert!(keys.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn bytes_that_are_no_state_are_refused_and_break_nothing(
        steps in stretched(40), limits in some_limits(), at in any::<prop::sample::Index>(), damage in damage(),
    ) {
        let mut live = Shard::new(&Settings { limits, ..Settings::default() });
        live.epoch(&steps);
        let rows: Vec<(RowKey, Vec<u8>)> = live.fusion.rows().collect();
        let (key, value) = at.get(&rows);
        let mut restored = live.restored(0);
        let bytes = damage.apply(value);
        if let Err(error) = restored.put(key, Some(&bytes)) {
            prop_assert_eq!(error.row, *key);
            // What was there is still there.
            prop_assert_eq!(restored.finish(), Ok(()));
            prop_assert_eq!(restored.digest(), live.fusion.digest());
        } else if restored.finish().is_err() {
            prop_assert_eq!(restored.put(key, Some(value)), Ok(()));
            prop_assert_eq!(restored.finish(), Ok(()));
            prop_assert_eq!(restored.digest(), live.fusion.digest());
        }
    }

    #[test]
    fn a_row_that_is_missing_is_told_by_who_refers_to_it(
        steps in stretched(40), at in any::<prop::sample::Index>(),
    ) {
        let mut live = Shard::new(&Settings::default());
        live.epoch(&steps);
        let keys: Vec<RowKey> = live.rows.keys().copied().collect();
        prop_assume!(!keys.is_empty());
        let gone = at.get(&keys);
        let mut restored = live.restored(0);
        prop_assert_eq!(restored.put(gone, None), Ok(()));
        let told = *gone == RowKey::Rule(0) || restored.finish().is_err();
        prop_assert!(told, "{}", gone);
    }
}

/// What one alert left: when it was applied, and what became of it.
#[derive(Clone, Debug)]
struct Kept {
    watermark: Option<Timestamp>,
    uid: String,
    revision: i64,
    time: Timestamp,
    placement: Option<Placement>,
}

#[derive(Clone, Debug, Default)]
struct Clock {
    newest: Option<i64>,
    told: Option<Timestamp>,
}

/// What an epoch wrote.
#[derive(Clone, Debug, Default)]
struct Written {
    rows: Vec<(RowKey, Option<Vec<u8>>)>,
    block: Vec<Kept>,
}

/// A tenant, and its compacted changelog.
struct Shard {
    settings: Arc<Settings>,
    fusion: Fusion,
    clock: Clock,
    rows: BTreeMap<RowKey, Vec<u8>>,
    blocks: Vec<Vec<Kept>>,
    last: Written,
}

impl Shard {
    fn new(settings: &Settings) -> Self {
        let settings = Arc::new(settings.clone());
        Self {
            fusion: Fusion::new("acme", Arc::clone(&settings)).track(),
            settings,
            clock: Clock::default(),
            rows: BTreeMap::new(),
            blocks: Vec::new(),
            last: Written::default(),
        }
    }

    /// Returns one that goes on from `fusion` where this one is.
    fn twin(&self, fusion: Fusion) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            fusion,
            clock: self.clock.clone(),
            rows: self.rows.clone(),
            blocks: self.blocks.clone(),
            last: Written::default(),
        }
    }

    fn apply(&mut self, steps: &[Step]) -> Vec<Kept> {
        let mut block = Vec::new();
        for step in steps {
            match step {
                Step::Lease(lease) => self.fusion.handle_binding(lease),
                Step::Time(_, time) => {
                    self.fusion.handle_time(*time);
                    self.clock.told = self.clock.told.max(Some(*time));
                    block.push(Kept {
                        watermark: Some(*time),
                        uid: String::new(),
                        revision: 0,
                        time: *time,
                        placement: None,
                    });
                }
                Step::Command(_) => panic!("no command is made up here"),
                Step::Alert(alert) => {
                    if let Some(newest) = self.clock.newest {
                        let told = Timestamp(newest - self.settings.lateness_ms);
                        self.fusion.handle_time(told);
                        self.clock.told = self.clock.told.max(Some(told));
                    }
                    self.clock.newest = self.clock.newest.max(Some(alert.start_time.millis()));
                    let placement = self.fusion.handle_alert(alert);
                    block.push(Kept {
                        watermark: self.clock.told,
                        uid: alert.uid.clone(),
                        revision: alert.revision,
                        time: match placement {
                            Placement::Updated { remembered, .. } => remembered,
                            Placement::Placed { .. } | Placement::Duplicate { .. } => {
                                alert.start_time
                            }
                        },
                        placement: Some(placement),
                    });
                }
            }
        }
        block
    }

    /// Applies an epoch, writes and commits it; returns what it published.
    fn epoch(&mut self, steps: &[Step]) -> Vec<String> {
        let block = self.apply(steps);
        while self.fusion.poll_output().is_some() {}
        let incidents = std::iter::from_fn(|| self.fusion.poll_incident());
        let incidents: Vec<Incident> = incidents.collect();
        self.last = Written {
            rows: self.fusion.changes(),
            block,
        };
        self.fusion.commit();
        for (key, value) in self.last.rows.clone() {
            match value {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
        self.blocks.push(self.last.block.clone());
        // A block of which nothing is remembered goes.
        let from = self.fusion.remembers_from();
        self.blocks.retain(|block| {
            let told = |kept: &Kept| kept.placement.is_some();
            let latest = block.iter().filter(|kept| told(kept)).map(|kept| kept.time);
            latest.max() >= from && from.is_some()
        });
        incidents.iter().map(text).collect()
    }

    fn follow(&mut self, written: &Written) {
        for (key, value) in &written.rows {
            self.fusion.put(key, value.as_deref()).unwrap();
        }
        put_block(&mut self.fusion, &written.block);
    }

    /// Returns what comes of the changelog, its rows in an order that `seed` picks.
    fn restored(&self, seed: u64) -> Fusion {
        let mut fusion = Fusion::new("acme", Arc::clone(&self.settings)).track();
        let mut rows: Vec<(&RowKey, &Vec<u8>)> = self.rows.iter().collect();
        let mut state = seed;
        rows.sort_by_cached_key(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state >> 33
        });
        for (key, value) in rows {
            fusion.put(key, Some(value)).unwrap();
        }
        for block in &self.blocks {
            put_block(&mut fusion, block);
        }
        fusion.finish().unwrap();
        fusion
    }
}

fn put_block(fusion: &mut Fusion, block: &[Kept]) {
    for kept in block {
        match kept.placement {
            Some(placement) => fusion.put_seen(SeenAlert {
                watermark: kept.watermark,
                uid: &kept.uid,
                revision: kept.revision,
                time: kept.time,
                placement,
            }),
            None => fusion.put_time(kept.time),
        }
    }
}

/// Streams with times as far apart as they are made, or up to weeks; now and then time passes alone.
fn stretched(max: usize) -> impl Strategy<Value = Vec<Step>> {
    let factor = prop_oneof![3 => Just(1_i64), 2 => Just(10), 1 => Just(60)];
    let told = prop::collection::vec((any::<prop::sample::Index>(), 0_i64..60), 0..4);
    (steps(Kind::Aliased, max), factor, told).prop_map(|(mut steps, factor, told)| {
        let stretch = |time: &mut Timestamp| time.0 = START + (time.0 - START) * factor;
        for step in &mut steps {
            match step {
                Step::Alert(alert) => {
                    stretch(&mut alert.start_time);
                    stretch(&mut alert.end_time);
                }
                Step::Lease(lease) => {
                    stretch(&mut lease.from);
                    stretch(&mut lease.to);
                }
                Step::Time(_, time) => stretch(time),
                Step::Command(command) => stretch(&mut command.time),
            }
        }
        for (at, days) in told {
            let time = Timestamp(START + days * 86_400_000);
            steps.insert(at.index(steps.len()), Step::Time("acme".to_owned(), time));
        }
        steps
    })
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1_usize..12, 1..6)
}

/// Cuts a stream into epochs of these sizes, over and over.
fn epochs<'a>(steps: &'a [Step], sizes: &'a [usize]) -> impl Iterator<Item = &'a [Step]> {
    let mut rest = steps;
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        let size = (*sizes.next()?).min(rest.len());
        let (epoch, after) = rest.split_at(size);
        rest = after;
        (!epoch.is_empty()).then_some(epoch)
    })
}

/// What happens to bytes.
#[derive(Clone, Debug)]
enum Damage {
    Flip(Vec<(prop::sample::Index, u8)>),
    Cut(prop::sample::Index),
    Longer(Vec<u8>),
    Other(Vec<u8>),
}

impl Damage {
    fn apply(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        match self {
            Self::Flip(flips) => {
                for (at, bits) in flips {
                    let at = at.index(bytes.len());
                    bytes[at] ^= bits;
                }
            }
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Self::Longer(more) => bytes.extend(more),
            Self::Other(other) => bytes.clone_from(other),
        }
        bytes
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => prop::collection::vec((index(), 1_u8..=255), 1..4).prop_map(Damage::Flip),
        1 => index().prop_map(Damage::Cut),
        1 => prop::collection::vec(any::<u8>(), 1..9).prop_map(Damage::Longer),
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Damage::Other),
    ]
}
