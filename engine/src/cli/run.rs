//! `fusor run`: alerts in from Kafka, incidents out, until told to stop.

use super::args::RunArgs;
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::config::Needs;
use crate::pipeline::{self, Ended, RunError};

/// A drain that was asked for and done is a success, whichever signal asked; a second signal ends it at once, and then
/// the exit code names the signal.
pub(super) fn run(args: &RunArgs, output: &mut Output) -> Result<Exit, Failure> {
    let loaded = super::load(&args.config, Needs::Broker, output)?;
    match pipeline::run(loaded.config) {
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
