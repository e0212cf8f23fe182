//! Uids against the plainest way to keep them.

use proptest::prelude::*;

use super::{HOUR_MS, STALE_MAX, Seen, Uids};

const LIFE_MS: i64 = 5 * HOUR_MS;

/// What is remembered: hour, order of arrival, uid and what it was seen as.
#[derive(Clone, Debug, Default)]
struct Plain {
    known: Vec<(i64, usize, String, Seen)>,
    arrived: usize,
    swept: Option<i64>,
    floor: i64,
}

#[derive(Clone, Debug)]
enum Act {
    Remember(u8, i64, i64),
    Sweep(i64),
    Settle,
    Commit,
    Undo,
}

impl Plain {
    fn act(&mut self, act: &Act, max: usize) {
        match act {
            Act::Remember(uid, hour, revision) => {
                if *hour < self.floor {
                    return;
                }
                let uid = uid.to_string();
                self.known.retain(|(_, _, known, _)| *known != uid);
                self.known
                    .push((*hour, self.arrived, uid, seen(*hour, *revision)));
                self.arrived += 1;
                self.known
                    .sort_by_key(|(hour, arrival, _, _)| (*hour, *arrival));
                let excess = self.known.len().saturating_sub(max);
                for (hour, ..) in self.known.drain(..excess) {
                    self.floor = hour;
                }
            }
            Act::Sweep(hour) if self.swept < Some(*hour) => {
                self.swept = Some(*hour);
                self.known
                    .retain(|(known, ..)| *known >= hour - LIFE_MS / HOUR_MS);
            }
            Act::Sweep(_) | Act::Settle | Act::Commit | Act::Undo => {}
        }
    }

    fn told(&self) -> Vec<(&str, Seen)> {
        let known = self.known.iter();
        known
            .map(|(_, _, uid, seen)| (uid.as_str(), *seen))
            .collect()
    }
}

fn seen(hour: i64, revision: i64) -> Seen {
    Seen {
        episode: 7,
        revision,
        time: hour * HOUR_MS,
    }
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => (0_u8..12, 0_i64..20, 0_i64..9).prop_map(|(uid, hour, revision)| Act::Remember(uid, hour, revision)),
        2 => (0_i64..24).prop_map(Act::Sweep),
        1 => Just(Act::Settle),
        2 => Just(Act::Commit),
        1 => Just(Act::Undo),
    ]
}

proptest! {
    #[test]
    fn uids_are_those_of_the_plain_way(acts in prop::collection::vec(act(), 0..80), max in 1_usize..9) {
        let (mut uids, mut plain) = (Uids::new(), Plain::default());
        uids.track();
        let mut committed = plain.clone();
        for act in &acts {
            plain.act(act, max);
            match act {
                Act::Remember(uid, hour, revision) => {
                    uids.remember(&uid.to_string(), seen(*hour, *revision), max);
                }
                Act::Sweep(hour) => uids.sweep(*hour, LIFE_MS),
                Act::Settle => uids.settle(),
                Act::Commit => {
                    uids.commit();
                    committed = plain.clone();
                }
                Act::Undo => {
                    uids.undo();
                    plain = committed.clone();
                }
            }
            prop_assert_eq!(uids.iter().collect::<Vec<_>>(), plain.told());
            prop_assert_eq!(uids.len(), plain.known.len());
            prop_assert_eq!(uids.at_floor, uids.count_at_floor());
            prop_assert_eq!(uids.places, uids.by_hour.values().map(|uids| uids.len()).sum::<usize>());
        }
    }
}

proptest! {
    /// Some of what tells of what is forgotten is gone: anything of it.
    #[test]
    fn what_is_remembered_comes_back_without_what_is_forgotten(
        acts in prop::collection::vec(act(), 0..80), max in 1_usize..9, gone in any::<u128>(),
    ) {
        let mut live = Uids::new();
        let mut told: Vec<(i64, String, Seen)> = Vec::new();
        for act in &acts {
            match act {
                Act::Remember(uid, hour, revision) => {
                    let uid = uid.to_string();
                    // As an update, where it is known.
                    let known = live.get(&uid).map_or(*hour, |known| known.hour());
                    let mut seen = seen(known.max(*hour), *revision);
                    seen.episode = u64::try_from(told.len()).unwrap();
                    live.remember(&uid, seen, max);
                    told.push((live.swept, uid, seen));
                }
                Act::Sweep(hour) => live.sweep(*hour, LIFE_MS),
                Act::Settle => live.settle(),
                Act::Commit | Act::Undo => {}
            }
        }
        let mut restored = Uids::new();
        for (at, (swept, uid, seen)) in told.iter().enumerate() {
            let kept = live.get(uid) == Some(*seen);
            if kept || gone >> (at % 128) & 1 == 0 {
                restored.sweep(*swept, LIFE_MS);
                restored.remember(uid, *seen, max);
            }
        }
        restored.sweep(live.swept, LIFE_MS);
        restored.put_floor(live.floor());
        prop_assert_eq!(restored.iter().collect::<Vec<_>>(), live.iter().collect::<Vec<_>>());
        prop_assert_eq!(restored.floor(), live.floor());
    }
}

#[test]
fn one_uid_that_comes_again_and_again_takes_no_more_room() {
    let mut uids = Uids::new();
    uids.track();
    uids.remember("other", seen(0, 0), 10);
    uids.commit();
    for revision in 0..10_000 {
        uids.remember("a", seen(revision % 7, revision), 10);
        assert!(uids.places <= STALE_MAX + 2 * uids.len());
    }
    uids.undo();
    let left: Vec<_> = uids.iter().collect();
    assert_eq!((left, uids.places), (vec![("other", seen(0, 0))], 1));
}
