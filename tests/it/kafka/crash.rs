//! The crash loop, a short one: `tests/crash` runs longer ones.

use tests::crash::{Plan, crash};

#[test]
fn twenty_crashes_lose_and_double_nothing() {
    let plan = Plan {
        seed: 20,
        num_engines: 3,
        num_kills: 20,
        num_at_each_point: 1,
        num_broker_kills: 2,
        // More than a fast machine works through while the kills last.
        num_alerts: 100_000,
        epoch_records: 20,
        live: false,
    };
    let Some(report) = crash(&plan) else {
        return;
    };
    assert!(report.problems.is_empty(), "{report}");
    assert!(report.num_incidents > 0, "{report}");
}

#[test]
fn crashes_amid_live_producers_lose_and_double_nothing() {
    let plan = Plan {
        seed: 21,
        num_engines: 2,
        num_kills: 8,
        num_at_each_point: 0,
        num_broker_kills: 1,
        num_alerts: 40_000,
        epoch_records: 20,
        live: true,
    };
    let Some(report) = crash(&plan) else {
        return;
    };
    assert!(report.problems.is_empty(), "{report}");
    assert!(report.num_incidents > 0, "{report}");
}
