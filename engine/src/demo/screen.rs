//! The play as it is watched: a table that grows in place on a terminal, plain lines anywhere else.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use correlators::explain::visible::visible;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use schemas::alert::Severity;
use schemas::incident::Incident;

use super::Frame;
use crate::replay::write_table;

/// Where the play is shown.
#[derive(Debug)]
pub enum Screen {
    /// A terminal: one table, drawn again and again in the same place.
    InPlace(ProgressBar),
    /// Anything else: a line when an incident appears or grows graver.
    Lines(BTreeMap<String, Severity>),
}

impl Screen {
    /// Shows the play on standard output.
    #[must_use]
    pub fn new(terminal: bool) -> Self {
        if !terminal {
            return Self::Lines(BTreeMap::new());
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        Self::InPlace(match ProgressStyle::with_template("{msg}") {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
    }

    /// Shows where the play stands.
    ///
    /// # Errors
    /// Returns why `out` takes no more.
    pub fn show(&mut self, frame: &Frame, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::InPlace(bar) => {
                bar.set_message(table(frame)?);
                bar.tick();
                Ok(())
            }
            Self::Lines(known) => {
                for incident in &frame.incidents {
                    let before = known.insert(incident.id.clone(), incident.severity);
                    if before.is_none_or(|before| before < incident.severity) {
                        line(frame, incident, out)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Leaves the last frame standing.
    ///
    /// # Errors
    /// Returns why `out` takes no more.
    pub fn finish(self, last: Option<&Frame>, out: &mut dyn Write) -> io::Result<()> {
        if let Self::InPlace(bar) = self {
            bar.finish_and_clear();
        }
        match last {
            Some(frame) => writeln!(out, "\n{}", table(frame)?),
            None => Ok(()),
        }
    }
}

fn table(frame: &Frame) -> io::Result<String> {
    let mut text = format!("{}  {} alerts\n", minute(frame), frame.alerts).into_bytes();
    write_table(&frame.incidents, &mut text)?;
    Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
}

fn line(frame: &Frame, incident: &Arc<Incident>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{}  {:>5.1}  {:<8}  {}  {} alerts  {}",
        minute(frame),
        incident.risk,
        incident.severity.word(),
        visible(&incident.tenant),
        incident.alert_count,
        visible(&incident.title),
    )
}

/// The event time of a frame, to the minute.
fn minute(frame: &Frame) -> String {
    let time = frame.time.to_string();
    time.get(..16).unwrap_or(&time).replace('T', " ")
}
