//! End to end on the bus in memory, beside consuming and decoding alone: their ratio is what correlation costs.

use std::sync::Arc;

use benches::stages::{consume_and_decode, end_to_end};
use benches::workload::{Profile, Workload};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};

const SEED: u64 = 1;
const RECORDS: usize = 20_000;

fn pipeline(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pipeline");
    group.throughput(Throughput::Elements(RECORDS as u64));
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    for profile in Profile::ALL {
        let events = Workload::new(profile, SEED).take(RECORDS);
        let records: Arc<[Vec<u8>]> = events.map(|event| event.fusor()).collect();
        group.bench_function(
            format!("{}/consume and decode", profile.word()),
            |bencher| {
                bencher.iter(|| done(consume_and_decode(&records)));
            },
        );
        group.bench_function(format!("{}/end to end", profile.word()), |bencher| {
            bencher.iter(|| done(end_to_end(&records)));
        });
    }
    group.finish();
}

fn done(run: anyhow::Result<u64>) -> u64 {
    match run {
        Ok(count) => count,
        Err(problem) => panic!("the run failed: {problem}"),
    }
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
