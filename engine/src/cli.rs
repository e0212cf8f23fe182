//! The command line: one verb, one function.

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use clap::Parser;
use schemas::decode::Limits;

use crate::config::{Config, Layers, Loaded, Needs};
use crate::replay::{BATCH, Offline};
use crate::{logs, score};

pub mod args;
mod check;
mod check_topic;
mod completions;
mod config;
mod demo;
pub mod exit;
mod explain;
mod incidents;
pub mod output;
mod quarantine;
mod replay;
mod run;
mod state;
mod topics;

pub use exit::{Exit, Failure};
pub use output::Output;

use args::{Cli, ConfigArgs, OutputFormat, ScoreArgs, Verb};

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => {
            let exit = if told.use_stderr() {
                Exit::Usage
            } else {
                Exit::Ok
            };
            // A help that nobody reads is no failure.
            drop(told.print());
            return exit.into();
        }
    };
    let mut output = Output::of_process(cli.global.color, cli.global.quiet);
    let done = start_log(&cli, &output)
        .and_then(|()| dispatch(&cli.verb, &mut output))
        .and_then(|exit| output.finish().map(|()| exit));
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if failure.has_message() {
                output.error(&failure);
            }
            failure.exit.into()
        }
    }
}

fn start_log(cli: &Cli, output: &Output) -> Result<(), Failure> {
    let global = &cli.global;
    // What a service tells of its comings and goings only disturbs the answer of a command.
    let usual = match cli.verb {
        _ if global.quiet => "error",
        Verb::Run(_) | Verb::Ingest(_) => "info",
        Verb::Replay(_)
        | Verb::Demo(_)
        | Verb::Explain(_)
        | Verb::Incidents(_)
        | Verb::Score(_)
        | Verb::Check(_)
        | Verb::CheckTopic(_)
        | Verb::Config(_)
        | Verb::Topics(_)
        | Verb::State(_)
        | Verb::Quarantine(_)
        | Verb::Completions(_) => "warn",
    };
    let filter = global.log_level.as_deref().unwrap_or(usual);
    logs::start(global.log_format, filter, output.color)
        .map_err(|error| Failure::new(Exit::Usage, error))
}

fn dispatch(verb: &Verb, output: &mut Output) -> Result<Exit, Failure> {
    match verb {
        Verb::Run(args) => run::run(args, output),
        Verb::Ingest(args) => run::ingest(args, output),
        Verb::Replay(args) => replay::replay(args, output),
        Verb::Demo(args) => demo::demo(args, output),
        Verb::Explain(args) => explain::explain(args, output),
        Verb::Incidents(verb) => incidents::incidents(verb, output),
        Verb::Score(args) => score(args, output),
        Verb::Check(args) => check::check(args, output),
        Verb::CheckTopic(args) => check_topic::check_topic(args, output),
        Verb::Config(verb) => config::config(verb, output),
        Verb::Topics(verb) => topics::topics(verb, output),
        Verb::State(verb) => state::state(verb, output),
        Verb::Quarantine(verb) => quarantine::quarantine(verb, output),
        Verb::Completions(args) => completions::completions(args, output),
    }
}

/// Reads the configuration; what is wrong or worth a look goes to standard error.
fn load(args: &ConfigArgs, needs: Needs, output: &mut Output) -> Result<Loaded, Failure> {
    let layers = Layers::from_process(args.config.as_deref(), &args.set);
    match Config::load(&layers, needs) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                output.warning(warning);
            }
            Ok(loaded)
        }
        Err(mistakes) => {
            for mistake in &mistakes.0 {
                output.error(mistake);
            }
            Err(Failure::told(Exit::Config))
        }
    }
}

/// The engine without a broker, as the configuration wants it.
fn offline(config: &Config, batch: Option<u32>) -> Offline {
    Offline {
        batch: batch.and_then(NonZeroU32::new).unwrap_or(BATCH),
        settings: Arc::new(config.settings()),
        limits: Limits {
            record_bytes_max: config.limits.record.as_usize(),
            entities_max: config.limits.entities.as_usize(),
            value_bytes_max: config.limits.value.as_usize(),
        },
        threads: thread::available_parallelism().map_or(1, Into::into),
    }
}

fn score(args: &ScoreArgs, output: &mut Output) -> Result<Exit, Failure> {
    let options = score::Options {
        membership: args.membership.clone(),
        labels: args.labels.clone(),
        incidents: args.incidents.clone(),
        class: args.class.clone(),
    };
    let scores = score::score(&options).map_err(Failure::input)?;
    match output.format(args.output, OutputFormat::Json) {
        OutputFormat::Table => {
            score::write_table(&scores, output.data()).map_err(output::written)?;
        }
        format @ (OutputFormat::Json | OutputFormat::Ndjson) => output.value(&scores, format)?,
    }
    Ok(Exit::Ok)
}
