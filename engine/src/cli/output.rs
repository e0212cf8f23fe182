//! Standard output for data, standard error for everything else.

use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};

use correlators::explain::visible::visible;
use serde::Serialize;

use super::args::{Color, OutputFormat};
use super::exit::Failure;

/// Where a verb writes.
pub struct Output {
    data: Box<dyn Write + Send>,
    notes: Box<dyn Write + Send>,
    /// Standard output is a terminal.
    pub data_on_terminal: bool,
    /// Standard error is a terminal.
    pub notes_on_terminal: bool,
    /// Standard error may be coloured.
    pub color: bool,
    /// Only errors are told.
    pub quiet: bool,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output")
            .field("data_on_terminal", &self.data_on_terminal)
            .field("notes_on_terminal", &self.notes_on_terminal)
            .field("color", &self.color)
            .field("quiet", &self.quiet)
            .finish_non_exhaustive()
    }
}

impl Output {
    /// Takes the process's own streams.
    #[must_use]
    pub fn of_process(color: Color, quiet: bool) -> Self {
        let notes_on_terminal = io::stderr().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            data: Box::new(BufWriter::new(io::stdout())),
            notes: Box::new(io::stderr()),
            data_on_terminal: io::stdout().is_terminal(),
            notes_on_terminal,
            color: match color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => notes_on_terminal && !plain,
            },
            quiet,
        }
    }

    /// Returns the writer of data.
    pub fn data(&mut self) -> &mut (dyn Write + Send) {
        &mut *self.data
    }

    /// Returns the writer of what is said beside the data.
    pub fn notes(&mut self) -> &mut (dyn Write + Send) {
        &mut *self.notes
    }

    /// Writes one line of data.
    ///
    /// # Errors
    /// Fails when the line cannot be written; quietly when nobody reads any more.
    pub fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        writeln!(self.data, "{line}").map_err(written)
    }

    /// Writes one value: indented, or as one line.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn value(&mut self, value: &impl Serialize, format: OutputFormat) -> Result<(), Failure> {
        let text = match format {
            OutputFormat::Json => serde_json::to_string_pretty(value),
            OutputFormat::Ndjson | OutputFormat::Table => serde_json::to_string(value),
        };
        self.line(text.map_err(Failure::input)?)
    }

    /// Writes a list: one array, or one line for each value.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn list(&mut self, values: &[impl Serialize], format: OutputFormat) -> Result<(), Failure> {
        match format {
            OutputFormat::Json => self.value(&values, format),
            OutputFormat::Ndjson | OutputFormat::Table => values
                .iter()
                .try_for_each(|value| self.value(value, format)),
        }
    }

    /// Returns the format that was asked for, else a table for people and the other one for programs.
    #[must_use]
    pub fn format(&self, asked: Option<OutputFormat>, piped: OutputFormat) -> OutputFormat {
        match asked {
            Some(format) => format,
            None if self.data_on_terminal => OutputFormat::Table,
            None => piped,
        }
    }

    /// Tells an error.
    pub fn error(&mut self, error: impl Display) {
        self.note("error", "31", error);
    }

    /// Tells a warning, unless quiet.
    pub fn warning(&mut self, warning: impl Display) {
        if !self.quiet {
            self.note("warning", "33", warning);
        }
    }

    fn note(&mut self, word: &str, color: &str, text: impl Display) {
        let text = text.to_string();
        let lines: Vec<String> = text.split('\n').map(visible).collect();
        let text = lines.join("\n");
        // Standard error that cannot be written to leaves nobody to tell it to.
        drop(if self.color {
            writeln!(self.notes, "\u{1b}[1;{color}m{word}\u{1b}[0m: {text}")
        } else {
            writeln!(self.notes, "{word}: {text}")
        });
    }

    /// Hands on what is buffered.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn finish(&mut self) -> Result<(), Failure> {
        self.data.flush().map_err(written)
    }
}

/// Why data could not be written.
#[must_use]
pub fn written(error: io::Error) -> Failure {
    if error.kind() == ErrorKind::BrokenPipe {
        Failure::unread()
    } else {
        Failure::input(error)
    }
}
