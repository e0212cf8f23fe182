//! `explain`.

use correlators::explain::text::{alert_text, text};
use correlators::explain::visible::visible_json;
use correlators::explain::{explain as explain_incident, explain_alert};
use serde::Serialize;

use super::args::{ExplainArgs, OutputFormat};
use super::exit::{Exit, Failure};
use super::output::{self, Output};
use crate::explain::{ExplainError, Source, find};

/// Finds the incident, tells it or one alert of it; an alert that is not in it is a finding.
pub(super) fn explain(args: &ExplainArgs, output: &mut Output) -> Result<Exit, Failure> {
    let source = match (&args.from, &args.api) {
        (Some(path), _) => Source::File(path.clone()),
        (None, Some(address)) => Source::Api(address.clone()),
        (None, None) => return Err(Failure::new(Exit::Usage, "give --from FILE or --api URL")),
    };
    let incident = find(&args.incident, &source).map_err(failure)?;
    let format = output.format(args.output, OutputFormat::Json);
    let Some(alert) = &args.alert else {
        let told = explain_incident(&incident);
        write(output, format, &told, || text(&told))?;
        return Ok(Exit::Ok);
    };
    let told = explain_alert(&incident, alert);
    write(output, format, &told, || alert_text(&told))?;
    Ok(if told.found.is_empty() {
        Exit::Findings
    } else {
        Exit::Ok
    })
}

fn write(
    output: &mut Output,
    format: OutputFormat,
    value: &impl Serialize,
    text: impl Fn() -> String,
) -> Result<(), Failure> {
    let told = match format {
        OutputFormat::Table => text(),
        OutputFormat::Json => {
            visible_json(&(serde_json::to_string_pretty(value).map_err(Failure::input)? + "\n"))
        }
        OutputFormat::Ndjson => {
            visible_json(&(serde_json::to_string(value).map_err(Failure::input)? + "\n"))
        }
    };
    output
        .data()
        .write_all(told.as_bytes())
        .map_err(output::written)
}

fn failure(error: ExplainError) -> Failure {
    let exit = match &error {
        ExplainError::BadAddress(_) => Exit::Usage,
        ExplainError::Unreachable { .. } | ExplainError::Refused { .. } => Exit::Environment,
        ExplainError::NotFound { .. }
        | ExplainError::Ambiguous { .. }
        | ExplainError::Input(_)
        | ExplainError::TooLong { .. }
        | ExplainError::Unreadable { .. } => Exit::Findings,
    };
    Failure::new(exit, error)
}
