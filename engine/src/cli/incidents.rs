//! `fusor incidents`: the incidents as they stand, and what analysts do to them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use comfy_table::{Table, presets};
use correlators::explain::explain;
use correlators::explain::text::text;
use correlators::explain::visible::visible;
use schemas::alert::Severity;
use schemas::command::{Action, Command, Outcome, Verdict};
use schemas::incident::{Incident, IncidentStatus};
use schemas::time::Timestamp;
use uuid::Uuid;

use super::args::{IncidentsVerb, ListArgs, OutputFormat, SendArgs, ShowIncidentArgs};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::analyst::{self, AnalystError};
use crate::config::{Config, Needs};

/// Runs a verb.
pub(super) fn incidents(verb: &IncidentsVerb, output: &mut Output) -> Result<Exit, Failure> {
    let (send, action) = match verb {
        IncidentsVerb::List(args) => return list(args, output),
        IncidentsVerb::Show(args) => return show(args, output),
        IncidentsVerb::Status { send, status } => {
            let status = (*status).into();
            (send, Action::SetStatus { status })
        }
        IncidentsVerb::Assign { send, owner, .. } => {
            let owner = owner.clone();
            (send, Action::Assign { owner })
        }
        IncidentsVerb::Severity { send, severity } => {
            let severity = (*severity).into();
            (send, Action::SetSeverity { severity })
        }
        IncidentsVerb::Comment { send, text } => {
            let text = text.clone();
            (send, Action::Comment { text })
        }
        IncidentsVerb::Tag { send, tags, remove } => {
            let (add, remove) = (tags.clone(), remove.clone());
            (send, Action::Tag { add, remove })
        }
        IncidentsVerb::Close {
            send,
            closing,
            comment,
        } => {
            let (closing, comment) = ((*closing).into(), comment.clone());
            (send, Action::Close { closing, comment })
        }
        IncidentsVerb::Reopen { send } => (send, Action::Reopen),
        IncidentsVerb::Merge { send, into } => {
            let into = into.clone();
            (send, Action::Merge { into })
        }
        IncidentsVerb::Split { send, alerts } => {
            let alerts = alerts.clone();
            (send, Action::Split { alerts })
        }
        IncidentsVerb::Unlink { send, alert, from } => {
            let (alert, from) = (alert.clone(), from.clone());
            (send, Action::Unlink { alert, from })
        }
        IncidentsVerb::Link { send, alert } => {
            let alert = alert.clone();
            (send, Action::Link { alert })
        }
        IncidentsVerb::Feedback {
            send,
            closing,
            alerts,
        } => {
            let (alerts, closing) = (alerts.clone(), (*closing).into());
            (send, Action::Feedback { alerts, closing })
        }
    };
    act(send, action, output)
}

fn list(args: &ListArgs, output: &mut Output) -> Result<Exit, Failure> {
    let config = super::load(&args.config, Needs::Broker, output)?.config;
    let is = |asked: &Option<String>, found: Option<&String>| {
        asked.as_ref().is_none_or(|asked| Some(asked) == found)
    };
    let statuses: Vec<IncidentStatus> = args.status.iter().copied().map(Into::into).collect();
    let least = args.severity.map(Severity::from);
    let found = analyst::incidents(&config, "", |incident| {
        let status = match statuses.as_slice() {
            [] => incident.status != IncidentStatus::Merged,
            asked => asked.contains(&incident.status),
        };
        status
            && is(&args.tenant, Some(&incident.tenant))
            && is(&args.owner, incident.owner.as_ref())
            && least.is_none_or(|least| incident.severity >= least)
    });
    let mut incidents: Vec<Incident> = found.map_err(failure)?.into_values().collect();
    incidents.sort_by(|a, b| (b.created_time, &a.id).cmp(&(a.created_time, &b.id)));
    match output.format(args.output, OutputFormat::Ndjson) {
        OutputFormat::Table => output.line(table(&incidents))?,
        format @ (OutputFormat::Json | OutputFormat::Ndjson) => output.list(&incidents, format)?,
    }
    Ok(Exit::Ok)
}

fn table(incidents: &[Incident]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "id", "tenant", "severity", "status", "owner", "alerts", "created", "title",
    ]);
    for incident in incidents {
        table.add_row([
            incident.id.clone(),
            incident.tenant.clone(),
            incident.severity.to_string(),
            incident.status.to_string(),
            visible(incident.owner.as_deref().unwrap_or("-")),
            incident.alert_count.to_string(),
            incident.created_time.to_string(),
            visible(&incident.title),
        ]);
    }
    table
}

fn show(args: &ShowIncidentArgs, output: &mut Output) -> Result<Exit, Failure> {
    let config = super::load(&args.config, Needs::Broker, output)?.config;
    let incident = survivor(&config, find(&config, &args.incident)?, output)?;
    match output.format(args.output, OutputFormat::Json) {
        OutputFormat::Table => output.line(text(&explain(&incident)).trim_end())?,
        format @ (OutputFormat::Json | OutputFormat::Ndjson) => output.value(&incident, format)?,
    }
    Ok(Exit::Ok)
}

/// Finds the one incident whose id begins so.
fn find(config: &Config, beginning: &str) -> Result<Incident, Failure> {
    let found = analyst::incidents(config, beginning, |_| true).map_err(failure)?;
    let ids: Vec<String> = found.keys().take(NAMED_MAX).cloned().collect();
    let mut found = found.into_values();
    match (found.next(), found.count()) {
        (Some(only), 0) => Ok(only),
        (Some(_), more) => Err(Failure::input(format!(
            "{} incidents have an id that begins with {beginning}, such as {}",
            more + 1,
            ids.join(", ")
        ))),
        (None, _) => Err(Failure::input(format!(
            "no incident has an id that begins with {beginning}"
        ))),
    }
}

/// Follows an incident into the one it was merged into, and so on.
fn survivor(config: &Config, first: Incident, output: &mut Output) -> Result<Incident, Failure> {
    let mut incident = first;
    for _ in 0..REDIRECTS_MAX {
        let Some(next) = incident.merged_into.clone() else {
            return Ok(incident);
        };
        output.warning(format_args!("{} was merged into {next}", incident.id));
        incident = find(config, &next)?;
    }
    Err(Failure::input(format!(
        "{} was merged more than {REDIRECTS_MAX} times",
        incident.id
    )))
}

/// Ids named where more than one fits.
const NAMED_MAX: usize = 5;
/// Merges followed: each reads the topic once.
const REDIRECTS_MAX: usize = 16;

/// Sends a command and tells its outcome.
fn act(args: &SendArgs, mut action: Action, output: &mut Output) -> Result<Exit, Failure> {
    let config = super::load(&args.config, Needs::Broker, output)?.config;
    let incident = find(&config, &args.incident)?;
    resolve(&config, &incident, &mut action)?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let id = args.id.clone().unwrap_or_else(|| {
        let name = format!("{} {} {}", now.as_nanos(), std::process::id(), incident.id);
        Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
    });
    let command = Command {
        id,
        tenant: incident.tenant,
        incident: incident.id,
        expected_revision: args.revision,
        actor: args.actor.clone(),
        roles: Vec::new(),
        time: Timestamp(i64::try_from(now.as_millis()).unwrap_or(i64::MAX)),
        action,
    };
    let wait = Duration::from_millis(u64::try_from(args.wait.millis()).unwrap_or(0));
    let outcome = analyst::send(&config, &command, wait).map_err(failure)?;
    match output.format(args.output, OutputFormat::Json) {
        OutputFormat::Table => output.line(told(&outcome))?,
        format @ (OutputFormat::Json | OutputFormat::Ndjson) => output.value(&outcome, format)?,
    }
    Ok(match outcome.verdict {
        Verdict::Applied { .. } => Exit::Ok,
        Verdict::Refused { .. } => Exit::Findings,
    })
}

/// Puts the ids that the shard knows in the place of what people type.
fn resolve(config: &Config, incident: &Incident, action: &mut Action) -> Result<(), Failure> {
    let known = |word: &mut String| {
        let mut alerts = incident.alerts.iter();
        if let Some(alert) = alerts.find(|alert| alert.native_uid == *word) {
            word.clone_from(&alert.uid);
        }
    };
    match action {
        Action::Merge { into } => *into = find(config, into)?.id,
        Action::Split { alerts } | Action::Feedback { alerts, .. } => {
            alerts.iter_mut().for_each(known);
        }
        Action::Unlink { alert, from } => {
            known(alert);
            from.iter_mut().for_each(known);
        }
        // It is in another incident, or in none.
        Action::Link { .. } => {}
        Action::SetStatus { .. }
        | Action::Assign { .. }
        | Action::SetSeverity { .. }
        | Action::Comment { .. }
        | Action::Tag { .. }
        | Action::Close { .. }
        | Action::Reopen => {}
    }
    Ok(())
}

/// Says what became of a command in one line.
fn told(outcome: &Outcome) -> String {
    let (word, incidents) = match &outcome.verdict {
        Verdict::Applied {
            revision,
            incidents,
        } => (format!("applied at revision {revision}"), incidents),
        Verdict::Refused {
            reason,
            message,
            incidents,
            ..
        } => (
            format!("refused ({reason}): {}", visible(message)),
            incidents,
        ),
    };
    let see = if incidents.is_empty() {
        String::new()
    } else {
        format!(", see {}", incidents.join(", "))
    };
    format!("{} {}: {word}{see}", outcome.action, outcome.incident)
}

fn failure(error: AnalystError) -> Failure {
    let exit = match &error {
        AnalystError::NoCommands => Exit::Config,
        AnalystError::Invalid(_) => Exit::Usage,
        AnalystError::Kafka { .. }
        | AnalystError::NoTopic(_)
        | AnalystError::Stalled { .. }
        | AnalystError::Unanswered { .. } => Exit::Environment,
    };
    Failure::new(exit, error)
}
