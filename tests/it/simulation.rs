//! The real worker on a simulated Kafka: whatever goes wrong, what comes of it is what comes of an undisturbed run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::bus::memory::Mistake;
use tests::simulation::{Outcome, Simulation, World};

/// Worlds that the seeds share.
const WORLDS: u64 = 8;
/// Alerts of the smallest world, and how many more each next one has.
const ALERTS: (usize, usize) = (40, 8);
/// Seeds run where the environment asks for no other number.
const SEEDS: u64 = 1_000;
/// Seeds within which each mistake must be noticed.
const MISTAKE_SEEDS: u64 = 400;

#[test]
fn a_world_has_incidents_worth_keeping() {
    for world in worlds() {
        assert!(world.num_incidents() >= 3, "{}", world.num_incidents());
    }
}

#[test]
fn the_same_seed_twice_gives_the_same_bytes() {
    let worlds = worlds();
    for seed in 0..20 {
        let outcomes = [run(&worlds, seed, None), run(&worlds, seed, None)];
        assert!(outcomes[0].trace.contains(" at "), "nothing went wrong");
        assert_eq!(outcomes[0], outcomes[1], "seed {seed}");
    }
}

#[test]
fn whatever_goes_wrong_nothing_is_lost_doubled_or_torn() {
    let worlds = worlds();
    let seeds = std::env::var("FUSOR_SEEDS").ok();
    let seeds = seeds.map_or(SEEDS, |seeds| seeds.parse().unwrap());
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let outcome = run(&worlds, seed, None);
                    assert!(
                        outcome.violations.is_empty(),
                        "seed {seed}: {:#?}\n{}",
                        outcome.violations,
                        outcome.trace
                    );
                }
            });
        }
    });
}

#[test]
fn offsets_that_nobody_checks_are_noticed() {
    check_noticed(Mistake::OmitGeneration);
}

#[test]
fn a_generation_that_is_kept_is_noticed() {
    check_noticed(Mistake::CacheGeneration);
}

#[test]
fn offsets_outside_of_the_transaction_are_noticed() {
    check_noticed(Mistake::OffsetsOutside);
}

#[test]
fn a_producer_that_is_kept_after_a_slow_commit_is_noticed() {
    check_noticed(Mistake::KeepProducer);
}

#[test]
fn a_state_that_is_not_read_to_its_end_is_noticed() {
    check_noticed(Mistake::StopEarly);
}

fn check_noticed(mistake: Mistake) {
    let worlds = worlds();
    let noticed = (0..MISTAKE_SEEDS).any(|seed| {
        let outcome = run(&worlds, seed, Some(mistake));
        !outcome.violations.is_empty()
    });
    assert!(
        noticed,
        "{mistake:?} goes unnoticed in {MISTAKE_SEEDS} seeds"
    );
}

fn run(worlds: &[Arc<World>], seed: u64, mistake: Option<Mistake>) -> Outcome {
    let world = usize::try_from(seed % WORLDS).unwrap();
    Simulation::run(&worlds[world], seed, mistake)
}

fn worlds() -> Vec<Arc<World>> {
    let alerts = |number: u64| ALERTS.0 + ALERTS.1 * usize::try_from(number).unwrap();
    let shards = |number| if number % 2 == 0 { 1 } else { 2 };
    (0..WORLDS)
        .map(|number| Arc::new(World::new(number, alerts(number), shards(number))))
        .collect()
}
