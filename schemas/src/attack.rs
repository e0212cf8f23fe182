//! MITRE ATT&CK: tactics, techniques and what vendors call them.

#[rustfmt::skip]
mod table;
mod tactics;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::alert::words;
use crate::entity::VALUE_BYTES_MAX;

/// One tactic, technique or both, as an alert asserts or implies it.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Attack {
    /// Tactic id such as `TA0006`; an unknown tactic is kept as given.
    pub tactic_uid: Option<String>,
    /// Technique id such as `T1003`.
    pub technique_uid: Option<String>,
    /// Sub-technique id such as `T1003.001`.
    pub sub_technique_uid: Option<String>,
    /// The ATT&CK version the source used, where it says.
    pub attack_version: Option<String>,
    /// How the tactic was come by.
    pub origin: AttackOrigin,
}

words! {
    /// How an alert's tactic was come by.
    AttackOrigin {
        /// Not known.
        Unknown = "unknown",
        /// The source said so.
        Asserted = "asserted",
        /// Mapped from a vendor's own term.
        Mapped = "mapped",
        /// Expanded from a technique alone, which may have several tactics.
        Expanded = "expanded",
    } default Asserted
}

/// The version of enterprise ATT&CK that the tables hold.
pub const ATTACK_VERSION: &str = table::VERSION;

/// One tactic of ATT&CK.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tactic {
    /// Id such as `TA0006`.
    pub uid: &'static str,
    /// Name in the version of the tables, such as `Credential Access`.
    pub name: &'static str,
    /// Name in lower case with dashes.
    pub slug: &'static str,
    /// Where it stands in the kill chain.
    pub phase: Phase,
}

/// Where a tactic stands in the kill chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Rank 0 (reconnaissance) to 5 (exfiltration, impact); tactics of one rank have no order.
    Ranked(u8),
    /// Command and control: adds to a chain once and orders nothing.
    Floating,
    /// A tactic of the ICS or mobile matrix: evidence without a rank.
    Unranked,
}

/// One technique or sub-technique in use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Technique {
    /// Id such as `T1003` or `T1003.001`.
    pub uid: &'static str,
    /// Name.
    pub name: &'static str,
    /// Ids of its tactics, sorted.
    pub tactics: &'static [&'static str],
}

/// Returns the tactic that a text names: an id, a name of this or an earlier version in any spelling, or a vendor's
/// word for it.
#[must_use]
pub fn tactic(text: &str) -> Option<Tactic> {
    tactics::find(text).map(|(tactic, _)| tactic)
}

/// Returns whether a text names a known tactic; one that does not is kept as given and worth a warning.
#[must_use]
pub fn is_known(tactic_text: &str) -> bool {
    tactic(tactic_text).is_some()
}

/// Returns the technique in use that an id stands for today: a revoked id gives its replacement, an unknown
/// sub-technique its technique.
#[must_use]
pub fn technique(id: &str) -> Option<&'static Technique> {
    let mut id = technique_id(id)?;
    // A replacement may itself have been replaced since.
    for _ in 0..REPLACEMENTS_MAX {
        if let Some(found) = by_uid(&id) {
            return Some(found);
        }
        let replaced = table::REVOKED.binary_search_by(|(old, _)| (*old).cmp(&id));
        let (_, new) = replaced
            .ok()
            .and_then(|index| table::REVOKED.get(index))?
            .to_owned();
        new.clone_into(&mut id);
    }
    None
}

/// Returns the attacks that an alert's tactics and techniques stand for, sorted, without duplicates, at most 64.
///
/// A technique goes with those of the tactics it belongs to, and stands without one where it belongs to none of them.
/// Where no known tactic is given, it stands for each of its own, [`AttackOrigin::Expanded`]. A tactic without technique
/// stands alone. What is unknown is kept as given.
pub fn attacks_of(tactics: &[impl AsRef<str>], techniques: &[impl AsRef<str>]) -> Vec<Attack> {
    let mut asserted: Vec<(String, AttackOrigin)> = tactics
        .iter()
        .take(ATTACKS_MAX)
        .filter_map(|text| asserted(text.as_ref()))
        .collect();
    // The source's own word sorts before one mapped to the same tactic.
    asserted.sort();
    asserted.dedup_by(|next, kept| next.0 == kept.0);
    let mut attacks = Vec::new();
    for id in techniques.iter().take(ATTACKS_MAX) {
        add_technique(&mut attacks, id.as_ref(), &asserted);
    }
    for (uid, origin) in &asserted {
        if attacks
            .iter()
            .all(|attack| attack.tactic_uid.as_ref() != Some(uid))
        {
            attacks.push(Attack {
                tactic_uid: Some(uid.clone()),
                origin: *origin,
                ..Attack::default()
            });
        }
    }
    attacks.sort();
    // Of equal ones the first, which is the better founded, stays.
    attacks.dedup_by(|next, kept| {
        next.tactic_uid == kept.tactic_uid
            && next.technique_uid == kept.technique_uid
            && next.sub_technique_uid == kept.sub_technique_uid
    });
    attacks.truncate(ATTACKS_MAX);
    attacks
}

/// Name of one tactic, as the tables hold it.
#[derive(Clone, Copy, Debug)]
struct TacticName {
    uid: &'static str,
    name: &'static str,
    slug: &'static str,
}

/// Bound on the tactics, techniques and attacks of one alert.
const ATTACKS_MAX: usize = 64;
const REPLACEMENTS_MAX: usize = 4;

fn asserted(text: &str) -> Option<(String, AttackOrigin)> {
    if let Some((tactic, origin)) = tactics::find(text) {
        return Some((tactic.uid.to_owned(), origin));
    }
    let text = text.trim();
    let nothing = ["", "unknown", "none", "null", "n/a", "-", "other"];
    if nothing.iter().any(|word| word.eq_ignore_ascii_case(text)) {
        return None;
    }
    let end = (0..=VALUE_BYTES_MAX.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    Some((text.get(..end?)?.to_owned(), AttackOrigin::Asserted))
}

fn add_technique(attacks: &mut Vec<Attack>, text: &str, asserted: &[(String, AttackOrigin)]) {
    let Some(given) = technique_id(text) else {
        return;
    };
    let Some(known) = technique(&given) else {
        // Newer than the tables: with one tactic there is no doubt which it belongs to.
        let mut attack = with_technique(&given);
        if let [(uid, origin)] = asserted {
            attack.tactic_uid = Some(uid.clone());
            attack.origin = *origin;
        }
        attacks.push(attack);
        return;
    };
    let before = attacks.len();
    for (uid, origin) in asserted {
        if known.tactics.contains(&uid.as_str()) {
            attacks.push(Attack {
                tactic_uid: Some(uid.clone()),
                origin: *origin,
                ..with_technique(known.uid)
            });
        }
    }
    if attacks.len() > before {
        return;
    }
    if asserted.iter().any(|(uid, _)| is_known(uid)) {
        // The source had its say on tactics: none is added to what it said.
        attacks.push(with_technique(known.uid));
        return;
    }
    attacks.extend(known.tactics.iter().map(|uid| Attack {
        tactic_uid: Some((*uid).to_owned()),
        origin: AttackOrigin::Expanded,
        ..with_technique(known.uid)
    }));
}

fn with_technique(uid: &str) -> Attack {
    let (technique, sub) = match uid.split_once('.') {
        Some((technique, _)) => (technique, Some(uid.to_owned())),
        None => (uid, None),
    };
    Attack {
        technique_uid: Some(technique.to_owned()),
        sub_technique_uid: sub,
        ..Attack::default()
    }
}

fn by_uid(uid: &str) -> Option<&'static Technique> {
    let find = |uid: &str| {
        let found = table::TECHNIQUES.binary_search_by(|technique| technique.uid.cmp(uid));
        found.ok().and_then(|index| table::TECHNIQUES.get(index))
    };
    let revoked = table::REVOKED
        .binary_search_by(|(old, _)| (*old).cmp(uid))
        .is_ok();
    find(uid).or_else(|| {
        let (technique, _) = uid.split_once('.').filter(|_| !revoked)?;
        find(technique)
    })
}

/// Returns the id in a text such as `T1003.001`, `t1003/001`, `attack.t1003.001` or `T1003 - OS Credential Dumping`.
fn technique_id(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.rsplit_once("attack.").map_or(text, |(_, id)| id);
    let (first, rest) = text.split_at_checked(1)?;
    if !first.eq_ignore_ascii_case("t") {
        return None;
    }
    let number = digits(rest, 4)?;
    let after = rest.get(4..).unwrap_or_default();
    let sub = after
        .strip_prefix(['.', '/'])
        .and_then(|sub| digits(sub, 3));
    Some(match sub {
        Some(sub) => format!("T{number}.{sub}"),
        None => format!("T{number}"),
    })
}

/// Returns the first `count` bytes of a text if they are digits and no further digit follows.
fn digits(text: &str, count: usize) -> Option<&str> {
    let (number, rest) = text.split_at_checked(count)?;
    let ends = !rest.starts_with(|next: char| next.is_ascii_alphanumeric());
    (ends && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}
