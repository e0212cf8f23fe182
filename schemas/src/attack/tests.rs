use proptest::prelude::*;

use super::*;

#[track_caller]
fn check_tactic(text: &str, uid: Option<&str>) {
    assert_eq!(tactic(text).map(|tactic| tactic.uid), uid, "{text}");
}

/// Shows attacks as `tactic/technique origin`, a line each.
#[track_caller]
fn check(tactics: &[&str], techniques: &[&str], expected: &[&str]) {
    let found: Vec<String> = attacks_of(tactics, techniques)
        .iter()
        .map(|attack| {
            let tactic = attack.tactic_uid.as_deref().unwrap_or("-");
            let id = attack
                .sub_technique_uid
                .as_ref()
                .or(attack.technique_uid.as_ref());
            let id = id.map_or("-", String::as_str);
            format!("{tactic}/{id} {}", attack.origin)
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn tables_are_sorted_and_whole() {
    assert!(
        table::TACTICS
            .windows(2)
            .all(|pair| pair[0].uid < pair[1].uid)
    );
    assert!(
        table::TECHNIQUES
            .windows(2)
            .all(|pair| pair[0].uid < pair[1].uid)
    );
    assert!(table::REVOKED.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert_eq!((table::TACTICS.len(), table::TECHNIQUES.len()), (15, 697));
    for technique in &table::TECHNIQUES {
        assert!(!technique.tactics.is_empty());
        for uid in technique.tactics {
            assert_eq!(tactic(uid).map(|tactic| tactic.uid), Some(*uid));
        }
    }
    for (old, _) in &table::REVOKED {
        assert!(technique(old).is_some(), "{old} leads nowhere");
    }
}

#[test]
fn every_tactic_is_found_under_all_its_spellings() {
    for name in &table::TACTICS {
        let words = name.slug.replace('-', "_");
        for spelling in [
            name.uid.to_owned(),
            name.uid.to_lowercase(),
            name.name.to_owned(),
            name.name.replace(' ', ""),
            name.name.replace(' ', "_"),
            name.slug.to_owned(),
            words.to_uppercase(),
            format!("attack.{words}"),
            format!("attack.{}", name.slug),
            format!("mitre_{words}"),
            format!("MITRE ATT&CK: {}", name.name),
            format!("  {}  ", name.slug),
        ] {
            check_tactic(&spelling, Some(name.uid));
        }
    }
}

#[test]
fn former_names_and_vendor_words_are_known() {
    check_tactic("Defense Evasion", Some("TA0005"));
    check_tactic("DefenseEvasion", Some("TA0005"));
    check_tactic("defence-evasion", Some("TA0005"));
    check_tactic("Stealth", Some("TA0005"));
    check_tactic("DefenseImpairment", Some("TA0112"));
    check_tactic("PreAttack", Some("TA0043"));
    check_tactic("Pre-Attack", Some("TA0043"));
    check_tactic("Probing", Some("TA0043"));
    check_tactic("Exploitation", Some("TA0001"));
    check_tactic("C2", Some("TA0011"));
    check_tactic("ImpairProcessControl", Some("TA0106"));
    check_tactic("TA0108", Some("TA0108"));
    check_tactic("ta0027", Some("TA0027"));
    for unknown in [
        "", "Unknown", "Malware", "TA9999", "TA00011", "initial", "attack", "mitre", "\u{0}",
    ] {
        check_tactic(unknown, None);
        assert!(!is_known(unknown));
    }
}

#[test]
fn phases_follow_the_kill_chain() {
    let phase = |text: &str| tactic(text).unwrap().phase;
    for (rank, slugs) in [
        (
            0,
            vec![
                "reconnaissance",
                "resource-development",
                "PreAttack",
                "Probing",
            ],
        ),
        (1, vec!["initial-access", "Exploitation"]),
        (
            2,
            vec![
                "execution",
                "persistence",
                "privilege-escalation",
                "stealth",
                "defense-impairment",
            ],
        ),
        (
            3,
            vec!["credential-access", "discovery", "lateral-movement"],
        ),
        (4, vec!["collection"]),
        (5, vec!["exfiltration", "impact"]),
    ] {
        for slug in slugs {
            assert_eq!(phase(slug), Phase::Ranked(rank), "{slug}");
        }
    }
    assert_eq!(phase("command-and-control"), Phase::Floating);
    assert_eq!(phase("TA0108"), Phase::Unranked);
    assert_eq!(phase("TA0037"), Phase::Unranked);
}

#[test]
fn techniques_are_found_in_any_spelling() {
    for text in [
        "T1003.001",
        "t1003.001",
        "T1003/001",
        "attack.t1003.001",
        "T1003.001 - LSASS Memory",
        " T1003.001 ",
    ] {
        assert_eq!(
            technique(text).map(|technique| technique.uid),
            Some("T1003.001"),
            "{text}"
        );
    }
    assert_eq!(
        technique("T1003.999").map(|technique| technique.uid),
        Some("T1003")
    );
    assert_eq!(
        technique("T1562").map(|technique| technique.uid),
        Some("T1685")
    );
    for text in [
        "", "T", "T1", "T99999", "T9999", "X1003", "TT1003", "T10é3", "LSASS",
    ] {
        assert_eq!(technique(text), None, "{text}");
    }
}

#[test]
fn technique_goes_with_the_tactics_it_belongs_to() {
    check(
        &["Credential Access"],
        &["T1003.001"],
        &["TA0006/T1003.001 asserted"],
    );
    check(
        &["InitialAccess", "Persistence"],
        &["T1078"],
        &["TA0001/T1078 asserted", "TA0003/T1078 asserted"],
    );
    check(
        &["Discovery", "Execution"],
        &["T1059"],
        &["TA0002/T1059 asserted", "TA0007/- asserted"],
    );
}

#[test]
fn technique_alone_stands_for_each_of_its_tactics() {
    check(
        &[],
        &["T1078"],
        &[
            "TA0001/T1078 expanded",
            "TA0003/T1078 expanded",
            "TA0004/T1078 expanded",
            "TA0005/T1078 expanded",
        ],
    );
    // A word that names no tactic tells nothing of the technique's.
    check(
        &["Mischief"],
        &["T1003"],
        &["Mischief/- asserted", "TA0006/T1003 expanded"],
    );
}

#[test]
fn technique_adds_no_tactic_to_those_the_source_named() {
    check(
        &["Impact"],
        &["T1003"],
        &["-/T1003 asserted", "TA0040/- asserted"],
    );
    check(
        &["Probing"],
        &["T1003.001", "T1595"],
        &["-/T1003.001 asserted", "TA0043/T1595 mapped"],
    );
}

#[test]
fn revoked_technique_is_replaced() {
    check(
        &["Defense Impairment"],
        &["T1562"],
        &["TA0112/T1685 asserted"],
    );
    // Its replacement left the tactic that the source still names.
    check(
        &["Defense Evasion"],
        &["T1562"],
        &["-/T1685 asserted", "TA0005/- asserted"],
    );
}

#[test]
fn mapped_words_are_marked() {
    check(&["PreAttack"], &[], &["TA0043/- mapped"]);
    check(&["Probing", "Reconnaissance"], &[], &["TA0043/- asserted"]);
}

#[test]
fn unknown_words_are_kept_as_given() {
    check(
        &["Mischief"],
        &["T9999.001"],
        &["Mischief/T9999.001 asserted"],
    );
    check(
        &["Mischief", "Impact"],
        &["T9999"],
        &[
            "-/T9999 asserted",
            "Mischief/- asserted",
            "TA0040/- asserted",
        ],
    );
    check(&["Unknown", "", "none"], &["", "nonsense"], &[]);
}

proptest! {
    #[test]
    fn any_words_make_sorted_attacks_without_duplicates(
        tactics in prop::collection::vec("(TA00[0-4][0-9]|Impact|PreAttack|\\PC{0,8})", 0..6),
        techniques in prop::collection::vec("(T1[0-9]{3}(\\.00[0-9])?|\\PC{0,8})", 0..6),
    ) {
        let attacks = attacks_of(&tactics, &techniques);
        prop_assert!(attacks.windows(2).all(|pair| pair[0] < pair[1]));
        let tactics: Vec<String> = tactics.into_iter().rev().collect();
        let techniques: Vec<String> = techniques.into_iter().rev().collect();
        prop_assert_eq!(&attacks_of(&tactics, &techniques), &attacks);
        for attack in &attacks {
            prop_assert!(attack.tactic_uid.is_some() || attack.technique_uid.is_some());
        }
    }

    #[test]
    fn any_text_is_a_tactic_or_not(text in any::<String>()) {
        if let Some(found) = tactic(&text) {
            prop_assert_eq!(tactic(found.uid), Some(found));
        }
        if let Some(found) = technique(&text) {
            prop_assert_eq!(technique(found.uid), Some(found));
        }
    }
}
