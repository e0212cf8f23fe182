//! `fusor config`: the effective values, and the schema.

use comfy_table::{Table, presets};

use super::args::{ConfigVerb, OutputFormat, ShowArgs};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::config::{Leaf, Needs, schema};

pub(super) fn config(verb: &ConfigVerb, output: &mut Output) -> Result<Exit, Failure> {
    match verb {
        ConfigVerb::Show(args) => show(args, output),
        ConfigVerb::Schema => {
            output.value(&schema(), OutputFormat::Json)?;
            Ok(Exit::Ok)
        }
    }
}

fn show(args: &ShowArgs, output: &mut Output) -> Result<Exit, Failure> {
    let loaded = super::load(&args.config, Needs::Nothing, output)?;
    let leaves = loaded.leaves();
    match output.format(args.output, OutputFormat::Ndjson) {
        OutputFormat::Table => output.line(table(&leaves))?,
        format @ (OutputFormat::Json | OutputFormat::Ndjson) => output.list(&leaves, format)?,
    }
    Ok(Exit::Ok)
}

fn table(leaves: &[Leaf]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["key", "value", "from"]);
    for leaf in leaves {
        let value = match leaf.value.as_str() {
            Some(text) => text.to_owned(),
            None => leaf.value.to_string(),
        };
        table.add_row([&leaf.key, &value, &leaf.layer]);
    }
    table
}
