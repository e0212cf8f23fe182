//! The real worker on a simulated Kafka: whatever goes wrong, what comes of it is what comes of an undisturbed run, or what
//! the records make in the order in which they were taken.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use engine::bus::memory::Mistake;
use tests::simulation::{Blow, Class, Mutant, Outcome, Simulation, World};

/// Worlds that the seeds share.
const WORLDS: u64 = 12;
/// Seeds run where the environment asks for no other number.
const SEEDS: u64 = 1_000;
/// Seeds within which each mistake must be noticed.
const MUTANT_SEEDS: u64 = 600;

static ALL: LazyLock<Vec<Arc<World>>> = LazyLock::new(|| (0..WORLDS).map(World::new).collect());

#[test]
fn a_world_has_incidents_worth_keeping() {
    for world in ALL.iter() {
        assert!(world.num_incidents() >= 3, "{}", world.num_incidents());
    }
}

#[test]
fn the_same_seed_twice_gives_the_same_bytes() {
    for seed in 0..40 {
        let outcomes = [run(seed, None), run(seed, None)];
        assert!(outcomes[0].trace.contains(" at "), "nothing went wrong");
        assert_eq!(outcomes[0], outcomes[1], "seed {seed}");
    }
}

#[test]
fn whatever_goes_wrong_nothing_is_lost_doubled_or_torn() {
    let number = |name: &str| Some(std::env::var(name).ok()?.parse::<u64>().unwrap());
    if let Some(seed) = number("FUSOR_SEED") {
        let outcome = run(seed, None);
        std::io::stdout()
            .write_all(outcome.trace.as_bytes())
            .unwrap();
        assert_eq!(outcome.violations, []);
        return;
    }
    let seeds = number("FUSOR_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let violations = run(seed, None).violations;
                    assert!(violations.is_empty(), "{violations:#?}\n{}", how(seed));
                }
            });
        }
    });
}

fn how(seed: u64) -> String {
    format!(
        "this seed alone, with its trace: FUSOR_SEED={seed} cargo test -p tests --test it -- --nocapture \
         simulation::whatever_goes_wrong_nothing_is_lost_doubled_or_torn"
    )
}

#[test]
fn a_restart_at_any_request_changes_nothing() {
    check_blows(Blow::Crash, 1);
}

#[test]
fn a_rebalance_at_any_request_changes_nothing() {
    check_blows(Blow::Rebalance, 4);
}

#[test]
fn an_abort_at_any_request_changes_nothing() {
    check_blows(Blow::Refuse, 4);
}

#[test]
fn an_answer_that_is_lost_changes_nothing() {
    check_blows(Blow::LoseAnswer, 4);
}

#[test]
fn a_member_that_stands_still_at_any_request_changes_nothing() {
    check_blows(Blow::Stand, 4);
}

/// Lets a world with one shard and one with two be struck at every request, or at every so many.
fn check_blows(blow: Blow, every: usize) {
    for world in &ALL[..2] {
        let mut struck = 0;
        for request in (0..).step_by(every) {
            let Some(outcome) = Simulation::with_blow(world, blow, request) else {
                break;
            };
            let violations = outcome.violations;
            assert!(violations.is_empty(), "request {request}: {violations:#?}");
            struck += 1;
        }
        assert!(struck > 50, "{blow:?} strikes {struck} times");
    }
}

#[test]
fn everything_that_can_go_wrong_does() {
    let mut left = BTreeSet::from([
        "aborted epochs",
        "bindings",
        "commands",
        "dead letters",
        "duplicates",
        "late alerts",
        "quarantine",
        "snapshots",
        "time that passed",
        "tombstones",
    ]);
    let mut happened = BTreeSet::new();
    for seed in 0..100 {
        let outcome = run(seed, None);
        left.retain(|fact| !outcome.witnessed.contains(fact));
        let lines = outcome.trace.lines();
        happened.extend(lines.filter_map(|line| Some(line.split_once("happens: ")?.1.to_owned())));
        happened.extend(
            outcome
                .trace
                .contains("rested")
                .then(|| "rested".to_owned()),
        );
    }
    assert_eq!(left, BTreeSet::new());
    assert_eq!(happened.len(), 11, "{happened:?}");
}

#[test]
fn offsets_that_nobody_checks_are_noticed() {
    check_noticed(Mutant::Client(Mistake::OmitGeneration), Class::Doubled);
}

#[test]
fn a_generation_that_is_kept_is_noticed() {
    check_noticed(Mutant::Client(Mistake::CacheGeneration), Class::Stuck);
}

#[test]
fn offsets_outside_of_the_transaction_are_noticed() {
    check_noticed(Mutant::Client(Mistake::OffsetsOutside), Class::Doubled);
}

#[test]
fn a_producer_that_is_kept_after_a_slow_commit_is_noticed() {
    check_noticed(Mutant::Client(Mistake::KeepProducer), Class::Refused);
}

#[test]
fn a_state_read_to_its_last_stable_offset_is_noticed() {
    check_noticed(Mutant::Client(Mistake::StopAtStable), Class::Doubled);
}

#[test]
fn an_epoch_that_is_not_undone_is_noticed() {
    check_noticed(Mutant::SkipUndo, Class::Refused);
}

#[test]
fn late_alerts_that_are_dropped_are_noticed() {
    check_noticed(Mutant::DropLate, Class::Lost);
}

#[test]
fn a_snapshot_older_than_the_tombstones_is_noticed() {
    check_noticed(Mutant::OldSnapshot, Class::Refused);
}

/// Runs a mutant until it breaks the promise that its mistake is about.
fn check_noticed(mutant: Mutant, class: Class) {
    let mut seen = BTreeSet::new();
    for seed in 0..MUTANT_SEEDS {
        let outcome = run(seed, Some(mutant));
        seen.extend(outcome.violations.iter().map(|violation| violation.class));
        if seen.contains(&class) {
            return;
        }
    }
    panic!("{mutant:?}: no {class:?} in {MUTANT_SEEDS} seeds, only {seen:?}");
}

fn run(seed: u64, mutant: Option<Mutant>) -> Outcome {
    let world = usize::try_from(seed % WORLDS).unwrap();
    Simulation::run(&ALL[world], seed, mutant)
}
