//! Why an incident is what it is: told from its record alone, in bits that add up and in words.
//!
//! Pure: the record may come from a file, a topic or the API. Strings are as the alerts had them; [`text`] makes
//! what could deceive a reader visible.

use schemas::alert::Severity;
use schemas::command::ActionKind;
use schemas::incident::{AnalystAction, Incident, IncidentStatus, LinkKind, TermKind};
use schemas::time::Timestamp;
use serde::Serialize;

use crate::graph;

mod member;
mod page;
mod teller;
pub mod text;
pub mod visible;
mod words;

pub use member::{AlertExplanation, Found, Member, Origin, explain_alert};
use teller::Teller;

/// Everything there is to say about one incident.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// What it is.
    pub incident: Head,
    /// Its stages, by first activity.
    pub story: Vec<Chapter>,
    /// Its alerts, by first activity, each with why it belongs.
    pub alerts: Vec<Member>,
    /// What holds it together.
    pub held: Held,
    /// What analysts did, oldest first.
    pub actions: Vec<Deed>,
    /// What it would fall into without its weakest entity; none where it stays whole without any one.
    pub without: Option<Without>,
    /// What this explanation cannot say.
    pub limits: Vec<String>,
}

/// What an incident is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Head {
    /// Its id.
    pub id: String,
    /// Its tenant.
    pub tenant: String,
    /// Generation of the record.
    pub generation: i32,
    /// Revision of the record.
    pub revision: i64,
    /// Title.
    pub title: String,
    /// Where it stands.
    pub status: IncidentStatus,
    /// Severity.
    pub severity: Severity,
    /// Risk, 0 to 100.
    pub risk: f64,
    /// Founded while the tenant's history was short.
    pub learning: bool,
    /// Unblocked exfiltration or impact was seen.
    pub is_suspected_breach: bool,
    /// First activity.
    pub first_activity_time: Timestamp,
    /// Last activity.
    pub last_activity_time: Timestamp,
    /// Alerts, repeats included.
    pub alert_count: i64,
    /// Episodes.
    pub episode_count: i64,
    /// The survivor, where it was merged.
    pub merged_into: Option<String>,
    /// Who works on it.
    pub owner: Option<String>,
}

/// What an analyst did.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Deed {
    /// When.
    pub time: Timestamp,
    /// Who.
    pub actor: String,
    /// What.
    pub action: ActionKind,
    /// What it is about: the new owner, the tags, the other incident.
    pub detail: String,
    /// The comment that came with it.
    pub comment: Option<String>,
}

/// One stage of the story.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chapter {
    /// Tactic, by name; empty for alerts that name none.
    pub tactic: String,
    /// Techniques.
    pub techniques: Vec<String>,
    /// First activity.
    pub first_time: Timestamp,
    /// Last activity.
    pub last_time: Timestamp,
    /// Numbers of its alerts.
    pub alerts: Vec<usize>,
    /// Machines and addresses of its alerts.
    pub hosts: Vec<String>,
    /// Accounts of its alerts.
    pub accounts: Vec<String>,
    /// Every alert of it was blocked.
    pub blocked: bool,
}

/// An entity, by key and for people.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Named {
    /// Its key.
    pub key: String,
    /// Kind word; empty where the record does not list it.
    #[serde(rename = "type")]
    pub kind: String,
    /// What to show people.
    pub display: String,
}

/// One link, told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tie {
    /// Number of the alert that was there.
    pub from: usize,
    /// Number of the alert that joined.
    pub to: usize,
    /// How it came about.
    pub kind: LinkKind,
    /// It made the alert join; others only strengthen.
    pub joined: bool,
    /// Time between the two, as in `25 min after it`.
    pub gap: String,
    /// Microsoft Graph `correlationReason` words.
    pub reasons: Vec<String>,
    /// The evidence.
    pub terms: Vec<Weighed>,
    /// Sum of the terms, milli-bits.
    pub sum: i64,
    /// The sum as published, milli-bits; another one only in a record that was tampered with.
    pub published: i32,
    /// What the sum had to reach, milli-bits.
    pub bar: i32,
}

/// One term of evidence, told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Weighed {
    /// What it measures.
    pub kind: TermKind,
    /// The entity it is about.
    pub entity: Option<Named>,
    /// Milli-bits, negative where it speaks against.
    pub bits: i32,
    /// What it says, in words.
    pub meaning: String,
}

/// What holds an incident together. Alerts are numbers, counted from 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Held {
    /// 0 to 100, as published.
    pub confidence: i32,
    /// The fewest and strongest links that are enough to hold it.
    pub by: Vec<Hold>,
    /// The weakest of them.
    pub weakest: Option<Hold>,
    /// Links without which it would split.
    pub single: Vec<Hold>,
    /// Alerts without which the rest would split.
    pub pivots: Vec<usize>,
    /// Parts that no link in the record joins; one where all are held.
    pub parts: usize,
}

/// One link, in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hold {
    /// Number of one alert.
    pub from: usize,
    /// Number of the other.
    pub to: usize,
    /// How it came about.
    pub kind: LinkKind,
    /// Milli-bits.
    pub sum: i32,
    /// The entities that speak for it, strongest first.
    pub entities: Vec<Named>,
}

/// What an incident would be without one entity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Without {
    /// The entity.
    pub entity: Named,
    /// Links that would fall away.
    pub links: usize,
    /// Numbers of the alerts that would stay together, the largest part first.
    pub parts: Vec<Vec<usize>>,
}

/// Explains an incident.
#[must_use]
pub fn explain(incident: &Incident) -> Explanation {
    let structure = graph::structure(incident);
    let teller = Teller::new(incident);
    Explanation {
        incident: head(incident),
        story: incident
            .stages
            .iter()
            .map(|stage| teller.chapter(stage))
            .collect(),
        alerts: member::members(&teller),
        held: teller.held(&structure),
        actions: incident
            .actions
            .iter()
            .map(|action| deed(incident, action))
            .collect(),
        without: graph::weakest_entity(incident).map(|loss| Without {
            entity: teller.named(&loss.entity),
            links: loss.links.len(),
            parts: loss.parts.iter().map(|part| numbers(part)).collect(),
        }),
        limits: limits(incident),
    }
}

fn head(incident: &Incident) -> Head {
    Head {
        id: incident.id.clone(),
        tenant: incident.tenant.clone(),
        generation: incident.generation,
        revision: incident.revision,
        title: incident.title.clone(),
        status: incident.status,
        severity: incident.severity,
        risk: incident.risk,
        learning: incident.learning,
        is_suspected_breach: incident.is_suspected_breach,
        first_activity_time: incident.first_activity_time,
        last_activity_time: incident.last_activity_time,
        alert_count: incident.alert_count,
        episode_count: incident.episode_count,
        merged_into: incident.merged_into.clone(),
        owner: incident.owner.clone(),
    }
}

fn deed(incident: &Incident, action: &AnalystAction) -> Deed {
    let mut comments = incident.comments.iter();
    let comment = comments.find(|comment| comment.id == action.command);
    Deed {
        time: action.time,
        actor: action.actor.clone(),
        action: action.action,
        detail: action.detail.clone(),
        comment: comment.map(|comment| comment.text.clone()),
    }
}

fn limits(incident: &Incident) -> Vec<String> {
    let mut limits = Vec::new();
    if incident.truncated {
        limits.push(
            "the record is capped: alerts, entities or links that it leaves out are not counted here".to_owned(),
        );
    }
    if incident.learning {
        limits.push(
            "founded in the tenant's first 12 hours, when everything looks new: check it with more care".to_owned(),
        );
    }
    limits
}

fn numbers(indices: &[usize]) -> Vec<usize> {
    indices.iter().map(|index| index + 1).collect()
}

#[cfg(test)]
mod tests;
