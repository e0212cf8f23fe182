//! `fusor replay`: files in, incidents and membership out.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::ReplayArgs;
use super::exit::{Exit, Failure};
use super::output::{Output, written};
use crate::config::{Config, Needs};
use crate::replay::{self, Options, Replayed};

pub(super) fn replay(args: &ReplayArgs, output: &mut Output) -> Result<Exit, Failure> {
    let config = super::load(&args.config, Needs::Nothing, output)?.config;
    let inputs = args.files.iter().chain(&args.bindings);
    at_most_one_dash(inputs, "the standard input can be one of the files only")?;
    let outputs = args.incidents.iter().chain(&args.membership);
    at_most_one_dash(
        outputs,
        "the standard output can be one of the outputs only",
    )?;
    // Outputs are opened first: a path that cannot be written is told before the work, not after it.
    let mut incidents = args.incidents.as_deref().map(Sink::open).transpose()?;
    let mut membership = args.membership.as_deref().map(Sink::open).transpose()?;

    let bar = progress_bar(args, output);
    let started = Instant::now();
    let replayed = replay::replay(&options(args, &config), &mut |bytes| {
        bar.set_position(bytes)
    });
    bar.finish_and_clear();
    let replayed = replayed.map_err(Failure::input)?;
    let elapsed = started.elapsed();

    if let Some(sink) = &mut membership {
        sink.write(output, |out| replayed.write_membership(out))?;
    }
    match &mut incidents {
        Some(sink) => sink.write(output, |out| {
            replay::write_incidents(&replayed.incidents, out)
        })?,
        None if matches!(membership, Some(Sink::Data)) => {}
        None => show(&replayed, output)?,
    }
    output.finish()?;
    if !output.quiet {
        replay::write_summary(&replayed, elapsed, output.notes()).map_err(written)?;
    }
    Ok(Exit::Ok)
}

/// A table for people, one JSON object a line for programs.
fn show(replayed: &Replayed, output: &mut Output) -> Result<(), Failure> {
    let written_so_far = if output.data_on_terminal {
        replay::write_table(&replayed.incidents, output.data())
    } else {
        replay::write_incidents(&replayed.incidents, output.data())
    };
    written_so_far.map_err(written)
}

fn options(args: &ReplayArgs, config: &Config) -> Options {
    Options {
        files: args.files.clone(),
        bindings: args.bindings.clone(),
        format: args.format.map(Into::into),
        tenant: args.tenant.clone(),
        engine: super::offline(config, args.batch),
        membership: args.membership.is_some(),
    }
}

fn at_most_one_dash<'a>(
    paths: impl Iterator<Item = &'a PathBuf>,
    problem: &'static str,
) -> Result<(), Failure> {
    match paths.filter(|path| is_dash(path)).count() {
        0 | 1 => Ok(()),
        _ => Err(Failure::new(Exit::Usage, problem)),
    }
}

fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Bytes of the files taken, on a terminal; without their sizes, as of a pipe, only that it goes on.
fn progress_bar(args: &ReplayArgs, output: &Output) -> ProgressBar {
    if output.quiet || !output.notes_on_terminal {
        return ProgressBar::hidden();
    }
    let inputs: Vec<PathBuf> = args.files.iter().chain(&args.bindings).cloned().collect();
    let bar = ProgressBar::with_draw_target(
        replay::input::total_bytes(&inputs),
        ProgressDrawTarget::stderr(),
    );
    let template = match bar.length() {
        Some(_) => "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        None => "{spinner} {bytes} {bytes_per_sec} {elapsed}",
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Where one of the outputs goes.
enum Sink {
    /// Standard output.
    Data,
    File(PathBuf, BufWriter<File>),
}

impl Sink {
    fn open(path: &Path) -> Result<Self, Failure> {
        if is_dash(path) {
            return Ok(Self::Data);
        }
        let file = File::create(path).map_err(|error| cannot_write(path, &error))?;
        Ok(Self::File(path.to_owned(), BufWriter::new(file)))
    }

    fn write(
        &mut self,
        output: &mut Output,
        content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        match self {
            Self::Data => content(output.data()).map_err(written),
            Self::File(path, file) => content(file)
                .and_then(|()| file.flush())
                .map_err(|error| cannot_write(path, &error)),
        }
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::input(format!("cannot write {}: {error}", path.display()))
}
