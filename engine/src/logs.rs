//! The log on standard error. Nothing an alert says can reach a terminal raw.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use correlators::explain::visible::{visible, visible_json};
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

/// Form of the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// One line of text an entry.
    Pretty,
    /// One line of JSON an entry.
    Json,
}

/// The filter is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{filter}` is no log filter: a level such as info, or as in engine=debug,warn")]
pub struct BadFilter {
    filter: String,
}

/// Starts the log of this process, and sends panics to it.
///
/// # Errors
/// Fails on a filter that is none. A log started before is kept.
pub fn start(format: LogFormat, filter: &str, color: bool) -> Result<(), BadFilter> {
    let bad = |_| BadFilter {
        filter: filter.escape_debug().to_string(),
    };
    let levels = EnvFilter::builder().parse(filter).map_err(bad)?;
    let text = match format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let log = tracing_subscriber::fmt().with_env_filter(levels);
    let started = if text {
        let log = log.with_writer(io::stderr).with_ansi(color);
        log.fmt_fields(debug_fn(text_field)).try_init()
    } else {
        log.with_writer(Escaped(io::stderr)).json().try_init()
    };
    if started.is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string);
            tracing::error!(place, panic = panic.payload_as_str(), "panic");
        }));
    }
    Ok(())
}

fn text_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    if field.name() != "message" {
        write!(writer, "{}=", field.name())?;
    }
    writer.write_str(&visible(&format!("{value:?}")))
}

/// Escapes, in lines of JSON, the steering characters that JSON lets stand in a text.
struct Escaped<M>(M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Escaped<M> {
    type Writer = EscapedWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        EscapedWriter(self.0.make_writer())
    }
}

struct EscapedWriter<W>(W);

impl<W: Write> Write for EscapedWriter<W> {
    /// An entry comes in one piece, so that no character is cut.
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let line = visible_json(&String::from_utf8_lossy(entry));
        self.0.write_all(line.as_bytes())?;
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut sink = self.0.lock().map_err(|_| io::Error::other("poisoned"))?;
            sink.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    const HOSTILE: &str = "a\u{1b}[31m\r\nerror: forged\u{9b}2J\u{202e}\u{0}b";

    fn log_hostile() {
        tracing::warn!(title = HOSTILE, shown = %HOSTILE, debug = ?HOSTILE, "{HOSTILE}");
    }

    #[track_caller]
    fn check_clean(text: &str) {
        assert_eq!(text.matches("forged").count(), 4, "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        let line = text.trim_end_matches('\n');
        assert_eq!(visible(line), line);
    }

    #[test]
    fn hostile_text_cannot_steer_the_terminal_in_the_text_log() {
        let sink = Sink::default();
        let writer = sink.clone();
        let log = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .fmt_fields(debug_fn(text_field))
            .finish();
        tracing::subscriber::with_default(log, log_hostile);
        check_clean(&sink.text());
    }

    #[test]
    fn hostile_text_cannot_steer_the_terminal_in_the_json_log() {
        let sink = Sink::default();
        let writer = sink.clone();
        let log = tracing_subscriber::fmt()
            .with_writer(Escaped(move || writer.clone()))
            .json()
            .finish();
        tracing::subscriber::with_default(log, log_hostile);
        check_clean(&sink.text());
        let entry: serde_json::Value = serde_json::from_str(&sink.text()).unwrap();
        assert_eq!(entry["fields"]["title"], HOSTILE);
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        assert!(start(LogFormat::Json, "engine=loud", false).is_err());
    }
}
