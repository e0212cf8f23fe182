//! `tests/crash`: runs the crash loop and reports.
#![expect(clippy::print_stdout, reason = "a report to whoever started it")]

use std::{env, process::ExitCode, str::FromStr};

use tests::crash::{Plan, crash};

fn main() -> ExitCode {
    let mut plan = Plan {
        seed: 1,
        num_engines: 3,
        num_kills: 200,
        num_at_each_point: 10,
        num_broker_kills: 20,
        num_alerts: 400_000,
        epoch_records: 20,
        live: false,
    };
    for argument in env::args().skip(1) {
        if !set(&mut plan, &argument) {
            println!(
                "{argument}: seed=N engines=N kills=N each-point=N broker-kills=N alerts=N epoch-records=N live=BOOL"
            );
            return ExitCode::from(2);
        }
    }
    println!("{plan:?}");
    let Some(report) = crash(&plan) else {
        return ExitCode::from(3);
    };
    println!("{report}");
    if report.problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Takes `name=value` into the plan; returns whether it is one.
fn set(plan: &mut Plan, argument: &str) -> bool {
    let Some((name, value)) = argument.split_once('=') else {
        return false;
    };
    fn read<T: FromStr>(field: &mut T, value: &str) -> bool {
        value.parse().map(|value| *field = value).is_ok()
    }
    match name {
        "seed" => read(&mut plan.seed, value),
        "engines" => read(&mut plan.num_engines, value),
        "kills" => read(&mut plan.num_kills, value),
        "each-point" => read(&mut plan.num_at_each_point, value),
        "broker-kills" => read(&mut plan.num_broker_kills, value),
        "alerts" => read(&mut plan.num_alerts, value),
        "epoch-records" => read(&mut plan.epoch_records, value),
        "live" => read(&mut plan.live, value),
        _ => false,
    }
}
