//! `fusor check`: the configuration, and that Kafka is as it says.

use super::args::CheckArgs;
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::config::Needs;

pub(super) fn check(args: &CheckArgs, output: &mut Output) -> Result<Exit, Failure> {
    let needs = if args.no_environment {
        Needs::Nothing
    } else {
        Needs::Broker
    };
    let loaded = super::load(&args.config, needs, output)?;
    let mut warnings = loaded.warnings.len();
    if !args.no_environment {
        for finding in super::topics_findings(&loaded.config)? {
            output.warning(finding);
            warnings += 1;
        }
    }
    let name = match &args.config.config {
        Some(path) => path.display().to_string(),
        None => "configuration".to_owned(),
    };
    match warnings {
        0 => output.line(format_args!("{name}: ok"))?,
        1 => output.line(format_args!("{name}: 1 warning"))?,
        more => output.line(format_args!("{name}: {more} warnings"))?,
    }
    Ok(if args.deny_warnings && warnings > 0 {
        Exit::Findings
    } else {
        Exit::Ok
    })
}
