//! `fusor demo`: the bundled scenario, its worst incident told, and the API on what came of it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use correlators::explain::{explain, text};
use tokio::signal::unix::{SignalKind, signal};

use super::args::DemoArgs;
use super::exit::{Exit, Failure};
use super::output::{Output, written};
use crate::config::{Config, Needs};
use crate::demo::scenario::{RANSOMWARE, START, scenario};
use crate::demo::{Frame, Played, Player, Screen};
use crate::http::{HttpServer, Listeners, Sources};
use crate::metrics;
use crate::readiness::{Condition, Readiness};
use crate::view::IncidentView;

pub(super) fn demo(args: &DemoArgs, output: &mut Output) -> Result<Exit, Failure> {
    let config = super::load(&args.config, Needs::Nothing, output)?.config;
    let (view, readiness) = (
        Arc::new(IncidentView::default()),
        Arc::new(Readiness::default()),
    );
    // Listening comes first: a port that is taken is told before the story, not after it.
    let server = match args.exit {
        true => None,
        false => Some(serve(&config, &view, &readiness)?),
    };
    let played = play(args, &config, &view, &readiness, output)?;
    tell(&played, output)?;
    let Some(server) = server else {
        return Ok(Exit::Ok);
    };
    output.line(format_args!(
        "\nmetrics    http://{}/metrics\nincidents  http://{}/api/v1/incidents\nCtrl-C ends it.",
        server.ops_address(),
        server.api_address()
    ))?;
    output.finish()?;
    let exit = wait()?;
    server.stop();
    Ok(exit)
}

fn serve(
    config: &Config,
    view: &Arc<IncidentView>,
    readiness: &Arc<Readiness>,
) -> Result<HttpServer, Failure> {
    let failed = |error| Failure::new(Exit::Environment, error);
    let metrics = metrics::install().map_err(Failure::input)?;
    let listeners = Listeners {
        ops: config.ops.listen.get(),
        api: config.http.listen.get(),
    };
    let sources = Sources {
        view: Arc::clone(view),
        readiness: Arc::clone(readiness),
        metrics,
    };
    HttpServer::start(listeners, sources).map_err(|error| failed(Box::new(error)))
}

fn play(
    args: &DemoArgs,
    config: &Config,
    view: &Arc<IncidentView>,
    readiness: &Arc<Readiness>,
    output: &mut Output,
) -> Result<Played, Failure> {
    let scenario = scenario(args.seed);
    output.line(format_args!(
        "{} alerts of four days at two sites that share every name, from three kinds of sensors.\n",
        scenario.records.len()
    ))?;
    output.finish()?;
    let engine = super::offline(config, Some(EPOCH_ALERTS));
    let mut player = Player::new(&scenario, engine, Arc::clone(view), Arc::clone(readiness))
        .map_err(Failure::input)?;
    readiness.set(Condition::Output, true);
    let mut screen = Screen::new(output.data_on_terminal);
    let started = Instant::now();
    let mut last = None;
    while let Some(frame) = player.step().map_err(Failure::input)? {
        // The first epochs bring leases alone.
        if frame.alerts == 0 {
            continue;
        }
        screen.show(&frame, output.data()).map_err(written)?;
        pace(args, output, &frame, started);
        last = Some(frame);
    }
    screen
        .finish(last.as_ref(), output.data())
        .map_err(written)?;
    Ok(player.finish())
}

/// Waits until a frame's event time has come at the speed asked for, or long enough for an eye on a terminal.
fn pace(args: &DemoArgs, output: &Output, frame: &Frame, started: Instant) {
    let wait = match args.speed {
        Some(speed) => {
            let since = frame.time.millis().saturating_sub(START.millis());
            let due = Duration::from_millis(u64::try_from(since).unwrap_or(0)) / speed;
            due.saturating_sub(started.elapsed())
        }
        None if output.data_on_terminal => FRAME,
        None => Duration::ZERO,
    };
    thread::sleep(wait);
}

/// Tells the worst incident, and how much stayed out of it.
fn tell(played: &Played, output: &mut Output) -> Result<(), Failure> {
    let Some(worst) = played.replayed.incidents.first() else {
        return output.line("\nnothing was found that is worth an incident");
    };
    output.line(format_args!("\n{}", text::text(&explain(worst)).trim_end()))?;
    let sent = |attack| played.sent.get(&attack).copied().unwrap_or(0);
    let noise = played.held(&worst.id, None);
    output.line(format_args!(
        "\nOf {} alerts of the attack it holds {}. Of {} everyday alerts {} came in and {} stayed out.",
        sent(Some(RANSOMWARE)),
        played.held(&worst.id, Some(RANSOMWARE)),
        sent(None),
        noise,
        sent(None) - noise
    ))
}

/// Waits for Ctrl-C or SIGTERM.
fn wait() -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::input)?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::input)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::input)?;
        Ok(tokio::select! {
            _ = interrupt.recv() => Exit::Interrupted,
            _ = terminate.recv() => Exit::Terminated,
        })
    })
}

/// Some forty frames for the whole play.
const EPOCH_ALERTS: u32 = 150;
const FRAME: Duration = Duration::from_millis(50);
