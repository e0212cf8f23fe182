//! What became of a scenario, as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use correlators::Verdict;
use schemas::command::Command;
use schemas::incident::{Classification, ClassificationReason, Incident, IncidentStatus, Link};

use super::{Ran, Tenant};

/// Writes what became of each tenant.
pub(super) fn report(ran: &Ran) -> String {
    let mut out = String::new();
    for (name, tenant) in &ran.tenants {
        if ran.tenants.len() > 1 {
            writeln!(out, "{name}").unwrap();
        }
        let last = tenant.last();
        tenant.members(&mut out, &last);
        for incident in last.values() {
            tenant.incident(&mut out, incident);
        }
        for (alert, word) in &tenant.again {
            writeln!(out, "{word} {alert}").unwrap();
        }
        for (command, verdict) in &tenant.verdicts {
            tenant.verdict(&mut out, command, verdict);
        }
        if ran.revisions {
            for incident in &tenant.published {
                tenant.revision(&mut out, incident);
            }
        }
        for alert in &ran.explained {
            tenant.links(&mut out, alert, &last);
        }
    }
    out
}

impl Tenant {
    /// The last revision of each incident, by first publication.
    fn last(&self) -> BTreeMap<usize, &Incident> {
        let mut place = BTreeMap::new();
        let mut last = BTreeMap::new();
        for (at, incident) in self.published.iter().enumerate() {
            let at = *place.entry(&incident.id).or_insert(at);
            last.insert(at, incident);
        }
        last
    }

    fn members(&self, out: &mut String, last: &BTreeMap<usize, &Incident>) {
        let published: BTreeSet<&str> = last
            .values()
            .filter(|incident| incident.merged_into.is_none())
            .flat_map(|incident| &incident.alerts)
            .map(|alert| alert.uid.as_str())
            .collect();
        let mut background = 0;
        for episodes in self.threads.values() {
            let mut episodes = episodes.clone();
            episodes.sort_unstable();
            let names: Vec<String> = episodes
                .iter()
                .filter_map(|episode| episode_name(&self.episodes[episode]))
                .collect();
            let is_published =
                published.contains(self.episodes[&episodes[0]].first().unwrap().as_str());
            if names.is_empty() {
                background += 1;
            } else if !is_published {
                writeln!(out, "thread {}", names.join(" ")).unwrap();
            }
        }
        if background > 0 {
            writeln!(out, "background {background}").unwrap();
        }
    }

    fn incident(&self, out: &mut String, incident: &Incident) {
        let founder = &self.founders[&incident.id];
        if let Some(into) = &incident.merged_into {
            let into = &self.founders[into];
            writeln!(
                out,
                "merged {founder} into {into}, revision {}",
                incident.revision
            )
            .unwrap();
            return;
        }
        let of = |pick: fn(&schemas::incident::AlertRef) -> bool| -> Vec<&str> {
            let picked = incident.alerts.iter().filter(|alert| pick(alert));
            picked.map(|alert| alert.uid.as_str()).collect()
        };
        write!(out, "incident").unwrap();
        for alert in &incident.alerts {
            let times = match alert.count {
                1 => String::new(),
                more => format!("(x{more})"),
            };
            write!(out, " {}{times}", alert.uid).unwrap();
        }
        writeln!(out, ": {}", incident.title).unwrap();
        write!(
            out,
            "  {} risk {:.1}, confidence {}, revision {}",
            incident.severity, incident.risk, incident.confidence, incident.revision
        )
        .unwrap();
        for (word, alerts) in [
            ("late", of(|alert| alert.late)),
            ("routine", of(|alert| alert.context)),
            ("blocked", of(|alert| alert.blocked)),
        ] {
            if !alerts.is_empty() {
                write!(out, ", {word} {}", alerts.join(" ")).unwrap();
            }
        }
        if incident.learning {
            write!(out, ", learning").unwrap();
        }
        if incident.is_suspected_breach {
            write!(out, ", breach").unwrap();
        }
        self.desk(out, incident);
        if let Some(full) = &incident.continues {
            write!(out, ", continues {}", self.founders[full]).unwrap();
        }
        for gone in &incident.merged_from {
            write!(out, ", took in {}", self.founders[gone]).unwrap();
        }
        for other in &incident.related_incidents {
            let founder = &self.founders[&other.id];
            write!(
                out,
                ", related {founder} by {} ({})",
                bits(other.weight),
                other.reason
            )
            .unwrap();
        }
        writeln!(out).unwrap();
    }

    /// What analysts made of it.
    fn desk(&self, out: &mut String, incident: &Incident) {
        if incident.status != IncidentStatus::New {
            write!(out, ", {}", incident.status).unwrap();
        }
        if incident.classification != Classification::Unset {
            write!(out, " as {}", incident.classification).unwrap();
        }
        if incident.classification_reason != ClassificationReason::Unset {
            write!(out, "/{}", incident.classification_reason).unwrap();
        }
        if let Some(owner) = &incident.owner {
            write!(out, ", of {owner}").unwrap();
        }
        if !incident.tags.is_empty() {
            write!(out, ", tagged {}", incident.tags.join(" ")).unwrap();
        }
        for comment in &incident.comments {
            write!(out, ", {} says \"{}\"", comment.author, comment.text).unwrap();
        }
        for action in &incident.actions {
            let detail = self.called(&action.detail);
            let detail = if detail.is_empty() {
                detail
            } else {
                format!(" {detail}")
            };
            write!(out, ", {} did {}{detail}", action.actor, action.action).unwrap();
        }
        if let Some(whole) = &incident.split_from {
            write!(out, ", split from {}", self.founders[whole]).unwrap();
        }
    }

    /// Puts what incidents are called in place of their ids.
    fn called(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (id, name) in &self.founders {
            text = text.replace(id, name);
        }
        text
    }

    fn verdict(&self, out: &mut String, command: &Command, verdict: &Verdict) {
        write!(
            out,
            "{} {} {}: ",
            command.actor,
            command.action.kind(),
            command.incident
        )
        .unwrap();
        let (told, incidents) = match verdict {
            Verdict::Applied {
                revision,
                incidents,
            } => (format!("applied at revision {revision}"), incidents),
            Verdict::Refused {
                reason,
                message,
                incidents,
                ..
            } => (format!("refused, {reason}: {message}"), incidents),
        };
        write!(out, "{}", self.called(&told)).unwrap();
        if !incidents.is_empty() {
            write!(out, ", see {}", self.called(&incidents.join(" "))).unwrap();
        }
        writeln!(out).unwrap();
    }

    fn revision(&self, out: &mut String, incident: &Incident) {
        let changes: Vec<&str> = incident
            .changes
            .iter()
            .map(|change| change.word())
            .collect();
        writeln!(
            out,
            "revision {} of {}: {}, {} risk {:.1}, {} alerts",
            incident.revision,
            self.founders[&incident.id],
            changes.join(" "),
            incident.severity,
            incident.risk,
            incident.alert_count
        )
        .unwrap();
    }

    fn links(&self, out: &mut String, alert: &str, last: &BTreeMap<usize, &Incident>) {
        writeln!(out, "{alert}").unwrap();
        for incident in last.values() {
            let uid = |at: i32| incident.alerts[usize::try_from(at).unwrap()].uid.as_str();
            for link in &incident.links {
                if uid(link.to) == alert || uid(link.from) == alert {
                    writeln!(out, "  {}", told(link, uid(link.from), uid(link.to))).unwrap();
                }
            }
        }
    }
}

/// `a3(x4)`: its first alert and how many there are; none for background.
fn episode_name(alerts: &[String]) -> Option<String> {
    let first = alerts.first()?;
    if first.starts_with('_') {
        return None;
    }
    Some(match alerts.len() {
        1 => first.clone(),
        more => format!("{first}(x{more})"),
    })
}

fn told(link: &Link, from: &str, to: &str) -> String {
    let mut out = format!(
        "{to} {} {from} by {}, {} s apart:",
        if link.joined { "joins" } else { "also" },
        link.kind,
        link.gap_ms / 1_000
    );
    for term in &link.terms {
        write!(out, " {}", term.kind).unwrap();
        if let Some(entity) = &term.entity {
            write!(out, "({entity})").unwrap();
        }
        write!(out, " {},", bits(term.bits)).unwrap();
    }
    write!(out, " in all {} of {}", bits(link.weight), bits(link.bar)).unwrap();
    out
}

fn bits(milli: i32) -> String {
    format!("{:.2}", f64::from(milli) / 1_000.0)
}
