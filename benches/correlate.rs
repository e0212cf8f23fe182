//! Correlation alone: decoded alerts through one state machine a tenant, each alert its own episode or most of them repeats.

use std::sync::Arc;

use benches::stages::{correlate, decode_all};
use benches::workload::{Profile, Workload};
use correlators::Settings;
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};

const SEED: u64 = 1;
const ALERTS: usize = 20_000;
const REPEATS: u32 = 50;

fn core(criterion: &mut Criterion) {
    let settings: Arc<Settings> = Arc::default();
    let mut group = criterion.benchmark_group("correlate");
    group.throughput(Throughput::Elements(ALERTS as u64));
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    for profile in Profile::ALL {
        for (name, repeats) in [("unfolded", 1), ("repeated", REPEATS)] {
            let workload = Workload::new(profile, SEED).repeated(repeats);
            let records: Vec<Vec<u8>> = workload.take(ALERTS).map(|event| event.fusor()).collect();
            let alerts = match decode_all(&records, None) {
                Ok(alerts) => alerts,
                Err(problem) => panic!("the workload does not decode: {problem}"),
            };
            group.bench_function(format!("{}/{name}", profile.word()), |bencher| {
                bencher.iter_with_large_drop(|| correlate(&alerts, &settings));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, core);
criterion_main!(benches);
