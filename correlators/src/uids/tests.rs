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
                let uid = uid.to_string();
                self.known.retain(|(_, _, known, _)| *known != uid);
                self.known.push((*hour, self.arrived, uid, seen(*revision)));
                self.arrived += 1;
                self.known
                    .sort_by_key(|(hour, arrival, _, _)| (*hour, *arrival));
                let excess = self.known.len().saturating_sub(max);
                self.known.drain(..excess);
            }
            Act::Sweep(hour) if self.swept < Some(*hour) => {
                self.swept = Some(*hour);
                self.known
                    .retain(|(known, ..)| *known >= hour - LIFE_MS / HOUR_MS);
            }
            Act::Sweep(_) | Act::Settle | Act::Commit | Act::Undo => {}
        }
    }

    fn told(&self) -> Vec<(i64, &str, Seen)> {
        let known = self.known.iter();
        known
            .map(|(hour, _, uid, seen)| (*hour, uid.as_str(), *seen))
            .collect()
    }
}

fn seen(revision: i64) -> Seen {
    Seen {
        episode: 7,
        revision,
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
                    uids.remember(&uid.to_string(), hour * HOUR_MS, seen(*revision), max);
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
            prop_assert_eq!(uids.places, uids.by_hour.values().map(|uids| uids.len()).sum::<usize>());
        }
    }
}

#[test]
fn one_uid_that_comes_again_and_again_takes_no_more_room() {
    let mut uids = Uids::new();
    uids.track();
    uids.remember("other", 0, seen(0), 10);
    uids.commit();
    for revision in 0..10_000 {
        uids.remember("a", revision % 7 * HOUR_MS, seen(revision), 10);
        assert!(uids.places <= STALE_MAX + 2 * uids.len());
    }
    uids.undo();
    let left: Vec<_> = uids.iter().collect();
    assert_eq!((left, uids.places), (vec![(0, "other", seen(0))], 1));
}
