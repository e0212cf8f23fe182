//! Decoding, by format, beside what serde_json takes to read the same bytes into a tree and to skip them.

use benches::stages::decode_one;
use benches::workload::{Profile, Workload};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use schemas::decode::Format;
use serde::de::IgnoredAny;

const SEED: u64 = 1;
const RECORDS: usize = 2_000;

fn decode(criterion: &mut Criterion) {
    for format in [Format::Fusor, Format::Suricata] {
        let events = Workload::new(Profile::Soc, SEED).take(RECORDS);
        let records: Vec<Vec<u8>> = events.filter_map(|event| event.record(format)).collect();
        let bytes: usize = records.iter().map(Vec::len).sum();
        let mut group = criterion.benchmark_group(format!("decode/{}", format.word()));
        group.throughput(Throughput::ElementsAndBytes {
            elements: records.len() as u64,
            bytes: bytes as u64,
        });
        group.bench_function("alert", |bencher| {
            bencher.iter(|| all(&records, |record| decode_one(record, 0, None).is_ok()));
        });
        group.bench_function("tree", |bencher| {
            let read = |record: &[u8]| serde_json::from_slice::<serde_json::Value>(record).is_ok();
            bencher.iter(|| all(&records, read));
        });
        group.bench_function("skip", |bencher| {
            let read = |record: &[u8]| serde_json::from_slice::<IgnoredAny>(record).is_ok();
            bencher.iter(|| all(&records, read));
        });
        group.finish();
    }
}

fn all(records: &[Vec<u8>], read: impl Fn(&[u8]) -> bool) {
    assert!(records.iter().all(|record| read(record)));
}

criterion_group!(benches, decode);
criterion_main!(benches);
