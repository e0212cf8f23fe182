//! One table of every stage: medians of a few runs, on one thread, with what else the machine was doing.

use std::env;
use std::io::{self, Write};
use std::process::Command;
use std::sync::Arc;

use anyhow::Context;
use benches::measure::{Measured, load, median, resident_mib};
use benches::stages::{consume_and_decode, correlate, decode_all, end_to_end};
use benches::workload::{Profile, Workload};
use correlators::Settings;
use schemas::decode::Format;

const SEED: u64 = 1;
const ALERTS: usize = 50_000;
const REPEATS: u32 = 50;

fn main() -> anyhow::Result<()> {
    let out = &mut io::stdout().lock();
    let asked = env::args().find_map(|argument| argument.strip_prefix(MEMORY).map(str::to_owned));
    if let Some(asked) = asked {
        let mut profiles = Profile::ALL.into_iter();
        let profile = profiles.find(|profile| profile.word() == asked);
        return tell_memory(profile.context("no such profile")?, out);
    }
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
            done.episodes,
            done.revisions,
            done.entities()
        );
        row(out, name, core, &tail)?;
    }
    let records: Arc<[Vec<u8>]> = records(profile, Format::Fusor, 1).into();
    let light = median(|| consume_and_decode(&records))?;
    row(out, "consume and decode", light, "")?;
    let whole = median(|| end_to_end(&records))?;
    let ratio = whole.per_second(ALERTS) * 1_000 / light.per_second(ALERTS).max(1);
    let tail = format!(
        "{}.{:03} of consume and decode",
        ratio / 1_000,
        ratio % 1_000
    );
    row(out, "end to end", whole, &tail)?;
    writeln!(out, "  {}", memory_of(profile)?)?;
    Ok(())
}

/// Argument that makes this program a run of one profile that tells its memory: a peak is that of a whole process.
const MEMORY: &str = "--memory-of=";

fn memory_of(profile: Profile) -> anyhow::Result<String> {
    let argument = format!("{MEMORY}{}", profile.word());
    let child = Command::new(env::current_exe()?).arg(argument).output()?;
    Ok(String::from_utf8_lossy(&child.stdout).trim_end().to_owned())
}

fn tell_memory(profile: Profile, out: &mut dyn Write) -> anyhow::Result<()> {
    let records: Arc<[Vec<u8>]> = records(profile, Format::Fusor, 1).into();
    let before = resident_mib();
    end_to_end(&records)?;
    match (before, resident_mib()) {
        (Some((_, before)), Some((peak, _))) => {
            writeln!(out, "memory: peak of {peak} MiB, {before} of them before")?;
        }
        (None, _) | (_, None) => writeln!(out, "memory: not told by this system")?,
    }
    Ok(())
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
