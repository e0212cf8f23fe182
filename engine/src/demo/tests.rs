use std::num::NonZeroU32;

use correlators::Settings;
use schemas::decode::Limits;

use super::scenario::{ALPINE, HARBOR, MAILBOX, SEED, scenario};
use super::*;

fn play(seed: u64, batch: u32) -> Played {
    let engine = Offline {
        batch: NonZeroU32::new(batch).unwrap(),
        settings: Arc::new(Settings::default()),
        limits: Limits::default(),
        threads: 2,
    };
    let mut player = Player::new(&scenario(seed), engine, Arc::default(), Arc::default()).unwrap();
    while player.step().unwrap().is_some() {}
    player.finish()
}

#[test]
fn the_ransomware_is_one_pure_incident_over_four_hosts_and_the_riskiest_of_all() {
    let played = play(SEED, 200);
    assert_eq!(
        played.replayed.dispositions.dead_letter, 0,
        "{:?}",
        played.replayed.refused
    );
    let worst = &played.replayed.incidents[0];
    assert_eq!(
        played.ransomware().map(|incident| &incident.id),
        Some(&worst.id)
    );
    let (held, noise) = (
        played.held(&worst.id, Some(RANSOMWARE)),
        played.held(&worst.id, None),
    );
    assert_eq!(held, played.sent[&Some(RANSOMWARE)]);
    assert!(
        held as f64 / (held + noise) as f64 >= 0.95,
        "{noise} alerts of noise beside {held}"
    );
    for host in ["ws-014", "ws-031", "file-02", "backup-01"] {
        assert!(
            worst
                .entities
                .iter()
                .any(|entity| entity.display.contains(host)),
            "{host}: {:?}",
            worst.entities
        );
    }
}

#[test]
fn the_other_site_has_its_own_incident_and_none_holds_both() {
    let played = play(SEED, 200);
    let other = played
        .replayed
        .incidents
        .iter()
        .find(|incident| played.held(&incident.id, Some(MAILBOX)) > 0);
    assert_eq!(other.map(|incident| incident.tenant.as_str()), Some(ALPINE));
    for (incident, holds) in &played.holds {
        let attacks = holds.keys().flatten().count();
        assert!(attacks < 2, "{incident}: {holds:?}");
    }
    let tenants = played
        .replayed
        .incidents
        .iter()
        .map(|incident| incident.tenant.as_str());
    assert_eq!(tenants.collect::<Vec<_>>(), [HARBOR, ALPINE]);
}

#[test]
fn with_other_seeds_too_all_of_the_attack_is_one_incident() {
    for seed in [1, 6] {
        let played = play(seed, 1_000);
        let held = played
            .ransomware()
            .map(|incident| played.held(&incident.id, Some(RANSOMWARE)));
        assert_eq!(
            held,
            played.sent.get(&Some(RANSOMWARE)).copied(),
            "seed {seed}"
        );
    }
}

#[test]
fn however_it_is_cut_the_play_ends_the_same() {
    let bytes = |played: &Played| {
        let mut bytes = Vec::new();
        crate::replay::write_incidents(&played.replayed.incidents, &mut bytes).unwrap();
        played.replayed.write_membership(&mut bytes).unwrap();
        bytes
    };
    let whole = bytes(&play(SEED, 5_000));
    assert!(whole == bytes(&play(SEED, 7)), "batches of 7 differ");
}
