//! Tactics: a small set of them, and the usual order of two.

use schemas::attack::{Attack, AttackOrigin};
use serde::{Deserialize, Serialize};

/// Rank of a tactic in the kill chain, 0 to 5.
pub(crate) type Phase = u8;
/// Number of phases.
pub(crate) const PHASES: usize = 6;

/// The enterprise tactics that have a place in the order, with their phase (command and control floats: it has none).
const TACTICS: [(&str, Option<Phase>); 15] = [
    ("TA0043", Some(0)),
    ("TA0042", Some(0)),
    ("TA0001", Some(1)),
    ("TA0002", Some(2)),
    ("TA0003", Some(2)),
    ("TA0004", Some(2)),
    ("TA0005", Some(2)),
    ("TA0112", Some(2)),
    ("TA0006", Some(3)),
    ("TA0007", Some(3)),
    ("TA0008", Some(3)),
    ("TA0009", Some(4)),
    ("TA0011", None),
    ("TA0010", Some(5)),
    ("TA0040", Some(5)),
];

/// Row of each tactic of [`TACTICS`] in [`ORDER`]; resource development was not counted, defense impairment was
/// counted as what it was split from.
const ROWS: [Option<u8>; 15] = [
    Some(0),
    None,
    Some(1),
    Some(2),
    Some(3),
    Some(4),
    Some(5),
    Some(5),
    Some(6),
    Some(7),
    Some(8),
    Some(9),
    Some(10),
    Some(11),
    Some(12),
];

/// Evidence, in tenths of a bit, that the tactic of the row comes before that of the column: log2 of smoothed counts
/// over the 37 enterprise flows of the Attack Flow corpus of MITRE's Center for Threat-Informed Defense, one vote a flow,
/// clamped to 2 bits. Rows and columns: reconnaissance, initial access, execution, persistence, privilege escalation,
/// stealth, credential access, discovery, lateral movement, collection, command and control, exfiltration, impact.
#[rustfmt::skip]
const ORDER: [[i8; 13]; 13] = [
    [  0,  -3,  -4,   4,   0,   9,  -5,   6,   3,  15,  -3,  20,  16],
    [  3,   0,  20,  20,  20,  20,  20,  20,  20,  20,  20,  20,  20],
    [  4, -20,   0,   5,   1,   7,   7,  12,  10,  20,   3,  20,  20],
    [ -4, -20,  -5,   0,  -8,   6,   3,  -1,   7,  16,   2,  16,  20],
    [  0, -20,  -1,   8,   0,  13,   4,   5,  16,  17,  10,  19,  20],
    [ -9, -20,  -7,  -6, -13,   0,   4,   4,   3,   2,  -7,   8,  19],
    [  5, -20,  -7,  -3,  -4,  -4,   0,  -9,  12,  19,  -6,  20,  19],
    [ -6, -20, -12,   1,  -5,  -4,   9,   0,   9,   7,  -8,  12,  14],
    [ -3, -20, -10,  -7, -16,  -3, -12,  -9,   0,  11, -10,  14,  20],
    [-15, -20, -20, -16, -17,  -2, -19,  -7, -11,   0, -11,  20,   4],
    [  3, -20,  -3,  -2, -10,   7,   6,   8,  10,  11,   0,  15,  15],
    [-20, -20, -20, -16, -19,  -8, -20, -12, -14, -20, -15,   0,   1],
    [-16, -20, -20, -20, -20, -19, -19, -14, -20,  -4, -15,  -1,   0],
];

/// A set of known tactics.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Tactics(u16);

impl Tactics {
    /// Returns the known tactics of an alert: those its source named, else those its techniques can stand for.
    pub(crate) fn of(attacks: &[Attack]) -> Self {
        let named = Self::collect(
            attacks
                .iter()
                .filter(|attack| attack.origin != AttackOrigin::Expanded),
        );
        if named == Self::default() {
            Self::collect(attacks.iter())
        } else {
            named
        }
    }

    fn collect<'a>(attacks: impl Iterator<Item = &'a Attack>) -> Self {
        let mut set = Self::default();
        for uid in attacks.filter_map(|attack| attack.tactic_uid.as_deref()) {
            if let Some(bit) = TACTICS.iter().position(|(known, _)| *known == uid) {
                set.0 |= 1 << bit;
            }
        }
        set
    }

    pub(crate) fn len(self) -> u32 {
        self.0.count_ones()
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns the phases of the set's tactics, each once, highest first.
    pub(crate) fn phases(self) -> impl Iterator<Item = Phase> {
        let present = self
            .members()
            .filter_map(|bit| TACTICS.get(bit).and_then(|(_, phase)| *phase))
            .fold(0_u8, |mask, phase| mask | 1 << phase);
        (0..6_u8)
            .rev()
            .filter(move |phase| present & 1 << phase != 0)
    }

    /// Returns whether command and control is in the set.
    pub(crate) fn has_command_and_control(self) -> bool {
        self.has("TA0011")
    }

    /// Returns whether exfiltration or impact is in the set.
    pub(crate) fn has_breach(self) -> bool {
        self.has("TA0010") || self.has("TA0040")
    }

    fn has(self, uid: &str) -> bool {
        self.members()
            .any(|bit| TACTICS.get(bit).is_some_and(|(known, _)| *known == uid))
    }

    fn members(self) -> impl Iterator<Item = usize> {
        (0..TACTICS.len()).filter(move |bit| self.0 & 1 << bit != 0)
    }
}

/// Returns the greatest order evidence over the pairs of a tactic of `first` and one of `second`, in millibits;
/// 0 when either is empty.
pub(crate) fn best_order(first: Tactics, second: Tactics) -> i32 {
    pairs(first, second).max().unwrap_or(0)
}

/// Returns the mean order evidence over the pairs of two different tactics, in millibits; 0 when there is none.
pub(crate) fn mean_order(first: Tactics, second: Tactics) -> i32 {
    let (mut sum, mut count) = (0, 0);
    for a in first.members() {
        for b in second.members().filter(|b| *b != a) {
            sum += order(a, b);
            count += 1;
        }
    }
    if count == 0 { 0 } else { sum / count }
}

fn pairs(first: Tactics, second: Tactics) -> impl Iterator<Item = i32> {
    first
        .members()
        .flat_map(move |a| second.members().map(move |b| order(a, b)))
}

fn order(a: usize, b: usize) -> i32 {
    let row = |bit: usize| ROWS.get(bit).copied().flatten().map(usize::from);
    let (Some(a), Some(b)) = (row(a), row(b)) else {
        return 0;
    };
    ORDER
        .get(a)
        .and_then(|row| row.get(b))
        .map_or(0, |tenths| i32::from(*tenths) * 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tactics(uids: &[&str]) -> Tactics {
        let attacks: Vec<_> = uids
            .iter()
            .map(|uid| Attack {
                tactic_uid: Some((*uid).into()),
                ..Attack::default()
            })
            .collect();
        Tactics::of(&attacks)
    }

    #[test]
    fn initial_access_comes_before_impact_and_not_after() {
        assert_eq!(
            best_order(tactics(&["TA0001"]), tactics(&["TA0040"])),
            2_000
        );
        assert_eq!(
            best_order(tactics(&["TA0040"]), tactics(&["TA0001"])),
            -2_000
        );
        assert_eq!(best_order(tactics(&[]), tactics(&["TA0001"])), 0);
    }

    #[test]
    fn a_set_knows_its_phases_and_ignores_what_it_does_not_know() {
        let set = tactics(&["TA0011", "TA0001", "TA0040", "TA0010", "Malware"]);
        assert_eq!(set.phases().collect::<Vec<_>>(), [5, 1]);
        assert_eq!(set.len(), 4);
        assert!(set.has_command_and_control() && set.has_breach());
        assert_eq!(set.without(tactics(&["TA0010"])).len(), 3);
    }
}
