//! `fusor check`: the configuration, and that Kafka is as it says.

use super::args::CheckArgs;
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::config::Needs;
use crate::topics;

pub(super) fn check(args: &CheckArgs, output: &mut Output) -> Result<Exit, Failure> {
    let needs = if args.no_environment {
        Needs::Nothing
    } else {
        Needs::Broker
    };
    let loaded = super::load(&args.config, needs, output)?;
    let warnings = loaded.warnings.len();
    let findings = if args.no_environment {
        Vec::new()
    } else {
        topics::findings(&loaded.config).map_err(|error| Failure::new(Exit::Environment, error))?
    };
    for finding in &findings {
        output.error(finding);
    }
    let name = match &args.config.config {
        Some(path) => path.display().to_string(),
        None => "configuration".to_owned(),
    };
    match (findings.len(), warnings) {
        (0, 0) => output.line(format_args!("{name}: ok"))?,
        (0, _) if args.deny_warnings => {
            output.line(format_args!("{name}: {}", counted(warnings, "warning")))?;
        }
        (0, _) => output.line(format_args!("{name}: ok, {}", counted(warnings, "warning")))?,
        (findings, _) => output.line(format_args!("{name}: {}", counted(findings, "finding")))?,
    }
    Ok(
        if findings.is_empty() && (warnings == 0 || !args.deny_warnings) {
            Exit::Ok
        } else {
            Exit::Findings
        },
    )
}

fn counted(count: usize, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}
