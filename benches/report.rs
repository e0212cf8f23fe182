//! One table of every stage: medians of a few runs, on one thread, with what else the machine was doing.

use std::io::{self, Write};
use std::sync::Arc;

use benches::measure::{Measured, forget_peak, load, median, resident_mib};
use benches::stages::{consume_and_decode, correlate, decode_all, end_to_end};
use benches::workload::{Profile, Workload};
use correlators::Settings;
use schemas::decode::Format;

const SEED: u64 = 1;
const ALERTS: usize = 50_000;
const REPEATS: u32 = 50;

fn main() -> anyhow::Result<()> {
    let out = &mut io::stdout().lock();
    writeln!(
        out,
        "seed {SEED}, {ALERTS} alerts a run, one thread, load {}; alerts a second of processor time (of the clock)",
        load()
    )?;
    for profile in Profile::ALL {
        stages(profile, out)?;
    }
    writeln!(out, "load {}", load())?;
    Ok(())
}

fn stages(profile: Profile, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "\n{}", profile.word())?;
    for format in [Format::Suricata, Format::Fusor] {
        let records = records(profile, format, 1);
        let bytes: usize = records.iter().map(Vec::len).sum();
        let decode = median(|| decode_all(&records, None))?;
        let each = bytes / ALERTS;
        let tail = format!("{each} bytes each");
        row(out, &format!("decode {}", format.word()), decode, &tail)?;
    }
    let settings: Arc<Settings> = Arc::default();
    for (name, repeats) in [("core, unfolded", 1), ("core, repeated", REPEATS)] {
        let alerts = decode_all(&records(profile, Format::Fusor, repeats), None)?;
        let done = correlate(&alerts, &settings);
        let core = median(|| Ok(correlate(&alerts, &settings)))?;
        let tail = format!(
            "{} episodes, {} revisions, {} entities at the end",
            done.episodes, done.revisions, done.entities
        );
        row(out, name, core, &tail)?;
    }
    let records: Arc<[Vec<u8>]> = records(profile, Format::Fusor, 1).into();
    let light = median(|| consume_and_decode(&records))?;
    row(out, "consume and decode", light, "")?;
    forget_peak();
    let before = resident_mib();
    let whole = median(|| end_to_end(&records))?;
    let after = resident_mib();
    let ratio = whole.per_second(ALERTS) * 1_000 / light.per_second(ALERTS).max(1);
    let memory = match (before, after) {
        (Some((_, before)), Some((peak, _))) => {
            format!(", peak of {peak} MiB resident, {before} before")
        }
        (None, _) | (_, None) => String::new(),
    };
    let tail = format!(
        "{}.{:03} of consume and decode{memory}",
        ratio / 1_000,
        ratio % 1_000
    );
    row(out, "end to end", whole, &tail)
}

fn row(out: &mut dyn Write, name: &str, measured: Measured, tail: &str) -> anyhow::Result<()> {
    let (cpu, wall) = (
        measured.per_second(ALERTS),
        measured.per_second_of_wall(ALERTS),
    );
    writeln!(out, "  {name:<20} {cpu:>9} ({wall:>9})  {tail}")?;
    Ok(())
}

fn records(profile: Profile, format: Format, repeats: u32) -> Vec<Vec<u8>> {
    let workload = Workload::new(profile, SEED).repeated(repeats);
    let events = workload.take(ALERTS);
    events.filter_map(|event| event.record(format)).collect()
}
