//! `fusor state`: the state of the shards in Kafka, looked at from outside.

use comfy_table::{Table, presets};
use schemas::time::Timestamp;

use super::args::{OutputFormat, RebuildArgs, StateArgs, StateVerb};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::audit::{self, Audit, AuditError};
use crate::config::{Config, Needs};
use crate::{rebuild, topics};

pub(super) fn state(verb: &StateVerb, output: &mut Output) -> Result<Exit, Failure> {
    match verb {
        StateVerb::Show(args) | StateVerb::Verify(args) => look(args, audit::verify, output),
        StateVerb::Replay(args) => look(args, audit::replay, output),
        StateVerb::Rebuild(args) => make_anew(args, output),
    }
}

fn look(
    args: &StateArgs,
    of: fn(&Config, i32) -> Result<Audit, AuditError>,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let config = super::load(&args.config, Needs::Broker, output)?.config;
    let mut audits = Vec::new();
    for shard in shards(&config, args.shard)? {
        audits.push(of(&config, shard).map_err(|error| Failure::new(exit_of(&error), error))?);
    }
    match output.format(args.output, OutputFormat::Ndjson) {
        OutputFormat::Table => output.line(table(&audits))?,
        format @ (OutputFormat::Json | OutputFormat::Ndjson) => output.list(&audits, format)?,
    }
    let mut findings = 0;
    for audit in &audits {
        for finding in &audit.findings {
            output.warning(format_args!("shard {}: {finding}", audit.shard));
            findings += 1;
        }
    }
    Ok(if findings == 0 {
        Exit::Ok
    } else {
        Exit::Findings
    })
}

fn make_anew(args: &RebuildArgs, output: &mut Output) -> Result<Exit, Failure> {
    let config = super::load(&args.config, Needs::Broker, output)?.config;
    for shard in shards(&config, args.shard)? {
        let done = rebuild::rebuild(&config, shard, args.yes);
        let plan = done.map_err(|error| Failure::new(Exit::Environment, error))?;
        output.line(plan)?;
    }
    if !args.yes {
        output.warning("nothing was written: give --yes to do it");
    }
    Ok(Exit::Ok)
}

/// Returns the shards there are, or the one that is asked for.
pub(super) fn shards(config: &Config, only: Option<i32>) -> Result<Vec<i32>, Failure> {
    let rows = topics::plan(config).map_err(|error| Failure::new(Exit::Environment, error))?;
    let shape = topics::shape(&rows).map_err(|problems| {
        Failure::new(Exit::Environment, anyhow::anyhow!(problems.join("; ")))
    })?;
    let all = 0..shape.shards;
    match only {
        None => Ok(all.collect()),
        Some(shard) if all.contains(&shard) => Ok(vec![shard]),
        Some(shard) => {
            let problem = anyhow::anyhow!("there is no shard {shard}: there are {}", shape.shards);
            Err(Failure::new(Exit::Usage, problem))
        }
    }
}

/// A state that does not hold is a finding; a topic that cannot be read is not.
fn exit_of(error: &AuditError) -> Exit {
    match error {
        AuditError::Bus(_) => Exit::Environment,
        AuditError::Restore(_) | AuditError::Record { .. } | AuditError::Forgotten { .. } => {
            Exit::Findings
        }
    }
}

fn table(audits: &[Audit]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "shard",
        "generation",
        "epoch",
        "watermark",
        "records",
        "tenants",
        "episodes",
        "threads",
        "entities",
        "findings",
    ]);
    for audit in audits {
        let watermark = audit.meta.watermark.map(Timestamp);
        table.add_row([
            audit.shard.to_string(),
            audit.meta.generation.to_string(),
            audit.meta.epoch.to_string(),
            watermark.map_or_else(|| "-".to_owned(), |time| time.to_string()),
            audit.meta.counts.records.to_string(),
            audit.tenants.to_string(),
            audit.episodes.to_string(),
            audit.threads.to_string(),
            audit.entities.to_string(),
            audit.findings.len().to_string(),
        ]);
    }
    table
}
