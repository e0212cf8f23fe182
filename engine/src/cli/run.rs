//! `fusor run` and `fusor ingest`: from Kafka to Kafka, until told to stop.

use super::args::RunArgs;
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::config::Needs;
use crate::pipeline::{self, Ended, RunError};

pub(super) fn run(args: &RunArgs, output: &mut Output) -> Result<Exit, Failure> {
    let loaded = super::load(&args.config, Needs::Broker, output)?;
    ended(pipeline::run(loaded.config), output)
}

pub(super) fn ingest(args: &RunArgs, output: &mut Output) -> Result<Exit, Failure> {
    let config = super::load(&args.config, Needs::Ingest, output)?.config;
    let Some(alerts) = config.outputs.alerts.clone() else {
        // What it needs was checked.
        return Err(Failure::told(Exit::Config));
    };
    ended(pipeline::ingest(config, &alerts), output)
}

/// A drain that was asked for and done is a success, whichever signal asked; a second signal ends it at once, and then
/// the exit code names the signal.
fn ended(ended: Result<Ended, RunError>, output: &mut Output) -> Result<Exit, Failure> {
    match ended {
        Ok(Ended::Drained) => Ok(Exit::Ok),
        Ok(Ended::Interrupted) => Ok(Exit::Interrupted),
        Ok(Ended::Terminated) => Ok(Exit::Terminated),
        Err(RunError::Checks(problems)) => {
            for problem in problems {
                output.error(problem);
            }
            Err(Failure::told(Exit::Environment))
        }
        Err(error) => Err(Failure::new(Exit::Environment, error)),
    }
}
