//! `fusor completions`: a script for the shell.

use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs};
use super::exit::{Exit, Failure};
use super::output::{Output, written};

pub(super) fn completions(args: &CompletionsArgs, output: &mut Output) -> Result<Exit, Failure> {
    // Through memory, as the generator panics where a write fails.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "fusor", &mut script);
    output.data().write_all(&script).map_err(written)?;
    Ok(Exit::Ok)
}
