//! `fusor quarantine`: records that ended the process.

use comfy_table::{Table, presets};

use super::args::{OutputFormat, QuarantineVerb, ReleaseArgs, StateArgs};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::state::shards;
use crate::config::Needs;
use crate::quarantine::{QuarantineError, Quarantined, list, release};

pub(super) fn quarantine(verb: &QuarantineVerb, output: &mut Output) -> Result<Exit, Failure> {
    match verb {
        QuarantineVerb::List(args) => list_all(args, output),
        QuarantineVerb::Release(args) => release_one(args, output),
    }
}

fn list_all(args: &StateArgs, output: &mut Output) -> Result<Exit, Failure> {
    let config = super::load(&args.config, Needs::Broker, output)?.config;
    let mut all = Vec::new();
    for shard in shards(&config, args.shard)? {
        all.extend(list(&config, shard).map_err(failure)?);
    }
    match output.format(args.output, OutputFormat::Ndjson) {
        OutputFormat::Table => output.line(table(&all))?,
        format @ (OutputFormat::Json | OutputFormat::Ndjson) => output.list(&all, format)?,
    }
    Ok(Exit::Ok)
}

fn release_one(args: &ReleaseArgs, output: &mut Output) -> Result<Exit, Failure> {
    let config = super::load(&args.config, Needs::Broker, output)?.config;
    let record = &args.record;
    let shards = shards(&config, None)?;
    release(
        &config,
        &shards,
        &record.topic,
        record.partition,
        record.offset,
    )
    .map_err(failure)?;
    Ok(Exit::Ok)
}

fn failure(error: QuarantineError) -> Failure {
    let exit = match error {
        QuarantineError::Bus(_) => Exit::Environment,
        QuarantineError::Record { .. }
        | QuarantineError::Unknown { .. }
        | QuarantineError::Gone { .. } => Exit::Findings,
    };
    Failure::new(exit, error)
}

fn table(all: &[Quarantined]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["record", "shard", "attempts"]);
    for record in all {
        table.add_row([
            format!("{}/{}/{}", record.topic, record.partition, record.offset),
            record.shard.to_string(),
            record.attempts.to_string(),
        ]);
    }
    table
}
