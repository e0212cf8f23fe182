//! Evidence in words.

use schemas::incident::{AlertRef, Link, LinkKind, Term, TermKind};

use super::page::bits;
use super::{Hold, Named, Teller, Tie, Weighed};
use crate::fixed::exp2_neg_milli;

/// Says what a term of `link` means; `rank` counts the terms of its kind before it.
pub(super) fn meaning(teller: &Teller<'_>, link: &Link, term: &Term, rank: usize) -> String {
    let Some((there, joins)) = teller.ends(link).and_then(|(from, to)| {
        let alerts = &teller.incident.alerts;
        Some((alerts.get(from)?, alerts.get(to)?))
    }) else {
        return String::new();
    };
    match term.kind {
        TermKind::Surprise => surprise(link.kind, term.bits, rank),
        TermKind::Support => "few other rules of the thread have been there yet".to_owned(),
        TermKind::Further => "shared with another alert of the thread; counts half".to_owned(),
        TermKind::Order => order(teller, term.bits, there, joins),
        TermKind::Direction if term.bits >= HOP => {
            "the first leads to where the second comes from".to_owned()
        }
        TermKind::Direction => "both come from the same source".to_owned(),
        TermKind::Product if term.bits < 0 => format!("the same rule again ({})", joins.rule),
        TermKind::Product if there.product == joins.product => "different sensors agree".to_owned(),
        TermKind::Product => {
            format!(
                "different sensors agree ({}, {})",
                there.product, joins.product
            )
        }
        TermKind::Rule => rule(term.bits, &joins.rule),
        TermKind::NewTactics => "adds tactics that the other part has not shown".to_owned(),
        TermKind::Analyst => "an analyst said that they belong together".to_owned(),
        TermKind::Unknown => "a kind of evidence newer than this program".to_owned(),
    }
}

fn surprise(kind: LinkKind, bits: i32, rank: usize) -> String {
    let who = match kind {
        LinkKind::Pair | LinkKind::Bridge | LinkKind::Unknown => "both name it",
        LinkKind::Attach | LinkKind::LookBack => "the thread has it too",
        LinkKind::Stitch | LinkKind::Analyst => "both threads have it",
    };
    match rank {
        // The later ones are discounted, as entities of one machine come together: their odds would mislead.
        1 => format!("{who}; counts half"),
        2.. => format!("{who}; counts a quarter"),
        0 if bits <= 0 => format!("{who}, but so does much else"),
        0 => format!("{who}; this soon by chance 1 in {}", odds(bits)),
    }
}

/// Returns the time between a link's alerts, as in `25 min after it`, seen from the one that joined.
pub(super) fn gap(teller: &Teller<'_>, link: &Link, from: usize, to: usize) -> String {
    let start = |index: usize| {
        teller
            .incident
            .alerts
            .get(index)
            .map(|alert| alert.start_time)
    };
    if link.gap_ms <= 0 {
        return "at the same time".to_owned();
    }
    let side = if start(to) < start(from) {
        "before it"
    } else {
        "after it"
    };
    format!("{} {side}", span(link.gap_ms))
}

/// Returns a span of time in at most two units.
pub(super) fn span(millis: i64) -> String {
    let seconds = (millis.max(0) / 1_000).max(1);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |large: i64, unit: &str, small: i64, part: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {part}"),
    };
    match () {
        () if days >= 2 => two(days, "d", hours % 24, "h"),
        () if hours >= 1 => two(hours, "h", minutes % 60, "min"),
        () if minutes >= 1 => format!("{minutes} min"),
        () => format!("{seconds} s"),
    }
}

/// Says how a link came about, and with how much evidence.
pub(super) fn sentence(tie: &Tie) -> String {
    let (from, to) = (tie.from, tie.to);
    let lead = match tie.kind {
        _ if !tie.joined => format!("#{to} is also linked to #{from}"),
        LinkKind::Pair | LinkKind::Unknown => format!("#{to} joined #{from}"),
        LinkKind::Bridge => format!("#{to} also brought in the thread of #{from}"),
        LinkKind::Attach => format!("#{to} joined the thread at #{from}"),
        LinkKind::LookBack => format!("#{to} was pulled in afterwards by the thread at #{from}"),
        LinkKind::Stitch => format!("the thread of #{to} was stitched to that of #{from}"),
        LinkKind::Analyst => format!("an analyst brought #{to} together with #{from}"),
    };
    let (sum, bar) = (bits(tie.sum), bits(tie.bar.into()));
    let enough = if tie.sum < tie.bar.into() {
        format!("short of the {bar} needed")
    } else {
        format!("{bar} needed")
    };
    format!("{lead}, {}: {sum} bits, {enough}", tie.gap)
}

/// What a term is about, in a word or two.
pub(super) fn label(term: &Weighed) -> String {
    let entity = term.entity.as_ref();
    match term.kind {
        TermKind::Surprise | TermKind::Further => {
            entity.map_or_else(|| term.kind.to_string(), shown)
        }
        TermKind::NewTactics => "new tactics".to_owned(),
        TermKind::Support
        | TermKind::Rule
        | TermKind::Order
        | TermKind::Direction
        | TermKind::Product
        | TermKind::Analyst
        | TermKind::Unknown => match entity {
            Some(entity) => format!("{} at {}", term.kind, entity.display),
            None => term.kind.to_string(),
        },
    }
}

/// Names a link's alerts and the entities that speak for it.
pub(super) fn hold(hold: &Hold) -> String {
    let entities: Vec<String> = hold.entities.iter().take(2).map(shown).collect();
    let through = if entities.is_empty() {
        String::new()
    } else {
        format!(" through {}", entities.join(", "))
    };
    format!("#{} to #{}{through}", hold.from, hold.to)
}

pub(super) fn shown(named: &Named) -> String {
    if named.kind.is_empty() {
        named.display.clone()
    } else {
        format!("{} {}", named.kind, named.display)
    }
}

/// Writes numbers as `#1 #4-#9`.
pub(super) fn hashes(numbers: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let shown = runs.iter().map(|&(first, last)| match last - first {
        0 => format!("#{first}"),
        1 => format!("#{first} #{last}"),
        _ => format!("#{first}-#{last}"),
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// Writes the first few of a list, and how many there are more.
pub(super) fn few(list: &[String]) -> String {
    let mut shown: Vec<String> = list.iter().take(FEW).cloned().collect();
    if let Some(more @ 1..) = list.len().checked_sub(FEW) {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}

pub(super) fn counted<N: std::fmt::Display + PartialEq + From<u8>>(
    number: N,
    word: &str,
) -> String {
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {word}{plural}")
}

fn order(teller: &Teller<'_>, bits: i32, first: &AlertRef, second: &AlertRef) -> String {
    let name = |alert: &AlertRef| match alert.tactic_uids.as_slice() {
        [only] => teller
            .tactics
            .get(only.as_str())
            .filter(|name| !name.is_empty())
            .map(|name| (*name).to_owned()),
        _ => None,
    };
    let usual = if bits >= 0 {
        "tends to come before"
    } else {
        "tends to come after"
    };
    match (name(first), name(second)) {
        (Some(first), Some(second)) => format!("{first} {usual} {second}"),
        _ if bits >= 0 => "their tactics tend to come in this order".to_owned(),
        _ => "their tactics tend to come the other way round".to_owned(),
    }
}

fn rule(bits: i32, rule: &str) -> String {
    match bits {
        ..-500 => format!("this rule is nothing new there ({rule})"),
        -500..=500 => format!("this rule is neither usual nor rare there ({rule})"),
        501.. => format!("this rule is rare there ({rule})"),
    }
}

/// Returns the n of "1 in n" for a chance of `2^-bits`, with two digits that count.
fn odds(bits: i32) -> String {
    let milli = bits.max(0).unsigned_abs();
    let (whole, part) = (milli / 1_000, milli % 1_000);
    // 2^(w + p) = 2^(w + 1) * 2^-(1 - p), the last factor in thousandths.
    let rest = exp2_neg_milli(i32::try_from(1_000 - part).unwrap_or(0));
    let n = ((u128::from(rest) << (whole + 1).min(64)) + 500) / 1_000;
    let mut unit = 1;
    while n / unit >= 100 {
        unit *= 10;
    }
    grouped((n + unit / 2) / unit * unit)
}

fn grouped(n: u128) -> String {
    let digits = n.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Names of a list that are shown.
const FEW: usize = 5;
/// From here on a direction term means a hop, not a shared source.
const HOP: i32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odds_have_two_digits_that_count() {
        let shown: Vec<String> = [0, 1_000, 2_585, 6_104, 8_000, 10_000, 20_500, i32::MAX]
            .map(odds)
            .into();
        assert_eq!(
            shown[..7],
            ["1", "2", "6", "69", "260", "1,000", "1,500,000"]
        );
    }

    #[test]
    fn numbers_in_a_row_are_one_range() {
        assert_eq!(hashes(&[]), "");
        assert_eq!(hashes(&[1, 3, 4, 6, 7, 8, 20]), "#1 #3 #4 #6-#8 #20");
    }

    #[test]
    fn spans_have_two_units() {
        let shown = [
            0,
            999,
            59_999,
            60_000,
            3_599_999,
            3_600_000,
            95_100_000,
            93_600_000 * 2,
            i64::MAX,
        ]
        .map(span);
        assert_eq!(
            shown[..8],
            [
                "1 s",
                "1 s",
                "59 s",
                "1 min",
                "59 min",
                "1 h",
                "26 h 25 min",
                "2 d 4 h"
            ]
        );
    }
}
