//! A replay for people and programs: the incidents, and a summary.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use correlators::explain::visible::visible;
use schemas::alert::Severity;
use schemas::encode::incident_json;
use schemas::incident::Incident;

use super::Replayed;

/// Writes the incidents, one JSON object a line.
///
/// # Errors
/// Returns why `out` takes no more.
pub fn write_incidents(incidents: &[Arc<Incident>], out: &mut dyn Write) -> io::Result<()> {
    for incident in incidents {
        out.write_all(&incident_json(incident)?)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Writes the incidents as a table, one line each.
///
/// # Errors
/// Returns why `out` takes no more.
pub fn write_table(incidents: &[Arc<Incident>], out: &mut dyn Write) -> io::Result<()> {
    if incidents.is_empty() {
        return writeln!(out, "no incidents");
    }
    let tenants = incidents
        .iter()
        .map(|incident| visible(&incident.tenant).chars().count());
    let width = tenants
        .max()
        .unwrap_or(0)
        .clamp("TENANT".len(), TENANT_CHARS_MAX);
    writeln!(
        out,
        "{:>5}  {:<8}  {:<width$}  {:>6}  {:<19}  {:<36}  TITLE",
        "RISK", "SEVERITY", "TENANT", "ALERTS", "BEGAN", "ID"
    )?;
    for incident in incidents {
        writeln!(
            out,
            "{:>5.1}  {:<8}  {:<width$}  {:>6}  {}  {:<36}  {}",
            incident.risk,
            incident.severity.word(),
            short(&incident.tenant, width),
            incident.alert_count,
            short(&incident.first_activity_time.to_string(), 19),
            incident.id,
            title(incident),
        )?;
    }
    Ok(())
}

/// Writes what came of a replay that took `elapsed`.
///
/// # Errors
/// Returns why `out` takes no more.
pub fn write_summary(
    replayed: &Replayed,
    elapsed: Duration,
    out: &mut dyn Write,
) -> io::Result<()> {
    let ended = replayed.dispositions;
    let alerts = ended.correlated + ended.single + ended.late + ended.duplicate;
    let rate = alerts as f64 / elapsed.as_secs_f64().max(1e-6);
    writeln!(
        out,
        "{} records, {alerts} alerts in {:.2} s: {rate:.0} alerts a second",
        replayed.records,
        elapsed.as_secs_f64()
    )?;
    writeln!(
        out,
        "alerts: {} correlated, {} single, {} duplicate, {} late; records: {} refused{}",
        ended.correlated,
        ended.single,
        ended.duplicate,
        ended.late,
        ended.dead_letter,
        by_word(
            replayed
                .refused
                .iter()
                .map(|(reason, count)| (*reason, *count))
        )
    )?;
    if replayed.bindings + replayed.bindings_refused > 0 {
        writeln!(
            out,
            "bindings: {} learnt, {} refused",
            replayed.bindings, replayed.bindings_refused
        )?;
    }
    let mut severities: BTreeMap<Severity, u64> = BTreeMap::new();
    for incident in &replayed.incidents {
        *severities.entry(incident.severity).or_default() += 1;
    }
    writeln!(
        out,
        "incidents: {}{}; {} merged into others",
        replayed.incidents.len(),
        by_word(
            severities
                .iter()
                .rev()
                .map(|(severity, count)| (severity.word(), *count))
        ),
        replayed.merged
    )?;
    for incident in replayed.incidents.iter().take(TOP) {
        writeln!(
            out,
            "  {:>5.1} {} {}: {}, {} alerts",
            incident.risk,
            incident.id,
            short(&incident.tenant, TENANT_CHARS_MAX),
            title(incident),
            incident.alert_count
        )?;
    }
    Ok(())
}

/// The title, and whether it was founded while everything was new.
fn title(incident: &Incident) -> String {
    let mark = if incident.learning { " (learning)" } else { "" };
    format!("{}{mark}", visible(&incident.title))
}

/// ` (2 high, 1 medium)`, or nothing.
fn by_word<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> String {
    let parts: Vec<String> = counts
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    if parts.is_empty() {
        String::new()
    } else {
        format!(" ({})", parts.join(", "))
    }
}

/// Returns the beginning of a text, safe to show.
fn short(text: &str, chars_max: usize) -> String {
    visible(text).chars().take(chars_max).collect()
}

const TENANT_CHARS_MAX: usize = 24;
const TOP: usize = 5;

#[cfg(test)]
mod tests;
