//! Tactics: their spellings, their phases, and the words vendors use instead.

use crate::attack::AttackOrigin;

use super::table::TACTICS;
use super::{Phase, Tactic, TacticName};

/// Returns the tactic that any spelling names, and whether the word was ATT&CK's or a vendor's.
pub(super) fn find(text: &str) -> Option<(Tactic, AttackOrigin)> {
    let folded = fold(text);
    if let Some(uid) = as_uid(&folded) {
        let name = TACTICS.iter().chain(&ICS).chain(&MOBILE);
        let name = name.copied().find(|name| name.uid == uid)?;
        return Some((with_phase(name), AttackOrigin::Asserted));
    }
    let bare = PREFIXES
        .iter()
        .find_map(|prefix| folded.strip_prefix(prefix))
        .filter(|rest| !rest.is_empty())
        .unwrap_or(&folded);
    let named = |name: &&TacticName| fold(name.slug) == bare;
    if let Some(name) = TACTICS.iter().find(named) {
        return Some((with_phase(*name), AttackOrigin::Asserted));
    }
    if let Some((_, uid, origin)) = TERMS.iter().find(|(term, ..)| *term == bare) {
        let name = TACTICS.iter().copied().find(|name| name.uid == *uid)?;
        return Some((with_phase(name), *origin));
    }
    // Names that only the other domains have: their common names mean the enterprise tactic.
    let name = ICS.iter().chain(&MOBILE).find(named)?;
    Some((with_phase(*name), AttackOrigin::Asserted))
}

fn with_phase(name: TacticName) -> Tactic {
    Tactic {
        uid: name.uid,
        name: name.name,
        slug: name.slug,
        phase: phase(name.uid),
    }
}

/// Ranks of the kill chain. Inside a rank the data show no order; command and control is there all along.
fn phase(uid: &str) -> Phase {
    match uid {
        "TA0043" | "TA0042" => Phase::Ranked(0),
        "TA0001" => Phase::Ranked(1),
        "TA0002" | "TA0003" | "TA0004" | "TA0005" | "TA0112" => Phase::Ranked(2),
        "TA0006" | "TA0007" | "TA0008" => Phase::Ranked(3),
        "TA0009" => Phase::Ranked(4),
        "TA0010" | "TA0040" => Phase::Ranked(5),
        "TA0011" => Phase::Floating,
        _ => Phase::Unranked,
    }
}

/// Lower case, letters and digits only.
fn fold(text: &str) -> String {
    let letters = text.chars().filter(char::is_ascii_alphanumeric).take(64);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Returns `TA0001` out of a folded text that is such an id, also behind a prefix.
fn as_uid(folded: &str) -> Option<String> {
    let bare = PREFIXES
        .iter()
        .find_map(|prefix| folded.strip_prefix(prefix))
        .unwrap_or(folded);
    let digits = bare.strip_prefix("ta")?;
    let is_uid = digits.len() == 4 && digits.chars().all(|digit| digit.is_ascii_digit());
    is_uid.then(|| format!("TA{digits}"))
}

/// What producers write before the name.
const PREFIXES: [&str; 5] = ["mitreattack", "mitreattck", "mitre", "attack", "attck"];

const fn ta(uid: &'static str, name: &'static str, slug: &'static str) -> TacticName {
    TacticName { uid, name, slug }
}

/// Folded words that are no tactic's name today.
const TERMS: [(&str, &str, AttackOrigin); 21] = [
    // Names of earlier versions.
    ("defenseevasion", "TA0005", AttackOrigin::Asserted),
    ("defenceevasion", "TA0005", AttackOrigin::Asserted),
    ("evasion", "TA0005", AttackOrigin::Asserted),
    ("defenceimpairment", "TA0112", AttackOrigin::Asserted),
    ("commandandcontrol", "TA0011", AttackOrigin::Asserted),
    ("commandcontrol", "TA0011", AttackOrigin::Asserted),
    ("candc", "TA0011", AttackOrigin::Mapped),
    ("c2", "TA0011", AttackOrigin::Mapped),
    ("recon", "TA0043", AttackOrigin::Mapped),
    ("privesc", "TA0004", AttackOrigin::Mapped),
    // Intents of Defender for Cloud and of ATT&CK's former PRE matrix.
    ("pre", "TA0043", AttackOrigin::Mapped),
    ("preattack", "TA0043", AttackOrigin::Mapped),
    ("probing", "TA0043", AttackOrigin::Mapped),
    ("exploitation", "TA0001", AttackOrigin::Mapped),
    ("exploit", "TA0001", AttackOrigin::Mapped),
    // Purposes of GuardDuty.
    ("unauthorizedaccess", "TA0001", AttackOrigin::Mapped),
    ("credentialaccess", "TA0006", AttackOrigin::Asserted),
    ("backdoor", "TA0011", AttackOrigin::Mapped),
    ("cryptocurrency", "TA0040", AttackOrigin::Mapped),
    ("trojan", "TA0002", AttackOrigin::Mapped),
    ("ransomware", "TA0040", AttackOrigin::Mapped),
];

static ICS: [TacticName; 12] = [
    ta("TA0100", "Collection", "collection"),
    ta("TA0101", "Command and Control", "command-and-control"),
    ta("TA0102", "Discovery", "discovery"),
    ta("TA0103", "Evasion", "evasion"),
    ta("TA0104", "Execution", "execution"),
    ta("TA0105", "Impact", "impact"),
    ta("TA0106", "Impair Process Control", "impair-process-control"),
    ta(
        "TA0107",
        "Inhibit Response Function",
        "inhibit-response-function",
    ),
    ta("TA0108", "Initial Access", "initial-access"),
    ta("TA0109", "Lateral Movement", "lateral-movement"),
    ta("TA0110", "Persistence", "persistence"),
    ta("TA0111", "Privilege Escalation", "privilege-escalation"),
];

static MOBILE: [TacticName; 14] = [
    ta("TA0027", "Initial Access", "initial-access"),
    ta("TA0028", "Persistence", "persistence"),
    ta("TA0029", "Privilege Escalation", "privilege-escalation"),
    ta("TA0030", "Defense Evasion", "defense-evasion"),
    ta("TA0031", "Credential Access", "credential-access"),
    ta("TA0032", "Discovery", "discovery"),
    ta("TA0033", "Lateral Movement", "lateral-movement"),
    ta("TA0034", "Impact", "impact"),
    ta("TA0035", "Collection", "collection"),
    ta("TA0036", "Exfiltration", "exfiltration"),
    ta("TA0037", "Command and Control", "command-and-control"),
    ta("TA0038", "Network Effects", "network-effects"),
    ta("TA0039", "Remote Service Effects", "remote-service-effects"),
    ta("TA0041", "Execution", "execution"),
];
