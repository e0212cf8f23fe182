//! Tactics and techniques, wherever a version of OCSF puts them.

use std::borrow::Cow;

use crate::attack::{Attack, AttackOrigin, attacks_of};
use crate::decode::json::{Node, Object};

/// Attacks read from one record.
const ATTACKS_MAX: usize = 65;

/// Lockheed Martin's kill chain by `phase_id` 1 to 7, as tactics.
const KILL_CHAIN: [&str; 7] = [
    "TA0043", "TA0042", "TA0001", "TA0002", "TA0003", "TA0011", "TA0040",
];

/// Returns the attacks of a record: what it asserts, else what its kill chain or its types map to.
pub(super) fn attacks(record: Object<'_>, info: Option<Object<'_>>) -> Vec<Attack> {
    let mut attacks = Vec::new();
    let of_info = info.into_iter().flat_map(|info| info.items("attacks"));
    let given = of_info
        .chain(record.items("attacks"))
        .filter_map(Node::object);
    for attack in given.take(ATTACKS_MAX).flat_map(asserted) {
        // A profile repeats the attacks of the finding.
        if !attacks.contains(&attack) {
            attacks.push(attack);
        }
    }
    match info.filter(|_| attacks.is_empty()) {
        Some(info) => mapped(info),
        None => attacks,
    }
}

/// One `attack` object. `tactics` is what `tactic` was before 1.2.
fn asserted(attack: Object<'_>) -> Vec<Attack> {
    let name = |object: Object<'_>| -> Option<String> {
        let text = object.text("uid").or_else(|| object.text("name"))?;
        Some(text.into_owned())
    };
    let given = attack.object("tactic").into_iter();
    let former = attack.items("tactics").filter_map(Node::object);
    let tactics = given.chain(former).take(ATTACKS_MAX).filter_map(name);
    let tactics: Vec<String> = tactics.collect();
    let techniques = ["sub_technique", "technique"].iter();
    let mut techniques = techniques.filter_map(|name| attack.object(name)?.text("uid"));
    let technique: Vec<Cow<'_, str>> = techniques.next().into_iter().collect();
    let mut found = attacks_of(&tactics, &technique);
    let version = attack.text("version");
    for attack in &mut found {
        attack.attack_version = version.as_deref().map(str::to_owned);
    }
    found
}

fn mapped(info: Object<'_>) -> Vec<Attack> {
    let phase = |node: Node<'_>| {
        let id = node.object()?.get("phase_id")?.integer()?;
        let place = usize::try_from(id).ok()?.checked_sub(1)?;
        KILL_CHAIN.get(place).map(|tactic| (*tactic).to_owned())
    };
    let phases = info.items("kill_chain").filter_map(phase);
    let mut tactics: Vec<String> = phases.take(ATTACKS_MAX).collect();
    if tactics.is_empty() {
        let types = info.texts("types").filter_map(|text| type_tactic(&text));
        tactics = types.take(ATTACKS_MAX).collect();
    }
    let none: [&str; 0] = [];
    let mut attacks = attacks_of(&tactics, &none);
    for attack in &mut attacks {
        attack.origin = AttackOrigin::Mapped;
    }
    attacks
}

/// Returns the tactic in a type of the AWS finding taxonomy, `TTPs/<tactic>/<classifier>`.
fn type_tactic(text: &str) -> Option<String> {
    let mut parts = text.split('/');
    let is_ttp = parts.next()?.eq_ignore_ascii_case("TTPs");
    let tactic = parts.next().filter(|_| is_ttp)?;
    Some(tactic.to_owned())
}
