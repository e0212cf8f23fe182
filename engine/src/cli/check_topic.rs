//! `fusor check-topic`: whether the topics hold what the engine promises.

use correlators::explain::visible::visible;

use super::args::{CheckTopicArgs, OutputFormat};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::check_topic::{Checkup, check_live};
use crate::config::Needs;

pub(super) fn check_topic(args: &CheckTopicArgs, output: &mut Output) -> Result<Exit, Failure> {
    let loaded = super::load(&args.config, Needs::Broker, output)?;
    let checkup =
        check_live(&loaded.config).map_err(|error| Failure::new(Exit::Environment, error))?;
    match output.format(args.output, OutputFormat::Json) {
        OutputFormat::Table => tell(&checkup, output)?,
        format @ (OutputFormat::Json | OutputFormat::Ndjson) => output.value(&checkup, format)?,
    }
    Ok(if checkup.report.counts.is_empty() {
        Exit::Ok
    } else {
        Exit::Findings
    })
}

fn tell(checkup: &Checkup, output: &mut Output) -> Result<(), Failure> {
    let report = &checkup.report;
    for finding in &report.findings {
        output.line(visible(&finding.to_string()))?;
    }
    for (rule, count) in &report.counts {
        let kept = report.findings.iter().filter(|found| found.rule == *rule);
        let more = count.saturating_sub(kept.count().try_into().unwrap_or(u64::MAX));
        if more > 0 {
            output.line(format_args!("{rule} and {more} more"))?;
        }
    }
    for looked in &checkup.looked {
        output.line(format_args!(
            "read {}/{} from {} to {}",
            looked.topic, looked.partition, looked.start, looked.end
        ))?;
    }
    for unchecked in &report.unchecked {
        output.line(format_args!("not checked: {}", visible(unchecked)))?;
    }
    let checked = report.checked;
    output.line(format_args!(
        "{} revisions of {} incidents with {} alerts, {} epochs, {} input records, {} dead letters, {} outcomes",
        checked.revisions,
        checked.incidents,
        checked.alerts,
        checked.epochs,
        checked.inputs,
        checked.dead_letters,
        checked.outcomes
    ))?;
    match report.counts.values().sum::<u64>() {
        0 => output.line("no findings"),
        1 => output.line("1 finding"),
        count => output.line(format_args!("{count} findings")),
    }
}
