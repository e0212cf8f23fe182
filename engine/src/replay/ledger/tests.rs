use expect_test::{Expect, expect};

use super::*;
use crate::replay::tests::alert;

/// Plays lines: `a id episode [late]` places, `d id episode` repeats, `x reason` refuses, `o episode` opens,
/// `m thread into` merges, `p thread` promotes; everything of tenant `t`, of file 0.
#[track_caller]
fn check(script: &str, expected: Expect) {
    let mut ledger = Ledger::new(1);
    for line in script.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |index: usize| words[index].parse::<u64>().unwrap();
        match words[0] {
            "a" => {
                let placement = Placement::Placed {
                    episode: number(2),
                    late: words.len() > 3,
                };
                ledger.place(0, &alert(words[1], "t"), placement);
            }
            "d" => ledger.place(
                0,
                &alert(words[1], "t"),
                Placement::Duplicate { episode: number(2) },
            ),
            "u" => ledger.place(
                0,
                &alert(words[1], "t"),
                Placement::Updated {
                    episode: number(2),
                    remembered: schemas::time::Timestamp(0),
                },
            ),
            "x" => ledger.refuse(0, "not_json"),
            "o" => ledger.output(
                "t",
                &Output::EpisodeOpened {
                    episode: number(1),
                    id: id(number(1)),
                },
            ),
            "m" => ledger.output(
                "t",
                &Output::ThreadMerged {
                    thread: number(1),
                    into: number(2),
                },
            ),
            "p" => ledger.output("t", &Output::ThreadPromoted { thread: number(1) }),
            word => panic!("{word}"),
        }
    }
    ledger.settle();
    let mut text = String::new();
    let last =
        |id: Option<Uuid>| id.map_or_else(|| "-".to_owned(), |id| (id.as_u128() - 1).to_string());
    for entry in ledger.entries() {
        let (alert, reason) = (entry.alert.unwrap_or("-"), entry.reason.unwrap_or(""));
        let (episode, thread, incident) = (
            last(entry.episode),
            last(entry.thread),
            last(entry.incident),
        );
        let line = format!(
            "{alert} {} {episode} {thread} {incident} {reason}",
            entry.disposition
        );
        text += line.trim_end();
        text += "\n";
    }
    text += &format!("{:?}\n", ledger.dispositions());
    expected.assert_eq(&text);
}

fn id(number: u64) -> Uuid {
    Uuid::from_u128(u128::from(number) + 1)
}

#[test]
fn an_alert_ends_in_the_thread_its_own_went_into_however_often() {
    check(
        "a w 0\na x 1\na y 2\na z 3\no 0\no 1\no 2\no 3\nm 3 2\nm 2 1\nm 1 0\np 0",
        expect![[r#"
            w correlated 0 0 0
            x correlated 1 0 0
            y correlated 2 0 0
            z correlated 3 0 0
            Dispositions { correlated: 4, single: 0, duplicate: 0, late: 0, dead_letter: 0 }
        "#]],
    );
}

#[test]
fn an_episode_alone_in_its_thread_is_single_whatever_its_repeats() {
    check(
        "a x 0\na y 0\no 0",
        expect![[r#"
        x single 0 0 -
        y single 0 0 -
        Dispositions { correlated: 0, single: 2, duplicate: 0, late: 0, dead_letter: 0 }
    "#]],
    );
}

#[test]
fn a_repeated_id_is_a_duplicate_in_the_thread_of_the_first() {
    check(
        "a x 0\na y 1\nd x 0\nu y 1\no 0\no 1\nm 1 0",
        expect![[r#"
            x correlated 0 0 -
            y correlated 1 0 -
            x duplicate 0 0 -
            y duplicate 1 0 -
            Dispositions { correlated: 2, single: 0, duplicate: 2, late: 0, dead_letter: 0 }
        "#]],
    );
}

#[test]
fn late_is_who_came_late_and_stayed_alone() {
    check(
        "a x 0 late\na y 1 late\na z 2\na v 3 late\na w 3\no 0\no 1\no 2\no 3\nm 2 1",
        expect![[r#"
            x late 0 0 -
            y correlated 1 1 -
            z correlated 2 1 -
            v single 3 3 -
            w single 3 3 -
            Dispositions { correlated: 2, single: 2, duplicate: 0, late: 1, dead_letter: 0 }
        "#]],
    );
}

#[test]
fn a_refused_record_has_a_reason_and_nothing_else() {
    check(
        "x\na x 0\nx\no 0",
        expect![[r#"
        - dead_letter - - - not_json
        x single 0 0 -
        - dead_letter - - - not_json
        Dispositions { correlated: 0, single: 1, duplicate: 0, late: 0, dead_letter: 2 }
    "#]],
    );
}

#[test]
fn without_files_nothing_is_kept_but_the_counts() {
    let mut ledger = Ledger::new(0);
    ledger.place(
        0,
        &alert("x", "t"),
        Placement::Placed {
            episode: 0,
            late: false,
        },
    );
    ledger.refuse(0, "not_json");
    ledger.settle();
    assert_eq!(ledger.entries().count(), 0);
    assert_eq!(
        ledger.dispositions(),
        Dispositions {
            single: 1,
            dead_letter: 1,
            ..Dispositions::default()
        }
    );
}

#[test]
fn tenants_number_their_episodes_apart() {
    let mut ledger = Ledger::new(1);
    for tenant in ["t", "u"] {
        ledger.place(
            0,
            &alert("x", tenant),
            Placement::Placed {
                episode: 0,
                late: false,
            },
        );
        ledger.output(
            tenant,
            &Output::EpisodeOpened {
                episode: 0,
                id: Uuid::from_u128(tenant.len() as u128),
            },
        );
    }
    ledger.settle();
    let tenants: Vec<_> = ledger.entries().map(|entry| entry.tenant).collect();
    assert_eq!(tenants, [Some("t"), Some("u")]);
    assert_eq!(ledger.dispositions().single, 2);
}
