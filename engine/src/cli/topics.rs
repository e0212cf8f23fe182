//! `fusor topics`: what the configuration asks of Kafka, and what Kafka has.

use comfy_table::{Table, presets};

use super::args::{OutputFormat, TopicsVerb};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::config::Needs;
use crate::topics::{Row, create, plan};

pub(super) fn topics(verb: &TopicsVerb, output: &mut Output) -> Result<Exit, Failure> {
    let (args, act): (_, fn(&_) -> _) = match verb {
        TopicsVerb::Plan(args) => (args, plan),
        TopicsVerb::Create(args) => (args, create),
    };
    let loaded = super::load(&args.config, Needs::Broker, output)?;
    let rows = act(&loaded.config).map_err(|error| Failure::new(Exit::Environment, error))?;
    for row in &rows {
        for difference in &row.differences {
            output.warning(format_args!("topic {}: {difference}", row.wanted.topic));
        }
    }
    match output.format(args.output, OutputFormat::Ndjson) {
        OutputFormat::Table => output.line(table(&rows))?,
        format @ (OutputFormat::Json | OutputFormat::Ndjson) => output.list(&rows, format)?,
    }
    Ok(Exit::Ok)
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "topic",
        "role",
        "partitions",
        "copies",
        "status",
        "settings",
    ]);
    for Row { wanted, status, .. } in rows {
        let copies = wanted
            .replication
            .map_or_else(|| "default".to_owned(), |n| n.to_string());
        let settings: Vec<String> = wanted
            .settings
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        table.add_row([
            wanted.topic.as_str(),
            wanted.role.word(),
            &wanted.partitions.to_string(),
            &copies,
            status.word(),
            &settings.join(" "),
        ]);
    }
    table
}
