use std::collections::BTreeSet;

use proptest::prelude::*;
use schemas::incident::{LinkKind, Term};

use super::*;

fn incident() -> Incident {
    serde_json::from_str(include_str!("../../explain/incident.json")).unwrap()
}

fn term(kind: TermKind, entity: &str, bits: i32) -> Term {
    Term {
        kind,
        entity: Some(entity.to_owned()).filter(|entity| !entity.is_empty()),
        bits,
    }
}

/// An incident of as many alerts, held by these links with a bar of 6 bits.
fn held_by(alerts: usize, links: Vec<(i32, i32, Vec<Term>)>) -> Incident {
    let mut incident = incident();
    incident.alerts = vec![incident.alerts[0].clone(); alerts];
    incident.links = links
        .into_iter()
        .map(|(from, to, terms)| Link {
            from,
            to,
            kind: LinkKind::Pair,
            reasons: Vec::new(),
            gap_ms: 0,
            weight: terms.iter().map(|term| term.bits).sum(),
            terms,
            bar: 6_000,
            joined: true,
        })
        .collect();
    incident
}

#[test]
fn the_stitch_holds_the_two_days_together() {
    let found = structure(&incident());
    assert_eq!(found.forest, [0, 1, 2, 3, 5, 6]);
    assert_eq!(found.weakest, Some(6));
    assert_eq!(found.bridges, [2, 3, 5, 6]);
    assert_eq!(found.pivots, [1, 3, 4, 5]);
    assert_eq!(found.parts, [[0, 1, 2, 3, 4, 5, 6]]);
    assert!(!found.partial);
}

#[test]
fn without_the_host_the_rest_falls_apart() {
    let lost = weakest_entity(&incident()).unwrap();
    assert_eq!(lost.entity, "host:ws188");
    assert_eq!(lost.links, [0, 1, 4]);
    assert_eq!(lost.parts, [vec![3, 4, 5, 6], vec![0, 1], vec![2]]);
    assert_eq!(lost, without(&incident(), "host:ws188"));
    assert!(without(&incident(), "sha256:5f1c").links.is_empty());
}

#[test]
fn a_link_survives_the_loss_of_one_of_two_entities_within_a_bit_of_its_bar() {
    let both = |rest| {
        held_by(
            2,
            vec![(
                0,
                1,
                vec![
                    term(TermKind::Surprise, "a", 3_000),
                    term(TermKind::Surprise, "b", rest),
                ],
            )],
        )
    };
    assert!(without(&both(5_000), "a").links.is_empty());
    assert_eq!(without(&both(4_999), "a").links, [0]);
}

#[test]
fn terms_that_share_nothing_hold_nothing() {
    let incident = held_by(
        2,
        vec![(
            0,
            1,
            vec![
                term(TermKind::Surprise, "a", 3_000),
                term(TermKind::Order, "", 9_000),
            ],
        )],
    );
    assert_eq!(without(&incident, "a").parts, [[0], [1]]);
}

#[test]
fn ends_that_are_no_alert_are_left_out() {
    let bits = || vec![term(TermKind::Surprise, "a", 9_000)];
    let odd = held_by(
        2,
        vec![
            (-1, 1, bits()),
            (0, 99, bits()),
            (i32::MIN, i32::MAX, bits()),
            (1, 1, bits()),
        ],
    );
    assert_eq!(structure(&odd).parts, [[0], [1]]);
    assert_eq!(weakest_entity(&odd), None);
}

proptest! {
    /// Every entity tried one by one and compared as a sorted list.
    #[test]
    fn the_weakest_entity_splits_most(
        links in proptest::collection::vec((0..6_i32, 0..6_i32, 0..4_u8, 0..4_u8, 0..9_000_i32), 0..10)
    ) {
        let links = links.into_iter().map(|(from, to, a, b, bits)| {
            let terms = vec![
                term(TermKind::Surprise, &a.to_string(), bits),
                term(TermKind::Surprise, &b.to_string(), 9_000 - bits),
                term(TermKind::Order, "", 500),
            ];
            (from, to, terms)
        });
        let incident = held_by(6, links.collect());
        let whole = structure(&incident).parts.len();
        let mut all: Vec<Loss> = (0..4).map(|entity| without(&incident, &entity.to_string())).collect();
        all.retain(|loss| loss.parts.len() > whole);
        all.sort_by_key(|loss| (Reverse(loss.parts.len()), loss.parts[0].len(), Reverse(loss.links.len()), loss.entity.clone()));
        prop_assert_eq!(weakest_entity(&incident), all.first().cloned());
        for loss in all {
            let nodes: BTreeSet<usize> = loss.parts.iter().flatten().copied().collect();
            prop_assert_eq!(nodes.len(), 6);
        }
    }
}
